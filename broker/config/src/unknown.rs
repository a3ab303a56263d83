//! Errors for keys that do not exist, with the nearest that does.

use lot_nearest::nearest_name;

use super::{ConfigError, KEYS, Key, ValueOrigin};

/// The error for a path that is no key, with the nearest key, or that it belongs to what is not there yet.
pub(crate) fn unknown_key(name: &str, origin: &ValueOrigin) -> ConfigError {
    // A limit that holds for the whole broker, looked for at one listener.
    let of_broker = name.strip_prefix("listener.").and_then(|rest| rest.split_once('.'));
    let of_broker = of_broker.map(|(_, limit)| format!("limits.{limit}"));
    if let Some(limit) = of_broker.filter(|limit| Key::find(limit).is_some()) {
        return unknown(name, origin, std::iter::once(limit));
    }
    let names = KEYS.iter().map(|key| key.path.to_owned());
    unknown(name, origin, names)
}

/// The same for a JSON name.
pub(crate) fn unknown_json_key(name: &str) -> ConfigError {
    let names = KEYS.iter().filter_map(|key| key.json.map(str::to_owned));
    unknown(name, &ValueOrigin::Stored, names)
}

fn unknown(name: &str, origin: &ValueOrigin, names: impl Iterator<Item = String>) -> ConfigError {
    if super::not_yet::is_not_yet(name) {
        return ConfigError::KeyNotYet { name: name.to_owned(), origin: origin.clone() };
    }
    ConfigError::KeyUnknown {
        name: name.to_owned(),
        origin: origin.clone(),
        nearest: nearest_name(name, names),
    }
}
