//! Explanation of deliveries: which subscriptions of a client match a topic, whether it may have
//! the messages, and what keeps them from it at present.

use std::sync::Arc;

use lotmq_auth::{Question, Scope};
use lotmq_core::tenant::client::Client;
use lotmq_process::clock::utc_text;
use serde_json::{Value, json};

use super::{decided, ended, step};
use crate::command::argument::word;
use crate::command::reply::{Done, Refusal};
use crate::command::verb::{Call, Effect, Permission, Verb, Work};
use crate::denials::{self, LastDenial};
use crate::managed::Managing as _;
use lotmq_codes::Code;

/// Most subscriptions that are shown beside those that match.
const OTHERS_MAX: usize = 10;

pub(in crate::command) static WHY_DELIVERY: Verb = Verb {
    name: "whyDelivery",
    arguments: &[word("client id"), word("topic")],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Explains why the sessions with a client id do or do not get messages of a topic: filters, rules and grants, queue, expiry and the last denials.",
    example: "-whyDelivery sensor-7 plant/1/set",
    execute: why_delivery,
};

fn why_delivery(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let (client_id, topic) = (call.text("client id"), call.text("topic"));
    if let Err(error) = lotmq_router::topic_name_valid(topic) {
        return Err(Refusal::new(Code::ArgumentInvalid, format!("The topic is no Topic Name: {error}.")));
    }
    let sessions = call.tenant.all_sessions();
    let found: Vec<_> = sessions.iter().filter(|client| *client.client_id == *client_id).collect();
    if found.is_empty() {
        let text = "there is no session of this client: it was not there, has ended, or has expired";
        let data = json!({ "clientId": client_id, "topic": topic, "sessions": [] });
        return Ok(Done::new(format!("deny: {text}.")).with_data(data));
    }
    let rows: Vec<Value> = found.into_iter().map(|client| session(call, client, topic)).collect();
    let texts: Vec<&str> = rows.iter().filter_map(|row| row["decidedBy"].as_str()).collect();
    let message = format!("{}: {}.", rows[0]["decision"].as_str().unwrap_or_default(), texts.join("; "));
    Ok(Done::new(message).with_data(json!({ "clientId": client_id, "topic": topic, "sessions": rows })))
}

/// Explanation for one session.
fn session(call: &Call<'_>, client: &Arc<Client>, topic: &str) -> Value {
    let identity = client.identity();
    let (matching, others) = filters(client, topic);
    let queue = queue(client);
    let mut steps = Vec::new();
    if let Some(ended) = ended(call, &identity) {
        steps.push(ended);
    } else if matching.is_empty() {
        steps.push(step("subscriptions", "deny", "no filter of the session matches the topic"));
    } else {
        steps.extend(decided(call.tenant, &Question::subscribe(&identity, topic)));
        let is_allowed = steps.last().is_some_and(|step| step["says"] == "allow");
        if is_allowed {
            steps.extend(hindrances(client, &matching, &queue));
        }
    }
    let last = steps.last().cloned().unwrap_or_default();
    json!({
        "user": identity.user_name(),
        "loginModule": identity.principal.member().map(|member| &**member),
        "connected": client.wire_version().is_some(),
        "decision": last["says"],
        "decidedBy": last["text"],
        "steps": steps,
        "matching": matching,
        "otherFilters": others,
        "queue": queue,
        "lastDenials": last_denials(call, client, topic),
    })
}

/// Subscriptions that match, and the first of the others.
fn filters(client: &Client, topic: &str) -> (Vec<Value>, Vec<Value>) {
    let state = client.state.lock();
    let (mut matching, mut others) = (Vec::new(), Vec::new());
    for filter in state.subscriptions.filters() {
        let shared = lotmq_router::parse_shared(filter).ok().flatten();
        let inner = shared.as_ref().map_or(filter, |shared| shared.filter);
        if !lotmq_router::filter_matches(inner, topic) {
            if others.len() < OTHERS_MAX {
                others.push(json!(filter));
            }
            continue;
        }
        let Some(options) = state.subscriptions.get(filter) else { continue };
        matching.push(json!({
            "filter": filter,
            "qos": options.qos.bits(),
            "noLocal": options.no_local,
            "shared": shared.is_some(),
            "sysBrokerOnly": options.sys_broker_only,
        }));
    }
    (matching, others)
}

/// State of the queue of a session.
fn queue(client: &Client) -> Value {
    let state = client.state.lock();
    let (counts, options) = (state.session.counts(), state.session.options());
    json!({
        "waiting": counts.queued,
        "waitingBytes": counts.queued_bytes,
        "unacknowledged": counts.inflight,
        "messagesMax": options.queue_messages_max,
        "bytesMax": options.queue_bytes_max,
        "droppedBecauseFull": counts.queue_full_dropped,
    })
}

/// Steps about what keeps allowed messages from the client at present.
fn hindrances(client: &Client, matching: &[Value], queue: &Value) -> Vec<Value> {
    let mut steps = Vec::new();
    let number = |key: &str| queue[key].as_u64().unwrap_or_default();
    if matching.iter().all(|filter| filter["noLocal"] == true) {
        let text = "every filter that matches has No Local: messages of the client itself are left out";
        steps.push(step("subscriptions", "allow", text));
    }
    if matching.iter().all(|filter| filter["shared"] == true) {
        let text = "every filter that matches is shared: another member of the group may get a message";
        steps.push(step("subscriptions", "allow", text));
    }
    if number("droppedBecauseFull") > 0 {
        let text = format!(
            "the queue of the session was full, and {} messages were dropped since it began here",
            number("droppedBecauseFull")
        );
        steps.push(step("queue", "allow", &text));
    }
    if client.wire_version().is_none() {
        let only_qos_0 = matching.iter().all(|filter| filter["qos"] == 0);
        let text = match only_qos_0 {
            true => "the client is away, and its subscriptions of QoS 0 get nothing meanwhile",
            false => "the client is away; messages of QoS 1 and 2 wait for it, and may expire",
        };
        steps.push(step("session", if only_qos_0 { "deny" } else { "allow" }, text));
    } else if number("unacknowledged") > 0 && number("waiting") > 0 {
        let text = format!(
            "{} messages wait until the client has acknowledged earlier ones, of which {} are open",
            number("waiting"),
            number("unacknowledged")
        );
        steps.push(step("queue", "allow", &text));
    }
    steps
}

/// The last denials of the client about the topic, newest first.
fn last_denials(call: &Call<'_>, client: &Client, topic: &str) -> Vec<Value> {
    let recent = call.tenant.managed().denials.recent();
    let of_client = recent.into_iter().rev().filter(|denial| *denial.client_id == *client.client_id);
    let about = of_client.filter(|denial| lotmq_router::filter_matches(&denial.topic, topic));
    let row = |denial: LastDenial| {
        json!({
            "scope": denial.scope,
            "topic": denial.topic,
            "by": denials::by(call.tenant, &denial.by),
            "timestamp": utc_text(denial.at_ms),
        })
    };
    about.map(row).collect()
}
