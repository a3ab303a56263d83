//! `IF … THEN … ELSE IF … ELSE …`, closed by indentation (LoT reference §8.3).
//!
//! ```text
//! if = "IF" cond "THEN" ( block | stmt NL )
//!      { [NL] "ELSE" "IF" cond "THEN" ( block | stmt NL ) }
//!      [ [NL] "ELSE" ( block | stmt NL ) ] ;
//!
//! IF PAYLOAD > 80 THEN
//!     PUBLISH TOPIC "level" WITH "high"
//! ELSE
//!     PUBLISH TOPIC "level" WITH "low"
//! ```

use super::Statement;
use crate::syntax::Expression;

/// `IF` with all its branches.
#[derive(Debug, Clone, PartialEq)]
pub struct IfElse {
    /// `IF` and `ELSE IF`, at least one.
    pub branches: Vec<IfBranch>,
    /// `ELSE`.
    pub otherwise: Option<Vec<Statement>>,
}

/// A condition with its statements.
#[derive(Debug, Clone, PartialEq)]
pub struct IfBranch {
    /// The condition.
    pub condition: Expression,
    /// The statements; empty only after an error.
    pub body: Vec<Statement>,
}
