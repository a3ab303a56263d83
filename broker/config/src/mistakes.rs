//! All that is wrong with a configuration at once, with lines of the file: `lotmq config check`.
//!
//! Invariant: none is found here exactly when [`Config::load`] takes the same sources. Not here:
//! what the values name, such as files and ports that others have.

use toml::de::DeTable;

use super::malformed::{line_at, malformation};
use super::mosquitto::{TOLD, is_mosquitto};
use super::{Config, ConfigError, ConfigFile, Sources};

/// Something that is wrong with a configuration.
#[derive(Debug)]
pub struct Mistake {
    /// Line in the configuration file, from 1; `None` for what stands elsewhere.
    pub line: Option<usize>,
    /// The error.
    pub error: ConfigError,
}

impl Config {
    /// All mistakes of the sources: those of the file in the order of its lines, then the others. A
    /// file that is not TOML has no others.
    #[must_use]
    pub fn mistakes(sources: &Sources) -> Vec<Mistake> {
        let mut mistakes = sources.file.as_ref().map(malformed).unwrap_or_default();
        if mistakes.is_empty() {
            let errors = Self::errors(sources).into_iter();
            mistakes.extend(errors.map(|error| Mistake { line: error.line(), error }));
        }
        mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
        mistakes
    }

    /// The configuration without what is wrong in its sources: for who looks for further mistakes,
    /// in what the values name.
    #[must_use]
    pub fn without_mistakes(sources: &Sources) -> Self {
        let mut config = Self::default();
        for assignment in Self::assignments(sources).flatten() {
            // A key with an invalid value keeps its previous value.
            drop(config.assign(&assignment));
        }
        config
    }

    fn errors(sources: &Sources) -> Vec<ConfigError> {
        let mut config = Self::default();
        let mut errors = Vec::new();
        for assignment in Self::assignments(sources) {
            let outcome = assignment.and_then(|assignment| config.assign(&assignment));
            errors.extend(outcome.err());
        }
        let unmet: Vec<ConfigError> = config
            .unmet_needs()
            .filter(|unmet| !errors.iter().any(|error| may_explain(error, unmet)))
            .collect();
        errors.extend(unmet);
        errors
    }
}

/// Whether an unmet need may come of an error: what was refused is not set, and a name that nobody
/// knows may be meant for what is needed.
fn may_explain(error: &ConfigError, unmet: &ConfigError) -> bool {
    let ConfigError::KeyMissing { needed, .. } = unmet else { return false };
    let section = |path: &str| path.rsplit_once('.').map(|(section, _)| section.to_owned());
    match error {
        ConfigError::ValueInvalid { key, .. } => key == needed,
        ConfigError::KeyUnknown { name, .. } | ConfigError::KeyNotYet { name, .. } => {
            section(name) == section(needed)
        }
        ConfigError::SectionExpected { name, .. } | ConfigError::ListOfTables { name, .. } => {
            section(needed).as_ref() == Some(name)
        }
        ConfigError::JsonMalformed { .. } => true,
        ConfigError::KeyMissing { .. }
        | ConfigError::NotOfListener { .. }
        | ConfigError::Elsewhere { .. }
        | ConfigError::FileMalformed { .. }
        | ConfigError::FileUnreadable { .. }
        | ConfigError::UnknownLoginModule { .. } => false,
    }
}

