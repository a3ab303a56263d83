//! Errors for keys that do not exist, with the nearest that does.

use lot_nearest::{nearest, nearest_name};

use super::{ConfigError, KEYS, Key, ValueOrigin};

/// The error for a path that is no key, with the nearest key, or that it belongs to what is not there yet.
pub(crate) fn unknown_key(name: &str, origin: &ValueOrigin) -> ConfigError {
    // A limit that holds for the whole broker, looked for at one listener.
    let of_broker = name.strip_prefix("listener.").and_then(|rest| rest.split_once('.'));
    let of_broker = of_broker.map(|(_, limit)| format!("limits.{limit}"));
    if let Some(limit) = of_broker.filter(|limit| Key::find(limit).is_some()) {
        return unknown(name, origin, Some(limit));
    }
    let near = meant(name).map_or_else(|| nearest_name(name, KEYS.iter().map(|key| key.path)), Some);
    unknown(name, origin, near.or_else(|| of_like_words(name)).map(str::to_owned))
}

/// Keys that are meant by names which are tried: those of other brokers' configurations, and what else a thing is called.
const MEANT: &[(&str, &str)] = &[
    ("allow_anonymous", "auth.anonymous"),
    ("cafile", "tls.client_ca"),
    ("certfile", "tls.certificate"),
    ("keyfile", "tls.key"),
    ("cert", "tls.certificate"),
    ("admin.port", "admin.health_port"),
    ("health.port", "admin.health_port"),
    ("listener.health.port", "admin.health_port"),
    ("max_connections", "limits.connections"),
    ("max_message_size", "limits.max_packet_size"),
    ("max_packet_bytes", "limits.max_packet_size"),
    ("max_payload", "limits.max_packet_size"),
    ("max_queued_bytes", "limits.queue_bytes"),
    ("max_queued_messages", "limits.queue_messages"),
    ("message_bytes", "limits.max_packet_size"),
    ("message_size", "limits.max_packet_size"),
    ("message_size_limit", "limits.max_packet_size"),
    ("packet_bytes", "limits.max_packet_size"),
    ("packet_size", "limits.max_packet_size"),
    ("payload_bytes", "limits.max_packet_size"),
    ("sys_interval", "sys.interval_sec"),
];

/// The key that is meant by a name of [`MEANT`], or that is called so in another section, or in one whose name is almost this.
fn meant(name: &str) -> Option<&'static str> {
    let (section, last) = name.rsplit_once('.').unwrap_or(("", name));
    if let Some((_, key)) = MEANT.iter().find(|(written, _)| *written == last || *written == name) {
        return Some(key);
    }
    let mut of_name = KEYS.iter().map(|key| key.path).filter(|path| leaf(path) == last);
    if let (Some(only), None) = (of_name.next(), of_name.next()) {
        return Some(only);
    }
    let sections = KEYS.iter().filter_map(|key| key.path.rsplit_once('.')).map(|(section, _)| section);
    let section = nearest(section, sections)?;
    let key = Key::find(&format!("{section}.{last}"))?;
    Some(key.path)
}

fn leaf(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, last)| last)
}

/// The key that has most words that are almost those of the name; `None` where none has any.
fn of_like_words(name: &str) -> Option<&'static str> {
    let words = |text: &'_ str| -> Vec<String> { text.split(['.', '_']).map(str::to_owned).collect() };
    let written: Vec<String> = words(name).into_iter().filter(|word| word.len() > 3).collect();
    let alike = |key: &Key| {
        let known = words(key.path);
        written.iter().filter(|word| nearest(word, known.iter().map(String::as_str)).is_some()).count()
    };
    // The first one of equals.
    let best = KEYS.iter().rev().max_by_key(|key| alike(key))?;
    (alike(best) > 0).then_some(best.path)
}

/// Whether keys or sections are in a section of this name.
pub(crate) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The same for a JSON name.
pub(crate) fn unknown_json_key(name: &str) -> ConfigError {
    let names = KEYS.iter().filter_map(|key| key.json.map(str::to_owned));
    unknown(name, &ValueOrigin::Stored, nearest_name(name, names))
}

fn unknown(name: &str, origin: &ValueOrigin, nearest: Option<String>) -> ConfigError {
    if super::not_yet::is_not_yet(name) {
        return ConfigError::KeyNotYet { name: name.to_owned(), origin: origin.clone() };
    }
    ConfigError::KeyUnknown { name: name.to_owned(), origin: origin.clone(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_is_told() {
        for (written, meant) in [
            ("helth.port", "admin.health_port"),
            ("limits.message_bytes", "limits.max_packet_size"),
            ("allow_anonymous", "auth.anonymous"),
            ("anonymous", "auth.anonymous"),
            ("admin.port", "admin.health_port"),
            ("listener.health.port", "admin.health_port"),
            ("limit.queue_bytes", "limits.queue_bytes"),
            ("sys.intervall_sec", "sys.interval_sec"),
        ] {
            let told = unknown_key(written, &ValueOrigin::Stored).to_string();
            assert!(told.ends_with(&format!("did you mean `{meant}`?")), "{told}");
        }
        for (written, key) in MEANT {
            assert!(Key::find(key).is_some(), "{written}: {key}");
        }
        let told = unknown_key("qqq.zzz", &ValueOrigin::Stored).to_string();
        assert!(!told.contains("did you mean"), "{told}");
    }
}
