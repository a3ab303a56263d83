//! Regular expression literals: their validity, their engine (LoT reference §5.3), and the limits
//! of their cost in one definition and in one text.

use std::cell::Cell;

use super::Checker;
use super::tree::{Regex, RegexEngine, RegexId};
use crate::diagnostic::{Draft, codes};
use crate::limits::{
    LARGE_PATTERNS_MAX, LARGE_PATTERNS_OF_PROJECT_MAX, LARGE_PATTERNS_OF_TEXT_MAX, LINEAR_BYTES_MAX,
    LINEAR_BYTES_PER_BYTE, LINEAR_BYTES_SMALL, PATTERNS_COST_MAX, PATTERNS_COST_OF_PROJECT_MAX,
    PATTERNS_COST_OF_TEXT_MAX, SHORT_PATTERN_BYTES_MAX, SHORT_PATTERNS_MAX, STEPS_OF_CHECK,
};
use crate::syntax::{Expression, ExpressionKind, Text};
use lot_patterns::PatternError;
use lot_patterns::limits::{PATTERN_BYTES_MAX, PATTERN_COST_MAX};

/// Error message of the linear engine for a pattern with too many states.
const TOO_MANY_STATES: &str = "compiled regex exceeded size limit";

/// Cost so far of the patterns of a definition.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// Large ones of the linear engine.
    large: usize,
    /// Those with backtracking.
    cost: u64,
}

/// How a text that is compared by MATCHES is meant otherwise.
enum Meant {
    /// As a regular expression.
    Regex,
    /// As a pattern with `*` for anything.
    Glob,
    /// As a Topic Filter.
    Filter,
}

/// Returns the kind of pattern that a text looks like; MATCHES compares the text literally.
fn meant(text: &str) -> Option<Meant> {
    if text.contains('/') && text.split('/').any(|level| matches!(level, "+" | "#")) {
        return Some(Meant::Filter);
    }
    let is_class = text.split_once('[').is_some_and(|(_, behind)| behind.contains(']'));
    let has_sign = ['\\', '|'].iter().any(|sign| text.contains(*sign));
    let repeats = [".*", ".+", ".?", "]+", ")+", ")*", "(?"].iter().any(|sign| text.contains(sign));
    if is_class || has_sign || repeats || text.starts_with('^') || text.ends_with('$') && text.len() > 1 {
        return Some(Meant::Regex);
    }
    text.contains('*').then_some(Meant::Glob)
}

impl Checker<'_, '_, '_> {
    /// Reports a text behind MATCHES that looks like a pattern: it is compared as it stands.
    pub(super) fn warn_of_pattern(&mut self, right: &Expression) {
        let ExpressionKind::Text(text) = &right.kind else { return };
        let Some(meant) = meant(text) else { return };
        let message = "MATCHES without REGEX compares with the text as it stands";
        let draft = Draft::warning(codes::PATTERN_AS_TEXT, right.span, message);
        self.error(match meant {
            Meant::Regex => draft.suggest("write MATCHES REGEX").fix(right.span.before(), "REGEX "),
            Meant::Glob => draft.suggest(
                "write STARTS_WITH, ENDS_WITH or CONTAINS, or MATCHES REGEX with a pattern, in which .* stands for any text",
            ),
            Meant::Filter => draft.suggest(
                "ask for levels, TOPIC POSITION 1 == \"a\", or write MATCHES REGEX with a pattern, in which [^/]+ stands for a level",
            ),
        });
    }
}

/// Unit of entities that are compiled together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    Text,
    Project,
}

impl Whole {
    /// Its name in messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Project => "project",
        }
    }
}

/// Cost so far of the patterns of all entities that are compiled together.
#[derive(Debug)]
pub(crate) struct PatternsOfText {
    whole: Whole,
    cost: Cell<u64>,
    large: Cell<usize>,
}

impl PatternsOfText {
    /// Nothing yet.
    pub(crate) fn new(whole: Whole) -> Self {
        Self { whole, cost: Cell::new(0), large: Cell::new(0) }
    }

