//! Scheduler of the calls of scripts. A call needs its script, which runs one call at a time, and
//! one of [`PYTHON_AT_ONCE_MAX`] places. It takes both in one step: a call that has not begun
//! holds neither of them.
//!
//! Order of the calls of a script: first those of the script's own owner, then those of the other
//! owners in turn, and of one owner the first that came.
//!
//! Order of scripts: a place goes to the script for which somebody waits who has the fewest calls
//! running. Owners with equally many take turns. One owner has at most [`PYTHON_OWNER_MAX`] places.
//!
//! Not `lotmq_shares::FairTurns`: a call takes two resources in one step, and the owner with the
//! fewest running calls comes first.
//!
//! Invariant: nobody waits for a script behind the other calls of another owner. A call that has
//! begun keeps its script while it sleeps or has given its place to another call. It gets its next
//! place in the name of the owner who comes first: its own, or one who waits for its script.

use crate::{
    executor::owner_of_thread,
    limits::{PYTHON_AT_ONCE_MAX, PYTHON_OWNER_MAX},
};
use lotmq_shares::OwnerKey;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct CallPlaces {
    calls: Mutex<ScriptCalls>,
    changed: Condvar,
}

/// Identity of a script, and the account of its owner; 0 if it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScriptIdentity {
    number: u64,
    own: u64,
}

impl ScriptIdentity {
    /// Owner of a call that comes from this thread: of the definition that the thread runs, or of
    /// the script itself where it runs none, as at the check of a script that is being added.
    fn caller(self) -> OwnerKey {
        let of_thread = owner_of_thread();
        if of_thread == OwnerKey::default() {
            OwnerKey { quota_key: self.own, ..of_thread }
        } else {
            of_thread
        }
    }
}

/// Number of a call that has begun.
pub(super) type CallNumber = u64;

#[derive(Default)]
struct ScriptCalls {
    /// Number of the next script, call or beginning.
    next: u64,
    calls: Vec<ScriptCall>,
    /// When a call in the name of an owner began or gave way last, or the first of them came. Of
    /// owners who have calls.
    served: Vec<(OwnerKey, u64)>,
    /// When a call of a script in the name of an owner began last, or the first of them came.
    turns: Vec<((u64, OwnerKey), u64)>,
}

struct ScriptCall {
    number: CallNumber,
    script: ScriptIdentity,
    owner: OwnerKey,
    state: CallState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallState {
    /// Has not begun.
    Waits,
    /// Has a place, which counts to this owner.
    Runs(OwnerKey),
    /// Has its script and wants no place.
    Sleeps,
    /// Has its script and waits for a place.
    Resumes,
}

/// Call that may run next, with the owner in whose name it does.
#[derive(Clone, Copy, Debug)]
struct NextCall {
    at: usize,
    name: OwnerKey,
    /// Precedence; the smallest comes first.
    key: (usize, u64, CallNumber),
}

/// Call that has begun. Dropping it frees its script and its place.
pub(super) struct CallPlace<'a> {
    places: &'a CallPlaces,
    pub(super) number: CallNumber,
}

impl CallPlaces {
    /// Returns the identity of a new script of this account; 0 if it has no owner.
    pub(super) fn script(&self, own: u64) -> ScriptIdentity {
        ScriptIdentity { number: self.calls.lock().number(), own }
    }