/// Returns the errors in the TOML of the file.
fn malformed(file: &ConfigFile) -> Vec<Mistake> {
    let (_, errors) = DeTable::parse_recoverable(&file.text);
    if !errors.is_empty() && is_mosquitto(&file.text) {
        let error = ConfigError::FileMalformed { path: file.path.clone(), reason: TOLD.to_owned() };
        let line = errors.first().and_then(|error| error.span()).map(|span| line_at(&file.text, span.start));
        return vec![Mistake { line, error }];
    }
    let malformed = errors.iter().map(|error| Mistake {
        line: error.span().map(|span| line_at(&file.text, span.start)),
        error: ConfigError::FileMalformed {
            path: file.path.clone(),
            reason: malformation(&file.text, error.message(), error.span()),
        },
    });
    malformed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let file = Some(ConfigFile { path: "lotmq.toml".into(), text: text.to_owned() });
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { file, environment, ..Sources::default() };
        let mistakes = Config::mistakes(&sources);
        assert_eq!(mistakes.is_empty(), Config::load(sources).is_ok());
        let line = |mistake: &Mistake| mistake.line.map_or("-".to_owned(), |line| line.to_string());
        mistakes.iter().map(|mistake| format!("{}: {}", line(mistake), mistake.error)).collect()
    }

    #[test]
    fn every_mistake_is_found_with_its_line() {
        assert_eq!(found("[sys]\ninterval_sec = 3\n", &[("LOTMQ_LISTENER_MQTT_PORT", "1")]), [""; 0]);
        let text = "# all wrong\n[sys]\nintervall_sec = 3\n\n[listener.mqtt]\nport = 70000\n[tls]\nkey = 5\n";
        let told = found(text, &[("LOTMQ_AUTH_ANONYMOUS", "perhaps")]);
        for (at, part) in [
            (0, "3: unknown key `sys.intervall_sec`"),
            (1, "6: `listener.mqtt.port` cannot be 70000"),
            (2, "8: `tls.key`"),
            (3, "-: `auth.anonymous`"),
        ] {
            assert!(told.get(at).is_some_and(|line| line.starts_with(part)), "{part} in {told:?}");
        }
        assert_eq!(told.len(), 4);
        let with_unit = found("[limits]\nmax_packet_size = \"16MB\"\n", &[]);
        let expected = "expected a whole number in bytes, 1024 to 268435460, without a unit behind it";
        assert!(with_unit[0].ends_with(expected), "{with_unit:?}");
        let needs = found("[tls]\nkey = \"k.pem\"\nclient_ca = \"ca.pem\"\n", &[]);
        assert_eq!(needs.iter().map(|line| &line[..2]).collect::<Vec<_>>(), ["2:", "3:"], "{needs:?}");
        // In one round, but for what a mistake explains.
        let both = found("[listener.mqtts]\nport = 8883\n[sys]\ninterval_sec = \"x\"\n", &[]);
        assert_eq!(both.iter().map(|line| &line[..2]).collect::<Vec<_>>(), ["2:", "4:"], "{both:?}");
        let explained = found("[listener.mqtts]\nport = 8883\n[tls]\ncertifcate = \"c.pem\"\n", &[]);
        assert_eq!(explained.len(), 1, "{explained:?}");
        for word in ["yes", "Off"] {
            let told = found(&format!("[routes]\nallow_loopback = {word} # here\n"), &[]);
            assert!(
                told[0].ends_with(&format!("`{word}` is none of its words: write true or false")),
                "{told:?}"
            );
        }
        let twice = found("[sys]\ninterval_sec = 3\ninterval_sec = 4\n", &[]);
        assert!(
            twice[0].starts_with("3: ") && twice[0].ends_with("duplicate key `interval_sec`"),
            "{twice:?}"
        );
        let tables = found("[sys]\ninterval_sec = 3\n[log]\n[sys]\ninterval_sec = 4\n", &[]);
        assert!(
            tables[0].starts_with("4: ")
                && tables[0].ends_with("there is a table `[sys]` already: put the keys of both below one"),
            "{tables:?}"
        );
        let users = "[[users]]\nname = \"ada\"\n[[users]]\nname = \"bob\"\n[[listener.mqtt]]\nport = 1\n[auth]\npassword_file = \"p\"\n";
        let users = found(users, &[]);
        for (at, line) in [
            "1: `users` (file lotmq.toml:1) is no part of the configuration: users are added by `lotmq cmd -addUser NAME PASSWORD`",
            "5: `[[listener.mqtt]]` (file lotmq.toml:5) is a table of a list, and `[listener.mqtt]` is a section, of which there is one: write it in single brackets, with the keys of all of them",
            "8: `auth.password_file` (file lotmq.toml:8) is no part of the configuration: users are added by ",
        ]
        .into_iter()
        .enumerate()
        {
            assert!(users.get(at).is_some_and(|told| told.starts_with(line)), "{line} in {users:#?}");
        }
        let bare = found("[listener.mqtt]\nbind = 0.0.0.0 # all\n", &[]);
        assert!(bare[0].starts_with("2: ") && bare[0].ends_with("write bind = \"0.0.0.0\""), "{bare:?}");
        let file =
            ConfigFile { path: "lotmq.toml".into(), text: "[listener.mqtt]\nbind = 0.0.0.0\n".to_owned() };
        let refused = Config::load(Sources { file: Some(file), ..Sources::default() }).unwrap_err();
        assert!(refused.to_string().ends_with("write bind = \"0.0.0.0\""), "{refused}");
        let malformed = found("[sys]\ninterval_sec = \n[listener\nport = 1\n", &[]);
        assert!(
            malformed.len() >= 2 && malformed[0].starts_with("2: lotmq.toml is not valid TOML"),
            "{malformed:?}"
        );
    }
}
