//! Circuit breaker for modules that others ask or call: traps, and the pauses that follow.
//!
//! It shares nothing out: each module has a breaker of its own.
//!
//! Invariant: a trapping module costs its callers a bounded time: five runs within a minute, and
//! then one for each pause.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX, FAILED_AFTER_TRAPS, FAILED_WITHIN};

/// Latest traps of a module that is asked or called, and whether it pauses. A value without a
/// clock: time comes in.
#[derive(Debug, Default)]
pub struct TrapBreaker {
    /// Times of the latest traps, at most [`FAILED_AFTER_TRAPS`].
    at: VecDeque<Instant>,
    /// While it has failed: how long it pauses, and when it is tried again.
    pause: Option<(Duration, Instant)>,
    /// How long it paused last.
    last_pause: Duration,
    /// Whether it has trapped and does not begin again by itself.
    is_down: bool,
}

/// Consequence of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterTrap {
    /// It goes on.
    GoesOn,
    /// It has failed, and pauses so long.
    Failed(Duration),
    /// It has failed, and waits until an operator starts it.
    StaysDown,
}

impl TrapBreaker {
    /// Whether it may be asked now. While it has failed, one question at the end of each pause may
    /// try it.
    pub fn may_be_asked(&mut self, now: Instant) -> bool {
        match &mut self.pause {
            _ if self.is_down => false,
            None => true,
            Some((_, until)) if now < *until => false,
            Some((pause, until)) => {
                *until = now + *pause;
                true
            }
        }
    }

    /// Notes that it said something; true when it had failed before.
    pub fn ended_well(&mut self) -> bool {
        self.pause.take().is_some()
    }

    /// Notes a trap.
    pub fn trapped(&mut self, now: Instant) -> AfterTrap {
        let is_quiet = |last: &Instant| now.saturating_duration_since(*last) > FAILED_WITHIN;
        if self.pause.is_none() && self.at.back().is_none_or(is_quiet) {
            self.last_pause = Duration::ZERO;
        }
        self.at.push_back(now);
        if self.at.len() > FAILED_AFTER_TRAPS {
            self.at.pop_front();
        }
        let first = self.at.front().filter(|_| self.at.len() == FAILED_AFTER_TRAPS);
        let are_many = first.is_some_and(|first| now.saturating_duration_since(*first) <= FAILED_WITHIN);
        if self.pause.is_none() && !are_many {
            return AfterTrap::GoesOn;
        }
        let pause = if self.last_pause.is_zero() { BACKOFF_FIRST } else { self.last_pause * 2 };
        self.last_pause = pause.min(BACKOFF_MAX);
        self.pause = Some((self.last_pause, now + self.last_pause));
        AfterTrap::Failed(self.last_pause)
    }

    /// Notes a trap of a module that does not restart by itself. Answers to questions that were
    /// under way do not restart it.
    pub fn stays_down(&mut self) -> AfterTrap {
        self.is_down = true;
        AfterTrap::StaysDown
    }

    /// Whether it has failed: five traps within a minute, and it has ended nothing well since then;
    /// or one, where it does not begin again by itself.
    pub fn has_failed(&self) -> bool {
        self.is_down || self.pause.is_some()
    }

    /// Time until it is tried again.
    pub fn pauses_for(&self, now: Instant) -> Duration {
        self.pause.map_or(Duration::ZERO, |(_, until)| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_does_not_begin_again_is_asked_nothing_more() {
        let (mut breaker, now) = (TrapBreaker::default(), Instant::now());
        assert!(breaker.may_be_asked(now) && !breaker.has_failed());
        assert_eq!(breaker.stays_down(), AfterTrap::StaysDown);
        // Another thread was asking it.
        breaker.ended_well();
        assert!(breaker.has_failed() && !breaker.may_be_asked(now + Duration::from_secs(100_000)));
    }

    #[test]
    fn a_module_that_traps_is_asked_once_for_each_pause() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut breaker = TrapBreaker::default();
        for ms in 0..4 {
            assert!(breaker.may_be_asked(at(ms)));
            assert_eq!(breaker.trapped(at(ms)), AfterTrap::GoesOn);
        }
        // One that ends well in between takes none of them back.
        assert!(!breaker.ended_well());
        assert_eq!(breaker.trapped(at(10)), AfterTrap::Failed(BACKOFF_FIRST));
        assert!(!breaker.may_be_asked(at(109)));
        assert!(breaker.may_be_asked(at(110)));
        assert!(!breaker.may_be_asked(at(111)), "one at a time");
        let mut ms = 120;
        for pause in [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000] {
            assert_eq!(breaker.trapped(at(ms)), AfterTrap::Failed(Duration::from_millis(pause)));
            assert!(!breaker.may_be_asked(at(ms + pause - 1)));
            ms += pause;
            assert!(breaker.may_be_asked(at(ms)));
        }
        assert!(breaker.ended_well());
        assert!(!breaker.ended_well());
        assert!(breaker.may_be_asked(at(ms)));
        // A trap soon after that is not the first of five.
        ms += 59_000;
        assert_eq!(breaker.trapped(at(ms)), AfterTrap::GoesOn, "the others are a minute ago by now");
        ms += 61_000;
        for more in 0..4 {
            assert_eq!(breaker.trapped(at(ms + more)), AfterTrap::GoesOn);
        }
        assert_eq!(breaker.trapped(at(ms + 4)), AfterTrap::Failed(BACKOFF_FIRST), "it begins anew");
    }
}
