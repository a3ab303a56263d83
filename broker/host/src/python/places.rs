//! Places of calls of scripts that run: [`PYTHON_AT_ONCE_MAX`], shared out between those in whose name they are called. Of the calls that wait, the next is one whose owner has
//! fewest running, and of several such the first that came.

use crate::{executor::RunOwner, limits::PYTHON_AT_ONCE_MAX};
use parking_lot::{Condvar, Mutex};
use std::time::Instant;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct CallPlaces {
    calls: Mutex<Calls>,
    changed: Condvar,
}

#[derive(Default)]
struct Calls {
    next: u64,
    /// In whose name those are that run.
    running: Vec<RunOwner>,
    /// Those that wait, by number.
    waiting: Vec<(u64, RunOwner)>,
}

/// Place of a call that runs; given back when it is dropped.
pub(super) struct CallPlace<'a> {
    places: &'a CallPlaces,
    owner: RunOwner,
}

impl CallPlaces {
    /// A place for a call in the name of the calling thread's owner, as soon as it is his turn; `None` when the time is over.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Option<CallPlace<'_>> {
        let owner = RunOwner::of_thread();
        let mut calls = self.calls.lock();
        let number = calls.next;
        calls.next += 1;
        calls.waiting.push((number, owner));
        let mut is_over = false;
        while !calls.is_next(number) && !is_over {
            match deadline {
                Some(deadline) => is_over = self.changed.wait_until(&mut calls, deadline).timed_out(),
                None => self.changed.wait(&mut calls),
            }
        }
        let is_next = calls.is_next(number);
        calls.waiting.retain(|(waiting, _)| *waiting != number);
        if is_next {
            calls.running.push(owner);
        }
        // There may be a place for another one, too.
        self.changed.notify_all();
        // Made only then: to drop it takes the lock.
        is_next.then(|| CallPlace { places: self, owner })
    }

    /// Does something in the midst of a call; its place is another one's meanwhile.
    pub(super) fn rest(&self, work: impl FnOnce()) {
        self.give_back(RunOwner::of_thread());
        work();
        // Whoever has a place gives it back, or rests himself, within the time of a call. It is given back by the call.
        std::mem::forget(self.take(None));
    }

    fn give_back(&self, owner: RunOwner) {
        let mut calls = self.calls.lock();
        if let Some(at) = calls.running.iter().position(|running| *running == owner) {
            calls.running.swap_remove(at);
        }
        self.changed.notify_all();
    }
}

impl Calls {
    fn is_next(&self, number: u64) -> bool {
        let running = |owner: RunOwner| self.running.iter().filter(|running| **running == owner).count();
        let next = self.waiting.iter().min_by_key(|(number, owner)| (running(*owner), *number));
        self.running.len() < PYTHON_AT_ONCE_MAX && next.is_some_and(|(next, _)| *next == number)
    }
}

impl Drop for CallPlace<'_> {
    fn drop(&mut self) {
        self.places.give_back(self.owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_no_place_in_time_takes_none_and_goes_on() {
        let places = CallPlaces::default();
        let mut held: Vec<_> =
            (0..PYTHON_AT_ONCE_MAX).map(|_| places.take(None).expect("there are so many")).collect();
        assert!(places.take(Some(Instant::now())).is_none());
        held.pop();
        assert!(places.take(Some(Instant::now())).is_some());
    }

    #[test]
    fn who_has_fewest_running_is_next() {
        let owner = |account| RunOwner { tenant: 0, account };
        let mut calls =
            Calls { waiting: vec![(1, owner(1)), (2, owner(1)), (3, owner(2))], ..Calls::default() };
        assert!(calls.is_next(1) && !calls.is_next(3));
        calls.running = vec![owner(1)];
        assert!(!calls.is_next(1) && calls.is_next(3));
        calls.running = vec![owner(1), owner(2), owner(3)];
        assert!(calls.is_next(1));
        calls.running = vec![owner(4); PYTHON_AT_ONCE_MAX];
        assert!(![1, 2, 3].into_iter().any(|number| calls.is_next(number)));
    }
}
