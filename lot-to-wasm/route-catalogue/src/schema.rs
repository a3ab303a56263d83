//! JSON Schema of the settings of a type, for forms and for the check when a route is opened.
//!
//! Its members are those of the configuration that a guest is opened with. JSON Schema has no
//! common keyword for a key that may replace another, so the descriptions mention it.

use serde_json::{Map, Value as Json, json};

use crate::COMMON;
use crate::module::OWN_SECTION;
use crate::route_type::{Key, KeyPurpose, Mapping, Need, RouteType, Section, ValueKind};

/// Shortest period of a mapping, in milliseconds: routes reference §5.1.
const PERIOD_MS_MIN: i64 = 10;

impl RouteType {
    /// Returns the schema of its settings. Of a module's type it refuses settings that are not
    /// described; of others the compiler reports them.
    #[must_use]
    pub fn schema(&self) -> Json {
        let writer = Writer { is_of_module: self.module.is_some() };
        let common: &[Section] = if writer.is_of_module { &[] } else { &COMMON };
        let mut properties = Map::new();
        let sections = self.sections.iter().filter(|section| section.name != OWN_SECTION);
        let sections: Vec<&Section> = sections.chain(common).collect();
        let of_section = |section: &&Section| (section.name.clone(), writer.block(&section.keys, Map::new()));
        let required: Vec<&str> = sections
            .iter()
            .filter(|section| section.is_required)
            .map(|section| section.name.as_str())
            .collect();
        let of_sections = writer.object(sections.iter().map(of_section).collect(), &required);
        properties.insert("sections".to_owned(), of_sections);
        if let Some(event) = &self.event {
            let of_event = writer.block(event, Map::new());
            properties.insert("events".to_owned(), by_name("An event, ADD EVENT", of_event));
        }
        if let Some(mapping) = &self.mapping {
            let of_mapping = writer.mapping(mapping);
            properties.insert("mappings".to_owned(), by_name("A mapping, ADD MAPPING", of_mapping));
        }
        json!({ "title": self.name, "type": "object", "properties": properties })
    }
}

/// Writer of a schema.
struct Writer {
    is_of_module: bool,
}

impl Writer {
    fn mapping(&self, mapping: &Mapping) -> Json {
        let mut more = Map::new();
        if let Some(keys) = &mapping.tag {
            let every = "Period in milliseconds, EVERY";
            more.insert(
                "EVERY_MS".to_owned(),
                json!({ "type": "integer", "minimum": PERIOD_MS_MIN, "default": 1_000, "description": every }),
            );
            more.insert("tags".to_owned(), by_name("A tag, ADD TAG", self.block(keys, Map::new())));
        }
        self.block(&mapping.keys, more)
    }

    fn block(&self, keys: &[Key], mut more: Map<String, Json>) -> Json {
        more.extend(keys.iter().map(|key| (key.name.clone(), self.key(key))));
        let needed = keys.iter().filter(|key| matches!(key.need, Need::Always));
        let required: Vec<&str> = needed.map(|key| key.name.as_str()).collect();
        self.object(more, &required)
    }

    fn object(&self, properties: Map<String, Json>, required: &[&str]) -> Json {
        let mut object = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            object["required"] = required.into();
        }
        if self.is_of_module {
            object["additionalProperties"] = false.into();
        }
        object
    }

    fn key(&self, key: &Key) -> Json {
        let mut schema = of_value(&key.value);
        let mut described: Vec<String> = Vec::new();
        described.extend(meaning(&key.value).map(str::to_owned));
        if let Need::Unless(others) = &key.need {
            described.push(format!("needed without {}", others.join(" and ")));
        }
        if !key.aliases.is_empty() {
            described.push(format!("also {}", key.aliases.join(", ")));
        }
        described.extend(match &key.purpose {
            KeyPurpose::Runs => None,
            KeyPurpose::Confirms => Some("says what the type says, and is only checked".to_owned()),
            KeyPurpose::Tells => Some("for people, nothing is done with it".to_owned()),
            KeyPurpose::Nothing(reason) => Some(format!("nothing reads it: {reason}")),
        });
        if !described.is_empty() {
            schema["description"] = described.join("; ").into();
        }
        if let Some(default) = &key.default {
            schema["default"] = of_default(&key.value, default);
        }
        // The names of our own secrets say it.
        if key.is_secret && self.is_of_module {
            schema["writeOnly"] = true.into();
        }
        schema
    }
}

/// An object whose members have names of the author's.
fn by_name(description: &str, of_each: Json) -> Json {
    json!({ "type": "object", "description": description, "additionalProperties": of_each })
}

/// Converts the text of a default, which is a value of its kind.
fn of_default(kind: &ValueKind, default: &str) -> Json {
    let is_plain = matches!(kind, ValueKind::Int(..) | ValueKind::Number | ValueKind::Bool);
    let plain = is_plain.then(|| serde_json::from_str(default).ok()).flatten();
    plain.unwrap_or_else(|| default.into())
}

fn of_value(kind: &ValueKind) -> Json {
    match kind {
        ValueKind::Int(least, most) => {
            let mut schema = json!({ "type": "integer", "minimum": least });
            if *most < i64::MAX {
                schema["maximum"] = (*most).into();
            }
            schema
        }
        ValueKind::Number => json!({ "type": "number" }),
        ValueKind::Bool => json!({ "type": "boolean" }),
        ValueKind::Words(words) => json!({ "enum": words }),
        ValueKind::Character => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
        ValueKind::Text
        | ValueKind::Url
        | ValueKind::Folder
        | ValueKind::MongoAddress
        | ValueKind::Filter
        | ValueKind::Topic
        | ValueKind::Rewritten
        | ValueKind::Template
        | ValueKind::OfTopic => json!({ "type": "string" }),
    }
}

/// Returns a description of the texts that a kind of value takes.
fn meaning(kind: &ValueKind) -> Option<&'static str> {
    match kind {
        ValueKind::Url => Some("an address with http:// or https://"),
        ValueKind::Folder => Some("a path on a disk of the broker's machine"),
        ValueKind::MongoAddress => Some("an address with mongodb://"),
        ValueKind::Filter => Some("a topic filter"),
        ValueKind::Topic => Some("a topic; may have placeholders"),
        ValueKind::Rewritten => {
            Some("a topic; may have the wildcards of the filter that it is rewritten from")
        }
        ValueKind::Template => Some("a text; may have placeholders"),
        ValueKind::OfTopic => Some("a text; may have {topic} and {topic.N}"),
        ValueKind::Text
        | ValueKind::Int(..)
        | ValueKind::Number
        | ValueKind::Bool
        | ValueKind::Words(_)
        | ValueKind::Character => None,
    }
}
