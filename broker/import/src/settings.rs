//! Settings of lotmq as the text of a `lotmq.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Keys with their values in TOML, by section.
#[derive(Debug, Default)]
pub(crate) struct TomlSettings(BTreeMap<String, BTreeMap<&'static str, String>>);

impl TomlSettings {
    /// Sets a key to a value that stands in TOML as it is: a number or a word.
    pub(crate) fn set(&mut self, section: &str, key: &'static str, value: impl ToString) {
        self.0.entry(section.to_owned()).or_default().insert(key, value.to_string());
    }

    /// Sets a key to a text.
    pub(crate) fn set_text(&mut self, section: &str, key: &'static str, value: &str) {
        self.set(section, key, quoted(value));
    }

    /// Value of a key, in TOML.
    pub(crate) fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.0.get(section)?.get(key).map(String::as_str)
    }

    /// Whether a section has a key.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.0.contains_key(section)
    }

    /// Text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (section, keys) in &self.0 {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
            text.push('\n');
        }
        text
    }
}

/// Basic string of TOML.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}
