//! `-why` and `-whyDelivery`: how the broker decides about an operation of a client, without trying
//! it, and why a client does or does not get messages of a topic.
//!
//! Decisions come from the code that decides for clients. Rules are asked, which counts as a run of
//! theirs; nothing is published, and no login is counted. Not here: deliveries (`delivery`) and
//! logins (`connect`).

mod connect;
pub(in crate::command) mod delivery;

use std::net::IpAddr;
use std::sync::Arc;

use lotmq_auth::{
    AskedMessage, Authorization, DecisionStep, Identity, Opinion, Peer, Principal, PrincipalSource, Question,
    Scope, Source,
};
use lotmq_router::TopicError;
use serde_json::{Value, json};

use crate::command::argument::{option, switch, word};
use crate::command::reply::{Done, Refusal, missing_argument};
use crate::command::verb::{Call, Effect, Permission, Verb, Work};
use crate::denials;
use lotmq_codes::Code;
use lotmq_core::tenant::Tenant;

const PAYLOAD: &str = "-payload";
const FROM: &str = "-from";
const QOS: &str = "-qos";
const RETAIN: &str = "-retain";

pub(in crate::command) static WHY: Verb = Verb {
    name: "why",
    arguments: &[
        word("publish|subscribe|connect"),
        word("user"),
        word("client id"),
        word("topic").optional(),
        option(PAYLOAD, "<payload>").secret(),
        option(QOS, "<0|1|2>"),
        switch(RETAIN),
        option(FROM, "<address>"),
    ],
    permission: Permission::Scope(Scope::SystemConfiguration),
    effect: Effect::Reads,
    work: Work::Answers,
    summary: "Explains whether a client of a user may publish, subscribe or connect, and which rule, grant or login module decides; \"\" stands for a client without a user. Nothing is tried.",
    example: "-why publish bob sensor-7 plant/1/temperature",
    execute: why,
};

/// A client that a question is about.
struct Asker {
    /// `None` if the broker knows no such user.
    identity: Option<Identity>,
    user: String,
    client_id: String,
    /// How the broker knows the user.
    known_by: &'static str,
    source: Option<Source>,
}

fn why(call: &mut Call<'_>) -> Result<Done, Refusal> {
    let asker = asker(call)?;
    match call.text("publish|subscribe|connect") {
        "connect" => connect::explain(call, &asker),
        "publish" => explain_topic(call, &asker, true),
        "subscribe" => explain_topic(call, &asker, false),
        other => {
            let message = format!("'{}' is none of publish, subscribe and connect.", other.escape_debug());
            Err(Refusal::new(Code::ArgumentInvalid, message))
        }
    }
}

/// Finds the client of the arguments: its session, the account of its user, or nobody.
fn asker(call: &Call<'_>) -> Result<Asker, Refusal> {
    let (user, client_id) = (call.text("user"), call.text("client id"));
    let address = call.values.get(FROM).map(str::parse::<IpAddr>).transpose();
    let address = address.map_err(|_| {
        let message = format!("The value of {FROM} is no IP address.");
        Refusal::new(Code::ArgumentInvalid, message)
    })?;
    let peer = address.map_or(Peer::Unknown, Peer::Tcp);
    let with_peer = |identity: &Identity| match address {
        Some(_) => Identity { peer, ..identity.clone() },
        None => identity.clone(),
    };
    let of_user = |identity: &Identity| identity.user_name().unwrap_or_default() == user;
    let sessions = call.tenant.all_sessions();
    let session = sessions.iter().filter(|client| *client.client_id == *client_id);
    let session = session.map(|client| client.identity()).find(|identity| of_user(identity));
    let known = |principal: Arc<Principal>| Identity::new(principal, client_id.into(), peer);
    let (identity, known_by) = match (session, call.tenant.users.principal(user)) {
        (Some(identity), _) => (Some(with_peer(&identity)), "session"),
        (None, _) if user.is_empty() => (Some(known(Principal::anonymous())), "anonymous"),
        (None, Some(principal)) => (Some(known(principal)), "account"),
        (None, None) => (None, "nobody"),
    };
    let source = address.map(Source::of);
    Ok(Asker { identity, user: user.to_owned(), client_id: client_id.to_owned(), known_by, source })
}

/// Explains a PUBLISH or a SUBSCRIBE.
fn explain_topic(call: &Call<'_>, asker: &Asker, is_publish: bool) -> Result<Done, Refusal> {
    let operation = if is_publish { "publish" } else { "subscribe" };
    let Some(topic) = call.values.get("topic") else {
        return Err(missing_argument(call.verb, "topic"));
    };
    let qos = qos(call)?;
    let mut steps = Vec::new();
    let legal = if is_publish { lotmq_router::topic_name_valid(topic) } else { legal_filter(topic) };
    if let Err(error) = legal {
        steps.push(step("protocol", "deny", &error.to_string()));
        return Ok(answer(operation, asker, Some(topic), steps));
    }
    let Some(identity) = &asker.identity else {
        steps.push(unknown(call));
        return Ok(answer(operation, asker, Some(topic), steps));
    };
    if let Some(ended) = ended(call, identity) {
        steps.push(ended);
        return Ok(answer(operation, asker, Some(topic), steps));
    }
    let message = AskedMessage { qos, retain: call.values.has(RETAIN), properties: &[], expires_at_ms: None };
    let question = match (is_publish, call.values.get(PAYLOAD)) {
        (true, Some(payload)) => {
            Question::publish(identity, topic).with_payload(payload.as_bytes()).with_message(message)
        }
        (true, None) => Question::publish(identity, topic).with_message(message),
        (false, _) => Question::subscribe(identity, topic),
    };
    steps.extend(decided(call.tenant, &question));
    Ok(answer(operation, asker, Some(topic), steps))
}

