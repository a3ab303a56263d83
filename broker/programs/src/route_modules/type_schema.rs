//! Schema of the settings of a type of routes by two sources: the description of the type, and the
//! schema of its guest.

use serde_json::{Value as Json, json};

/// The schema of a type, by its canonical name and what its guest says.
pub fn of_type(kind: &str, of_guest: &Json) -> Json {
    let mut schema = lot_to_wasm::route_schema(kind).map_or_else(|| json!({}), |(_, schema)| schema);
    narrow(&mut schema, of_guest);
    schema
}

/// Narrows a schema by another one of the same values: what either refuses is refused.
pub(super) fn narrow(schema: &mut Json, by: &Json) {
    let (Json::Object(into), Json::Object(by)) = (schema, by) else { return };
    for (keyword, said) in by {
        let Some(known) = into.get_mut(keyword) else {
            into.insert(keyword.clone(), said.clone());
            continue;
        };
        match keyword.as_str() {
            "properties" => {
                for (name, property) in said.as_object().into_iter().flatten() {
                    match known.get_mut(name) {
                        Some(known) => narrow(known, property),
                        None => known[name] = property.clone(),
                    }
                }
            }
            "additionalProperties" | "items" => narrow(known, said),
            "required" => {
                let Json::Array(names) = known else { continue };
                let more = said.as_array().into_iter().flatten().filter(|name| !names.contains(name));
                let more: Vec<Json> = more.cloned().collect();
                names.extend(more);
            }
            "minimum" | "minLength" if said.as_f64() > known.as_f64() => *known = said.clone(),
            "maximum" | "maxLength" if said.as_f64() < known.as_f64() => *known = said.clone(),
            "enum" => {
                let is_among = |word: &Json| {
                    let is_it = |other: &Json| match (word.as_str(), other.as_str()) {
                        (Some(word), Some(other)) => word.eq_ignore_ascii_case(other),
                        _ => word == other,
                    };
                    said.as_array().is_some_and(|words| words.iter().any(is_it))
                };
                known.as_array_mut().into_iter().for_each(|words| words.retain(is_among));
            }
            "default" => *known = said.clone(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_schema_narrows_the_other() {
        let mut schema = json!({ "properties": { "a": { "type": "integer", "minimum": 0, "maximum": 9 }, "w": { "enum": ["A", "B"] } }, "required": ["a"] });
        let by = json!({ "properties": { "a": { "minimum": 1, "maximum": 10, "default": 3 }, "w": { "enum": ["b"] }, "m": {} }, "required": ["a", "m"] });
        narrow(&mut schema, &by);
        let narrowed = json!({ "properties": { "a": { "type": "integer", "minimum": 1, "maximum": 9, "default": 3 }, "w": { "enum": ["B"] }, "m": {} }, "required": ["a", "m"] });
        assert_eq!(schema, narrowed);
    }
}
