//! Schema of a route's configuration: what the guest says of the settings that it knows, in JSON
//! Schema, and checking them by it before the guest is opened.
//!
//! A few keywords of the standard are known ([`KEYWORDS`]) and others refused, so that nothing is
//! promised and not checked. Beyond the standard: a text is taken for the number or truth value
//! that it is where one is wanted, as values of the environment are texts; words of an `enum` are
//! found in any case; what comes with each message, or is a secret, is a text of which nothing more
//! is known. Not here: settings that are the host's, which every section may have.

use std::borrow::Cow;
use std::collections::HashMap;

use lot_nearest::nearest_name;
use lot_patterns::{CompiledPattern, PatternError};
use lot_route_catalogue::module::{OF_HOST, OWN_SECTION};
use serde_json::{Map, Value as Json};

use crate::limits::{ROUTE_SCHEMA_BYTES_MAX, ROUTE_SCHEMA_PROBLEMS_MAX, ROUTE_SCHEMA_WORK_MAX};

/// Keywords that are checked.
const KEYWORDS: &[&str] = &[
    "additionalProperties",
    "anyOf",
    "default",
    "enum",
    "items",
    "maxLength",
    "maximum",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
];

/// Types that a value may have.
const TYPES: &[&str] = &["array", "boolean", "integer", "null", "number", "object", "string"];

/// Keywords that are for people.
const ANNOTATIONS: &[&str] =
    &["$comment", "$id", "$schema", "deprecated", "description", "examples", "title", "writeOnly"];

/// Sections that are for the host.
const SECTIONS_OF_HOST: &[&str] = &["MQTT_CONFIG", "ROUTE_CONFIG", OWN_SECTION];

/// Whether a section is for the host.
pub(super) fn is_of_host(section: &str) -> bool {
    SECTIONS_OF_HOST.contains(&section)
}

/// Name of `EVERY` in a configuration, where it is a number.
const EVERY: &str = "EVERY_MS";

/// Settings of an event that are for the host.
const OF_EVENT: &[&str] = &["EVERY_MS", "SOURCE_TOPIC"];

/// Settings of a mapping that need not be in a schema.
const OF_MAPPING: &[&str] = &["DIRECTION", "EVERY_MS", "SOURCE_TOPIC"];

/// Settings of a tag that need not be in a schema.
const OF_TAG: &[&str] = &["DESTINATION_TOPIC", "QOS", "RETAIN", "SOURCE_TOPIC", "WRITABLE"];

/// Reason why a route cannot be opened with its settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("the schema of its guest is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("the schema of its guest is longer than {ROUTE_SCHEMA_BYTES_MAX} bytes: {bytes}")]
    TooLong { bytes: usize },
    #[error("the schema of its guest has '{keyword}'{place}, which is none of {known}", place = below(place), known = KEYWORDS.join(", "))]
    Keyword { place: String, keyword: String },
    #[error("the schema of its guest has '{keyword}'{place}, which is not {expected}", place = below(place))]
    Malformed { place: String, keyword: String, expected: Cow<'static, str> },
    #[error("the schema of its guest{place} is neither an object nor true or false", place = below(place))]
    NoSchema { place: String },
    #[error("the schema of its guest has a default{place} that it refuses: {problems}", place = below(place))]
    Default { place: String, problems: String },
    #[error("{}", .0.join("; "))]
    Settings(Vec<String>),
}

/// Checks a configuration by a schema, and completes it: with defaults, and numbers in place of
/// their texts.
pub(super) fn checked(schema: &str, configuration: Json) -> Result<Json, SchemaError> {
    looked_through(schema, configuration, false)
}

/// Checks a part of a configuration, what is missing from which stands elsewhere, and completes
/// nothing.
pub(super) fn checked_part(schema: &str, configuration: Json) -> Result<Json, SchemaError> {
    looked_through(schema, configuration, true)
}

