//! Services of the broker for route guests, above all for the messages that they bring: published
//! when there is room for them, and done when all of them is stored that has to be.
//!
//! Invariants: of messages that are refused before they are published nothing has happened; a guest
//! is told that messages of QoS 1 and 2 are done only behind the commit of all that was stored of
//! them. No thread of routes is ever held up: what waits is a task.

mod retained;

use std::sync::Arc;
use std::time::Duration;

use lotmq_core::durable::commit_watcher::CommitWatcher;
use lotmq_core::durable::store_failure::StoreFailure;
use lotmq_core::tenant::Tenant;
use lotmq_core::tenant::publication::Publication;
use lotmq_core::tenant::triggers::Publisher;
use lotmq_core::turn::Turn;
use lotmq_core::turn::capacity;
use lotmq_definitions::Owner;
use lotmq_host::route::{IngestError, IngestedMessage, Ingesting, RetainedMessage, RouteServices};
use lotmq_host::{Qos, RunContext, Services as _, describe_owner};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::effects::{GuestMessage, Sender, codec_qos};
use super::guest_id::definition_id;
use super::routes::runner::RouteRunner;
use super::services::TenantServices;
use crate::HasPrograms as _;
use crate::limits::{INGEST_PIECE_BYTES, INGEST_PIECE_MESSAGES};
use lotmq_process::this_turn;

/// Time between two looks whether the disk has caught up: some commits.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

impl RouteServices for TenantServices {
    fn ingest<'a>(&'a self, run: RunContext, messages: Vec<IngestedMessage>) -> Ingesting<'a> {
        Box::pin(ingest(self, run, messages))
    }

    fn retained(
        &self,
        _run: &RunContext,
        filter: &str,
        after: Option<&str>,
        is_granted: &dyn Fn(&str) -> bool,
    ) -> (Vec<RetainedMessage>, Option<String>) {
        retained::page(self, filter, after, is_granted)
    }
}

/// Publishes the messages of a route in order, and waits until they are stored: all of a
/// [piece](piece) or none. The thread goes on with other routes in between.
///
/// # Errors
/// See [`IngestError`]; what was published before stays so.
async fn ingest(
    services: &TenantServices,
    run: RunContext,
    messages: Vec<IngestedMessage>,
) -> Result<(), IngestError> {
    if piece(&messages) < messages.len() {
        // Of several pieces none is published when one may not be.
        check_rights(services, &run, &messages)?;
    }
    let mut storing = Vec::new();
    let mut rest = &messages[..];
    while !rest.is_empty() {
        let (first, others) = rest.split_at(piece(rest));
        let tenant = services.tenant.upgrade().ok_or(IngestError::Closed)?;
        let runner = tenant.programs().guests.route_by_id(definition_id(run.definition));
        let runner = runner.ok_or(IngestError::Closed)?;
        wait_for_room(services, &tenant, &runner, first).await;
        wait_for_outboxes(&tenant, &run, &runner, first).await;
        // The rights of the owner may have changed during the wait, so they are checked after it.
        match check_rights(services, &run, first) {
            // The guest is to hear that none was taken when none was: with the next attempt.
            Err(IngestError::NotAllowed) if !storing.is_empty() => return Err(IngestError::NotStored),
            checked => checked?,
        }
        storing.extend(publish((&tenant, &runner), services, &run, first)?);
        rest = others;
        if !rest.is_empty() {
            tokio::task::yield_now().await;
        }
    }
    drop(messages);
    for stored in storing {
        match stored.await {
            Ok(Ok(())) => {}
            Ok(Err(_failure)) => return Err(IngestError::NotStored),
            // The broker stopped before it could report the result.
            Err(_) => return Err(IngestError::Closed),
        }
    }
    if let Some(tenant) = services.tenant.upgrade()
        && let Some(runner) = tenant.programs().guests.route_by_id(definition_id(run.definition))
    {
        runner.runs_well();
    }
    Ok(())
}

/// Number of messages that are published at once: as many as the bounds of a piece say, and one at
/// least.
fn piece(messages: &[IngestedMessage]) -> usize {
    let mut bytes = 0;
    let fits = |message: &&IngestedMessage| {
        bytes += message.topic.len() + message.payload.len();
        bytes <= INGEST_PIECE_BYTES
    };
    messages.iter().take(INGEST_PIECE_MESSAGES).take_while(fits).count().max(1)
}

/// Waits while the disk is behind, as Clients of the same owner would.
async fn wait_for_room(
    services: &TenantServices,
    tenant: &Tenant,
    runner: &RouteRunner,
    messages: &[IngestedMessage],
) {
    if !messages.iter().any(|message| message.retain || is_acknowledged(message)) {
        return;
    }
    let share = || services.owner.as_ref().map(|owner| tenant.shares.of_user(Some(owner)));
    wait_while(runner, "the disk is behind, or full", || {
        this_turn::with(|turn| turn.is_store_busy_for(share))
    })
    .await;
}

