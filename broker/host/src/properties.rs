//! Properties of messages between their encoded form, in which the broker carries them, and that of
//! `wit/guest`.
//!
//! They are decoded when a guest asks, so that one that does not ask pays nothing.

use crate::MessageBounds;
use lotmq_codec::{
    EncodeError, Properties as Encoded, PropertyBuf, PropertyId, PropertyPlace, PropertyValue,
};
use wasmtime::component::{ComponentType, Lift, Lower};

/// Payload Format Indicator of a message, as its publisher set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum PayloadFormat {
    #[default]
    #[component(name = "unspecified")]
    Unspecified,
    #[component(name = "utf8")]
    Utf8,
}

/// A User Property.
#[derive(Clone, Debug, Default, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct UserProperty {
    #[component(name = "name")]
    pub(crate) name: String,
    #[component(name = "value")]
    pub(crate) value: String,
}

/// Properties of PUBLISH that belong to the message.
#[derive(Clone, Debug, Default, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct MessageProperties {
    #[component(name = "payload-format")]
    pub(crate) payload_format: PayloadFormat,
    #[component(name = "expiry-seconds")]
    pub(crate) expiry_seconds: Option<u32>,
    #[component(name = "content-type")]
    pub(crate) content_type: Option<String>,
    #[component(name = "response-topic")]
    pub(crate) response_topic: Option<String>,
    #[component(name = "correlation-data")]
    pub(crate) correlation_data: Option<Vec<u8>>,
    #[component(name = "user-properties")]
    pub(crate) user_properties: Vec<UserProperty>,
}

/// The list that these bytes encode; the broker has checked them when they came.
pub(crate) fn decoded(raw: &[u8]) -> Encoded<'_> {
    Encoded::from_raw(raw, PropertyPlace::PublishFromServer).unwrap_or_default()
}

/// Seconds until `expires_at_ms`, rounded up; 0 of a message that has expired while it waited for
/// its guest.
pub(crate) fn seconds_left(expires_at_ms: Option<u64>, now_ms: u64) -> Option<u32> {
    let left = expires_at_ms?.saturating_sub(now_ms).div_ceil(1000);
    Some(u32::try_from(left).unwrap_or(u32::MAX))
}

/// Returns the payload format of a property list.
pub(crate) fn payload_format(list: Encoded<'_>) -> PayloadFormat {
    if list.payload_is_utf8() { PayloadFormat::Utf8 } else { PayloadFormat::Unspecified }
}

/// User Properties in their order.
pub(crate) fn user_properties(list: Encoded<'_>) -> Vec<UserProperty> {
    let owned = |(name, value): (&str, &str)| UserProperty { name: name.to_owned(), value: value.to_owned() };
    list.user_properties().map(owned).collect()
}

impl MessageProperties {
    /// Properties of a message that has so long to live.
    pub(crate) fn of(raw: &[u8], expiry_seconds: Option<u32>) -> MessageProperties {
        let list = decoded(raw);
        MessageProperties {
            payload_format: payload_format(list),
            expiry_seconds,
            content_type: list.content_type().map(str::to_owned),
            response_topic: list.response_topic().map(str::to_owned),
            correlation_data: list.correlation_data().map(<[u8]>::to_vec),
            user_properties: user_properties(list),
        }
    }

    /// Their encoded form; `None` when no packet may have one of them, or when one is beyond the
    /// bounds.
    pub(crate) fn encoded(&self, bounds: &MessageBounds) -> Option<PropertyBuf> {
        let texts = self.content_type.iter().chain(&self.response_topic);
        let users = self.user_properties.iter().flat_map(|UserProperty { name, value }| [name, value]);
        let is_within = texts.chain(users).all(|text| bounds.include_text(text))
            && self.response_topic.iter().all(|topic| bounds.include_topic(topic))
            && self.user_properties.len() <= bounds.user_properties
            && self.user_property_bytes() <= bounds.user_property_bytes;
        if is_within { self.encoded_unbounded().ok() } else { None }
    }

    /// Bytes of the names and values of its User Properties.
    fn user_property_bytes(&self) -> usize {
        self.user_properties.iter().map(|user| user.name.len() + user.value.len()).sum()
    }

