//! Waiting until what a command has changed is on the disk: as long as the disk stores anything.
//!
//! A disk that hangs reports nothing, not even an error. A command that has waited for
//! [`COMMIT_PATIENCE`] fails, and later commands fail at once, until its change is settled. Their
//! threads answer other commands meanwhile.

use std::time::Duration;

use lotmq_changes::{Log, StoreError, Ticket};
use parking_lot::Mutex;

use lotmq_programs::limits::COMMIT_PATIENCE;

/// State of a disk that hangs.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Ticket of a change for which a command has waited in vain.
    hanging: Mutex<Option<Ticket>>,
}

impl Stored {
    /// Failure because of which a change would not be stored for long, as far as known.
    pub(crate) fn hangs(&self, log: &dyn Log) -> Option<StoreError> {
        let mut hanging = self.hanging.lock();
        if hanging.is_some_and(|ticket| log.settled(ticket).is_some()) {
            *hanging = None;
        }
        hanging.map(|_| StoreError::Hangs { waited: COMMIT_PATIENCE })
    }

    /// Waits until a change is on the disk.
    ///
    /// # Errors
    /// Those of [`Log::wait_for`]; at once where the disk is known to hang.
    pub(crate) fn wait(&self, log: &dyn Log, ticket: Ticket) -> Result<(), StoreError> {
        self.wait_for(log, ticket, COMMIT_PATIENCE)
    }

    fn wait_for(&self, log: &dyn Log, ticket: Ticket, patience: Duration) -> Result<(), StoreError> {
        if let Some(hangs) = self.hangs(log) {
            return log.settled(ticket).unwrap_or(Err(hangs));
        }
        let stored = log.wait_for(ticket, patience);
        if matches!(stored, Err(StoreError::Hangs { .. })) {
            self.hanging.lock().get_or_insert(ticket);
        }
        stored
    }
}
