//! Configuration of an asset, by the schema that its package gives: checked, its defaults, without
//! secrets, and as a help text.
//!
//! Of a package for routes it is a part of the configuration that `open` gets: settings of sections
//! that the text of a route need not say, and may say otherwise.

use std::fmt::Write as _;

use lot_to_wasm::masked_passwords;
use serde_json::{Map, Value as Json};

use super::schema;

/// Text in place of a secret.
pub(crate) const MASK: &str = "****";

/// Parts of names of settings that hold secrets, however their words are joined.
const SECRET_NAMES: [&str; 7] =
    ["APIKEY", "CLIENTKEY", "PASSPHRASE", "PASSWORD", "PRIVATEKEY", "SECRET", "TOKEN"];

/// Schema of packages that say nothing of their configuration.
pub const ANYTHING: &str = "{}";

/// Checks a configuration and completes a whole one with defaults. With `is_part`, more of it is
/// stored elsewhere.
///
/// # Errors
/// The faults of the configuration or of the schema.
pub fn checked(schema: &str, configuration: Json, is_part: bool) -> Result<Json, String> {
    let looked = match is_part {
        true => schema::checked_part(schema, configuration),
        false => schema::checked(schema, configuration),
    };
    looked.map_err(|reason| reason.to_string())
}

/// Returns the faults of a configuration, one by one; empty if it is valid.
pub fn problems(schema: &str, configuration: Json, is_part: bool) -> Vec<String> {
    let looked = match is_part {
        true => schema::checked_part(schema, configuration),
        false => schema::checked(schema, configuration),
    };
    match looked.err() {
        None => Vec::new(),
        Some(schema::SchemaError::Settings(problems)) => problems,
        Some(unusable) => vec![unusable.to_string()],
    }
}

/// A place within a configuration, as problems begin with it.
pub fn place(path: &[String]) -> String {
    schema::place(path)
}

/// Reads a schema.
///
/// # Errors
/// When it is not JSON, or promises what is not checked.
pub fn schema_of(text: &str) -> Result<Json, String> {
    schema::read(text).map_err(|reason| reason.to_string())
}

/// Configuration of defaults alone; `null` where the schema has none.
pub fn defaults(schema: &Json) -> Json {
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    let properties = schema["properties"].as_object().into_iter().flatten();
    let members: Map<String, Json> = properties
        .map(|(name, property)| (name.clone(), defaults(property)))
        .filter(|(_, default)| !default.is_null())
        .collect();
    if members.is_empty() { Json::Null } else { members.into() }
}

/// Whether a setting holds a secret: the schema says `writeOnly`, or its name does.
fn is_secret(name: &str, schema: &Json) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let upper = letters.map(|letter| letter.to_ascii_uppercase()).collect::<String>();
    schema["writeOnly"] == Json::Bool(true) || SECRET_NAMES.iter().any(|part| upper.contains(part))
}

/// Schema of a member.
fn below<'a>(schema: &'a Json, name: &str) -> &'a Json {
    let property = &schema["properties"][name];
    if property.is_null() { &schema["additionalProperties"] } else { property }
}

/// Puts a mask in the place of secrets. One that is a reference to a secret says its name only, and
/// stays.
pub(crate) fn mask(schema: &Json, configuration: &mut Json) {
    each_secret(schema, configuration, &mut |value, _| *value = MASK.into(), None);
}

/// A configuration with a mask in the place of secrets, by the text of its schema, which may be
/// empty; of passwords within other texts, such as connection strings, too.
pub fn masked(schema: &str, configuration: &Json) -> Json {
    let mut shown = configuration.clone();
    mask(&schema_of(schema).unwrap_or_default(), &mut shown);
    mask_within(&mut shown);
    shown
}

