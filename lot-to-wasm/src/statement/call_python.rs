//! `CALL PYTHON`: calls a function of a Python script (LoT reference §8.8, §12).
//!
//! ```text
//! callPython = "CALL" "PYTHON" string [ "WITH" "(" [ value { "," value } ] ")" ] [ "RETURN" "AS" retVar ] ;
//!
//! CALL PYTHON "Stat.avg" WITH (1, 4) RETURN AS {r}
//! ```

use crate::syntax::{Expression, Name, Text};

/// `CALL PYTHON "Script.function" WITH (…) RETURN AS r`.
#[derive(Debug, Clone, PartialEq)]
pub struct CallPython {
    /// `Script.function`.
    pub function: Text,
    /// Positional arguments.
    pub arguments: Vec<Expression>,
    /// Variable that receives the result.
    pub returns: Option<Name>,
}
