//! How long the turns of a shard are, in processor time: while one lasts, nobody else on the shard is served.
//!
//! The processor's clock costs a system call, so it is looked at once a tick of the kernel's coarse clock at most (1 to 10 ms), which costs next to nothing.
//! What is measured as one turn may contain that much of those before it; a turn of another thread, or of another process, is not in it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::home::Home;
use crate::counters::Counters;
use crate::limits::TURN_TIME_LONG;

thread_local! {
    /// When this thread looked at its processor time, by the coarse clock, and what that was.
    static LOOKED: Cell<Option<(Duration, Duration)>> = const { Cell::new(None) };
}

/// The longest turn of a shard since it started.
#[derive(Debug, Default)]
pub(crate) struct LongestTurn(AtomicU64);

impl LongestTurn {
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_micros(self.0.load(Ordering::Relaxed)).as_secs_f64()
    }
}

/// A turn of this thread has ended, or it has nothing to do; when that was, by the coarse clock.
pub(super) fn turn_ended(home: &Home, counters: &Counters) -> Duration {
    let now = reading(ClockId::MonotonicCoarse);
    let Some((looked_at, before)) = LOOKED.get() else {
        LOOKED.set(Some((now, thread_cpu())));
        return now;
    };
    if now == looked_at {
        return now;
    }
    let cpu = thread_cpu();
    LOOKED.set(Some((now, cpu)));
    let took = cpu.saturating_sub(before);
    home.longest_turn.0.fetch_max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    if took > TURN_TIME_LONG {
        counters.long_turns.add(1);
    }
    now
}

/// Processor time that this thread has had.
pub(crate) fn thread_cpu() -> Duration {
    reading(ClockId::ThreadCPUTime)
}

fn reading(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}