fn mask_within(configuration: &mut Json) {
    match configuration {
        Json::String(text) => *text = masked_passwords(text).into_owned(),
        Json::Array(items) => items.iter_mut().for_each(mask_within),
        Json::Object(members) => members.values_mut().for_each(mask_within),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Puts texts of before in the place of those that are the same but for masks within them.
fn unmask_within(configuration: &mut Json, before: Option<&Json>) {
    match configuration {
        Json::String(text) => {
            if let Some(Json::String(before)) = before
                && text.contains(MASK)
                && masked_passwords(before) == *text
            {
                text.clone_from(before);
            }
        }
        Json::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                unmask_within(item, before.and_then(|before| before.get(at)));
            }
        }
        Json::Object(members) => {
            for (name, member) in members {
                unmask_within(member, before.and_then(|before| before.get(name)));
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Puts what a configuration had before in the place of masks, so that one can be read, changed and
/// saved again.
pub fn unmask(schema: &Json, configuration: &mut Json, before: Option<&Json>) {
    let put_back = &mut |value: &mut Json, before: Option<&Json>| {
        if let Some(before) = before.filter(|_| *value == MASK) {
            *value = before.clone();
        }
    };
    each_secret(schema, configuration, put_back, before);
    unmask_within(configuration, before);
}

fn each_secret(
    schema: &Json,
    configuration: &mut Json,
    change: &mut dyn FnMut(&mut Json, Option<&Json>),
    before: Option<&Json>,
) {
    match configuration {
        Json::Object(members) => {
            for (name, member) in members {
                let (schema, before) = (below(schema, name), before.and_then(|before| before.get(name)));
                let is_reference = member.get("secret").is_some();
                match is_secret(name, schema) && !member.is_null() && !is_reference {
                    true => change(member, before),
                    false if is_reference => {}
                    false => each_secret(schema, member, change, before),
                }
            }
        }
        Json::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                each_secret(&schema["items"], item, change, before.and_then(|before| before.get(at)));
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Lays the sections of an asset's configuration under those that a route says itself: a setting of
/// the route wins.
pub(super) fn laid_under(mut configuration: Json, of_asset: Option<&str>) -> Json {
    let of_asset: Option<Json> = of_asset.and_then(|text| serde_json::from_str(text).ok());
    let sections = of_asset.as_ref().and_then(|of_asset| of_asset["sections"].as_object());
    for (name, section) in sections.into_iter().flatten() {
        let Some(settings) = section.as_object() else { continue };
        let said = &mut configuration["sections"][name.as_str()];
        if said.is_null() {
            *said = Map::new().into();
        }
        for (setting, value) in settings {
            if let Some(said) = said.as_object_mut() {
                said.entry(setting.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    configuration
}

/// Text that says what a configuration may hold, a line for each setting.
pub fn help(schema: &Json) -> String {
    let mut text = String::new();
    if let Some(description) = schema["description"].as_str() {
        let _ = writeln!(text, "{description}");
    }
    lines(schema, "", &mut text);
    text
}

fn lines(schema: &Json, above: &str, text: &mut String) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        line(&path, property, required.contains(&name.as_str()), text);
        lines(property, &path, text);
    }
    let further = &schema["additionalProperties"];
    if further.is_object() {
        let path = if above.is_empty() { "<name>".to_owned() } else { format!("{above}.<name>") };
        lines(further, &path, text);
    }
}

fn line(path: &str, property: &Json, is_required: bool, text: &mut String) {
    let kind = match &property["type"] {
        Json::String(kind) => kind.clone(),
        Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" or "),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => "any".to_owned(),
    };
    let _ = write!(text, "{path}: {kind}");
    if let Some(words) = property["enum"].as_array() {
        let words: Vec<String> =
            words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
        let _ = write!(text, " ({})", words.join(", "));
    }
    for (keyword, what) in [("minimum", "from"), ("maximum", "to"), ("default", "default")] {
        if let Some(value) = property.get(keyword) {
            let _ = write!(text, ", {what} {value}");
        }
    }
    if is_required {
        text.push_str(", required");
    }
    if let Some(description) = property["description"].as_str() {
        let _ = write!(text, ": {description}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r#"{"description":"A line.","properties":{"sections":{"properties":{"LINE":{"required":["NAME"],"additionalProperties":false,
        "properties":{"NAME":{"type":"string","description":"its name"},"BAUD":{"type":"integer","default":9600,"minimum":300},"PIN":{"type":"string","writeOnly":true},
        "PASSWORD":{"type":"string"}}}}}}}"#;

    #[test]
    fn a_part_is_checked_and_not_completed() {
        let part = json!({"sections":{"LINE":{"BAUD":"1200"}}});
        assert_eq!(checked(SCHEMA, part, true).unwrap(), json!({"sections":{"LINE":{"BAUD":1200}}}));
        let whole = checked(SCHEMA, json!({"sections":{"LINE":{"NAME":"a"}}}), false).unwrap();
        assert_eq!(whole["sections"]["LINE"]["BAUD"], 9600);
        let wrong = checked(SCHEMA, json!({"sections":{"LINE":{"BAUT":1}}}), true).unwrap_err();
        assert_eq!(wrong, "LINE: BAUT is not known; did you mean BAUD?");
        assert!(
            checked(SCHEMA, json!({"sections":{"LINE":{}}}), false).unwrap_err().contains("NAME is missing")
        );
    }

    #[test]
    fn secrets_are_masked_and_come_back() {
        let schema = schema_of(SCHEMA).unwrap();
        let saved =
            json!({"sections":{"LINE":{"NAME":"a","PIN":"1234","PASSWORD":{"secret":"PW"}}},"password":7});
        let mut shown = saved.clone();
        mask(&schema, &mut shown);
        let expected = json!({"sections":{"LINE":{"NAME":"a","PIN":"****","PASSWORD":{"secret":"PW"}}},"password":"****"});
        assert_eq!(shown, expected);
        shown["sections"]["LINE"]["NAME"] = "b".into();
        unmask(&schema, &mut shown, Some(&saved));
        assert_eq!(
            (&shown["sections"]["LINE"]["PIN"], &shown["sections"]["LINE"]["NAME"]),
            (&"1234".into(), &"b".into())
        );
        assert_eq!(shown["password"], 7);
    }

    #[test]
    fn defaults_and_help_are_those_of_the_schema() {
        let schema = schema_of(SCHEMA).unwrap();
        assert_eq!(defaults(&schema), json!({"sections":{"LINE":{"BAUD":9600}}}));
        assert_eq!(defaults(&json!({})), Json::Null);
        let text = help(&schema);
        for line in [
            "A line.",
            "sections.LINE.NAME: string, required: its name",
            "sections.LINE.BAUD: integer, from 300, default 9600",
        ] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }

    #[test]
    fn a_schema_of_members_means_an_object() {
        for (schema, expected) in [
            (r#"{"properties":{"unit":{}}}"#, vec![schema::NO_OBJECT.to_owned()]),
            (r#"{"additionalProperties":false}"#, vec![schema::NO_OBJECT.to_owned()]),
            (r#"{"type":"array"}"#, Vec::new()),
            (ANYTHING, Vec::new()),
        ] {
            assert_eq!(problems(schema, serde_json::json!([1]), false), expected, "{schema}");
            assert_eq!(
                checked(schema, serde_json::json!([1]), false).is_err(),
                !expected.is_empty(),
                "{schema}"
            );
        }
    }

    #[test]
    fn settings_of_the_route_override_the_asset_configuration() {
        let said = json!({"sections":{"LINE":{"NAME":"of the route"}}});
        let laid = laid_under(said, Some(r#"{"sections":{"LINE":{"NAME":"x","BAUD":1},"MORE":{"A":1}}}"#));
        assert_eq!(laid, json!({"sections":{"LINE":{"NAME":"of the route","BAUD":1},"MORE":{"A":1}}}));
        assert_eq!(laid_under(json!({"sections":{}}), Some("0.5")), json!({"sections":{}}));
    }
}
