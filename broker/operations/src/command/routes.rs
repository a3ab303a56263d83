//! `-listRoutes`, `-connectionStatus`, `-checkRouteConnection`. Commands reference §3.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lotmq_auth::Scope;
use lotmq_definitions::Origin;
use serde::Serialize;
use serde_json::{Value, json};

use super::argument::{switch, word};
use super::reply::{Done, EntityType, Refusal, WITHHELD, problem};
use super::verb::{Call, Effect, Permission, Verb, Work};
use lotmq_codes::Code;
use lotmq_programs::Guests;
use lotmq_programs::HasPrograms as _;
use lotmq_programs::routes::RouteRunner;
use lotmq_programs::routes::pace::Rates;
use lotmq_programs::routes::status::{Connection, DeliveryFigures};

/// Time that `-checkRouteConnection` waits for the far side. Commands reference §1.10.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

pub(super) static LIST: Verb = Verb {
    name: "listRoutes",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::TellsWhatIsStored,
    work: Work::Answers,
    summary: "Lists routes with their type and connection.",
    example: "-listRoutes",
    execute: list,
};

pub(super) static CONNECTION_STATUS: Verb = Verb {
    name: "connectionStatus",
    arguments: &[],
    permission: Permission::CommandCall,
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Reports the connection of every route.",
    example: "-connectionStatus",
    execute: status,
};

pub(super) static CHECK_CONNECTION: Verb = Verb {
    name: "checkRouteConnection",
    arguments: &[word("name"), switch("-new")],
    permission: Permission::ScopeOrOwn(Scope::RouteManagementCreation),
    effect: Effect::Reads,
    work: Work::Waits,
    summary: "Tries the connection of a route: asks the far side over the one that is open, where there is one; with -new, and where there is none, over another one. Whoever asks while it is tried gets the same answer.",
    example: "-checkRouteConnection Up",
    execute: check_connection,
};

fn list(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let rows = rows(call);
    let message = match rows.len() {
        0 => "No routes registered.".to_owned(),
        count => format!("{count} route(s)."),
    };
    Ok(Done::new(message).with_data(rows))
}

/// Answers `-connectionStatus`, as `-listRoutes`; the message is a text with a line for each route.
fn status(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let rows = rows(call);
    let line = |row: &Row| {
        let why = row.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        format!("{} ({}): {}, {}{why}", row.name, row.kind, row.connection, row.health)
    };
    let lines: Vec<String> = rows.iter().map(line).collect();
    let message = if lines.is_empty() { "No routes registered.".to_owned() } else { lines.join("\n") };
    Ok(Done::new(message).with_data(rows))
}

/// Row about the standing of a route.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: Arc<str>,
    #[serde(rename = "type")]
    kind: String,
    connection: &'static str,
    health: &'static str,
    project: Option<Arc<str>>,
    errors: u64,
    since: Option<String>,
    /// Reason of its failure, if it fails.
    reason: Option<String>,
    /// Number of tags that have no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_tags: Option<u64>,
    delivered: u64,
    failed: u64,
    /// How many of these found no room.
    shed: u64,
    #[serde(flatten)]
    received: Received,
    #[serde(flatten)]
    rates: Rates,
    #[serde(flatten)]
    waiting: Waiting,
    dead_letters: u64,
    /// Dead letters that are not kept any more.
    dead_letters_dropped: u64,
    /// Path that the messages of each query take.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    paths: BTreeMap<String, String>,
    /// Figures of the requests that it serves, where it has served any.
    #[serde(skip_serializing_if = "Option::is_none")]
    served: Option<Value>,
}

/// Messages that came from the other side.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    received: u64,
    /// Time since the last of them.
    last_received_seconds: Option<u64>,
}

