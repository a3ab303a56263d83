//! `SWITCH v` with `CASE` and `DEFAULT` (LoT reference §8.4).
//!
//! ```text
//! switch = "SWITCH" value NL IN { "CASE" value { "," value } [ "THEN" ] block }
//!          [ "DEFAULT" [ "THEN" ] block ] DE ;
//!
//! SWITCH PAYLOAD
//!     CASE "on", "1" THEN
//!         PUBLISH TOPIC "lamp" WITH 1
//!     DEFAULT THEN
//!         PUBLISH TOPIC "lamp" WITH 0
//! ```

use super::Statement;
use crate::syntax::Expression;

/// `SWITCH` with its cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// Compared with the cases; evaluated once.
    pub subject: Expression,
    /// In source order.
    pub cases: Vec<SwitchCase>,
    /// `DEFAULT`.
    pub otherwise: Option<Vec<Statement>>,
}

/// `CASE a, b THEN …`.
#[derive(Debug, Clone, PartialEq)]
pub struct SwitchCase {
    /// At least one.
    pub values: Vec<Expression>,
    /// The statements; empty only after an error.
    pub body: Vec<Statement>,
}
