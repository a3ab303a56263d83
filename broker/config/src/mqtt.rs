//! Section `[mqtt]`: what the broker offers to 5.0 clients beyond what the standard makes it offer.

use serde_json::Value;

use super::key::section;
use super::setting::Setting;
use crate::value_error::ValueError;

section! {
    /// Optional features of the broker for 5.0 clients.
    Mqtt at "mqtt", |config| config.mqtt => {
        /// First levels of topics for responses. A client that asks for Response Information gets
        /// them, followed by its Client Identifier, such as `responses/<client id>`. It makes its
        /// response topics from that. Without a value no client gets any.
        response_information: Option<TopicPrefix> = None;

        /// Whether clients may use control characters (U+0001 to U+001F, U+007F to U+009F) and
        /// non-characters such as U+FFFF. This holds for topics, filters, client identifiers, user
        /// names and the text of properties. The standard lets a receiver take them for malformed.
        /// Clients with libmosquitto do so: they close on such a message, come back, and close
        /// again. The setting holds for properties that definitions and routes publish, too. They
        /// never publish to such a topic.
        control_characters: bool = false;
    }
}

/// One or more levels of a Topic Name, without a separator at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPrefix(String);

impl TopicPrefix {
    /// The prefix with one more level behind it; `None` when that is no Topic Name, because of
    /// wildcards or its length.
    #[must_use]
    pub fn with(&self, level: &str) -> Option<String> {
        let topic = format!("{}/{level}", self.0);
        lotmq_router::topic_name_valid(&topic).is_ok().then_some(topic)
    }
}

impl Setting for TopicPrefix {
    const TYPE: &'static str =
        "first levels of topics, without wildcards, without `$` at the beginning and without `/` at the end";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        match value.as_str() {
            Some(prefix)
                if lotmq_router::topic_name_valid(prefix).is_ok()
                    && !prefix.ends_with('/')
                    && !prefix.starts_with('$') =>
            {
                Ok(Self(prefix.to_owned()))
            }
            Some(_) | None => Err(ValueError::WrongType { expected: Self::TYPE }),
        }
    }

    fn show(&self) -> Value {
        Value::String(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_beginning_of_a_topic() {
        for bad in ["", "a/", "/", "a/+", "#", "$SYS/a"] {
            TopicPrefix::parse(&Value::from(bad)).unwrap_err();
        }
        let prefix = TopicPrefix::parse(&Value::from("a/b")).unwrap();
        for (level, topic) in [
            ("c", Some("a/b/c")),
            ("c/d", Some("a/b/c/d")),
            ("+", None),
            ("c#", None),
            ("x".repeat(65_535).as_str(), None),
        ] {
            assert_eq!(prefix.with(level).as_deref(), topic);
        }
    }
}
