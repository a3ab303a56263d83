//! Expected actions of a guest for logins: an answer, or a request about clients, with the keys to
//! compare.

use std::fmt;

use jiff::Timestamp;
use lotmq_router::topic_filter_valid;
use toml::{Table, Value};

use super::deed::{NEVER, SeenDeed, insert_bytes, pairs, shown};
use crate::keys::{Keys, listed};
use crate::properties::UserPairs;

const ANSWERS: [&str; 4] = ["allow", "deny", "continue", "challenge"];

const PRINCIPAL_KEYS: [&str; 7] =
    ["username", "groups", "properties", "rules", "grants", "expires", "limits"];

const LIMIT_KEYS: [&str; 7] = [
    "session_expiry_seconds",
    "packet_bytes",
    "queued_messages",
    "queued_bytes",
    "messages_per_second",
    "subscriptions",
    "connections",
];

/// Expected action: keys and values as [`SeenDeed`] has them.
#[derive(Debug)]
pub(crate) struct ExpectedDeed(Table);

impl ExpectedDeed {
    /// Reads an expectation of this kind.
    pub(crate) fn read(keys: &mut Keys, kind: &str) -> Result<Self, String> {
        let mut table = Table::new();
        match kind {
            "answer" => read_answer(keys, &mut table)?,
            "revoke" => {
                table.insert(kind.to_owned(), selector(keys, kind)?);
                read_code(keys, &mut table)?;
                read_text(keys, "reason", &mut table)?;
            }
            _ => {
                table.insert(kind.to_owned(), selector(keys, kind)?);
                read_principal(keys, &mut table)?;
            }
        }
        Ok(Self(table))
    }

    /// Keys that are valid for the kind of the expected action.
    pub(crate) fn keys(&self, kind: &str) -> Vec<&'static [&'static str]> {
        let answer = self.0.get("answer").and_then(Value::as_str);
        match (kind, answer) {
            ("answer", Some("allow")) => {
                vec![&["answer", "client_id", "reason", "user", "data", "data_base64"], &PRINCIPAL_KEYS]
            }
            ("answer", Some("deny")) => {
                vec![&["answer", "client_id", "reason_code", "reason", "user", "log"]]
            }
            ("answer", Some("challenge")) => vec![&["answer", "client_id", "data", "data_base64"]],
            ("answer", _) => vec![&["answer", "client_id"]],
            ("revoke", _) => vec![&["revoke", "reason_code", "reason"]],
            _ => vec![&["update"], &PRINCIPAL_KEYS],
        }
    }

    /// The keys in which a deed is another one.
    pub(crate) fn differences(&self, deed: &SeenDeed) -> Vec<&str> {
        let differs = |(key, wanted): &(&String, &Value)| !fits(key, wanted, deed.0.get(*key));
        self.0.iter().filter(differs).map(|(key, _)| key.as_str()).collect()
    }
}

impl fmt::Display for ExpectedDeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

/// Whether a found value equals the expected one.
fn fits(key: &str, wanted: &Value, found: Option<&Value>) -> bool {
    let Some(found) = found else {
        // No text is like an empty one.
        return key == "reason" && wanted.as_str() == Some("");
    };
    match (key, wanted, found) {
        ("log", Value::String(part), Value::String(text)) => text.contains(part.as_str()),
        ("user" | "properties", Value::Table(names), Value::Array(pairs)) => {
            names.iter().all(|(name, values)| values_of(name, pairs) == *values)
        }
        ("grants", Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| is_within(wanted, found))
        }
        ("limits", wanted, found) => is_within(wanted, found),
        (_, wanted, found) => wanted == found,
    }
}

/// Whether all members of a table are those of another one.
fn is_within(wanted: &Value, found: &Value) -> bool {
    let (Value::Table(wanted), Value::Table(found)) = (wanted, found) else { return false };
    wanted.iter().all(|(key, value)| found.get(key) == Some(value))
}

/// The values of a name in their order.
fn values_of(name: &str, pairs: &[Value]) -> Value {
    let values = pairs.iter().filter_map(|pair| match pair.as_array().map(Vec::as_slice) {
        Some([found, value]) if found.as_str() == Some(name) => Some(value.clone()),
        _ => None,
    });
    Value::Array(values.collect())
}

fn read_answer(keys: &mut Keys, table: &mut Table) -> Result<(), String> {
    let answer = keys.text("answer")?;
    if !ANSWERS.contains(&&*answer) {
        return Err(format!("`answer` is one of {}, found `{answer}`", listed(&ANSWERS)));
    }
    read_text(keys, "client_id", table)?;
    if answer == "allow" {
        read_principal(keys, table)?;
    }
    if answer == "allow" || answer == "deny" {
        read_text(keys, "reason", table)?;
        read_pairs(keys, "user", table)?;
    }
    if answer == "deny" {
        read_code(keys, table)?;
        read_text(keys, "log", table)?;
    }
    if answer == "allow" || answer == "challenge" {
        keys.bytes(["data", "data_base64"])?.iter().for_each(|data| insert_bytes(data, table));
    }
    table.insert("answer".to_owned(), answer.into());
    Ok(())
}

