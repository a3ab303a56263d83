//! Errors for keys that do not exist, with the nearest that does.

use lot_nearest::{nearest, nearest_name, nearest_within};

use super::{ConfigError, KEYS, Key, ValueOrigin};

/// The error for a path that is no key, with the nearest key, or that it belongs to what is not
/// there yet.
pub(crate) fn unknown_key(name: &str, origin: &ValueOrigin) -> ConfigError {
    if let Some(key) = limit_of_all(name) {
        return ConfigError::NotOfListener { name: name.to_owned(), origin: origin.clone(), key };
    }
    let near = meant(name).or_else(|| of_like_name(name)).or_else(|| of_like_words(name));
    unknown(name, origin, near.map(str::to_owned))
}

/// Returns the key in `[limits]` of a limit that was set at a listener.
fn limit_of_all(name: &str) -> Option<&'static str> {
    let (listener, limit) = name.strip_prefix("listener.")?.split_once('.')?;
    let key =
        Key::find(&format!("limits.{limit}")).filter(|_| is_section(&format!("listener.{listener}")))?;
    Some(key.path)
}

/// The key that the name begins with, before a `_`, or that almost has it, its last part as well as
/// the whole; `None` also where the last part is that of several keys, of which the section has to
/// choose one.
fn of_like_name(name: &str) -> Option<&'static str> {
    let last = leaf(name);
    let begins = |path: &&str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('_'));
    if let Some(longest) = KEYS.iter().map(|key| key.path).filter(begins).max_by_key(|path| path.len()) {
        return Some(longest);
    }
    if KEYS.iter().any(|key| leaf(key.path) == last) {
        return None;
    }
    let alike = KEYS.iter().map(|key| key.path).filter(|path| nearest_name(last, [leaf(path)]).is_some());
    nearest_name(name, alike)
}

/// Keys that are meant by names which are tried: those of other brokers' configurations, and what
/// else a thing is called.
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
    ("max_conns", "limits.connections"),
    ("listeners.port", "listener.mqtt.port"),
    ("listener.port", "listener.mqtt.port"),
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
    ("metrics.port", "admin.health_port"),
];

/// Hint for an operator who sets a log level.
const MORE_IN_THE_LOG: &str = "the log has no levels; `log.debug = true` has it say more";

/// Hint for an operator who sets the data directory.
const DATA_DIRECTORY: &str =
    "where the data lies is said by `lotmq serve --data DIR`, as the configuration may lie there, too";

/// Names that operators look for in the configuration and that have another place. Each entry is
/// the last part of a name, or the whole name, and that place.
const ELSEWHERE: &[(&str, &str)] = &[
    ("log.level", MORE_IN_THE_LOG),
    ("log_level", MORE_IN_THE_LOG),
    ("store.path", DATA_DIRECTORY),
    ("storage.path", DATA_DIRECTORY),
    ("persistence.path", DATA_DIRECTORY),
    ("persistence_location", DATA_DIRECTORY),
    ("store.dir", DATA_DIRECTORY),
    ("store.directory", DATA_DIRECTORY),
    ("data.path", DATA_DIRECTORY),
    ("data.dir", DATA_DIRECTORY),
    ("data_dir", DATA_DIRECTORY),
    ("data_directory", DATA_DIRECTORY),
    (
        "root_password",
        "root's password is LOTMQ_ROOT_PASSWORD in the environment of the first start, and is changed by `lotmq cmd -changeUserPassword root NEW` or, while the broker is stopped, `lotmq passwd`",
    ),
    ("users", "users are added by `lotmq cmd -addUser NAME PASSWORD`"),
    ("user", "users are added by `lotmq cmd -addUser NAME PASSWORD`"),
    ("accounts", "users are added by `lotmq cmd -addUser NAME PASSWORD`"),
    ("password_file", "users are added by `lotmq cmd -addUser NAME PASSWORD`"),
    ("acl", "who may do what is said by rules: docs/lot/rules.md"),
    ("acl_file", "who may do what is said by rules: docs/lot/rules.md"),
    ("rules", "who may do what is said by rules: docs/lot/rules.md"),
    ("bridge", "other brokers are reached by routes: docs/routes/mqtt-bridge.md"),
    ("bridges", "other brokers are reached by routes: docs/routes/mqtt-bridge.md"),
];

/// The error for a key or a section that stands for something which is no part of the
/// configuration.
pub(crate) fn elsewhere(name: &str, origin: &ValueOrigin) -> Option<ConfigError> {
    if Key::find(name).is_some() || is_section(name) {
        return None;
    }
    let (_, place) = ELSEWHERE.iter().find(|(written, _)| *written == leaf(name) || *written == name)?;
    Some(ConfigError::Elsewhere { name: name.to_owned(), origin: origin.clone(), place })
}

/// The path that a variable has, without its prefix and in lower case, where a section begins it:
/// the longest one.
pub(crate) fn path_in_section(name: &str) -> Option<String> {
    let places = name.match_indices('_').map(|(at, _)| name.split_at(at));
    let mut sections = places.filter_map(|(section, rest)| {
        let section = section.replace('_', ".");
        is_section(&section).then(|| format!("{section}.{}", rest.trim_start_matches('_')))
    });
    sections.next_back()
}

