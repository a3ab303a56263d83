//! Options of a session, which the server sets at each CONNECT.

use crate::limits;
use lotmq_codec::ProtocolVersion;

/// Bounds and choices of a session, new with every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// Protocol version of the Client. It changes if the Client comes back with another one.
    pub version: ProtocolVersion,
    /// Most unacknowledged QoS 1 and 2 messages from the Client: the Receive Maximum that we
    /// announced.
    ///
    /// 1 to 65535 (0 counts as 1). Enforced for 5.0 alone; the older versions have no such rule.
    pub receive_maximum: u16,
    /// Most unacknowledged QoS 1 and 2 messages to the Client: its Receive Maximum, or our bound
    /// for 3.1.1.
    ///
    /// 1 to 65535 (0 counts as 1); above [`SEND_MAXIMUM_MAX`](limits::SEND_MAXIMUM_MAX) it counts
    /// as that.
    pub send_maximum: u16,
    /// Most messages that may wait. 0 lets none wait.
    pub queue_messages_max: u32,
    /// Most bytes that may wait, as counted by the caller of
    /// [`Session::offer`](crate::Session::offer).
    pub queue_bytes_max: u64,
    /// Whether messages in flight are kept to be sent again: `false` only for a session that ends
    /// with its connection.
    pub keep_inflight: bool,
}

impl SessionOptions {
    /// The defaults for a Client that speaks `version` and names nothing.
    #[must_use]
    pub const fn new(version: ProtocolVersion) -> Self {
        let send_maximum =
            if version.has_properties() { u16::MAX } else { limits::SEND_MAXIMUM_WITHOUT_PROPERTY };
        Self {
            version,
            receive_maximum: limits::RECEIVE_MAXIMUM,
            send_maximum,
            queue_messages_max: limits::QUEUE_MESSAGES_MAX,
            queue_bytes_max: limits::QUEUE_BYTES_MAX,
            keep_inflight: true,
        }
    }

    /// The bound of the window that is really used, at least 1.
    pub(crate) fn window_maximum(&self) -> usize {
        usize::from(self.send_maximum.clamp(1, limits::SEND_MAXIMUM_MAX))
    }
}
