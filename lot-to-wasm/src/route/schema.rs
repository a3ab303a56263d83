//! JSON Schema of the settings of a type of routes, for forms instead of an editor. It is made from
//! the tables of [`super`], so that both always agree.
//!
//! Its members are those of the configuration that a guest is opened with. JSON Schema has no
//! common keyword for a key that may replace another, so the descriptions mention it.

use serde_json::{Map, Value as Json, json};

use super::key::{Key, KeyPurpose, Need, Section, ValueKind};
use super::{COMMON, Mapping, RouteType, find};

/// Shortest period of a mapping, in milliseconds: routes reference §5.1.
const PERIOD_MS_MIN: i64 = 10;

/// The schema of a type of route by name or alias, in any case, behind the canonical name of the
/// type. `None` for a type that does not exist.
#[must_use]
pub fn route_schema(name: &str) -> Option<(&'static str, Json)> {
    let kind = find(name)?;
    Some((kind.name, schema(kind)))
}

fn schema(kind: &RouteType) -> Json {
    let mut properties = Map::new();
    properties.insert("sections".to_owned(), sections(kind));
    if let Some(keys) = kind.event {
        properties.insert("events".to_owned(), by_name("An event, ADD EVENT", block(keys, Map::new())));
    }
    if let Some(mapping) = &kind.mapping {
        properties.insert("mappings".to_owned(), by_name("A mapping, ADD MAPPING", of_mapping(mapping)));
    }
    json!({ "title": kind.name, "type": "object", "properties": properties })
}

fn sections(kind: &RouteType) -> Json {
    let all = || kind.sections.iter().chain(COMMON);
    let of = |section: &Section| (section.name.to_owned(), block(section.keys, Map::new()));
    let required: Vec<&str> =
        all().filter(|section| section.is_required).map(|section| section.name).collect();
    object(all().map(of).collect(), &required)
}

fn of_mapping(mapping: &Mapping) -> Json {
    let mut more = Map::new();
    if let Some(keys) = mapping.tag {
        let every = "Period in milliseconds, EVERY";
        more.insert(
            "EVERY_MS".to_owned(),
            json!({ "type": "integer", "minimum": PERIOD_MS_MIN, "default": 1_000, "description": every }),
        );
        more.insert("tags".to_owned(), by_name("A tag, ADD TAG", block(keys, Map::new())));
    }
    block(mapping.keys, more)
}

/// An object whose members have names of the author's.
fn by_name(description: &str, of_each: Json) -> Json {
    json!({ "type": "object", "description": description, "additionalProperties": of_each })
}

fn block(keys: &[Key], mut more: Map<String, Json>) -> Json {
    more.extend(keys.iter().map(|key| (key.name.to_owned(), of_key(key))));
    let is_always = |key: &&Key| matches!(key.need, Need::Always);
    object(more, &keys.iter().filter(is_always).map(|key| key.name).collect::<Vec<_>>())
}