    /// Begins a call of a script in the name of its [caller](ScriptIdentity::caller), when it is
    /// its turn. `None` when the time is over.
    pub(super) fn take(&self, script: ScriptIdentity, deadline: Instant) -> Option<CallPlace<'_>> {
        let mut calls = self.calls.lock();
        let number = calls.join(script, script.caller());
        // Made only when the lock is free: to drop it takes the lock.
        self.wait(calls, number, Some(deadline)).then(|| CallPlace { places: self, number })
    }

    /// Waits until a call runs. False when the time is over: the call is gone then.
    fn wait(
        &self,
        mut calls: MutexGuard<'_, ScriptCalls>,
        number: CallNumber,
        deadline: Option<Instant>,
    ) -> bool {
        self.begin_next(&mut calls);
        let mut is_over = false;
        while !calls.runs(number) && !is_over {
            match deadline {
                Some(deadline) => is_over = self.changed.wait_until(&mut calls, deadline).timed_out(),
                None => self.changed.wait(&mut calls),
            }
        }
        let runs = calls.runs(number);
        if !runs {
            calls.leave(number);
            self.begin_next(&mut calls);
        }
        runs
    }

    /// Begins the calls that may run, and wakes them.
    fn begin_next(&self, calls: &mut ScriptCalls) {
        if calls.begin_next() {
            self.changed.notify_all();
        }
    }

    /// Does something in the midst of a call; its place is another one's meanwhile.
    pub(super) fn rest(&self, number: CallNumber, work: impl FnOnce()) {
        let mut calls = self.calls.lock();
        calls.set(number, CallState::Sleeps);
        self.begin_next(&mut calls);
        drop(calls);
        work();
        // Each call that has a place gives it back, or rests, within the time of a call.
        let mut calls = self.calls.lock();
        calls.set(number, CallState::Resumes);
        self.wait(calls, number, None);
    }

    /// Gives the place of a call to a waiting owner with fewer running calls, and waits for the
    /// next place. Returns false if there is no such call.
    pub(super) fn give_way(&self, number: CallNumber) -> bool {
        let mut calls = self.calls.lock();
        calls.give_way(number) && self.wait(calls, number, None)
    }
}

impl ScriptCalls {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Number of a call that waits from now on.
    fn join(&mut self, script: ScriptIdentity, owner: OwnerKey) -> CallNumber {
        let number = self.number();
        self.calls.push(ScriptCall { number, script, owner, state: CallState::Waits });
        // A new owner comes after the waiting ones.
        if !self.served.iter().any(|(of, _)| *of == owner) {
            self.served.push((owner, number));
        }
        let turn = (script.number, owner);
        if !self.turns.iter().any(|(of, _)| *of == turn) {
            self.turns.push((turn, number));
        }
        number
    }

    /// Ends a call, whatever its state.
    fn leave(&mut self, number: CallNumber) {
        self.calls.retain(|call| call.number != number);
        let Self { calls, served, turns, .. } = self;
        served.retain(|(owner, _)| {
            calls.iter().any(|call| call.owner == *owner || call.state == CallState::Runs(*owner))
        });
        turns.retain(|((script, owner), _)| {
            calls.iter().any(|call| call.script.number == *script && call.owner == *owner)
        });
    }

