//! Log records: their bytes, written by [`Records`] and read back as [`Record`].
//!
//! A record is `length u16, kind u8, fields`. A message is written once with the list of the
//! sessions that must get it; a list that is too long is continued in `deliveries` records right
//! behind it.
//!
//! Not here: which records are still alive (`log::index` of the store).

use std::num::NonZeroU16;

use crate::encoding::{Decoder, Malformed, Put};
use crate::message::MessageRef;
use crate::{MembershipId, MessageId, SessionId, TenantId};

mod write;

pub use crate::limits::DELIVERIES_BYTES_MAX;
pub use write::Records;

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

/// The body of a message as a record holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// In the record.
    Inline(&'a [u8]),
    /// In table `payloads`.
    External {
        /// Length of the body in bytes.
        len: u64,
        /// CRC-32C of the body.
        crc: u32,
    },
}

/// A record, read.
#[derive(Debug, Clone, Copy)]
pub enum Record<'a> {
    /// A message enters the queues of sessions.
    Message {
        /// The message.
        id: MessageId,
        /// Its body.
        body: Body<'a>,
        /// Whether more deliveries follow in the next record.
        is_continued: bool,
        /// The sessions that must get it.
        deliveries: Deliveries<'a>,
    },
    /// More deliveries of a message whose record came before.
    Deliveries {
        /// The message.
        id: MessageId,
        /// The sessions that must get it.
        deliveries: Deliveries<'a>,
    },
    /// A session is done with a message.
    Dequeue {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
    },
    /// A message was sent.
    Inflight {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// Its Packet Identifier.
        packet_id: NonZeroU16,
    },
    /// PUBREC came for a message.
    Pubrec {
        /// The session.
        session: SessionId,
        /// The message.
        message: MessageId,
        /// Its Packet Identifier.
        packet_id: NonZeroU16,
    },
    /// PUBCOMP came for a message.
    Pubcomp {
        /// The session.
        session: SessionId,
        /// The Packet Identifier of the message.
        packet_id: NonZeroU16,
    },
    /// A QoS 2 PUBLISH of the Client came.
    Qos2Received {
        /// The session.
        session: SessionId,
        /// The Packet Identifier that the Client chose.
        packet_id: NonZeroU16,
    },
    /// PUBREL came for a QoS 2 PUBLISH of the Client.
    Qos2Released {
        /// The session.
        session: SessionId,
        /// The Packet Identifier that the Client chose.
        packet_id: NonZeroU16,
    },
}

/// A delivery as stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredDelivery<'a> {
    /// The session.
    pub session: SessionId,
    /// QoS of the delivery, 1 or 2.
    pub qos: u8,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// RETAIN flag of the PUBLISH.
    pub published_retain: bool,
    /// The Packet Identifier, if the message has been sent already.
    pub packet_id: Option<NonZeroU16>,
    /// Raw varints.
    pub subscription_ids: Decoder<'a>,
    /// Membership of the session by which it comes.
    pub membership: Option<MembershipId>,
    /// Bytes that it takes in the record.
    pub bytes: u32,
}

impl StoredDelivery<'_> {
    /// Decodes the Subscription Identifiers.
    ///
    /// # Errors
    /// [`Malformed`] for bytes that are no varints of 32 bits.
    pub fn subscription_ids(&self) -> Result<Vec<u32>, Malformed> {
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
pub struct Deliveries<'a> {
    decoder: Decoder<'a>,
    left: u16,
    previous: u64,
}

/// How a list of deliveries begins, up to that of one session.
#[derive(Debug)]
pub struct Beginning {
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
    ///
    /// # Errors
    /// [`Malformed`] for a list that does not decode.
    pub fn of(
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
    pub fn left(&self) -> usize {
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
pub fn is_dequeue(frame: &[u8]) -> bool {
    frame.first() == Some(&DEQUEUE)
}

impl<'a> Record<'a> {
    /// Reads a record without its length.
    ///
    /// # Errors
    /// [`Malformed`] for bytes that are no record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut decoder = Decoder::new(bytes, "record");
        let d = &mut decoder;
        let record = match d.u8()? {
            MESSAGE => return Self::decode_message(decoder),
            DELIVERIES => {
                let id = MessageId(d.varint_number()?);
                // Whether the list goes on: whoever reads it sees that.
                d.flag()?;
                return Ok(Self::Deliveries { id, deliveries: deliveries(decoder)? });
            }
            DEQUEUE => Self::Dequeue { session: session(d)?, message: MessageId(d.varint_number()?) },
            INFLIGHT => Self::Inflight {
                session: session(d)?,
                message: MessageId(d.varint_number()?),
                packet_id: packet_id(d)?,
            },
            PUBREC => Self::Pubrec {
                session: session(d)?,
                message: MessageId(d.varint_number()?),
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
        let id = MessageId(d.varint_number()?);
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
pub struct Frames<'a> {
    decoder: Decoder<'a>,
}

/// Splits what [`Records`] wrote.
pub fn frames(bytes: &[u8]) -> Frames<'_> {
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

/// Reads what `encode_body` wrote.
///
/// # Errors
/// [`Malformed`] for bytes that are no body.
pub fn decode_body(id: MessageId, bytes: &[u8]) -> Result<MessageRef<'_>, Malformed> {
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
    use crate::Delivery;

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
        let mut records = Records::with_lists_of(8);
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
