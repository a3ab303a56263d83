//! Writing records.

use std::iter::Peekable;
use std::num::NonZeroU16;

use super::{
    Body, DELIVERIES, DELIVERY_MEMBERSHIP, DELIVERY_PACKET_ID, DELIVERY_PUBLISHED_RETAIN, DELIVERY_QOS,
    DELIVERY_RETAIN, DELIVERY_SUBSCRIPTION_IDS, DEQUEUE, FLAG_EXTERNAL, FLAG_MORE, Frames, INFLIGHT, MESSAGE,
    PUBCOMP, PUBREC, QOS2_RECEIVED, QOS2_RELEASED, frames,
};
use crate::encoding::Put;
use crate::limits::{BODY_INLINE_BYTES_MAX, DELIVERIES_BYTES_MAX};
use crate::message::Delivery;
use crate::{MessageId, SessionId};

/// Most Subscription Identifiers kept with one delivery; those beyond are dropped.
const SUBSCRIPTION_IDS_MAX: usize = 1024;

/// Records in their stored form, one behind the other.
#[derive(Debug)]
pub struct Records {
    bytes: Vec<u8>,
    count: usize,
    /// Bytes for which there is room when the first record comes.
    room: u32,
    /// Bytes of deliveries after which a list is continued in the next record.
    list_bytes_max: u16,
}

impl Default for Records {
    fn default() -> Self {
        Self::with_lists_of(DELIVERIES_BYTES_MAX)
    }
}

impl Records {
    /// None yet. A list of deliveries is continued in the next record after so many bytes.
    pub fn with_lists_of(list_bytes_max: u16) -> Self {
        Self { bytes: Vec::new(), count: 0, room: 0, list_bytes_max }
    }

    /// None yet, with lists as long as here, and room for so many bytes once there is a record.
    pub(crate) fn next_with_room(&self, room: usize) -> Self {
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        Self { room, ..Self::with_lists_of(self.list_bytes_max) }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records with their lengths.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Splits them into single records.
    pub fn frames(&self) -> Frames<'_> {
        frames(&self.bytes)
    }

    /// Appends one record; `write` gets the buffer behind the length.
    fn record(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        if start == 0 {
            self.bytes.reserve(self.room as usize);
        }
        self.bytes.extend_from_slice(&[0, 0, kind]);
        write(&mut self.bytes);
        let len = self.bytes.len() - start - 2;
        debug_assert!(len <= usize::from(u16::MAX), "bodies and delivery lists are bounded");
        self.bytes[start..start + 2].copy_from_slice(&(len as u16).to_be_bytes());
        self.count += 1;
    }

