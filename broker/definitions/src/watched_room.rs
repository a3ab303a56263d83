//! Room of what one definition watches, topics or windows, among that of all definitions of a
//! tenant.

use std::sync::Arc;

use lotmq_shares::AccountShares;

use crate::definition::Definition;

/// Room of one definition; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct WatchedRoom {
    quota_key: u64,
    all: Arc<AccountShares>,
    taken: u64,
}

impl WatchedRoom {
    /// None yet.
    pub(crate) fn new(definition: &Definition, all: &Arc<AccountShares>) -> Self {
        Self { quota_key: definition.quota_key(), all: Arc::clone(all), taken: 0 }
    }

    /// Takes so many bytes, if there are any left for its owner.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let is_taken = self.all.take(self.quota_key, bytes).is_ok();
        self.taken += if is_taken { bytes } else { 0 };
        is_taken
    }

    /// Gives back so many of them.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.all.give_back(self.quota_key, bytes);
        self.taken -= bytes;
    }

    /// Gives back all of them.
    pub(crate) fn give_back_all(&mut self) {
        self.give_back(self.taken);
    }
}

impl Drop for WatchedRoom {
    fn drop(&mut self) {
        self.give_back_all();
    }
}
