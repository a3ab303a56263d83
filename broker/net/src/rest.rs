//! Rest of a shard: one that had nothing to do for a while leaves out its ticks until a timer is
//! due, it must show that it lives, or something comes.
//!
//! A shard notices input when it begins to work after it has been idle. A busy one pays nothing for
//! it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::limits::{QUIET_PERMILLE, QUIET_TICKS};
use lotmq_core::turn::Turn;
use lotmq_pulse::Heartbeat;

thread_local! {
    /// Rest of this thread's shard.
    static OWN: RefCell<Option<Arc<Rest>>> = const { RefCell::new(None) };
    /// Whether anything has come since the last tick.
    static HAS_WORKED: Cell<bool> = const { Cell::new(false) };
}

/// Rest of a shard, for itself and for other threads.
pub(crate) struct Rest {
    is_on: AtomicBool,
    ended: Notify,
    /// Pulse of the shard.
    pulse: Arc<Heartbeat>,
}

impl Rest {
    pub(super) fn new(pulse: &Arc<Heartbeat>) -> Self {
        Self { is_on: AtomicBool::new(false), ended: Notify::new(), pulse: Arc::clone(pulse) }
    }

    /// Whether the shard rests.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    pub(super) fn begin(&self) {
        self.is_on.store(true, Ordering::SeqCst);
    }

    /// Ends the rest: the shard ticks at once. Whether it was on.
    pub(super) fn end(&self) -> bool {
        let was_on = self.is_on() && self.is_on.swap(false, Ordering::SeqCst);
        if was_on {
            self.ended.notify_one();
        }
        was_on
    }

    /// Sleeps for so long, or until the rest ends.
    pub(super) async fn sleep(&self, time: Duration) {
        // Either way the shard looks whether it still rests.
        let _ = timeout(time, self.ended.notified()).await;
    }
}

/// Makes this the rest of the calling thread.
pub(super) fn install(rest: &Arc<Rest>) {
    OWN.set(Some(Arc::clone(rest)));
}

/// Notes that something has come to the shard of this thread, whose rest ends. Call after an idle
/// time, before anything else.
pub(super) fn work_comes(turn: &mut Turn) {
    HAS_WORKED.set(true);
    OWN.with_borrow(|own| {
        if let Some(rest) = own.as_ref().filter(|rest| rest.end()) {
            rest.pulse.begins(Instant::now());
            turn.tick();
            // Threads that work by the clock rest as long as all shards do.
            turn.context.tell(|hooks| hooks.has_work());
        }
    });
}

/// Ticks in a row in which a shard has had nothing to do.
#[derive(Default)]
pub(super) struct Quiet(u32);

impl Quiet {
    /// Notes the tick after a time of which the thread has worked so much.
    pub(super) fn ticked(&mut self, busy_permille: u32) {
        let is_quiet = !HAS_WORKED.take() && busy_permille < QUIET_PERMILLE;
        self.0 = if is_quiet { self.0.saturating_add(1) } else { 0 };
    }

    /// Whether there were enough for a rest.
    pub(super) fn is_long(&self) -> bool {
        self.0 >= QUIET_TICKS
    }
}
