//! How far the store has come: which tickets are settled, and how.
//!
//! Written by the store's thread, read by every shard.

use std::sync::atomic::{AtomicU64, Ordering};

use lotmq_store::{Committed, Ticket};
use parking_lot::Mutex;

use crate::store_failure::StoreFailure;

/// Failed stretches that are remembered. Each is followed by a reopened store; older ones have long been answered.
const FAILURES_KEPT: usize = 64;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    through: AtomicU64,
    /// Stretches of tickets whose commit failed, first and last.
    failed: Mutex<Vec<(u64, u64, StoreFailure)>>,
}

impl Commits {
    /// Notes what the store reports.
    pub(crate) fn report(&self, committed: &Committed) {
        let through = match committed {
            Committed::Through(ticket) => ticket.number(),
            Committed::Failed { through, error } => {
                let first = self.through.load(Ordering::Relaxed) + 1;
                let mut failed = self.failed.lock();
                if failed.len() == FAILURES_KEPT {
                    failed.remove(0);
                }
                failed.push((first, through.number(), error.kind.into()));
                through.number()
            }
        };
        self.through.store(through, Ordering::Release);
    }

    /// Whether a batch was committed, or why not; `None` while it is under way.
    pub(crate) fn settled(&self, ticket: Ticket) -> Option<Result<(), StoreFailure>> {
        let number = ticket.number();
        if number > self.through.load(Ordering::Acquire) {
            return None;
        }
        let failed = self.failed.lock();
        let failure = failed.iter().find(|(first, last, _)| (*first..=*last).contains(&number));
        Some(failure.map_or(Ok(()), |(_, _, failure)| Err(*failure)))
    }
}
