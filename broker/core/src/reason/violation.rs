//! Protocol violations by a Client's packets, which end its connection: one list with what the
//! Client is told, in code and words.

use lotmq_auth::LoginRefusal;
use lotmq_codec::{AckType, DecodeError, FrameError, PacketId, PacketType, ReasonCode};
use lotmq_router::{DelayedTopicError, TopicError};

use crate::limits::Limit;
use crate::reason::Discouraged;
use crate::reason::foreign::Foreign;

/// Violation that ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each says what its fields are")]
pub enum Violation {
    /// A packet that cannot be read.
    #[error(transparent)]
    Packet(#[from] DecodeError),
    /// A packet that has no place here: something else than CONNECT at first \[MQTT-3.1.0-1\], a
    /// second CONNECT \[MQTT-3.1.0-2\].
    #[error("{0} is not expected here")]
    Unexpected(PacketType),
    /// Another protocol in place of a CONNECT.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// More QoS 1 and 2 messages than we announced \[MQTT-3.3.4-7\].
    #[error("more than {maximum} unacknowledged messages, the receive maximum")]
    ReceiveMaximumExceeded { maximum: u16 },
    /// A Topic Alias above the maximum that we announced.
    #[error(transparent)]
    AliasTooHigh(#[from] AliasTooHigh),
    /// Topics of Topic Aliases that take more bytes than they may.
    #[error("topics of topic aliases take more than {bytes_max} bytes (limit topic_alias_bytes)")]
    AliasesTooLong { bytes_max: u32 },
    /// A Topic Alias without a topic, in a PUBLISH that names none.
    #[error("topic alias {alias} was never set on this connection")]
    AliasUnknown { alias: u16 },
    /// A DISCONNECT that would make a session outlive its connection (§3.14.2.2.2).
    #[error("session expiry interval was 0 in CONNECT and cannot be raised")]
    SessionExpiryRaised,
    /// A Packet Identifier of a QoS 2 exchange that is open, where the Client cannot be told
    /// otherwise.
    #[error("packet identifier is in use")]
    PacketIdInUse,
    /// PUBACK, PUBREC or PUBCOMP for a message that is of the other QoS or not as far
    /// \[MQTT-4.13.1-1\]. Left alone it would keep its place in the Client's Receive Maximum for
    /// ever.
    #[error("{} does not fit what packet identifier {packet_id} waits for", ack_type.packet_type())]
    AcknowledgementOutOfTurn { ack_type: AckType, packet_id: PacketId },
    /// An invalid Topic Filter in UNSUBSCRIBE before 5.0, which has no code for it
    /// \[3.1.1: MQTT-4.7.3-1\].
    #[error(transparent)]
    FilterInvalid(TopicError),
    /// A text that others may take for malformed (§1.5.4), where the Client cannot be told
    /// otherwise.
    #[error(transparent)]
    Discouraged(#[from] Discouraged),
    /// A topic below `$delayed/` that names no delay or no target, where the Client cannot be told
    /// otherwise.
    #[error(transparent)]
    DelayedTopic(#[from] DelayedTopicError),
    /// AUTH outside an exchange, or a second exchange at once (§4.12.1).
    #[error("AUTH with this reason code has no place here")]
    AuthOutOfTurn,
    /// AUTH with another method than CONNECT \[MQTT-4.12.1-1\].
    #[error("authentication method is not that of CONNECT")]
    MethodChanged,
    /// A re-authentication failed \[MQTT-4.12.1-2\].
    #[error(transparent)]
    NotAuthenticated(#[from] LoginRefusal),
    /// The Client's Maximum Packet Size is below the packet that must come next \[MQTT-3.1.2-24\].
    #[error("an acknowledgement of {len} bytes is above the client's maximum packet size of {limit}")]
    AcknowledgementTooLarge { len: usize, limit: usize },
    /// A packet of a Client that has not logged in is above its limit.
    #[error("a packet of {len} bytes before the login exceeds the limit of {limit}")]
    TooLargeBeforeLogin { len: u32, limit: u32 },
}

/// Error: a Topic Alias above the Topic Alias Maximum that the broker announced \[MQTT-3.3.2-9\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic alias {alias} exceeds the topic alias maximum {maximum}")]
pub struct AliasTooHigh {
    pub(crate) alias: u16,
    pub(crate) maximum: u16,
}

impl Violation {
    /// The limit that was exceeded, if it is one that can be set.
    pub fn limit(self) -> Option<Limit> {
        match self {
            Self::Packet(DecodeError::Frame(FrameError::TooLarge { .. })) => Some(Limit::MaxPacketSize),
            Self::TooLargeBeforeLogin { .. } => Some(Limit::ConnectBytes),
            Self::ReceiveMaximumExceeded { .. } => Some(Limit::ReceiveMaximum),
            Self::AliasTooHigh(_) => Some(Limit::TopicAliasMaximum),
            Self::AliasesTooLong { .. } => Some(Limit::TopicAliasBytes),
            Self::Packet(_)
            | Self::Unexpected(_)
            | Self::Foreign(_)
            | Self::AliasUnknown { .. }
            | Self::SessionExpiryRaised
            | Self::AuthOutOfTurn
            | Self::MethodChanged
            | Self::NotAuthenticated(_)
            | Self::PacketIdInUse
            | Self::AcknowledgementOutOfTurn { .. }
            | Self::FilterInvalid(_)
            | Self::Discouraged(_)
            | Self::DelayedTopic(_)
            | Self::AcknowledgementTooLarge { .. } => None,
        }
    }

    /// The Reason Code that a 5.0 Client is told.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::Packet(error) => error.into(),
            Self::Unexpected(_)
            | Self::Foreign(_)
            | Self::AliasUnknown { .. }
            | Self::SessionExpiryRaised
            | Self::AcknowledgementOutOfTurn { .. }
            | Self::AuthOutOfTurn
            | Self::MethodChanged => ReasonCode::ProtocolError,
            Self::NotAuthenticated(LoginRefusal::TooManyFailures) => ReasonCode::ConnectionRateExceeded,
            // DISCONNECT has no Server unavailable (§3.14.2.1).
            Self::NotAuthenticated(LoginRefusal::Busy | LoginRefusal::CheckFailed) => ReasonCode::ServerBusy,
            Self::NotAuthenticated(_) => ReasonCode::NotAuthorized,
            Self::FilterInvalid(_) => ReasonCode::TopicFilterInvalid,
            Self::Discouraged(Discouraged::Properties) => ReasonCode::MalformedPacket,
            Self::Discouraged(place) => place.reason_code(),
            Self::DelayedTopic(_) => ReasonCode::TopicNameInvalid,
            Self::ReceiveMaximumExceeded { .. } => ReasonCode::ReceiveMaximumExceeded,
            Self::AliasTooHigh(_) => ReasonCode::TopicAliasInvalid,
            Self::AliasesTooLong { .. } => ReasonCode::QuotaExceeded,
            Self::PacketIdInUse => ReasonCode::ProtocolError,
            Self::AcknowledgementTooLarge { .. } | Self::TooLargeBeforeLogin { .. } => {
                ReasonCode::PacketTooLarge
            }
        }
    }
}

impl From<FrameError> for Violation {
    fn from(error: FrameError) -> Self {
        Self::Packet(error.into())
    }
}
