//! Why nothing can be stored at the moment, as Clients, commands and the health port are told.

use lotmq_codec::ReasonCode;
use lotmq_store::CommitErrorKind;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreFailure {
    /// It takes nothing more until there is space.
    #[error("the disk of the broker is full")]
    Full,
    /// It cannot be written or read, or is read-only.
    #[error("the disk of the broker fails")]
    Failing,
}

impl StoreFailure {
    /// What 5.0 Clients are told.
    pub(crate) fn reason_code(self) -> ReasonCode {
        match self {
            Self::Full => ReasonCode::QuotaExceeded,
            Self::Failing => ReasonCode::ImplementationSpecificError,
        }
    }

    /// The code in replies to commands.
    pub(crate) fn command_code(self) -> &'static str {
        match self {
            Self::Full => "NO_SPACE",
            Self::Failing => "STORE_FAILED",
        }
    }
}

impl From<CommitErrorKind> for StoreFailure {
    fn from(kind: CommitErrorKind) -> Self {
        if kind == CommitErrorKind::NoSpace { Self::Full } else { Self::Failing }
    }
}
