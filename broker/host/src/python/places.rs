//! Places of calls of scripts that run: [`PYTHON_AT_ONCE_MAX`], shared out between those in whose
//! name they are called.
//!
//! One owner has at most three quarters of the places. Of the calls that wait, the next is one
//! whose owner has fewest running; owners with equally many take turns, and of one owner's calls
//! the first that came is next. A call that has run for a slice gives its place to the call of an
//! owner who has fewer, and goes on later.

use crate::{
    executor::RunOwner,
    limits::{PYTHON_AT_ONCE_MAX, PYTHON_OWNER_MAX},
};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct CallPlaces {
    calls: Mutex<Calls>,
    changed: Condvar,
}

#[derive(Default)]
struct Calls {
    /// Number of the next call, and of the next beginning.
    next: u64,
    /// In whose name those are that run.
    running: Vec<RunOwner>,
    /// Those that wait, by number.
    waiting: Vec<(u64, RunOwner)>,
    /// When a call of an owner began last, of those who have any.
    began: Vec<(RunOwner, u64)>,
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
        let number = calls.join(owner);
        // Made only when the lock is free: to drop it takes the lock.
        self.wait(calls, (number, owner), deadline).then(|| CallPlace { places: self, owner })
    }

    /// Waits until a call may run, which is among the running ones then; false when the time is
    /// over.
    fn wait(
        &self,
        mut calls: MutexGuard<'_, Calls>,
        (number, owner): (u64, RunOwner),
        deadline: Option<Instant>,
    ) -> bool {
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
            calls.begin(owner);
        }
        calls.forget_absent();
        // There may be a place for another one, too.
        self.changed.notify_all();
        is_next
    }

    /// Does something in the midst of a call; its place is another one's meanwhile.
    pub(super) fn rest(&self, work: impl FnOnce()) {
        self.give_back(RunOwner::of_thread());
        work();
        // Whoever has a place gives it back, or rests himself, within the time of a call. It is given back by the call.
        std::mem::forget(self.take(None));
    }

    /// Gives the place of a call to one that waits and whose owner has fewer running, and waits for
    /// the next one. False where nobody does.
    pub(super) fn give_way(&self) -> bool {
        let owner = RunOwner::of_thread();
        let mut calls = self.calls.lock();
        let Some(number) = calls.give_way(owner) else { return false };
        self.changed.notify_all();
        self.wait(calls, (number, owner), None)
    }

    fn give_back(&self, owner: RunOwner) {
        self.calls.lock().leave(owner);
        self.changed.notify_all();
    }
}

