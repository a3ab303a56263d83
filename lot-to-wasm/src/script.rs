//! Header of a Python script with its name (LoT reference §12). Not here: running the script.

use crate::limits::NAME_BYTES_MAX;

/// Lines among which the header with the name must be.
const HEADER_LINES: usize = 10;

/// A script without a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Python script must start with '# Script Name: <Name>'.")]
pub struct NameMissing {
    /// Replacement for an older header, or for its name.
    pub suggestion: Option<String>,
}

/// The name in the header of a script.
///
/// ```
/// assert_eq!(lot_to_wasm::script::name("# Script Name: Stat\nx = 1\n"), Ok("Stat"));
/// ```
///
/// # Errors
/// [`NameMissing`] when the first lines have none that is an identifier.
pub fn name(source: &str) -> Result<&str, NameMissing> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut header =
        source.lines().take(HEADER_LINES).map(|line| line.trim().trim_start_matches('#').trim_start());
    if let Some(name) = header.clone().find_map(|line| line.strip_prefix("Script Name:")).map(str::trim) {
        if is_name(name) {
            return Ok(name);
        }
        if name.len() > NAME_BYTES_MAX {
            let suggestion = format!("the name has {} bytes, the limit is {NAME_BYTES_MAX}", name.len());
            return Err(NameMissing { suggestion: Some(suggestion) });
        }
    }
    let older = header.find_map(|line| line.strip_prefix("@name "));
    Err(NameMissing { suggestion: older.map(|name| format!("write: # Script Name: {}", name.trim())) })
}

/// Whether a script may be called this.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && name.len() <= NAME_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_script() {
        for (source, expected) in [
            ("# Script Name: Stat\n", Some("Stat")),
            ("#Script Name:Stat\r\nx = 1", Some("Stat")),
            ("\"\"\"doc\"\"\"\n\n# Script Name:  a_1  \n", Some("a_1")),
            ("# Script Name: two words\n", None),
            ("# Script Name: 1a\n", None),
            ("# Script Name:\n", None),
            ("# @name Stat\n", None),
            ("\u{feff}# Script Name: Bom\n", Some("Bom")),
            ("x = 1\n", None),
            ("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n# Script Name: Late\n", None),
        ] {
            assert_eq!(name(source).ok(), expected, "{source:?}");
        }
        let missing = name("# @name Stat\n").unwrap_err();
        assert_eq!(missing.suggestion.as_deref(), Some("write: # Script Name: Stat"));
    }
}
