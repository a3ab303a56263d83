//! Reading the log at start: once to learn what is alive, once more for the contents of that.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

use crate::encoding::Malformed;
use crate::error::Corruption;
use crate::load::LoadError;
use crate::log::chunk::Chunk;
use crate::log::index::LogIndex;
use crate::log::record::{Body, Deliveries, MessageRef, Record, decode_body};
use crate::recovered::{RecoveredDelivery, StoredMessage};
use crate::table::{LOG, PAYLOADS};
use crate::{MessageId, SessionId};

/// Feeds the whole log to a new index in which these sessions exist; it is live then.
pub(crate) fn index(
    transaction: &ReadTransaction,
    sessions: impl Iterator<Item = SessionId>,
) -> Result<LogIndex, LoadError> {
    let mut index = LogIndex::new(sessions);
    let mut expected = None;
    each_chunk(transaction, |lsn, value| {
        let damaged = |reason| LoadError::Corrupted(Corruption::Chunk { lsn, reason });
        if let Some(expected) = expected.filter(|expected| *expected != lsn) {
            return Err(LoadError::Corrupted(Corruption::LogGap { expected, found: lsn }));
        }
        let chunk = Chunk::decode(lsn, value).map_err(damaged)?;
        index.next_lsn = lsn;
        index.begin_chunk();
        for frame in chunk.frames() {
            frame.and_then(|frame| index.apply(frame)).map_err(|error| damaged(error.0))?;
        }
        index.end_chunk(value.len());
        index.next_message_id = index.next_message_id.max(chunk.next_message_id);
        let next =
            lsn.checked_add(u64::from(chunk.count)).ok_or_else(|| damaged("record number too large"))?;
        if next != index.next_lsn {
            return Err(damaged("record count does not match"));
        }
        expected = Some(next);
        Ok(())
    })?;
    index.go_live();
    if let Some(message) = index.message_without_body() {
        return Err(LoadError::Corrupted(Corruption::MessageMissing { message: message.0 }));
    }
    Ok(index)
}

fn each_chunk(
    transaction: &ReadTransaction,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let log = transaction.open_table(LOG).map_err(|error| LoadError::table("log", error))?;
    for row in log.iter()? {
        let (lsn, value) = row?;
        visit(lsn.value(), value.value())?;
    }
    Ok(())
}

/// What the sessions have queued, in order.
pub(crate) type Queues = HashMap<SessionId, Vec<RecoveredDelivery>>;

/// A delivery whose message may be read later.
struct Pending {
    message: MessageId,
    session: SessionId,
    qos: u8,
    retain: bool,
    subscription_ids: Vec<u32>,
}

/// Reads the contents of everything that is alive.
pub(crate) fn queues(transaction: &ReadTransaction, index: &LogIndex) -> Result<Queues, LoadError> {
    let mut messages = HashMap::new();
    let mut pending = Vec::new();
    each_chunk(transaction, |first_lsn, value| {
        let damaged = |reason| LoadError::Corrupted(Corruption::Chunk { lsn: first_lsn, reason });
        let chunk = Chunk::decode(first_lsn, value).map_err(damaged)?;
        for (frame, lsn) in chunk.frames().zip(first_lsn..) {
            let record = frame.and_then(Record::decode).map_err(|error| damaged(error.0))?;
            let (id, deliveries) = match record {
                Record::Message { id, body, deliveries, .. } => {
                    let place = index.message(id).and_then(|message| message.body);
                    if place.is_some_and(|place| place.lsn == lsn) {
                        messages.insert(id, Arc::new(message(transaction, id, body)?));
                    }
                    (id, deliveries)
                }
                Record::Deliveries { id, deliveries, .. } => (id, deliveries),
                Record::Dequeue { .. }
                | Record::Inflight { .. }
                | Record::Pubrec { .. }
                | Record::Pubcomp { .. }
                | Record::Qos2Received { .. }
                | Record::Qos2Released { .. } => continue,
            };
            collect(index, lsn, id, deliveries, &mut pending).map_err(|error| damaged(error.0))?;
        }
        Ok(())
    })?;
    Ok(join(index, &messages, pending))
}

fn collect(
    index: &LogIndex,
    lsn: u64,
    message: MessageId,
    deliveries: Deliveries<'_>,
    pending: &mut Vec<Pending>,
) -> Result<(), Malformed> {
    for delivery in deliveries {
        let delivery = delivery?;
        let live = index.session(delivery.session).and_then(|session| session.deliveries.get(&message));
        if live.is_some_and(|live| live.place.lsn == lsn) {
            pending.push(Pending {
                message,
                session: delivery.session,
                qos: delivery.qos,
                retain: delivery.retain,
                subscription_ids: delivery.subscription_ids()?,
            });
        }
    }
    Ok(())
}

fn join(
    index: &LogIndex,
    messages: &HashMap<MessageId, Arc<StoredMessage>>,
    mut pending: Vec<Pending>,
) -> Queues {
    pending.sort_by_key(|delivery| delivery.message);
    let mut queues = Queues::new();
    for delivery in pending {
        let live =
            index.session(delivery.session).and_then(|session| session.deliveries.get(&delivery.message));
        let Some(message) = messages.get(&delivery.message) else { continue };
        queues.entry(delivery.session).or_default().push(RecoveredDelivery {
            message: Arc::clone(message),
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: delivery.subscription_ids,
            packet_id: live.and_then(|live| live.packet_id),
        });
    }
    queues
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

/// Messages that have rows in table `payloads` and are not alive; a crash leaves none, a damaged file may.
pub(crate) fn orphaned_payloads(
    transaction: &ReadTransaction,
    index: &LogIndex,
) -> Result<Vec<MessageId>, LoadError> {
    let table = transaction.open_table(PAYLOADS).map_err(|error| LoadError::table("payloads", error))?;
    let mut orphans = BTreeMap::new();
    for row in table.iter()? {
        let (key, _) = row?;
        let id = MessageId(key.value().0);
        if index.message(id).is_none() {
            orphans.insert(id, ());
        }
    }
    Ok(orphans.into_keys().collect())
}
