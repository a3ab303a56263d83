//! Properties of MQTT 5.0 in a file with cases: of a message that arrives, and of one that is expected.

use std::collections::BTreeMap;
use std::fmt;

use lotmq_codec::{EncodeError, Properties, PropertyBuf, PropertyId, PropertyPlace, PropertyValue};

/// Properties of a message; of one that is expected only those that are looked at.
#[derive(Debug, Default)]
pub(crate) struct CaseProperties {
    /// Values of User Properties by name, those of one name in their order.
    pub(crate) user: BTreeMap<String, Vec<String>>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation_data: Option<String>,
    pub(crate) content_type: Option<String>,
    /// Seconds to live.
    pub(crate) expiry: Option<u32>,
}

/// The keys of a table that say them.
pub(crate) const KEYS: [&str; 5] = ["user", "response_topic", "correlation_data", "content_type", "expiry"];

impl CaseProperties {
    /// As they stand in a packet.
    ///
    /// # Errors
    /// The first one that no packet may have.
    pub(crate) fn encoded(&self) -> Result<PropertyBuf, EncodeError> {
        let mut list = PropertyBuf::new();
        if let Some(seconds) = self.expiry {
            list.push(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds))?;
        }
        if let Some(text) = &self.content_type {
            list.push(PropertyId::ContentType, PropertyValue::Utf8(text))?;
        }
        if let Some(topic) = &self.response_topic {
            list.push(PropertyId::ResponseTopic, PropertyValue::Utf8(topic))?;
        }
        if let Some(data) = &self.correlation_data {
            list.push(PropertyId::CorrelationData, PropertyValue::Binary(data.as_bytes()))?;
        }
        for (name, values) in &self.user {
            for value in values {
                list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, value))?;
            }
        }
        Ok(list)
    }

    /// Those of a message that was published, from their encoded form.
    pub(crate) fn of(encoded: &[u8]) -> Self {
        let list = Properties::from_raw(encoded, PropertyPlace::PublishFromServer).unwrap_or_default();
        let mut user: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in list.user_properties() {
            user.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        Self {
            user,
            response_topic: list.response_topic().map(str::to_owned),
            correlation_data: list.correlation_data().map(|data| String::from_utf8_lossy(data).into_owned()),
            content_type: list.content_type().map(str::to_owned),
            expiry: list.message_expiry_interval(),
        }
    }

    /// Whether these are all found.
    pub(crate) fn are_in(&self, found: &Self) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, found: &Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        self.user.iter().all(|(name, values)| found.user.get(name) == Some(values))
            && is(&self.response_topic, &found.response_topic)
            && is(&self.correlation_data, &found.correlation_data)
            && is(&self.content_type, &found.content_type)
            && is(&self.expiry, &found.expiry)
    }
}

impl fmt::Display for CaseProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            ("response topic", &self.response_topic),
            ("correlation data", &self.correlation_data),
            ("content type", &self.content_type),
        ];
        for (name, value) in texts {
            value.iter().try_for_each(|value| write!(f, " [{name}: {value}]"))?;
        }
        self.expiry.iter().try_for_each(|seconds| write!(f, " [expiry: {seconds}]"))?;
        for (name, values) in &self.user {
            values.iter().try_for_each(|value| write!(f, " [{name}: {value}]"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back_and_only_what_is_wanted_is_looked_at() {
        let all = CaseProperties {
            user: [("a".to_owned(), vec!["1".to_owned(), "2".to_owned()])].into(),
            response_topic: Some("r".to_owned()),
            correlation_data: Some("7".to_owned()),
            content_type: Some("text/plain".to_owned()),
            expiry: Some(60),
        };
        let back = CaseProperties::of(all.encoded().unwrap().properties().raw());
        let shown = " [response topic: r] [correlation data: 7] [content type: text/plain] [expiry: 60] [a: 1] [a: 2]";
        assert_eq!((all.to_string(), back.to_string()), (shown.to_owned(), shown.to_owned()));
        assert!(all.are_in(&back) && CaseProperties::default().are_in(&back));
        assert!(!all.are_in(&CaseProperties::default()));
        let other = CaseProperties { user: [("a".to_owned(), vec!["1".to_owned()])].into(), ..all };
        assert!(!other.are_in(&back), "one value of two");
    }
}
