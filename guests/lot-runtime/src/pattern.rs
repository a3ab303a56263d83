//! Regular expressions without look-around and back-references. The compiler sends others to the
//! host.
//!
//! A program's patterns are compiled once, when its instance is made, in memory that outlives the
//! runs.

use regex_lite::Regex;

use crate::value::{Origin, Value};

/// The group that FILTER selects where a pattern has it (OD-24).
const VALUE_GROUP: &str = "value";

/// A compiled pattern.
pub struct Pattern {
    regex: Regex,
    has_value_group: bool,
}

impl Pattern {
    /// Compiles a pattern; `None` when it is not valid or needs backtracking.
    pub fn new(pattern: &str) -> Option<Self> {
        let regex = Regex::new(pattern).ok()?;
        let has_value_group = regex.capture_names().flatten().any(|name| name == VALUE_GROUP);
        let compiled = Self { regex, has_value_group };
        // The first search allocates the search state, which must lie in the same memory as the
        // pattern.
        compiled.filter("");
        Some(compiled)
    }

    /// `MATCHES REGEX`: whether the pattern matches anywhere.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// `FILTER … USING REGEX`: start and end of the first match, or of the group `value` in it.
    pub fn filter(&self, text: &str) -> Option<(usize, usize)> {
        let found = if self.has_value_group {
            self.regex.captures(text)?.name(VALUE_GROUP)?
        } else {
            self.regex.find(text)?
        };
        Some((found.start(), found.end()))
    }
}

/// The value of a filtered text: the part that matched, or Empty.
pub fn part(text: &'static str, range: Option<(usize, usize)>) -> Value {
    range
        .and_then(|(start, end)| text.get(start..end))
        .map_or(Value::Empty, |part| Value::Text(part, Origin::Data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_takes_the_first_match_or_the_value_group() {
        for (pattern, text, expected) in [
            ("[0-9]+", "t=42C 7", Value::data("42")),
            ("t=(\\d+)", "t=42C 7", Value::data("t=42")),
            ("t=(?<value>\\d+)", "t=42C 7", Value::data("42")),
            ("x", "t=42C 7", Value::Empty),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            assert_eq!(part(text, compiled.filter(text)), expected, "{pattern}");
        }
        assert!(Pattern::new("(?<=a)b").is_none());
        assert!(Pattern::new("(").is_none());
    }
}
