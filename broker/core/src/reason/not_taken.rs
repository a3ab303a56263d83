//! Refusals of a PUBLISH: the code and the words of its PUBACK or PUBREC.

use lotmq_codec::ReasonCode;
use lotmq_router::DelayedTopicError;

use super::Discouraged;
use crate::durable::store_failure::StoreFailure;
use crate::limits::Limit;

/// Reason why a PUBLISH is refused while its connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Rules deny it.
    #[error("no permission to publish to this topic")]
    NotAllowed,
    /// A limit is reached.
    #[error("{}", _0.sentence())]
    Limit(Limit),
    /// It has code points that are not accepted here.
    #[error(transparent)]
    Discouraged(#[from] Discouraged),
    /// Its topic is below `$delayed/` and names no delay or no target.
    #[error(transparent)]
    DelayedTopic(#[from] DelayedTopicError),
    /// A queue that must get it is full, with `on_full = "reject"`.
    #[error("a session that must get this message has no room for it; nobody got it")]
    NoRoom,
    /// Too many commands wait.
    #[error("too many commands are waiting; try again later")]
    CommandsBusy,
    /// Settings cannot be changed by messages.
    #[error("settings cannot be published in this version")]
    SettingsFixed,
    /// It is no part that the upload of a module takes.
    #[error("the part of an upload is not taken; the reply to its command says why")]
    PartRefused,
    /// It would have to be stored, and cannot be.
    #[error("the message could not be stored: {0}")]
    NotStored(StoreFailure),
    /// Its Packet Identifier belongs to a QoS 2 message that is not finished \[MQTT-2.2.1-3\].
    #[error("packet identifier is that of an unfinished QoS 2 message")]
    PacketIdInUse,
}

impl NotTaken {
    pub(crate) fn reason_code(self) -> ReasonCode {
        match self {
            Self::NotAllowed => ReasonCode::NotAuthorized,
            Self::Limit(limit) => limit.reason(),
            Self::Discouraged(place) => place.reason_code(),
            Self::DelayedTopic(_) => ReasonCode::TopicNameInvalid,
            Self::NoRoom | Self::CommandsBusy => ReasonCode::QuotaExceeded,
            Self::SettingsFixed | Self::PartRefused => ReasonCode::ImplementationSpecificError,
            Self::NotStored(failure) => failure.reason_code(),
            Self::PacketIdInUse => ReasonCode::PacketIdentifierInUse,
        }
    }
}
