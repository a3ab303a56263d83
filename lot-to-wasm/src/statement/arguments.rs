//! Assignments of values to fields and inputs, and the variables that take what a call gives back.
//!
//! ```text
//! assign = ( path | string ) "=" value ;
//! ```

use crate::diagnostic::{Draft, codes};
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, Name, Path};
use crate::token::Sign;

/// `target = value`, of `PUBLISH MODEL` and of calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// A field or input.
    pub target: Path,
    /// Its value.
    pub value: Expression,
}

/// Assignments separated by commas; one at the end is ignored.
pub(super) fn assignment_list(parser: &mut Parser<'_, '_>, assignments: &mut Vec<Assignment>) -> Parsed<()> {
    loop {
        assignments.push(parser.assignment()?);
        if !parser.eat_sign(Sign::Comma) || parser.is_line_end() {
            return Ok(());
        }
    }
}

impl Parser<'_, '_> {
    /// `target = value`.
    pub(crate) fn assignment(&mut self) -> Parsed<Assignment> {
        let target = if self.is_text() {
            let text = self.expect_text("WITH")?;
            Path { name: text.value, steps: Vec::new(), span: text.span }
        } else {
            self.path("WITH")?
        };
        self.expect_sign(Sign::Equal, "the name")?;
        let value = self.value()?;
        Ok(Assignment { target, value })
    }

    /// `WITH a = 1, b = 2`, with or without parentheses; nothing when there is no `WITH`.
    pub(crate) fn arguments(&mut self) -> Parsed<Vec<Assignment>> {
        let mut assignments = Vec::new();
        if !self.eat_with_before_arguments() {
            return Ok(assignments);
        }
        if !self.eat_sign(Sign::OpenParen) {
            assignment_list(self, &mut assignments)?;
            return Ok(assignments);
        }
        self.items(Sign::CloseParen, "the arguments", Self::assignment)
    }

    /// `RETURN [AS] a, b`; nothing when there is no `RETURN`.
    pub(crate) fn return_variables(&mut self) -> Parsed<Vec<Name>> {
        let mut names = Vec::new();
        if self.eat_word("RETURN") {
            self.eat_word("AS");
            names.push(self.expect_variable("RETURN")?);
            while self.eat_sign(Sign::Comma) {
                names.push(self.expect_variable("`,`")?);
            }
        }
        Ok(names)
    }

    /// `RETURN AS {r}`; nothing when there is no `RETURN`.
    pub(crate) fn return_variable(&mut self) -> Parsed<Option<Name>> {
        let mut names = self.return_variables()?;
        if let Some(second) = names.get(1) {
            let draft = Draft::error(codes::RETURN_COUNT, second.span, "this call returns one value");
            return self.fail(draft);
        }
        Ok(names.pop())
    }
}
