//! Clocks of the machine. Everything else of the data path gets time as an argument or through a [`Clock`]; this is where it comes from.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use lotmq_definitions::Now;
use rustix::time::{ClockId, clock_gettime};

use lotmq_core::clock::Clock;

/// The machine's monotonic clock, from the start of the broker on, and its wall clock.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn wall(&self) -> Duration {
        wall()
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
