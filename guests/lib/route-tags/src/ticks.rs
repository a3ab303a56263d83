//! When a mapping is polled: every so often, and a tick that was missed is skipped.

/// Ticks of a mapping, in milliseconds of a clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    next_ms: u64,
    period_ms: u64,
}

impl Ticks {
    /// Ticks from now on.
    pub(crate) fn new(period_ms: u64, now_ms: u64) -> Ticks {
        Ticks { next_ms: now_ms, period_ms: period_ms.max(1) }
    }

    /// The next tick.
    pub(crate) fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// Goes over to the first tick behind now. Those between are skipped.
    pub(crate) fn done(&mut self, now_ms: u64) {
        let late = now_ms.saturating_sub(self.next_ms);
        self.next_ms += (late / self.period_ms + 1) * self.period_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_ticks_are_skipped_and_the_beat_stays() {
        let mut ticks = Ticks::new(100, 1_000);
        let mut after = |now| {
            ticks.done(now);
            ticks.next_ms()
        };
        assert_eq!(after(1_000), 1_100);
        assert_eq!(after(1_130), 1_200);
        assert_eq!(after(1_470), 1_500);
        assert_eq!(after(1_600), 1_700);
    }
}