fn read_principal(keys: &mut Keys, table: &mut Table) -> Result<(), String> {
    read_text(keys, "username", table)?;
    if keys.has("groups") {
        table.insert("groups".to_owned(), keys.texts("groups")?.into());
    }
    read_pairs(keys, "properties", table)?;
    if let Some(rules) = keys.boolean("rules")? {
        table.insert("rules".to_owned(), rules.into());
    }
    if keys.has("grants") {
        let grants =
            keys.tables("grants", "a grant")?.into_iter().map(grant).collect::<Result<Vec<_>, _>>()?;
        table.insert("grants".to_owned(), grants.into());
    }
    if let Some(expires) = keys.optional_text("expires")? {
        table.insert("expires".to_owned(), moment(&expires)?.into());
    }
    if let Some(keys) = keys.inner("limits", "`limits`")? {
        table.insert("limits".to_owned(), limits(keys)?.into());
    }
    Ok(())
}

fn moment(text: &str) -> Result<String, String> {
    if text == NEVER {
        return Ok(text.to_owned());
    }
    let time: Result<Timestamp, _> = text.parse();
    time.map(|time| time.to_string())
        .map_err(|_| format!("`expires` is a time as 2026-01-01T00:01:00Z, or `{NEVER}`, found `{text}`"))
}

fn grant(mut keys: Keys) -> Result<Value, String> {
    let effect = keys.first_of(&["allow", "deny"])?;
    let actions = keys.texts(effect)?;
    const ACTIONS: [&str; 2] = ["publish", "subscribe"];
    if let Some(wrong) = actions.iter().find(|action| !ACTIONS.contains(&action.as_str())) {
        return Err(format!("`{effect}` is a list of {}, found `{wrong}` in it", listed(&ACTIONS)));
    }
    // In the order in which failures list them.
    let actions: Vec<&str> =
        ACTIONS.into_iter().filter(|action| actions.iter().any(|named| named == action)).collect();
    let filter = keys.text("filter")?;
    topic_filter_valid(&filter).map_err(|error| format!("`{filter}` is no topic filter: {error}"))?;
    let mut table = Table::new();
    table.insert(effect.to_owned(), actions.into());
    table.insert("filter".to_owned(), filter.into());
    if let Some(qos) = keys.number("qos_max", 0..=2_u8)? {
        table.insert("qos_max".to_owned(), i64::from(qos).into());
    }
    if let Some(retain) = keys.boolean("retain")? {
        table.insert("retain".to_owned(), retain.into());
    }
    keys.finish(&[&[effect, "filter", "qos_max", "retain"]])?;
    Ok(Value::Table(table))
}

fn limits(mut keys: Keys) -> Result<Table, String> {
    let mut table = Table::new();
    for key in LIMIT_KEYS {
        if let Some(limit) = keys.number(key, 0..=i64::MAX)? {
            table.insert(key.to_owned(), limit.into());
        }
    }
    keys.finish(&[&LIMIT_KEYS])?;
    Ok(table)
}

fn selector(keys: &mut Keys, kind: &str) -> Result<Value, String> {
    let Some(mut keys) = keys.inner(kind, "whom it is about")? else { return Ok(Value::Table(Table::new())) };
    let key = keys.first_of(&["connection", "client_id", "username"])?;
    let value = match key {
        "connection" => keys.number(key, 1..=i64::MAX)?.unwrap_or_default().into(),
        key => keys.text(key)?.into(),
    };
    keys.finish(&[&[key]])?;
    Ok(Value::Table([(key.to_owned(), value)].into_iter().collect()))
}

fn read_code(keys: &mut Keys, table: &mut Table) -> Result<(), String> {
    if let Some(code) = keys.number("reason_code", 0x80..=u8::MAX)? {
        table.insert("reason_code".to_owned(), i64::from(code).into());
    }
    Ok(())
}

fn read_text(keys: &mut Keys, key: &str, table: &mut Table) -> Result<(), String> {
    keys.optional_text(key)?.into_iter().for_each(|text| drop(table.insert(key.to_owned(), text.into())));
    Ok(())
}

fn read_pairs(keys: &mut Keys, key: &str, table: &mut Table) -> Result<(), String> {
    if !keys.has(key) {
        return Ok(());
    }
    let wanted = match keys.pairs(key)? {
        UserPairs::InOrder(all) => pairs(all.into_iter()),
        UserPairs::ByName(names) => {
            Value::Table(names.into_iter().map(|(name, values)| (name, values.into())).collect())
        }
    };
    table.insert(key.to_owned(), wanted);
    Ok(())
}
