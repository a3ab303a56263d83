//! Checked content of a Route: its type, settings, events and mappings with their canonical names
//! (LoT reference §11, routes reference).
//!
//! A Route has no code of its own: the guest of its type runs it, with this as its configuration.
//! Not here: which types there are and what fits them (`lot-to-wasm`), and what a type does (its
//! guest).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Port of a broker that names none.
const MQTT_PORT: u16 = 1883;

/// Returns whether a host is this machine on any network: `localhost`, or an address of the
/// loopback.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// A checked `DEFINE ROUTE`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteFacts {
    /// Its type by its canonical name: `MQTT_BRIDGE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `ADD …_CONFIG`, in source order; the names are canonical.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<RouteBlock>,
    /// `ADD EVENT`, in source order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<RouteBlock>,
    /// `ADD MAPPING`, in source order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<RouteBlock>,
    /// Routes that are handed every message which this one forwards (OD-52).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<RouteStore>,
}

impl RouteFacts {
    /// The section of this canonical name.
    pub fn section(&self, name: &str) -> Option<&RouteBlock> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The address that `MQTT_CONFIG` names for the broker of the route; `None` where it names
    /// none, or this broker by `SELF`.
    pub fn broker_address(&self) -> Option<&RouteValue> {
        let address = self.section("MQTT_CONFIG")?.settings.get("BROKER_ADDRESS")?;
        let is_self = matches!(address, RouteValue::Text(text) if text.trim().eq_ignore_ascii_case("SELF"));
        (!is_self).then_some(address)
    }

    /// The port beside that address.
    pub fn broker_port(&self) -> Option<u16> {
        match self.section("MQTT_CONFIG")?.settings.get("BROKER_PORT") {
            None => Some(MQTT_PORT),
            Some(RouteValue::Int(port)) => u16::try_from(*port).ok(),
            Some(_) => None,
        }
    }

    /// Consumers of messages, each with its Topic Filter. Events and mappings use `SOURCE_TOPIC`,
    /// tags `DESTINATION_TOPIC` unless they are not `WRITABLE` (routes reference §5.2, §6).
    pub fn takers(&self) -> impl Iterator<Item = (Taker<'_>, &str)> {
        let events = self.events.iter().map(|event| (Taker::Event(&event.name), event.text("SOURCE_TOPIC")));
        let sides = self.own_sides();
        let whole = self.mappings.iter().filter(|mapping| mapping.tags.is_empty());
        let whole = whole.flat_map(move |mapping| {
            mapping.taken_from(sides).map(move |key| (Taker::Mapping(&mapping.name), mapping.text(key)))
        });
        let tags =
            self.mappings.iter().flat_map(|mapping| mapping.tags.iter().map(move |tag| (mapping, tag)));
        let tags = tags.filter(|(_, tag)| tag.settings.get("WRITABLE") != Some(&RouteValue::Bool(false)));
        let tags = tags.map(|(mapping, tag)| {
            (Taker::Tag { mapping: &mapping.name, tag: &tag.name }, tag.text("DESTINATION_TOPIC"))
        });
        events.chain(whole).chain(tags).filter_map(|(taker, filter)| Some((taker, filter?)))
    }

    /// Topics, as they are written, of answers of events and of values of tags, to which it
    /// publishes.
    pub fn answered(&self) -> impl Iterator<Item = &RouteValue> {
        let answers = self.events.iter().filter_map(|event| event.settings.get("DESTINATION_TOPIC"));
        let tags = self.mappings.iter().flat_map(|mapping| &mapping.tags);
        answers.chain(tags.filter_map(|tag| tag.settings.get("SOURCE_TOPIC")))
    }

    /// Topics of this broker to which mappings without tags publish incoming messages.
    pub fn brought(&self) -> impl Iterator<Item = &RouteValue> {
        let sides = self.own_sides();
        let whole = self.mappings.iter().filter(|mapping| mapping.tags.is_empty());
        whole.flat_map(move |mapping| mapping.brought_to(sides).into_iter().flatten())
    }

    /// Whether this broker is the source and the destination of mappings. It is the source, except
    /// in bridges, whose sections say it (routes reference §6).
    fn own_sides(&self) -> [bool; 2] {
        if self.kind != "MQTT_BRIDGE" {
            return [true, false];
        }
        ["SOURCE_CONFIG", "DESTINATION_CONFIG"]
            .map(|name| self.section(name).is_some_and(RouteBlock::is_self))
    }

