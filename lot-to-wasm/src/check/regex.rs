//! Regular expression literals: validity, and which engine they need (LoT reference §5.3).

use super::Checker;
use super::tree::{Regex, RegexEngine, RegexId};
use crate::diagnostic::{Draft, codes};
use crate::limits::PATTERN_BYTES_MAX;
use crate::syntax::Text;

impl Checker<'_, '_, '_> {
    /// The pattern's place in the table; an invalid one is reported.
    pub(crate) fn regex(&mut self, pattern: &Text) -> RegexId {
        let known = self.regexes.iter().position(|regex| regex.pattern == pattern.value);
        let index = known.unwrap_or_else(|| {
            let regex = self.compile(pattern);
            self.regexes.push(regex);
            self.regexes.len() - 1
        });
        RegexId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn compile(&mut self, text: &Text) -> Regex {
        let pattern = text.value.clone();
        let engine = match engine(&pattern) {
            Ok(engine) => engine,
            Err(reason) => {
                let draft =
                    Draft::error(codes::BAD_REGEX, text.span, format!("bad regular expression: {reason}"));
                self.error(draft);
                RegexEngine::Linear
            }
        };
        let has_value_group = pattern.contains("(?<value>") || pattern.contains("(?P<value>");
        Regex { pattern, engine, has_value_group }
    }
}

/// The engine that takes a pattern: the linear one when it can. The error is the reason of the stronger one.
fn engine(pattern: &str) -> Result<RegexEngine, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("longer than {PATTERN_BYTES_MAX} bytes"));
    }
    if regex_lite::Regex::new(pattern).is_ok() {
        return Ok(RegexEngine::Linear);
    }
    match fancy_regex::Regex::new(pattern) {
        Ok(_) => Ok(RegexEngine::Backtracking),
        Err(error) => Err(error.to_string().lines().last().unwrap_or("not understood").trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_around_and_back_references_need_backtracking() {
        for (pattern, expected) in [
            ("[0-9]+", Some(RegexEngine::Linear)),
            (r"temp:(\d+)", Some(RegexEngine::Linear)),
            (r"(?<value>\w+);", Some(RegexEngine::Linear)),
            (r"(?<=t=)\d+", Some(RegexEngine::Backtracking)),
            (r"\d+(?=C)", Some(RegexEngine::Backtracking)),
            (r"(a)\1", Some(RegexEngine::Backtracking)),
            ("(", None),
            ("[z-a]", None),
        ] {
            assert_eq!(engine(pattern).ok(), expected, "{pattern}");
        }
    }
}
