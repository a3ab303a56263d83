//! Sessions that drop messages because their queue is full, collected until they are reported.
//!
//! Noted where messages are dropped, under the lock of the Client's state; told by the thread of
//! `sys::clockwork`.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::tenant::session_key::KeptSessionKey;

/// Sessions of a tenant that have dropped messages since the last report; each is listed once.
#[derive(Default)]
pub struct FullQueues(Mutex<Vec<KeptSessionKey>>);

/// Count of messages that a session has dropped since the last report about it.
#[derive(Debug, Default)]
pub struct Dropped(AtomicU64);

impl FullQueues {
    /// Notes that a session dropped a message. Only the first one since the last report takes the
    /// lock.
    pub fn note(&self, dropped: &Dropped, key: impl FnOnce() -> KeptSessionKey) {
        if dropped.0.fetch_add(1, Ordering::Relaxed) == 0 {
            self.0.lock().push(key());
        }
    }

    /// Takes the sessions that have dropped messages since the last call.
    pub fn take(&self) -> Vec<KeptSessionKey> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Dropped {
    /// Takes the count, which starts again from zero.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}
