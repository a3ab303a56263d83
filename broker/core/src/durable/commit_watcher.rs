//! Watcher of a commit: what is above the core and wants to know what became of changes of its own.

use crate::durable::store_failure::StoreFailure;

/// Someone above the core who waits for the commit of what no Client has published.
pub trait CommitWatcher: Send + Sync {
    /// Tells what became of the changes; an error when they were not stored, which they may be
    /// later all the same.
    fn settled(&self, outcome: Result<(), StoreFailure>);
}
