//! Violations of the protocol by a peer.

/// Error of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A rule of framing.
    #[error("a frame breaks the rules of WebSocket")]
    Protocol,
    /// MQTT travels in binary frames only \[MQTT-6.0.0-1\].
    #[error("a text frame, where MQTT has binary ones only")]
    Text,
    /// The compressed data, or the reason of a close frame, is damaged.
    #[error("the payload of a frame is damaged")]
    Payload,
}

impl Violation {
    /// Its code for the close frame, RFC 6455 §7.4.1.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Text => 1003,
            Self::Payload => 1007,
        }
    }
}
