//! How a definition stands with those who call it: one that traps in their calls, on their threads and with their time, has failed after some, and pauses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::trap_standing::TrapStanding;
use crate::{RunError, TrapKind};

/// Traps in calls of one definition. Costs a call nothing but a look as long as there was none.
#[derive(Debug, Default)]
pub(super) struct CalledTraps {
    /// Whether there was any.
    has_any: AtomicBool,
    standing: Mutex<TrapStanding>,
}

impl CalledTraps {
    /// Whether it may be called now; while it has failed, one call at the end of each pause tries it.
    pub(super) fn may_be_called(&self) -> bool {
        !self.has_any() || self.standing.lock().may_be_asked(Instant::now())
    }

    /// Whether a call that has trapped says something of it, rather than of who called: the time that ran out may have been the caller's, of which it had little left.
    pub(super) fn is_its_own(error: Option<&RunError>, ran: Duration, limit: Duration) -> bool {
        error.is_none_or(|error| error.code != TrapKind::Time.code() || ran >= limit / 2)
    }

    /// Notes a trap.
    pub(super) fn trapped(&self) {
        self.has_any.store(true, Ordering::Relaxed);
        self.standing.lock().trapped(Instant::now());
    }

    /// Notes a call that ended otherwise.
    pub(super) fn ended_well(&self) {
        if self.has_any() {
            self.standing.lock().ended_well();
        }
    }

    /// Time until it is tried again; `None` where it has not failed.
    pub(super) fn pause(&self) -> Option<Duration> {
        let standing = self.has_any().then(|| self.standing.lock())?;
        standing.has_failed().then(|| standing.pauses_for(Instant::now()))
    }

    /// Forgets all of them.
    pub(super) fn forget(&self) {
        *self.standing.lock() = TrapStanding::default();
        self.has_any.store(false, Ordering::Relaxed);
    }

    fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Relaxed)
    }
}
