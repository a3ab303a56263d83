//! Following another process: the contents of the log of a broker, and their effect in another one.

use std::sync::Arc;

use lotmq_changes::{ManagedChanges, Recovered, RecoveredQueues, SnapshotError, StoreError};

use crate::Server;
use lotmq_core::turn::Turn;
use lotmq_operations::apply::apply;

/// Reason why the contents of a log were not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentsError {
    /// There is no snapshot.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The snapshot cannot be read to its end.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// Returns the stored contents, except archives, components and the audit: those that a broker that
/// starts now would find.
///
/// # Errors
/// When the log cannot be read.
pub fn stored_contents(server: &Server) -> Result<Recovered, ContentsError> {
    Ok(server.broker.hosting.archive.snapshot()?.contents(RecoveredQueues::Sent)?)
}

/// Makes changes effective that another process has written to the log: of users, definitions,
/// variables, secrets and settings. Writes none of them. Not for shards, because it compiles.
pub fn apply_changes(server: &Server, changes: ManagedChanges) {
    let mut turn = Turn::new(Arc::clone(&server.broker.hosting.context), None);
    apply(&server.broker, changes, &mut turn);
    turn.flush();
}
