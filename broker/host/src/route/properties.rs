//! Messages between the generated types of the world `route` and those of this crate.

use super::bindings::lotmq::guest::{ingest, message_properties as generated, types};
use crate::{
    BorrowedMessage, MessageBounds, OwnedMessage, Qos,
    properties::{MessageProperties, PayloadFormat, UserProperty, seconds_left},
    texts::cut,
};

/// Bytes of a topic that are shown in a message about it.
const TOPIC_SHOWN_BYTES: usize = 200;

/// A message that a route brings.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestedMessage {
    /// A valid Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: Qos,
    /// RETAIN flag.
    pub retain: bool,
    /// Properties of MQTT 5.0 as they are encoded in PUBLISH, without their length.
    pub properties: Vec<u8>,
    /// Seconds that it has to live; `None` when it never expires.
    pub expiry_seconds: Option<u32>,
}

impl IngestedMessage {
    /// The message, as it is asked about.
    pub fn as_message(&self) -> BorrowedMessage<'_> {
        let IngestedMessage { topic, payload, qos, retain, properties, .. } = self;
        BorrowedMessage { qos: *qos, retain: *retain, properties, ..BorrowedMessage::new(topic, payload) }
    }

    /// Checks a message that the guest brought.
    ///
    /// # Errors
    /// Reason, for people, when its topic or a property is not valid, or beyond the bounds.
    pub(super) fn checked(
        arrival: ingest::Arrival,
        bounds: &MessageBounds,
    ) -> Result<IngestedMessage, String> {
        let ingest::Arrival { topic, payload, qos, retain, properties } = arrival;
        let shown = || cut(&topic, TOPIC_SHOWN_BYTES);
        if let Err(reason) = lotmq_router::topic_name_valid(&topic) {
            return Err(format!("'{}' is no topic to publish to: {reason}", shown()));
        }
        if !bounds.include_topic(&topic) {
            return Err(format!(
                "topic '{}' is longer or deeper than limits.topic_bytes and topic_levels",
                shown()
            ));
        }
        let properties = properties.map(MessageProperties::from).unwrap_or_default();
        let qos = match qos {
            types::Qos::AtMostOnce => Qos::AtMostOnce,
            types::Qos::AtLeastOnce => Qos::AtLeastOnce,
            types::Qos::ExactlyOnce => Qos::ExactlyOnce,
        };
        let Some(encoded) = properties.encoded(bounds) else {
            return Err(format!(
                "a property of the message to '{}' is not valid or too large, or there are too many (limits.user_properties, user_property_bytes)",
                shown()
            ));
        };
        let encoded = encoded.properties().raw().to_vec();
        let expiry_seconds = properties.expiry_seconds;
        Ok(IngestedMessage { topic, payload, qos, retain, properties: encoded, expiry_seconds })
    }
}

/// Properties of a message as a route is handed them, `now_ms` being the time in lifetime
/// milliseconds; `None` when it has none.
pub fn properties_of(message: &OwnedMessage, now_ms: u64) -> Option<generated::Properties> {
    let expiry_seconds = seconds_left(message.expires_at_ms(), now_ms);
    if message.properties().is_empty() && expiry_seconds.is_none() {
        return None;
    }
    let MessageProperties {
        content_type,
        response_topic,
        correlation_data,
        payload_format,
        user_properties,
        ..
    } = MessageProperties::of(message.properties(), expiry_seconds);
    let user = |UserProperty { name, value }| generated::UserProperty { name, value };
    Some(generated::Properties {
        payload_format: match payload_format {
            PayloadFormat::Unspecified => generated::PayloadFormat::Unspecified,
            PayloadFormat::Utf8 => generated::PayloadFormat::Utf8,
        },
        expiry_seconds,
        content_type,
        response_topic,
        correlation_data,
        user_properties: user_properties.into_iter().map(user).collect(),
    })
}

impl From<generated::Properties> for MessageProperties {
    fn from(given: generated::Properties) -> MessageProperties {
        let user = |generated::UserProperty { name, value }| UserProperty { name, value };
        MessageProperties {
            payload_format: match given.payload_format {
                generated::PayloadFormat::Unspecified => PayloadFormat::Unspecified,
                generated::PayloadFormat::Utf8 => PayloadFormat::Utf8,
            },
            expiry_seconds: given.expiry_seconds,
            content_type: given.content_type,
            response_topic: given.response_topic,
            correlation_data: given.correlation_data,
            user_properties: given.user_properties.into_iter().map(user).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(topic: &str, tag: &str) -> ingest::Arrival {
        let user = generated::UserProperty { name: "a".to_owned(), value: tag.to_owned() };
        let properties = generated::Properties {
            payload_format: generated::PayloadFormat::Unspecified,
            expiry_seconds: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: vec![user],
        };
        ingest::Arrival {
            topic: topic.to_owned(),
            payload: Vec::new(),
            qos: types::Qos::AtMostOnce,
            retain: false,
            properties: Some(properties),
        }
    }

    #[test]
    fn ingested_message_beyond_the_bounds_is_rejected() {
        let narrow = MessageBounds { topic_bytes: 8, topic_levels: 3, ..MessageBounds::default() };
        let lenient = MessageBounds { takes_discouraged: true, ..narrow };
        for (topic, tag, bounds, is_taken) in [
            ("a/b/c", "plain", &narrow, true),
            ("a/b/c/d", "plain", &narrow, false),
            ("123456789", "plain", &narrow, false),
            ("a", "bad\u{1}", &narrow, false),
            ("a", "bad\u{1}", &lenient, true),
            ("bad\u{1}", "plain", &lenient, false),
        ] {
            let checked = IngestedMessage::checked(arrival(topic, tag), bounds);
            assert_eq!(checked.is_ok(), is_taken, "{topic:?} {tag:?} {bounds:?}");
        }
    }
}
