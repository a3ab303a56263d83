//! Errors in a configuration. The operator has to fix them, so every text names the place and the
//! fix.

use std::path::PathBuf;

use crate::origin::ValueOrigin;
use crate::value_error::ValueError;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No key has this name.
    #[error("unknown key `{name}` ({origin}){}", hint(nearest.as_deref(), section.as_deref()))]
    KeyUnknown {
        /// The name as written.
        name: String,
        /// Origin of the key.
        origin: ValueOrigin,
        /// The key with the most similar name, unless none is similar.
        nearest: Option<String>,
        /// The section that it stands in, if there is one of that name.
        section: Option<String>,
    },
    /// The limit cannot be set for this listener.
    #[error("`{name}` ({origin}) is no limit of this listener; set `{key}`, which holds for all listeners")]
    NotOfListener {
        /// The name as written.
        name: String,
        /// Origin of the name.
        origin: ValueOrigin,
        /// The key that sets the limit.
        key: &'static str,
    },
    /// The file sets something that is no part of the configuration and has another place.
    #[error("`{name}` ({origin}) is no part of the configuration: {place}")]
    Elsewhere {
        /// The name as written.
        name: String,
        /// Origin of the name.
        origin: ValueOrigin,
        /// The place where the operator sets it instead.
        place: &'static str,
    },
    /// Tables of a list were given where there is one section.
    #[error("`[[{name}]]` ({origin}) is a table of a list, and {}", of_list(name, *is_section))]
    ListOfTables {
        /// Path of the tables.
        name: String,
        /// Origin of the first table.
        origin: ValueOrigin,
        /// Whether there is a section of this name.
        is_section: bool,
    },
    /// The key belongs to a part of the broker that this version does not have.
    #[error("key `{name}` ({origin}) is not available in this version")]
    KeyNotYet {
        /// The name as written.
        name: String,
        /// Origin of the key.
        origin: ValueOrigin,
    },
    /// A section of this name has keys, and something else was given to it.
    #[error("`{name}` cannot be {value} ({origin}): it is a section, `[{name}]`, with keys of its own")]
    SectionExpected {
        /// Path of the section.
        name: String,
        /// The value as written.
        value: String,
        /// Origin of the value.
        origin: ValueOrigin,
    },
    /// The value is not one that the key can have.
    #[error("`{key}` cannot be {value} ({origin}): {reason}")]
    ValueInvalid {
        /// Path of the key.
        key: &'static str,
        /// The value as written, in JSON.
        value: String,
        /// Origin of the value.
        origin: ValueOrigin,
        /// Reason why the key cannot have the value.
        reason: ValueError,
    },
    /// The key means nothing without another one.
    #[error("`{key}` is {value} ({origin}), which needs `{needed}`")]
    KeyMissing {
        /// Path of the key that is set.
        key: &'static str,
        /// Its value in JSON.
        value: String,
        /// Origin of the key that is set.
        origin: ValueOrigin,
        /// Path of the key that is not set.
        needed: &'static str,
    },
    /// A login module is listed that is not configured.
    #[error("`{key}` lists `{name}` ({origin}), which is no login module; configured are `{known}`")]
    UnknownLoginModule {
        /// Path of the key.
        key: &'static str,
        /// The name as written.
        name: String,
        /// Origin of the value.
        origin: ValueOrigin,
        /// Names of the modules that are configured.
        known: String,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {reason}", path.display())]
    FileMalformed {
        /// The file.
        path: PathBuf,
        /// The parser's text, with line and column.
        reason: String,
    },
    /// The file could not be read.
    #[error("cannot read configuration file {}: {reason}", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: std::io::Error,
    },
    /// The text written to `Config/New` is not a JSON object.
    #[error("configuration is not a JSON object: {reason}")]
    JsonMalformed {
        /// The parser's text.
        reason: String,
    },
}

impl ConfigError {
    /// Line in the configuration file of the key that it is about, from 1; `None` for what stands
    /// elsewhere.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::KeyUnknown { origin, .. }
            | Self::KeyNotYet { origin, .. }
            | Self::NotOfListener { origin, .. }
            | Self::Elsewhere { origin, .. }
            | Self::ListOfTables { origin, .. }
            | Self::SectionExpected { origin, .. }
            | Self::ValueInvalid { origin, .. }
            | Self::KeyMissing { origin, .. }
            | Self::UnknownLoginModule { origin, .. } => origin.line(),
            Self::FileMalformed { .. } | Self::FileUnreadable { .. } | Self::JsonMalformed { .. } => None,
        }
    }
}

fn of_list(name: &str, is_section: bool) -> String {
    if is_section {
        format!(
            "`[{name}]` is a section, of which there is one: write it in single brackets, with the keys of all of them"
        )
    } else {
        "nothing in the configuration is a list of tables".to_owned()
    }
}

fn hint(nearest: Option<&str>, section: Option<&str>) -> String {
    match (nearest, section) {
        (Some(nearest), _) => format!("; did you mean `{nearest}`?"),
        (None, Some(section)) => format!("; docs/configuration.md has the keys of `[{section}]`"),
        (None, None) => String::new(),
    }
}
