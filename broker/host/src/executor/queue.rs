//! The run queue: definitions and errands that have something to do, and definitions that pause.
//!
//! Tenants take turns, so do the owners within a tenant and the definitions of an owner. So an
//! owner with a thousand busy definitions gets no more time than one with a single definition. Runs
//! that wait for scripts or routes hold their threads. Their owner gets no turn while they use half
//! of the stand-in threads that others leave.

use super::{Errand, Runner};
use lotmq_shares::{OwnerKey, OwnerTurns, Usage, share_of};
use parking_lot::{Condvar, Mutex};
use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Instant};

/// Work that a worker found.
pub(crate) enum Next {
    /// Something to run.
    Run(Arc<Runner>),
    /// An errand to carry out.
    Errand(Arc<dyn Errand>),
    /// Nothing until the time that was given, or until a call.
    Nothing,
    /// The executor ends.
    Closed,
}

#[derive(Default)]
pub(crate) struct RunQueue {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Nothing runs any more.
    rests: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Definitions that run.
    running: usize,
    ready: OwnerTurns<ReadyToRun>,
    waits: Waits,
    pausing: BinaryHeap<Reverse<Pausing>>,
    sleeping: usize,
    /// A worker is to look around.
    is_called: bool,
    /// Nothing begins to run.
    is_held: bool,
    is_closed: bool,
}

/// Work that waits for a turn.
enum ReadyToRun {
    Runner(Arc<Runner>),
    Errand(Arc<dyn Errand>),
}

/// Reason for which a run waits and holds its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunWait {
    /// The result of a Python script.
    Script,
    /// Rows of a route.
    Route,
    /// The end of its large output: messages on their way to receivers and to the store.
    Writes,
}

impl RunWait {
    /// All there are.
    pub const ALL: [RunWait; 3] = [RunWait::Script, RunWait::Route, RunWait::Writes];

    /// Its name in figures.
    pub fn name(self) -> &'static str {
        match self {
            RunWait::Script => "script",
            RunWait::Route => "route",
            RunWait::Writes => "writes",
        }
    }
}

/// Runs that wait, each with its thread.
#[derive(Default)]
struct Waits {
    threads: Usage<OwnerKey>,
    /// How many wait for each of [`RunWait::ALL`].
    by_kind: [usize; RunWait::ALL.len()],
    /// How many threads stand in for others at most.
    most: u64,
}

/// Part of the threads that others leave which one owner may use.
const OWNER_WAITS_PART: (u64, u64) = (1, 2);

impl Waits {
    /// Whether a run of an owner may begin that may have to wait, too. An owner may use half of the
    /// threads that others leave, and one in any case.
    fn lets(&self, owner: OwnerKey) -> bool {
        let own = self.threads.of(&owner);
        own == 0 || own < share_of(self.most, self.threads.all() - own, OWNER_WAITS_PART)
    }
}

/// Ordered by time only.
struct Pausing(Instant, Arc<Runner>);

impl RunQueue {
    /// A queue for threads of which `spare_threads_max` may wait while others stand in for them.
    pub(crate) fn new(spare_threads_max: usize) -> Self {
        let waits = Waits { most: spare_threads_max as u64, ..Waits::default() };
        RunQueue { inner: Mutex::new(Inner { waits, ..Inner::default() }), ..RunQueue::default() }
    }

    /// A run of an owner waits from now on, with its thread.
    pub(crate) fn waits(&self, owner: OwnerKey, kind: RunWait) {
        let mut inner = self.inner.lock();
        inner.waits.threads.change(owner, |threads| *threads += 1);
        inner.waits.by_kind[kind as usize] += 1;
    }

    /// How many runs wait for this.
    pub(crate) fn waiting(&self, kind: RunWait) -> usize {
        self.inner.lock().waits.by_kind[kind as usize]
    }

    /// A run of an owner waits no longer.
    pub(crate) fn goes_on(&self, owner: OwnerKey, kind: RunWait) {
        let mut inner = self.inner.lock();
        let waits = &mut inner.waits;
        waits.threads.change(owner, |threads| *threads -= 1);
        waits.by_kind[kind as usize] -= 1;
        // Definitions that this wait held back may run now.
        if !inner.ready.is_empty() && inner.sleeping > 0 {
            self.changed.notify_all();
        }
    }

    /// Adds a definition that has become ready.
    pub(crate) fn push(&self, runner: Arc<Runner>) {
        let mut inner = self.inner.lock();
        inner.push(runner);
        if inner.sleeping > 0 {
            self.changed.notify_one();
        }
    }

    /// Adds an errand that has something to do.
    pub(crate) fn push_errand(&self, errand: Arc<dyn Errand>) {
        let mut inner = self.inner.lock();
        if inner.is_closed {
            drop(inner);
            return errand.forget();
        }
        inner.ready.push(errand.owner(), ReadyToRun::Errand(errand));
        if inner.sleeping > 0 {
            self.changed.notify_one();
        }
    }