/// Messages that wait for the other side.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    waiting: u64,
    waiting_bytes: u64,
    /// Buffer of waiting messages, if a crash of the broker loses them.
    #[serde(skip_serializing_if = "Option::is_none")]
    buffer: Option<&'static str>,
    /// Most bytes that may wait.
    waiting_bytes_max: u64,
    /// Time for which the oldest message has waited, as far as it was read.
    oldest_seconds: Option<u64>,
}

impl Received {
    fn of(deliveries: &DeliveryFigures, now: Timestamp) -> Self {
        let ago =
            deliveries.brought_at.map(|at| u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0));
        Self { received: deliveries.brought, last_received_seconds: ago }
    }
}

fn rows(call: &Call<'_>) -> Vec<Row> {
    let now = call.hosting.definitions_now().wall;
    let routes = call.tenant.programs().guests.routes_in_order();
    routes.iter().map(|route| row(call, route, now)).collect()
}

/// How a route stands, for its diagnosis: members of its row, and whether it stands still until
/// people have corrected something.
pub(super) fn status_row(call: &Call<'_>, route: &RouteRunner) -> (Value, bool) {
    let Row { connection, health, reason, .. } = row(call, route, call.hosting.definitions_now().wall);
    let shown = json!({ "connection": connection, "health": health, "reason": reason });
    (shown, route.stands_still())
}

fn row(call: &Call<'_>, route: &RouteRunner, now: Timestamp) -> Row {
    let (version, status) = (route.version(), route.status());
    let project = match &version.definition.deployed.origin {
        Origin::Project { project, .. } => Some(Arc::clone(project)),
        Origin::AdHoc => None,
    };
    let ((delivered, failed), beside) = (status.done(), route.runner_facts());
    let (waiting, waiting_bytes) = beside.waiting;
    Row {
        name: Arc::clone(version.definition.name()),
        kind: version.said().kind.clone(),
        connection: status.connection().word(),
        health: beside.not_green(status.health(&beside.waits, now)),
        project,
        errors: status.errors,
        since: status.connected_since(),
        reason: reason([
            beside.full,
            beside.waits_to_publish,
            beside.refused_by_policy,
            visible_reason(call, route, status.trouble().or_else(|| status.failed_lately(now))),
            status.unanswered(&beside.waits, now),
            match version.definition.name() {
                name if status.is_stopped() => Some(format!("-run {name} starts it")),
                name => route.stands_still().then(|| format!("it stands still; -run {name} tries again")),
            },
        ]),
        failing_tags: status.failing_tags(),
        delivered,
        failed,
        shed: status.deliveries.shed,
        received: Received::of(&status.deliveries, now),
        rates: status.rates(now),
        waiting: Waiting {
            waiting,
            waiting_bytes,
            buffer: beside.volatile,
            waiting_bytes_max: route.outbox_bytes_max(),
            oldest_seconds: beside.oldest_ms.map(|ms| ms / 1000),
        },
        dead_letters: beside.dead_letters,
        dead_letters_dropped: beside.dead_letters_dropped,
        paths: BTreeMap::clone(&status.told.paths),
        served: status.deliveries.http.served.to_json(),
    }
}

/// Returns the reason of a failure, if the caller may know it. Reasons quote messages, and answers
/// of the far side to them.
fn visible_reason(call: &Call<'_>, route: &RouteRunner, trouble: Option<String>) -> Option<String> {
    trouble.map(|trouble| match call.may_see_messages(route.version().definition.owner()) {
        true => trouble,
        false => WITHHELD.to_owned(),
    })
}

