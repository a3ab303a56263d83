//! Giving up a message of a route, because it can never pass or has waited for too long: it becomes
//! a dead letter, and is counted and told, at `ERROR_TOPIC` too.

use std::sync::Arc;

use lotmq_core::tenant::Tenant;
use lotmq_definitions::RunError;
use lotmq_host::{BorrowedMessage, RunContext, Services as _};

use super::delivery::error_report;
use super::template::OfRoute;
use super::turn_work::TurnWork;
use crate::HasPrograms as _;
use crate::guest_id::guest_id;
use crate::hosting::Hosting;
use crate::routes::mailbox::RouteMessage;
use crate::routes::runner::RouteRunner;
use crate::routes::version::Version;
use crate::services::TenantServices;
use crate::{dead_letter_queue, effects, records};
use lotmq_process::this_turn;

/// Work of giving up a message, besides what is copied of it: some 50 µs.
const DEAD_LETTER_WORK: usize = 32 << 10;

/// Gives up a message for a reason that contains no secret. Counts the work.
pub(super) fn give_up(
    (hosting, tenant, route): (&Hosting, &Arc<Tenant>, &Arc<RouteRunner>),
    (version, services): (&Version, &TenantServices),
    (post, reason): (&RouteMessage, &str),
    work: &TurnWork,
) {
    work.count(DEAD_LETTER_WORK + post.message.bytes() + reason.len());
    dead_letter_queue::bury(hosting, tenant, route, (post, reason));
    let now = hosting.definitions_now().wall;
    route.update(|status| status.event_failed(&post.to, 1, reason, now));
    let message = post.to.with_reason(reason);
    let error = RunError {
        code: "ROUTE_REJECTED",
        message: &message,
        topic: &post.message.topic,
        payload: &post.message.payload,
        ..RunError::default()
    };
    let definition = &version.definition;
    this_turn::with(|turn| records::record(turn, tenant, definition, &error, post.hops));
    let run = || RunContext::new(guest_id(tenant, definition.id));
    let (names, of) = (OfRoute(services, run()), (&post.to, &*post.message));
    let shown = records::masked(&tenant.programs().variables, &post.message);
    let told = error_report(version.said(), of, now, &names, (definition.name(), reason, &shown), work);
    let Some((topic, payload)) = told else { return };
    let message = BorrowedMessage::new(&topic, payload.as_bytes());
    if !services.message_bounds().include_topic(&topic) || !services.may_write(&run(), &message) {
        return;
    }
    let answer = effects::GuestMessage::new(&topic, payload.as_bytes());
    let sender = effects::Sender {
        owner: definition.owner(),
        origin: Some(definition.id),
        hops: post.hops.saturating_add(1),
    };
    this_turn::with(|turn| {
        turn.tick();
        // A report that is not taken is counted.
        let _ = answer.publish(turn, tenant, sender);
        turn.flush();
    });
}
