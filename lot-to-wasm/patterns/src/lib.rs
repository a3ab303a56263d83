//! Regular expressions that need backtracking (look-around, back references): their limits of cost,
//! and their compilation.
//!
//! The compiler checks literals with it and the host compiles with it, so that both accept the same
//! patterns. A pattern is priced by its tree before anything of it is compiled: 4 KB of text can
//! ask for a minute of compiling and gigabytes.
//!
//! Invariants: the walk over the tree takes time in proportion to the pattern's length; depth is
//! bounded by the parser (64 levels). Not here: patterns without these, which the LoT runtime
//! searches itself, and searching (`host`).

mod class;
mod cost;
pub mod limits;

use fancy_regex::{Expr, Regex, RegexBuilder};
use limits::{PATTERN_BYTES_MAX, PATTERN_COST_MAX, PATTERN_SEARCH_BYTES_MAX};

pub use cost::Price;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct CompiledPattern {
    /// Machine that searches.
    pub regex: Regex,
    /// Cost of the pattern.
    pub price: Price,
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It has more bytes than a pattern may have.
    #[error("longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// Compiling it would take too long, or too much memory.
    #[error(
        "too large: it costs {cost}, limit {PATTERN_COST_MAX}; lower the upper bounds of repetitions such as {{1,1000}}, write [0-9A-Za-z_] for \\w and [A-Za-z] for \\p{{L}} where ASCII will do, use fewer look-arounds and groups ((?:…) instead of (…)), or split the pattern"
    )]
    TooLarge {
        /// Cost of the pattern; after an early rejection, the cost of its first parts.
        cost: u64,
    },
    /// It has something that is not offered.
    #[error("{construct} are not offered; {instead}")]
    NotOffered {
        /// In the plural.
        construct: &'static str,
        /// Construct to write instead.
        instead: &'static str,
    },
    /// It is not valid.
    #[error("{0}")]
    Invalid(String),
}

impl From<fancy_regex::Error> for PatternError {
    fn from(error: fancy_regex::Error) -> Self {
        let text = error.to_string();
        PatternError::Invalid(text.lines().last().unwrap_or("not understood").trim().to_owned())
    }
}

/// Computes the cost of a pattern without compiling it.
///
/// # Errors
/// When it is too long, too large, or its syntax is wrong.
pub fn price(pattern: &str) -> Result<Price, PatternError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(PatternError::TooLong);
    }
    cost::of(&Expr::parse_tree(pattern)?.expr)
}

/// Compiles a pattern; one search takes at most `steps_max` steps.
///
/// # Errors
/// When it is too long, too large, or not valid.
pub fn compile(pattern: &str, steps_max: usize) -> Result<CompiledPattern, PatternError> {
    let price = price(pattern)?;
    let regex = RegexBuilder::new(pattern)
        .backtrack_limit(steps_max)
        .seek(false)
        // A second bound; a pattern within its price fits.
        .delegate_size_limit(price.bytes_of_machine_max())
        .delegate_dfa_size_limit(PATTERN_SEARCH_BYTES_MAX)
        // Those of look-behinds have nothing else to fall back on.
        .delegate_dfa_skip_cache_capacity_check(true)
        .build()?;
    Ok(CompiledPattern { regex, price })
}

#[cfg(test)]
mod tests;