/// The key that is meant by a variable, without its prefix and in lower case: of which no character
/// says where a section ends.
pub(crate) fn meant_by_variable(name: &str) -> Option<&'static str> {
    let mut places = name.match_indices('_').map(|(at, _)| name.split_at(at));
    places.find_map(|(section, rest)| {
        let section = section.replace('_', ".");
        if is_section(&section) {
            meant(&format!("{section}.{}", rest.trim_start_matches('_')))
        } else {
            None
        }
    })
}

/// The key that is meant by a name of [`MEANT`], or that is called so in another section, or in one
/// whose name is almost this.
fn meant(name: &str) -> Option<&'static str> {
    let (section, last) = name.rsplit_once('.').unwrap_or(("", name));
    if let Some((_, key)) = MEANT.iter().find(|(written, _)| *written == last || *written == name) {
        // A limit that a listener has of its own, where it stands at one.
        let of_listener = key.strip_prefix("limits.").filter(|_| section.starts_with("listener."));
        let of_listener = of_listener.and_then(|limit| Key::find(&format!("{section}.{limit}")));
        return Some(of_listener.map_or(*key, |key| key.path));
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

/// The key that has most words that are those of the name, or almost, and at least half of its own;
/// of one that ends in the same word any is enough. `None` where there is none. Of equals the one
/// that ends in the same word, then the first.
fn of_like_words(name: &str) -> Option<&'static str> {
    let written: Vec<&str> = name.split(['.', '_']).filter(|word| word.len() > 3).collect();
    let likeness = |word: &&str, known: &[&str]| {
        let edits_max = if word.len() > 5 { 2 } else { 1 };
        match (known.contains(word), nearest_within(edits_max, word, known)) {
            (true, _) => 3,
            (false, Some(_)) => 2,
            (false, None) => 0,
        }
    };
    let alike = |path: &&'static str| {
        let known: Vec<&str> = path.split(['.', '_']).collect();
        let found: Vec<usize> =
            written.iter().map(|word| likeness(word, &known)).filter(|found| *found > 0).collect();
        let ends_alike = leaf(path) == leaf(name);
        let is_alike = ends_alike || (!found.is_empty() && found.len() * 2 >= known.len());
        is_alike.then(|| (found.iter().sum::<usize>(), ends_alike))
    };
    let near = KEYS.iter().rev().map(|key| key.path).filter_map(|path| Some((alike(&path)?, path)));
    near.max_by_key(|(likeness, _)| *likeness).map(|(_, path)| path)
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
    let section = name.rsplit_once('.').map(|(section, _)| section).filter(|section| is_section(section));
    let section = section.map(str::to_owned);
    ConfigError::KeyUnknown { name: name.to_owned(), origin: origin.clone(), nearest, section }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_key_error_suggests_the_probable_key() {
        for (written, meant) in [
            ("helth.port", "admin.health_port"),
            ("limits.message_bytes", "limits.max_packet_size"),
            ("allow_anonymous", "auth.anonymous"),
            ("anonymous", "auth.anonymous"),
            ("admin.port", "admin.health_port"),
            ("listener.health.port", "admin.health_port"),
            ("limit.queue_bytes", "limits.queue_bytes"),
            ("sys.intervall_sec", "sys.interval_sec"),
            ("mqtt.port", "listener.mqtt.port"),
            ("server.port", "listener.mqtt.port"),
            ("listener.mqtt.anonymous", "auth.anonymous"),
            ("listener.mqtt.certificate", "tls.certificate"),
            ("listener.mqtt.max_conns", "listener.mqtt.connections"),
            ("max_conns", "limits.connections"),
            ("listeners.port", "listener.mqtt.port"),
        ] {
            let told = unknown_key(written, &ValueOrigin::Stored).to_string();
            assert!(told.ends_with(&format!("did you mean `{meant}`?")), "{told}");
        }
        for (written, told) in [
            ("store.path", "`lotmq serve --data DIR`"),
            ("persistence.path", "`lotmq serve --data DIR`"),
            ("auth.root_password", "LOTMQ_ROOT_PASSWORD"),
        ] {
            let error = elsewhere(written, &ValueOrigin::Stored).unwrap().to_string();
            assert!(error.contains(told), "{error}");
        }
        let told = unknown_key("mqtt.max_qos", &ValueOrigin::Stored).to_string();
        assert!(told.ends_with("; docs/configuration.md has the keys of `[mqtt]`"), "{told}");
        assert_eq!(meant_by_variable("limits_message_bytes"), Some("limits.max_packet_size"));
        assert_eq!(meant_by_variable("listener_health_port"), Some("admin.health_port"));
        assert_eq!(meant_by_variable("something_else"), None);
        for (written, key) in MEANT {
            assert!(Key::find(key).is_some(), "{written}: {key}");
        }
        let level = elsewhere("log.level", &ValueOrigin::Stored).unwrap().to_string();
        assert!(
            level.ends_with(
                "is no part of the configuration: the log has no levels; `log.debug = true` has it say more"
            ),
            "{level}"
        );
        for written in ["qqq.zzz", "log.file", "colour"] {
            let told = unknown_key(written, &ValueOrigin::Stored).to_string();
            assert!(!told.contains("did you mean"), "{told}");
        }
    }
}
