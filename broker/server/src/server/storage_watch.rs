//! Watch over storage: how full disk and queues are, and what clients have in memory without
//! acknowledging it, looked at twice a second.
//!
//! The disk itself says when it is full; before that, clients are told that it is, so that
//! administrators can still give commands. Between two looks more can come than the reserve holds,
//! so each says how many bytes there is room for until the next.

mod in_flight;

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{info, warn};

use self::in_flight::InFlight;
use crate::server::limits::{STORAGE_LOOK_PERIOD, STORED_BETWEEN_LOOKS_MAX};
use lotmq_core::limits::Limit;
use lotmq_core::shares::owner_totals::OwnerTotals;
use lotmq_process::disk_room;
use lotmq_programs::{HasPrograms as _, Hosting};

/// Pause after a look at all sessions, in multiples of its duration: it takes some 0.1 s for a
/// million.
const LOOK_PAUSE_FACTOR: u32 = 10;

/// Shortest time between two lines of the log about a disk that is nearly full.
const TIGHT_TOLD_PAUSE: Duration = Duration::from_secs(60);

/// Watch over storage.
#[derive(Debug, Default)]
pub(crate) struct StorageWatch {
    looked_at: Mutex<Looked>,
    /// When it was told last that more came between two looks than there is room for.
    told_tight_at: Mutex<Option<Instant>>,
    in_flight: InFlight,
}

#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    /// Time and duration of the last look at the owners of waiting messages.
    at_owners: Option<(Instant, Duration)>,
}

impl StorageWatch {
    /// Looks again, if it is time.
    pub(crate) fn look(&self, hosting: &Hosting) {
        self.in_flight.look(hosting);
        let mut looked = self.looked_at.lock();
        if looked.at.is_some_and(|at| at.elapsed() < STORAGE_LOOK_PERIOD) {
            return;
        }
        looked.at = Some(Instant::now());
        let limits = &hosting.config.limits;
        let (live, stored) = (hosting.core.log.metrics().live_bytes(), hosting.core.log.metrics().bytes);
        let free = disk_room::free(&hosting.config);
        let room = disk_room::for_messages(&hosting.config, free);
        let queue_bytes_max = disk_room::queue_bytes_max(&hosting.config, live, free);
        let is_much = live >= queue_bytes_max / 2;
        if is_much && looked.at_owners.is_none_or(|(at, took)| at.elapsed() >= LOOK_PAUSE_FACTOR * took) {
            let began = Instant::now();
            look_at_owners(hosting, live, queue_bytes_max);
            looked.at_owners = Some((Instant::now(), began.elapsed()));
        }
        drop(looked);
        let are_full = live >= limits.stored_queue_bytes;
        hosting.core.storage.queues_were_seen(are_full, is_much);
        hosting.tenants.all().iter().for_each(|tenant| tenant.shares.queues_were_seen(are_full, is_much));
        if !disk_room::is_bounded(&hosting.config) {
            return;
        }
        let is_reserved = free.is_some_and(|free| free < limits.disk_reserve_bytes);
        let is_tight = room < STORED_BETWEEN_LOOKS_MAX;
        let is_new = hosting.core.storage.disk_was_seen(is_reserved, stored.saturating_add(room), is_tight);
        if is_new && is_reserved {
            hosting.core.limits.elsewhere.count(Limit::DiskReserveBytes);
            warn!(bytes = free, "the disk is full but for its reserve, nothing is stored for clients");
        } else if is_new {
            info!(bytes = free, "the disk has room again");
        }
        if hosting.core.storage.take_used_up() && !is_reserved {
            self.tell_tight(free, limits.disk_reserve_bytes);
        }
    }

    /// Tells that more came between two looks than fits beside the reserve, now and then.
    fn tell_tight(&self, free: Option<u64>, reserve: u64) {
        let mut told_at = self.told_tight_at.lock();
        if told_at.is_none_or(|at| at.elapsed() >= TIGHT_TOLD_PAUSE) {
            *told_at = Some(Instant::now());
            warn!(
                bytes = free,
                reserve,
                "the disk has little room beside its reserve: more came at once than fits there, and was refused"
            );
        }
    }
}

/// Finds the owners who have reached their part of the stored messages.
fn look_at_owners(hosting: &Hosting, live: u64, queue_bytes_max: u64) {
    let mut queues = OwnerTotals::default();
    for tenant in hosting.tenants.all().iter() {
        let sessions = tenant.all_sessions();
        for client in sessions.iter().filter(|client| client.is_durable()) {
            let state = client.state.lock();
            queues.add(state.holding.share(), state.session.counts().queued_bytes);
        }
        for route in tenant.programs().guests.routes_in_order() {
            let version = route.version();
            let owner = version.definition.owner();
            queues.add(&tenant.shares.of_user(owner), route.outbox_waiting().bytes);
        }
    }
    queues.judge_queues(live, queue_bytes_max);
}
