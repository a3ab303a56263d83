//! Time that stands still until somebody lets it pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lotmq_core::clock::Clock;
use lotmq_definitions::Now;

use lotmq_process::clock::definitions_now;

/// How long a thread waits for another one, by the machine's clock, at a time.
const PAUSE: Duration = Duration::from_micros(100);

/// The clock of a broker whose owner lets time pass. Clones show the same time.
#[derive(Clone, Debug)]
pub(super) struct VirtualTime {
    /// The wall clock when the broker started, since 1970.
    started: Duration,
    elapsed_ns: Arc<AtomicU64>,
    /// Whether it goes on as the machine's does.
    runs: Arc<AtomicBool>,
}

impl VirtualTime {
    /// A clock that stands at `wall`.
    pub(super) fn starting(wall: Timestamp) -> Self {
        let started = Duration::try_from(wall.as_duration()).unwrap_or_default();
        Self { started, elapsed_ns: Arc::default(), runs: Arc::default() }
    }

    /// Says whether its owner lets it go on as the machine's does.
    pub(super) fn goes_on(&self, runs: bool) {
        self.runs.store(runs, Ordering::Release);
    }

    /// Somebody has waited for so long; where it runs, that has passed already.
    pub(super) fn was_waited_for(&self, time: Duration) {
        if !self.runs.load(Ordering::Acquire) {
            self.pass(time);
        }
    }

    pub(super) fn pass(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let elapsed = self.elapsed_ns.load(Ordering::Acquire).saturating_add(time);
        self.elapsed_ns.store(elapsed, Ordering::Release);
    }

    /// Both clocks as definitions read them.
    pub(super) fn now(&self) -> Now {
        definitions_now(self)
    }
}

impl Clock for VirtualTime {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::Acquire))
    }

    fn wall(&self) -> Duration {
        self.started + self.elapsed()
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
        Duration::ZERO
    }

    /// Another thread does the awaited work, which takes real time and no virtual time.
    fn pause(&self, _: Duration) {
        std::thread::sleep(PAUSE);
    }
}
