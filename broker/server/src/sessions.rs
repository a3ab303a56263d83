//! The sessions of a tenant by Client Identifier.
//!
//! The identifier is read from the session itself: a key beside it would take 16 bytes more of every connection.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::client::Client;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Sessions {
    table: HashTable<Arc<Client>>,
    hasher: DefaultHashBuilder,
}

impl Sessions {
    /// Number of sessions, connected or away.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.table.iter()
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

    /// Takes a session off, unless its Client has got another one already.
    pub(crate) fn remove(&mut self, client: &Arc<Client>) {
        let hash = self.hasher.hash_one(&*client.client_id);
        if let Ok(entry) = self.table.find_entry(hash, |known| Arc::ptr_eq(known, client)) {
            entry.remove();
        }
    }
}
