//! The sessions of a tenant by user and Client Identifier.
//!
//! Every user has a separate space of Client Identifiers, and all anonymous users share one. So no
//! Client can get, end, take over or block a session of another user, whatever identifier it sends.
//! No answer reveals which identifiers exist.
//!
//! The key is read from the session itself: one beside it would take 32 bytes more of every
//! connection.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use lotmq_changes::Log;
use lotmq_router::PartedTable;
use parking_lot::{Mutex, MutexGuard};

use crate::durable::changes::{Stamp, Stamps, Standing, Turns};
use crate::limits::ENDED_SESSIONS_UNSTORED_MAX;
use crate::shared::Core;
use crate::tenant::client::Client;
use crate::tenant::session_key::{KeptSessionKey, SessionKey};

/// Ends of sessions that are remembered before it is looked which of them are on the disk.
const LEFT_BEHIND_SWEPT_FROM: usize = 64;

/// Sessions of one tenant.
#[derive(Default)]
pub struct Sessions {
    table: PartedTable<Arc<Client>>,
    hasher: DefaultHashBuilder,
    left_behind: LeftBehind,
}

impl Sessions {
    /// Number of sessions, connected or away.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All sessions, in no order: those that exist all the while, and of others each at most once.
    /// Their lock is held for some thousand at a time, and goes to who waits for it in between.
    pub fn all(sessions: &Mutex<Self>) -> Vec<Arc<Client>> {
        let (mut all, mut place) = (Vec::with_capacity(sessions.lock().len()), 0);
        loop {
            let sessions = sessions.lock();
            let Some((page, next)) = sessions.table.page(place) else { return all };
            all.extend(page.cloned());
            place = next;
            MutexGuard::unlock_fair(sessions);
        }
    }

    /// The session of a Client.
    pub fn get(&self, key: SessionKey<'_>) -> Option<&Arc<Client>> {
        self.table.find(self.hasher.hash_one(key), |client| client.key() == key)
    }

    /// Adds a session, in place of the one of its key.
    pub fn insert(&mut self, client: Arc<Client>) {
        let hash = self.hasher.hash_one(client.key());
        match self.table.find_mut(hash, |known| known.key() == client.key()) {
            Some(known) => *known = client,
            None => {
                let hasher = &self.hasher;
                self.table.insert_unique(hash, client, |client| hasher.hash_one(client.key()));
            }
        }
    }

    /// Removes a session, unless its Client has got another one already. False then.
    pub(crate) fn remove(&mut self, client: &Arc<Client>) -> bool {
        let hash = self.hasher.hash_one(client.key());
        self.table.remove(hash, |known| Arc::ptr_eq(known, client)).is_some()
    }

    /// Notes the stamp with which the end of a session, which was removed, is stored.
    pub(crate) fn leave_behind(&mut self, client: &Client, stamp: Stamp, core: &Core) {
        if stamp != Stamp::default() {
            self.left_behind.note(client, stamp, &core.turns, &*core.log);
        }
    }

    /// Stamp of the newest change of an ended session of this key that is not on the disk yet:
    /// without it, a crash brings the session back.
    pub(crate) fn left_behind(&mut self, key: SessionKey<'_>, turns: &Turns, log: &dyn Log) -> Stamp {
        self.left_behind.newest(key, turns, log)
    }

    /// Number of ended sessions with this prefix of the Client Identifier that a crash would bring
    /// back, because their end is not on the disk. Ends that no entry was left for are one for each
    /// thread that made them.
    pub fn ending(&mut self, prefix: &str, turns: &Turns, log: &dyn Log) -> usize {
        self.left_behind.sweep(turns, log);
        let LeftBehind { by_key, others, .. } = &mut self.left_behind;
        let with_prefix = by_key.keys().filter(|key| key.key().client_id.starts_with(prefix)).count();
        with_prefix + others.unstored(turns, log).len()
    }

    /// Stamps of all ended sessions whose end is not on the disk.
    pub fn all_left_behind(&mut self, turns: &Turns, log: &dyn Log) -> Vec<Stamp> {
        self.left_behind.sweep(turns, log);
        let LeftBehind { by_key, others, .. } = &mut self.left_behind;
        by_key.values().copied().chain(others.unstored(turns, log).iter().copied()).collect()
    }
}

/// Sessions whose end is on its way to the disk.
#[derive(Default)]
struct LeftBehind {
    by_key: HashMap<KeptSessionKey, Stamp>,
    /// Entries that the last sweep kept.
    kept: usize,
    /// Stamps of ends for which no entry was left; they count for every session.
    others: Stamps,
}

impl LeftBehind {
    fn note(&mut self, client: &Client, stamp: Stamp, turns: &Turns, log: &dyn Log) {
        if self.by_key.len() >= LEFT_BEHIND_SWEPT_FROM.max(2 * self.kept) {
            self.sweep(turns, log);
        }
        if self.by_key.len() < ENDED_SESSIONS_UNSTORED_MAX || self.by_key.contains_key(&client.key()) {
            self.by_key.insert(client.kept_key(), stamp);
        } else {
            self.others.note(stamp);
        }
    }

    /// Forgets ends that are on the disk by now.
    fn sweep(&mut self, turns: &Turns, log: &dyn Log) {
        self.by_key.retain(|_, stamp| turns.standing(*stamp, log) != Standing::OnDisk);
        self.kept = self.by_key.len();
        self.by_key.shrink_to(2 * self.kept);
    }

    fn newest(&mut self, key: SessionKey<'_>, turns: &Turns, log: &dyn Log) -> Stamp {
        match self.by_key.get(&key) {
            Some(stamp) if turns.standing(*stamp, log) != Standing::OnDisk => *stamp,
            Some(_) | None => self.others.newest(turns, log),
        }
    }
}
