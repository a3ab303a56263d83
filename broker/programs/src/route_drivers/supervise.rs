//! Tending of an outbox: takes what is in memory, reads what else waits back from the store,
//! removes what is done, gives up what has waited for too long, and drops the oldest of too many
//! dead letters.
//!
//! A task on the thread of routes for each route, which works whether the far side is there or not.
//! Nothing here waits for the disk.

use std::sync::Arc;
use std::time::Duration;

use lotmq_changes::{Op, QueueSlice, SliceBounds, StoreError};
use tracing::{error, warn};

use super::dead_lettering::give_up;
use super::turn_work::TurnWork;
use crate::dead_letter_queue;
use crate::hosting::Hosting;
use crate::limits::{ROUTE_SLICE_BYTES, ROUTE_SLICE_MESSAGES};
use crate::routes::RouteRunner;
use crate::routes::outbox::OutboxStretch;
use crate::services::TenantServices;
use lotmq_core::tenant::Tenant;
use lotmq_process::this_turn;

/// Pause between two looks whether a store that has failed works again.
const DOUBT_PAUSE: Duration = Duration::from_secs(1);

/// Tends the outbox of a route until the route is removed.
pub(super) async fn tend(hosting: Arc<Hosting>, tenant: Arc<Tenant>, route: Arc<RouteRunner>) {
    while route.deployed().is_some() {
        let pause = look(&hosting, &tenant, &route).await;
        let called = route.outbox_called.notified();
        match pause {
            // Either way it is time to look.
            Some(pause) => drop(tokio::time::timeout(pause, called).await),
            None => called.await,
        }
    }
}

/// Does what there is to do; the time until there may be more without a call.
async fn look(hosting: &Arc<Hosting>, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>) -> Option<Duration> {
    let is_in_doubt = route.settle_doubts(hosting.core.store_failure().is_none());
    route.take_fresh();
    give_up_expired(hosting, tenant, route).await;
    remove_done(route);
    dead_letter_queue::remove_dropped(route);
    dead_letter_queue::trim(hosting, route);
    if let Some(stretch) = route.begin_reading() {
        read(hosting, route, stretch);
    }
    let due = route.due_in();
    due.into_iter().chain(is_in_doubt.then_some(DOUBT_PAUSE)).min()
}

/// Gives up what has waited for longer than `BUFFER_TTL_SEC`.
async fn give_up_expired(hosting: &Arc<Hosting>, tenant: &Arc<Tenant>, route: &Arc<RouteRunner>) {
    const REASON: &str = "it waited for longer than BUFFER_TTL_SEC";
    let expired = route.take_expired();
    if expired.is_empty() {
        return;
    }
    let version = route.version();
    let services = TenantServices::new(tenant, hosting, &version.definition);
    let work = TurnWork::default();
    for post in &expired {
        give_up((hosting, tenant, route), (&version, &services), (post, REASON), &work);
        route.leave_outbox(std::slice::from_ref(post));
        work.end_turn_if_enough().await;
    }
}

/// Removes what is done from the store.
pub(super) fn remove_done(route: &RouteRunner) {
    let Some((session, done)) = route.take_done() else { return };
    this_turn::with(|turn| {
        turn.tick();
        done.into_iter().for_each(|message| turn.batch.push(Op::Dequeue { session, message }));
        turn.flush();
    });
}

/// Asks for a part of the queue.
fn read(hosting: &Hosting, route: &Arc<RouteRunner>, stretch: OutboxStretch) {
    // Not kept alive by the request: the store must not be what drops a route last.
    let asking = Arc::downgrade(route);
    let reply = move |slice: Result<QueueSlice, StoreError>| {
        if let Some(route) = asking.upgrade() {
            take(&route, stretch, slice);
        }
    };
    let bounds = SliceBounds::new(ROUTE_SLICE_MESSAGES, ROUTE_SLICE_BYTES);
    let asked = hosting.core.log.read_queue(stretch.session, stretch.after, bounds, Box::new(reply));
    if asked.is_err() {
        // The broker stops.
        route.has_not_read();
    }
}

/// Takes what was read. Runs on the store's thread.
fn take(route: &RouteRunner, stretch: OutboxStretch, slice: Result<QueueSlice, StoreError>) {
    match slice {
        Ok(slice) => {
            let damaged = route.has_read(stretch, &slice).damaged;
            if damaged > 0 {
                let name = Arc::clone(route.version().definition.name());
                error!(target: "routes", route = &*name, count = damaged, "messages in an outbox are damaged and left out");
            }
        }
        Err(error) => {
            if !matches!(error, StoreError::Closed) {
                let name = Arc::clone(route.version().definition.name());
                warn!(target: "routes", route = &*name, %error, "outbox cannot be read; it is tried again");
            }
            route.has_not_read();
        }
    }
}
