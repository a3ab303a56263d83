//! `CALL ACTION`: runs a callable Action and waits for it (LoT reference §7.7, §8.8).
//!
//! ```text
//! callAction = "CALL" "ACTION" ( ident | string ) [ "WITH" [ "(" ] assign { "," assign } [ ")" ] ]
//!              [ "RETURN" [ "AS" ] retVar { "," retVar } ] ;
//! retVar     = ident | string | var ;
//!
//! CALL ACTION MinMax
//!     WITH a = 12, b = 10
//!     RETURN low, high
//! ```

use super::Assignment;
use super::StatementKind;
use crate::syntax::Name;
use crate::syntax::parse::{Parsed, Parser};

/// `CALL ACTION name WITH … RETURN …`.
#[derive(Debug, Clone, PartialEq)]
pub struct CallAction {
    /// The callee.
    pub name: Name,
    /// Arguments by name.
    pub arguments: Vec<Assignment>,
    /// Variables that receive the outputs; none without `RETURN`.
    pub returns: Vec<Name>,
}

/// Reads what follows `CALL ACTION`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let name = parser.expect_name("CALL ACTION")?;
    let arguments = parser.arguments()?;
    let returns = parser.return_variables()?;
    Ok(StatementKind::CallAction(CallAction { name, arguments, returns }))
}
