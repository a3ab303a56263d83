//! Virtual time: one clock of the world, and what a broker that was started at some moment sees of
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use lotmq_core::clock::Clock;

use crate::machine::others_go_on;

/// Milliseconds since 1970 when a run begins.
const WALL_START_MS: u64 = 1_700_000_000_000;

/// The time of a run, in nanoseconds.
///
/// Each look at it takes time: as long as the run wants work to take, so that stretches of work end
/// in the midst of what they were for.
#[derive(Debug, Default)]
pub(crate) struct WorldTime {
    now_ns: AtomicU64,
    look_ns: AtomicU64,
}

impl WorldTime {
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.now_ns.load(Relaxed))
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ns.load(Relaxed) / 1_000_000
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.now_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// From now on each look takes so long.
    pub(crate) fn looks_take(&self, time: Duration) {
        self.look_ns.store(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// The clock of a broker.
#[derive(Debug)]
pub(crate) struct BrokerClock {
    time: Arc<WorldTime>,
    started: Duration,
}

impl BrokerClock {
    pub(crate) fn starts(time: &Arc<WorldTime>) -> Self {
        Self { time: Arc::clone(time), started: time.now() }
    }
}

impl Clock for BrokerClock {
    fn elapsed(&self) -> Duration {
        let look = self.time.look_ns.load(Relaxed);
        Duration::from_nanos(self.time.now_ns.fetch_add(look, Relaxed)) - self.started
    }

    fn wall(&self) -> Duration {
        Duration::from_millis(WALL_START_MS) + self.time.now()
    }

    fn lifetime_ms(&self) -> u64 {
        self.wall_ms()
    }

    fn wall_of(&self, lifetime_ms: u64) -> u64 {
        lifetime_ms
    }

    /// Nobody sets this clock.
    fn note_wall(&self) -> i64 {
        0
    }

    fn thread_cpu(&self) -> Duration {
        self.time.now()
    }

    fn pause(&self, time: Duration) {
        self.time.pass(time);
        others_go_on(self.time.now());
    }
}
