//! Users, permissions and settings of mosquitto, as users, rules and settings of lotmq.
//!
//! [`read`] takes a `mosquitto.conf`, a password file, an ACL file or the JSON of the plugin
//! `dynamic_security`, and follows the files that a configuration names. The result is an
//! [`Import`]: accounts with their hashes, a LoT text of rules, a `lotmq.toml`, and a [`Remark`]
//! with file and line for each thing that has no equal.
//!
//! Invariants: no input makes it panic; what is not taken over is remarked; rules allow nothing
//! that mosquitto would deny. Not here: sending the result to a broker (`lotmq import`).

mod access_file;
mod conf_file;
mod dynamic_security;
pub mod limits;
mod line;
mod password_file;
mod rule_text;
mod settings;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::limits::{IMPORT_FILE_BYTES_MAX, IMPORT_REMARKS_MAX};
use crate::rule_text::AclGrants;
use crate::settings::TomlSettings;

/// Account of another broker.
#[derive(Clone, PartialEq, Eq)]
pub struct ImportedUser {
    /// Its name, which a user of lotmq may have.
    pub name: String,
    /// Its hash: `$6$…` or `$7$…`.
    pub hash: String,
    /// Its groups, by name.
    pub groups: Vec<String>,
}

impl fmt::Debug for ImportedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportedUser")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// Remark about something that has no equal, or another meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// File that has it.
    pub file: PathBuf,
    /// Line, from 1; 0 for a file as a whole.
    pub line: usize,
    /// Its kind, and the way to get the same.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file.display(), self.text),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.text),
        }
    }
}

/// Everything that was taken over.
#[derive(Debug, Default)]
pub struct Import {
    /// Accounts, in the order of the files.
    pub users: Vec<ImportedUser>,
    /// LoT text of all rules; empty where nothing restricts anybody.
    pub rules: String,
    /// Text of a `lotmq.toml`; empty unless a configuration was read.
    pub settings: String,
    /// Remarks, in the order of the files.
    pub remarks: Vec<Remark>,
    /// Number of further remarks, beyond [`IMPORT_REMARKS_MAX`].
    pub further_remarks: usize,
}

/// Reason why nothing could be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        error: std::io::Error,
    },
    /// The file is larger than any of its kind.
    #[error("{} has {bytes} bytes, limit {IMPORT_FILE_BYTES_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The text is not UTF-8.
    #[error("{} is not text in UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The JSON is not that of the plugin.
    #[error("{} is no file of dynamic_security: {error}", path.display())]
    NotDynamicSecurity {
        /// The file.
        path: PathBuf,
        /// Place and kind of the mistake, without contents.
        error: String,
    },
}

/// Collects what the files of one import say.
#[derive(Debug, Default)]
struct Gathered {
    users: Vec<ImportedUser>,
    grants: AclGrants,
    settings: Option<TomlSettings>,
    remarks: Vec<Remark>,
    further_remarks: usize,
}

impl Gathered {
    fn remark(&mut self, file: &Path, line: usize, text: impl Into<String>) {
        if self.remarks.len() >= IMPORT_REMARKS_MAX {
            self.further_remarks += 1;
            return;
        }
        self.remarks.push(Remark { file: file.to_owned(), line, text: text.into() });
    }

    /// Adds an account, unless it cannot be one here.
    fn add_user(&mut self, file: &Path, line: usize, user: ImportedUser) {
        let name = &user.name;
        let refusal = if name == lotmq_auth::ROOT {
            Some(
                "user root is the administrator of lotmq and keeps its password; `lotmq passwd root` sets it"
                    .to_owned(),
            )
        } else if let Err(error) = lotmq_auth::check_user_name(name) {
            Some(format!("user {name:?} is left out: {error}"))
        } else if let Err(error) = lotmq_auth::Credential::from_imported(&user.hash) {
            Some(format!("user {name:?} is left out: {error}"))
        } else if self.users.iter().any(|known| known.name == *name) {
            Some(format!("user {name:?} is there twice; the first one counts"))
        } else {
            None
        };
        match refusal {
            Some(text) => self.remark(file, line, text),
            None => self.users.push(user),
        }
    }

    fn finish(self) -> Import {
        let Self { users, grants, settings, remarks, further_remarks } = self;
        let settings = settings.map(|settings| settings.text()).unwrap_or_default();
        Import { users, rules: grants.text(), settings, remarks, further_remarks }
    }
}

/// Directives of a configuration without `_` in their names.
const DIRECTIVES: [&str; 6] = ["address", "connection", "listener", "persistence", "plugin", "port"];

/// Kind of a file of mosquitto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Configuration,
    Passwords,
    Access,
    DynamicSecurity,
}

impl FileKind {
    /// Kind of a text, by its first words.
    fn of(text: &str) -> Self {
        if text.trim_start().starts_with('{') {
            return Self::DynamicSecurity;
        }
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let first_word = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
        let is_access = |line: &str| ["user", "topic", "pattern"].contains(&&*first_word(line));
        let is_password = |line: &str| first_word(line).contains(':');
        let is_directive = |line: &str| {
            let word = first_word(line);
            word.contains('_') || DIRECTIVES.contains(&&*word)
        };
        // A configuration has lines with `user` and `topic`, too.
        if lines().any(is_access) && !lines().any(is_directive) {
            Self::Access
        } else if lines().next().is_some() && lines().all(is_password) {
            Self::Passwords
        } else {
            Self::Configuration
        }
    }
}

/// Reads a file of mosquitto, of whatever kind it is, and the files that it names.
///
/// # Errors
/// [`ForeignFileError`] for this file. Files that it names are remarked instead.
pub fn read(path: &Path) -> Result<Import, ForeignFileError> {
    let text = text_of(path)?;
    let mut collected = Gathered::default();
    match FileKind::of(&text) {
        FileKind::Configuration => conf_file::read(path, &text, &mut collected),
        FileKind::Passwords => password_file::read(path, &text, &mut collected),
        FileKind::Access => access_file::read(path, &text, &mut collected),
        FileKind::DynamicSecurity => dynamic_security::read(path, &text, &mut collected)?,
    }
    Ok(collected.finish())
}

/// Text of a file, within its bound.
fn text_of(path: &Path) -> Result<String, ForeignFileError> {
    let unreadable = |error| ForeignFileError::Unreadable { path: path.to_owned(), error };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > IMPORT_FILE_BYTES_MAX {
        return Err(ForeignFileError::TooLarge { path: path.to_owned(), bytes });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| ForeignFileError::NotText { path: path.to_owned() })
}

#[cfg(test)]
mod tests;
