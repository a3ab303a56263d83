//! Failures of the store, as Clients, commands and the health port are told of them.

use lotmq_changes::{CommitErrorKind, StoreError};
use lotmq_codec::ReasonCode;

/// Reason why nothing can be stored at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// The disk is full.
    #[error("the disk of the broker is full")]
    Full,
    /// Only the reserve of the disk is left, which is for commands.
    #[error("the disk of the broker is full but for the reserve of administrators")]
    Reserved,
    /// The store's file was deleted, moved or replaced below the broker.
    #[error("the file of the broker's store is gone or was replaced")]
    Gone,
    /// The store's file is damaged.
    #[error("the file of the broker's store is damaged")]
    Damaged,
    /// The store's file cannot be written or read, or is read-only.
    #[error("the disk of the broker fails")]
    Failing,
}

impl StoreFailure {
    /// Reason Code for 5.0 Clients.
    pub fn reason_code(self) -> ReasonCode {
        match self {
            Self::Full | Self::Reserved => ReasonCode::QuotaExceeded,
            Self::Gone | Self::Damaged | Self::Failing => ReasonCode::ImplementationSpecificError,
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
    /// An outcome that is no longer known counts as a failure.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::CommitFailed(error) => error.kind.into(),
            StoreError::Full { .. } | StoreError::Closed | StoreError::OutcomeForgotten(_) | _ => {
                Self::Failing
            }
        }
    }
}
