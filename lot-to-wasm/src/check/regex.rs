//! Regular expression literals: validity, which engine they need (LoT reference §5.3), and what those of one definition may cost together.

use super::Checker;
use super::tree::{Regex, RegexEngine, RegexId};
use crate::diagnostic::{Draft, codes};
use crate::limits::{
    LARGE_PATTERNS_MAX, LINEAR_BYTES_MAX, LINEAR_BYTES_PER_BYTE, LINEAR_BYTES_SMALL, PATTERNS_COST_MAX,
    SHORT_PATTERN_BYTES_MAX, SHORT_PATTERNS_MAX, STEPS_OF_CHECK,
};
use crate::syntax::Text;
use lot_patterns::PatternError;
use lot_patterns::limits::{PATTERN_BYTES_MAX, PATTERN_COST_MAX};

/// What the linear engine says of a pattern with more states than it may have.
const TOO_MANY_STATES: &str = "compiled regex exceeded size limit";

/// What the patterns of a definition have cost so far.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// Large ones of the linear engine.
    large: usize,
    /// Those with backtracking.
    cost: u64,
}

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
        let engine = match engine(&pattern, &mut self.spent_on_patterns) {
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

/// Whether patterns take longer than others may be kept waiting for: searches with backtracking do, and to compile what a new instance needs, if it is much.
pub(super) fn take_long(regexes: &[Regex]) -> bool {
    let bytes: usize = regexes.iter().map(|regex| regex.pattern.len()).sum();
    regexes.len() > SHORT_PATTERNS_MAX
        || bytes > SHORT_PATTERN_BYTES_MAX
        || regexes.iter().any(|regex| match regex.engine {
            RegexEngine::Backtracking => true,
            RegexEngine::Linear => compile_linear(&regex.pattern, few(&regex.pattern)).is_err(),
        })
}

/// The engine that takes a pattern: the linear one when it can. The error is the reason of the stronger one.
fn engine(pattern: &str, spent: &mut Spent) -> Result<RegexEngine, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(PatternError::TooLong.to_string());
    }
    if is_linear(pattern, spent)? {
        return Ok(RegexEngine::Linear);
    }
    if spent.cost <= PATTERNS_COST_MAX {
        let price = lot_patterns::price(pattern);
        // To find out that one is too large may take as long as to compile one that is not.
        let is_too_large = matches!(price, Err(PatternError::TooLarge { .. }));
        let cost = if is_too_large { PATTERN_COST_MAX } else { price.as_ref().map_or(0, |price| price.cost) };
        spent.cost = spent.cost.saturating_add(cost);
        price.map_err(|error| error.to_string())?;
    }
    if spent.cost > PATTERNS_COST_MAX {
        return Err(format!(
            "those with look-around in this definition cost more than {PATTERNS_COST_MAX} together; split the definition"
        ));
    }
    lot_patterns::compile(pattern, STEPS_OF_CHECK).map_err(|error| error.to_string())?;
    Ok(RegexEngine::Backtracking)
}

/// Whether the linear engine takes a pattern. What has few states for its length is bounded by the length of the text; of others there may be a few.
fn is_linear(pattern: &str, spent: &mut Spent) -> Result<bool, String> {
    match compile_linear(pattern, few(pattern)) {
        Ok(_) => return Ok(true),
        Err(error) if error.to_string() != TOO_MANY_STATES => return Ok(false),
        Err(_) => {}
    }
    if spent.large == LARGE_PATTERNS_MAX {
        return Err(format!(
            "more than {LARGE_PATTERNS_MAX} patterns with large repetitions in this definition; lower their upper bounds, or split the definition"
        ));
    }
    spent.large += 1;
    Ok(compile_linear(pattern, LINEAR_BYTES_MAX).is_ok())
}

/// Bytes of states that a pattern has for its length, if no repetition in it is large.
fn few(pattern: &str) -> usize {
    (LINEAR_BYTES_SMALL + pattern.len() * LINEAR_BYTES_PER_BYTE).min(LINEAR_BYTES_MAX)
}

fn compile_linear(pattern: &str, bytes_max: usize) -> Result<regex_lite::Regex, regex_lite::Error> {
    regex_lite::RegexBuilder::new(pattern).size_limit(bytes_max).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine_of(pattern: &str) -> Result<RegexEngine, String> {
        engine(pattern, &mut Spent::default())
    }

    #[test]
    fn look_around_and_back_references_need_backtracking() {
        for (pattern, expected) in [
            ("[0-9]+", Some(RegexEngine::Linear)),
            (r"temp:(\d+)", Some(RegexEngine::Linear)),
            (r"(?<value>\w+);", Some(RegexEngine::Linear)),
            ("x{1,1000}", Some(RegexEngine::Linear)),
            (r"(?<=t=)\d+", Some(RegexEngine::Backtracking)),
            (r"\d+(?=C)", Some(RegexEngine::Backtracking)),
            (r"(a)\1", Some(RegexEngine::Backtracking)),
            ("(", None),
            ("[z-a]", None),
        ] {
            assert_eq!(engine_of(pattern).ok(), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_ask_for_much_are_refused() {
        for pattern in ["(a{1000}){1000}", r"(?=(?:\w{1,20}){1,20})a", r"(\w{1000}){200}"] {
            let reason = engine_of(pattern).expect_err(pattern);
            assert!(reason.starts_with("too large: it costs "), "{reason}");
        }
    }

    /// Each may be as large as one may be.
    #[test]
    fn patterns_of_one_definition_are_bounded_together() {
        let last = |patterns: &mut dyn Iterator<Item = String>| {
            let mut spent = Spent::default();
            patterns.map(|pattern| engine(&pattern, &mut spent)).find_map(Result::err)
        };
        let dear = last(&mut (0..200).map(|number| format!(r"(?={number}\w{{1,20}})a")));
        assert!(dear.is_some_and(|reason| reason.contains("split the definition")));
        let large = last(&mut (0..200).map(|number| format!("{number}x{{1,1000}}")));
        assert!(large.is_some_and(|reason| reason.contains("large repetitions")));
        let small = last(&mut (0..2_000).map(|number| format!("t{number}=([0-9]{{1,3}})[a-zA-Z]+(?:x|y)*")));
        assert_eq!(small, None);
    }
}
