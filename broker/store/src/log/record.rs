//! Log records: their bytes, written by [`Records`] and read back as [`Record`].
//!
//! A record is `length u16, kind u8, fields`. A message is written once with the list of the
//! sessions that must get it; a list that is too long is continued in `deliveries` records right
//! behind it.
//!
//! Not here: which records are still alive (`index`).

use std::num::NonZeroU16;

use crate::encoding::{Decoder, Malformed, Put};
use crate::{MembershipId, MessageId, SessionId, TenantId};

mod write;

pub(crate) use write::Records;

const MESSAGE: u8 = 1;
const DELIVERIES: u8 = 2;
const DEQUEUE: u8 = 3;
const INFLIGHT: u8 = 4;
const PUBREC: u8 = 5;
const PUBCOMP: u8 = 6;
const QOS2_RECEIVED: u8 = 7;
const QOS2_RELEASED: u8 = 8;

/// More deliveries of the same message follow in the next record.
const FLAG_MORE: u8 = 1;
/// The body is in table `payloads`.
const FLAG_EXTERNAL: u8 = 2;

const DELIVERY_QOS: u8 = 0b11;
const DELIVERY_RETAIN: u8 = 0b100;
const DELIVERY_PACKET_ID: u8 = 0b1000;
const DELIVERY_SUBSCRIPTION_IDS: u8 = 0b1_0000;
const DELIVERY_MEMBERSHIP: u8 = 0b10_0000;
/// The PUBLISH had RETAIN and the delivery has not. Builds from before it pass over this bit: they
/// know no such flag of a message that is handed on, and lose it.
const DELIVERY_PUBLISHED_RETAIN: u8 = 0b100_0000;

/// A message without its receivers. Borrowed, so that appending copies the payload once.
#[derive(Debug, Clone, Copy)]
pub struct MessageRef<'a> {
    /// Its number, from [`Store::next_message_id`](crate::Store::next_message_id).
    pub id: MessageId,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// Topic Name.
    pub topic: &'a str,
    /// Properties of the PUBLISH as received, without topic alias and Subscription Identifiers;
    /// empty before 5.0.
    pub properties: &'a [u8],
    /// Payload.
    pub payload: &'a [u8],
    /// QoS of the PUBLISH, 0 to 2.
    pub qos: u8,
    /// When it was received, in milliseconds since 1970.
    pub published_at_ms: u64,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

/// One session that must get a message, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The session; it must outlive its connection and have been put before.
    pub session: SessionId,
    /// QoS of the delivery, 1 or 2.
    pub qos: u8,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// RETAIN flag of the PUBLISH; so it is where the delivery has it. Another member of a group
    /// may have to be sent it.
    pub published_retain: bool,
    /// The Packet Identifier, if the message has been sent already.
    pub packet_id: Option<NonZeroU16>,
    /// Subscription Identifiers to send along, at most 1,024.
    pub subscription_ids: &'a [u32],
    /// Membership of the session by which it comes; `None` where that is a subscription of the
    /// session's own.
    pub membership: Option<MembershipId>,
}

/// The body of a message as a record holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// In the record.
    Inline(&'a [u8]),
    /// In table `payloads`.
    External { len: u64, crc: u32 },
}

/// A record, read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Record<'a> {
    Message { id: MessageId, body: Body<'a>, is_continued: bool, deliveries: Deliveries<'a> },
    Deliveries { id: MessageId, deliveries: Deliveries<'a> },
    Dequeue { session: SessionId, message: MessageId },
    Inflight { session: SessionId, message: MessageId, packet_id: NonZeroU16 },
    Pubrec { session: SessionId, message: MessageId, packet_id: NonZeroU16 },
    Pubcomp { session: SessionId, packet_id: NonZeroU16 },
    Qos2Received { session: SessionId, packet_id: NonZeroU16 },
    Qos2Released { session: SessionId, packet_id: NonZeroU16 },
}

/// A delivery as stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredDelivery<'a> {
    pub(crate) session: SessionId,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) published_retain: bool,
    pub(crate) packet_id: Option<NonZeroU16>,
    /// Raw varints.
    pub(crate) subscription_ids: Decoder<'a>,
    pub(crate) membership: Option<MembershipId>,
    /// Length in the record, in bytes.
    pub(crate) bytes: u32,
}

impl StoredDelivery<'_> {
    pub(crate) fn subscription_ids(&self) -> Result<Vec<u32>, Malformed> {
        let mut ids = Vec::new();
        let mut decoder = self.subscription_ids;
        while !decoder.is_empty() {
            ids.push(decoder.varint_u32()?);
        }
        Ok(ids)
    }
}

/// The deliveries of a record, decoded one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deliveries<'a> {
    decoder: Decoder<'a>,
    left: u16,
    previous: u64,
}

/// How a list of deliveries begins, up to that of one session.
#[derive(Debug)]
pub(crate) struct Beginning {
    session: SessionId,
    bytes: Vec<u8>,
    count: u16,
    previous: u64,
}

