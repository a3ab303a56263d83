//! Why a PUBLISH is not taken: the code and the words of its PUBACK or PUBREC.

use lotmq_codec::ReasonCode;

use super::discouraged::Discouraged;
use crate::limits::Limit;
use crate::store_failure::StoreFailure;

/// Why a PUBLISH is not taken, while its connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("no permission to publish to this topic")]
    NotAllowed,
    #[error("{}", _0.sentence())]
    Limit(Limit),
    #[error(transparent)]
    Discouraged(#[from] Discouraged),
    /// `on_full = "reject"`.
    #[error("a session that must get this message has no room for it; nobody got it")]
    NoRoom,
    #[error("too many commands are waiting; try again later")]
    CommandsBusy,
    #[error("settings cannot be published in this version")]
    SettingsFixed,
    #[error("the message could not be stored: {0}")]
    NotStored(StoreFailure),
    /// Of a QoS 2 message that is not finished \[MQTT-2.2.1-3\].
    #[error("packet identifier is that of an unfinished QoS 2 message")]
    PacketIdInUse,
}

impl NotTaken {
    pub(crate) fn reason_code(self) -> ReasonCode {
        match self {
            Self::NotAllowed => ReasonCode::NotAuthorized,
            Self::Limit(limit) => limit.reason(),
            Self::Discouraged(place) => place.reason_code(),
            Self::NoRoom | Self::CommandsBusy => ReasonCode::QuotaExceeded,
            Self::SettingsFixed => ReasonCode::ImplementationSpecificError,
            Self::NotStored(failure) => failure.reason_code(),
            Self::PacketIdInUse => ReasonCode::PacketIdentifierInUse,
        }
    }
}
