//! Properties of MQTT 5.0 in files with cases and in recordings: of a message that arrives, and of
//! one that is expected.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_codec::{EncodeError, Properties, PropertyBuf, PropertyId, PropertyPlace, PropertyValue};

/// Properties of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatedProperties {
    /// User Properties, in order.
    pub user: Vec<(String, String)>,
    /// Whether the payload is UTF-8; `None` if the message does not indicate it.
    pub is_utf8: Option<bool>,
    /// Topic Name for the response.
    pub response_topic: Option<String>,
    /// Correlation Data for the response.
    pub correlation_data: Option<Vec<u8>>,
    /// Content Type of the payload.
    pub content_type: Option<String>,
    /// Seconds to live.
    pub expiry: Option<u32>,
}

/// Keys of a table for these properties.
pub(crate) const KEYS: [&str; 7] = [
    "user",
    "response_topic",
    "correlation_data",
    "correlation_base64",
    "content_type",
    "expiry",
    "payload_format",
];

/// Whether a payload format is that of text.
///
/// # Errors
/// A format that there is not.
pub(crate) fn is_utf8(format: &str) -> Result<bool, String> {
    match format {
        "utf8" => Ok(true),
        "unspecified" => Ok(false),
        _ => Err(format!("`payload_format` is `utf8` or `unspecified`, found `{format}`")),
    }
}

/// The name of a payload format.
pub(crate) fn payload_format(is_utf8: bool) -> &'static str {
    if is_utf8 { "utf8" } else { "unspecified" }
}

/// Keys of Correlation Data, as text and in base64.
pub(crate) const CORRELATION_KEYS: [&str; 2] = ["correlation_data", "correlation_base64"];

/// Bytes as files have them: a text, or in base64.
pub(crate) struct TextOrBase64<'a> {
    /// Keys of the two.
    pub(crate) names: [&'a str; 2],
    pub(crate) text: Option<String>,
    pub(crate) base64: Option<String>,
}

impl TextOrBase64<'_> {
    /// Returns the bytes.
    ///
    /// # Errors
    /// When both keys are there, or the text is not base64.
    pub(crate) fn read(self) -> Result<Option<Vec<u8>>, String> {
        let [of_text, of_base64] = self.names;
        match (self.text, self.base64) {
            (Some(_), Some(_)) => Err(format!("expected either `{of_text}` or `{of_base64}`")),
            (Some(text), None) => Ok(Some(text.into_bytes())),
            (None, Some(base64)) => {
                let bytes = BASE64_STANDARD.decode(base64);
                bytes.map(Some).map_err(|error| format!("`{of_base64}` is no base64: {error}"))
            }
            (None, None) => Ok(None),
        }
    }
}

impl StatedProperties {
    /// As they stand in a packet.
    ///
    /// # Errors
    /// The first one that no packet may have.
    pub(crate) fn encoded(&self) -> Result<PropertyBuf, EncodeError> {
        let mut list = PropertyBuf::new();
        if let Some(is_utf8) = self.is_utf8 {
            list.push(PropertyId::PayloadFormatIndicator, PropertyValue::Byte(is_utf8.into()))?;
        }
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
            list.push(PropertyId::CorrelationData, PropertyValue::Binary(data))?;
        }
        for (name, value) in &self.user {
            list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, value))?;
        }
        Ok(list)
    }

    /// Those of a message that was published, from their encoded form.
    pub(crate) fn of(encoded: &[u8]) -> Self {
        let list = Properties::from_raw(encoded, PropertyPlace::PublishFromServer).unwrap_or_default();
        Self::of_list(list)
    }

    /// Those of a message.
    pub(crate) fn of_list(list: Properties<'_>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            user: list.user_properties().map(owned).collect(),
            is_utf8: list.contains(PropertyId::PayloadFormatIndicator).then(|| list.payload_is_utf8()),
            response_topic: list.response_topic().map(str::to_owned),
            correlation_data: list.correlation_data().map(<[u8]>::to_vec),
            content_type: list.content_type().map(str::to_owned),
            expiry: list.message_expiry_interval(),
        }
    }
}

impl fmt::Display for StatedProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As in a case: binary data is in base64.
        let data = self.correlation_data.as_ref().map(|data| match std::str::from_utf8(data) {
            Ok(text) if !text.contains(char::is_control) => ("correlation data", text.to_owned()),
            _ => ("correlation data in base64", BASE64_STANDARD.encode(data)),
        });
        let text = |name, text: &Option<String>| text.clone().map(|text| (name, text));
        let texts =
            [text("response topic", &self.response_topic), data, text("content type", &self.content_type)];
        texts.iter().flatten().try_for_each(|(name, value)| write!(f, " [{name}: {value}]"))?;
        self.expiry.iter().try_for_each(|seconds| write!(f, " [expiry: {seconds}]"))?;
        self.is_utf8.iter().try_for_each(|it| write!(f, " [payload format: {}]", payload_format(*it)))?;
        self.user.iter().try_for_each(|(name, value)| write!(f, " [{name}: {value}]"))
    }
}

