//! The sessions of a tenant by Client Identifier.
//!
//! The identifier is read from the session itself: a key beside it would take 16 bytes more of every connection.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use lotmq_store::Store;

use crate::changes::{Stamp, Stamps, Standing, Turns};
use crate::client::Client;
use crate::limits::ENDED_SESSIONS_UNSTORED_MAX;
use crate::net::turn::Turn;

/// Ends of sessions that are remembered before it is looked which of them are on the disk.
const LEFT_BEHIND_SWEPT_FROM: usize = 64;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Sessions {
    table: HashTable<Arc<Client>>,
    hasher: DefaultHashBuilder,
    left_behind: LeftBehind,
}

impl Sessions {
    /// Number of sessions, connected or away.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// All of them as they are now, in no order. For whoever has to look at each: others wait for the lock of the sessions meanwhile.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.table.iter().cloned().collect()
    }

    pub(crate) fn get(&self, client_id: &str) -> Option<&Arc<Client>> {
        self.table.find(self.hasher.hash_one(client_id), |client| *client.client_id == *client_id)
    }

    /// Adds a session, in place of the one of its Client Identifier.
    pub(crate) fn insert(&mut self, client: Arc<Client>) {
        let hash = self.hasher.hash_one(&*client.client_id);
        match self.table.find_mut(hash, |known| known.client_id == client.client_id) {
            Some(known) => *known = client,
            None => {
                let hasher = &self.hasher;
                self.table.insert_unique(hash, client, |client| hasher.hash_one(&*client.client_id));
            }
        }
    }

    /// Takes a session off, unless its Client has got another one already. What is stored of it ends in this turn.
    pub(crate) fn remove(&mut self, client: &Arc<Client>, turn: &mut Turn) {
        let hash = self.hasher.hash_one(&*client.client_id);
        if let Ok(entry) = self.table.find_entry(hash, |known| Arc::ptr_eq(known, client)) {
            entry.remove();
            let stamp = if client.is_durable() { turn.stamp() } else { client.changed.get() };
            if stamp != Stamp::default() {
                self.left_behind.note(&client.client_id, stamp, &turn.broker.turns, &turn.broker.store);
            }
        }
    }

    /// The newest change of a session of this Client Identifier that has ended, as far as it is not on the disk: without it, the session is there again.
    pub(crate) fn left_behind(&mut self, client_id: &str, turns: &Turns, store: &Store) -> Stamp {
        self.left_behind.newest(client_id, turns, store)
    }
}

/// Sessions whose end is on its way to the disk.
#[derive(Default)]
struct LeftBehind {
    by_client_id: HashMap<Arc<str>, Stamp>,
    /// Entries that were still of use when they were last looked through.
    kept: usize,
    /// Ends that no entry was left for; they count for every Client Identifier.
    others: Stamps,
}

impl LeftBehind {
    fn note(&mut self, client_id: &Arc<str>, stamp: Stamp, turns: &Turns, store: &Store) {
        if self.by_client_id.len() >= LEFT_BEHIND_SWEPT_FROM.max(2 * self.kept) {
            self.by_client_id.retain(|_, stamp| turns.standing(*stamp, store) != Standing::OnDisk);
            self.kept = self.by_client_id.len();
            self.by_client_id.shrink_to(2 * self.kept);
        }
        if self.by_client_id.len() < ENDED_SESSIONS_UNSTORED_MAX || self.by_client_id.contains_key(client_id)
        {
            self.by_client_id.insert(Arc::clone(client_id), stamp);
        } else {
            self.others.note(stamp);
        }
    }

    fn newest(&mut self, client_id: &str, turns: &Turns, store: &Store) -> Stamp {
        match self.by_client_id.get(client_id) {
            Some(stamp) if turns.standing(*stamp, store) != Standing::OnDisk => *stamp,
            Some(_) | None => self.others.newest(turns, store),
        }
    }
}
