//! What a Route says: its type, settings, events and mappings, checked and with their canonical names (LoT reference §11, routes reference).
//!
//! A Route has no code of its own: the guest of its type runs it, with this as its configuration. Not here: which types there are and what
//! fits them (`lot-to-wasm`), and what a type does (its guest).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

    /// What takes messages, each with its Topic Filter: events and mappings of `SOURCE_TOPIC`, tags of `DESTINATION_TOPIC` unless they are not `WRITABLE`
    /// (routes reference §5.2, §6).
    pub fn takers(&self) -> impl Iterator<Item = (Taker<'_>, &str)> {
        let events = self.events.iter().map(|event| (Taker::Event(&event.name), event.text("SOURCE_TOPIC")));
        let whole = self.mappings.iter().filter(|mapping| mapping.tags.is_empty() && mapping.goes("out"));
        let whole = whole.map(|mapping| (Taker::Mapping(&mapping.name), mapping.text("SOURCE_TOPIC")));
        let tags =
            self.mappings.iter().flat_map(|mapping| mapping.tags.iter().map(move |tag| (mapping, tag)));
        let tags = tags.filter(|(_, tag)| tag.settings.get("WRITABLE") != Some(&RouteValue::Bool(false)));
        let tags = tags.map(|(mapping, tag)| {
            (Taker::Tag { mapping: &mapping.name, tag: &tag.name }, tag.text("DESTINATION_TOPIC"))
        });
        events.chain(whole).chain(tags).filter_map(|(taker, filter)| Some((taker, filter?)))
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

/// What takes messages of a topic: whoever a delivery is for.
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
    /// Whether a mapping carries messages in this direction, `out` or `in`: by `DIRECTION`, without it `out`.
    fn goes(&self, direction: &str) -> bool {
        let said = self.text("DIRECTION").unwrap_or("out");
        said == direction || said == "both"
    }

    /// The setting that says where a mapping without tags publishes what it brings: `DESTINATION_TOPIC`, or `SOURCE_TOPIC` if there is none or messages
    /// go both ways. `None` when it brings nothing.
    pub fn brings_to(&self) -> Option<&RouteValue> {
        let source = self.settings.get("SOURCE_TOPIC").filter(|_| self.tags.is_empty() && self.goes("in"))?;
        let destination = self.settings.get("DESTINATION_TOPIC").filter(|_| !self.goes("out"));
        Some(destination.unwrap_or(source))
    }

    /// A setting that is a text known at compile time.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.settings.get(key)? {
            RouteValue::Text(text) => Some(text),
            RouteValue::Int(_)
            | RouteValue::Double(_)
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
    /// Yes or no.
    Bool(bool),
    /// Parts that are joined when the route starts.
    Parts(Vec<RoutePart>),
    /// A text with placeholders that are filled for each message.
    Template(Vec<TemplatePart>),
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
}

impl TemplatePart {
    /// The text; `None` for a placeholder.
    pub fn text(&self) -> Option<&str> {
        if let TemplatePart::Text(text) = self { Some(text) } else { None }
    }

    /// The placeholder without its braces, in its canonical spelling; `None` for text.
    pub fn placeholder(&self) -> Option<String> {
        Some(match self {
            TemplatePart::Text(_) => return None,
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
