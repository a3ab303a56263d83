//! Settings of a route for its guest: texts with secrets in them, numbers, truth values, and texts
//! with placeholders.

mod topic_pattern;

use lotmq_guest::route::{Failure, QoS, Template, environment};
use serde_json::{Map, Value as Json};
pub use topic_pattern::TopicPattern;

/// The configuration that the host hands over to `open`.
#[derive(Debug, Default)]
pub struct Configuration {
    whole: Json,
}

/// One block of settings: a section, an event, a mapping or a tag.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    name: &'a str,
    settings: &'a Json,
}

impl Configuration {
    /// Reads the text that `open` gets.
    ///
    /// # Errors
    /// It is not JSON, which is a fault of the host.
    pub fn parse(text: &str) -> Result<Configuration, Failure> {
        let wrong = |error| Failure::Fatal(format!("the configuration is not JSON: {error}"));
        Ok(Configuration { whole: serde_json::from_str(text).map_err(wrong)? })
    }

    /// Type of the route.
    pub fn kind(&self) -> &str {
        self.whole["type"].as_str().unwrap_or_default()
    }

    /// Name of the route.
    pub fn route(&self) -> &str {
        self.whole["route"]["name"].as_str().unwrap_or("lotmq")
    }

    /// Returns whether this instance only probes whether the far side is reachable, beside the
    /// working instance.
    pub fn is_probe(&self) -> bool {
        self.whole["route"]["probe"] == true
    }

    /// A section; one without any settings where the definition has none of this name.
    pub fn section<'a>(&'a self, name: &'a str) -> Settings<'a> {
        Settings { name, settings: &self.whole["sections"][name] }
    }

    /// All events.
    pub fn events(&self) -> impl Iterator<Item = Settings<'_>> {
        self.blocks("events")
    }

    /// All mappings.
    pub fn mappings(&self) -> impl Iterator<Item = Settings<'_>> {
        self.blocks("mappings")
    }

    fn blocks(&self, kind: &str) -> impl Iterator<Item = Settings<'_>> {
        blocks(&self.whole[kind])
    }
}

fn blocks(within: &Json) -> impl Iterator<Item = Settings<'_>> {
    let blocks = within.as_object().map(Map::iter).into_iter().flatten();
    blocks.map(|(name, settings)| Settings { name, settings })
}

impl<'a> Settings<'a> {
    /// Name of the block.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The tags of a mapping.
    pub fn tags(&self) -> impl Iterator<Item = Settings<'a>> + use<'a> {
        blocks(&self.settings["tags"])
    }

    /// A setting as the configuration has it; null where there is none.
    pub fn raw(&self, key: &str) -> &'a Json {
        &self.settings[key]
    }

    /// A setting as text, with the secrets that it names; `None` where it is not there.
    ///
    /// # Errors
    /// A secret is not set any more.
    pub fn text(&self, key: &str) -> Result<Option<String>, Failure> {
        let part = |part: &Json| match part {
            Json::String(text) => Some(text.clone()),
            Json::Number(number) => Some(number.to_string()),
            Json::Bool(is) => Some(is.to_string()),
            Json::Object(named) => environment::get_secret(named.get("secret")?.as_str()?),
            Json::Null | Json::Array(_) => None,
        };
        let value = self.raw(key);
        let text = match value["parts"].as_array() {
            Some(parts) => parts.iter().map(part).collect(),
            None if value.is_null() => return Ok(None),
            None => part(value),
        };
        text.map(Some).ok_or_else(|| self.wrong(key, "names a secret that is not set"))
    }

    /// A setting as text that must be there.
    ///
    /// # Errors
    /// It is missing or empty.
    pub fn needed(&self, key: &str) -> Result<String, Failure> {
        let text = self.text(key)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Failure::Fatal(format!("{} needs {key}", self.name)))
    }

    /// A whole number, or the text of one.
    pub fn number(&self, key: &str) -> Option<u64> {
        let value = self.raw(key);
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    /// A truth value, or the text of one; false where it is not there.
    pub fn is(&self, key: &str) -> bool {
        let value = self.raw(key);
        value
            .as_bool()
            .unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
    }

    /// A setting that may have placeholders.
    pub fn template(&self, key: &str) -> Option<Template> {
        let value = self.raw(key);
        let texts = |member: &str| -> Option<Vec<String>> {
            value[member].as_array()?.iter().map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        match value.as_str() {
            Some(text) => Some(Template::plain(key, text)),
            None => Template::new(key, texts("template")?, texts("placeholders")?),
        }
    }

    /// Returns `QOS` and `RETAIN` of published messages; by default 0 and false.
    pub fn publishing(&self) -> (QoS, bool) {
        let qos = match self.number("QOS") {
            Some(1) => QoS::AtLeastOnce,
            Some(2) => QoS::ExactlyOnce,
            _ => QoS::AtMostOnce,
        };
        (qos, self.is("RETAIN"))
    }

    /// The failure of a setting that is wrong.
    pub fn wrong(&self, key: &str, reason: &str) -> Failure {
        Failure::Fatal(format!("{}: {key} {reason}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"sections":{"A_CONFIG":{"PORT":"25","USE_TLS":"TRUE","NAME":{"parts":["a",1]}}},
        "events":{"E":{"QOS":1,"RETAIN":true,"QUERY":{"template":["x ",""],"placeholders":["topic"]},"BODY":"b"}}}"#;

    #[test]
    fn settings_are_read_in_the_forms_that_a_definition_may_have() {
        let configuration = Configuration::parse(TEXT).unwrap();
        let section = configuration.section("A_CONFIG");
        assert_eq!(
            (section.number("PORT"), section.is("USE_TLS"), section.is("NONE")),
            (Some(25), true, false)
        );
        assert_eq!(section.text("NAME").unwrap().as_deref(), Some("a1"));
        assert_eq!(section.text("NONE").unwrap(), None);
        assert!(
            matches!(section.needed("HOST"), Err(Failure::Fatal(reason)) if reason == "A_CONFIG needs HOST")
        );
        let event = configuration.events().next().unwrap();
        assert_eq!((event.name(), event.publishing()), ("E", (QoS::AtLeastOnce, true)));
        assert_eq!(event.template("QUERY").unwrap().placeholders(), ["topic"]);
        assert_eq!(event.template("BODY"), Some(Template::plain("BODY", "b")));
        assert_eq!(configuration.mappings().count(), 0);
        assert!(matches!(Configuration::parse("{"), Err(Failure::Fatal(_))));
    }
}
