//! The file `lotmq.toml`: where it is looked for, and its keys.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::malformed::{line_at, malformation};
use super::mosquitto::{TOLD, is_mosquitto};
use super::origin::Assignment;
use super::setting::shown_value;
use super::unknown::{elsewhere, is_section, unknown_key};
use super::{ConfigError, Key, Surroundings, ValueError, ValueOrigin};

/// A configuration file that was read.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Most bytes of a configuration file; all keys with long lists take some 100 KiB.
const FILE_BYTES_MAX: u64 = 4 << 20;

impl ConfigFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError::FileUnreadable`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |reason| ConfigError::FileUnreadable { path: path.to_owned(), reason };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(unreadable(std::io::Error::other(format!(
                "it has more than {FILE_BYTES_MAX} bytes"
            ))));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
            unreadable(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!("line {line} is not UTF-8 text; save the file as UTF-8"),
            ))
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// Reads the file at the [`default_path`]; `None` when there is none.
    ///
    /// # Errors
    /// [`ConfigError::FileUnreadable`] for one that is there and cannot be read.
    pub fn read_default(surroundings: &Surroundings) -> Result<Option<Self>, ConfigError> {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        let Some(path) = default_path(surroundings) else { return Ok(None) };
        match Self::read(&path) {
            Err(ConfigError::FileUnreadable { reason, .. })
                if [NotFound, NotADirectory].contains(&reason.kind()) =>
            {
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    /// Returns the settings of the file, key by key. Returns only the error if the file is not
    /// TOML.
    pub(crate) fn assignments(&self) -> Vec<Result<Assignment, ConfigError>> {
        let table: toml::Table = match toml::from_str(&self.text) {
            Ok(table) => table,
            Err(error) => {
                // The error's own text quotes the line, in which a password may stand.
                let line = error.span().map(|span| line_at(&self.text, span.start));
                let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                let reason = malformation(&self.text, error.message(), error.span());
                let mut reason = format!("{place}{reason}");
                if is_mosquitto(&self.text) {
                    reason = format!("{reason}\n{TOLD}");
                }
                return vec![Err(ConfigError::FileMalformed { path: self.path.clone(), reason })];
            }
        };
        let (mut found, lines) = (Vec::new(), self.lines());
        let origin =
            |path: &str| ValueOrigin::File { path: self.path.clone(), line: lines.get(path).copied() };
        collect(&mut found, "", table, &origin);
        found
    }

    /// Line of each key and section by its path, as far as the file is TOML.
    fn lines(&self) -> BTreeMap<String, usize> {
        let (table, _) = DeTable::parse_recoverable(&self.text);
        let mut lines = BTreeMap::new();
        collect_lines(&mut lines, "", table.get_ref(), &self.text);
        lines
    }
}

/// The place of the file when `--config` names none: `/etc/lotmq/lotmq.toml` for root or a service,
/// else `$XDG_CONFIG_HOME/lotmq/lotmq.toml`, else `~/.config/lotmq/lotmq.toml`; `None` for a user
/// without home.
#[must_use]
pub fn default_path(surroundings: &Surroundings) -> Option<PathBuf> {
    if surroundings.is_root || surroundings.is_service() {
        return Some(PathBuf::from("/etc/lotmq/lotmq.toml"));
    }
    let base = surroundings
        .variable("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| surroundings.variable("HOME").map(|home| Path::new(home).join(".config")))?;
    Some(base.join("lotmq/lotmq.toml"))
}

/// Walks tables down to keys. Depth is bounded by the TOML parser.
fn collect(
    found: &mut Vec<Result<Assignment, ConfigError>>,
    prefix: &str,
    table: toml::Table,
    origin: &impl Fn(&str) -> ValueOrigin,
) {
    for (name, value) in table {
        let path = joined(prefix, &name);
        if let Some(elsewhere) = elsewhere(&path, &origin(&path)) {
            found.push(Err(elsewhere));
            continue;
        }
        match (Key::find(&path), value) {
            (None, value) if is_list_of_tables(&value) => {
                let (is_section, origin) = (is_section(&path), origin(&path));
                found.push(Err(ConfigError::ListOfTables { name: path, origin, is_section }));
            }
            (None, toml::Value::Table(inner))
                if !super::not_yet::is_not_yet(&path) && (!inner.is_empty() || is_section(&path)) =>
            {
                collect(found, &path, inner, origin);
            }
            (None, value) if is_section(&path) => {
                found.push(Err(ConfigError::SectionExpected {
                    value: shown_for_section(&value),
                    origin: origin(&path),
                    name: path,
                }));
            }
            (None, _) => found.push(Err(unknown_key(&path, &origin(&path)))),
            (Some(key), value) if is_nothing_of_json(&value) => {
                let reason = ValueError::WrongType { expected: key.type_name };
                let (value, origin) = (shown_value(&to_json(value)), origin(&path));
                found.push(Err(ConfigError::ValueInvalid { key: key.path, value, origin, reason }));
            }
            (Some(key), value) => {
                found.push(Ok(Assignment { key, value: to_json(value), origin: origin(&path) }));
            }
        }
    }
}

/// The same for the lines where keys and sections begin.
fn collect_lines(lines: &mut BTreeMap<String, usize>, prefix: &str, table: &DeTable<'_>, text: &str) {
    for (name, value) in table {
        let path = joined(prefix, name.get_ref());
        if let (None, DeValue::Table(inner)) = (Key::find(&path), value.get_ref()) {
            collect_lines(lines, &path, inner, text);
        }
        lines.insert(path, line_at(text, name.span().start));
    }
}

/// Returns for a message the value that stands where a section belongs. Of a text only the kind is
/// shown: it may be a password.
fn shown_for_section(value: &toml::Value) -> String {
    match value {
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
        toml::Value::String(_) => "a text".to_owned(),
        toml::Value::Datetime(_) => "a time".to_owned(),
        toml::Value::Array(_) => "a list".to_owned(),
        toml::Value::Table(_) => "a table".to_owned(),
    }
}

/// Whether it was written as `[[name]]`.
fn is_list_of_tables(value: &toml::Value) -> bool {
    matches!(value, toml::Value::Array(list) if !list.is_empty() && list.iter().all(toml::Value::is_table))
}

fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Whether it is a date or a number without end, or has one in it: no key takes them, and JSON
/// would make a text or nothing of them.
fn is_nothing_of_json(value: &toml::Value) -> bool {
    match value {
        toml::Value::Datetime(_) => true,
        toml::Value::Float(number) => !number.is_finite(),
        toml::Value::Array(list) => list.iter().any(is_nothing_of_json),
        toml::Value::Table(table) => table.values().any(is_nothing_of_json),
        toml::Value::String(_) | toml::Value::Integer(_) | toml::Value::Boolean(_) => false,
    }
}

fn to_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(value) => Value::Bool(value),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(list) => list.into_iter().map(to_json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(name, value)| (name, to_json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether root, environment, expected place.
    type Case = (bool, &'static [(&'static str, &'static str)], Option<&'static str>);

    #[test]
    fn the_default_place_follows_who_runs_the_broker() {
        let cases: [Case; 6] = [
            (true, &[("XDG_CONFIG_HOME", "/x")], Some("/etc/lotmq/lotmq.toml")),
            (false, &[("STATE_DIRECTORY", "/s"), ("HOME", "/home/ada")], Some("/etc/lotmq/lotmq.toml")),
            (false, &[("HOME", "/var/lib/lotmq")], Some("/etc/lotmq/lotmq.toml")),
            (false, &[("XDG_CONFIG_HOME", "/x"), ("HOME", "/home/ada")], Some("/x/lotmq/lotmq.toml")),
            (false, &[("HOME", "/home/ada")], Some("/home/ada/.config/lotmq/lotmq.toml")),
            (false, &[], None),
        ];
        for (is_root, variables, expected) in cases {
            let environment =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let found = default_path(&Surroundings { is_root, environment });
            assert_eq!(found.as_deref(), expected.map(Path::new), "{variables:?}");
        }
    }
}
