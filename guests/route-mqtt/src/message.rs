//! A message on its way, and its properties in the words of the codec and of the host.

use std::borrow::Cow;
use std::rc::Rc;

use lotmq_codec::{EncodeError, Properties as Encoded, PropertyBuf, PropertyId, PropertyValue};
use lotmq_guest::route::{DeliveredMessage, PayloadFormat, Properties, QoS, UserProperty};

use crate::fingerprint::fnv;
use crate::hops;

/// Properties of a message that has none.
static NONE: Properties = Properties {
    payload_format: PayloadFormat::Unspecified,
    expiry_seconds: None,
    content_type: None,
    response_topic: None,
    correlation_data: None,
    user_properties: Vec::new(),
};

/// A message between two brokers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passing<'a> {
    pub(crate) topic: Cow<'a, str>,
    pub(crate) payload: Cow<'a, [u8]>,
    /// 0, 1 or 2.
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Cow<'a, Properties>,
    /// The bridges that it has passed, where they are known: they are behind the other properties.
    pub(crate) bridges: Option<Rc<str>>,
}

impl<'a> Passing<'a> {
    /// A message of this broker.
    pub(crate) fn of_host(message: DeliveredMessage<'a>, properties: Option<&'a Properties>) -> Passing<'a> {
        Passing {
            topic: Cow::Borrowed(message.topic),
            payload: Cow::Borrowed(message.payload),
            qos: of_qos(message.qos),
            retain: message.retain,
            properties: Cow::Borrowed(properties.unwrap_or(&NONE)),
            bridges: None,
        }
    }

    /// The same with everything of its own.
    pub(crate) fn into_owned(self) -> Passing<'static> {
        let Passing { topic, payload, qos, retain, properties, bridges } = self;
        let (topic, payload) = (Cow::Owned(topic.into_owned()), Cow::Owned(payload.into_owned()));
        Passing { topic, payload, qos, retain, properties: Cow::Owned(properties.into_owned()), bridges }
    }

    /// Whether it has no properties but for the bridges.
    pub(crate) fn is_plain(&self) -> bool {
        let Properties {
            payload_format,
            expiry_seconds,
            content_type,
            response_topic,
            correlation_data,
            user_properties,
        } = &*self.properties;
        *payload_format == PayloadFormat::Unspecified
            && expiry_seconds.is_none()
            && content_type.is_none()
            && response_topic.is_none()
            && correlation_data.is_none()
            && user_properties.is_empty()
    }

    /// All its properties, for the host.
    pub(crate) fn all_properties(properties: Cow<'_, Properties>, bridges: Option<&str>) -> Properties {
        let mut properties = properties.into_owned();
        properties.user_properties.extend(bridges.map(hops::property));
        properties
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + 64
    }

    /// Returns a fingerprint of topic, payload and `salt`.
    pub(crate) fn fingerprint(&self, salt: i64) -> u64 {
        fnv(&[self.topic.as_bytes(), &[0], &self.payload, &salt.to_le_bytes()])
    }
}

/// A QoS of the host as a number.
pub(crate) fn of_qos(qos: QoS) -> u8 {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}

/// A QoS in the words of the host.
pub(crate) fn host_qos(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

/// Properties of a message that was received.
pub(crate) fn received(encoded: Encoded<'_>) -> Properties {
    if encoded.is_empty() {
        return Properties::default();
    }
    let user = |(name, value): (&str, &str)| UserProperty { name: name.to_owned(), value: value.to_owned() };
    Properties {
        payload_format: if encoded.payload_is_utf8() {
            PayloadFormat::Utf8
        } else {
            PayloadFormat::Unspecified
        },
        expiry_seconds: encoded.message_expiry_interval(),
        content_type: encoded.content_type().map(str::to_owned),
        response_topic: encoded.response_topic().map(str::to_owned),
        correlation_data: encoded.correlation_data().map(<[u8]>::to_vec),
        user_properties: encoded.user_properties().map(user).collect(),
    }
}

/// Adds the properties of a message as they are sent.
pub(crate) fn encode(
    properties: &Properties,
    bridges: Option<&str>,
    list: &mut PropertyBuf,
) -> Result<(), EncodeError> {
    if properties.payload_format == PayloadFormat::Utf8 {
        list.push(PropertyId::PayloadFormatIndicator, PropertyValue::Byte(1))?;
    }
    if let Some(seconds) = properties.expiry_seconds {
        list.push(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds))?;
    }
    if let Some(text) = &properties.content_type {
        list.push(PropertyId::ContentType, PropertyValue::Utf8(text))?;
    }
    if let Some(topic) = &properties.response_topic {
        list.push(PropertyId::ResponseTopic, PropertyValue::Utf8(topic))?;
    }
    if let Some(data) = &properties.correlation_data {
        list.push(PropertyId::CorrelationData, PropertyValue::Binary(data))?;
    }
    for UserProperty { name, value } in &properties.user_properties {
        list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, value))?;
    }
    if let Some(bridges) = bridges {
        list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(hops::NAME, bridges))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_the_same_behind_a_connection() {
        let properties = Properties {
            payload_format: PayloadFormat::Utf8,
            expiry_seconds: Some(7),
            content_type: Some("text/plain".to_owned()),
            response_topic: Some("answer/here".to_owned()),
            correlation_data: Some(vec![0, 255]),
            user_properties: vec![
                UserProperty { name: "a".to_owned(), value: "1".to_owned() },
                UserProperty { name: "a".to_owned(), value: "2".to_owned() },
            ],
        };
        let mut list = PropertyBuf::new();
        encode(&Properties::default(), None, &mut list).unwrap();
        assert!(list.properties().is_empty());
        encode(&properties, None, &mut list).unwrap();
        assert_eq!(format!("{:?}", received(list.properties())), format!("{properties:?}"));
        list.clear();
        encode(&properties, Some("b,c"), &mut list).unwrap();
        let all = Passing::all_properties(Cow::Borrowed(&properties), Some("b,c"));
        assert_eq!(format!("{:?}", received(list.properties())), format!("{all:?}"));
    }

    #[test]
    fn fingerprints_tell_topic_and_payload_apart() {
        let of = |topic: &'static str, payload: &'static str| {
            let (topic, payload) = (topic.into(), payload.as_bytes().into());
            Passing { topic, payload, ..Passing::default() }.fingerprint(1)
        };
        assert_eq!(of("a", "b"), of("a", "b"));
        assert_ne!(of("a", "b"), of("ab", ""));
    }
}