    /// Whether those with look-around cost more than they may.
    fn is_spent(&self) -> bool {
        self.cost.get() > self.cost_max()
    }

    fn cost_max(&self) -> u64 {
        match self.whole {
            Whole::Text => PATTERNS_COST_OF_TEXT_MAX,
            Whole::Project => PATTERNS_COST_OF_PROJECT_MAX,
        }
    }

    fn large_max(&self) -> usize {
        match self.whole {
            Whole::Text => LARGE_PATTERNS_OF_TEXT_MAX,
            Whole::Project => LARGE_PATTERNS_OF_PROJECT_MAX,
        }
    }

    fn too_dear(&self) -> PatternRefusal {
        let (whole, max) = (self.whole.word(), self.cost_max());
        PatternRefusal::OfText(format!(
            "the patterns with look-around of this {whole} cost more than {max} together"
        ))
    }

    fn too_many_large(&self) -> PatternRefusal {
        let (whole, max) = (self.whole.word(), self.large_max());
        PatternRefusal::OfText(format!("this {whole} has more than {max} patterns with large repetitions"))
    }
}

/// Reason why a pattern is refused.
#[derive(Debug)]
enum PatternRefusal {
    /// The pattern is wrong, or the definition has too many expensive patterns.
    Bad(String),
    /// That those of the text together ask for too much.
    OfText(String),
}

impl PatternRefusal {
    fn draft(self, text: &Text) -> Draft {
        match self {
            Self::Bad(reason) => {
                Draft::error(codes::BAD_REGEX, text.span, format!("bad regular expression: {reason}"))
            }
            Self::OfText(reason) => Draft::error(codes::PATTERNS_OF_TEXT, text.span, reason).suggest(
                "add the definitions with several commands, or lower the upper bounds of repetitions",
            ),
        }
    }
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
        let of_text = self.sink.patterns();
        let engine = engine(&pattern, &mut self.spent_on_patterns, of_text).unwrap_or_else(|refusal| {
            self.error(refusal.draft(text));
            RegexEngine::Linear
        });
        let has_value_group = pattern.contains("(?<value>") || pattern.contains("(?P<value>");
        Regex { pattern, engine, has_value_group }
    }
}

/// Whether patterns take longer than other runs may wait: searches with backtracking do, and so
/// does compiling many patterns for a new instance.
pub(super) fn take_long(regexes: &[Regex]) -> bool {
    let bytes: usize = regexes.iter().map(|regex| regex.pattern.len()).sum();
    regexes.len() > SHORT_PATTERNS_MAX
        || bytes > SHORT_PATTERN_BYTES_MAX
        || regexes.iter().any(|regex| match regex.engine {
            RegexEngine::Backtracking => true,
            RegexEngine::Linear => compile_linear(&regex.pattern, few(&regex.pattern)).is_err(),
        })
}

/// The engine that takes a pattern: the linear one when it can. The error is the reason of the
/// stronger one.
fn engine(
    pattern: &str,
    spent: &mut Spent,
    of_text: Option<&PatternsOfText>,
) -> Result<RegexEngine, PatternRefusal> {
    let bad = |error: PatternError| PatternRefusal::Bad(error.to_string());
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(bad(PatternError::TooLong));
    }
    if is_linear(pattern, spent, of_text)? {
        return Ok(RegexEngine::Linear);
    }
    if let Some(of_text) = of_text.filter(|of_text| of_text.is_spent()) {
        return Err(of_text.too_dear());
    }
    if spent.cost <= PATTERNS_COST_MAX {
        let price = lot_patterns::price(pattern);
        // To find out that one is too large may take as long as to compile one that is not.
        let is_too_large = matches!(price, Err(PatternError::TooLarge { .. }));
        let cost = if is_too_large { PATTERN_COST_MAX } else { price.as_ref().map_or(0, |price| price.cost) };
        spent.cost = spent.cost.saturating_add(cost);
        if let Some(of_text) = of_text {
            of_text.cost.set(of_text.cost.get().saturating_add(cost));
        }
        price.map_err(bad)?;
    }
    if spent.cost > PATTERNS_COST_MAX {
        return Err(PatternRefusal::Bad(format!(
            "those with look-around in this definition cost more than {PATTERNS_COST_MAX} together; split the definition"
        )));
    }
    if let Some(of_text) = of_text.filter(|of_text| of_text.is_spent()) {
        return Err(of_text.too_dear());
    }
    lot_patterns::compile(pattern, STEPS_OF_CHECK).map_err(bad)?;
    Ok(RegexEngine::Backtracking)
}

