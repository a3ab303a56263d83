//! Conversion of stored messages to messages as sessions hold them.

use std::num::NonZeroU32;
use std::sync::Arc;

use lotmq_changes::RecoveredDelivery;
use lotmq_codec::{Properties, PropertyPlace, QoS};

use crate::message::{Message, MessageParts};
use crate::tenant::client::Queued;
use crate::tenant::subscription::Identifiers;

/// Message as its publisher sent it.
pub fn message(delivery: &RecoveredDelivery) -> Message {
    let stored = &delivery.message;
    Message::new(
        stored.id.0,
        MessageParts {
            topic: &stored.topic,
            properties: properties(&stored.properties),
            payload: &stored.payload,
            qos: qos(stored.qos),
            retain: delivery.published_retain,
            expires_at_ms: stored.expires_at_ms,
        },
    )
}

/// Message of a session's queue, with the options of its receiver.
pub fn queued(delivery: &RecoveredDelivery, message: &Arc<Message>) -> Queued {
    let identifiers =
        delivery.subscription_ids.iter().filter_map(|id| NonZeroU32::new(*id)).collect::<Vec<_>>();
    Queued::new(message, (delivery.retain, true), &Identifiers::from(identifiers), delivery.membership)
}

/// Properties of a stored PUBLISH; a damaged list counts as empty. Whoever encodes a message relies
/// on a valid list, and rows of a restored backup come from elsewhere.
pub fn properties(raw: &[u8]) -> &[u8] {
    Properties::from_raw(raw, PropertyPlace::PublishFromClient).map_or(&[], |_| raw)
}

/// QoS of a stored value; a damaged one counts as the strongest promise.
pub fn qos(bits: u8) -> QoS {
    QoS::from_bits(bits).unwrap_or(QoS::ExactlyOnce)
}
