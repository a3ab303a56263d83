//! Storage space for what clients want stored, as far as it is known since the last look
//! (`storage_watch`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lotmq_changes::Log;

/// Storage space as it was last seen.
#[derive(Debug, Default)]
pub struct Storage {
    /// Whether only the reserve of the disk is left.
    is_reserved: AtomicBool,
    /// Whether the disk has less space than may be stored before the next look.
    is_tight: AtomicBool,
    /// Largest value that [`Log::accepted_bytes`] may reach until the next look.
    accepted_max: AtomicU64,
    /// Whether that was reached.
    was_used_up: AtomicBool,
    /// Whether messages that wait for sessions take as much as they may.
    queues_are_full: AtomicBool,
    /// Whether they take so much that each owner is limited to their share.
    queues_are_shared_out: AtomicBool,
}

impl Storage {
    /// Whether only the reserve of the disk is left.
    pub fn is_reserved(&self, log: &dyn Log) -> bool {
        if self.is_reserved.load(Ordering::Relaxed) {
            return true;
        }
        let is_used_up = self.is_tight.load(Ordering::Relaxed)
            && log.accepted_bytes() >= self.accepted_max.load(Ordering::Relaxed);
        if is_used_up {
            self.was_used_up.store(true, Ordering::Relaxed);
        }
        is_used_up
    }

    /// Whether more was wanted since this was asked last than could be accepted until a look.
    pub fn take_used_up(&self) -> bool {
        self.was_used_up.swap(false, Ordering::Relaxed)
    }

    /// Whether messages that wait for sessions take as much as they may.
    pub fn queues_are_full(&self) -> bool {
        self.queues_are_full.load(Ordering::Relaxed)
    }

    /// Whether waiting messages take so much that each owner is limited to their
    /// [share](crate::shares::part).
    pub fn queues_are_shared_out(&self) -> bool {
        self.queues_are_shared_out.load(Ordering::Relaxed)
    }

    /// Notes how full the queues were found.
    pub fn queues_were_seen(&self, are_full: bool, are_shared_out: bool) {
        self.queues_are_shared_out.store(are_shared_out, Ordering::Relaxed);
        self.queues_are_full.store(are_full, Ordering::Relaxed);
    }

    /// Notes how full the disk was found: whether only its reserve is left, and how many bytes may
    /// be accepted until the next look; true when that is the first one that finds what it finds.
    pub fn disk_was_seen(&self, is_reserved: bool, accepted_max: u64, is_tight: bool) -> bool {
        self.accepted_max.store(accepted_max, Ordering::Relaxed);
        self.is_tight.store(is_tight, Ordering::Relaxed);
        self.is_reserved.swap(is_reserved, Ordering::Relaxed) != is_reserved
    }
}
