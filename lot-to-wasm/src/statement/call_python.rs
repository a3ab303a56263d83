//! `CALL PYTHON`: calls a function of a Python script (LoT reference §8.8, §12).
//!
//! ```text
//! callPython = "CALL" "PYTHON" string [ "WITH" "(" [ value { "," value } ] ")" ] [ "RETURN" "AS" retVar ] ;
//!
//! CALL PYTHON "Stat.avg" WITH (1, 4) RETURN AS {r}
//! ```

use super::StatementKind;
use crate::check::Checker;
use crate::check::kind::KindSet;
use crate::check::tree;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, Name, Text};
use crate::token::Sign;

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

/// Reads what follows `CALL PYTHON`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let function = parser.expect_text("CALL PYTHON")?;
    let mut arguments = Vec::new();
    if parser.eat_word("WITH") {
        parser.expect_sign(Sign::OpenParen, "WITH")?;
        arguments = parser.items(Sign::CloseParen, "the arguments", Parser::value)?;
    }
    let returns = parser.return_variable()?;
    Ok(StatementKind::CallPython(CallPython { function, arguments, returns }))
}

impl CallPython {
    pub(crate) fn check(&self, checker: &mut Checker<'_, '_, '_>) -> tree::StatementKind {
        let arguments = self.arguments.iter().map(|argument| checker.value(argument)).collect();
        let returned = self.returns.as_ref().map_or(tree::RESULT, |name| name.text.as_str());
        let result = checker.scope.find(returned);
        if let Some(id) = result {
            checker.scope.set(id, KindSet::RETURNED);
        }
        tree::StatementKind::CallPython { function: self.function.value.clone(), arguments, result }
    }
}