/// Reads a schema.
///
/// # Errors
/// It is no JSON, too long, or has what is not checked here, and would say nothing.
pub(crate) fn read(schema: &str) -> Result<Json, SchemaError> {
    if schema.len() > ROUTE_SCHEMA_BYTES_MAX {
        return Err(SchemaError::TooLong { bytes: schema.len() });
    }
    let schema: Json = serde_json::from_str(schema).map_err(SchemaError::NotJson)?;
    understand(&schema, "")?;
    Ok(schema)
}

/// Error text for a configuration that is no JSON object.
pub(super) const NO_OBJECT: &str =
    "the configuration is no JSON object, and its schema describes the members of one";

/// Whether a schema describes the members of an object and says nothing of what else may be there:
/// who writes so means an object.
fn means_object(schema: &Json) -> bool {
    let has = |key: &str| schema.get(key).is_some();
    !has("type") && ["properties", "required", "additionalProperties"].into_iter().any(has)
}

fn looked_through(schema: &str, mut configuration: Json, is_part: bool) -> Result<Json, SchemaError> {
    let schema = read(schema)?;
    if means_object(&schema) && !configuration.is_object() {
        return Err(SchemaError::Settings(vec![NO_OBJECT.to_owned()]));
    }
    let mut check = Check::new(is_part);
    check.value(&schema, &mut configuration);
    match check.problems.is_empty() {
        true => Ok(with_plain_numbers(configuration)),
        false => Err(SchemaError::Settings(check.problems)),
    }
}

/// Member of an object that stands for a number until its schema is looked at: the digits that it
/// was written with.
const DIGITS: &str = "digits";

/// A number by the digits that it was written with, which are those of a text where the schema
/// wants one.
pub(super) fn with_digits(text: &str) -> Json {
    serde_json::json!({ DIGITS: text })
}

/// The digits of such a number.
fn digits(value: &Json) -> Option<&str> {
    match value {
        Json::Object(members) if members.len() == 1 => members.get(DIGITS)?.as_str(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            None
        }
    }
}

/// A configuration without such numbers: what no schema has made a text is the number.
pub(super) fn with_plain_numbers(configuration: Json) -> Json {
    if let Some(number) = digits(&configuration).and_then(number_of) {
        return number;
    }
    match configuration {
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name, with_plain_numbers(value))).collect())
        }
        Json::Array(items) => items.into_iter().map(with_plain_numbers).collect(),
        plain @ (Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_)) => plain,
    }
}

/// The number that a text is.
fn number_of(text: &str) -> Option<Json> {
    let whole = text.parse::<i64>().ok().map(Json::from);
    whole.or_else(|| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Json::from))
}

/// Checks that all keywords of a schema, and of those within it, are known and mean something.
/// `place` is its JSON Pointer.
fn understand(schema: &Json, place: &str) -> Result<(), SchemaError> {
    let members = match schema {
        Json::Object(members) => members,
        Json::Bool(_) => return Ok(()),
        Json::Null | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            return Err(SchemaError::NoSchema { place: place.to_owned() });
        }
    };
    for (keyword, value) in members {
        if ANNOTATIONS.contains(&&**keyword) {
            continue;
        }
        let Some(expected) = malformed(keyword, value) else {
            return Err(SchemaError::Keyword { place: place.to_owned(), keyword: keyword.clone() });
        };
        if let Some(expected) = expected {
            let (place, keyword) = (place.to_owned(), keyword.clone());
            return Err(SchemaError::Malformed { place, keyword, expected });
        }
        match keyword.as_str() {
            "properties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    understand(property, &format!("{place}/properties/{name}"))?;
                }
            }
            "additionalProperties" | "items" => understand(value, &format!("{place}/{keyword}"))?,
            "anyOf" => {
                for (at, alternative) in value.as_array().into_iter().flatten().enumerate() {
                    understand(alternative, &format!("{place}/anyOf/{at}"))?;
                }
            }
            _ => {}
        }
    }
    match members.get("default") {
        Some(default) => understand_default(schema, default, place),
        None => Ok(()),
    }
}

