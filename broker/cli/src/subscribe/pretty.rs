//! `--pretty`: JSON with one member a line.
//!
//! Invariant: nothing but blanks between tokens differs from the payload, so numbers of any length,
//! repeated names and their order stay as they came.

use serde::de::IgnoredAny;

/// The payload with line breaks and indentation; `None` if it is no JSON object or array.
pub(crate) fn pretty(payload: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    if !text.starts_with(['{', '[']) || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return None;
    }
    let mut writer = Writer::default();
    let mut is_in_string = false;
    let mut is_escaped = false;
    for char in text.chars() {
        if is_in_string {
            writer.out.push(char);
            is_in_string = is_escaped || char != '"';
            is_escaped = char == '\\' && !is_escaped;
        } else if !char.is_ascii_whitespace() {
            is_in_string = char == '"';
            writer.token(char);
        }
    }
    Some(writer.out)
}

#[derive(Default)]
struct Writer {
    out: String,
    depth: usize,
    /// Whether a bracket was opened and nothing stands behind it yet.
    is_empty: bool,
}

impl Writer {
    /// Writes a character outside of strings that is no blank.
    fn token(&mut self, char: char) {
        let was_empty = std::mem::replace(&mut self.is_empty, matches!(char, '{' | '['));
        match char {
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                if !was_empty {
                    self.line_break();
                }
                self.out.push(char);
            }
            _ => {
                if was_empty {
                    self.line_break();
                }
                self.out.push(char);
                self.behind(char);
            }
        }
    }

    fn behind(&mut self, char: char) {
        match char {
            '{' | '[' => self.depth += 1,
            ',' => self.line_break(),
            ':' => self.out.push(' '),
            _ => {}
        }
    }

    fn line_break(&mut self) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_change() {
        for (payload, expected) in [
            (
                r#"{"a":1,"b":[true,{"c":"x, {y}"}]}"#,
                Some("{\n  \"a\": 1,\n  \"b\": [\n    true,\n    {\n      \"c\": \"x, {y}\"\n    }\n  ]\n}"),
            ),
            (" { \"a\" : [ ] , \"a\":{} } ", Some("{\n  \"a\": [],\n  \"a\": {}\n}")),
            (
                r#"["\\","\"",12345678901234567890123.0]"#,
                Some("[\n  \"\\\\\",\n  \"\\\"\",\n  12345678901234567890123.0\n]"),
            ),
            ("81", None),
            ("{not json}", None),
            ("", None),
        ] {
            assert_eq!(pretty(payload.as_bytes()).as_deref(), expected, "{payload}");
        }
        assert_eq!(pretty(b"{\"a\":\"\xff\"}"), None);
    }
}
