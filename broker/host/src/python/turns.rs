//! Turns of the calls of one script, which run one at a time: first those of the script's own owner, then those of the other owners in turn, and of one owner's the first that
//! came. So nobody's calls keep another one's waiting for more than one of each owner.

use crate::executor::RunOwner;
use parking_lot::{Condvar, Mutex};
use std::time::Instant;

/// Turns of the calls of one script.
#[derive(Default)]
pub(super) struct ScriptTurns {
    calls: Mutex<Calls>,
    changed: Condvar,
}

#[derive(Default)]
struct Calls {
    /// Account of the script's owner; 0 where it has none.
    own: u64,
    next: u64,
    is_taken: bool,
    /// Calls that wait, by number.
    waiting: Vec<(u64, RunOwner)>,
    /// Owners of those that have had their turn, the last one last; only such of which one may wait.
    served: Vec<RunOwner>,
}

/// Turn of a call; over when it is dropped.
pub(super) struct ScriptTurn<'a>(&'a ScriptTurns);

impl ScriptTurns {
    /// Those of a script of this account.
    pub(super) fn of(own: u64) -> ScriptTurns {
        ScriptTurns { calls: Mutex::new(Calls { own, ..Calls::default() }), changed: Condvar::new() }
    }

    /// The turn of a call in the name of the calling thread's owner; `None` when the time is over.
    pub(super) fn take(&self, deadline: Instant) -> Option<ScriptTurn<'_>> {
        self.take_for(RunOwner::of_thread(), deadline)
    }

    fn take_for(&self, owner: RunOwner, deadline: Instant) -> Option<ScriptTurn<'_>> {
        let mut calls = self.calls.lock();
        let number = calls.next;
        calls.next += 1;
        calls.waiting.push((number, owner));
        let mut is_over = false;
        while !calls.is_next(number) && !is_over {
            is_over = self.changed.wait_until(&mut calls, deadline).timed_out();
        }
        let is_next = calls.is_next(number);
        calls.waiting.retain(|(waiting, _)| *waiting != number);
        if is_next {
            calls.begins(owner);
        }
        // Made only then: to drop it takes the lock.
        is_next.then(|| ScriptTurn(self))
    }
}

impl Calls {
    fn is_next(&self, number: u64) -> bool {
        // How lately its owner had a turn: 0 for not since others wait.
        let served =
            |owner: &RunOwner| self.served.iter().position(|served| served == owner).map_or(0, |at| at + 1);
        let is_others = |owner: &RunOwner| self.own == 0 || owner.account != self.own;
        let rank = |(number, owner): &&(u64, RunOwner)| (is_others(owner), served(owner), *number);
        let next = self.waiting.iter().min_by_key(rank);
        !self.is_taken && next.is_some_and(|(next, _)| *next == number)
    }

    fn begins(&mut self, owner: RunOwner) {
        self.is_taken = true;
        let waiting = &self.waiting;
        self.served.retain(|served| *served != owner && waiting.iter().any(|(_, waits)| waits == served));
        self.served.push(owner);
    }
}

impl Drop for ScriptTurn<'_> {
    fn drop(&mut self) {
        self.0.calls.lock().is_taken = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread, time::Duration};

    const WAIT: Duration = Duration::from_secs(30);

    fn owner(account: u64) -> RunOwner {
        RunOwner { tenant: 0, account }
    }

    #[test]
    fn owners_take_turns_and_the_scripts_own_comes_first() {
        const OWN: u64 = 9;
        let turns = ScriptTurns::of(OWN);
        let deadline = Instant::now() + WAIT;
        let running = turns.take_for(owner(1), deadline).unwrap();
        let (sender, served) = mpsc::channel();
        thread::scope(|scope| {
            // They come in this order: each waits before the next one is there.
            for (at, account) in [1, 1, 1, 2, 2, OWN].into_iter().enumerate() {
                let (turns, sender) = (&turns, sender.clone());
                scope.spawn(move || {
                    let turn = turns.take_for(owner(account), deadline).unwrap();
                    sender.send(account).unwrap();
                    drop(turn);
                });
                while turns.calls.lock().waiting.len() <= at {
                    thread::yield_now();
                }
            }
            drop(running);
        });
        drop(sender);
        assert_eq!(served.iter().collect::<Vec<_>>(), [OWN, 2, 1, 2, 1, 1]);
    }

    #[test]
    fn who_has_waited_too_long_leaves_nothing_behind() {
        let turns = ScriptTurns::of(0);
        let running = turns.take_for(owner(1), Instant::now() + WAIT).unwrap();
        assert!(turns.take_for(owner(2), Instant::now()).is_none());
        drop(running);
        assert!(turns.calls.lock().waiting.is_empty());
        assert!(turns.take_for(owner(3), Instant::now()).is_some());
    }
}
