//! Packets that a session has for its Client.

use lotmq_codec::{PacketId, QoS};

/// A packet that the session has for its Client; see
/// [`Session::next_outbound`](crate::Session::next_outbound).
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outbound<M> {
    /// Send this PUBLISH.
    Publish {
        /// Its identifier, the same as the first time if `dup`.
        packet_id: PacketId,
        /// 1 or 2.
        qos: QoS,
        /// The message to send.
        message: M,
        /// Whether it may have been sent before, on an earlier connection \[MQTT-3.3.1-1\].
        dup: bool,
    },
    /// Send this PUBREL again.
    Pubrel {
        /// The identifier of its exchange.
        packet_id: PacketId,
    },
}
