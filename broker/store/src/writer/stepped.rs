//! The writer without a thread: the caller of a stepped store decides when a group is committed,
//! and what time it is.
//!
//! For simulations, which must see the same things happen in the same order each time. A step does
//! with a group what the threads do. At its end it reads the queues that were requested.
//!
//! Invariants: between two steps nothing happens; equal calls in equal order write equal bytes. Not
//! here: when to step.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use parking_lot::Mutex;

use super::{EndGuard, Writer};
use crate::backend::Note;
use crate::contain;
use crate::reader::Work;
use crate::secret::RandomSource;
use crate::shared::Shared;

/// Environment that a stepped store uses instead of the machine.
pub struct Surroundings {
    /// Time since some start; never runs backwards.
    pub now: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Source of nonces for secrets and for the audit. With a key that protects anything, no 12
    /// bytes may come twice.
    pub random: RandomSource,
    /// Note for the next process, stored outside the file.
    pub note: Box<dyn Note>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("now", &(self.now)()).finish_non_exhaustive()
    }
}

/// Drive of a store without threads, made by [`Store::open_stepped`](crate::Store::open_stepped).
///
/// Dropping it is a crash, unless the store was closed: nothing more is written, and the store
/// takes nothing any more.
pub struct Stepper(Arc<Steps>);

impl Stepper {
    pub(crate) fn new(steps: &Arc<Steps>) -> Self {
        Self(Arc::clone(steps))
    }

    /// Does what waits, as far as it makes one group: commits it, calls `on_commit`, serves
    /// snapshots and reads queues. A group does not wait for more. When nothing waits and
    /// [`Stepper::next_due`] has come, tries to open a store that has failed; without a
    /// [`Limits::reopen_pause`](crate::Limits) that is always so while it fails. False when there
    /// was nothing to do.
    ///
    /// Called within a step, as from `on_commit`, it does nothing.
    pub fn step(&self) -> bool {
        self.0.step()
    }

    /// Whether anything waits for a step.
    pub fn has_work(&self) -> bool {
        self.0.shared.queue.has_work()
    }

    /// When the store wants a step though nothing has come, by the clock it was given: while it
    /// fails. `None` within a step, and when it is closed.
    pub fn next_due(&self) -> Option<Duration> {
        self.0.machinery.try_lock()?.as_ref()?.writer.next_wake()
    }
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (has_work, next_due) = (self.has_work(), self.next_due());
        f.debug_struct("Stepper").field("has_work", &has_work).field("next_due", &next_due).finish()
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        self.0.crash();
    }
}

/// State that a stepped store and its [`Stepper`] share.
pub(crate) struct Steps {
    shared: Arc<Shared>,
    /// `None` after the end. Locked for as long as a step takes.
    machinery: Mutex<Option<Machinery>>,
}

/// State that threads would own.
struct Machinery {
    writer: Writer,
    /// Read requests.
    work: Receiver<Work>,
}

impl Steps {
    pub(crate) fn new(mut writer: Writer, work: Receiver<Work>) -> Arc<Self> {
        writer.make_room();
        let shared = Arc::clone(&writer.shared);
        Arc::new(Self { shared, machinery: Mutex::new(Some(Machinery { writer, work })) })
    }

    fn step(&self) -> bool {
        // Only a step itself finds it locked, in what it calls.
        let Some(mut machinery) = self.machinery.try_lock() else { return false };
        machinery.as_mut().is_some_and(Machinery::step)
    }

    /// Steps until nothing waits.
    pub(crate) fn settle(&self) {
        while self.shared.queue.has_work() && self.step() {}
    }

    /// Commits what waits and closes the file.
    pub(crate) fn close(&self) {
        self.shared.queue.close();
        self.settle();
        let Some(Machinery { writer, .. }) = self.take() else { return };
        let _end = EndGuard(Arc::clone(&self.shared));
        writer.finish();
    }

    /// Ends as the machine does when its power goes: nobody is told.
    fn crash(&self) {
        let Some(Machinery { mut writer, .. }) = self.take() else { return };
        self.shared.queue.close();
        self.shared.outcomes.end();
        contain::abandon((writer.take_database(), writer.view.take()));
    }

    fn take(&self) -> Option<Machinery> {
        self.machinery.try_lock()?.take()
    }
}

impl Machinery {
    fn step(&mut self) -> bool {
        let is_due = self.writer.next_wake().is_some_and(|due| due <= self.writer.clock.now());
        let Some(group) = self.writer.shared.queue.take_waiting(is_due) else { return false };
        self.writer.handle(group);
        for work in self.work.try_iter() {
            work.serve(&self.writer.shared);
        }
        true
    }
}
