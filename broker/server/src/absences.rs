//! Clients that are away: when their delayed Wills and the ends of their sessions are due.
//!
//! A heap of deadlines that one task looks after. A Client that comes back leaves its entry behind; what is due is judged by its state.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};

use lotmq_session::Time;
use parking_lot::Mutex;

use crate::client::Client;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Absences(Mutex<BinaryHeap<Reverse<Deadline>>>);

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

impl Absences {
    /// A Client went away; something of it is due at each of these times, since 1970.
    pub(crate) fn add(&self, client: &Arc<Client>, deadlines: impl IntoIterator<Item = Time>) {
        let mut heap = self.0.lock();
        for at in deadlines {
            heap.push(Reverse(Deadline { at, client: Arc::downgrade(client) }));
        }
    }

    /// The Clients with a deadline that has passed.
    pub(crate) fn due(&self, now: Time) -> Vec<Arc<Client>> {
        let mut heap = self.0.lock();
        let mut due = Vec::new();
        while heap.peek().is_some_and(|Reverse(deadline)| deadline.at <= now) {
            let Some(Reverse(deadline)) = heap.pop() else { break };
            due.extend(deadline.client.upgrade());
        }
        due
    }
}
