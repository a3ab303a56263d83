//! Whether there is room for more of what clients want stored, looked at twice a second.
//!
//! The disk itself says when it is full; before that, clients are told that it is, so that administrators can still give commands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::broker::Broker;
use crate::config::Durability;
use crate::limits::{Limit, STORAGE_LOOK_PERIOD};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    /// Only the reserve of the disk is left.
    is_reserved: AtomicBool,
    /// Messages that wait for sessions take as much as they may.
    queues_are_full: AtomicBool,
    looked_at: Mutex<Option<Instant>>,
}

impl Storage {
    /// Whether of the disk only the reserve is left.
    pub(crate) fn is_reserved(&self) -> bool {
        self.is_reserved.load(Ordering::Relaxed)
    }

    /// Whether messages that wait for sessions take as much as they may.
    pub(crate) fn queues_are_full(&self) -> bool {
        self.queues_are_full.load(Ordering::Relaxed)
    }

    /// Looks again, if it is time.
    pub(crate) fn look(&self, broker: &Broker) {
        {
            let mut looked_at = self.looked_at.lock();
            if looked_at.is_some_and(|at| at.elapsed() < STORAGE_LOOK_PERIOD) {
                return;
            }
            *looked_at = Some(Instant::now());
        }
        let limits = &broker.config.limits;
        let live = broker.store.metrics().log_live_bytes;
        self.queues_are_full.store(live >= limits.stored_queue_bytes, Ordering::Relaxed);
        if limits.disk_reserve_bytes == 0 || broker.config.store.durability == Durability::None {
            return;
        }
        let free = lotmq_store::free_bytes(&broker.config.data.path);
        let is_reserved = free.is_some_and(|free| free < limits.disk_reserve_bytes);
        let was_reserved = self.is_reserved.swap(is_reserved, Ordering::Relaxed);
        if is_reserved && !was_reserved {
            broker.limits.elsewhere.count(Limit::DiskReserveBytes);
            warn!(bytes = free, "the disk is full but for its reserve, nothing is stored for clients");
        } else if was_reserved && !is_reserved {
            info!(bytes = free, "the disk has room again");
        }
    }
}