impl<'a> Deliveries<'a> {
    /// The delivery of a session.
    ///
    /// Messages of one topic have the same receivers: where a list begins as the last one did, it
    /// is not decoded again. To fill and drain 1,000 queues with 3,000 messages then takes 8 s of a
    /// processor instead of 17.
    pub(crate) fn of(
        mut self,
        session: SessionId,
        last: &mut Option<Beginning>,
    ) -> Result<Option<StoredDelivery<'a>>, Malformed> {
        let whole = self;
        if let Some(last) = last.as_ref().filter(|last| last.session == session) {
            self.pass_over(last);
        }
        let start = self;
        loop {
            let here = self;
            let Some(delivery) = self.next().transpose()? else { return Ok(None) };
            if delivery.session != session {
                continue;
            }
            if here.left != start.left {
                *last = Some(whole.until(&here, session));
            }
            return Ok(Some(delivery));
        }
    }

    fn pass_over(&mut self, beginning: &Beginning) {
        let mut rest = self.decoder;
        if self.left > beginning.count && rest.take(beginning.bytes.len()) == Ok(&beginning.bytes) {
            (self.decoder, self.left, self.previous) =
                (rest, self.left - beginning.count, beginning.previous);
        }
    }

    /// Returns the part of the list between here and a later place.
    fn until(self, later: &Self, session: SessionId) -> Beginning {
        let mut decoder = self.decoder;
        let len = decoder.remaining() - later.decoder.remaining();
        let bytes = decoder.take(len).unwrap_or_default().to_vec();
        Beginning { session, bytes, count: self.left - later.left, previous: later.previous }
    }

    /// How many are to come.
    pub(crate) fn left(&self) -> usize {
        self.left.into()
    }

    fn next_checked(&mut self) -> Result<StoredDelivery<'a>, Malformed> {
        let decoder = &mut self.decoder;
        let before = decoder.remaining();
        self.previous = self.previous.wrapping_add(unzigzag(decoder.varint()?));
        let flags = decoder.u8()?;
        let packet_id = if flags & DELIVERY_PACKET_ID != 0 { Some(packet_id(decoder)?) } else { None };
        let subscription_ids = if flags & DELIVERY_SUBSCRIPTION_IDS != 0 { decoder.bytes()? } else { &[] };
        let membership = if flags & DELIVERY_MEMBERSHIP != 0 { Some(membership(decoder)?) } else { None };
        Ok(StoredDelivery {
            session: SessionId(self.previous),
            qos: flags & DELIVERY_QOS,
            retain: flags & DELIVERY_RETAIN != 0,
            published_retain: flags & (DELIVERY_RETAIN | DELIVERY_PUBLISHED_RETAIN) != 0,
            packet_id,
            subscription_ids: Decoder::new(subscription_ids, "subscription identifiers"),
            membership,
            bytes: u32::try_from(before - decoder.remaining()).unwrap_or(u32::MAX),
        })
    }
}

impl<'a> Iterator for Deliveries<'a> {
    type Item = Result<StoredDelivery<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = self.next_checked();
        if item.is_err() {
            self.left = 0;
        }
        Some(item)
    }
}

/// Undoes the writer's `zigzag`.
fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ if value & 1 == 1 { u64::MAX } else { 0 }
}

fn packet_id(decoder: &mut Decoder<'_>) -> Result<NonZeroU16, Malformed> {
    NonZeroU16::new(decoder.u16()?).ok_or(decoder.malformed())
}

fn membership(decoder: &mut Decoder<'_>) -> Result<MembershipId, Malformed> {
    MembershipId::from_number(decoder.varint()?).ok_or(decoder.malformed())
}

/// Whether a record takes a message out of a queue.
pub(crate) fn is_dequeue(frame: &[u8]) -> bool {
    frame.first() == Some(&DEQUEUE)
}

impl<'a> Record<'a> {
    /// Reads a record without its length.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, "record");
        let d = &mut decoder;
        let record = match d.u8()? {
            MESSAGE => return Self::decode_message(decoder),
            DELIVERIES => {
                let id = MessageId(d.varint()?);
                // Whether the list goes on: whoever reads it sees that.
                d.flag()?;
                return Ok(Self::Deliveries { id, deliveries: deliveries(decoder)? });
            }
            DEQUEUE => Self::Dequeue { session: session(d)?, message: MessageId(d.varint()?) },
            INFLIGHT => Self::Inflight {
                session: session(d)?,
                message: MessageId(d.varint()?),
                packet_id: packet_id(d)?,
            },
            PUBREC => Self::Pubrec {
                session: session(d)?,
                message: MessageId(d.varint()?),
                packet_id: packet_id(d)?,
            },
            PUBCOMP => Self::Pubcomp { session: session(d)?, packet_id: packet_id(d)? },
            QOS2_RECEIVED => Self::Qos2Received { session: session(d)?, packet_id: packet_id(d)? },
            QOS2_RELEASED => Self::Qos2Released { session: session(d)?, packet_id: packet_id(d)? },
            _ => return Err(d.malformed()),
        };
        d.end()?;
        Ok(record)
    }

    fn decode_message(mut decoder: Decoder<'a>) -> Result<Self, Malformed> {
        let d = &mut decoder;
        let id = MessageId(d.varint()?);
        let flags = d.u8()?;
        let body = if flags & FLAG_EXTERNAL != 0 {
            Body::External { len: d.varint()?, crc: d.u32()? }
        } else {
            Body::Inline(d.bytes()?)
        };
        let is_continued = flags & FLAG_MORE != 0;
        Ok(Self::Message { id, body, is_continued, deliveries: deliveries(decoder)? })
    }
}

