//! Keys of settings and the types of their values.

/// A key of a block.
#[derive(Debug)]
pub(crate) struct Key {
    /// Canonical name.
    pub(crate) name: &'static str,
    /// Other names that are accepted.
    pub(crate) aliases: &'static [&'static str],
    /// Values that it takes.
    pub(crate) value: ValueKind,
    /// Whether it must be there.
    pub(crate) need: Need,
    /// Default value, if it does not depend on other settings.
    pub(crate) default: Option<&'static str>,
    /// Purpose of the key.
    pub(crate) purpose: KeyPurpose,
    /// Values that the language has and that are refused, with the reason, behind the value.
    pub(crate) refused: Option<(&'static [&'static str], &'static str)>,
}

/// Purpose of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyPurpose {
    /// The guest of the type does something by it, or the broker does.
    Runs,
    /// Its value repeats what the type implies, and another value is refused.
    Confirms,
    /// It is for people who read the route.
    Tells,
    /// The language has it and it means nothing here, for this reason.
    Nothing(&'static str),
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// It may be left out.
    Optional,
    /// The route means nothing without it.
    Always,
    /// Unless one of these keys is there.
    Unless(&'static [&'static str]),
}

/// Type of a value. Numbers and booleans may be quoted (routes reference §1.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ValueKind {
    /// Any text.
    Text,
    /// A whole number in this range.
    Int(i64, i64),
    /// Any number.
    Number,
    /// `TRUE` or `FALSE` in any case.
    Bool,
    /// One of these, in any case; the program gets the spelling of the table.
    Words(&'static [&'static str]),
    /// A single character.
    Character,
    /// `http://…` or `https://…`.
    Url,
    /// A path on a disk of the broker's machine, which leads nowhere else.
    Folder,
    /// `mongodb://…`, with a login in it that is not to be shown.
    MongoAddress,
    /// A Topic Filter.
    Filter,
    /// A topic that is written to, with placeholders.
    Topic,
    /// A topic that takes the wildcards of the filter which it is rewritten from.
    Rewritten,
    /// A text with placeholders.
    Template,
    /// A text with placeholders of the topic alone.
    OfTopic,
}

/// A TCP port.
pub(super) const PORT: ValueKind = ValueKind::Int(1, 65_535);

/// A day: longer time-outs are mistakes.
pub(crate) const MILLISECONDS_MAX: i64 = 86_400_000;

/// A pause in milliseconds.
pub(super) const MILLISECONDS: ValueKind = ValueKind::Int(0, MILLISECONDS_MAX);

/// A time-out in milliseconds: within none nothing answers.
pub(super) const TIMEOUT_MS: ValueKind = ValueKind::Int(1, MILLISECONDS_MAX);

impl Key {
    /// A key that may be left out.
    pub(super) const fn new(name: &'static str, value: ValueKind) -> Key {
        Key {
            name,
            aliases: &[],
            value,
            need: Need::Optional,
            default: None,
            purpose: KeyPurpose::Runs,
            refused: None,
        }
    }

    /// It must be there.
    pub(super) const fn required(self) -> Key {
        Key { need: Need::Always, ..self }
    }

