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
use crate::syntax::Name;

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
