//! Expiry timers of Clients that are away: when their delayed Wills and the ends of their sessions
//! are due.
//!
//! A heap of deadlines that the housekeeping thread looks after. Those that have passed wait in a
//! line for each user, and the users take turns: the Wills of a hundred thousand sessions of one
//! that are due in one second keep nobody else's waiting. A Client that comes back leaves its entry
//! behind; what is due is judged by its state. Entries that nobody waits for any more are thrown
//! out when they may be half of all, so their number is bounded by that of the Clients that are
//! away.
//!
//! Not `lotmq_shares::FairTurns`, which looks for a key among all: a hundred thousand users may be
//! due. A Client's state is locked here while the heap is: nobody calls with a Client's state
//! locked.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, Weak};

use lotmq_session::Time;
use lotmq_shares::OwnerKey;
use parking_lot::Mutex;

use crate::tenant::client::Client;

/// Entries that are left alone however few Clients are away.
const SWEPT_FROM: usize = 1024;

/// Timers that run out at once, at most, before the next Client is taken.
const PASSED_AT_ONCE: usize = 1024;

/// Expiry timers of all Clients that are away.
#[derive(Default)]
pub struct ExpiryTimers(Mutex<Deadlines>);

#[derive(Default)]
struct Deadlines {
    heap: BinaryHeap<Reverse<Deadline>>,
    /// Timers that were still wanted at the last sweep.
    wanted: usize,
    /// Clients with a timer that has run out, by whose sessions they are, in the order of their
    /// times.
    due: HashMap<OwnerKey, VecDeque<Weak<Client>>>,
    /// Owners whose Clients are due, in the order of their turns; each once.
    turns: VecDeque<OwnerKey>,
}

impl Deadlines {
    /// Has the timers run out whose time has passed.
    fn pass(&mut self, now: Time) {
        for _ in 0..PASSED_AT_ONCE {
            let Some(passed) = self.heap.peek().filter(|Reverse(deadline)| deadline.at <= now) else { break };
            let client = Weak::clone(&passed.0.client);
            self.heap.pop();
            let Some(owner) = client.upgrade().map(|client| client.owner_key()) else { continue };
            let line = self.due.entry(owner).or_insert_with(|| {
                self.turns.push_back(owner);
                VecDeque::new()
            });
            line.push_back(client);
        }
    }

    /// Takes the first Client of whoever's turn it is.
    fn take_due(&mut self) -> Option<Arc<Client>> {
        while let Some(owner) = self.turns.pop_front() {
            let Some(line) = self.due.get_mut(&owner) else { continue };
            let taken = std::iter::from_fn(|| line.pop_front()).find_map(|client| client.upgrade());
            match line.is_empty() {
                true => drop(self.due.remove(&owner)),
                false => self.turns.push_back(owner),
            }
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    fn has_many_unwanted(&self) -> bool {
        self.heap.len() > SWEPT_FROM.max(self.wanted * 2)
    }
}

struct Deadline {
    at: Time,
    client: Weak<Client>,
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Deadline {}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl ExpiryTimers {
    /// Sets timers of a Client that went away, in milliseconds since 1970. True when it is time to
    /// [`sweep`](Self::sweep).
    pub fn add(&self, client: &Arc<Client>, deadlines: impl IntoIterator<Item = Time>) -> bool {
        let mut all = self.0.lock();
        let entries =
            deadlines.into_iter().map(|at| Reverse(Deadline { at, client: Arc::downgrade(client) }));
        all.heap.extend(entries);
        all.has_many_unwanted()
    }

    /// Throws out stale timers, if they may be half of all. Clients that go away meanwhile do not
    /// wait for that.
    pub fn sweep(&self) {
        let heap = {
            let mut all = self.0.lock();
            if !all.has_many_unwanted() {
                return;
            }
            std::mem::take(&mut all.heap)
        };
        let mut entries = heap.into_vec();
        entries.retain(|Reverse(deadline)| {
            deadline.client.upgrade().is_some_and(|client| client.state.lock().is_due_at(deadline.at))
        });
        let mut wanted = BinaryHeap::from(entries);
        let mut all = self.0.lock();
        all.wanted = wanted.len();
        wanted.append(&mut all.heap);
        all.heap = wanted;
    }

    /// When the next timer runs out, or has, which may be one that nobody waits for any more.
    pub(crate) fn next(&self) -> Option<Time> {
        let all = self.0.lock();
        match all.turns.is_empty() {
            true => all.heap.peek().map(|Reverse(deadline)| deadline.at),
            false => Some(Time::from_millis(0)),
        }
    }

    /// Takes the next Client with a timer that has run out.
    pub fn next_due(&self, now: Time) -> Option<Arc<Client>> {
        let mut all = self.0.lock();
        loop {
            all.pass(now);
            let taken = all.take_due();
            let is_over = all.heap.peek().is_none_or(|Reverse(deadline)| deadline.at > now);
            if taken.is_some() || is_over {
                return taken;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lotmq_auth::{AccountReference, Identity, Principal};

    use super::*;
    use crate::fixture;
    use crate::tenant::client::LeftAt;

    #[test]
    fn users_whose_clients_are_due_take_turns() {
        let (tenant, timers) = (fixture::tenant(), ExpiryTimers::default());
        let clients: Vec<Arc<Client>> = (0..3_000)
            .map(|number| {
                let (user, account) = if number == 2_999 { ("bob", 2) } else { ("eve", 1) };
                let identity = (*fixture::identity("c")).clone();
                let owner = AccountReference { name: user, number: account };
                let identity = Identity { principal: Principal::of_reference(owner), ..identity };
                fixture::client_of(&tenant, number, Arc::new(identity))
            })
            .collect();
        for (client, at) in clients.iter().zip(1..) {
            timers.add(client, [Time::from_millis(at)]);
        }
        assert!(timers.next_due(Time::from_millis(0)).is_none());
        let now = Time::from_millis(5_000);
        let order: Vec<u64> =
            std::iter::from_fn(|| timers.next_due(now)).map(|client| client.session_id).collect();
        let of_bob = order.iter().position(|id| *id == clients[2_999].session_id).unwrap();
        assert_eq!(order.len(), clients.len());
        assert!(of_bob <= 5, "behind {of_bob} of another user");
        assert!(timers.next().is_none());
    }

    #[test]
    fn reconnecting_client_leaves_no_stale_expiry_entries() {
        const HOUR_MS: u64 = 3_600_000;
        let (tenant, absences) = (fixture::tenant(), ExpiryTimers::default());
        let [away, fickle] =
            [(0, "away"), (1, "fickle")].map(|(number, id)| fixture::client(&tenant, number, id));
        let goes = |client: &Arc<Client>, at: u64| {
            client.state.lock().left_at = LeftAt::new(Time::from_millis(at));
            absences.add(client, [Time::from_millis(at + HOUR_MS)])
        };
        assert!(!goes(&away, 1));
        for round in 0..4 * SWEPT_FROM as u64 {
            if goes(&fickle, 2 + round) {
                absences.sweep();
            }
            fickle.state.lock().left_at = LeftAt::default();
        }
        let heap = &absences.0.lock().heap;
        assert!(heap.len() <= SWEPT_FROM + 1, "{} entries for two Clients", heap.len());
        let has_away = heap.iter().filter_map(|entry| entry.0.client.upgrade());
        assert!(has_away.into_iter().any(|client| Arc::ptr_eq(&client, &away)), "who is away is waited for");
    }
}
