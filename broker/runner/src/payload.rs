//! Payloads in a file with cases.

use std::fmt;

use serde::Deserialize;

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

    /// Whether a payload says this: the same text, or where a table or list is expected the same JSON.
    pub(crate) fn is_like(&self, found: &[u8]) -> bool {
        if let toml::Value::Table(_) | toml::Value::Array(_) = &self.0 {
            let wanted = serde_json::to_value(&self.0).ok();
            return wanted.is_some() && serde_json::from_slice::<serde_json::Value>(found).ok() == wanted;
        }
        self.to_string().as_bytes() == found
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