/// Why a route is not as it should be: first that nobody can hand in more.
fn reason(reasons: [Option<String>; 6]) -> Option<String> {
    let all: Vec<String> = reasons.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Whether the asker may have another instance opened, with what the route logs in with: its owner,
/// and whoever may deploy routes.
fn may_check(call: &Call<'_>, route: &RouteRunner) -> bool {
    let version = route.version();
    let is_own = version.definition.owner().is_some_and(|owner| call.owner().as_ref() == Some(owner));
    is_own || Permission::Scope(Scope::RouteManagementCreation).admits(call.tenant, call.identity)
}

/// Has a route tried again that stands still or makes a pause: somebody has just seen that the
/// other side is there.
fn try_now(call: &Call<'_>, route: &RouteRunner) {
    let orders = &call.tenant.programs().guests.route_orders;
    route.follow(&orders.get(route.version().definition.name()));
}

/// Has a route that is away end its pause: that nothing of what waits has passed says nothing of
/// now, but is told.
fn connects_now(call: &Call<'_>, route: &RouteRunner, name: &str) -> Done {
    // Before the next try, with which it is over.
    let failed = visible_reason(call, route, route.status().reason());
    try_now(call, route);
    let failed = failed.map_or_else(String::new, |reason| format!(" It had failed: {reason}."));
    Done::new(format!("Route '{name}' is reachable, and connects again now.{failed}"))
}

fn refusal(code: Code, message: String, data: Value) -> Refusal {
    let errors = vec![problem(code, &message)];
    Refusal { message, errors, data: data.into(), ..Refusal::default() }
}

fn check_connection(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (name, is_new) = (call.text("name"), call.values.has("-new"));
    call.about(EntityType::Route, name);
    let route = call.tenant.programs().guests.route(name);
    let route = route.ok_or_else(|| Refusal::not_found(format!("Route '{name}' not found.")))?;
    if !may_check(call, &route) {
        return Err(Refusal::permission_denied(call.verb.name));
    }
    let probe = Guests::probe(call.tenant, &call.hosting.routes, &route, (PROBE_PATIENCE, is_new));
    // A route that has failed for good, and waits for somebody.
    let why = || visible_reason(call, &route, route.status().reason());
    let stopped = route.stands_still().then(|| why().unwrap_or("see its topic Error".to_owned()));
    let data = json!({
        "name": name,
        "stopped": stopped.is_some() || route.status().is_stopped(),
        "type": route.version().said().kind,
        "connection": route.status().connection().word(),
        "reachable": probe.found.is_ok(),
        "latencyMs": u64::try_from(probe.latency.as_millis()).unwrap_or(u64::MAX),
        "detail": probe.found.as_ref().unwrap_or_else(|reason| reason),
        "tried": if probe.is_new { "new" } else { "open" },
    });
    match (probe.found, stopped) {
        (Ok(_), Some(reason)) if !route.status().is_stopped() => {
            try_now(call, &route);
            let message = format!(
                "Route '{name}' is reachable, and had stopped: {reason}. It is tried again now; -listRoutes tells how it stands."
            );
            Ok(Done::new(message).with_data(data))
        }
        (Ok(_), Some(reason)) => {
            let message =
                format!("Route '{name}' is reachable, and has stopped: {reason}. -run {name} starts it.");
            Ok(Done::new(message).with_data(data))
        }
        (Ok(_), None) if probe.is_new && route.status().connection() == Connection::Reconnecting => {
            Ok(connects_now(call, &route, name).with_data(data))
        }
        (Ok(_), None) => match why().filter(|_| route.waiting().0 > 0) {
            // The message that waits was handed over and failed, which a probe does not find out.
            Some(reason) => {
                // The one that is open stays: a guest may hold what others wait for.
                match probe.is_new {
                    true => try_now(call, &route),
                    false => route.tries_now(),
                }
                let message = format!(
                    "Route '{name}' is connected, and what was handed over last did not pass: {reason}. It is tried again now."
                );
                Err(refusal(Code::MessagesFail, message, data))
            }
            None => {
                let status = route.status();
                let tags = status.failing_tags.as_ref().and_then(|tags| tags.text());
                let tags = tags.map_or_else(String::new, |text| format!(" {text}."));
                Ok(Done::new(format!("Route '{name}' is reachable.{tags}")).with_data(data))
            }
        },
        (Err(reason), _) => {
            let message = format!("Route '{name}' is not reachable: {reason}");
            Err(refusal(Code::NotReachable, message, data))
        }
    }
}
