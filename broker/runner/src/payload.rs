//! Payloads in a file with cases.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// A text, or a value that is written as JSON.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) struct Payload(toml::Value);

impl TryFrom<toml::Value> for Payload {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        is_json(&value)?;
        Ok(Self(value))
    }
}

/// Refuses what TOML has and JSON has not.
pub(crate) fn is_json(value: &toml::Value) -> Result<(), String> {
    match value {
        toml::Value::Datetime(time) => {
            Err(format!("write the time {time} in quotes, as the program sees it"))
        }
        toml::Value::Float(number) if !number.is_finite() => Err(format!("{number} is no number of JSON")),
        toml::Value::Table(members) => members.values().try_for_each(is_json),
        toml::Value::Array(elements) => elements.iter().try_for_each(is_json),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_) => Ok(()),
    }
}

impl Payload {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Whether a payload says this: of a text the same bytes, of a number, a table or a list the same JSON, where numbers are the same by value.
    pub(crate) fn is_like(&self, found: &[u8]) -> bool {
        match &self.0 {
            toml::Value::Table(_)
            | toml::Value::Array(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_) => {
                let wanted = serde_json::to_value(&self.0).ok();
                let found = serde_json::from_slice::<Value>(found).ok();
                wanted.zip(found).is_some_and(|(wanted, found)| is_same(&wanted, &found))
            }
            toml::Value::String(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) => {
                self.to_string().as_bytes() == found
            }
        }
    }
}

/// Whether two values of JSON are the same, where 1 and 1.0 are. Whole numbers of any size are compared as such.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            let has_fraction = a.is_f64() || b.is_f64();
            a == b
                || (has_fraction
                    && a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a.to_bits() == b.to_bits()))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let has_same = |(key, a)| b.get(key).is_some_and(|b| is_same(a, b));
            a.len() == b.len() && a.iter().all(has_same)
        }
        (a, b) => a == b,
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            Some(text) => f.write_str(text),
            None => f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_by_value_and_texts_by_their_bytes() {
        for (wanted, found, is_like) in [
            ("1.0", "1", true),
            ("1", "1.0", true),
            ("1", "1.5", false),
            ("9007199254740993", "9007199254740992", false),
            ("\"1.0\"", "1", false),
            ("\"1.0\"", "1.0", true),
            ("{ a = [1.0, 2] }", "{\"a\":[1,2.0]}", true),
            ("{ a = 1 }", "{\"a\":1,\"b\":2}", false),
            ("1", "one", false),
        ] {
            let table: toml::Table = format!("payload = {wanted}").parse().unwrap();
            let payload = Payload::try_from(table["payload"].clone()).unwrap();
            assert_eq!(payload.is_like(found.as_bytes()), is_like, "{wanted} {found}");
        }
    }
}
