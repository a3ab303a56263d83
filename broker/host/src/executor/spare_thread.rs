//! Threads that stand in for those whose run waits ([`RunWait`]), so that nobody else's runs wait
//! with it.
//!
//! A run that waits keeps its thread and its definition's place: its mailbox waits. The executor
//! goes on with one more thread meanwhile.
//!
//! Invariants: at most as many stand in as threads are away, and at most
//! [`ExecutorOptions::spare_threads_max`](super::ExecutorOptions); one that is not needed sleeps
//! and is used again.

use super::{RunWait, Shared, ThreadArguments, owner_of_thread, worker, worker::SharedSink};
use lotmq_pulse::{Heartbeat, while_away};
use lotmq_shares::OwnerKey;
use parking_lot::{Condvar, Mutex};
use std::{cell::RefCell, sync::Arc, time::Instant};

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct SpareThreads {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    /// Threads whose run waits.
    away: usize,
    /// Threads that stand in.
    awake: usize,
    /// Threads that have nobody to stand in for.
    asleep: usize,
    /// How many of those are to wake up.
    called: usize,
    is_closed: bool,
}

thread_local! {
    /// The executor that this thread works for, and where its results go.
    static EXECUTOR: RefCell<Option<(Arc<Shared>, SharedSink)>> = const { RefCell::new(None) };
}

/// Says that this thread works for an executor.
pub(super) fn register(shared: &Arc<Shared>, sink: &SharedSink) {
    EXECUTOR.set(Some((shared.clone(), sink.clone())));
}

/// Does something that may take long within a run. On an executor's thread another one works
/// meanwhile, and what ran before in the same turn goes out first.
pub fn away<T>(kind: RunWait, work: impl FnOnce() -> T) -> T {
    let Some((shared, sink)) = EXECUTOR.with_borrow(Clone::clone) else { return work() };
    // While the sink takes a result it is borrowed. Then the collected effects go out with that
    // result.
    if let Ok(mut sink) = sink.try_borrow_mut() {
        sink.turn_finished();
    }
    /// Back also after a panic.
    struct Away(Arc<Shared>, OwnerKey, RunWait);
    impl Drop for Away {
        fn drop(&mut self) {
            self.0.spare_threads.counts.lock().away -= 1;
            self.0.queue.goes_on(self.1, self.2);
        }
    }
    let owner = owner_of_thread();
    shared.queue.waits(owner, kind);
    let away = Away(shared, owner, kind);
    away.0.leave();
    while_away(Instant::now, work)
}

impl Shared {
    fn leave(self: &Arc<Self>) {
        let mut counts = self.spare_threads.counts.lock();
        counts.away += 1;
        if counts.awake >= counts.away.min(self.options.spare_threads_max) || counts.is_closed {
            return;
        }
        counts.awake += 1;
        if counts.asleep > 0 {
            (counts.asleep, counts.called) = (counts.asleep - 1, counts.called + 1);
            self.spare_threads.changed.notify_one();
            return;
        }
        drop(counts);
        if let Err(error) = self.spawn(spare_thread) {
            tracing::warn!(%error, "no thread stands in for one that waits");
            self.spare_threads.counts.lock().awake -= 1;
        }
    }
}

/// Body of a stand-in thread.
fn spare_thread(shared: &Arc<Shared>, arguments: ThreadArguments) {
    let pulse = Arc::clone(&arguments.pulse);
    worker::run(shared, arguments, || shared.spare_threads.stay(&pulse));
}

impl SpareThreads {
    /// Sleeps while nobody is away for whom the calling thread stands in. False when the executor
    /// ends.
    fn stay(&self, pulse: &Heartbeat) -> bool {
        let mut counts = self.counts.lock();
        if counts.awake > counts.away && !counts.is_closed {
            (counts.awake, counts.asleep) = (counts.awake - 1, counts.asleep + 1);
            while counts.called == 0 && !counts.is_closed {
                let beat = pulse.waits_one_beat(Instant::now());
                self.changed.wait_until(&mut counts, beat);
            }
            counts.called = counts.called.saturating_sub(1);
        }
        !counts.is_closed
    }

    /// Lets all of them end.
    pub(super) fn close(&self) {
        self.counts.lock().is_closed = true;
        self.changed.notify_all();
    }
}
