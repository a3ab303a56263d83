//! Tag: its settings, the conversion of its value to the text of a message, and the check for a
//! change to publish.

use lotmq_guest::route::{Failure, QoS};
use route_settings::Settings;
use serde_json::Value as Json;

use crate::limits::LENGTH_MAX;
use crate::{DataType, Number, Scale, TagShape, Value, payload};

/// Settings of a tag that are the same for all protocols.
#[derive(Debug)]
pub struct TagSettings {
    /// Name of the mapping.
    pub mapping: String,
    /// Name of the tag.
    pub name: String,
    /// `ADDRESS`.
    pub address: String,
    /// Shape that its address must fit.
    pub shape: TagShape,
    scale: Scale,
    deadband: f64,
    only_changes: bool,
    topic: String,
    publishing: (QoS, bool),
}

/// A tag with its address in the words of a protocol.
#[derive(Debug)]
pub struct Tag<A> {
    /// Its settings.
    pub settings: TagSettings,
    /// Its address.
    pub address: A,
    /// Last published value: the text, and the numbers in it.
    last: Option<(String, Vec<f64>)>,
    /// Reason why it could not be read the last time.
    pub(crate) failing: Option<String>,
}

impl TagSettings {
    /// Reads the settings of a tag of a mapping.
    ///
    /// # Errors
    /// Returns the first wrong setting, as [`Failure::Fatal`].
    pub fn read(mapping: &Settings<'_>, tag: &Settings<'_>) -> Result<TagSettings, Failure> {
        let fatal =
            |reason: String| Failure::Fatal(format!("tag {}/{}: {reason}", mapping.name(), tag.name()));
        let needed = |key: &str| {
            tag.text(key)?.filter(|text| !text.is_empty()).ok_or_else(|| fatal(format!("{key} is missing")))
        };
        let kind = needed("DATA_TYPE")?;
        let kind = DataType::of_name(&kind).ok_or_else(|| fatal(format!("DATA_TYPE '{kind}' is no type")))?;
        let number = |key: &str, default: Number| match tag.text(key)? {
            None => Ok(default),
            Some(text) => Number::parse(&text).ok_or_else(|| fatal(format!("{key} '{text}' is no number"))),
        };
        let factor = number("SCALING", Number::ONE)?;
        if factor.is_zero() {
            return Err(fatal("SCALING is 0, and nothing can be written through that".to_owned()));
        }
        let length = tag.number("LENGTH");
        if length.is_some_and(|length| !(1..=LENGTH_MAX).contains(&length)) {
            return Err(fatal(format!("LENGTH is 1 to {LENGTH_MAX}")));
        }
        let places = tag.number("DECIMAL_PLACES").and_then(|places| u32::try_from(places).ok());
        let topic =
            tag.text("SOURCE_TOPIC").map_err(|_| fatal("SOURCE_TOPIC has a placeholder".to_owned()))?;
        let mode = tag.text("PUBLISH_MODE")?;
        Ok(TagSettings {
            mapping: mapping.name().to_owned(),
            name: tag.name().to_owned(),
            address: needed("ADDRESS")?,
            shape: TagShape {
                kind,
                length: length.and_then(|length| usize::try_from(length).ok()),
                is_written: !tag.raw("DESTINATION_TOPIC").is_null()
                    && *tag.raw("WRITABLE") != Json::Bool(false),
            },
            scale: Scale::new(factor, number("OFFSET", Number::ZERO)?, places),
            deadband: number("DEADBAND", Number::ZERO)?.to_double(),
            only_changes: mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ON_CHANGE")),
            topic: topic.unwrap_or_else(|| format!("{}/{}", mapping.name(), tag.name())),
            publishing: tag.publishing(),
        })
    }

    /// The failure of a tag that is wrong.
    pub fn wrong(&self, reason: &str) -> Failure {
        Failure::Fatal(format!("tag {}/{}: ADDRESS '{}': {reason}", self.mapping, self.name, self.address))
    }
}

impl<A> Tag<A> {
    /// A tag of which nothing was published yet.
    pub fn new(settings: TagSettings, address: A) -> Tag<A> {
        Tag { settings, address, last: None, failing: None }
    }

    /// Topic, `QOS` and `RETAIN` of its messages.
    pub(crate) fn publication(&self) -> (&str, QoS, bool) {
        let (qos, retain) = self.settings.publishing;
        (&self.settings.topic, qos, retain)
    }

    /// The payload of a value.
    pub(crate) fn text(&self, value: &Value) -> String {
        let item = |item: &Value| match item {
            Value::Text(text) => Json::from(text.as_str()).to_string(),
            _ => self.text(item),
        };
        match value {
            Value::Text(text) => text.clone(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(item).collect();
                format!("[{}]", items.join(","))
            }
            Value::Bool(is) => is.to_string(),
            Value::Whole(_) | Value::Single(_) | Value::Double(_) => {
                value.number().map_or_else(String::new, |raw| self.settings.scale.published(raw).to_string())
            }
        }
    }