impl Calls {
    /// Number of a call that waits from now on.
    fn join(&mut self, owner: RunOwner) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.push((number, owner));
        number
    }

    /// Notes that a call of an owner runs.
    fn begin(&mut self, owner: RunOwner) {
        self.running.push(owner);
        let at = self.next;
        self.next += 1;
        match self.began.iter_mut().find(|(of, _)| *of == owner) {
            Some((_, began)) => *began = at,
            None => self.began.push((owner, at)),
        }
    }

    /// Forgets when the calls of those began who have none.
    fn forget_absent(&mut self) {
        let Calls { running, waiting, began, .. } = self;
        began.retain(|(owner, _)| {
            running.contains(owner) || waiting.iter().any(|(_, waiting)| waiting == owner)
        });
    }

    /// When a call of an owner began last; 0 for who is new.
    fn began(&self, owner: RunOwner) -> u64 {
        self.began.iter().find(|(of, _)| *of == owner).map_or(0, |(_, began)| *began)
    }

    /// Ends a running call of an owner.
    fn leave(&mut self, owner: RunOwner) {
        if let Some(at) = self.running.iter().position(|running| *running == owner) {
            self.running.swap_remove(at);
        }
    }

    /// How many calls of an owner run.
    fn running_of(&self, owner: RunOwner) -> usize {
        self.running.iter().filter(|running| **running == owner).count()
    }

    /// Whether one more call of an owner may run.
    fn may_run(&self, owner: RunOwner) -> bool {
        self.running.len() < PYTHON_AT_ONCE_MAX && self.running_of(owner) < PYTHON_OWNER_MAX
    }

    fn is_next(&self, number: u64) -> bool {
        let may_run = self.waiting.iter().filter(|(_, owner)| self.may_run(*owner));
        let next =
            may_run.min_by_key(|(number, owner)| (self.running_of(*owner), self.began(*owner), *number));
        next.is_some_and(|(next, _)| *next == number)
    }

    /// Has a running call of the owner with most of them wait, if all places are taken and a call
    /// of somebody waits who has fewer: its number then.
    fn give_way(&mut self, owner: RunOwner) -> Option<u64> {
        let own = self.running_of(owner);
        let has_most = self.running.iter().all(|running| self.running_of(*running) <= own);
        let is_wanted = self.waiting.iter().any(|(_, waiting)| self.running_of(*waiting) < own);
        if self.running.len() < PYTHON_AT_ONCE_MAX || !has_most || !is_wanted {
            return None;
        }
        self.leave(owner);
        Some(self.join(owner))
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

    fn owner(account: u64) -> RunOwner {
        RunOwner { tenant: 0, account }
    }

    #[test]
    fn who_gets_no_place_in_time_takes_none_and_goes_on() {
        let places = CallPlaces::default();
        let mut held: Vec<_> =
            (0..PYTHON_OWNER_MAX).map(|_| places.take(None).expect("there are so many")).collect();
        assert!(places.take(Some(Instant::now())).is_none());
        held.pop();
        assert!(places.take(Some(Instant::now())).is_some());
    }

    #[test]
    fn who_has_fewest_running_is_next() {
        let mut calls =
            Calls { waiting: vec![(1, owner(1)), (2, owner(1)), (3, owner(2))], ..Calls::default() };
        assert!(calls.is_next(1) && !calls.is_next(3));
        calls.running = vec![owner(1)];
        assert!(!calls.is_next(1) && calls.is_next(3));
        calls.waiting = vec![(1, owner(1))];
        for (running, expected) in [
            (vec![1, 2], true),
            (vec![1, 1], true),
            (vec![1, 1, 1], false),
            (vec![2, 3, 4], true),
            (vec![2, 2, 3], true),
        ] {
            calls.running = running.iter().map(|account| owner(*account)).collect();
            assert_eq!(calls.is_next(1), expected, "{running:?}");
        }
        calls.running = vec![owner(4); PYTHON_AT_ONCE_MAX];
        assert!(!calls.is_next(1));
    }

    /// Places with calls that never end, seen slice by slice.
    struct Simulated(Calls);

    impl Simulated {
        /// A call of an owner waits, and begins if it can.
        fn call(&mut self, account: u64) {
            self.0.join(owner(account));
            self.begin();
        }

        fn begin(&mut self) {
            while let Some((number, owner)) =
                self.0.waiting.iter().copied().find(|(number, _)| self.0.is_next(*number))
            {
                self.0.waiting.retain(|(waiting, _)| *waiting != number);
                self.0.begin(owner);
            }
        }

        /// Every running call has run for a slice.
        fn slice(&mut self) {
            for owner in self.0.running.clone() {
                let _ = self.0.give_way(owner);
                self.begin();
            }
        }

        fn running_of(&self, account: u64) -> usize {
            self.0.running_of(owner(account))
        }
    }

    #[test]
    fn calls_that_never_end_hold_up_others_for_some_slices() {
        let mut places = Simulated(Calls::default());
        (0..24).for_each(|_| places.call(1));
        assert_eq!(places.running_of(1), 3);
        places.call(2);
        assert_eq!(places.running_of(2), 1, "at once");
        places.call(2);
        places.call(3);
        assert_eq!(places.running_of(3), 0);
        places.slice();
        assert_eq!(places.running_of(3), 1, "after a slice");
        // More owners than places take turns.
        (4..=8).for_each(|account| places.call(account));
        let mut slices = [0; 9];
        for _ in 0..80 {
            places.slice();
            assert_eq!(places.0.running.len(), PYTHON_AT_ONCE_MAX);
            (1..=8).for_each(|account| slices[account as usize] += places.running_of(account));
        }
        let (least, most) = (slices[1..].iter().min(), slices[1..].iter().max());
        assert!(least >= Some(&30) && most <= Some(&60), "{slices:?}");
    }

    #[test]
    fn who_is_alone_gives_way_to_nobody() {
        let mut calls = Calls { running: vec![owner(1); 3], ..Calls::default() };
        assert_eq!(calls.give_way(owner(1)), None);
        calls.join(owner(1));
        assert_eq!(calls.give_way(owner(1)), None, "his own calls come one after the other");
        calls.join(owner(2));
        assert_eq!(calls.give_way(owner(1)), None, "there is a place for the other one");
        calls.running.push(owner(3));
        assert_eq!(calls.give_way(owner(3)), None, "another one has more");
        assert_eq!(calls.give_way(owner(1)), Some(2));
    }
}
