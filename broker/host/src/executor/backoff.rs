//! How long a definition pauses after a trap: 0.1 s, doubling to 60 s, anew after 60 s without one
//! (language reference §7.8).

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};
use std::time::{Duration, Instant};

/// The pauses of one definition. A value without a clock: time comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    last: Option<(Duration, Instant)>,
}

impl Backoff {
    /// It trapped: says when it may run again.
    pub(crate) fn trapped(&mut self, now: Instant) -> Instant {
        let pause = match self.last {
            Some((pause, resumed)) if now.saturating_duration_since(resumed) < BACKOFF_MAX => {
                (pause * 2).min(BACKOFF_MAX)
            }
            Some(_) | None => BACKOFF_FIRST,
        };
        self.last = Some((pause, now + pause));
        now + pause
    }

    /// Whether the next pause would be the first one again.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.last.is_none_or(|(_, resumed)| now.saturating_duration_since(resumed) >= BACKOFF_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let resumed = backoff.trapped(now);
            pauses.push((resumed - now).as_millis());
            now = resumed + Duration::from_millis(1);
        }
        let expected: [u128; 12] =
            [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000];
        assert_eq!(pauses, expected);
    }

    #[test]
    fn a_minute_without_a_trap_starts_anew() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        let resumed = backoff.trapped(start);
        let resumed = backoff.trapped(resumed);
        for (after, expected) in [(59_999, 400), (60_000, 100)] {
            let mut backoff = backoff;
            let now = resumed + Duration::from_millis(after);
            assert_eq!(backoff.trapped(now) - now, Duration::from_millis(expected), "{after}");
        }
    }
}
