//! Deliveries to the guest of a route: messages with the values of their event's placeholders.

use jiff::Timestamp;
use lot_facts::{RouteBlock, RouteFacts, RouteValue};
use lotmq_definitions::MessageText;
use lotmq_host::OwnedMessage;
use lotmq_host::route::{
    LentAddressee, LentDelivery, LentMessage, LentTag, PlaceholderValues, Receipt, properties_of,
};
use serde_json::json;

use super::template::{ERROR_TOPIC, Filling, Names, Subject, Unfilled, fill, values};
use super::turn_work::TurnWork;
use crate::routes::mailbox::Addressee;

/// Work of looking at a setting.
const SETTING_WORK: usize = 16;

/// Returns the values of the placeholders for the event or mapping of a message, with their bytes.
/// Rows and tags have none. A retried message keeps the time of its arrival. Counts the work.
///
/// # Errors
/// The reason why the message can never pass.
pub(super) fn placeholders(
    said: &RouteFacts,
    (to, message): (&Addressee, &OwnedMessage),
    names: &impl Names,
    work: &TurnWork,
) -> Result<(Vec<PlaceholderValues>, usize), String> {
    if matches!(to, Addressee::Table(_) | Addressee::Tag(..)) {
        return Ok((Vec::new(), 0));
    }
    let block = to.block(said).ok_or("the route was replaced and has no such event any more")?;
    let at = i64::try_from(message.received_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let mut filling = Filling::of(subject(message, at.unwrap_or(Timestamp::MAX)));
    let filled = filled(block, &mut filling, names);
    work.count(block.settings.len() * SETTING_WORK + filling.work());
    filled.map(|values| (values, filling.bytes())).map_err(|unfilled| unfilled.to_string())
}

fn filled(
    block: &RouteBlock,
    filling: &mut Filling<'_>,
    names: &impl Names,
) -> Result<Vec<PlaceholderValues>, Unfilled> {
    let mut filled = Vec::new();
    for (key, value) in block.settings.iter().filter(|(key, _)| *key != ERROR_TOPIC) {
        let RouteValue::Template(parts) = value else { continue };
        let values = values(parts, filling, names)?;
        if !values.is_empty() {
            filling.count_name(key)?;
            filled.push(PlaceholderValues { setting: key.clone(), values });
        }
    }
    Ok(filled)
}

/// Delivery of a message with the values of its placeholders.
pub(super) fn delivery<'a>(
    to: &'a Addressee,
    (message, now_ms): (&'a OwnedMessage, u64),
    sequence: u64,
    placeholders: Vec<PlaceholderValues>,
) -> LentDelivery<'a> {
    let to = match to {
        Addressee::Event(name) => LentAddressee::Event(name),
        Addressee::Mapping(name) => LentAddressee::Mapping(name),
        Addressee::Tag(mapping, tag) => LentAddressee::Tag(LentTag { mapping, tag }),
        Addressee::Table(name) => LentAddressee::Table(name),
    };
    let properties = properties_of(message, now_ms);
    let received_ms = i64::try_from(message.received_ms).unwrap_or(i64::MAX);
    let message = LentMessage {
        topic: &message.topic,
        payload: &message.payload,
        qos: super::route_qos(message.qos),
        retain: message.retain,
        client_id: &message.client_id,
    };
    LentDelivery { sequence, to, message, properties, received_ms, placeholders }
}

/// Builds the report of a message that can never pass, with the topic `ERROR_TOPIC` of its event or
/// mapping (routes reference §3.3). The report contains the message as `shown`, without secrets.
/// Counts the work.
pub(super) fn error_report(
    said: &RouteFacts,
    (to, message): (&Addressee, &OwnedMessage),
    at: Timestamp,
    names: &impl Names,
    (route, reason, shown): (&str, &str, &MessageText),
    work: &TurnWork,
) -> Option<(String, String)> {
    let block = to.block(said)?;
    let Some(RouteValue::Template(parts)) = block.settings.get(ERROR_TOPIC) else { return None };
    let mut filling = Filling::of(subject(message, at));
    let topic = fill(parts, &mut filling, names);
    work.count(filling.work());
    let topic = topic.ok()?;
    if lotmq_router::topic_name_valid(&topic).is_err() || lotmq_core::tenant::system_topics::is_system(&topic)
    {
        return None;
    }
    let payload = json!({
        "route": route,
        "event": block.name,
        "error": reason,
        "topic": shown.topic,
        "payload": shown.payload,
        "timestamp": format!("{at:.3}"),
    });
    Some((topic, payload.to_string()))
}

fn subject(message: &OwnedMessage, at: Timestamp) -> Subject<'_> {
    Subject { topic: &message.topic, payload: &message.payload, at }
}

/// Returns the contradiction in a receipt for so many deliveries; `None` if the receipt is valid.
pub(super) fn contradiction(receipt: &Receipt, deliveries: usize) -> Option<String> {
    let accepted = receipt.accepted as usize;
    if accepted > deliveries {
        return Some(format!("the receipt of the guest accepts {accepted} messages of {deliveries}"));
    }
    let outside = receipt.rejected.iter().find(|rejection| rejection.index as usize >= accepted);
    if let Some(outside) = outside {
        return Some(format!(
            "the receipt of the guest rejects message {}, and accepts {accepted}",
            outside.index
        ));
    }
    let rejections = receipt.rejected.len();
    (rejections > accepted).then(|| {
        format!("the receipt of the guest has {rejections} rejections, and accepts {accepted} messages")
    })
}

#[cfg(test)]
mod tests {
    use lotmq_host::route::Rejection;

    use super::*;

    #[test]
    fn a_receipt_is_about_what_was_delivered() {
        let receipt = |accepted, rejected: &[u32]| Receipt {
            accepted,
            rejected: rejected
                .iter()
                .map(|index| Rejection { index: *index, reason: String::new() })
                .collect(),
        };
        for (receipt, deliveries, expected) in [
            (receipt(0, &[]), 3, None),
            (receipt(3, &[0, 2]), 3, None),
            (receipt(4, &[]), 3, Some("the receipt of the guest accepts 4 messages of 3")),
            (receipt(2, &[2]), 3, Some("the receipt of the guest rejects message 2, and accepts 2")),
            (
                receipt(1, &[0, 0]),
                3,
                Some("the receipt of the guest has 2 rejections, and accepts 1 messages"),
            ),
            (receipt(0, &[99]), 1, Some("the receipt of the guest rejects message 99, and accepts 0")),
        ] {
            assert_eq!(contradiction(&receipt, deliveries).as_deref(), expected);
        }
    }
}
