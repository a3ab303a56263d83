//! Records of a start: the start itself, and changes of the configuration since the start before.

use std::collections::BTreeMap;

use lotmq_changes::{Batch, MetaRow, Op};
use lotmq_config::Config;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::{Audit, Event, Kind, Record};
use crate::limits::AUDIT_CHANGES_MAX;
use lotmq_programs::Hosting;

/// Name of the stored fact with the configuration.
const CONFIGURATION: &str = "audit.configuration";

/// Most bytes of a value that are shown; paths and lists of addresses have fewer, mostly.
const VALUE_BYTES_MAX: usize = 64;

/// Records a start of the broker, in the audit of the tenant whose `root` owns the configuration.
/// `facts` are those that the store had.
pub fn started(hosting: &Hosting, audit: &Audit, facts: &[MetaRow]) {
    let now_ms = hosting.core.clock.wall_ms();
    if !audit.is_enabled() {
        return;
    }
    let details = json!({ "version": env!("CARGO_PKG_VERSION") });
    let note = |record: &Record<'_>| audit.note(Kind::Administration, &hosting.core.counters, now_ms, record);
    note(&Record { details: Some(&details), ..Record::new(Event::Start) });
    for (kind, first, last) in audit.missing() {
        let details = json!({ "trail": kind.name(), "first": first, "last": last });
        note(&Record { details: Some(&details), ..Record::new(Event::Missing) });
    }
    let now = values(&hosting.config);
    let before = facts.iter().find(|fact| fact.name == CONFIGURATION);
    let before = before.and_then(|fact| serde_json::from_slice::<BTreeMap<String, Value>>(&fact.value).ok());
    if before.as_ref() == Some(&now) {
        return;
    }
    let changes = before.map_or_else(Map::new, |before| changes(&before, &now, &values(&Config::default())));
    if !changes.is_empty() {
        let changes = Value::Object(changes);
        note(&Record { details: Some(&changes), ..Record::new(Event::Configuration) });
    }
    let mut batch = Batch::new();
    let value = json!(now).to_string().into_bytes();
    batch.push(Op::PutMeta(&MetaRow { name: CONFIGURATION.to_owned(), value }));
    if let Err(error) = hosting.core.log.append(batch) {
        warn!(%error, "the configuration is not remembered for the audit of the next start");
    }
}

/// Values in force, defaults included. None holds a secret: those are in files and variables of
/// their own.
fn values(config: &Config) -> BTreeMap<String, Value> {
    config.entries().map(|(key, value, _)| (key.path.to_owned(), value)).collect()
}

/// Keys whose values have changed, each with the value in force before and now. A key that was not
/// recorded had its default; the value of a key that this version does not have is
/// `null`.
fn changes(
    before: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
    defaults: &BTreeMap<String, Value>,
) -> Map<String, Value> {
    let keys = before.keys().chain(now.keys().filter(|key| !before.contains_key(*key)));
    let values = |key| (before.get(key).or(defaults.get(key)), now.get(key));
    let changed = keys.map(|key| (key, values(key))).filter(|(_, (former, present))| former != present);
    let both = |(key, (former, present)): (&String, _)| (key.clone(), json!([short(former), short(present)]));
    changed.take(AUDIT_CHANGES_MAX).map(both).collect()
}

/// Value, or the beginning of a long one.
fn short(value: Option<&Value>) -> Value {
    let Some(value) = value else { return Value::Null };
    let text = value.to_string();
    if text.len() <= VALUE_BYTES_MAX {
        value.clone()
    } else {
        text[..text.floor_char_boundary(VALUE_BYTES_MAX)].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_keys_are_recorded_with_old_and_new_value() {
        let keys = |pairs: &[(&str, u32)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<BTreeMap<_, _>>()
        };
        let (before, now) =
            (keys(&[("a", 1), ("b", 2), ("gone", 3)]), keys(&[("a", 1), ("b", 3), ("set", 4), ("new", 5)]));
        let defaults = keys(&[("a", 0), ("b", 0), ("set", 8), ("new", 5)]);
        let expected = json!({ "b": [2, 3], "gone": [3, null], "set": [8, 4] });
        assert_eq!(Value::Object(changes(&before, &now, &defaults)), expected);
        assert!(values(&Config::default()).contains_key("auth.password_chars_min"));
    }
}
