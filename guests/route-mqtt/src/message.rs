//! A message on its way, and its properties in the words of the codec and of the host.

use lotmq_codec::{EncodeError, Properties as Encoded, PropertyBuf, PropertyId, PropertyValue};
use lotmq_guest::route::{Message, PayloadFormat, Properties, QoS, UserProperty};

/// A message between two brokers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passing {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    /// 0, 1 or 2.
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Properties,
}

impl Passing {
    /// A message of this broker.
    pub(crate) fn of_host(message: &Message, properties: Option<&Properties>) -> Passing {
        Passing {
            topic: message.topic.clone(),
            payload: message.payload.clone(),
            qos: of_qos(message.qos),
            retain: message.retain,
            properties: properties.cloned().unwrap_or_default(),
        }
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + 64
    }

    /// A number that tells it from others: of topic and payload.
    pub(crate) fn fingerprint(&self, salt: i64) -> u64 {
        let parts = [self.topic.as_bytes(), &[0], &self.payload, &salt.to_le_bytes()];
        // FNV-1a: the same on every machine and in every version.
        parts.iter().copied().flatten().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
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

/// Properties of a message as they are sent.
pub(crate) fn encoded(properties: &Properties) -> Result<PropertyBuf, EncodeError> {
    let mut list = PropertyBuf::new();
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
    Ok(list)
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
        let again = received(encoded(&properties).unwrap().properties());
        assert_eq!(format!("{again:?}"), format!("{properties:?}"));
        assert!(encoded(&Properties::default()).unwrap().properties().is_empty());
    }

    #[test]
    fn fingerprints_tell_topic_and_payload_apart() {
        let of = |topic: &str, payload: &str| {
            Passing { topic: topic.to_owned(), payload: payload.into(), ..Passing::default() }.fingerprint(1)
        };
        assert_eq!(of("a", "b"), of("a", "b"));
        assert_ne!(of("a", "b"), of("ab", ""));
    }
}
