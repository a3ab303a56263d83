//! Messages that outlive the turn in which they arrived: queued, inflight, retained, Wills, or on
//! their way to a guest.
//!
//! It is copied once out of the turn's memory and shared from then on.

pub mod spans;

use std::sync::Arc;

use bytes::Bytes;
use lotmq_auth::AskedMessage;
use lotmq_changes::MessageId;
use lotmq_codec::QoS;

/// Application Message, owned.
#[derive(Debug)]
pub struct Message {
    /// Identity in the store; 0 for a message that is not stored.
    pub id: u64,
    pub(crate) qos: QoS,
    /// RETAIN as published.
    pub retain: bool,
    /// Whether it is the shortened form of a reply, for others than the asker, who need a right to
    /// see it.
    pub(crate) is_shortened: bool,
    /// Expiry time, in milliseconds since 1970; `None` when it never expires \[MQTT-3.3.2-5\].
    pub expires_at_ms: Option<u64>,
    /// Topic Name, forwarded properties and payload, in this order.
    bytes: Bytes,
    topic_len: u32,
    properties_len: u32,
}

/// Parts of a message, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct MessageParts<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The encoded properties that are forwarded unaltered: everything but Topic Alias,
    /// Subscription Identifier and Message Expiry Interval.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The QoS of the publisher.
    pub qos: QoS,
    /// Whether it was published with RETAIN.
    pub retain: bool,
    /// Expiry time, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

impl<'a> MessageParts<'a> {
    /// Properties of the message that rules are asked about, beyond its topic and payload.
    pub(crate) fn asked(self) -> AskedMessage<'a> {
        let Self { qos, retain, properties, expires_at_ms, .. } = self;
        AskedMessage { qos: qos.bits(), retain, properties, expires_at_ms }
    }
}

impl Message {
    /// Makes a message of these parts, which are copied; `id` is its number in the store, 0 for
    /// none.
    pub fn new(id: u64, parts: MessageParts<'_>) -> Self {
        let mut bytes = Vec::with_capacity(parts.topic.len() + parts.properties.len() + parts.payload.len());
        bytes.extend_from_slice(parts.topic.as_bytes());
        bytes.extend_from_slice(parts.properties);
        bytes.extend_from_slice(parts.payload);
        Self {
            id,
            qos: parts.qos,
            retain: parts.retain,
            is_shortened: false,
            expires_at_ms: parts.expires_at_ms,
            bytes: Bytes::from(bytes),
            topic_len: len(parts.topic.len()),
            properties_len: len(parts.properties.len()),
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.topic_len as usize])
            .expect("the topic was UTF-8 when the message was made")
    }

    pub(crate) fn properties(&self) -> &[u8] {
        &self.bytes[self.topic_len as usize..(self.topic_len + self.properties_len) as usize]
    }

    pub(crate) fn payload_len(&self) -> usize {
        self.bytes.len() - (self.topic_len + self.properties_len) as usize
    }

    /// The properties, sharing the message's memory.
    pub fn properties_bytes(&self) -> Bytes {
        self.bytes.slice(self.topic_len as usize..(self.topic_len + self.properties_len) as usize)
    }

    /// The payload, sharing the message's memory.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice((self.topic_len + self.properties_len) as usize..)
    }

    /// The first byte of the topic; 0 where there is none.
    pub fn first_byte(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    /// The message without its number in the store, which is that of the copies in the queues of
    /// sessions: what a session gets of a retained message later on is none of them, so its
    /// acknowledgement must not end them.
    pub(crate) fn without_number(self: &Arc<Self>) -> Arc<Self> {
        if self.id == 0 {
            return Arc::clone(self);
        }
        Arc::new(self.numbered(0))
    }

    /// A copy that is stored under this number; it has the same memory.
    pub(crate) fn with_number(&self, id: MessageId) -> Self {
        self.numbered(id.0)
    }

    fn numbered(&self, id: u64) -> Self {
        Self { id, bytes: self.bytes.clone(), ..*self }
    }

    /// Bytes that it counts for in bounds of queues.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Its number in the store; `None` for a message that is not stored.
    pub fn stored_id(&self) -> Option<MessageId> {
        (self.id != 0).then_some(MessageId(self.id))
    }

    /// Whether it has lived as long as it was to live.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at| at <= now_ms)
    }

    /// Seconds left to live, rounded up and at least 1 \[MQTT-3.3.2-6\]: receivers that are brokers
    /// take 0 for "never". `now_ms` is asked for where it counts.
    pub(crate) fn expiry_left(&self, now_ms: impl FnOnce() -> u64) -> Option<u32> {
        let left = self.expires_at_ms?.saturating_sub(now_ms()).div_ceil(1000);
        Some(u32::try_from(left).unwrap_or(u32::MAX).max(1))
    }

    /// Its parts.
    pub fn parts(&self) -> MessageParts<'_> {
        let body = self.topic_len as usize + self.properties_len as usize;
        MessageParts {
            topic: self.topic(),
            properties: self.properties(),
            payload: &self.bytes[body..],
            qos: self.qos,
            retain: self.retain,
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// MQTT packets are at most 256 MiB, so every part of one fits 32 bits.
fn len(value: usize) -> u32 {
    u32::try_from(value).expect("parts of an MQTT packet are shorter than 256 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_expiry_is_rounded_up_and_never_zero() {
        let parts = MessageParts {
            topic: "t",
            properties: &[],
            payload: b"x",
            qos: QoS::AtLeastOnce,
            retain: false,
            expires_at_ms: Some(12_000),
        };
        let message = Message::new(1, parts);
        for (now_ms, left) in
            [(10_000, 2), (10_001, 2), (11_000, 1), (11_001, 1), (11_999, 1), (12_000, 1), (13_000, 1)]
        {
            assert_eq!(message.expiry_left(|| now_ms), Some(left), "at {now_ms}");
            assert_eq!(message.is_expired(now_ms), now_ms >= 12_000, "at {now_ms}");
        }
    }
}