    /// Adds a definition that pauses until then.
    pub(crate) fn push_pausing(&self, runner: Arc<Runner>, until: Instant) {
        let mut inner = self.inner.lock();
        inner.pausing.push(Reverse(Pausing(until, runner)));
        if inner.sleeping > 0 {
            self.changed.notify_one();
        }
    }

    /// Calls a worker away from its wait.
    pub(crate) fn call(&self) {
        self.inner.lock().is_called = true;
        self.changed.notify_one();
    }

    /// The next one to run; waits for it until `deadline`.
    pub(crate) fn next(&self, deadline: Instant) -> Next {
        let mut inner = self.inner.lock();
        loop {
            if inner.is_closed {
                return Next::Closed;
            }
            if !inner.is_held {
                if !inner.pausing.is_empty() {
                    inner.resume(Instant::now());
                }
                if let Some(ready) = inner.pop() {
                    inner.running += 1;
                    return match ready {
                        ReadyToRun::Runner(runner) => Next::Run(runner),
                        ReadyToRun::Errand(errand) => Next::Errand(errand),
                    };
                }
            }
            if std::mem::take(&mut inner.is_called) || Instant::now() >= deadline {
                return Next::Nothing;
            }
            let resumes = inner.pausing.peek().filter(|_| !inner.is_held);
            let until = resumes.map_or(deadline, |Reverse(first)| first.0.min(deadline));
            inner.sleeping += 1;
            self.changed.wait_until(&mut inner, until);
            inner.sleeping -= 1;
        }
    }

    /// The turn of what [`next`](Self::next) gave is over, and it is in the queue again if it has
    /// more to do.
    pub(crate) fn turn_ended(&self) {
        let mut inner = self.inner.lock();
        inner.running -= 1;
        if inner.is_at_rest() {
            self.rests.notify_all();
        }
    }

    /// Holds all definitions, except while a caller [waits for the rest](Self::wait_for_rest).
    pub(crate) fn hold(&self) {
        self.inner.lock().is_held = true;
    }

    /// Whether nothing runs and nothing is to be run, pauses included.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.inner.lock().is_at_rest()
    }

    /// Waits until nothing runs and nothing is to be run, pauses included, or until `deadline`.
    /// Whether that is so.
    pub(crate) fn wait_for_rest(&self, deadline: Instant) -> bool {
        let mut inner = self.inner.lock();
        let was_held = std::mem::take(&mut inner.is_held);
        if was_held {
            self.changed.notify_all();
        }
        while !inner.is_at_rest() && !self.rests.wait_until(&mut inner, deadline).timed_out() {}
        inner.is_held = was_held;
        inner.is_at_rest()
    }

    /// Wakes all workers for good.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.is_closed = true;
        let mut ready = std::mem::take(&mut inner.ready);
        inner.pausing.clear();
        self.changed.notify_all();
        drop(inner);
        while let Some(ready) = ready.pop() {
            if let ReadyToRun::Errand(errand) = ready {
                errand.forget();
            }
        }
    }
}

impl Inner {
    fn is_at_rest(&self) -> bool {
        let waits = |pausing: &Reverse<Pausing>| pausing.0.1.metrics().waiting > 0;
        self.running == 0 && self.ready.is_empty() && !self.pausing.iter().any(waits)
    }

    fn push(&mut self, runner: Arc<Runner>) {
        self.ready.push(runner.owner(), ReadyToRun::Runner(runner));
    }

    fn pop(&mut self) -> Option<ReadyToRun> {
        let Inner { ready, waits, .. } = self;
        ready.take(|owner, line| waits.lets(owner).then(|| line.pop_front())?)
    }

    /// Moves the definitions whose pause is over to the ready ones.
    fn resume(&mut self, now: Instant) {
        while self.pausing.peek().is_some_and(|Reverse(first)| first.0 <= now)
            && let Some(Reverse(Pausing(_, runner))) = self.pausing.pop()
        {
            if runner.resume(now) {
                self.push(runner);
            }
        }
    }
}

impl PartialEq for Pausing {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Pausing {}

impl PartialOrd for Pausing {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pausing {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_others_leave_is_for_one_owner() {
        let owner = |quota_key| OwnerKey { tenant: 0, quota_key };
        let queue = RunQueue::new(64);
        let mut taken = Vec::new();
        for account in 1..=8 {
            let mut own = 0;
            while queue.inner.lock().waits.lets(owner(account)) {
                queue.waits(owner(account), RunWait::ALL[own % 3]);
                own += 1;
            }
            taken.push(own);
        }
        assert_eq!(taken, [32, 16, 8, 4, 2, 1, 1, 1]);
        let waiting = || RunWait::ALL.map(|kind| queue.waiting(kind));
        assert_eq!(waiting(), [26, 21, 18]);
        queue.goes_on(owner(1), RunWait::Route);
        assert_eq!(waiting(), [26, 20, 18]);
        assert!(queue.inner.lock().waits.lets(owner(9)));
    }
}
