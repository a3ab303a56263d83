//! Time that a thread has for definitions whose owners its publishers do not wait for: a part of
//! all time, saved up to a bound. Beyond it they are for the executor.
//!
//! It is a token bucket of one thread, and shares nothing out: the executor gives owners their
//! turns.
//!
//! Invariant: over any stretch of time they take that part of it at most, and [`INLINE_TIME_MAX`]
//! more with one run.

use std::time::Duration;

use crate::limits::{INLINE_BUDGET_PART, INLINE_TIME_MAX};

/// Time that is saved, or owed by a run that took longer.
#[derive(Debug)]
pub struct InlineBudget {
    saved_ns: i64,
    /// Time of the last look, since the broker started.
    looked: Duration,
}

/// Most that is saved, and owed.
const MAX_NS: i64 = INLINE_TIME_MAX.as_nanos() as i64;

impl Default for InlineBudget {
    fn default() -> Self {
        Self { saved_ns: MAX_NS, looked: Duration::ZERO }
    }
}

impl InlineBudget {
    /// Counts the time since the last look as one that passed: a part of it is saved. Whether some
    /// is left.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        let passed = self.passed(now);
        self.saved_ns = self.saved_ns.saturating_add(passed / INLINE_BUDGET_PART).min(MAX_NS);
        self.saved_ns > 0
    }

    /// Counts the time since the last look as one that they took. Whether some is left.
    pub(super) fn is_left(&mut self, now: Duration) -> bool {
        let passed = self.passed(now);
        self.saved_ns = self.saved_ns.saturating_sub(passed).max(-MAX_NS);
        self.saved_ns > 0
    }

    /// None at all, as after a flood.
    #[doc(hidden)]
    pub fn used_up(now: Duration) -> Self {
        Self { saved_ns: -MAX_NS, looked: now }
    }

    fn passed(&mut self, now: Duration) -> i64 {
        let passed = now.saturating_sub(self.looked);
        self.looked = now;
        i64::try_from(passed.as_nanos()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_have_a_part_of_all_time_and_a_long_run_is_paid_for() {
        const RUN: Duration = Duration::from_micros(100);
        let (mut time, mut now, mut taken) = (InlineBudget::default(), Duration::ZERO, Duration::ZERO);
        let rest = Duration::from_micros(50);
        let turns = 100_000;
        for _ in 0..turns {
            now += rest;
            let mut has_time = time.begin(now);
            while has_time {
                (now, taken) = (now + RUN, taken + RUN);
                has_time = time.is_left(now);
            }
        }
        let all = now - taken;
        assert!(taken <= all / INLINE_BUDGET_PART as u32 + INLINE_TIME_MAX + RUN, "{taken:?} beside {all:?}");
        assert!(taken >= all / INLINE_BUDGET_PART as u32, "{taken:?} beside {all:?}");
        // A run that goes on for long is paid for as far as a turn's time goes.
        now += Duration::from_secs(1);
        assert!(!time.is_left(now));
        assert!(!time.begin(now + INLINE_TIME_MAX * 3));
        assert!(time.begin(now + INLINE_TIME_MAX * 5));
    }
}