    /// Returns the value in message form, for [`published`](Self::published); `None` if it has not
    /// changed enough.
    pub(crate) fn due(&self, value: &Value) -> Option<(String, Vec<f64>)> {
        let next = (self.text(value), self.numbers(value));
        let Some((text, numbers)) = &self.last else { return Some(next) };
        let deadband = self.settings.deadband;
        let is_due = if deadband > 0.0 && !next.1.is_empty() && next.1.len() == numbers.len() {
            // NaN and a number differ by more than any deadband.
            let is_far =
                |(now, then): (&f64, &f64)| now.is_nan() != then.is_nan() || (now - then).abs() >= deadband;
            next.1.iter().zip(numbers).any(is_far)
        } else {
            !self.settings.only_changes || next.0 != *text
        };
        is_due.then_some(next)
    }

    fn numbers(&self, value: &Value) -> Vec<f64> {
        match value {
            Value::List(items) => items.iter().flat_map(|item| self.numbers(item)).collect(),
            _ => {
                value.number().map(|raw| self.settings.scale.published(raw).to_double()).into_iter().collect()
            }
        }
    }

    /// Notes what was published.
    pub(crate) fn published(&mut self, last: (String, Vec<f64>)) {
        self.last = Some(last);
    }

    /// The value to write for a payload.
    pub(crate) fn parse(&self, payload: &[u8]) -> Result<Value, String> {
        let TagSettings { shape: TagShape { kind, length, .. }, scale, .. } = &self.settings;
        payload::parse(payload, *kind, *length, scale)
    }

    /// Parses a payload as another type than the tag's, and as a list of any length if `is_list`.
    ///
    /// # Errors
    /// Returns why it is no such value, for people.
    pub fn parse_as(&self, payload: &[u8], kind: DataType, is_list: bool) -> Result<Value, String> {
        let scale = &self.settings.scale;
        if is_list { payload::list(payload, kind, scale) } else { payload::parse(payload, kind, None, scale) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use route_settings::Configuration;

    fn tag(settings: &str) -> Result<Tag<()>, Failure> {
        let text = format!(r#"{{"mappings":{{"M":{{"tags":{{"T":{{{settings}}}}}}}}}}}"#);
        let configuration = Configuration::parse(&text).unwrap();
        let mapping = configuration.mappings().next().unwrap();
        let tag = mapping.tags().next().unwrap();
        TagSettings::read(&mapping, &tag).map(|settings| Tag::new(settings, ()))
    }

    const REAL: &str = r#""ADDRESS":"1","DATA_TYPE":"REAL""#;

    #[test]
    fn values_are_published_scaled_and_rounded() {
        for (settings, value, expected) in [
            (r#""SCALING":0.1"#, Value::Whole(215), "21.5"),
            (r#""SCALING":0.1,"OFFSET":-40"#, Value::Whole(3), "-39.7"),
            (r#""SCALING":"1e-3","DECIMAL_PLACES":1"#, Value::Whole(21_549), "21.5"),
            (r#""DECIMAL_PLACES":2"#, Value::Single(1.0 / 3.0), "0.33"),
            (r#""QOS":1"#, Value::Single(0.1), "0.1"),
            (r#""QOS":1"#, Value::Single(f32::NAN), "null"),
            (r#""QOS":1"#, Value::Bool(true), "true"),
            (r#""QOS":1"#, Value::Text("a\"b".to_owned()), "a\"b"),
            (r#""SCALING":0.5"#, Value::List(vec![Value::Whole(1), Value::Whole(2)]), "[0.5,1]"),
            (r#""QOS":1"#, Value::List(vec![Value::Text("a\"b".to_owned())]), r#"["a\"b"]"#),
        ] {
            assert_eq!(tag(&format!("{REAL},{settings}")).unwrap().text(&value), expected, "{settings}");
        }
    }

    #[test]
    fn small_changes_are_suppressed() {
        for (settings, expected) in [
            (r#""QOS":0"#, "1 1 1.4 2 2"),
            (r#""PUBLISH_MODE":"on_change""#, "1 1.4 2"),
            (r#""DEADBAND":0.5"#, "1 2"),
            (r#""DEADBAND":"1","PUBLISH_MODE":"ON_CHANGE""#, "1 2"),
        ] {
            let mut tag = tag(&format!("{REAL},{settings}")).unwrap();
            let mut texts = Vec::new();
            for value in [1.0, 1.0, 1.4, 2.0, 2.0] {
                if let Some(due) = tag.due(&Value::Double(value)) {
                    texts.push(due.0.clone());
                    tag.published(due);
                }
            }
            assert_eq!(texts.join(" "), expected, "{settings}");
        }
    }

    #[test]
    fn wrong_settings_are_told_with_tag_and_setting() {
        for (settings, expected) in [
            (r#""ADDRESS":"1""#, "tag M/T: DATA_TYPE is missing"),
            (r#""DATA_TYPE":"INT""#, "tag M/T: ADDRESS is missing"),
            (r#""ADDRESS":"1","DATA_TYPE":"INTEGER""#, "tag M/T: DATA_TYPE 'INTEGER' is no type"),
            (
                r#""ADDRESS":"1","DATA_TYPE":"INT","SCALING":0"#,
                "tag M/T: SCALING is 0, and nothing can be written through that",
            ),
            (r#""ADDRESS":"1","DATA_TYPE":"INT","OFFSET":"x""#, "tag M/T: OFFSET 'x' is no number"),
            (r#""ADDRESS":"1","DATA_TYPE":"INT","LENGTH":0"#, "tag M/T: LENGTH is 1 to 2000"),
        ] {
            match tag(settings) {
                Err(Failure::Fatal(reason)) => assert_eq!(reason, expected),
                other => panic!("{settings}: {other:?}"),
            }
        }
    }
}
