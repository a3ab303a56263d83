//! Waiting line of connections, in two orders: fair queuing, and age.
//!
//! Both orders have an entry for each connection that waits. A connection leaves by one of them,
//! and the other one keeps a stale entry until that comes first. Stale entries are removed before
//! they outnumber the others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::{Account, Wait};

/// Stale entries that are tolerated however few connections wait.
const STALE_FREE: usize = 256;

/// Entry of a waiting connection, in fair order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaitEntry {
    /// Virtual time by which its work is expected to be done.
    pub(super) done_by: Duration,
    /// Number of the wait. It decides between equal times.
    pub(super) number: u64,
    /// Turn in which the wait began.
    pub(super) since: u64,
    pub(super) place: u32,
}

/// Turn in which a wait began, and the place of the connection.
type Age = (u64, u32);

/// Waiting line.
pub(super) struct WaitQueue {
    /// Mark of the accounts that wait here.
    wait: Wait,
    fair: BinaryHeap<Reverse<WaitEntry>>,
    oldest: BinaryHeap<Reverse<Age>>,
    len: usize,
}

impl WaitQueue {
    /// Empty line of the connections with this mark.
    pub(super) fn new(wait: Wait) -> Self {
        Self { wait, fair: BinaryHeap::new(), oldest: BinaryHeap::new(), len: 0 }
    }

    /// Number of connections.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a connection.
    pub(super) fn push(&mut self, waiting: WaitEntry, accounts: &mut [Account]) {
        let Self { wait, fair, oldest, len } = self;
        accounts[waiting.place as usize].wait = *wait;
        *len += 1;
        oldest.push(Reverse((waiting.since, waiting.place)));
        fair.push(Reverse(waiting));
        let entries_max = 2 * *len + STALE_FREE;
        if fair.len() > entries_max {
            fair.retain(|Reverse(entry)| is_valid(*wait, (entry.since, entry.place), accounts));
        }
        if oldest.len() > entries_max {
            oldest.retain(|Reverse(age)| is_valid(*wait, *age, accounts));
        }
    }

    /// Takes the connection that comes first in fair order; returns its place, and the virtual time
    /// by which it is expected to be done.
    pub(super) fn take_next(&mut self, accounts: &mut [Account]) -> Option<(u32, Duration)> {
        while let Some(Reverse(WaitEntry { done_by, since, place, .. })) = self.fair.pop() {
            if is_valid(self.wait, (since, place), accounts) {
                self.leaves(place, accounts);
                return Some((place, done_by));
            }
        }
        None
    }

    /// Takes the connection that has waited for longest, if its wait began in this turn or before.
    pub(super) fn take_oldest(&mut self, since_max: u64, accounts: &mut [Account]) -> Option<u32> {
        while let Some(Reverse(age)) = self.oldest.peek() {
            let (since, place) = *age;
            let is_valid = is_valid(self.wait, *age, accounts);
            if is_valid && since > since_max {
                return None;
            }
            self.oldest.pop();
            if is_valid {
                self.leaves(place, accounts);
                return Some(place);
            }
        }
        None
    }

    /// Gives memory back that a crowd has left, if nobody waits.
    pub(super) fn trim(&mut self) {
        if self.is_empty() {
            self.fair.clear();
            self.oldest.clear();
            self.fair.shrink_to(STALE_FREE);
            self.oldest.shrink_to(STALE_FREE);
        }
    }

    fn leaves(&mut self, place: u32, accounts: &mut [Account]) {
        self.len -= 1;
        accounts[place as usize].wait = Wait::No;
    }
}

/// Whether a connection still waits in the line with this mark, since that turn. The low half of
/// the turn's number is enough: a stale entry does not live for four billion turns.
fn is_valid(wait: Wait, (since, place): Age, accounts: &[Account]) -> bool {
    let account = &accounts[place as usize];
    account.wait == wait && account.since == super::low(since)
}
