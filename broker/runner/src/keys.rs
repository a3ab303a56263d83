//! Reader of tables in a file with cases, key by key. It reports missing and unknown keys and wrong
//! types in the words of the file.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

use lot_nearest::nearest;
use lotmq_codec::QoS;
use lotmq_server::embedded::ClientIdentity;
use serde::Deserialize;

use crate::payload::{Payload, is_json};
use crate::properties::{
    CORRELATION_KEYS, StatedProperties, TextOrBase64, UserPairs, WantedProperties, is_utf8,
};

/// Keys that identify the client of a step.
pub(crate) const CLIENT_KEYS: [&str; 3] = ["username", "client_id", "endpoint"];

/// Scopes of rules whose denials a case can observe.
const SCOPES: [&str; 5] = ["Connect", "Publish", "PublishSys", "Subscribe", "SubscribeSys"];

/// The keys of a table that are not read yet.
pub(crate) struct Keys {
    pub(crate) table: toml::Table,
    /// Name of the described thing, for error messages.
    pub(crate) of: &'static str,
}

impl Keys {
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Returns the first of several keys that the table has. That key determines the kind of the
    /// table.
    pub(crate) fn first_of(&self, keys: &[&'static str]) -> Result<&'static str, String> {
        let found = keys.iter().copied().find(|key| self.has(key));
        found.ok_or_else(|| {
            let meant = self.table.keys().find_map(|key| Some((key, nearest(key, keys.iter().copied())?)));
            let hint =
                meant.map(|(key, near)| format!("; `{key}`: did you mean `{near}`?")).unwrap_or_default();
            format!("{} needs one of the keys {}{hint}", self.of, listed(keys))
        })
    }

    pub(crate) fn take(&mut self, key: &str) -> Result<toml::Value, String> {
        let Some(value) = self.table.remove(key) else {
            let near = nearest(key, self.table.keys().map(String::as_str));
            let hint = near.map(|near| format!("; is `{near}` meant to be it?")).unwrap_or_default();
            return Err(format!("{} lacks the key `{key}`{hint}", self.of));
        };
        Ok(value)
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<String, String> {
        let value = self.take(key)?;
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| format!("`{key}` is a text in quotes, found {value}"))
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(toml::Value::Boolean(value)) => Ok(Some(value)),
            Some(other) => Err(format!("`{key}` is true or false, found {other}")),
        }
    }

    pub(crate) fn payload(&mut self, key: &str) -> Result<Payload, String> {
        Payload::try_from(self.take(key)?).map_err(|error| format!("`{key}`: {error}"))
    }

    pub(crate) fn table(&mut self, key: &str) -> Result<BTreeMap<String, toml::Value>, String> {
        match self.table.remove(key) {
            None => Ok(BTreeMap::new()),
            Some(toml::Value::Table(table)) => {
                table.values().try_for_each(is_json).map_err(|error| format!("`{key}`: {error}"))?;
                Ok(table.into_iter().collect())
            }
            Some(other) => Err(format!("`{key}` is a table as {{ a = 1 }}, found {other}")),
        }
    }

    pub(crate) fn optional_text(&mut self, key: &str) -> Result<Option<String>, String> {
        self.has(key).then(|| self.text(key)).transpose()
    }

    /// Texts of a list; none where the key is not there.
    pub(crate) fn texts(&mut self, key: &str) -> Result<Vec<String>, String> {
        let Some(value) = self.table.remove(key) else { return Ok(Vec::new()) };
        let texts = value.as_array().and_then(|list| {
            list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.ok_or_else(|| format!("`{key}` is a list of texts, found {value}"))
    }

    /// One text, or several in a list.
    pub(crate) fn pieces(&mut self, key: &str) -> Result<Option<Pieces>, String> {
        match self.table.get(key) {
            None => Ok(None),
            Some(toml::Value::Array(_)) => self.texts(key).map(|texts| Some(Pieces::Several(texts))),
            Some(toml::Value::String(_)) => self.text(key).map(|text| Some(Pieces::One(text))),
            Some(other) => Err(format!("`{key}` is a text, or a list of texts for datagrams, found {other}")),
        }
    }

    pub(crate) fn integer(&mut self, key: &str) -> Result<Option<i64>, String> {
        let Some(value) = self.table.remove(key) else { return Ok(None) };
        let number = value.as_integer();
        number.map(Some).ok_or_else(|| format!("`{key}` is a whole number, found {value}"))
    }

    /// A whole number within a range.
    pub(crate) fn number<T>(&mut self, key: &str, range: RangeInclusive<T>) -> Result<Option<T>, String>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let Some(value) = self.table.remove(key) else { return Ok(None) };
        let number = value.as_integer().and_then(|number| T::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        let told =
            || format!("`{key}` is a whole number from {} to {}, found {value}", range.start(), range.end());
        number.map(Some).ok_or_else(told)
    }

    /// A table within it, which describes something of its own.
    pub(crate) fn inner(&mut self, key: &str, of: &'static str) -> Result<Option<Keys>, String> {
        match self.table.remove(key) {
            None => Ok(None),
            Some(toml::Value::Table(table)) => Ok(Some(Keys { table, of })),
            Some(other) => Err(format!("`{key}` is a table as {{ a = 1 }}, found {other}")),
        }
    }

    /// Tables of a list; none where the key is not there.
    pub(crate) fn tables(&mut self, key: &str, of: &'static str) -> Result<Vec<Keys>, String> {
        let Some(value) = self.table.remove(key) else { return Ok(Vec::new()) };
        let tables = value.as_array().and_then(|list| {
            let table = |value: &toml::Value| Some(Keys { table: value.as_table()?.clone(), of });
            list.iter().map(table).collect::<Option<Vec<_>>>()
        });
        tables.ok_or_else(|| format!("`{key}` is a list of tables as [{{ a = 1 }}], found {value}"))
    }

    /// Bytes that stand there as text, or by another key in base64.
    pub(crate) fn bytes(&mut self, names: [&str; 2]) -> Result<Option<Vec<u8>>, String> {
        let [text, base64] = [self.optional_text(names[0])?, self.optional_text(names[1])?];
        TextOrBase64 { names, text, base64 }.read()
    }

    /// A value, as JSON.
    pub(crate) fn json(&mut self, key: &str) -> Result<Option<String>, String> {
        let Some(value) = self.table.remove(key) else { return Ok(None) };
        is_json(&value).map_err(|error| format!("`{key}`: {error}"))?;
        serde_json::to_string(&value).map(Some).map_err(|error| format!("`{key}`: {error}"))
    }

    pub(crate) fn qos(&mut self) -> Result<QoS, String> {
        Ok(self.wanted_qos()?.unwrap_or(QoS::AtMostOnce))
    }

    pub(crate) fn wanted_qos(&mut self) -> Result<Option<QoS>, String> {
        let Some(value) = self.table.remove("qos") else { return Ok(None) };
        let number = value.as_integer().and_then(|number| u8::try_from(number).ok());
        let qos = number.and_then(QoS::from_bits);
        qos.map(Some).ok_or_else(|| format!("`qos` is 0, 1 or 2, found {value}"))
    }

    pub(crate) fn scope(&mut self) -> Result<String, String> {
        let scope = self.text("denied")?;
        if SCOPES.contains(&&*scope) {
            return Ok(scope);
        }
        Err(format!("`denied` is one of {}, found `{scope}`", listed(&SCOPES)))
    }

    /// The Client that is named.
    pub(crate) fn client(&mut self) -> Result<Option<ClientIdentity>, String> {
        let mut named = |key: &str| match self.optional_text(key)? {
            Some(name) if name.is_empty() => Err(format!("`{key}` is empty")),
            name => Ok(name),
        };
        let [user, client_id, endpoint] = [named("username")?, named("client_id")?, named("endpoint")?];
        if user.is_none() && client_id.is_none() && endpoint.is_none() {
            return Ok(None);
        }
        let address = endpoint.map(|endpoint| {
            endpoint.parse().map_err(|_| format!("`endpoint` is an address as 192.0.2.7, found `{endpoint}`"))
        });
        Ok(Some(ClientIdentity::of(user, client_id, address.transpose()?)))
    }

    /// Properties of MQTT 5.0 of a message that arrives.
    pub(crate) fn properties(&mut self) -> Result<StatedProperties, String> {
        let user = self.pairs("user")?.in_order();
        Ok(StatedProperties {
            user,
            is_utf8: self.optional_text("payload_format")?.as_deref().map(is_utf8).transpose()?,
            response_topic: self.optional_text("response_topic")?,
            correlation_data: self.bytes(CORRELATION_KEYS)?,
            content_type: self.optional_text("content_type")?,
            expiry: self.expiry()?,
        })
    }

    /// Properties of MQTT 5.0 that are looked at.
    pub(crate) fn wanted_properties(&mut self) -> Result<WantedProperties, String> {
        let user = self.pairs("user")?;
        Ok(WantedProperties { user, others: self.properties()? })
    }

    fn expiry(&mut self) -> Result<Option<u32>, String> {
        let Some(value) = self.table.remove("expiry") else { return Ok(None) };
        let seconds = value.as_integer().and_then(|seconds| u32::try_from(seconds).ok());
        Ok(Some(seconds.ok_or_else(|| format!("`expiry` is a number of seconds, found {value}"))?))
    }

    /// Values by name, those of one name in a list, or all pairs in their order.
    pub(crate) fn pairs(&mut self, key: &str) -> Result<UserPairs, String> {
        let text = |value: &toml::Value| value.as_str().map(str::to_owned);
        if let Some(toml::Value::Array(pairs)) = self.table.get(key) {
            let pair = |value: &toml::Value| match value.as_array().map(Vec::as_slice) {
                Some([name, value]) => text(name).zip(text(value)),
                _ => None,
            };
            let read = pairs.iter().map(|value| {
                pair(value).ok_or_else(|| {
                    format!("`{key}` is a table, or a list of pairs as [[\"name\", \"value\"]], found {value} in it")
                })
            });
            let read = read.collect::<Result<_, _>>()?;
            self.table.remove(key);
            return Ok(UserPairs::InOrder(read));
        }
        let texts = |value: &toml::Value| match value.as_array() {
            Some(list) => list.iter().map(text).collect(),
            None => text(value).map(|text| vec![text]),
        };
        let properties = self.table(key)?.into_iter().map(|(name, value)| {
            let values = texts(&value);
            let values =
                values.ok_or_else(|| format!("`{key}.{name}` is a text or a list of texts, found {value}"));
            Ok((name, values?))
        });
        properties.collect::<Result<_, String>>().map(UserPairs::ByName)
    }

    /// Rejects the remaining keys; `known` are the valid keys.
    pub(crate) fn finish(self, known: &[&[&str]]) -> Result<(), String> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(key) => {
                let known = known.concat();
                let begins = |long: &str, short: &str| long.starts_with(&format!("{short}_"));
                let meant = known.iter().copied().find(|known| begins(key, known) || begins(known, key));
                let meant = meant.or_else(|| nearest(key, known.iter().copied()));
                let hint = meant.map(|meant| format!(" did you mean `{meant}`?")).unwrap_or_default();
                Err(format!("unknown key `{key}`;{hint} known here: {}", listed(&known)))
            }
        }
    }
}

/// Bytes of a connection, or a list of datagrams.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Pieces {
    /// Bytes of a connection.
    One(String),
    /// Datagrams.
    Several(Vec<String>),
}

impl Pieces {
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        };
        texts.iter().map(String::as_str)
    }
}

pub(crate) fn listed(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    quoted.join(", ")
}
