//! Deadlines of runs, in processor time of the thread that they run on.
//!
//! Not here: the work at a tick (`instance`), and the rate of ticks (`ticker`).

use std::{cell::Cell, time::Duration};

/// How much of its thread's processor time a run may take, so that what else the machine does
/// counts for nothing. It is measured from the first tick that the run lives to see, so that a
/// usual run reads no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) budget: Duration,
    /// Processor time of the thread then.
    first_tick: Option<Duration>,
    /// When the run is given up, to be started anew elsewhere; `None` where it is not.
    pub(crate) slice: Option<Duration>,
}

/// Decision at an epoch tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtTick {
    GoOn,
    SliceExpired,
    TimeExpired,
}

impl Deadline {
    pub(crate) fn new(budget: Duration) -> Self {
        Deadline { budget, first_tick: None, slice: None }
    }

    /// Of a run that has this time at most.
    pub(crate) fn within(self, time: Duration) -> Self {
        Deadline { budget: self.budget.min(time), ..self }
    }

    /// Of a run that is given up after this time, to be started anew elsewhere.
    pub(crate) fn sliced(self, slice: Duration) -> Self {
        Deadline { slice: Some(slice), ..self }
    }

    /// Of a run that this one waits for, which is not given up for a slice.
    pub(crate) fn nested(self) -> Self {
        Deadline { slice: None, ..self }
    }

    /// Whether the run has lived to see a tick: only then it may have been long.
    pub(crate) fn has_ticked(self) -> bool {
        self.first_tick.is_some()
    }

    /// Processor time of the run on this thread since the first tick that it lived to see; nothing
    /// before.
    pub(crate) fn seen(&self) -> Duration {
        self.first_tick.map_or(Duration::ZERO, |first_tick| time_of_run().saturating_sub(first_tick))
    }

    pub(crate) fn at_tick(&mut self, now: Duration) -> AtTick {
        let Some(first_tick) = self.first_tick else {
            self.first_tick = Some(now);
            return AtTick::GoOn;
        };
        let elapsed = now.saturating_sub(first_tick);
        if elapsed >= self.budget {
            AtTick::TimeExpired
        } else if self.slice.is_some_and(|slice| elapsed >= slice / 2) {
            AtTick::SliceExpired
        } else {
            AtTick::GoOn
        }
    }
}

/// Ended by the host because the time was over.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("the run took longer than {} ms", .0.as_millis())]
    Time(Duration),
    #[error("the inline slice is over")]
    Slice,
}

/// Processor time of this thread that counts for the run on it.
pub(crate) fn time_of_run() -> Duration {
    processor_time().saturating_sub(APART.get())
}

/// Processor time that this thread has used.
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

thread_local! {
    /// Processor time of this thread that counts for no run.
    static APART: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Does something that has a budget of its own, such as a script that a run calls: its time does
/// not count against the run's.
pub(crate) fn apart<T>(work: impl FnOnce() -> T) -> T {
    let began = processor_time();
    let done = work();
    let took = processor_time().saturating_sub(began);
    APART.set(APART.get() + took);
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::INLINE_SLICE;

    #[test]
    fn a_run_is_stopped_by_the_time_since_its_first_tick() {
        let at = |micros: u64| Duration::from_micros(7_000_000 + micros);
        let mut run = Deadline::new(Duration::from_millis(1));
        assert_eq!(run.at_tick(at(0)), AtTick::GoOn);
        assert_eq!(run.at_tick(at(999)), AtTick::GoOn);
        assert_eq!(run.at_tick(at(1000)), AtTick::TimeExpired);
        let mut sliced = Deadline { slice: Some(INLINE_SLICE), ..Deadline::new(Duration::from_millis(1)) };
        assert_eq!(sliced.at_tick(at(0)), AtTick::GoOn);
        assert_eq!(sliced.at_tick(at(250)), AtTick::SliceExpired);
        assert_eq!(sliced.at_tick(at(1000)), AtTick::TimeExpired);
    }
}
