//! Reading messages: from the entries of deliveries to what their receivers get.
//!
//! Entries are read in the order of their records, so that each chunk is read once for all that is
//! wanted of it.
//!
//! Invariant: what is damaged is an error that names it, never wrong contents.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use lotmq_changes::encoding::Malformed;
use lotmq_changes::record::{Beginning, Body, Record, StoredDelivery, decode_body};
use lotmq_changes::{Corruption, MessageId, MessageRef, RecoveredDelivery, SessionId, StoredMessage};
use redb::ReadTransaction;

use crate::load_error::LoadError;
use crate::log::chunk::{Chunk, HEADER_BYTES};
use crate::log::page::Entry;
use crate::table::{LOG, PAYLOADS};

/// A delivery whose message is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) session: SessionId,
    pub(crate) message: MessageId,
    pub(crate) entry: Entry,
}

type LogTable = redb::ReadOnlyTable<u64, &'static [u8]>;

/// Reader of the log that caches the last chunk, and the last message with several receivers.
pub(crate) struct Reader<'t> {
    transaction: &'t ReadTransaction,
    log: LogTable,
    chunk: Option<OpenChunk>,
    /// The message that was read last, and its record: a long list of its receivers is in several
    /// records.
    message: Option<(u64, Arc<StoredMessage>)>,
    /// How the list began that was read last, when one of it was wanted.
    beginning: Option<Beginning>,
}

/// A chunk whose checksum is right.
struct OpenChunk {
    /// Its first record.
    first: u64,
    value: redb::AccessGuard<'static, &'static [u8]>,
    /// Starts of its records, as far as they were read, and of the next one. Without this cache a
    /// walk for each of some 200 messages took a fifth of the time of draining a queue.
    places: Vec<usize>,
}

impl OpenChunk {
    fn has(&self, lsn: u64) -> bool {
        self.first <= lsn && lsn - self.first < u64::from(Chunk::count(self.value.value()))
    }

    fn record(&mut self, lsn: u64) -> Result<Option<Record<'_>>, Malformed> {
        let nth = lsn.checked_sub(self.first).and_then(|nth| usize::try_from(nth).ok());
        let Some(nth) = nth else { return Ok(None) };
        let value = self.value.value();
        while let Some(place) = self.places.last().copied().filter(|_| self.places.len() <= nth) {
            let Some((_, next)) = Chunk::record_at(value, place).transpose()? else { return Ok(None) };
            self.places.push(next);
        }
        let found = self.places.get(nth).and_then(|place| Chunk::record_at(value, *place));
        found.transpose()?.map(|(frame, _)| Record::decode(frame)).transpose()
    }
}

impl<'t> Reader<'t> {
    pub(crate) fn new(transaction: &'t ReadTransaction) -> Result<Self, LoadError> {
        let log = transaction.open_table(LOG).map_err(|error| LoadError::table("log", error))?;
        Ok(Self { transaction, log, chunk: None, message: None, beginning: None })
    }