/// Checks that a default is what its schema takes: else no route could be opened.
fn understand_default(schema: &Json, default: &Json, place: &str) -> Result<(), SchemaError> {
    let mut check = Check::new(true);
    check.value(schema, &mut default.clone());
    if check.problems.is_empty() {
        return Ok(());
    }
    Err(SchemaError::Default { place: place.to_owned(), problems: check.problems.join("; ") })
}

/// Returns the expected form of a checked keyword whose value is malformed. `None` for a keyword
/// that is not checked.
fn malformed(keyword: &str, value: &Json) -> Option<Option<Cow<'static, str>>> {
    let is_type = |name: &Json| name.as_str().is_some_and(|name| TYPES.contains(&name));
    let all = |is_so: &dyn Fn(&Json) -> bool| value.as_array().is_some_and(|items| items.iter().all(is_so));
    let (is_well, expected) = match keyword {
        "additionalProperties" | "items" | "default" => (true, ""),
        "properties" => (value.is_object(), "an object of schemas"),
        "anyOf" => (value.as_array().is_some_and(|each| !each.is_empty()), "a list of schemas, one at least"),
        "required" => (all(&Json::is_string), "a list of names"),
        "enum" => (value.as_array().is_some_and(|words| !words.is_empty()), "a list of values, one at least"),
        "type" => {
            let is_list = value.as_array().is_some_and(|names| !names.is_empty()) && all(&is_type);
            let expected =
                "one of array, boolean, integer, null, number, object and string, or a list of them";
            (is_type(value) || is_list, expected)
        }
        "minimum" | "maximum" => (value.is_number(), "a number"),
        "minLength" | "maxLength" => (value.is_u64(), "a whole number from 0"),
        "pattern" => match value.as_str().map(pattern) {
            Some(Ok(_)) => (true, ""),
            Some(Err(error)) => return Some(Some(format!("{PATTERN_WORDS}: {error}").into())),
            None => (false, PATTERN_WORDS),
        },
        _ => return None,
    };
    Some((!is_well).then_some(expected.into()))
}

/// Words for a place within a schema.
fn below(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!(" at {place}") }
}

/// Check that is under way.
struct Check {
    /// Names from the root to the value that is looked at.
    path: Vec<String>,
    problems: Vec<String>,
    /// Whether more stands elsewhere.
    is_part: bool,
    /// Patterns that were looked for, each compiled once; `None` for one that is not understood.
    patterns: HashMap<String, Option<CompiledPattern>>,
    /// Properties that were looked at, and bytes of defaults that were filled in.
    work: usize,
}

impl Check {
    fn new(is_part: bool) -> Self {
        Self { path: Vec::new(), problems: Vec::new(), is_part, patterns: HashMap::new(), work: 0 }
    }

    /// Whether nothing more is looked at.
    fn is_over(&self) -> bool {
        self.problems.len() >= ROUTE_SCHEMA_PROBLEMS_MAX || self.work > ROUTE_SCHEMA_WORK_MAX
    }

    /// Counts work; the first that is too much is a problem.
    fn count(&mut self, work: usize) {
        let was_over = self.is_over();
        self.work = self.work.saturating_add(work);
        if self.work > ROUTE_SCHEMA_WORK_MAX && !was_over {
            self.problems.push(TOO_MUCH_WORK.to_owned());
        }
    }

