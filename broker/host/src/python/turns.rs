//! Turns of the calls of one script, which run one at a time: first those of the script's own owner, then those of the other owners in turn, and of one owner's the first that
//! came. So nobody's calls keep another one's waiting for more than one of each owner.

use crate::executor::RunOwner;
use lotmq_shares::OwnerTurns;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Instant,
};

/// Turns of the calls of one script.
pub(super) struct ScriptTurns {
    /// Account of the script's owner; 0 where it has none.
    own: u64,
    calls: Mutex<Calls>,
}

/// Calls that wait are told when their turn has come.
#[derive(Default)]
struct Calls {
    is_taken: bool,
    own: VecDeque<SyncSender<()>>,
    others: OwnerTurns<SyncSender<()>>,
}

/// Turn of a call; the next one's when it is dropped.
pub(super) struct ScriptTurn<'a>(&'a ScriptTurns);

impl ScriptTurns {
    /// Those of a script of this account.
    pub(super) fn of(own: u64) -> ScriptTurns {
        ScriptTurns { own, calls: Mutex::default() }
    }

    /// The turn of a call in the name of the calling thread's owner; `None` when the time is over.
    pub(super) fn take(&self, deadline: Instant) -> Option<ScriptTurn<'_>> {
        self.take_for(RunOwner::of_thread(), deadline)
    }

    fn take_for(&self, owner: RunOwner, deadline: Instant) -> Option<ScriptTurn<'_>> {
        let Some(told) = self.join(owner) else { return Some(ScriptTurn(self)) };
        if told.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok() {
            return Some(ScriptTurn(self));
        }
        // It may have come at the last moment; afterwards nobody can be told any more.
        let calls = self.calls.lock();
        let has_come = told.try_recv().is_ok();
        drop(told);
        drop(calls);
        has_come.then(|| ScriptTurn(self))
    }

    /// Joins those who wait; `None` where nobody has the turn, which is the caller's then.
    fn join(&self, owner: RunOwner) -> Option<Receiver<()>> {
        let mut calls = self.calls.lock();
        if !calls.is_taken {
            calls.is_taken = true;
            return None;
        }
        let (sender, told) = sync_channel(1);
        if self.own != 0 && owner.account == self.own {
            calls.own.push_back(sender);
        } else {
            calls.others.push((owner.tenant, owner.account), sender);
        }
        Some(told)
    }
}

impl Drop for ScriptTurn<'_> {
    fn drop(&mut self) {
        let mut calls = self.0.calls.lock();
        // Whoever waits no more is passed over.
        while let Some(next) = calls.own.pop_front().or_else(|| calls.others.take(|_, _| true)) {
            if next.send(()).is_ok() {
                return;
            }
        }
        calls.is_taken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn owner(account: u64) -> RunOwner {
        RunOwner { tenant: 0, account }
    }

    #[test]
    fn owners_take_turns_and_the_scripts_own_comes_first() {
        const OWN: u64 = 9;
        let turns = ScriptTurns::of(OWN);
        assert!(turns.join(owner(1)).is_none(), "nobody has it");
        let come = [1, 1, 1, 2, 2, OWN].map(|account| (account, turns.join(owner(account)).unwrap()));
        let mut served = Vec::new();
        for _ in &come {
            drop(ScriptTurn(&turns));
            let told: Vec<u64> = come
                .iter()
                .filter(|(_, told)| told.try_recv().is_ok())
                .map(|(account, _)| *account)
                .collect();
            assert_eq!(told.len(), 1, "one at a time");
            served.extend(told);
        }
        assert_eq!(served, [OWN, 1, 2, 1, 2, 1]);
        drop(ScriptTurn(&turns));
        assert!(turns.join(owner(3)).is_none(), "nobody waits any more");
    }

    #[test]
    fn who_has_waited_too_long_leaves_nothing_behind() {
        let turns = ScriptTurns::of(0);
        let soon = || Instant::now() + Duration::from_secs(30);
        let running = turns.take_for(owner(1), soon()).unwrap();
        assert!(turns.take_for(owner(2), Instant::now()).is_none());
        drop(running);
        assert!(!turns.calls.lock().is_taken);
        let running = turns.take_for(owner(3), soon()).unwrap();
        // A turn that comes to a waiting call wakes it.
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| turns.take_for(owner(4), soon()).is_some());
            drop(running);
            assert!(waits.join().unwrap());
        });
        assert!(!turns.calls.lock().is_taken);
    }
}
