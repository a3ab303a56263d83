//! How long the turns of a shard are, in processor time: while one lasts, nobody else on the shard is served.
//!
//! The processor's clock costs a system call, so it is looked at once a millisecond at most. What is measured as one turn may contain that much of those
//! before it; a turn of another thread, or of another process, is not in it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::shard::{Shard, thread_cpu};
use crate::counters::Counters;
use crate::limits::TURN_TIME_LONG;

/// Time between two looks at the processor's clock, at least.
const LOOK_PERIOD: Duration = Duration::from_millis(1);

thread_local! {
    /// When this thread looked at its processor time, and what that was.
    static LOOKED: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// The longest turn of a shard since it started.
#[derive(Debug, Default)]
pub(crate) struct LongestTurn(AtomicU64);

impl LongestTurn {
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_micros(self.0.load(Ordering::Relaxed)).as_secs_f64()
    }
}

/// A turn of this thread has ended, or it has nothing to do.
pub(super) fn turn_ended(shard: &Arc<Shard>, counters: &Counters) {
    let now = Instant::now();
    let Some((looked_at, before)) = LOOKED.get() else {
        return LOOKED.set(Some((now, thread_cpu())));
    };
    if now.duration_since(looked_at) < LOOK_PERIOD {
        return;
    }
    let cpu = thread_cpu();
    LOOKED.set(Some((now, cpu)));
    let took = cpu.saturating_sub(before);
    shard.longest_turn.0.fetch_max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    if took > TURN_TIME_LONG {
        counters.long_turns.add(1);
    }
}