    fn encoded_unbounded(&self) -> Result<PropertyBuf, EncodeError> {
        let mut list = PropertyBuf::new();
        if self.payload_format == PayloadFormat::Utf8 {
            list.push(PropertyId::PayloadFormatIndicator, PropertyValue::Byte(1))?;
        }
        if let Some(seconds) = self.expiry_seconds {
            list.push(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds))?;
        }
        if let Some(text) = &self.content_type {
            list.push(PropertyId::ContentType, PropertyValue::Utf8(text))?;
        }
        if let Some(topic) = &self.response_topic {
            list.push(PropertyId::ResponseTopic, PropertyValue::Utf8(topic))?;
        }
        if let Some(data) = &self.correlation_data {
            list.push(PropertyId::CorrelationData, PropertyValue::Binary(data))?;
        }
        for UserProperty { name, value } in &self.user_properties {
            list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, value))?;
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> MessageProperties {
        let user = |name: &str, value: &str| UserProperty { name: name.to_owned(), value: value.to_owned() };
        MessageProperties {
            payload_format: PayloadFormat::Utf8,
            expiry_seconds: Some(7),
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("answers/1".to_owned()),
            correlation_data: Some(vec![0, 255]),
            user_properties: vec![user("b", "1"), user("a", ""), user("b", "2")],
        }
    }

    #[test]
    fn properties_come_back_as_they_went_in() {
        for properties in [some(), MessageProperties::default()] {
            let list = properties.encoded(&MessageBounds::default()).unwrap();
            let expiry = properties.expiry_seconds;
            assert_eq!(MessageProperties::of(list.properties().raw(), expiry), properties);
        }
    }

    #[test]
    fn properties_not_allowed_in_mqtt_packets_are_rejected() {
        let long = "x".repeat(65_536);
        for properties in [
            MessageProperties { response_topic: Some("a/+".to_owned()), ..some() },
            MessageProperties { response_topic: Some(String::new()), ..some() },
            MessageProperties { content_type: Some("a\0b".to_owned()), ..some() },
            MessageProperties { content_type: Some(long.clone()), ..some() },
            MessageProperties { correlation_data: Some(long.clone().into_bytes()), ..some() },
            MessageProperties {
                user_properties: vec![UserProperty { name: long, value: String::new() }],
                ..some()
            },
        ] {
            assert!(properties.encoded(&MessageBounds::default()).is_none(), "{properties:?}");
        }
    }

    #[test]
    fn discouraged_text_is_refused_unless_the_bounds_include_it() {
        let user = |name: &str, value: &str| UserProperty { name: name.to_owned(), value: value.to_owned() };
        for text in ["a\u{1}", "a\n", "\u{80}", "\u{fdd0}"] {
            for properties in [
                MessageProperties { content_type: Some(text.to_owned()), ..some() },
                MessageProperties { response_topic: Some(text.to_owned()), ..some() },
                MessageProperties { user_properties: vec![user(text, "")], ..some() },
                MessageProperties { user_properties: vec![user("a", "1"), user("", text)], ..some() },
            ] {
                assert!(properties.encoded(&MessageBounds::default()).is_none(), "{properties:?}");
                let bounds = MessageBounds { takes_discouraged: true, ..MessageBounds::default() };
                assert!(properties.encoded(&bounds).is_some(), "{properties:?}");
            }
        }
    }

    #[test]
    fn user_properties_are_as_many_and_as_long_as_those_of_clients() {
        let unbounded = MessageBounds::default();
        for (bounds, is_taken) in [
            (MessageBounds { user_properties: 3, user_property_bytes: 5, ..unbounded }, true),
            (MessageBounds { user_properties: 2, ..unbounded }, false),
            (MessageBounds { user_property_bytes: 4, ..unbounded }, false),
        ] {
            assert_eq!(some().encoded(&bounds).is_some(), is_taken, "{bounds:?}");
        }
    }

    #[test]
    fn seconds_left_are_rounded_up_and_none_when_it_has_expired() {
        for (expires_at_ms, now_ms, expected) in [
            (None, 0, None),
            (Some(2_001), 1_000, Some(2)),
            (Some(2_000), 1_000, Some(1)),
            (Some(1_001), 1_000, Some(1)),
            (Some(1_000), 1_000, Some(0)),
            (Some(1), 5, Some(0)),
        ] {
            assert_eq!(seconds_left(expires_at_ms, now_ms), expected);
        }
    }
}
