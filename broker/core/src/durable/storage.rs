//! Whether there is room for more of what clients want stored, as far as that is known since it was last looked (`storage_watch`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::durable::log::Log;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Storage {
    /// Only the reserve of the disk is left.
    is_reserved: AtomicBool,
    /// The disk has less room than may be stored before it is looked at again.
    is_tight: AtomicBool,
    /// What [`Log::accepted_bytes`] may reach until then.
    accepted_max: AtomicU64,
    /// Messages that wait for sessions take as much as they may.
    queues_are_full: AtomicBool,
    /// They take so much that it matters whose they are.
    queues_are_shared_out: AtomicBool,
}

impl Storage {
    /// Whether of the disk only the reserve is left.
    pub fn is_reserved(&self, log: &dyn Log) -> bool {
        let is_used_up = || log.accepted_bytes() >= self.accepted_max.load(Ordering::Relaxed);
        self.is_reserved.load(Ordering::Relaxed) || (self.is_tight.load(Ordering::Relaxed) && is_used_up())
    }

    /// Whether messages that wait for sessions take as much as they may.
    pub(crate) fn queues_are_full(&self) -> bool {
        self.queues_are_full.load(Ordering::Relaxed)
    }

    /// Whether they take so much that each owner is held to his [part](crate::client::shares::part).
    pub(crate) fn queues_are_shared_out(&self) -> bool {
        self.queues_are_shared_out.load(Ordering::Relaxed)
    }

    /// How full the queues are has been found out.
    pub fn queues_were_seen(&self, are_full: bool, are_shared_out: bool) {
        self.queues_are_shared_out.store(are_shared_out, Ordering::Relaxed);
        self.queues_are_full.store(are_full, Ordering::Relaxed);
    }

    /// How full the disk is has been found out: whether only its reserve is left, and how many bytes may be accepted until the next look; true when that
    /// is the first one that finds what it finds.
    pub fn disk_was_seen(&self, is_reserved: bool, accepted_max: u64, is_tight: bool) -> bool {
        self.accepted_max.store(accepted_max, Ordering::Relaxed);
        self.is_tight.store(is_tight, Ordering::Relaxed);
        self.is_reserved.swap(is_reserved, Ordering::Relaxed) != is_reserved
    }
}
