//! Tasks of one thread of routes, which take turns by tenant and owner: a turn is one poll of a
//! task, which a guest leaves at the next tick of the clock that stops guests.
//!
//! Tasks of one owner have their turns in the order in which they were woken; one that is not woken
//! costs nothing. A task that panics ends, and no other does.
//!
//! Not here: who wakes a task, and what it does.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use hashbrown::HashMap;
use lotmq_shares::{OwnerKey, OwnerTurns};
use parking_lot::Mutex;
use tokio::task::yield_now;

/// Tasks of one thread.
#[derive(Clone, Default)]
pub(super) struct FairTasks(Rc<ThreadTasks>);

#[derive(Default)]
struct ThreadTasks {
    ready: Arc<ReadyTasks>,
    /// Those that have not ended, but for the one that is polled, by their number.
    resting: RefCell<HashMap<u64, FairTask>>,
    spawned: Cell<u64>,
}

/// Task that has not ended.
struct FairTask {
    future: Pin<Box<dyn Future<Output = ()>>>,
    /// Present account of its owner.
    account: Box<dyn Fn() -> u64>,
    call: Arc<TaskCall>,
}

/// Tasks that want their turn.
#[derive(Default)]
struct ReadyTasks {
    turns: Mutex<OwnerTurns<Arc<TaskCall>>>,
    /// Waker of the task that gives turns.
    giver: Mutex<Option<Waker>>,
}

/// Call of a task for its turn.
struct TaskCall {
    number: u64,
    tenant: u32,
    account: AtomicU64,
    /// Whether it is among those that want their turn.
    is_ready: AtomicBool,
    ready: Weak<ReadyTasks>,
}

impl Wake for TaskCall {
    fn wake(self: Arc<Self>) {
        let Some(ready) = self.ready.upgrade().filter(|_| !self.is_ready.swap(true, Ordering::AcqRel)) else {
            return;
        };
        let owner = OwnerKey { tenant: self.tenant, quota_key: self.account.load(Ordering::Relaxed) };
        ready.turns.lock().push(owner, self);
        let giver = ready.giver.lock().clone();
        if let Some(giver) = giver {
            giver.wake();
        }
    }
}

impl ThreadTasks {
    /// The next call, by turns; the task of `cx` is woken when there is one.
    fn next(&self, cx: &Context<'_>) -> Poll<Arc<TaskCall>> {
        *self.ready.giver.lock() = Some(cx.waker().clone());
        self.ready.turns.lock().pop().map_or(Poll::Pending, Poll::Ready)
    }
}

impl FairTasks {
    /// Has one task more, for an owner whose share is asked for before each of its turns but the
    /// first.
    pub(super) fn spawn(
        &self,
        tenant: u32,
        account: impl Fn() -> u64 + 'static,
        task: impl Future<Output = ()> + 'static,
    ) {
        let number = self.0.spawned.get();
        self.0.spawned.set(number + 1);
        let call = Arc::new(TaskCall {
            number,
            tenant,
            account: AtomicU64::new(account()),
            is_ready: AtomicBool::new(false),
            ready: Arc::downgrade(&self.0.ready),
        });
        let task = FairTask { future: Box::pin(task), account: Box::new(account), call: Arc::clone(&call) };
        self.0.resting.borrow_mut().insert(number, task);
        call.wake();
    }

    /// Gives turns forever. Yields between two turns, so that sockets, timers and their waiting
    /// tasks get a turn as soon as others.
    pub(super) async fn take_turns(self) {
        loop {
            let call = poll_fn(|cx| self.0.next(cx)).await;
            self.turn(&call);
            yield_now().await;
        }
    }

    /// Gives a task its turn. One that has ended has none.
    fn turn(&self, call: &Arc<TaskCall>) {
        let Some(mut task) = self.0.resting.borrow_mut().remove(&call.number) else { return };
        // A wake-up from now on is for another turn.
        call.is_ready.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(call));
        let polled =
            catch_unwind(AssertUnwindSafe(|| task.future.as_mut().poll(&mut Context::from_waker(&waker))));
        if let Ok(Poll::Pending) = polled {
            task.call.account.store((task.account)(), Ordering::Relaxed);
            self.0.resting.borrow_mut().insert(call.number, task);
        } else {
            // The drop of the task may panic as well.
            drop(catch_unwind(AssertUnwindSafe(|| drop(task))));
        }
    }
}

/// Whether a future ends by a panic, which goes no further; it is dropped then.
pub(super) async fn ends_by_panic(task: impl Future<Output = ()>) -> bool {
    let mut task = Box::pin(task);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
        Ok(polled) => polled.map(|()| false),
        Err(_) => Poll::Ready(true),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::LocalSet;

    /// Notes each turn of its owner, so many.
    fn spawn_noting(tasks: &FairTasks, turns: &Rc<RefCell<Vec<u64>>>, account: u64, count: usize) {
        let turns = Rc::clone(turns);
        tasks.spawn(0, move || account, async move {
            for _ in 0..count {
                turns.borrow_mut().push(account);
                yield_now().await;
            }
        });
    }

    fn run_until(tasks: &FairTasks, is_over: impl Fn() -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let local = LocalSet::new();
        local.spawn_local(tasks.clone().take_turns());
        local.block_on(&runtime, async {
            while !is_over() {
                yield_now().await;
            }
        });
    }

    #[test]
    fn each_owner_has_as_many_turns_however_many_tasks_others_have() {
        const TASKS: usize = 180;
        const TURNS: usize = 50;
        let (tasks, turns) = (FairTasks::default(), Rc::new(RefCell::new(Vec::new())));
        (0..TASKS).for_each(|_| spawn_noting(&tasks, &turns, 1, TURNS));
        spawn_noting(&tasks, &turns, 2, TURNS);
        spawn_noting(&tasks, &turns, 3, TURNS);
        run_until(&tasks, || turns.borrow().len() == (TASKS + 2) * TURNS);
        let turns = turns.borrow();
        let last_of_others = turns.iter().rposition(|account| *account != 1).unwrap();
        let of_many = turns[..last_of_others].iter().filter(|account| **account == 1).count();
        assert!(of_many <= TURNS + 2, "{of_many} turns of the tasks of one owner in {TURNS} of another's");
    }

    #[test]
    fn a_task_that_panics_ends_alone_and_what_has_ended_is_not_kept() {
        let (tasks, turns) = (FairTasks::default(), Rc::new(RefCell::new(Vec::new())));
        tasks.spawn(0, || 1, async { panic!("on purpose") });
        spawn_noting(&tasks, &turns, 1, 3);
        let turned = Rc::clone(&turns);
        run_until(&tasks, move || turned.borrow().len() == 3);
        run_until(&tasks, || tasks.0.resting.borrow().is_empty());
    }
}
