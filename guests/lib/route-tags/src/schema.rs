//! Schema of the settings that a connector with tags knows, in JSON Schema.

use serde_json::{Value as Json, json};

/// Returns the schema with the connector's own settings: for its section, and additional ones for
/// mappings and tags.
pub fn schema(section: &str, of_section: &Json, of_mapping: &Json, of_tag: &Json) -> String {
    let mut tag = json!({
        "ADDRESS": { "type": "string" },
        "DATA_TYPE": { "type": "string" },
        "SCALING": { "type": "number" },
        "OFFSET": { "type": "number" },
        "DEADBAND": { "type": "number", "minimum": 0 },
        "DECIMAL_PLACES": { "type": "integer", "minimum": 0, "maximum": 15 },
        "PUBLISH_MODE": { "enum": ["ALWAYS", "ON_CHANGE"] },
        "LENGTH": { "type": "integer", "minimum": 1 },
        "WRITABLE": { "type": "boolean" },
        "QOS": { "type": "integer", "minimum": 0, "maximum": 2 },
        "RETAIN": { "type": "boolean" }
    });
    add(&mut tag, of_tag);
    let tags = json!({ "additionalProperties": { "properties": tag, "required": ["ADDRESS", "DATA_TYPE"] } });
    let mut mapping = json!({ "EVERY_MS": { "type": "integer", "minimum": 10 }, "tags": tags });
    add(&mut mapping, of_mapping);
    json!({ "properties": {
        "sections": { "required": [section], "properties": { section: { "properties": of_section } } },
        "mappings": { "additionalProperties": { "properties": mapping } }
    } })
    .to_string()
}

fn add(to: &mut Json, more: &Json) {
    if let (Some(to), Some(more)) = (to.as_object_mut(), more.as_object()) {
        to.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}
