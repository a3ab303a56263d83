//! How much code a definition may have: native code of it takes memory that grows with the square
//! of its branches.

use super::code::Code;
use crate::limits::{BRANCHES_MAX, INSTRUCTIONS_MAX};

/// Comparisons with texts that are written in place, each with some branches; for further ones the
/// runtime is called.
pub(super) const IN_PLACE_MAX: usize = 1000;

/// A definition that is too much for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the code has {count} {what}, the limit is {limit}")]
pub struct TooLarge {
    what: &'static str,
    count: usize,
    limit: usize,
}

impl TooLarge {
    /// Whether these functions together keep within the bounds.
    pub(super) fn check<'c>(functions: impl Iterator<Item = &'c Code> + Clone) -> Result<(), TooLarge> {
        let branches = functions.clone().map(|code| code.branches).sum();
        let instructions = functions.map(|code| code.operations.len()).sum();
        for (what, count, limit) in
            [("branches", branches, BRANCHES_MAX), ("instructions", instructions, INSTRUCTIONS_MAX)]
        {
            if count > limit {
                return Err(TooLarge { what, count, limit });
            }
        }
        Ok(())
    }
}
