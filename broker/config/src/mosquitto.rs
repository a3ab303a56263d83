//! Recognises a configuration file of mosquitto, which is no TOML.

/// Options of mosquitto.conf(5) that most files have, each followed by a blank and its value.
const OPTIONS: [&str; 20] = [
    "acl_file",
    "allow_anonymous",
    "bind_address",
    "cafile",
    "certfile",
    "connection",
    "include_dir",
    "keyfile",
    "listener",
    "log_dest",
    "log_type",
    "max_connections",
    "max_queued_messages",
    "password_file",
    "per_listener_settings",
    "persistence",
    "persistence_location",
    "pid_file",
    "protocol",
    "require_certificate",
];

/// Message for such a file.
pub(crate) const TOLD: &str =
    "this looks like mosquitto.conf; docs/configuration.md, \"From mosquitto\", has the keys for its options";

/// Whether a text that is no TOML is one: at least one of its lines is an option of mosquitto with
/// its value.
pub(crate) fn is_mosquitto(text: &str) -> bool {
    let is_option = |line: &str| {
        let (name, value) = line.trim().split_once(' ').unwrap_or_default();
        OPTIONS.contains(&name) && !value.trim_start().starts_with('=')
    };
    text.lines().any(is_option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_mosquitto_are_recognised() {
        for (text, expected) in [
            ("# my broker\nlistener 1883 0.0.0.0\n", true),
            ("allow_anonymous false", true),
            ("listener = 1883", false),
            ("[listener.mqtt]\nport = 1883 x", false),
            ("", false),
        ] {
            assert_eq!(is_mosquitto(text), expected, "{text}");
        }
    }
}