fn object(properties: Map<String, Json>, required: &[&str]) -> Json {
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

fn of_key(key: &Key) -> Json {
    let mut schema = of_value(key.value);
    let mut told: Vec<String> = Vec::new();
    told.extend(meaning(key.value).map(str::to_owned));
    if let Need::Unless(others) = key.need {
        told.push(format!("needed without {}", others.join(" and ")));
    }
    if !key.aliases.is_empty() {
        told.push(format!("also {}", key.aliases.join(", ")));
    }
    told.extend(match key.purpose {
        KeyPurpose::Runs => None,
        KeyPurpose::Confirms => Some("says what the type says, and is only checked".to_owned()),
        KeyPurpose::Tells => Some("for people, nothing is done with it".to_owned()),
        KeyPurpose::Nothing(reason) => Some(format!("nothing reads it: {reason}")),
    });
    if !told.is_empty() {
        schema["description"] = told.join("; ").into();
    }
    if let Some(default) = key.default {
        schema["default"] = value(key.value, default);
    }
    schema
}

fn of_value(kind: ValueKind) -> Json {
    match kind {
        ValueKind::Int(least, i64::MAX) => json!({ "type": "integer", "minimum": least }),
        ValueKind::Int(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
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
fn meaning(kind: ValueKind) -> Option<&'static str> {
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

/// A default as JSON.
fn value(kind: ValueKind, text: &str) -> Json {
    match kind {
        ValueKind::Int(..) => text.parse::<i64>().map_or(Json::Null, Json::from),
        // Those that there are are whole ones.
        ValueKind::Number => text.parse::<i64>().map_or(Json::Null, Json::from),
        ValueKind::Bool => Json::Bool(text == "true"),
        ValueKind::Words(_)
        | ValueKind::Text
        | ValueKind::Character
        | ValueKind::Url
        | ValueKind::Folder
        | ValueKind::MongoAddress
        | ValueKind::Filter
        | ValueKind::Topic
        | ValueKind::Rewritten
        | ValueKind::Template
        | ValueKind::OfTopic => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::all;

    /// Keys of a block with their schema.
    type Said = (&'static [Key], Json);

    /// All blocks of a type.
    fn blocks(kind: &'static RouteType) -> Vec<Said> {
        let (name, schema) = route_schema(kind.name).unwrap();
        assert_eq!(name, kind.name);
        let members = &schema["properties"];
        let of_section = |section: &'static Section| {
            (section.keys, members["sections"]["properties"][section.name].clone())
        };
        let mut blocks: Vec<Said> = kind.sections.iter().chain(COMMON).map(of_section).collect();
        blocks.extend(kind.event.map(|keys| (keys, members["events"]["additionalProperties"].clone())));
        if let Some(mapping) = &kind.mapping {
            let said = &members["mappings"]["additionalProperties"];
            blocks.push((mapping.keys, said.clone()));
            let tags = &said["properties"]["tags"]["additionalProperties"];
            blocks.extend(mapping.tag.map(|keys| (keys, tags.clone())));
        }
        blocks
    }

    #[test]
    fn schemas_have_every_key_with_its_kind_range_default_and_need() {
        for kind in all() {
            for (keys, said) in blocks(kind) {
                for key in keys {
                    let of_key = &said["properties"][key.name];
                    assert!(of_key.is_object(), "{} lacks {}", kind.name, key.name);
                    let is_required =
                        said["required"].as_array().is_some_and(|all| all.contains(&key.name.into()));
                    assert_eq!(is_required, matches!(key.need, Need::Always), "{}: {}", kind.name, key.name);
                    let has_range = matches!(key.value, ValueKind::Int(..));
                    assert_eq!(of_key["minimum"].is_i64(), has_range, "{}: {}", kind.name, key.name);
                    assert_eq!(
                        of_key["default"].is_null(),
                        key.default.is_none(),
                        "{}: {}",
                        kind.name,
                        key.name
                    );
                }
                let more = said["properties"].as_object().unwrap().keys();
                let more = more.filter(|name| !keys.iter().any(|key| key.name == **name));
                assert!(
                    more.clone().all(|name| ["EVERY_MS", "tags"].contains(&&**name)),
                    "{}: {more:?}",
                    kind.name
                );
            }
        }
        assert!(route_schema("s7").is_some_and(|(name, _)| name == "SIEMENS_S7"));
        assert_eq!(route_schema("NO_SUCH_DB"), None);
    }

    #[test]
    fn defaults_are_values_of_their_keys() {
        let keys = all().flat_map(blocks).flat_map(|(keys, _)| keys);
        for (key, default) in keys.filter_map(|key| Some((key, key.default?))) {
            let is_one = match key.value {
                ValueKind::Int(least, most) => {
                    default.parse::<i64>().is_ok_and(|number| (least..=most).contains(&number))
                }
                ValueKind::Number => default.parse::<i64>().is_ok(),
                ValueKind::Bool => ["true", "false"].contains(&default),
                ValueKind::Words(words) => words.contains(&default),
                ValueKind::Character => default.chars().count() == 1,
                ValueKind::Text
                | ValueKind::Url
                | ValueKind::Folder
                | ValueKind::MongoAddress
                | ValueKind::Filter
                | ValueKind::Topic
                | ValueKind::Rewritten
                | ValueKind::Template
                | ValueKind::OfTopic => true,
            };
            assert!(is_one, "{}: {default}", key.name);
        }
    }
}