    fn value(&mut self, schema: &Json, value: &mut Json) {
        if self.is_over() {
            return;
        }
        let types = types(schema);
        // A number that only an alternative says the type of keeps its digits for it.
        if !types.is_empty() || schema["anyOf"].is_null() {
            settle_digits(&types, value);
        }
        if *schema == Json::Bool(false) {
            self.wrong(value, "known here", false);
            return;
        }
        if is_filled_later(value) {
            if !types.is_empty() && types.iter().all(|name| matches!(*name, "object" | "array" | "null")) {
                self.wrong(value, &expected(schema), is_hidden(schema));
            }
            return;
        }
        if !types.is_empty() {
            coerce(&types, value);
        }
        match_enum(schema, value);
        if !is_of(&types, value) || !self.has_pattern(schema, value) || !is_within(schema, value) {
            self.wrong(value, &expected(schema), is_hidden(schema));
            return;
        }
        match value {
            Json::Object(members) => self.members(schema, members),
            Json::Array(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    self.below(at.to_string(), |check| check.value(&schema["items"], item));
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
        if let Some(alternatives) = schema["anyOf"].as_array() {
            self.any_of(alternatives, value);
        }
    }

    /// Takes the first alternative that fits; where none does, the first thing that each of them
    /// lacks is a problem.
    fn any_of(&mut self, alternatives: &[Json], value: &mut Json) {
        let mut lacks = Vec::new();
        for alternative in alternatives {
            self.work = self.work.saturating_add(bytes_of(value));
            if self.is_over() {
                break;
            }
            let mut tried = value.clone();
            let before = std::mem::take(&mut self.problems);
            self.value(alternative, &mut tried);
            let Some(first) = std::mem::replace(&mut self.problems, before).into_iter().next() else {
                *value = tried;
                return;
            };
            if lacks.len() < ALTERNATIVES_TOLD_MAX
                && first.len() <= ALTERNATIVE_TOLD_BYTES_MAX
                && !lacks.contains(&first)
            {
                lacks.push(first);
            }
        }
        if self.work > ROUTE_SCHEMA_WORK_MAX {
            // An alternative that was not tried may fit.
            lacks = vec![TOO_MUCH_WORK.to_owned()];
        }
        if lacks.is_empty() {
            lacks.push(format!("{}no alternative fits", self.place()));
        }
        self.problems.push(lacks.join(", or "));
    }

    fn has_pattern(&mut self, schema: &Json, value: &Json) -> bool {
        let (Some(text), Json::String(value)) = (schema["pattern"].as_str(), value) else { return true };
        let known = self.patterns.entry(text.to_owned()).or_insert_with(|| pattern(text).ok());
        known.as_ref().is_some_and(|pattern| pattern.regex.is_match(value).unwrap_or(false))
    }

    fn members(&mut self, schema: &Json, members: &mut Map<String, Json>) {
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        self.count(properties.len());
        for (name, property) in properties {
            if !self.is_part
                && !self.is_over()
                && !members.contains_key(name)
                && let Some(default) = property.get("default")
            {
                self.count(name.len() + bytes_of(default));
                members.insert(name.clone(), default.clone());
            }
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        for name in required {
            if self.is_part || self.is_over() || members.contains_key(name) {
                continue;
            }
            let told = format!("{}{} is missing", self.place(), if name == EVERY { "EVERY" } else { name });
            self.problems.push(told);
        }
        let further = &schema["additionalProperties"];
        let of_host = self.of_host();
        for (name, member) in members {
            if self.is_over() {
                return;
            }
            match properties.get(name) {
                Some(property) => self.below(name.clone(), |check| check.value(property, member)),
                None if of_host.contains(&&**name) => {}
                None if *further == Json::Bool(false) => self.unknown(name, properties),
                None => self.below(name.clone(), |check| check.value(further, member)),
            }
        }
    }

    fn below(&mut self, name: String, look: impl FnOnce(&mut Self)) {
        self.path.push(name);
        look(self);
        self.path.pop();
    }

    fn unknown(&mut self, name: &str, properties: &Map<String, Json>) {
        let near = nearest_name(name, properties.keys());
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let told = format!("{}{name} is not known{hint}", self.place());
        self.problems.push(told);
    }

    /// Notes that a value is not what is expected; one that is hidden, by `writeOnly`, is not
    /// shown.
    fn wrong(&mut self, value: &Json, expected: &str, is_hidden: bool) {
        /// Characters of a value that are shown.
        const SHOWN_MAX: usize = 40;
        let (place, name) = match self.path.split_last() {
            None => (String::new(), "the configuration"),
            Some((name, above)) => (place(above), name.as_str()),
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let shown: String = text.chars().take(SHOWN_MAX).collect();
        let dots = if shown.len() < text.len() { "…" } else { "" };
        let told = match name {
            // As people write it, who say a unit.
            EVERY => format!("{place}EVERY is {shown}{dots} ms, which is not {expected}, in milliseconds"),
            _ if is_hidden => format!("{place}{name} is a secret that is not {expected}"),
            _ => format!("{place}{name} is '{shown}{dots}', which is not {expected}"),
        };
        self.problems.push(told);
    }

    fn place(&self) -> String {
        place(&self.path)
    }

    /// Names at this place that are the host's, and which no schema needs to have.
    fn of_host(&self) -> &'static [&'static str] {
        match &self.path[..] {
            [] => &["type", "sections", "events", "mappings"],
            [all] if all == "sections" => SECTIONS_OF_HOST,
            [all, _] if all == "sections" => OF_HOST,
            [all, _] if all == "events" => OF_EVENT,
            [all, _] if all == "mappings" => OF_MAPPING,
            [all, _, tags, _] if all == "mappings" && tags == "tags" => OF_TAG,
            _ => &[],
        }
    }
}

/// A place as people name it, such as `event Save: `.
pub(super) fn place(path: &[String]) -> String {
    let names: Vec<String> = match path {
        [] => return String::new(),
        [all] => vec![all.clone()],
        [all, section, rest @ ..] if all == "sections" => {
            std::iter::once(section.clone()).chain(rest.iter().cloned()).collect()
        }
        [all, name, rest @ ..] => {
            let kind = all.strip_suffix('s').unwrap_or(all);
            std::iter::once(format!("{kind} {name}")).chain(rest.iter().cloned()).collect()
        }
    };
    format!("{}: ", names.join(", "))
}

fn types(schema: &Json) -> Vec<&str> {
    match &schema["type"] {
        Json::String(name) => vec![name],
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => Vec::new(),
    }
}

/// Whether a schema is that of a value which nobody is shown.
fn is_hidden(schema: &Json) -> bool {
    schema["writeOnly"] == Json::Bool(true)
}

/// Whether a value is a secret, or comes with each message.
fn is_filled_later(value: &Json) -> bool {
    let Json::Object(members) = value else { return false };
    ["secret", "parts", "template"].iter().any(|name| members.contains_key(*name))
}

/// Whether nothing but a text will do for a number.
fn wants_text(types: &[&str]) -> bool {
    types.contains(&"string") && !types.contains(&"number") && !types.contains(&"integer")
}

/// Takes a number by its digits for a text where that is wanted, and else for the number.
fn settle_digits(types: &[&str], value: &mut Json) {
    let settled = match digits(value) {
        Some(text) if wants_text(types) => Some(text.into()),
        Some(text) => number_of(text),
        None => None,
    };
    settled.into_iter().for_each(|settled| *value = settled);
}

/// Takes a text for what it says where that is wanted, and what is said for a text.
fn coerce(types: &[&str], value: &mut Json) {
    let wants = |name| types.contains(&name);
    let said = match value {
        Json::String(text) if !wants("string") => {
            let number = || text.parse::<i64>().ok().map(Json::from);
            let double = || number_of(text);
            let truth = || match text.to_ascii_lowercase().as_str() {
                "true" => Some(Json::Bool(true)),
                "false" => Some(Json::Bool(false)),
                _ => None,
            };
            (wants("integer") || wants("number"))
                .then(number)
                .flatten()
                .or_else(|| wants("number").then(double).flatten())
                .or_else(|| wants("boolean").then(truth).flatten())
        }
        Json::Number(_) if wants_text(types) => Some(value.to_string().into()),
        Json::Bool(_) if wants("string") && !wants("boolean") => Some(value.to_string().into()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            None
        }
    };
    if let Some(said) = said {
        *value = said;
    }
}

fn is_of(types: &[&str], value: &Json) -> bool {
    types.is_empty()
        || types.iter().any(|name| match *name {
            "integer" => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0)
            }
            "number" => value.is_number(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "object" => value.is_object(),
            "array" => value.is_array(),
            "null" => value.is_null(),
            _ => false,
        })
}

/// Writes a word of an `enum` as it stands there.
fn match_enum(schema: &Json, value: &mut Json) {
    let Json::String(text) = value else { return };
    let words = schema["enum"].as_array().into_iter().flatten().filter_map(Json::as_str);
    if let Some(word) = words.into_iter().find(|word| word.eq_ignore_ascii_case(text)) {
        *text = word.to_owned();
    }
}

/// Problem of a schema that would be looked at for too long.
const TOO_MUCH_WORK: &str =
    "the schema of its guest has too many properties, alternatives and defaults for so many settings";

/// Alternatives of which it is told what they lack.
const ALTERNATIVES_TOLD_MAX: usize = 8;

/// Bytes of what an alternative lacks that are told: what is longer is made of alternatives itself.
const ALTERNATIVE_TOLD_BYTES_MAX: usize = 1_000;

/// Description of a valid pattern.
const PATTERN_WORDS: &str = "a regular expression that can be searched";

/// Steps that a search for a pattern may take: of a text of settings it takes few.
const PATTERN_STEPS_MAX: usize = 100_000;

fn pattern(text: &str) -> Result<CompiledPattern, PatternError> {
    lot_patterns::compile(text, PATTERN_STEPS_MAX)
}

/// Bytes that a value takes, about.
fn bytes_of(value: &Json) -> usize {
    /// Bytes of a value besides its texts and its members.
    const VALUE_BYTES: usize = 32;
    let within: usize = match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(bytes_of).sum(),
        Json::Object(members) => members.iter().map(|(name, value)| name.len() + bytes_of(value)).sum(),
    };
    VALUE_BYTES + within
}

fn is_within(schema: &Json, value: &Json) -> bool {
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return false;
    }
    let bound = |name: &str| schema[name].as_f64();
    let size = match value {
        Json::Number(number) => number.as_f64().map(|number| (number, "minimum", "maximum")),
        // A length that a float does not hold is above every bound.
        Json::String(text) => Some((text.chars().count() as f64, "minLength", "maxLength")),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    };
    size.is_none_or(|(size, least, most)| {
        bound(least).is_none_or(|least| size >= least) && bound(most).is_none_or(|most| size <= most)
    })
}

