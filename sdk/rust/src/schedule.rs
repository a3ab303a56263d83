//! When a guest polls: several periods, kept without drift.

use super::host::ambient;

/// Periodic timers for [`Route::run`](super::Route::run). Each period counts from its start: long
/// work delays what is due meanwhile, but does not shift later due times.
///
/// ```no_run
/// use lotmq_guest::route::{Failure, Schedule};
///
/// # fn poll(which: usize) -> Result<(), Failure> { Ok(()) }
/// fn run(polls: &mut Schedule) -> Result<u32, Failure> {
///     while let Some(due) = polls.due() {
///         // 0 is the first period, 1 the second.
///         poll(due.index)?;
///         if due.missed > 0 {
///             lotmq_guest::eprintln!("{} polls were missed", due.missed);
///         }
///     }
///     Ok(polls.wait_ms())
/// }
/// # let _ = run(&mut Schedule::new().every(1_000).every(60_000));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    periods: Vec<Period>,
}

#[derive(Clone, Copy, Debug)]
struct Period {
    ms: u64,
    /// When it is due, on the monotonic clock.
    next_ms: u64,
}

/// A period that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its place in the order in which they were added, from 0.
    pub index: usize,
    /// How often it was due before, since it was done last, and was not done.
    pub missed: u64,
}

impl Schedule {
    /// A schedule without periods.
    pub fn new() -> Schedule {
        Schedule::default()
    }

    /// The same with one more period, in milliseconds, at least one; it is due at once.
    #[must_use]
    pub fn every(mut self, ms: u32) -> Schedule {
        self.periods.push(Period { ms: u64::from(ms).max(1), next_ms: ambient::monotonic_ms() });
        self
    }

    /// Returns the period that has been due for longest, and marks it as done. Returns `None` if no
    /// period is due.
    pub fn due(&mut self) -> Option<Due> {
        let now = ambient::monotonic_ms();
        let periods = self.periods.iter_mut().enumerate().filter(|(_, period)| period.next_ms <= now);
        let (index, period) = periods.min_by_key(|(_, period)| period.next_ms)?;
        let missed = (now - period.next_ms) / period.ms;
        period.next_ms += (missed + 1) * period.ms;
        Some(Due { index, missed })
    }

    /// Returns the milliseconds until the next period is due, as the result of
    /// [`run`](super::Route::run). Without periods it is `u32::MAX`.
    pub fn wait_ms(&self) -> u32 {
        let now = ambient::monotonic_ms();
        let next = self.periods.iter().map(|period| period.next_ms.saturating_sub(now)).min();
        next.and_then(|ms| u32::try_from(ms).ok()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::set_time_ms;

    #[test]
    fn schedule_keeps_its_periods_and_counts_missed_ones() {
        set_time_ms(1_000_000);
        let mut schedule = Schedule::new().every(100).every(250);
        let due = |index, missed| Some(Due { index, missed });
        for (at, expected, wait) in [
            (0, vec![due(0, 0), due(1, 0)], 100),
            // Late by 30, which the next one is not.
            (130, vec![due(0, 0)], 70),
            (200, vec![due(0, 0)], 50),
            (250, vec![due(1, 0)], 50),
            // That of 300 was missed, and those of 400 and 500; that of 600 is done.
            (640, vec![due(0, 3), due(1, 0)], 60),
            (699, vec![], 1),
        ] {
            set_time_ms(1_000_000 + at);
            let mut found = Vec::new();
            while let Some(due) = schedule.due() {
                found.push(Some(due));
            }
            assert_eq!((found, schedule.wait_ms()), (expected, wait), "{at}");
        }
        assert_eq!((Schedule::new().due(), Schedule::new().wait_ms()), (None, u32::MAX));
    }
}
