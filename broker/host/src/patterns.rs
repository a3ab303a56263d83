//! Compiled patterns of one instance: regular expressions with look-around.
//!
//! Not here: searching (`functions::backtracking`).

use std::{cell::RefCell, sync::Arc};

use fancy_regex::{Regex, RegexBuilder};

use crate::limits::{BACKTRACK_STEPS_MAX, PATTERN_BYTES_MAX, PATTERNS_MAX};

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

    pub(crate) fn get(&self, pattern: &str) -> Result<Arc<Regex>, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
