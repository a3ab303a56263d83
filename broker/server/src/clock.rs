//! The broker's clocks. Everything below the server gets time as an argument; this is where it comes from.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lotmq_session::Time;

/// A monotonic and a wall clock.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the broker started; never runs backwards.
    pub(crate) fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Both clocks as definitions take them.
    pub(crate) fn definitions_now(&self) -> lotmq_definitions::Now {
        lotmq_definitions::Now { elapsed: self.start.elapsed(), wall: jiff::Timestamp::now() }
    }

    /// Time since the broker started, as finely as the machine tells it.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// A stretch of work that begins now and is to end after so long.
    pub(crate) fn stretch(&self, time: Duration) -> Stretch {
        Stretch::until(self.elapsed() + time)
    }

    /// Milliseconds since 1970.
    pub(crate) fn wall_ms(&self) -> u64 {
        wall_ms()
    }
}

/// Work that is to end at a time, so that others have theirs; it goes on later.
///
/// To be asked after each step: at least one is done however little time there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// Since the broker started.
    until: Duration,
}

impl Stretch {
    /// Work that is known to be short.
    pub(crate) const ENDLESS: Self = Self { until: Duration::MAX };

    /// Work that is to end at this time since the broker started.
    pub(crate) fn until(until: Duration) -> Self {
        Self { until }
    }

    /// Whether it is time to stop. Costs a look at the clock, some 25 ns.
    pub(crate) fn is_over(&self, clock: &Clock) -> bool {
        self.until != Duration::MAX && clock.start.elapsed() >= self.until
    }
}

/// Milliseconds since 1970, for what has no broker.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
