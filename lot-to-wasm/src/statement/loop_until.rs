//! `LOOP … UNTIL c`: a loop whose condition is tested after each pass (LoT reference §8.5).
//!
//! ```text
//! loop = "LOOP" block "UNTIL" cond ;
//!
//! LOOP
//!     SET "i" WITH {i} + 1
//! UNTIL {i} == 3
//! ```

use super::Statement;
use crate::source::Span;
use crate::syntax::Expression;

/// `LOOP body UNTIL condition`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoopUntil {
    /// The statements; empty only after an error.
    pub body: Vec<Statement>,
    /// The loop ends when it is true.
    pub until: Expression,
    /// The word `UNTIL`.
    pub until_span: Span,
}
