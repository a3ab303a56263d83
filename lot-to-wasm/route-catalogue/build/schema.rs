//! JSON Schema of the settings of a type, for forms.
//!
//! Its members are those of the configuration that a guest is opened with. JSON Schema has no
//! common keyword for a key that may replace another, so the descriptions mention it.

use serde_json::{Map, Value as Json, json};

use super::form::{KeyForm, KindForm, MappingForm, PurposeForm, SectionForm, TypeForm};

/// Shortest period of a mapping, in milliseconds: routes reference §5.1.
const PERIOD_MS_MIN: i64 = 10;

/// Returns the schema of a type with these further sections.
pub(crate) fn schema(kind: &TypeForm, common: &[SectionForm]) -> Json {
    let mut properties = Map::new();
    let sections: Vec<&SectionForm> = kind.sections.iter().chain(common).collect();
    let of_section = |section: &&SectionForm| (section.name.clone(), block(&section.keys, Map::new()));
    let required: Vec<&str> =
        sections.iter().filter(|section| section.required).map(|section| section.name.as_str()).collect();
    let of_sections = object(sections.iter().map(of_section).collect(), &required);
    properties.insert("sections".to_owned(), of_sections);
    if let Some(event) = &kind.event {
        let of_event = block(&event.keys, Map::new());
        properties.insert("events".to_owned(), by_name("An event, ADD EVENT", of_event));
    }
    if let Some(mapping) = &kind.mapping {
        let of_mapping = mapping_schema(mapping);
        properties.insert("mappings".to_owned(), by_name("A mapping, ADD MAPPING", of_mapping));
    }
    json!({ "title": kind.name, "type": "object", "properties": properties })
}

fn mapping_schema(mapping: &MappingForm) -> Json {
    let mut more = Map::new();
    if let Some(keys) = &mapping.tag {
        let every = "Period in milliseconds, EVERY";
        more.insert(
            "EVERY_MS".to_owned(),
            json!({ "type": "integer", "minimum": PERIOD_MS_MIN, "default": 1_000, "description": every }),
        );
        more.insert("tags".to_owned(), by_name("A tag, ADD TAG", block(keys, Map::new())));
    }
    block(&mapping.keys, more)
}

fn block(keys: &[KeyForm], mut more: Map<String, Json>) -> Json {
    more.extend(keys.iter().map(|key| (key.name.clone(), of_key(key))));
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name.as_str()).collect();
    object(more, &required)
}

fn object(properties: Map<String, Json>, required: &[&str]) -> Json {
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

fn of_key(key: &KeyForm) -> Json {
    let mut schema = of_value(key);
    let mut described: Vec<String> = Vec::new();
    described.extend(meaning(key.kind).map(str::to_owned));
    if !key.unless.is_empty() {
        described.push(format!("needed without {}", key.unless.join(" and ")));
    }
    if !key.also.is_empty() {
        described.push(format!("also {}", key.also.join(", ")));
    }
    described.extend(match key.purpose {
        None => None,
        Some(PurposeForm::Confirms) => Some("says what the type says, and is only checked".to_owned()),
        Some(PurposeForm::Tells) => Some("for people, nothing is done with it".to_owned()),
    });
    described.extend(key.unread.as_ref().map(|reason| format!("nothing reads it: {reason}")));
    if !described.is_empty() {
        schema["description"] = described.join("; ").into();
    }
    if let Some(default) = &key.default {
        schema["default"] = default.clone();
    }
    schema
}

/// An object whose members have names of the author's.
fn by_name(description: &str, of_each: Json) -> Json {
    json!({ "type": "object", "description": description, "additionalProperties": of_each })
}

fn of_value(key: &KeyForm) -> Json {
    match key.kind {
        Some(KindForm::Int | KindForm::Port) => {
            let mut schema = json!({ "type": "integer", "minimum": key.min });
            if let Some(most) = key.max {
                schema["maximum"] = most.into();
            }
            schema
        }
        Some(KindForm::Number) => json!({ "type": "number" }),
        Some(KindForm::Bool) => json!({ "type": "boolean" }),
        Some(KindForm::Words) => json!({ "enum": key.words }),
        Some(KindForm::Character) => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
        Some(_) | None => json!({ "type": "string" }),
    }
}

/// Returns a description of the texts that a kind of value takes.
fn meaning(kind: Option<KindForm>) -> Option<&'static str> {
    match kind? {
        KindForm::Url => Some("an address with http:// or https://"),
        KindForm::Folder => Some("a path on a disk of the broker's machine"),
        KindForm::MongoAddress => Some("an address with mongodb://"),
        KindForm::Filter => Some("a topic filter"),
        KindForm::Topic => Some("a topic; may have placeholders"),
        KindForm::Rewritten => {
            Some("a topic; may have the wildcards of the filter that it is rewritten from")
        }
        KindForm::Template => Some("a text; may have placeholders"),
        KindForm::OfTopic => Some("a text; may have {topic} and {topic.N}"),
        KindForm::Text
        | KindForm::Int
        | KindForm::Port
        | KindForm::Number
        | KindForm::Bool
        | KindForm::Words
        | KindForm::Character => None,
    }
}
