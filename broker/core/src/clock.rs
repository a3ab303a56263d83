//! Time for the core: the clock that it reads through a trait, and stretches of work that end by
//! it.
//!
//! Not here: where time comes from (`system_clock`).

use std::fmt::Debug;
use std::time::Duration;

use lotmq_changes::rare::{Rare, is_taken};
use lotmq_session::Time;

/// Clock of whoever runs the core: the machine's, or a virtual one.
pub trait Clock: Debug + Send + Sync {
    /// Time since the broker started, as finely as the machine tells it; never runs backwards.
    fn elapsed(&self) -> Duration;

    /// The wall clock, as time since 1970.
    fn wall(&self) -> Duration;

    /// Lifetime clock in milliseconds, for Session and Message Expiry Intervals and waiting times.
    /// It starts at the wall clock of the store's first start and then advances one second per
    /// second. Changes of the wall clock do not affect it, and it also runs while the broker is
    /// down. Stored times use it.
    fn lifetime_ms(&self) -> u64;

    /// Processor time that the calling thread has had.
    fn thread_cpu(&self) -> Duration;

    /// Makes the calling thread, which serves no Clients, wait.
    fn pause(&self, time: Duration);

    /// Milliseconds since 1970.
    fn wall_ms(&self) -> u64 {
        u64::try_from(self.wall().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock's time of a moment in lifetime milliseconds, as the wall clock was set when
    /// that was [noted](Self::note_wall) last: always the same for a moment until it is set again.
    fn wall_of(&self, lifetime_ms: u64) -> u64;

    /// Notes how the wall clock is set; how far it was set since the last time, in milliseconds,
    /// negative being back.
    fn note_wall(&self) -> i64;

    /// Time since the broker started; never runs backwards.
    fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// A stretch of work that begins now and is to end after so long.
    fn stretch(&self, time: Duration) -> Stretch {
        Stretch::until(self.elapsed() + time)
    }
}

/// Stretch of work, which ends at a given time so that others have theirs; the work goes on later.
///
/// To be asked after each step: at least one is done however little time there is.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// End of the stretch, in time since the broker started.
    until: Duration,
}

impl Stretch {
    /// Stretch without an end, for work that is known to be short.
    pub const ENDLESS: Self = Self { until: Duration::MAX };

    /// Stretch that ends at this time since the broker started.
    pub fn until(until: Duration) -> Self {
        Self { until }
    }

    /// Whether it is time to stop. Costs a look at the clock, some 25 ns.
    pub fn is_over(&self, clock: &dyn Clock) -> bool {
        self.until != Duration::MAX && (clock.elapsed() >= self.until || is_taken(Rare::TimeIsOver))
    }
}

/// A clock that stands still, for tests.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct StillClock;

#[cfg(test)]
impl Clock for StillClock {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> Duration {
        Duration::ZERO
    }

    fn lifetime_ms(&self) -> u64 {
        0
    }

    fn wall_of(&self, lifetime_ms: u64) -> u64 {
        lifetime_ms
    }

    fn note_wall(&self) -> i64 {
        0
    }

    fn thread_cpu(&self) -> Duration {
        Duration::ZERO
    }

    fn pause(&self, _: Duration) {}
}