    /// The mapping of this name.
    pub fn mapping(&self, name: &str) -> Option<&RouteBlock> {
        self.mappings.iter().find(|mapping| mapping.name == name)
    }

    /// The event of this name.
    pub fn event(&self, name: &str) -> Option<&RouteBlock> {
        self.events.iter().find(|event| event.name == name)
    }
}

/// Consumer of messages of a topic: the part of a route that a delivery is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taker<'a> {
    /// The event of this name.
    Event(&'a str),
    /// The mapping of this name, which has no tags.
    Mapping(&'a str),
    /// A tag, which is written, of a mapping.
    Tag {
        /// Name of the mapping.
        mapping: &'a str,
        /// Name of the tag.
        tag: &'a str,
    },
}

/// A section, an event, a mapping or a tag.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteBlock {
    /// Its name.
    pub name: String,
    /// `WITH EVERY`, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// `WITH KEY value`, by canonical keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, RouteValue>,
    /// `ADD TAG` of a mapping, in source order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<RouteBlock>,
}

impl RouteBlock {
    /// Whether a mapping carries messages in this direction, `out` or `in`: by `DIRECTION`, without
    /// it `out`.
    pub fn goes(&self, direction: &str) -> bool {
        let said = self.text("DIRECTION").unwrap_or("out");
        said == direction || said == "both"
    }

    /// Whether a section of a bridge means this broker.
    pub(crate) fn is_self(&self) -> bool {
        ["BROKER", "BROKER_ADDRESS"]
            .iter()
            .any(|key| self.text(key).is_some_and(|said| said.eq_ignore_ascii_case("SELF")))
    }

    /// Keys of the filters by which a mapping without tags reads from this broker, which is on
    /// these sides of it.
    fn taken_from(
        &self,
        [is_source, is_destination]: [bool; 2],
    ) -> impl Iterator<Item = &'static str> + use<> {
        let there = (is_source && self.goes("out")).then_some("SOURCE_TOPIC");
        let is_both = self.goes("out") && self.settings.contains_key("DESTINATION_TOPIC");
        let back = (is_destination && self.goes("in")).then_some(if is_both {
            "DESTINATION_TOPIC"
        } else {
            "SOURCE_TOPIC"
        });
        there.into_iter().chain(back)
    }

    /// The settings by which a mapping without tags publishes in this broker, which is these sides
    /// of it: `DESTINATION_TOPIC`, or `SOURCE_TOPIC` if there is none and on the way back of
    /// messages that go both ways.
    fn brought_to(&self, [is_source, is_destination]: [bool; 2]) -> [Option<&RouteValue>; 2] {
        let source = self.settings.get("SOURCE_TOPIC");
        let destination = self.settings.get("DESTINATION_TOPIC").or(source);
        let there = destination.filter(|_| is_destination && self.goes("out"));
        let back = if self.goes("out") { source } else { destination };
        [there, back.filter(|_| is_source && self.goes("in"))]
    }

    /// Returns the first placeholder of an event that takes the level of a wildcard of its
    /// `SOURCE_TOPIC`, without its braces: it has no value when the event is triggered by name.
    pub fn filled_by_wildcard(&self) -> Option<String> {
        let filter = self.text("SOURCE_TOPIC")?;
        let templates = self.settings.values().filter_map(|value| match value {
            RouteValue::Template(parts) => Some(parts),
            RouteValue::Text(_)
            | RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_)
            | RouteValue::Parts(_) => None,
        });
        templates.flatten().find(|part| part.is_of_wildcard(filter))?.placeholder()
    }

    /// A setting that is a text known at compile time.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.settings.get(key)? {
            RouteValue::Text(text) => Some(text),
            RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_)
            | RouteValue::Parts(_)
            | RouteValue::Template(_) => None,
        }
    }
}

/// The value of a setting. Literals have the type of their key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteValue {
    /// A text; of words that a key takes, the canonical one.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Another number.
    Double(f64),
    /// A number by the digits that it is written with, where its usual ones are others: `1.10`. It
    /// is of a key that takes anything.
    Digits(String),
    /// Yes or no.
    Bool(bool),
    /// Parts that are joined when the route starts.
    Parts(Vec<RoutePart>),
    /// A text with placeholders that are filled for each message.
    Template(Vec<TemplatePart>),
}