fn legal_filter(filter: &str) -> Result<(), TopicError> {
    let shared = lotmq_router::parse_shared(filter)?;
    lotmq_router::topic_filter_valid(shared.as_ref().map_or(filter, |shared| shared.filter))
}

fn qos(call: &Call<'_>) -> Result<u8, Refusal> {
    match call.values.get(QOS) {
        None | Some("0") => Ok(0),
        Some("1") => Ok(1),
        Some("2") => Ok(2),
        Some(other) => {
            let message = format!("'{}' is no quality of service: 0, 1 or 2.", other.escape_debug());
            Err(Refusal::new(Code::ArgumentInvalid, message))
        }
    }
}

/// The steps of a decision, as the reply shows them. The last one decides.
fn decided(tenant: &Tenant, question: &Question<'_>) -> Vec<Value> {
    let (_, steps) = tenant.permissions.explain(question);
    steps.iter().map(|step| rendered(tenant, step)).collect()
}

fn rendered(tenant: &Tenant, decided: &DecisionStep) -> Value {
    let said = |is_allowed: bool| if is_allowed { "allow" } else { "deny" };
    match decided {
        DecisionStep::Root => step("root", "allow", "root may do everything"),
        DecisionStep::Grant { number, filter, is_allowed } => {
            let about = format!("grant {number} of the user, about {}", filter.escape_debug());
            step("grant", said(*is_allowed), &about)
        }
        DecisionStep::NoGrant => step("grant", "deny", "the user has grants, and none is about the topic"),
        DecisionStep::BuiltIn { priority, authorization } => {
            let mut text = format!("built-in rules of priority {priority}");
            if let Authorization::AllowOnly(filter) = authorization {
                text = format!("{text}, for topics of {filter} alone");
            }
            step("built-in", said(authorization.is_allowed()), &text)
        }
        DecisionStep::Rule { name, priority, opinion } => {
            let place = denials::place(tenant, name).map(|place| format!(" ({place})")).unwrap_or_default();
            let says = match opinion {
                Opinion::Allow => "allow",
                Opinion::Deny => "deny",
                Opinion::Nothing => "pass",
            };
            step("rule", says, &format!("rule {name}{place} of priority {priority}"))
        }
        DecisionStep::Default => step("default", "deny", "no rule allows it"),
    }
}

/// A step of an explanation: the part of the broker that was asked, its answer, and words.
fn step(by: &str, says: &str, text: &str) -> Value {
    json!({ "by": by, "says": says, "text": text })
}

/// Step about a user whom the broker does not know.
fn unknown(call: &Call<'_>) -> Value {
    let modules: Vec<String> = call
        .broker
        .login_members
        .figures()
        .map(|(name, _)| name.to_string())
        .filter(|name| name != lotmq_auth::BUILT_IN_MEMBER)
        .collect();
    let text = match modules.is_empty() {
        true => "there is no account and no session of this user".to_owned(),
        false => format!(
            "there is no account and no session of this user; {} may know the user at a login",
            modules.join(", ")
        ),
    };
    step("users", if modules.is_empty() { "deny" } else { "unknown" }, &text)
}

/// Step about a user who may not be used any more: removed, or with a login that has ended.
fn ended(call: &Call<'_>, identity: &Identity) -> Option<Value> {
    if !call.tenant.users.exists(identity) {
        return Some(step("users", "deny", "the user of the session does not exist any more"));
    }
    let is_valid = identity.principal.is_valid_at(call.core.clock.wall_ms());
    (!is_valid).then(|| step("users", "deny", "the login of the session has ended"))
}

/// Reply with these steps, of which the last one decides.
fn answer(operation: &str, asker: &Asker, topic: Option<&str>, steps: Vec<Value>) -> Done {
    let last = steps.last();
    let text = |key: &str| last.and_then(|step| step[key].as_str()).unwrap_or_default();
    let (decision, by) = (text("says"), text("text"));
    let principal = asker.identity.as_ref().map(|identity| &identity.principal);
    let member = principal.and_then(|principal| match principal.source() {
        PrincipalSource::Member(member) => Some(member.to_string()),
        PrincipalSource::Anonymous | PrincipalSource::Account { .. } => None,
    });
    let data = json!({
        "operation": operation,
        "user": asker.user,
        "clientId": asker.client_id,
        "topic": topic,
        "knownBy": asker.known_by,
        "loginModule": member,
        "decision": decision,
        "decidedBy": by,
        "steps": steps,
    });
    Done::new(format!("{decision}: {by}.")).with_data(data)
}
