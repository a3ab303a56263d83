//! The state of a session that outlives its connection and the process: in-flight and queued
//! messages and identifiers.
//!
//! While the session runs, a store records each change. At a start it returns the whole state.

use crate::queue::{QueuedMessage, Resting};
use lotmq_codec::{PacketId, QoS};

/// Acknowledgement that a message in flight to the Client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InflightStep {
    /// QoS 1, sent.
    AwaitsPuback,
    /// QoS 2, sent.
    AwaitsPubrec,
    /// QoS 2, received by the Client; from now on only PUBREL is sent \[MQTT-4.3.3-6\].
    AwaitsPubcomp,
}

impl InflightStep {
    /// The QoS of the message.
    #[must_use]
    pub const fn qos(self) -> QoS {
        match self {
            Self::AwaitsPuback => QoS::AtLeastOnce,
            Self::AwaitsPubrec | Self::AwaitsPubcomp => QoS::ExactlyOnce,
        }
    }

    pub(crate) const fn after_publish(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce | QoS::AtLeastOnce => Self::AwaitsPuback,
            QoS::ExactlyOnce => Self::AwaitsPubrec,
        }
    }

    /// Whether a PUBLISH, not a PUBREL, is what is sent again.
    pub(crate) const fn is_before_pubrec(self) -> bool {
        !matches!(self, Self::AwaitsPubcomp)
    }
}

/// A message in flight to the Client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InflightMessage<M> {
    /// Its identifier, kept when it is sent again.
    pub packet_id: PacketId,
    /// The acknowledgement that the message waits for.
    pub step: InflightStep,
    /// Its size as [`Session::offer`](crate::Session::offer) was told.
    pub bytes: u32,
    /// The message; `None` once PUBREC has come.
    pub message: Option<M>,
    /// Whether the Client may have it: its PUBLISH went out on a connection.
    pub has_left: bool,
}

/// The state of a session that outlives its connection. See
/// [`Session::export`](crate::Session::export).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableState<M> {
    /// Messages in flight to the Client, in the order of first sending.
    pub inflight: Vec<InflightMessage<M>>,
    /// Messages that wait, in order, as far as they are in memory.
    pub queue: Vec<QueuedMessage<M>>,
    /// Those behind them that are in the store only.
    pub resting: Resting,
    /// QoS 2 exchanges from the Client between PUBLISH and PUBREL, ascending.
    pub received: Vec<PacketId>,
    /// First packet identifier that the search for a free one tries.
    pub next_packet_id: PacketId,
}

impl<M> Default for DurableState<M> {
    fn default() -> Self {
        Self {
            inflight: Vec::new(),
            queue: Vec::new(),
            resting: Resting::default(),
            received: Vec::new(),
            next_packet_id: PacketId::MIN,
        }
    }
}

/// Why a stored state is not one of a session. The store is damaged or was written wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Two messages in flight have the same identifier.
    #[error("packet identifier {packet_id} is in flight twice")]
    PacketIdRepeated {
        /// The identifier of both.
        packet_id: PacketId,
    },
    /// A message in flight before PUBREC has no content to send again.
    #[error("message in flight with packet identifier {packet_id} is missing")]
    MessageMissing {
        /// Its identifier.
        packet_id: PacketId,
    },
}
