//! Outboxes of routes from deploying on: those that a former run of the broker has left, until
//! their routes are deployed again, and new ones; with them the drivers.
//!
//! An outbox is the queue of a session whose Client Identifier no Client can have:
//! [`ROUTE_CLIENT_IDS`] and the name of the route. The dead letters of a route are in such a queue
//! beside it ([`dead_letter_queue`](super::dead_letter_queue)).

use std::sync::Arc;

use jiff::Timestamp;
use lotmq_changes::{
    Batch, Op, ROUTE_CLIENT_IDS, RecoveredSession, SessionId, SessionRow, StoreError, Waiting,
};
use lotmq_definitions::{Definition, DefinitionKind};
use tracing::{error, info, warn};

use super::hosting::Hosting;
use super::routes::buffering::BufferMode;
use super::routes::version::Version;
use super::routes::{RouteCode, RouteRunner};
use super::{Guests, HasPrograms as _};
use lotmq_core::tenant::Tenant;

/// Name under which the dead letters of a route are kept beside its outbox. No route has it.
pub fn kept_name(route: &str) -> String {
    format!("\u{1}{route}")
}

/// Name of the route whose outbox or dead letters are kept under this name.
fn route_of(kept: &str) -> &str {
    kept.strip_prefix('\u{1}').unwrap_or(kept)
}

/// Makes a session in whose queue messages are kept under a name; it is in front of every batch
/// that names it. However much waits for the disk: each route needs two at most, and messages that
/// were acknowledged would be lost without.
///
/// # Errors
/// When the store is closed.
pub fn new_queue(hosting: &Hosting, tenant: &Tenant, kept: &str) -> Result<SessionId, StoreError> {
    let id = hosting.core.ids.next_session();
    let mut batch = Batch::new();
    batch.push(Op::PutSession(&SessionRow::new(tenant.id, id, &format!("{ROUTE_CLIENT_IDS}{kept}"))));
    hosting.core.log.append(batch).map(|_| id)
}

/// Takes the outboxes of all tenants out of `sessions`. Of two for one route, as a crash may leave
/// them, the older is deleted.
pub fn recover(hosting: &Hosting, sessions: &mut Vec<RecoveredSession>) {
    let is_outbox = |it: &mut RecoveredSession| it.session.client_id.starts_with(ROUTE_CLIENT_IDS);
    let mut recovered: Vec<_> = sessions.extract_if(.., is_outbox).collect();
    recovered.sort_by_key(|it| it.session.id);
    let mut stale = Batch::new();
    for RecoveredSession { session, waiting, .. } in recovered {
        let tenants = hosting.tenants.all();
        let tenant = tenants.iter().find(|tenant| tenant.id == session.tenant);
        let former = match (tenant, session.client_id.strip_prefix(ROUTE_CLIENT_IDS)) {
            (Some(tenant), Some(route)) => {
                let mut left = tenant.programs().guests.left_outboxes.lock();
                left.insert(route.into(), (session.id, waiting)).map(|(former, _)| former)
            }
            _ => Some(session.id),
        };
        if let Some(former) = former {
            stale.push(Op::DeleteSession { tenant: session.tenant, session: former });
        }
    }
    delete(hosting, stale);
}

/// Deletes the outboxes of these tenants whose routes are not there any more. Those of routes that
/// do not compile are kept until they do, or are removed.
pub fn forget_unclaimed(hosting: &Hosting, tenants: &[Arc<Tenant>]) {
    let mut stale = Batch::new();
    for tenant in tenants {
        let guests = &tenant.programs().guests;
        let registry = guests.registry.read();
        guests.left_outboxes.lock().retain(|route, (session, waiting)| {
            let is_there = registry.get(DefinitionKind::Route, route_of(route)).is_some();
            if !is_there {
                let (route, count) = (route_of(route), waiting.messages);
                warn!(tenant = &*tenant.name, route, count, "outbox of no route deleted");
                stale.push(Op::DeleteSession { tenant: tenant.id, session: *session });
            }
            is_there
        });
    }
    delete(hosting, stale);
}

