//! The broker's clocks. Everything below the server gets time as an argument; this is where it comes from.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

    /// Milliseconds since 1970.
    pub(crate) fn wall_ms(&self) -> u64 {
        wall_ms()
    }
}

/// Milliseconds since 1970, for what has no broker.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
