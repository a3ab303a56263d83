//! Deliveries to the guest of a route: messages with the texts of their event filled in.

use jiff::Timestamp;
use lot_facts::{RouteFacts, RouteValue};
use lotmq_host::OwnedMessage;
use lotmq_host::route::{Argument, Delivery, Message, Value, properties_of};
use serde_json::json;

use super::mailbox::Addressee;
use super::template::{Document, Names, Subject, Unfilled, fill};

/// Columns of a message by the settings of its event; for a row, its table.
///
/// # Errors
/// Why it can never pass.
pub(super) fn columns(
    said: &RouteFacts,
    (to, message): (&Addressee, &OwnedMessage),
    at: Timestamp,
    names: &impl Names,
) -> Result<Vec<Argument>, String> {
    let text = |name: &str, value: String| Argument { name: name.to_owned(), value: Value::Text(value) };
    let event = match to {
        Addressee::Table(table) => return Ok(vec![text("TABLE", table.as_ref().to_owned())]),
        Addressee::Event(name) => said.event(name),
    };
    let event = event.ok_or("the route was replaced and has no such event any more")?;
    let mut document = Document::new(&message.payload);
    let templates = event.settings.iter().filter_map(|(key, value)| match value {
        RouteValue::Template(parts) if key != "ERROR_TOPIC" => Some((key, parts)),
        RouteValue::Template(_)
        | RouteValue::Text(_)
        | RouteValue::Int(_)
        | RouteValue::Double(_)
        | RouteValue::Bool(_)
        | RouteValue::Parts(_) => None,
    });
    templates
        .map(|(key, parts)| Ok(text(key, fill(parts, subject(message, at), &mut document, names)?)))
        .collect::<Result<_, Unfilled>>()
        .map_err(|unfilled| unfilled.to_string())
}

/// Delivery of a message with its columns.
pub(super) fn delivery(
    to: &Addressee,
    (message, now_ms): (&OwnedMessage, u64),
    sequence: u64,
    columns: Vec<Argument>,
) -> Delivery {
    let event = match to {
        Addressee::Event(name) => name.as_ref().to_owned(),
        Addressee::Table(_) => String::new(),
    };
    let properties = properties_of(message, now_ms);
    let received_ms = i64::try_from(message.received_ms).unwrap_or(i64::MAX);
    let message = Message {
        topic: message.topic.to_string(),
        payload: message.payload.to_vec(),
        qos: super::route_qos(message.qos),
        retain: message.retain,
        client_id: message.client_id.to_string(),
    };
    Delivery { sequence, event, message, properties, received_ms, columns }
}

/// Report of a message that can never pass, with its topic: `ERROR_TOPIC` of its event (routes reference §3.3).
pub(super) fn told_of_error(
    said: &RouteFacts,
    (to, message): (&Addressee, &OwnedMessage),
    at: Timestamp,
    names: &impl Names,
    (route, reason): (&str, &str),
) -> Option<(String, String)> {
    let Addressee::Event(name) = to else { return None };
    let Some(RouteValue::Template(parts)) = said.event(name)?.settings.get("ERROR_TOPIC") else {
        return None;
    };
    let mut document = Document::new(&message.payload);
    let topic = fill(parts, subject(message, at), &mut document, names).ok()?;
    if lotmq_router::topic_name_valid(&topic).is_err() || lotmq_core::tenant::system_topics::is_system(&topic)
    {
        return None;
    }
    let payload = json!({
        "route": route,
        "event": &**name,
        "error": reason,
        "topic": &*message.topic,
        "timestamp": format!("{at:.3}"),
    });
    Some((topic, payload.to_string()))
}

fn subject(message: &OwnedMessage, at: Timestamp) -> Subject<'_> {
    Subject { topic: &message.topic, payload: &message.payload, at }
}