    /// Appends a message and its deliveries, in as many records as it takes.
    pub fn message<'d>(
        &mut self,
        id: MessageId,
        body: Body<'_>,
        deliveries: impl Iterator<Item = Delivery<'d>>,
    ) {
        let mut deliveries = deliveries.peekable();
        let list_bytes_max = usize::from(self.list_bytes_max);
        self.record(MESSAGE, |out| {
            out.put_varint(id.0);
            let flags_at = out.len();
            match body {
                Body::Inline(bytes) => {
                    debug_assert!(bytes.len() <= BODY_INLINE_BYTES_MAX);
                    out.push(0);
                    out.put_bytes(bytes);
                }
                Body::External { len, crc } => {
                    out.push(FLAG_EXTERNAL);
                    out.put_varint(len);
                    out.put_u32(crc);
                }
            }
            put_deliveries(out, &mut deliveries, list_bytes_max);
            if deliveries.peek().is_some() {
                out[flags_at] |= FLAG_MORE;
            }
        });
        self.deliveries(id, deliveries);
    }

    /// Appends deliveries of a message that is in the log already; nothing if there are none.
    pub fn deliveries<'d>(&mut self, id: MessageId, deliveries: impl Iterator<Item = Delivery<'d>>) {
        let mut deliveries = deliveries.peekable();
        let list_bytes_max = usize::from(self.list_bytes_max);
        while deliveries.peek().is_some() {
            self.record(DELIVERIES, |out| {
                out.put_varint(id.0);
                let more_at = out.len();
                out.push(0);
                put_deliveries(out, &mut deliveries, list_bytes_max);
                out[more_at] = u8::from(deliveries.peek().is_some());
            });
        }
    }

    /// Appends that a session is done with a message.
    pub fn dequeue(&mut self, session: SessionId, message: MessageId) {
        self.record(DEQUEUE, |out| {
            out.put_varint(session.0);
            out.put_varint(message.0);
        });
    }

    /// Appends that a message was sent.
    pub fn inflight(&mut self, session: SessionId, message: MessageId, packet_id: NonZeroU16) {
        self.record(INFLIGHT, |out| {
            out.put_varint(session.0);
            out.put_varint(message.0);
            out.put_u16(packet_id.get());
        });
    }

    /// Appends that PUBREC came for a message.
    pub fn pubrec(&mut self, session: SessionId, message: MessageId, packet_id: NonZeroU16) {
        self.record(PUBREC, |out| {
            out.put_varint(session.0);
            out.put_varint(message.0);
            out.put_u16(packet_id.get());
        });
    }

    /// Appends that PUBCOMP came for a message.
    pub fn pubcomp(&mut self, session: SessionId, packet_id: NonZeroU16) {
        self.packet(PUBCOMP, session, packet_id);
    }

    /// Appends that a QoS 2 PUBLISH of the Client came.
    pub fn qos2_received(&mut self, session: SessionId, packet_id: NonZeroU16) {
        self.packet(QOS2_RECEIVED, session, packet_id);
    }

    /// Appends that PUBREL came for a QoS 2 PUBLISH of the Client.
    pub fn qos2_released(&mut self, session: SessionId, packet_id: NonZeroU16) {
        self.packet(QOS2_RELEASED, session, packet_id);
    }

    fn packet(&mut self, kind: u8, session: SessionId, packet_id: NonZeroU16) {
        self.record(kind, |out| {
            out.put_varint(session.0);
            out.put_u16(packet_id.get());
        });
    }
}

/// Folds the sign into the lowest bit, so that a small step down is a small number too.
fn zigzag(value: u64) -> u64 {
    (value << 1) ^ if value >> 63 == 1 { u64::MAX } else { 0 }
}

/// Writes as many deliveries as one record may hold.
fn put_deliveries<'d>(
    out: &mut Vec<u8>,
    deliveries: &mut Peekable<impl Iterator<Item = Delivery<'d>>>,
    list_bytes_max: usize,
) {
    let count_at = out.len();
    out.put_u16(0);
    let mut count = 0u16;
    let mut previous = 0u64;
    while out.len() - count_at < list_bytes_max {
        let Some(delivery) = deliveries.next() else { break };
        out.put_varint(zigzag(delivery.session.0.wrapping_sub(previous)));
        previous = delivery.session.0;
        put_delivery(out, &delivery);
        count += 1;
    }
    out[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
}

fn put_delivery(out: &mut Vec<u8>, delivery: &Delivery<'_>) {
    let mut flags = delivery.qos & DELIVERY_QOS;
    if delivery.retain {
        flags |= DELIVERY_RETAIN;
    } else if delivery.published_retain {
        flags |= DELIVERY_PUBLISHED_RETAIN;
    }
    if delivery.packet_id.is_some() {
        flags |= DELIVERY_PACKET_ID;
    }
    if !delivery.subscription_ids.is_empty() {
        flags |= DELIVERY_SUBSCRIPTION_IDS;
    }
    if delivery.membership.is_some() {
        flags |= DELIVERY_MEMBERSHIP;
    }
    out.push(flags);
    if let Some(packet_id) = delivery.packet_id {
        out.put_u16(packet_id.get());
    }
    if !delivery.subscription_ids.is_empty() {
        let mut ids = Vec::new();
        for id in delivery.subscription_ids.iter().take(SUBSCRIPTION_IDS_MAX) {
            ids.put_varint(u64::from(*id));
        }
        out.put_bytes(&ids);
    }
    if let Some(membership) = delivery.membership {
        out.put_varint(membership.number());
    }
}