impl RouteValue {
    /// Narrowest Topic Filter of all topics that it may become as one: a placeholder whose value
    /// holds no `/` is within its level, any other one may be several.
    pub fn topics(&self) -> Option<String> {
        let parts = match self {
            RouteValue::Text(text) => return Some(text.clone()),
            RouteValue::Template(parts) => parts,
            RouteValue::Int(_)
            | RouteValue::Double(_)
            | RouteValue::Digits(_)
            | RouteValue::Bool(_)
            | RouteValue::Parts(_) => return None,
        };
        const WITHIN: char = '\u{1}';
        const SEVERAL: char = '\u{2}';
        let text: String = parts
            .iter()
            .map(|part| match part {
                TemplatePart::Text(text) => text.clone(),
                TemplatePart::TopicLevel(_)
                | TemplatePart::Timestamp
                | TemplatePart::UnixSeconds
                | TemplatePart::UnixMilliseconds
                | TemplatePart::JoinedUuid => WITHIN.to_string(),
                TemplatePart::Payload
                | TemplatePart::Json(_)
                | TemplatePart::Csv(_)
                | TemplatePart::Topic
                | TemplatePart::Env(_)
                | TemplatePart::Secret(_)
                | TemplatePart::Field(_)
                | TemplatePart::JoinedEnv(_) => SEVERAL.to_string(),
            })
            .collect();
        let mut levels = Vec::new();
        for level in text.split('/') {
            if level.contains(SEVERAL) {
                levels.push("#");
                break;
            }
            levels.push(if level.contains(WITHIN) { "+" } else { level });
        }
        Some(levels.join("/"))
    }
}

/// One operand of a value that is known when the route starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RoutePart {
    /// As it is.
    Text(String),
    /// `GET ENV`.
    Env(String),
    /// `GET SECRET`.
    Secret(String),
    /// `RANDOM UUID`.
    RandomUuid,
}

/// One piece of a text with placeholders, routes reference §2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TemplatePart {
    /// As it is.
    Text(String),
    /// `{payload}`, `{value}`.
    Payload,
    /// `{payload.json.a.b}`; empty for the whole document.
    Json(String),
    /// `{payload.csv.N}`, from 1.
    Csv(u32),
    /// `{topic}`.
    Topic,
    /// `{topic.N}`, from 1.
    TopicLevel(u32),
    /// `{timestamp}`: ISO 8601, UTC.
    Timestamp,
    /// `{timestamp.unix}`.
    UnixSeconds,
    /// `{timestamp.unix_ms}`.
    UnixMilliseconds,
    /// `{env.NAME}`.
    Env(String),
    /// `{secret.NAME}`.
    Secret(String),
    /// `{name}`: a top-level key of the JSON payload, else the text as it stands, braces included.
    Field(String),
    /// `GET ENV` that is joined to the text by `+`: part of the text, as its value is when the
    /// route starts.
    JoinedEnv(String),
    /// `RANDOM UUID` that is joined to the text by `+`: part of the text, another one for each
    /// start of the route.
    JoinedUuid,
}

impl TemplatePart {
    /// The text that is written; `None` for everything else.
    pub fn text(&self) -> Option<&str> {
        if let TemplatePart::Text(text) = self { Some(text) } else { None }
    }

    /// Whether it takes the level that a wildcard of a Topic Filter matches.
    pub fn is_of_wildcard(&self, filter: &str) -> bool {
        match self {
            TemplatePart::Topic => filter.contains(['+', '#']),
            TemplatePart::TopicLevel(level) => {
                let place = usize::try_from(*level).unwrap_or(usize::MAX).saturating_sub(1);
                filter
                    .split('/')
                    .nth(place)
                    .map_or_else(|| filter.ends_with('#'), |level| matches!(level, "+" | "#"))
            }
            TemplatePart::Text(_)
            | TemplatePart::Payload
            | TemplatePart::Json(_)
            | TemplatePart::Csv(_)
            | TemplatePart::Timestamp
            | TemplatePart::UnixSeconds
            | TemplatePart::UnixMilliseconds
            | TemplatePart::Env(_)
            | TemplatePart::Secret(_)
            | TemplatePart::Field(_)
            | TemplatePart::JoinedEnv(_)
            | TemplatePart::JoinedUuid => false,
        }
    }

