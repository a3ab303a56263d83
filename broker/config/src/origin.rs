//! Origin of a value, and precedence of the sources.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use super::Key;

/// Origin of a value: the source that has set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// Set nowhere.
    Default,
    /// The configuration file at this path.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Line of the key, from 1.
        line: Option<usize>,
    },
    /// Written to `$SYS/Coreflux/Config/New` and stored.
    Stored,
    /// The environment variable of this name.
    Environment(String),
    /// The flag, as it is written on the command line.
    Flag(&'static str),
}

impl ValueOrigin {
    /// Strength: of two sources that set a key, the one with the higher rank holds.
    #[must_use]
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Stored => 2,
            Self::Environment(_) => 3,
            Self::Flag(_) => 4,
        }
    }

    /// Line in the configuration file, from 1; `None` for what stands elsewhere.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => *line,
            Self::Default | Self::Stored | Self::Environment(_) | Self::Flag(_) => None,
        }
    }
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line: None } => write!(formatter, "file {}", path.display()),
            Self::File { path, line: Some(line) } => write!(formatter, "file {}:{line}", path.display()),
            Self::Stored => formatter.write_str("Config/New"),
            Self::Environment(name) => write!(formatter, "environment {name}"),
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
        }
    }
}

/// One source gives one key a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) key: &'static Key,
    pub(crate) value: Value,
    pub(crate) origin: ValueOrigin,
}
