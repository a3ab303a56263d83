//! How long the turns of a shard are, in processor time: while one lasts, nobody else on the shard is served.
//!
//! The processor's clock costs a system call, so it is looked at once a tick of the kernel's coarse clock at most (1 to 10 ms), which costs next to nothing.
//! What is measured as one turn may contain that much of those before it; a turn of another thread, or of another process, is not in it.

use std::cell::Cell;
use std::time::Duration;

use crate::limits::TURN_TIME_LONG;
use crate::process::clock::{coarse, thread_cpu};
use lotmq_core::counters::Counters;
use lotmq_core::turn::home::Home;

thread_local! {
    /// When this thread looked at its processor time, by the coarse clock, and what that was.
    static LOOKED: Cell<Option<(Duration, Duration)>> = const { Cell::new(None) };
}

/// A turn of this thread has ended, or it has nothing to do; when that was, by the coarse clock.
pub(super) fn turn_ended(home: &Home, counters: &Counters) -> Duration {
    let now = coarse();
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
    home.longest_turn.note(took);
    if took > TURN_TIME_LONG {
        counters.long_turns.add(1);
    }
    now
}
