//! Whether there is room for more of what clients want stored, and in memory for what they do not acknowledge, looked at twice a second.
//!
//! The disk itself says when it is full; before that, clients are told that it is, so that administrators can still give commands. Between two looks more
//! can come than the reserve holds, so each says how many bytes there is room for until the next.

mod in_flight;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lotmq_config::Durability;
use lotmq_store::Store;
use parking_lot::Mutex;
use tracing::{info, warn};

use self::in_flight::InFlight;
use crate::broker::Broker;
use crate::limits::{DISK_BYTES_PER_BYTE, Limit, STORAGE_LOOK_PERIOD, STORED_BETWEEN_LOOKS_MAX};
use crate::shares::StoredQueues;

/// A look at all sessions takes some 0.1 s for a million; it rests for so many times as long.
const LOOK_PAUSE_FACTOR: u32 = 10;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Storage {
    /// Only the reserve of the disk is left.
    is_reserved: AtomicBool,
    /// The disk has less room than may be stored before it is looked at again.
    is_tight: AtomicBool,
    /// What [`Store::accepted_bytes`](lotmq_store::Store::accepted_bytes) may reach until then.
    accepted_max: AtomicU64,
    /// Messages that wait for sessions take as much as they may.
    queues_are_full: AtomicBool,
    /// They take so much that it matters whose they are.
    queues_are_shared_out: AtomicBool,
    looked_at: Mutex<Looked>,
    in_flight: InFlight,
}

#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    /// When it was last looked whose messages wait, and how long that took.
    at_owners: Option<(Instant, Duration)>,
}

impl Storage {
    /// Whether of the disk only the reserve is left.
    pub(crate) fn is_reserved(&self, store: &Store) -> bool {
        let is_used_up = || store.accepted_bytes() >= self.accepted_max.load(Ordering::Relaxed);
        self.is_reserved.load(Ordering::Relaxed) || (self.is_tight.load(Ordering::Relaxed) && is_used_up())
    }

    /// Whether messages that wait for sessions take as much as they may.
    pub(crate) fn queues_are_full(&self) -> bool {
        self.queues_are_full.load(Ordering::Relaxed)
    }

    /// Whether they take so much that each owner is held to his [part](crate::shares::part).
    pub(crate) fn queues_are_shared_out(&self) -> bool {
        self.queues_are_shared_out.load(Ordering::Relaxed)
    }

    /// Looks again, if it is time.
    pub(crate) fn look(&self, broker: &Broker) {
        self.in_flight.look(broker);
        let mut looked = self.looked_at.lock();
        if looked.at.is_some_and(|at| at.elapsed() < STORAGE_LOOK_PERIOD) {
            return;
        }
        looked.at = Some(Instant::now());
        let limits = &broker.config.limits;
        let live = broker.store.metrics().live_bytes();
        let is_much = live >= limits.stored_queue_bytes / 2;
        if is_much && looked.at_owners.is_none_or(|(at, took)| at.elapsed() >= LOOK_PAUSE_FACTOR * took) {
            let began = Instant::now();
            look_at_owners(broker, live);
            looked.at_owners = Some((Instant::now(), began.elapsed()));
        }
        drop(looked);
        self.queues_are_shared_out.store(is_much, Ordering::Relaxed);
        self.queues_are_full.store(live >= limits.stored_queue_bytes, Ordering::Relaxed);
        if limits.disk_reserve_bytes == 0 || broker.config.store.durability == Durability::None {
            return;
        }
        let stored = broker.store.metrics().bytes;
        let free = lotmq_store::free_bytes(&broker.config.data.path);
        let is_reserved = free.is_some_and(|free| free < limits.disk_reserve_bytes);
        let room = free
            .map_or(u64::MAX, |free| free.saturating_sub(limits.disk_reserve_bytes) / DISK_BYTES_PER_BYTE);
        self.accepted_max.store(stored.saturating_add(room), Ordering::Relaxed);
        self.is_tight.store(room < STORED_BETWEEN_LOOKS_MAX, Ordering::Relaxed);
        let was_reserved = self.is_reserved.swap(is_reserved, Ordering::Relaxed);
        if is_reserved && !was_reserved {
            broker.limits.elsewhere.count(Limit::DiskReserveBytes);
            warn!(bytes = free, "the disk is full but for its reserve, nothing is stored for clients");
        } else if was_reserved && !is_reserved {
            info!(bytes = free, "the disk has room again");
        }
    }
}

/// Finds out which owners have what they may have of what is stored.
fn look_at_owners(broker: &Broker, live: u64) {
    let mut queues = StoredQueues::default();
    for tenant in broker.tenants.all().iter() {
        let sessions = tenant.all_sessions();
        for client in sessions.iter().filter(|client| client.is_durable()) {
            let state = client.state.lock();
            queues.add(state.holding.share(), state.session.counts().queued_bytes);
        }
    }
    queues.judge(live, broker.config.limits.stored_queue_bytes);
}
