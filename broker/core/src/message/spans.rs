//! Application Messages of a turn as ranges of its arena.

use lotmq_codec::QoS;

use crate::arena::{Arena, Span};
use crate::message::MessageParts;

/// Application Message in the arena of a turn; [`MessageParts`] once its bytes are looked at.
#[derive(Clone, Copy, Debug)]
pub struct MessageSpans {
    /// Topic Name, which has been checked.
    pub topic: Span,
    /// Encoded properties that are forwarded unaltered; empty from a 3.1.1 Client.
    pub properties: Span,
    /// Payload.
    pub payload: Span,
    /// QoS of its publisher.
    pub qos: QoS,
    /// RETAIN as it came.
    pub retain: bool,
    /// Expiry time, in milliseconds since 1970.
    pub expires_at_ms: Option<u64>,
}

impl MessageSpans {
    /// Bytes that the message counts for in bounds of queues.
    pub fn bytes(&self) -> usize {
        self.topic.len() + self.properties.len() + self.payload.len()
    }

    /// Its bytes, borrowed from the arena.
    pub fn parts<'a>(&self, arena: &'a Arena) -> MessageParts<'a> {
        MessageParts {
            topic: arena.text(self.topic),
            properties: arena.get(self.properties),
            payload: arena.get(self.payload),
            qos: self.qos,
            retain: self.retain,
            expires_at_ms: self.expires_at_ms,
        }
    }
}