    /// Reads all of these and hands each to `found`, with its place among them. Unreadable ones go
    /// to `damaged`; if that returns no error, the read goes on without them.
    pub(crate) fn read(
        &mut self,
        wanted: &[Wanted],
        mut found: impl FnMut(usize, RecoveredDelivery),
        mut damaged: impl FnMut(&[usize], Corruption) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let mut places: Vec<usize> = (0..wanted.len()).collect();
        places.sort_by_key(|place| (wanted[*place].entry.lsn, wanted[*place].message));
        for places in places.chunk_by(|a, b| wanted[*a].entry.lsn == wanted[*b].entry.lsn) {
            match self.record(places, wanted, &mut found) {
                Ok(()) => {}
                Err(LoadError::Corrupted(corruption)) => damaged(places, corruption)?,
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Reads the deliveries of one record.
    fn record(
        &mut self,
        places: &[usize],
        wanted: &[Wanted],
        found: &mut impl FnMut(usize, RecoveredDelivery),
    ) -> Result<(), LoadError> {
        let Some(Wanted { message, entry, .. }) = places.first().map(|place| wanted[*place]) else {
            return Ok(());
        };
        let message_missing = || LoadError::Corrupted(Corruption::MessageMissing { message: message.0 });
        let stored = match &self.message {
            Some((head, stored)) if *head == entry.head => Arc::clone(stored),
            _ => Arc::new(self.message(message, entry.head)?),
        };
        self.message = Some((entry.head, Arc::clone(&stored)));
        let chunk = chunk_of(&mut self.chunk, &self.log, entry.lsn)?;
        let first = chunk.first;
        let damaged =
            |error: Malformed| LoadError::Corrupted(Corruption::Chunk { lsn: first, reason: error.0 });
        let deliveries = match chunk.record(entry.lsn).map_err(damaged)? {
            Some(Record::Message { id, deliveries, .. } | Record::Deliveries { id, deliveries, .. })
                if id == message =>
            {
                deliveries
            }
            _ => return Err(message_missing()),
        };
        let mut find = |place: usize, delivery: StoredDelivery<'_>| -> Result<(), LoadError> {
            let delivery = RecoveredDelivery {
                message: Arc::clone(&stored),
                qos: delivery.qos,
                retain: delivery.retain,
                published_retain: delivery.published_retain,
                subscription_ids: delivery.subscription_ids().map_err(damaged)?,
                packet_id: wanted[place].entry.packet_id,
                membership: delivery.membership,
            };
            found(place, delivery);
            Ok(())
        };
        if let [place] = places {
            let delivery = deliveries.of(wanted[*place].session, &mut self.beginning).map_err(damaged)?;
            return find(*place, delivery.ok_or_else(message_missing)?);
        }
        let mut by_session: HashMap<SessionId, usize> =
            places.iter().map(|place| (wanted[*place].session, *place)).collect();
        for delivery in deliveries {
            let delivery = delivery.map_err(damaged)?;
            if let Some(place) = by_session.remove(&delivery.session) {
                find(place, delivery)?;
            }
            if by_session.is_empty() {
                return Ok(());
            }
        }
        Err(message_missing())
    }

    fn message(&mut self, id: MessageId, head: u64) -> Result<StoredMessage, LoadError> {
        let missing = || LoadError::Corrupted(Corruption::MessageMissing { message: id.0 });
        match chunk_of(&mut self.chunk, &self.log, head)?.record(head).map_err(|_| missing())? {
            Some(Record::Message { id: found, body, .. }) if found == id => {
                message(self.transaction, id, body)
            }
            _ => Err(missing()),
        }
    }
}

/// Makes the chunk that holds a record the current one.
fn chunk_of<'c>(
    current: &'c mut Option<OpenChunk>,
    log: &LogTable,
    lsn: u64,
) -> Result<&'c mut OpenChunk, LoadError> {
    if current.as_ref().is_none_or(|chunk| !chunk.has(lsn)) {
        *current = None;
        let Some(row) = log.range(..=lsn)?.next_back() else {
            return Err(Corruption::LogGap { expected: lsn, found: 0 }.into());
        };
        let (first, value) = row?;
        let first = first.value();
        Chunk::decode(first, value.value()).map_err(|reason| Corruption::Chunk { lsn: first, reason })?;
        *current = Some(OpenChunk { first, value, places: vec![HEADER_BYTES] });
    }
    current.as_mut().ok_or(Corruption::LogGap { expected: lsn, found: 0 }.into())
}

fn message(transaction: &ReadTransaction, id: MessageId, body: Body<'_>) -> Result<StoredMessage, LoadError> {
    let missing = || LoadError::Corrupted(Corruption::MessageMissing { message: id.0 });
    match body {
        Body::Inline(bytes) => Ok(owned(&decode_body(id, bytes).map_err(|_| missing())?)),
        Body::External { len, crc } => {
            let bytes = payload(transaction, id)?;
            if bytes.len() as u64 != len || crc32c::crc32c(&bytes) != crc {
                return Err(missing());
            }
            Ok(owned(&decode_body(id, &bytes).map_err(|_| missing())?))
        }
    }
}

fn owned(message: &MessageRef<'_>) -> StoredMessage {
    StoredMessage {
        id: message.id,
        tenant: message.tenant,
        topic: message.topic.to_owned(),
        properties: Bytes::copy_from_slice(message.properties),
        payload: Bytes::copy_from_slice(message.payload),
        qos: message.qos,
        published_at_ms: message.published_at_ms,
        expires_at_ms: message.expires_at_ms,
    }
}

/// The parts of a large body, joined. Each is `version u8, bytes`; the record has the checksum of
/// the whole.
fn payload(transaction: &ReadTransaction, id: MessageId) -> Result<Vec<u8>, LoadError> {
    let table = transaction.open_table(PAYLOADS).map_err(|error| LoadError::table("payloads", error))?;
    let mut bytes = Vec::new();
    for row in table.range((id.0, 0)..=(id.0, u64::MAX))? {
        let (_, value) = row?;
        bytes.extend_from_slice(value.value().get(1..).unwrap_or_default());
    }
    Ok(bytes)
}
