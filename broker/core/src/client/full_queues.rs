//! Sessions whose queue is full and which drop messages, until somebody is told.
//!
//! Noted where messages are dropped, under the lock of the Client's state; told by the thread of `sys::clockwork`.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::client::Client;
use crate::client::sessions::KeptSessionKey;

/// Sessions of a tenant that have dropped something since the last word about them; each is in it once.
#[derive(Default)]
pub struct FullQueues(Mutex<Vec<KeptSessionKey>>);

/// Messages that a session dropped since the last word about it.
#[derive(Debug, Default)]
pub struct Dropped(AtomicU64);

impl FullQueues {
    /// A session dropped a message. Only the first one since the last word takes the lock.
    pub fn note(&self, client: &Client, dropped: &Dropped) {
        if dropped.0.fetch_add(1, Ordering::Relaxed) == 0 {
            self.0.lock().push(KeptSessionKey::of(client));
        }
    }

    /// Those that have dropped something since the last call.
    pub fn take(&self) -> Vec<KeptSessionKey> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Dropped {
    /// How many there are, which begin again.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}
