//! Configuration that `Config/New` is to store: JSON with the original's key names, laid over the
//! file. Nothing uses it yet.

use serde_json::{Map, Value};

use super::origin::Assignment;
use super::unknown::unknown_json_key;
use super::{Config, ConfigError, Key, ValueOrigin};

/// Keys of the `Config` topic that say something and set nothing; ignored, so that what was read
/// can be written back.
const READ_ONLY: [&str; 2] = ["defaultPassword", "Tenant"];

/// JSON names and their values. The values are checked when a [`Config`] is made of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overlay(Map<String, Value>);

impl Overlay {
    /// Reads a full or partial configuration.
    ///
    /// # Errors
    /// [`ConfigError::JsonMalformed`], [`ConfigError::KeyUnknown`], [`ConfigError::KeyNotYet`].
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        let mut map: Map<String, Value> = serde_json::from_slice(text)
            .map_err(|error| ConfigError::JsonMalformed { reason: error.to_string() })?;
        map.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
        match map.keys().find(|name| Key::find_json(name).is_none()) {
            Some(unknown) => Err(unknown_json_key(unknown)),
            None => Ok(Self(map)),
        }
    }

    /// This with the values of `newer` in place of its own; `null` removes one, so that the next
    /// source holds again.
    #[must_use]
    pub fn merged(mut self, newer: Self) -> Self {
        for (name, value) in newer.0 {
            if value.is_null() {
                self.0.remove(&name);
            } else {
                self.0.insert(name, value);
            }
        }
        self
    }

    /// Leaves out values that `config` has from a weaker source anyway, as when the whole `Config`
    /// topic is written back.
    #[must_use]
    pub fn without_unchanged(mut self, config: &Config) -> Self {
        self.0.retain(|name, value| {
            let known = Key::find_json(name);
            known.is_none_or(|key| {
                key.get(config) != *value || config.origin(key.path).rank() >= ValueOrigin::Stored.rank()
            })
        });
        self
    }

    /// The JSON to store; [`Overlay::parse`] reads it back.
    #[must_use]
    pub fn to_json_text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// Whether it sets this key.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        key.json.is_some_and(|name| self.0.contains_key(name))
    }

    pub(crate) fn assignments(&self) -> Vec<Result<Assignment, ConfigError>> {
        let set = self.0.iter().filter(|(_, value)| !value.is_null());
        set.map(|(name, value)| {
            let key = Key::find_json(name).ok_or_else(|| unknown_json_key(name))?;
            Ok(Assignment { key, value: value.clone(), origin: ValueOrigin::Stored })
        })
        .collect()
    }
}
