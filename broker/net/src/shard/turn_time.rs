//! Length of a shard's turns, in processor time: while one lasts, nobody else on the shard is
//! served.
//!
//! The processor's clock costs a system call. So it is read at most once a tick of the kernel's
//! coarse clock (1 to 10 ms), which costs next to nothing. The measured time of a turn may contain
//! that much of earlier turns, but no turn of another thread or process.

use std::cell::Cell;
use std::time::Duration;

use super::super::limits::TURN_TIME_LONG;
use lotmq_core::counters::Counters;
use lotmq_core::turn::home::Home;
use lotmq_process::clock::{coarse, thread_cpu};

thread_local! {
    /// Last reading of this thread's processor time, with its time by the coarse clock.
    static LOOKED: Cell<Option<(Duration, Duration)>> = const { Cell::new(None) };
}

/// Notes that a turn of this thread has ended, or that it is idle; returns the time, by the coarse
/// clock.
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