    /// Returns the placeholder without its braces, in its canonical spelling; `None` for one that
    /// no message fills.
    pub fn placeholder(&self) -> Option<String> {
        Some(match self {
            TemplatePart::Text(_) | TemplatePart::JoinedEnv(_) | TemplatePart::JoinedUuid => return None,
            TemplatePart::Payload => "payload".to_owned(),
            TemplatePart::Json(path) if path.is_empty() => "payload.json".to_owned(),
            TemplatePart::Json(path) => format!("payload.json.{path}"),
            TemplatePart::Csv(column) => format!("payload.csv.{column}"),
            TemplatePart::Topic => "topic".to_owned(),
            TemplatePart::TopicLevel(level) => format!("topic.{level}"),
            TemplatePart::Timestamp => "timestamp".to_owned(),
            TemplatePart::UnixSeconds => "timestamp.unix".to_owned(),
            TemplatePart::UnixMilliseconds => "timestamp.unix_ms".to_owned(),
            TemplatePart::Env(name) => format!("env.{name}"),
            TemplatePart::Secret(name) => format!("secret.{name}"),
            TemplatePart::Field(name) => name.clone(),
        })
    }
}

/// `STORE Route WITH TABLE_NAME "t"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStore {
    /// The storage route.
    pub route: String,
    /// Its table, index or collection.
    pub table: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_with_placeholders_stands_for_a_filter() {
        let text = |text: &str| TemplatePart::Text(text.to_owned());
        let key = || TemplatePart::Field("key".to_owned());
        for (parts, expected) in [
            (vec![text("a/b")], "a/b"),
            (vec![text("a/"), key()], "a/#"),
            (vec![text("a/b"), key(), text("/c")], "a/#"),
            (vec![text("a/"), TemplatePart::TopicLevel(2), text("/c")], "a/+/c"),
            (vec![text("a/at-"), TemplatePart::UnixSeconds, text("/"), TemplatePart::Payload], "a/+/#"),
            (vec![TemplatePart::Topic], "#"),
            (vec![text("a/"), TemplatePart::JoinedEnv("SITE".to_owned()), text("/b")], "a/#"),
            (vec![text("a/"), TemplatePart::JoinedUuid, text("/b")], "a/+/b"),
        ] {
            assert_eq!(RouteValue::Template(parts).topics().as_deref(), Some(expected));
        }
        assert_eq!(RouteValue::Text("x".to_owned()).topics().as_deref(), Some("x"));
        assert_eq!(RouteValue::Int(1).topics(), None);
    }

    fn block(name: &str, settings: &[(&str, &str)]) -> RouteBlock {
        let text = |(key, value): &(&str, &str)| ((*key).to_owned(), RouteValue::Text((*value).to_owned()));
        RouteBlock {
            name: name.to_owned(),
            settings: settings.iter().map(text).collect(),
            ..RouteBlock::default()
        }
    }

    /// Returns the topics that a mapping from `s` to `d` reads in this broker, and those it
    /// publishes to.
    fn sides(
        kind: &str,
        [source, destination]: [(&str, &str); 2],
        direction: &str,
    ) -> (Vec<String>, Vec<String>) {
        let mapping =
            block("M", &[("SOURCE_TOPIC", "s"), ("DESTINATION_TOPIC", "d"), ("DIRECTION", direction)]);
        let route = RouteFacts {
            kind: kind.to_owned(),
            sections: vec![block("SOURCE_CONFIG", &[source]), block("DESTINATION_CONFIG", &[destination])],
            events: Vec::new(),
            mappings: vec![mapping],
            stores: Vec::new(),
        };
        let text = |value: &RouteValue| format!("{value:?}").replace(['"', '(', ')'], "").replace("Text", "");
        (route.takers().map(|(_, filter)| filter.to_owned()).collect(), route.brought().map(text).collect())
    }

    #[test]
    fn a_mapping_takes_and_brings_at_the_sides_that_are_this_broker() {
        let (own, far) = (("BROKER", "SELF"), ("BROKER_ADDRESS", "far"));
        let named = ("BROKER_ADDRESS", "self");
        for (kind, of, direction, taken, brought) in [
            ("MQTT_BRIDGE", [own, far], "out", &["s"][..], &[][..]),
            ("MQTT_BRIDGE", [own, far], "in", &[], &["d"]),
            ("MQTT_BRIDGE", [own, far], "both", &["s"], &["s"]),
            ("MQTT_BRIDGE", [far, named], "out", &[], &["d"]),
            ("MQTT_BRIDGE", [far, own], "in", &["s"], &[]),
            ("MQTT_BRIDGE", [far, own], "both", &["d"], &["d"]),
            ("MQTT_BRIDGE", [far, far], "both", &[], &[]),
            ("WASM", [far, far], "both", &["s"], &["s"]),
        ] {
            let found = sides(kind, of, direction);
            assert_eq!(
                (&found.0[..], &found.1[..]),
                (&owned(taken)[..], &owned(brought)[..]),
                "{of:?} {direction}"
            );
        }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
}