/// Whether the linear engine takes a pattern. The length of the text bounds patterns with few
/// states for their length. There may be a few other patterns.
fn is_linear(
    pattern: &str,
    spent: &mut Spent,
    of_text: Option<&PatternsOfText>,
) -> Result<bool, PatternRefusal> {
    match compile_linear(pattern, few(pattern)) {
        Ok(_) => return Ok(true),
        Err(error) if error.to_string() != TOO_MANY_STATES => return Ok(false),
        Err(_) => {}
    }
    if spent.large == LARGE_PATTERNS_MAX {
        return Err(PatternRefusal::Bad(format!(
            "more than {LARGE_PATTERNS_MAX} patterns with large repetitions in this definition; lower their upper bounds, or split the definition"
        )));
    }
    if let Some(of_text) = of_text {
        if of_text.large.get() == of_text.large_max() {
            return Err(of_text.too_many_large());
        }
        of_text.large.set(of_text.large.get() + 1);
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
        told(engine(pattern, &mut Spent::default(), None))
    }

    fn told(engine: Result<RegexEngine, PatternRefusal>) -> Result<RegexEngine, String> {
        engine.map_err(|(PatternRefusal::Bad(reason) | PatternRefusal::OfText(reason))| reason)
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
            patterns.map(|pattern| told(engine(&pattern, &mut spent, None))).find_map(Result::err)
        };
        let dear = last(&mut (0..200).map(|number| format!(r"(?={number}\w{{1,20}})a")));
        assert!(dear.is_some_and(|reason| reason.contains("split the definition")));
        let large = last(&mut (0..200).map(|number| format!("{number}x{{1,1000}}")));
        assert!(large.is_some_and(|reason| reason.contains("large repetitions")));
        let small = last(&mut (0..2_000).map(|number| format!("t{number}=([0-9]{{1,3}})[a-zA-Z]+(?:x|y)*")));
        assert_eq!(small, None);
    }

    /// However they are spread over definitions, and those of a project too.
    #[test]
    fn patterns_of_one_text_are_bounded_together() {
        for (whole, word, definitions) in [(Whole::Text, "text", 4), (Whole::Project, "project", 16)] {
            let of_text = PatternsOfText::new(whole);
            let taken = |pattern: &dyn Fn(usize) -> String| {
                let each =
                    |number: usize| told(engine(&pattern(number), &mut Spent::default(), Some(&of_text)));
                let refused =
                    (0..2_000).map(each).enumerate().find_map(|(number, taken)| Some((number, taken.err()?)));
                refused.expect("2,000 are too many")
            };
            let (count, reason) = taken(&|number| format!(r"(?={number}\w{{1,20}})a"));
            assert!((definitions * 6..definitions * 12).contains(&count), "{count}");
            assert!(
                reason.starts_with(&format!("the patterns with look-around of this {word} cost more")),
                "{reason}"
            );
            let (count, reason) = taken(&|number| format!("{number}x{{1,1000}}"));
            assert_eq!(count, definitions * LARGE_PATTERNS_MAX);
            assert!(reason.starts_with(&format!("this {word} has more than {count} patterns")), "{reason}");
            assert_eq!(
                told(engine("[0-9]+", &mut Spent::default(), Some(&of_text))),
                Ok(RegexEngine::Linear)
            );
        }
    }
}
