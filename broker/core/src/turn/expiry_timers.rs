//! Expiry timers of Clients that are away: when their delayed Wills and the ends of their sessions are due.
//!
//! A heap of deadlines that the housekeeping thread looks after. A Client that comes back leaves its entry behind; what is due is judged by its state. Entries that nobody
//! waits for any more are thrown out when they may be half of all, so their number is bounded by that of the Clients that are away.
//!
//! A Client's state is locked here while the heap is: nobody calls with a Client's state locked.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};

use lotmq_session::Time;
use parking_lot::Mutex;

use crate::tenant::client::Client;

/// Entries that are left alone however few Clients are away.
const SWEPT_FROM: usize = 1024;

/// Expiry timers of all Clients that are away.
#[derive(Default)]
pub struct ExpiryTimers(Mutex<Deadlines>);

#[derive(Default)]
struct Deadlines {
    heap: BinaryHeap<Reverse<Deadline>>,
    /// Timers that were still wanted at the last sweep.
    wanted: usize,
}

impl Deadlines {
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
    /// Sets timers of a Client that went away, in milliseconds since 1970. True when it is time to [`sweep`](Self::sweep).
    pub fn add(&self, client: &Arc<Client>, deadlines: impl IntoIterator<Item = Time>) -> bool {
        let mut all = self.0.lock();
        let entries =
            deadlines.into_iter().map(|at| Reverse(Deadline { at, client: Arc::downgrade(client) }));
        all.heap.extend(entries);
        all.has_many_unwanted()
    }

    /// Throws out stale timers, if they may be half of all. Clients that go away meanwhile do not wait for that.
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

    /// When the next timer runs out, which may be one that nobody waits for any more.
    pub(crate) fn next(&self) -> Option<Time> {
        self.0.lock().heap.peek().map(|Reverse(deadline)| deadline.at)
    }

    /// Takes the next Client with a timer that has run out.
    pub fn next_due(&self, now: Time) -> Option<Arc<Client>> {
        let heap = &mut self.0.lock().heap;
        while heap.peek().is_some_and(|Reverse(deadline)| deadline.at <= now) {
            let Reverse(deadline) = heap.pop()?;
            if let Some(client) = deadline.client.upgrade() {
                return Some(client);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::tenant::client::LeftAt;

    #[test]
    fn who_comes_and_goes_leaves_no_entries_behind() {
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
