//! Clocks of the machine. Everything else of the data path gets time as an argument or through a [`Clock`]; this is where it comes from.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use lotmq_definitions::Now;
use rustix::time::{ClockId, clock_gettime};

use lotmq_core::clock::Clock;

use super::lifetimes::Anchor;

/// The machine's monotonic clock, from the start of the broker on, its wall clock, and the one of lifetimes, which counts on while the machine sleeps.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
    /// Time since the boot at the start, and what the clock of lifetimes showed then.
    booted: (Duration, u64),
}

impl SystemClock {
    /// The clock of a broker that starts now. Lifetimes go on from where the store has them, else begin at the wall clock.
    pub(crate) fn resuming(lifetimes: Option<Anchor>) -> Self {
        let lifetime_ms = lifetimes.map_or_else(wall_ms, |anchor| anchor.resumed_at(wall_ms()));
        Self { start: Instant::now(), booted: (reading(ClockId::Boottime), lifetime_ms) }
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> Duration {
        wall()
    }

    fn lifetime_ms(&self) -> u64 {
        let (booted, lifetime_ms) = self.booted;
        let passed = reading(ClockId::Boottime).saturating_sub(booted).as_millis();
        lifetime_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn thread_cpu(&self) -> Duration {
        thread_cpu()
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Milliseconds since 1970, for callers without a broker.
pub(crate) fn wall_ms() -> u64 {
    u64::try_from(wall().as_millis()).unwrap_or(u64::MAX)
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Processor time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    reading(ClockId::ThreadCPUTime)
}

/// Both times in the form that definitions take.
pub(crate) fn definitions_now(clock: &dyn Clock) -> Now {
    let since = SignedDuration::try_from(clock.wall()).unwrap_or(SignedDuration::MAX);
    let wall = jiff::Timestamp::from_duration(since).unwrap_or(jiff::Timestamp::MAX);
    Now { elapsed: clock.elapsed(), wall }
}

/// Milliseconds since 1970 as a point in time.
pub(crate) fn timestamp(ms: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(jiff::Timestamp::MAX)
}

/// Milliseconds since 1970 as text: `2026-11-20T09:18:25.120Z`, always with milliseconds, always UTC.
pub(crate) fn utc_text(since_1970_ms: u64) -> String {
    let at = i64::try_from(since_1970_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    lotmq_definitions::utc_text(at.unwrap_or_default())
}

/// Time by the kernel's coarse clock, which costs next to nothing to read.
pub(crate) fn coarse() -> Duration {
    reading(ClockId::MonotonicCoarse)
}

fn reading(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}
