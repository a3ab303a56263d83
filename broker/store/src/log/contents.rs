//! Reading messages: from the entries of deliveries to what their receivers get.
//!
//! Entries are read in the order of their records, so that each chunk is read once for all that is wanted of it.
//!
//! Invariant: what is damaged is an error that names it, never wrong contents.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use redb::ReadTransaction;

use crate::encoding::Malformed;
use crate::error::Corruption;
use crate::load::LoadError;
use crate::log::chunk::Chunk;
use crate::log::page::Entry;
use crate::log::record::{Beginning, Body, MessageRef, Record, StoredDelivery, decode_body};
use crate::recovered::{RecoveredDelivery, StoredMessage};
use crate::table::{LOG, PAYLOADS};
use crate::{MessageId, SessionId};

/// A delivery whose message is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) session: SessionId,
    pub(crate) message: MessageId,
    pub(crate) entry: Entry,
}

type LogTable = redb::ReadOnlyTable<u64, &'static [u8]>;

/// What was read last of the log, and of messages that several want.
pub(crate) struct Reader<'t> {
    transaction: &'t ReadTransaction,
    log: LogTable,
    /// First record and value of the chunk that was read last; its checksum is right.
    chunk: Option<(u64, redb::AccessGuard<'static, &'static [u8]>)>,
    /// The message that was read last, and its record: a long list of its receivers is in several records.
    message: Option<(u64, Arc<StoredMessage>)>,
    /// How the list began that was read last, when one of it was wanted.
    beginning: Option<Beginning>,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(transaction: &'t ReadTransaction) -> Result<Self, LoadError> {
        let log = transaction.open_table(LOG).map_err(|error| LoadError::table("log", error))?;
        Ok(Self { transaction, log, chunk: None, message: None, beginning: None })
    }

    /// Reads all of these and hands each to `found`, with its place among them. What cannot be read goes to `damaged`, which may go on without
    /// it by returning no error.
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
        let first = self.chunk_of(entry.lsn)?;
        let Some((_, value)) = &self.chunk else { return Err(message_missing()) };
        let damaged =
            |error: Malformed| LoadError::Corrupted(Corruption::Chunk { lsn: first, reason: error.0 });
        let deliveries = match frame(first, value.value(), entry.lsn).map_err(damaged)? {
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
                subscription_ids: delivery.subscription_ids().map_err(damaged)?,
                packet_id: wanted[place].entry.packet_id,
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
        let first = self.chunk_of(head)?;
        let Some((_, value)) = &self.chunk else { return Err(missing()) };
        match frame(first, value.value(), head).map_err(|_| missing())? {
            Some(Record::Message { id: found, body, .. }) if found == id => {
                message(self.transaction, id, body)
            }
            _ => Err(missing()),
        }
    }

    /// Makes the chunk that holds a record the current one; its first record.
    fn chunk_of(&mut self, lsn: u64) -> Result<u64, LoadError> {
        let is_current = |(first, value): &(u64, redb::AccessGuard<'static, &'static [u8]>)| {
            *first <= lsn && lsn - *first < u64::from(Chunk::count(value.value()))
        };
        if let Some(current) = self.chunk.as_ref().filter(|chunk| is_current(chunk)) {
            return Ok(current.0);
        }
        self.chunk = None;
        let Some(row) = self.log.range(..=lsn)?.next_back() else {
            return Err(Corruption::LogGap { expected: lsn, found: 0 }.into());
        };
        let (first, value) = row?;
        let first = first.value();
        Chunk::decode(first, value.value()).map_err(|reason| Corruption::Chunk { lsn: first, reason })?;
        self.chunk = Some((first, value));
        Ok(first)
    }
}

/// A record of a chunk whose checksum is right.
fn frame(first: u64, value: &[u8], lsn: u64) -> Result<Option<Record<'_>>, Malformed> {
    let Some(nth) = lsn.checked_sub(first).and_then(|nth| usize::try_from(nth).ok()) else { return Ok(None) };
    let frame = Chunk::unchecked_frames(value).nth(nth);
    frame.transpose()?.map(Record::decode).transpose()
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

/// The parts of a large body, joined. Each is `version u8, bytes`; the record has the checksum of the whole.
fn payload(transaction: &ReadTransaction, id: MessageId) -> Result<Vec<u8>, LoadError> {
    let table = transaction.open_table(PAYLOADS).map_err(|error| LoadError::table("payloads", error))?;
    let mut bytes = Vec::new();
    for row in table.range((id.0, 0)..=(id.0, u64::MAX))? {
        let (_, value) = row?;
        bytes.extend_from_slice(value.value().get(1..).unwrap_or_default());
    }
    Ok(bytes)
}