fn session(decoder: &mut Decoder<'_>) -> Result<SessionId, Malformed> {
    decoder.varint().map(SessionId)
}

fn deliveries(mut decoder: Decoder<'_>) -> Result<Deliveries<'_>, Malformed> {
    let left = decoder.u16()?;
    Ok(Deliveries { decoder, left, previous: 0 })
}

/// The records of a byte string, without their lengths.
#[derive(Debug, Clone)]
pub(crate) struct Frames<'a> {
    decoder: Decoder<'a>,
}

/// Splits what [`Records`] wrote.
pub(crate) fn frames(bytes: &[u8]) -> Frames<'_> {
    Frames { decoder: Decoder::new(bytes, "record length") }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.decoder.is_empty() {
            return None;
        }
        let len = self.decoder.u16();
        Some(len.and_then(|len| self.decoder.take(usize::from(len))).inspect_err(|_| {
            self.decoder.rest();
        }))
    }
}

/// Writes a message's body: everything but its number and its deliveries.
pub(crate) fn encode_body(message: &MessageRef<'_>, out: &mut Vec<u8>) {
    out.put_varint(u64::from(message.tenant.0));
    out.push(message.qos);
    out.put_varint(message.published_at_ms);
    out.put_option(message.expires_at_ms);
    out.put_text(message.topic);
    out.put_bytes(message.properties);
    out.extend_from_slice(message.payload);
}

/// Reads what [`encode_body`] wrote.
pub(crate) fn decode_body(id: MessageId, bytes: &[u8]) -> Result<MessageRef<'_>, Malformed> {
    let mut body = Decoder::new(bytes, "message");
    Ok(MessageRef {
        id,
        tenant: TenantId(body.varint_u32()?),
        qos: body.u8()?,
        published_at_ms: body.varint()?,
        expires_at_ms: body.option()?,
        topic: body.text()?,
        properties: body.bytes()?,
        payload: body.rest(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(sessions: &[u64]) -> Vec<u8> {
        let delivery = |session: &u64| Delivery {
            session: SessionId(*session),
            qos: 1,
            retain: false,
            published_retain: false,
            packet_id: None,
            subscription_ids: if session.is_multiple_of(3) { &[7, 300] } else { &[] },
            membership: session.is_multiple_of(2).then(|| MembershipId::numbered(MessageId(900 + session))),
        };
        let mut records = Records::default();
        records.deliveries(MessageId(1), sessions.iter().map(delivery));
        records.bytes().to_vec()
    }

    #[test]
    fn publish_retain_flag_is_stored_separately_from_the_delivery_flag() {
        for (retain, published_retain, flags) in [(false, false, 1), (false, true, 0x41), (true, true, 5)] {
            let delivery = Delivery {
                session: SessionId(1),
                qos: 1,
                retain,
                published_retain,
                packet_id: None,
                subscription_ids: &[],
                membership: None,
            };
            let mut records = Records::default();
            records.deliveries(MessageId(1), std::iter::once(delivery));
            let bytes = records.bytes();
            // A new delivery without the bit has the bytes of earlier builds, and such builds have
            // no other fields for it.
            assert_eq!(*bytes.last().unwrap(), flags);
            let frame = frames(bytes).next().unwrap().unwrap();
            let Ok(Record::Deliveries { mut deliveries, .. }) = Record::decode(frame) else {
                panic!("a list")
            };
            let read = deliveries.next().unwrap().unwrap();
            assert_eq!((read.qos, read.retain, read.published_retain), (1, retain, published_retain));
        }
    }

    proptest! {
        #[test]
        fn a_delivery_is_found_whatever_the_last_list_was(
            lists in prop::collection::vec((prop::collection::vec(0..9_u64, 0..6), 0..4_usize), 1..8),
            wanted in 0..9_u64,
        ) {
            let mut last = None;
            let mut common = Vec::new();
            for (own, kept) in lists {
                // Lists that begin like the one before.
                common.truncate(kept);
                common.extend(own);
                let bytes = list(&common);
                for frame in frames(&bytes) {
                    let Ok(Record::Deliveries { deliveries, .. }) = Record::decode(frame.unwrap()) else {
                        panic!("a list")
                    };
                    let expected = deliveries.map(Result::unwrap).find(|found| found.session.0 == wanted);
                    let found = deliveries.of(SessionId(wanted), &mut last).unwrap();
                    let what = |found: StoredDelivery<'_>| {
                        (found.session, found.subscription_ids().unwrap(), found.membership)
                    };
                    prop_assert_eq!(found.map(what), expected.map(what));
                }
            }
        }
    }
}
