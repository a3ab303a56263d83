//! Moving the living out of old chunks, so that the log stays within about twice what is alive in
//! it.
//!
//! Only whole chunks from the old end are emptied: their living records are written again at the
//! head, in the same transaction that removes the chunks. Work per group is bounded by [`Budget`].

use lotmq_changes::encoding::Malformed;
use lotmq_changes::record::{Body, DELIVERIES_BYTES_MAX, Deliveries, Record, Records, StoredDelivery};
use lotmq_changes::{Delivery, MessageId, SessionId};

use crate::log::chunk::Chunk;
use crate::log::index::{IndexError, LogIndex, Pages};

/// Bytes of deliveries after which a list is continued in the next record; in unit tests lists of a
/// few are.
pub(crate) const LIST_BYTES_MAX: u16 = if cfg!(test) { 8 } else { DELIVERIES_BYTES_MAX };

/// How many of the oldest chunks to empty now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Bytes of old log to read at most (the last chunk may exceed it).
    pub(crate) bytes_max: u64,
    /// Bytes that the log may have beyond twice its living bytes.
    pub(crate) slack_bytes: u64,
    /// Chunks from here on belong to the current group and stay.
    pub(crate) before_lsn: u64,
}

/// Numbers of the chunks to empty, oldest first; none while the log is small enough.
pub(crate) fn choose(index: &LogIndex, budget: Budget) -> Vec<u64> {
    let allowed = index.chunks.live_bytes().saturating_mul(2).saturating_add(budget.slack_bytes);
    let mut total = index.chunks.total_bytes();
    let mut read = 0;
    let mut chosen = Vec::new();
    for chunk in index.chunks.iter().take_while(|chunk| chunk.first_lsn < budget.before_lsn) {
        if total <= allowed || read >= budget.bytes_max {
            break;
        }
        if chunk.items > 0 {
            chosen.push(chunk.first_lsn);
            read += chunk.bytes;
        }
        total = total.saturating_sub(chunk.bytes - chunk.live_bytes.min(chunk.bytes));
    }
    chosen
}

/// Why a chunk could not be emptied.
#[derive(Debug)]
pub(crate) enum RelocateError {
    /// The fault of this chunk, or of one that holds the body of one of its messages.
    Damaged(&'static str),
    Index(IndexError),
}

impl From<IndexError> for RelocateError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Malformed(error) => Self::Damaged(error.0),
            other @ (IndexError::Page(_) | IndexError::Storage(_)) => Self::Index(other),
        }
    }
}

impl From<Malformed> for RelocateError {
    fn from(error: Malformed) -> Self {
        Self::Damaged(error.0)
    }
}

impl From<redb::StorageError> for RelocateError {
    fn from(error: redb::StorageError) -> Self {
        Self::Index(error.into())
    }
}

/// Reader of chunks.
pub(crate) trait ReadChunk {
    /// Lets `work` see the value of a chunk, which is there.
    fn with<T>(
        &self,
        first_lsn: u64,
        work: impl FnOnce(&[u8]) -> Result<T, RelocateError>,
    ) -> Result<T, RelocateError>;
}

/// Appends to `out` what is alive in a chunk.
pub(crate) fn living(
    index: &mut LogIndex,
    lsn: u64,
    value: &[u8],
    chunks: &impl ReadChunk,
    pages: &impl Pages,
    out: &mut Records,
) -> Result<(), RelocateError> {
    let chunk = Chunk::decode(lsn, value).map_err(RelocateError::Damaged)?;
    for (frame, lsn) in chunk.frames().zip(lsn..) {
        match Record::decode(frame?)? {
            Record::Message { id, body, deliveries, .. } => {
                let (living, _) = living_deliveries(index, lsn, id, deliveries, pages)?;
                write(id, body, &living, out);
            }
            Record::Deliveries { id, deliveries, .. } => {
                // They must stand behind their message; it is copied, once for some thousand of
                // them.
                let (living, head) = living_deliveries(index, lsn, id, deliveries, pages)?;
                let Some(head) = head else { continue };
                let first =
                    index.chunks.first_lsn(head).ok_or(RelocateError::Damaged("message is missing"))?;
                chunks.with(first, |value| {
                    let chunk = Chunk::decode(first, value).map_err(RelocateError::Damaged)?;
                    let frame = usize::try_from(head - first).ok().and_then(|nth| chunk.frames().nth(nth));
                    match frame.map(|frame| frame.and_then(Record::decode)) {
                        Some(Ok(Record::Message { id: found, body, .. })) if found == id => {
                            write(id, body, &living, out);
                            Ok(())
                        }
                        _ => Err(RelocateError::Damaged("message is missing")),
                    }
                })?;
            }
            Record::Pubrec { session, message, packet_id } => {
                let entry = index.session(session).and_then(|live| live.identifiers.pubrel.get(&packet_id));
                if entry.is_some_and(|(_, place)| *place == lsn) {
                    out.pubrec(session, message, packet_id);
                }
            }
            Record::Qos2Received { session, packet_id } => {
                let entry = index.session(session).and_then(|live| live.identifiers.received.get(&packet_id));
                if entry.is_some_and(|place| *place == lsn) {
                    out.qos2_received(session, packet_id);
                }
            }
            Record::Dequeue { .. }
            | Record::Inflight { .. }
            | Record::Pubcomp { .. }
            | Record::Qos2Released { .. } => {}
        }
    }
    Ok(())
}

/// A message for those who must still get it; nothing if that is nobody.
fn write(id: MessageId, body: Body<'_>, living: &[WithIds<'_>], out: &mut Records) {
    if !living.is_empty() {
        out.message(id, body, living.iter().map(|(delivery, ids)| with_ids(delivery, ids)));
    }
}

type WithIds<'a> = (StoredDelivery<'a>, Vec<u32>);

/// The deliveries of a record that are alive in this very place, each with the packet identifier of
/// today; and where their message is.
fn living_deliveries<'a>(
    index: &mut LogIndex,
    lsn: u64,
    id: MessageId,
    deliveries: Deliveries<'a>,
    pages: &impl Pages,
) -> Result<(Vec<WithIds<'a>>, Option<u64>), RelocateError> {
    let mut living = Vec::new();
    let mut head = None;
    for delivery in deliveries {
        let mut delivery = delivery?;
        let found = index.find(delivery.session, id, pages)?;
        let Some(entry) = found.filter(|entry| entry.lsn == lsn) else { continue };
        delivery.packet_id = entry.packet_id;
        head = Some(entry.head);
        let ids = delivery.subscription_ids()?;
        living.push((delivery, ids));
    }
    Ok((living, head))
}

fn with_ids<'a>(delivery: &StoredDelivery<'_>, subscription_ids: &'a [u32]) -> Delivery<'a> {
    Delivery {
        session: SessionId(delivery.session.0),
        qos: delivery.qos,
        retain: delivery.retain,
        published_retain: delivery.published_retain,
        packet_id: delivery.packet_id,
        subscription_ids,
        membership: delivery.membership,
    }
}