    /// It must be there unless one of `others` is.
    pub(super) const fn unless(self, others: &'static [&'static str]) -> Key {
        Key { need: Need::Unless(others), ..self }
    }

    /// Sets the default value.
    pub(super) const fn by_default(self, default: &'static str) -> Key {
        Key { default: Some(default), ..self }
    }

    /// Marks a key whose value only repeats what the type implies.
    pub(super) const fn confirming(self) -> Key {
        Key { purpose: KeyPurpose::Confirms, ..self }
    }

    /// It is for people.
    pub(super) const fn telling(self) -> Key {
        Key { purpose: KeyPurpose::Tells, ..self }
    }

    /// These values are refused by name.
    pub(super) const fn refusing(self, values: &'static [&'static str], reason: &'static str) -> Key {
        Key { refused: Some((values, reason)), ..self }
    }

    /// It means nothing here.
    pub(super) const fn idle(self, reason: &'static str) -> Key {
        Key { purpose: KeyPurpose::Nothing(reason), ..self }
    }

    /// Other names.
    pub(super) const fn or(self, aliases: &'static [&'static str]) -> Key {
        Key { aliases, ..self }
    }

    /// Whether it concerns the protection of a connection, or the login.
    pub(crate) fn is_about_security(&self) -> bool {
        const WORDS: [&str; 10] =
            ["TLS", "SSL", "CERT", "PASS", "USERNAME", "AUTH", "TOKEN", "SECURITY", "CLIENT_KEY", "API_KEY"];
        WORDS.iter().any(|word| self.name.contains(word))
    }

    /// Whether the route does something else without it: rows of another table, a request without
    /// its body, an answer without a recipient, files of another format, another subject.
    pub(crate) fn says_what_is_done(&self) -> bool {
        let is_it = matches!(
            self.value,
            ValueKind::Template
                | ValueKind::Topic
                | ValueKind::Rewritten
                | ValueKind::Filter
                | ValueKind::Words(_)
        );
        is_it || ["TABLE", "INDEX", "SOURCE_TOPIC", "DESTINATION_TOPIC"].contains(&self.name)
    }

    /// Whether its value has to be known before the route starts, as it determines which messages
    /// are for the route.
    pub(crate) fn is_read_at_deploy(&self) -> bool {
        self.value == ValueKind::Filter || ["DIRECTION", "BROKER", "SIDE"].contains(&self.name)
    }

    /// Whether it is called so, in any case.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }
}

/// A section, `ADD …_CONFIG`.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name.
    pub(crate) name: &'static str,
    /// Keys of the section.
    pub(crate) keys: &'static [Key],
    /// Whether the route means nothing without it.
    pub(crate) is_required: bool,
}

impl Section {
    /// A section without which the route means nothing.
    pub(super) const fn required(name: &'static str, keys: &'static [Key]) -> Section {
        Section { name, keys, is_required: true }
    }

    /// A section that may be left out.
    pub(super) const fn optional(name: &'static str, keys: &'static [Key]) -> Section {
        Section { name, keys, is_required: false }
    }
}

/// `QOS` of the messages that a route publishes.
pub(super) const QOS: Key = Key::new("QOS", ValueKind::Int(0, 2));

/// The same, 0 by default.
pub(super) const QOS_0: Key = QOS.by_default("0");

/// `RETAIN` of the messages that a route publishes.
pub(super) const RETAIN: Key = Key::new("RETAIN", ValueKind::Bool).by_default("false");

/// `SOURCE_TOPIC` of an event.
pub(super) const SOURCE: Key = Key::new("SOURCE_TOPIC", ValueKind::Filter).required();

/// `DESTINATION_TOPIC` of an event.
pub(super) const DESTINATION: Key = Key::new("DESTINATION_TOPIC", ValueKind::Topic);

/// `ERROR_TOPIC` of an event (routes reference §3.3).
pub(super) const ERRORS: Key = Key::new("ERROR_TOPIC", ValueKind::Topic);

/// Keys of a section with those for TLS: trusted certificates and the own certificate (ours;
/// docs/sdk/network.md), but for those that it has under these names itself.
macro_rules! with_tls {
    ($($own:expr),* $(,)?) => {
        &[
            $($own,)*
            Key::new("SERVER_CA_CERT_PATH", ValueKind::Text),
            Key::new("SERVER_CA_CERT", ValueKind::Text),
            Key::new("CLIENT_CERT_PATH", ValueKind::Text),
            Key::new("CLIENT_CERT", ValueKind::Text),
            Key::new("CLIENT_KEY_PATH", ValueKind::Text),
            Key::new("CLIENT_KEY", ValueKind::Text),
            Key::new("TLS_SERVER_NAME", ValueKind::Text),
            Key::new("TLS_MIN_VERSION", ValueKind::Words(&["1.2", "1.3"])),
        ]
    };
}

pub(super) use with_tls;