fn delete(hosting: &Hosting, batch: Batch) {
    if !batch.is_empty()
        && let Err(error) = hosting.core.log.append(batch)
    {
        warn!(%error, "stale outboxes not deleted");
    }
}

/// Adds to `batch` that what is left of the outbox of a definition is deleted, if nobody has
/// claimed it.
pub(super) fn forget(tenant: &Tenant, guests: &Guests, definition: &Definition, batch: &mut Batch) {
    if definition.kind() != DefinitionKind::Route {
        return;
    }
    let mut left = guests.left_outboxes.lock();
    for kept in [&**definition.name(), &*kept_name(definition.name())] {
        if let Some((session, _)) = left.remove(kept) {
            batch.push(Op::DeleteSession { tenant: tenant.id, session });
        }
    }
}

/// Gives a route the dead letters and the outbox that were left for it, or a new outbox where its
/// version asks for one.
fn give_outbox(tenant: &Tenant, hosting: &Hosting, route: &Arc<RouteRunner>, version: &Version) {
    let dead_letters = kept_name(version.definition.name());
    let left = tenant.programs().guests.left_outboxes.lock().remove(&*dead_letters);
    if let Some((session, waiting)) = left {
        route.dead_letters.open(session, waiting);
    }
    if route.outbox_session().is_some() {
        return;
    }
    let name = version.definition.name();
    let left = tenant.programs().guests.left_outboxes.lock().remove(&**name);
    if let Some((session, waiting)) = left {
        if waiting.messages > 0 {
            info!(
                tenant = &*tenant.name,
                route = &**name,
                count = waiting.messages,
                "messages wait for a route"
            );
        }
        route.open_outbox(session, waiting, hosting.core.ids.next_message());
        return;
    }
    if version.buffering.mode != BufferMode::Disk {
        return;
    }
    // A definition that is not stored after all leaves it to be deleted at the next start.
    match new_queue(hosting, tenant, name) {
        Ok(id) => route.open_outbox(id, Waiting::default(), hosting.core.ids.next_message()),
        Err(error) => {
            error!(tenant = &*tenant.name, route = &**name, %error, "no outbox was made: messages wait in memory");
        }
    }
}

/// Gives a route its runner, whose instances the threads of routes drive; mailbox and outbox of a
/// former version go on with the new one, unless they were somebody else's.
pub(super) fn arm(
    tenant: &Arc<Tenant>,
    (hosting, now): (&Hosting, Timestamp),
    definition: &Arc<Definition>,
    code: RouteCode,
) {
    let threads = &hosting.routes;
    let order = tenant.programs().guests.route_orders.get(definition.name());
    let bounds = (&hosting.config.routes, threads.is_at_once);
    let version = Version::new(Arc::clone(definition), code, bounds, &order.policies);
    let room = hosting.engine.mailbox_room(definition.account());
    let former = tenant.programs().guests.routes.read().get(&definition.id).cloned();
    let route = match former {
        Some(route) => {
            // Its owner may be another one.
            route.share(room);
            give_outbox(tenant, hosting, &route, &version);
            route.replace(version);
            route
        }
        None => {
            let route = Arc::new(RouteRunner::new(
                version,
                now,
                (Arc::clone(&hosting.core.ids), Arc::clone(&hosting.core.clock)),
                order.is_stopped,
            ));
            route.share(room);
            give_outbox(tenant, hosting, &route, &route.version());
            tenant.programs().guests.routes.write().insert(definition.id, Arc::clone(&route));
            threads.tell(tenant, &route);
            route
        }
    };
    for instance in route.undriven() {
        threads.drive(tenant, &route, instance);
    }
}

/// Lets the version of a route with this number, whose settings have their values now, go on with
/// them.
pub(super) fn settle(
    tenant: &Arc<Tenant>,
    hosting: &Hosting,
    route: &Arc<RouteRunner>,
    (number, version): (u64, Version),
) {
    give_outbox(tenant, hosting, route, &version);
    if route.settle(number, version) {
        for instance in route.undriven() {
            hosting.routes.drive(tenant, route, instance);
        }
    }
}
