//! Clocks of the machine. Everything else of the data path gets time as an argument or through a
//! [`Clock`]; this is where it comes from.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use lotmq_definitions::Now;
use rustix::time::{ClockId, clock_gettime};

use lotmq_core::clock::Clock;

use super::lifetimes::Anchor;

/// A difference above this between two clocks is that one was set; less is how they are read.
const STEP_MIN_MS: u64 = 100;

/// The machine's monotonic clock, from the start of the broker on, its wall clock, and the one of
/// lifetimes, which counts on while the machine sleeps.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
    /// Time since the boot at the start, and what the clock of lifetimes showed then.
    booted: (Duration, u64),
    /// Lead of the wall clock over the lifetime clock at the last adjustment, in milliseconds.
    ahead_ms: AtomicI64,
}

impl SystemClock {
    /// The clock of a broker that starts now. Lifetimes go on from where the store has them, else
    /// begin at the wall clock.
    pub fn resuming(lifetimes: Option<Anchor>) -> Self {
        let wall_ms = wall_ms();
        let lifetime_ms = lifetimes.map_or(wall_ms, |anchor| anchor.resumed_at(wall_ms));
        let ahead_ms = AtomicI64::new(wall_ms.wrapping_sub(lifetime_ms).cast_signed());
        Self { start: Instant::now(), booted: (reading(ClockId::Boottime), lifetime_ms), ahead_ms }
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

    fn wall_of(&self, lifetime_ms: u64) -> u64 {
        lifetime_ms.saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn note_wall(&self) -> i64 {
        let before = self.lifetime_ms();
        let wall_ms = self.wall_ms();
        let step = wall_ms.wrapping_sub(self.wall_of(before)).cast_signed();
        // A thread that is set aside between two readings finds clocks that differ.
        let is_sure = self.lifetime_ms().saturating_sub(before) < STEP_MIN_MS / 2;
        if !is_sure || step.unsigned_abs() < STEP_MIN_MS {
            return 0;
        }
        self.ahead_ms.store(wall_ms.wrapping_sub(before).cast_signed(), Ordering::Relaxed);
        step
    }

    fn thread_cpu(&self) -> Duration {
        thread_cpu()
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Milliseconds since 1970, for callers without a broker.
pub fn wall_ms() -> u64 {
    u64::try_from(wall().as_millis()).unwrap_or(u64::MAX)
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Processor time of this thread.
pub fn thread_cpu() -> Duration {
    reading(ClockId::ThreadCPUTime)
}

/// Both times in the form that definitions take.
pub fn definitions_now(clock: &dyn Clock) -> Now {
    let since = SignedDuration::try_from(clock.wall()).unwrap_or(SignedDuration::MAX);
    let wall = jiff::Timestamp::from_duration(since).unwrap_or(jiff::Timestamp::MAX);
    Now { elapsed: clock.elapsed(), wall }
}

/// Milliseconds since 1970 as a point in time.
pub fn timestamp(ms: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(jiff::Timestamp::MAX)
}

/// Milliseconds since 1970 as text: `2026-11-20T09:18:25.120Z`, always with milliseconds, always
/// UTC.
pub fn utc_text(since_1970_ms: u64) -> String {
    let at = i64::try_from(since_1970_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    lotmq_definitions::utc_text(at.unwrap_or_default())
}

/// Time by the kernel's coarse clock, which costs next to nothing to read.
pub fn coarse() -> Duration {
    reading(ClockId::MonotonicCoarse)
}

fn reading(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}