/// Waits until this is no longer so.
async fn wait_while(runner: &RouteRunner, why: &'static str, is_so: impl Fn() -> bool) {
    if !is_so() {
        return;
    }
    let _wait = runner.ingest_waits.begin(why);
    while is_so() {
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

/// Waits while outboxes of other routes that take the messages are full and shed nothing, as
/// Clients would.
async fn wait_for_outboxes(
    tenant: &Arc<Tenant>,
    run: &RunContext,
    runner: &RouteRunner,
    messages: &[IngestedMessage],
) {
    let publisher = Publisher::Route(definition_id(run.definition));
    for message in messages {
        let (by, qos) = ((publisher, &*message.topic), codec_qos(message.qos));
        let must_wait = || {
            this_turn::with(|turn| {
                turn.tick();
                capacity::must_wait(turn, tenant, by, qos)
            })
        };
        wait_while(runner, "the outbox of a route that takes it is full", must_wait).await;
    }
}

/// Checks that the owner may publish these messages of a route; a denial is recorded.
fn check_rights(
    services: &TenantServices,
    run: &RunContext,
    messages: &[IngestedMessage],
) -> Result<(), IngestError> {
    let may = |arrival: &IngestedMessage| services.may_write(run, &arrival.as_message());
    match messages.iter().find(|message| !may(message)) {
        None => Ok(()),
        Some(refused) => {
            let what = format!("publish to '{}'", refused.topic);
            services.denied(run, &what);
            if let Some(tenant) = services.tenant.upgrade()
                && let Some(runner) = tenant.programs().guests.route_by_id(definition_id(run.definition))
            {
                let owner = describe_owner(services.owner());
                runner.may_not_publish(&format!("the rules do not let {owner} {what}"));
            }
            Err(IngestError::NotAllowed)
        }
    }
}

/// Publishes the messages; gives what to wait for where any is of QoS 1 or 2.
fn publish(
    (tenant, runner): (&Arc<Tenant>, &RouteRunner),
    services: &TenantServices,
    run: &RunContext,
    messages: &[IngestedMessage],
) -> Result<Option<oneshot::Receiver<Outcome>>, IngestError> {
    let route = definition_id(run.definition);
    let owner = services.owner.as_ref();
    let sender = Sender { owner, origin: Some(route), hops: run.hops.saturating_add(1) };
    this_turn::with(|turn| {
        turn.tick();
        if capacity::may_refuse(turn) && !can_keep(turn, tenant, (owner, messages)) {
            turn.core.counters.publish_not_stored.add(messages.len() as u64);
            return Err(IngestError::NotStored);
        }
        let acknowledged = messages.iter().filter(|message| is_acknowledged(message)).count();
        let (watcher, stored) = Stored::watching(acknowledged);
        for arrival in messages {
            if is_acknowledged(arrival) {
                turn.watch_commit(Arc::clone(&watcher) as _);
            }
            // A message that is not taken is counted.
            let _ = of_route(arrival).publish(turn, tenant, sender);
        }
        turn.flush();
        let now = runner.now();
        runner.note(|figures| {
            figures.brought += messages.len() as u64;
            figures.brought_at = Some(now);
        });
        Ok((acknowledged > 0).then_some(stored))
    })
}

/// Whether each of the messages can be kept wherever it must be; nothing of them stays in the turn.
fn can_keep(
    turn: &mut Turn,
    tenant: &Arc<Tenant>,
    (owner, messages): (Option<&Owner>, &[IngestedMessage]),
) -> bool {
    let can = messages.iter().all(|message| {
        let publication = of_route(message).in_turn(turn, 0);
        publication
            .is_none_or(|publication| capacity::can_keep(turn, tenant, &Publication { owner, ..publication }))
    });
    turn.flush();
    can
}

fn is_acknowledged(message: &IngestedMessage) -> bool {
    message.qos != Qos::AtMostOnce
}

/// Message that a route has brought.
fn of_route(arrival: &IngestedMessage) -> GuestMessage<'_> {
    let IngestedMessage { topic, payload, qos, retain, properties, expiry_seconds } = arrival;
    let (qos, retain, expiry_seconds) = (*qos, *retain, *expiry_seconds);
    GuestMessage { topic, payload, qos, retain, properties, expiry_seconds }
}

type Outcome = Result<(), StoreFailure>;

/// Receiver of what becomes of some messages, each of which may be in another batch.
struct Stored(Mutex<Waiting>);

struct Waiting {
    /// Messages of which it is not known yet.
    left: usize,
    outcome: Outcome,
    answer: Option<oneshot::Sender<Outcome>>,
}

impl Stored {
    /// Watcher of so many messages, and the one answer about all of them.
    fn watching(messages: usize) -> (Arc<Stored>, oneshot::Receiver<Outcome>) {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { left: messages, outcome: Ok(()), answer: Some(answer) };
        (Arc::new(Stored(Mutex::new(waiting))), answered)
    }
}

impl CommitWatcher for Stored {
    fn settled(&self, outcome: Outcome) {
        let mut waiting = self.0.lock();
        waiting.left = waiting.left.saturating_sub(1);
        waiting.outcome = waiting.outcome.and(outcome);
        if waiting.left == 0
            && let Some(answer) = waiting.answer.take()
        {
            // The guest may have been given up.
            let _ = answer.send(waiting.outcome);
        }
    }
}