/// User Properties as written in a file.
#[derive(Debug)]
pub(crate) enum UserPairs {
    /// Values by name, those of one name in their order; where they are expected, others may be
    /// there.
    ByName(BTreeMap<String, Vec<String>>),
    /// All properties, in order.
    InOrder(Vec<(String, String)>),
}

impl UserPairs {
    /// All pairs; by name where they are so.
    pub(crate) fn in_order(self) -> Vec<(String, String)> {
        match self {
            Self::InOrder(pairs) => pairs,
            Self::ByName(names) => {
                let pairs = |(name, values): (String, Vec<String>)| {
                    values.into_iter().map(move |value| (name.clone(), value))
                };
                names.into_iter().flat_map(pairs).collect()
            }
        }
    }
}

/// Properties of a message that is expected: those that are looked at.
#[derive(Debug)]
pub(crate) struct WantedProperties {
    pub(crate) user: UserPairs,
    /// All but the User Properties.
    pub(crate) others: StatedProperties,
}

impl WantedProperties {
    /// Whether these are all found.
    pub(crate) fn are_in(&self, found: &StatedProperties) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, found: &Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let has_user_properties = match &self.user {
            UserPairs::ByName(names) => names.iter().all(|(wanted, values)| {
                let of_name = found.user.iter().filter(|(name, _)| name == wanted);
                of_name.map(|(_, value)| value).eq(values)
            }),
            UserPairs::InOrder(pairs) => found.user == *pairs,
        };
        let others = &self.others;
        has_user_properties
            && is(&others.is_utf8, &found.is_utf8)
            && is(&others.response_topic, &found.response_topic)
            && is(&others.correlation_data, &found.correlation_data)
            && is(&others.content_type, &found.content_type)
            && is(&others.expiry, &found.expiry)
    }
}

impl fmt::Display for WantedProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.others.fmt(f)?;
        match &self.user {
            UserPairs::ByName(names) => {
                let mut pairs =
                    names.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
                pairs.try_for_each(|(name, value)| write!(f, " [{name}: {value}]"))
            }
            UserPairs::InOrder(pairs) => {
                pairs.iter().try_for_each(|(name, value)| write!(f, " [{name}: {value}]"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn properties_survive_encoding_and_only_wanted_ones_are_compared() {
        let all = StatedProperties {
            user: vec![pair("b", "1"), pair("a", "1"), pair("b", "2")],
            is_utf8: Some(true),
            response_topic: Some("r".to_owned()),
            correlation_data: Some(b"7\xff".to_vec()),
            content_type: Some("text/plain".to_owned()),
            expiry: Some(60),
        };
        let back = StatedProperties::of(all.encoded().unwrap().properties().raw());
        assert_eq!(all, back);
        let shown = " [response topic: r] [correlation data in base64: N/8=] [content type: text/plain] [expiry: 60] [payload format: utf8] [b: 1] [a: 1] [b: 2]";
        assert_eq!(all.to_string(), shown);
        let wanted = |user, others: &StatedProperties| WantedProperties { user, others: others.clone() };
        let by_name = |name: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            UserPairs::ByName([(name.to_owned(), values)].into())
        };
        let nothing = StatedProperties::default();
        assert!(wanted(UserPairs::ByName(BTreeMap::new()), &nothing).are_in(&back));
        assert!(wanted(UserPairs::InOrder(all.user.clone()), &all).are_in(&back));
        assert!(wanted(by_name("b", &["1", "2"]), &all).are_in(&back));
        assert!(!wanted(by_name("b", &["1", "2"]), &all).are_in(&nothing));
        assert!(!wanted(by_name("b", &["1"]), &nothing).are_in(&back), "one value of two");
        assert!(!wanted(by_name("c", &["1"]), &nothing).are_in(&back));
        let sorted = vec![pair("a", "1"), pair("b", "1"), pair("b", "2")];
        assert!(!wanted(UserPairs::InOrder(sorted), &nothing).are_in(&back), "in another order");
        let other = StatedProperties { is_utf8: Some(false), ..nothing };
        assert!(!wanted(UserPairs::InOrder(all.user), &other).are_in(&back));
    }
}
