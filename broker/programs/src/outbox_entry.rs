//! Entry of a route's outbox in the batch of a thread: it wakes the route when what is in it is on
//! the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lotmq_changes::MessageId;
use lotmq_host::Lease;
use parking_lot::Mutex;

use super::routes::RouteRunner;
use lotmq_core::durable::changes::Stamp;
use lotmq_core::durable::commit_watcher::CommitWatcher;
use lotmq_core::durable::store_failure::StoreFailure;

/// Messages for one route in the batch of a thread.
pub(super) struct OutboxEntry {
    pub(super) route: Arc<RouteRunner>,
    pub(super) stamp: Stamp,
    /// Number below those of its messages.
    floor: MessageId,
    pub(super) last: AtomicU64,
    /// Promises that other messages hold until these are stored.
    pub(super) leases: Mutex<Vec<Lease>>,
    is_over: AtomicBool,
}

impl OutboxEntry {
    /// Entry of a route, whose messages have numbers above `floor`.
    pub(super) fn new(route: Arc<RouteRunner>, stamp: Stamp, floor: MessageId) -> Self {
        let (last, leases, is_over) = (AtomicU64::new(floor.0), Mutex::default(), AtomicBool::new(false));
        Self { route, stamp, floor, last, leases, is_over }
    }

    fn end(&self, is_stored: bool) {
        if !self.is_over.swap(true, Ordering::AcqRel) {
            let last = MessageId(self.last.load(Ordering::Acquire));
            self.route.batch_ended(self.floor, last, is_stored);
        }
        self.leases.lock().clear();
    }
}

impl CommitWatcher for OutboxEntry {
    fn settled(&self, outcome: Result<(), StoreFailure>) {
        self.end(outcome.is_ok());
    }
}

impl Drop for OutboxEntry {
    fn drop(&mut self) {
        // The broker stops, or the thread has panicked: nobody knows.
        self.end(false);
    }
}
