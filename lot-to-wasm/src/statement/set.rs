//! `SET "x" WITH v`: assigns a variable of the run (LoT reference §8.1).
//!
//! ```text
//! set = "SET" ( string | ident | var ) ( "WITH" | "TO" | "AS" | "=" ) value ;
//!
//! SET "total" WITH {total} + PAYLOAD
//! ```

use crate::syntax::{Expression, Name};

/// `SET name WITH value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    /// The variable.
    pub name: Name,
    /// Its new value.
    pub value: Expression,
}
