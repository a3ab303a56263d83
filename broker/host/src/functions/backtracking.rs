//! `backtracking`: regular expressions with look-around. No capability needed. Bounds: length of patterns, how many are kept, steps.

use crate::{
    Severity,
    instance::Stopped,
    limits::{BACKTRACK_STEPS_MAX, PATTERN_BYTES_MAX, PATTERNS_MAX},
    state::RunState,
};
use fancy_regex::{Regex, RegexBuilder, RuntimeError};
use std::{cell::RefCell, sync::Arc};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, WasmStr};

/// Part of a text in bytes.
#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
struct Span {
    #[component(name = "start")]
    start: u32,
    #[component(name = "end")]
    end: u32,
}

/// A pattern and what became of it: a machine, or the reason why not.
type Compiled = (String, Result<Arc<Regex>, String>);

/// Compiled patterns of one instance.
pub(crate) struct Patterns {
    /// The one used longest ago first.
    compiled: RefCell<Vec<Compiled>>,
    /// Steps of one search.
    steps_max: usize,
}

impl Default for Patterns {
    fn default() -> Self {
        Patterns::new(BACKTRACK_STEPS_MAX)
    }
}

impl Patterns {
    pub(crate) fn new(steps_max: usize) -> Self {
        Patterns { compiled: RefCell::default(), steps_max }
    }

    fn get(&self, pattern: &str) -> Result<Arc<Regex>, String> {
        let mut patterns = self.compiled.borrow_mut();
        let found = patterns.iter().position(|(known, _)| known == pattern);
        let entry = match found {
            Some(index) => patterns.remove(index),
            None => {
                let surplus = (patterns.len() + 1).saturating_sub(PATTERNS_MAX);
                patterns.drain(..surplus);
                (pattern.to_owned(), compile(pattern, self.steps_max))
            }
        };
        let regex = entry.1.clone();
        patterns.push(entry);
        regex
    }
}

fn compile(pattern: &str, steps_max: usize) -> Result<Arc<Regex>, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("pattern has {} bytes, limit {PATTERN_BYTES_MAX}", pattern.len()));
    }
    RegexBuilder::new(pattern)
        .backtrack_limit(steps_max)
        .delegate_size_limit(1 << 20)
        .build()
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("lotmq:guest/backtracking@0.1.0")?;
    interface.func_wrap("find", |store, (pattern, text): (WasmStr, WasmStr)| {
        let (pattern, text) = (pattern.to_str(&store)?, text.to_str(&store)?);
        let state = store.data();
        let is_short = state.deadline.slice && !state.has_acted();
        let patterns = if is_short { &state.short_patterns } else { &state.patterns };
        let found = patterns.get(&pattern).and_then(|regex| match find(&regex, &text) {
            Err(error) if is_short && is_too_long(&error) => Ok(Err(Stopped::Slice)),
            Err(error) => Err(error.to_string()),
            Ok(found) => Ok(Ok(found)),
        });
        Ok((found.unwrap_or_else(|message| {
            let mut output = state.output.borrow_mut();
            output.report(state.run.definition, Severity::Error, "PATTERN", &message, (0, 0));
            Ok(None)
        })?,))
    })
}

/// Whether the search was given up for the number of its steps.
fn is_too_long(error: &fancy_regex::Error) -> bool {
    matches!(error, fancy_regex::Error::RuntimeError(RuntimeError::BacktrackLimitExceeded))
}

fn find(regex: &Regex, text: &str) -> Result<Option<Span>, fancy_regex::Error> {
    let captures = regex.captures(text)?;
    let found = captures.as_ref().and_then(|captures| captures.name("value").or_else(|| captures.get(0)));
    Ok(found.and_then(|found| {
        Some(Span { start: u32::try_from(found.start()).ok()?, end: u32::try_from(found.end()).ok()? })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_gives_the_match_or_its_value_group() {
        let patterns = Patterns::default();
        for (pattern, text, expected) in [
            (r"(?<=#)\d+", "a#42b", Some((2, 4))),
            (r"k=(?<value>\w+);", "x k=on; y", Some((4, 6))),
            (r"(\w)\1", "abba", Some((1, 3))),
            (r"z", "abba", None),
        ] {
            let found = find(&patterns.get(pattern).unwrap(), text).unwrap();
            assert_eq!(found.map(|span| (span.start, span.end)), expected, "{pattern}");
        }
    }

    #[test]
    fn a_search_without_end_is_given_up() {
        let patterns = Patterns::default();
        let regex = patterns.get(r"(?=a)((a|aa)+)+\1$").unwrap();
        let text = format!("{}b", "a".repeat(60));
        assert!(is_too_long(&find(&regex, &text).unwrap_err()));
    }

    #[test]
    fn patterns_are_bounded() {
        let patterns = Patterns::default();
        assert!(patterns.get(&"x".repeat(PATTERN_BYTES_MAX + 1)).is_err());
        for number in 0..2 * PATTERNS_MAX {
            patterns.get(&format!("p{number}")).unwrap();
        }
        assert_eq!(patterns.compiled.borrow().len(), PATTERNS_MAX);
    }
}
