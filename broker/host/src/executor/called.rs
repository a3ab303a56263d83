//! How a definition stands with those who call it: one that traps in their calls, on their threads
//! and with their time, has failed after some, and pauses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::trap_breaker::TrapBreaker;
use crate::{RunError, TrapKind};

/// Traps in calls of one definition. Costs a call nothing but a look as long as there was none.
#[derive(Debug, Default)]
pub(super) struct CalledTraps {
    /// Whether there was any.
    has_any: AtomicBool,
    breaker: Mutex<TrapBreaker>,
}

impl CalledTraps {
    /// Whether it may be called now; while it has failed, one call at the end of each pause tries
    /// it.
    pub(super) fn may_be_called(&self) -> bool {
        !self.has_any() || self.breaker.lock().may_be_asked(Instant::now())
    }

    /// Whether a call that has trapped says something of it, rather than of who called: of the time
    /// that ran out the caller had left it `had`, where `limit` is its own.
    pub(super) fn is_its_own(error: Option<&RunError>, had: Duration, limit: Duration) -> bool {
        error.is_none_or(|error| error.code != TrapKind::Time.code() || had >= limit / 2)
    }

    /// Notes a trap.
    pub(super) fn trapped(&self) {
        self.has_any.store(true, Ordering::Relaxed);
        self.breaker.lock().trapped(Instant::now());
    }

    /// Notes a call that ended otherwise.
    pub(super) fn ended_well(&self) {
        if self.has_any() {
            self.breaker.lock().ended_well();
        }
    }

    /// Time until it is tried again; `None` where it has not failed.
    pub(super) fn pause(&self) -> Option<Duration> {
        let breaker = self.has_any().then(|| self.breaker.lock())?;
        breaker.has_failed().then(|| breaker.pauses_for(Instant::now()))
    }

    /// Forgets all of them.
    pub(super) fn forget(&self) {
        *self.breaker.lock() = TrapBreaker::default();
        self.has_any.store(false, Ordering::Relaxed);
    }

    fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_the_caller_had_used_up_is_the_callers_matter() {
        let limit = Duration::from_secs(1);
        for (kind, had_ms, expected) in [
            (TrapKind::Time, 1000, true),
            (TrapKind::Time, 500, true),
            (TrapKind::Time, 499, false),
            (TrapKind::Unreachable, 1, true),
        ] {
            let error = RunError::new(kind.code(), String::new());
            let is_its_own = CalledTraps::is_its_own(Some(&error), Duration::from_millis(had_ms), limit);
            assert_eq!(is_its_own, expected, "{kind:?} {had_ms}");
        }
    }
}