    fn set(&mut self, number: CallNumber, state: CallState) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.number == number) {
            call.state = state;
        }
    }

    fn state(&self, number: CallNumber) -> Option<CallState> {
        self.calls.iter().find(|call| call.number == number).map(|call| call.state)
    }

    fn runs(&self, number: CallNumber) -> bool {
        matches!(self.state(number), Some(CallState::Runs(_)))
    }

    /// Owners to whom the places that are taken count.
    fn running(&self) -> impl Iterator<Item = OwnerKey> {
        self.calls.iter().filter_map(|call| match call.state {
            CallState::Runs(owner) => Some(owner),
            CallState::Waits | CallState::Sleeps | CallState::Resumes => None,
        })
    }

    /// How many places count to an owner.
    fn running_of(&self, owner: OwnerKey) -> usize {
        self.running().filter(|running| *running == owner).count()
    }

    /// Whether one more place may count to an owner.
    fn may_have(&self, owner: OwnerKey) -> bool {
        self.running_of(owner) < PYTHON_OWNER_MAX
    }

    fn served(&self, owner: OwnerKey) -> u64 {
        self.served.iter().find(|(of, _)| *of == owner).map_or(0, |(_, served)| *served)
    }

    fn turn(&self, script: ScriptIdentity, owner: OwnerKey) -> u64 {
        let of = (script.number, owner);
        self.turns.iter().find(|(turn, _)| *turn == of).map_or(0, |(_, at)| *at)
    }

    fn calls_of(&self, script: ScriptIdentity) -> impl Iterator<Item = (usize, &ScriptCall)> {
        self.calls.iter().enumerate().filter(move |(_, call)| call.script == script)
    }

    /// Calls that run as soon as there is a place: those that have begun, and the next one of each
    /// free script.
    fn candidates(&self) -> impl Iterator<Item = NextCall> {
        self.calls.iter().enumerate().filter_map(|(at, call)| {
            let is_candidate = match call.state {
                CallState::Resumes => true,
                CallState::Waits => self.is_next_of_script(call),
                CallState::Runs(_) | CallState::Sleeps => false,
            };
            if !is_candidate {
                return None;
            }
            // This call serves every call that waits for the script.
            let waiting = self.calls_of(call.script).filter(|(_, call)| call.state == CallState::Waits);
            let names = waiting.map(|(_, call)| call.owner).chain([call.owner]);
            let may = names.filter(|name| self.may_have(*name));
            let name = may.min_by_key(|name| (self.running_of(*name), self.served(*name)))?;
            Some(NextCall { at, name, key: (self.running_of(name), self.served(name), call.number) })
        })
    }

    /// Whether a call that waits is the next one of its script, which is free.
    fn is_next_of_script(&self, call: &ScriptCall) -> bool {
        let key = |call: &ScriptCall| {
            let is_own = call.script.own != 0 && call.owner.quota_key == call.script.own;
            (!is_own, self.turn(call.script, call.owner), call.number)
        };
        let own = key(call);
        self.calls_of(call.script).all(|(_, other)| other.state == CallState::Waits && own <= key(other))
    }

    /// Begins calls while there are places; whether there was any.
    fn begin_next(&mut self) -> bool {
        let mut has_begun = false;
        while self.running().count() < PYTHON_AT_ONCE_MAX
            && let Some(next) = self.candidates().min_by_key(|next| next.key)
        {
            self.begin(next);
            has_begun = true;
        }
        has_begun
    }

    fn begin(&mut self, NextCall { at, name, .. }: NextCall) {
        let (script, owner, state) = {
            let call = &self.calls[at];
            (call.script.number, call.owner, call.state)
        };
        // It counts to its own owner, as long as they may have one more place.
        let counts_to = if self.may_have(owner) { owner } else { name };
        self.calls[at].state = CallState::Runs(counts_to);
        self.was_served(name);
        self.was_served(counts_to);
        let now = self.number();
        if state == CallState::Waits
            && let Some((_, turn)) = self.turns.iter_mut().find(|(of, _)| *of == (script, owner))
        {
            *turn = now;
        }
    }

    /// Takes the place of a call whose owner has most of them, if all places are taken and an owner
    /// with fewer calls waits.
    fn give_way(&mut self, number: CallNumber) -> bool {
        let Some(CallState::Runs(owner)) = self.state(number) else { return false };
        let own = self.running_of(owner);
        let has_most = self.running().all(|running| self.running_of(running) <= own);
        let is_wanted = self.candidates().any(|next| next.key.0 < own);
        let gives_way = self.running().count() >= PYTHON_AT_ONCE_MAX && has_most && is_wanted;
        if gives_way {
            self.set(number, CallState::Resumes);
            self.was_served(owner);
        }
        gives_way
    }

    /// Puts an owner behind all others who wait.
    fn was_served(&mut self, owner: OwnerKey) {
        let now = self.number();
        if let Some((_, served)) = self.served.iter_mut().find(|(of, _)| *of == owner) {
            *served = now;
        }
    }
}

impl Drop for CallPlace<'_> {
    fn drop(&mut self) {
        let mut calls = self.places.calls.lock();
        calls.leave(self.number);
        self.places.begin_next(&mut calls);
    }
}

#[cfg(test)]
mod tests;
