//! Moving the living out of old chunks, so that the log stays within about twice what is alive in it.
//!
//! Only whole chunks from the old end are emptied: their living records are written again at the head, in the same
//! transaction that removes the chunks. Work per group is bounded by [`Budget`].

use crate::log::chunk::Chunk;
use crate::log::index::LogIndex;
use crate::log::record::{Delivery, Record, Records, StoredDelivery};
use crate::{MessageId, SessionId};

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
    let allowed = index.live_bytes().saturating_mul(2).saturating_add(budget.slack_bytes);
    let mut total = index.total_bytes();
    let mut read = 0;
    let mut chosen = Vec::new();
    for chunk in index.chunks.iter().take_while(|chunk| chunk.first_lsn < budget.before_lsn) {
        if total <= allowed || read >= budget.bytes_max {
            break;
        }
        chosen.push(chunk.first_lsn);
        read += chunk.bytes();
        total = total.saturating_sub(chunk.bytes() - chunk.live_bytes().min(chunk.bytes()));
    }
    chosen
}

/// Appends to `out` what is alive in a chunk; returns what is wrong with the chunk if it cannot be read.
pub(crate) fn living(
    index: &LogIndex,
    lsn: u64,
    value: &[u8],
    out: &mut Records,
) -> Result<(), &'static str> {
    let chunk = Chunk::decode(lsn, value)?;
    for (frame, lsn) in chunk.frames().zip(lsn..) {
        let record = frame.and_then(Record::decode).map_err(|error| error.0)?;
        keep(index, lsn, record, out).map_err(|error| error.0)?;
    }
    Ok(())
}

fn keep(
    index: &LogIndex,
    lsn: u64,
    record: Record<'_>,
    out: &mut Records,
) -> Result<(), crate::encoding::Malformed> {
    match record {
        Record::Message { id, body, deliveries, .. } => {
            let deliveries = living_deliveries(index, lsn, id, deliveries)?;
            let deliveries = deliveries.iter().map(|(delivery, ids)| with_ids(delivery, ids));
            if index.message(id).and_then(|message| message.body).is_some_and(|place| place.lsn == lsn) {
                out.message(id, body, deliveries);
            } else {
                out.deliveries(id, deliveries);
            }
        }
        Record::Deliveries { id, deliveries, .. } => {
            let deliveries = living_deliveries(index, lsn, id, deliveries)?;
            out.deliveries(id, deliveries.iter().map(|(delivery, ids)| with_ids(delivery, ids)));
        }
        Record::Pubrec { session, message, packet_id } => {
            let entry = index.session(session).and_then(|session| session.pubrel.get(&packet_id));
            if entry.is_some_and(|(_, place)| place.lsn == lsn) {
                out.pubrec(session, message, packet_id);
            }
        }
        Record::Qos2Received { session, packet_id } => {
            let entry = index.session(session).and_then(|session| session.received.get(&packet_id));
            if entry.is_some_and(|place| place.lsn == lsn) {
                out.qos2_received(session, packet_id);
            }
        }
        Record::Dequeue { .. }
        | Record::Inflight { .. }
        | Record::Pubcomp { .. }
        | Record::Qos2Released { .. } => {}
    }
    Ok(())
}

type WithIds<'a> = (StoredDelivery<'a>, Vec<u32>);

/// The deliveries of a record that are alive in this very place, each with the packet identifier of today.
fn living_deliveries<'a>(
    index: &LogIndex,
    lsn: u64,
    id: MessageId,
    deliveries: crate::log::record::Deliveries<'a>,
) -> Result<Vec<WithIds<'a>>, crate::encoding::Malformed> {
    let mut living = Vec::new();
    for delivery in deliveries {
        let mut delivery = delivery?;
        let Some(live) = live_delivery(index, delivery.session, id) else { continue };
        if live.place.lsn == lsn {
            delivery.packet_id = live.packet_id;
            let ids = delivery.subscription_ids()?;
            living.push((delivery, ids));
        }
    }
    Ok(living)
}

fn live_delivery(
    index: &LogIndex,
    session: SessionId,
    message: MessageId,
) -> Option<&crate::log::index::LiveDelivery> {
    index.session(session)?.deliveries.get(&message)
}

fn with_ids<'a>(delivery: &StoredDelivery<'_>, subscription_ids: &'a [u32]) -> Delivery<'a> {
    Delivery {
        session: delivery.session,
        qos: delivery.qos,
        retain: delivery.retain,
        packet_id: delivery.packet_id,
        subscription_ids,
    }
}