/// Describes the values that a schema accepts, for the user.
fn expected(schema: &Json) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> =
            words.iter().map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect();
        return format!("one of {}", words.join(", "));
    }
    let kinds: Vec<&str> = types(schema)
        .into_iter()
        .map(|name| match name {
            "integer" => "a whole number",
            "number" => "a number",
            "string" => "a text",
            "boolean" => "true or false",
            "object" => "a record",
            "array" => "a list",
            "null" => "nothing",
            _ => "of a type that is known",
        })
        .collect();
    let limit = |name: &str, words: &str| match &schema[name] {
        Json::Number(number) => format!(" {words} {number}"),
        Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => String::new(),
    };
    let bounds = [
        limit("minimum", "from"),
        limit("maximum", "to"),
        limit("minLength", "of at least"),
        limit("maxLength", "of at most"),
    ];
    let pattern = schema["pattern"].as_str().map(|pattern| {
        let example = schema["examples"][0].as_str().map(|example| format!(", such as '{example}'"));
        let meaning = schema["description"].as_str().map(|meaning| format!(" ({meaning})"));
        format!(" that matches {pattern}{}{}", example.unwrap_or_default(), meaning.unwrap_or_default())
    });
    let kinds = if kinds.is_empty() && pattern.is_some() { vec!["a text"] } else { kinds };
    format!("{}{}{}", kinds.join(" or "), bounds.concat(), pattern.unwrap_or_default())
}

#[cfg(test)]
mod tests;
