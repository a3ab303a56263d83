//! Why nothing can be stored at the moment, as Clients, commands and the health port are told.

use lotmq_codec::ReasonCode;
use lotmq_store::{CommitErrorKind, StoreError};

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// It takes nothing more until there is space.
    #[error("the disk of the broker is full")]
    Full,
    /// It has room for commands only.
    #[error("the disk of the broker is full but for the reserve of administrators")]
    Reserved,
    /// The store's file was deleted, moved or replaced below the broker.
    #[error("the file of the broker's store is gone or was replaced")]
    Gone,
    /// The store's file is damaged.
    #[error("the file of the broker's store is damaged")]
    Damaged,
    /// It cannot be written or read, or is read-only.
    #[error("the disk of the broker fails")]
    Failing,
}

impl StoreFailure {
    /// What 5.0 Clients are told.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::Full | Self::Reserved => ReasonCode::QuotaExceeded,
            Self::Gone | Self::Damaged | Self::Failing => ReasonCode::ImplementationSpecificError,
        }
    }

    /// The code in replies to commands.
    pub fn command_code(self) -> &'static str {
        match self {
            Self::Full | Self::Reserved => "NO_SPACE",
            Self::Gone | Self::Damaged | Self::Failing => "STORE_FAILED",
        }
    }
}

impl From<CommitErrorKind> for StoreFailure {
    fn from(kind: CommitErrorKind) -> Self {
        match kind {
            CommitErrorKind::NoSpace => Self::Full,
            CommitErrorKind::Gone => Self::Gone,
            CommitErrorKind::Corrupted => Self::Damaged,
            CommitErrorKind::Io | CommitErrorKind::Unavailable => Self::Failing,
        }
    }
}

impl From<StoreError> for StoreFailure {
    /// What cannot be told any more counts as failed.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::CommitFailed(error) => error.kind.into(),
            StoreError::Full { .. } | StoreError::Closed | StoreError::OutcomeForgotten(_) | _ => {
                Self::Failing
            }
        }
    }
}
