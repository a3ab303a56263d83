//! Assignments of values to fields and inputs, and the variables for the outputs of a call.
//!
//! ```text
//! assign = ( path | string ) "=" value ;
//! ```

use std::collections::BTreeSet;

use wasm_encoder::{Instruction, ValType};

use crate::check::Checker;
use crate::check::kind::KindSet;
use crate::check::tree::{Argument, Constant, RESULT, VariableId};
use crate::diagnostic::{Draft, codes};
use crate::lower::{CELL_BYTES, Generator, Representation};
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::{Expression, Name, Path, Position};
use crate::token::{Sign, TokenKind};

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
    /// Whether a value stands here where its name should: a literal alone, a variable or the
    /// payload.
    fn is_argument_without_name(&self) -> bool {
        let is_named = self.peek_at(1).kind == TokenKind::Sign(Sign::Equal);
        let ends = |kind: &TokenKind| {
            let is_sign = matches!(kind, TokenKind::Sign(Sign::Comma | Sign::CloseParen));
            is_sign || matches!(kind, TokenKind::Newline | TokenKind::End)
        };
        let is_value = if self.is_text() {
            ends(&self.peek_at(1).kind)
        } else {
            self.begins_value(0) || self.is_word("PAYLOAD")
        };
        is_value && !is_named
    }

    /// `target = value`.
    pub(crate) fn assignment(&mut self) -> Parsed<Assignment> {
        if self.is_argument_without_name() {
            let draft = Draft::error(codes::EXPECTED_NAME, self.span(), "a value without its name");
            return self.fail(draft.expected(&["name"]).suggest(format!(
                "write the name in front of each: WITH name = {}",
                self.slice(self.span())
            )));
        }
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

/// Arguments of a call by name, which all have different ones.
pub(super) fn checked(assignments: &[Assignment], checker: &mut Checker<'_, '_, '_>) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    let mut names = BTreeSet::new();
    for argument in assignments {
        let name = argument.target.to_string();
        if !names.insert(name.clone()) {
            let message = format!("input `{name}` is given twice");
            checker.error(Draft::error(codes::DUPLICATE_NAME, argument.target.span, message));
        }
        arguments.push(Argument { name, value: checker.value(&argument.value) });
    }
    arguments
}

/// Variables that receive the outputs of a call, and without `RETURN` the one behind `RESULT`.
pub(super) fn received(
    returns: &[Name],
    checker: &mut Checker<'_, '_, '_>,
) -> (Vec<VariableId>, Option<VariableId>) {
    returns.iter().for_each(|name| checker.variable_name(name));
    let variables = returns.iter().filter_map(|name| set(checker, &name.text)).collect();
    let result = if returns.is_empty() { set(checker, RESULT) } else { None };
    (variables, result)
}

/// Notes that a variable receives an output; the hidden one only when a later line may read it.
fn set(checker: &mut Checker<'_, '_, '_>, name: &str) -> Option<VariableId> {
    let id = checker.scope.find(name)?;
    checker.scope.set(id, KindSet::RETURNED);
    Some(id)
}

/// Assigns the outputs of a call, which the host put at the address in its area.
pub(super) fn take_outputs(
    generator: &mut Generator<'_>,
    returns: &[VariableId],
    result: Option<VariableId>,
    (callee, at): (&str, Position),
) {
    let count = returns.len();
    if count > 0 {
        generator.push_output_count();
        generator.code.u32(u32::try_from(count).unwrap_or(u32::MAX));
        generator.code.push(Instruction::I32Ne);
        generator.code.open_if();
        let message = format!("{callee} did not return {count} values, as RETURN names");
        generator.fail(codes::RUN_RETURN_COUNT, &message, at);
        generator.code.end();
    }
    for (variable, offset) in returns.iter().zip((0..).step_by(CELL_BYTES as usize)) {
        generator.push_output(offset);
        generator.assign(*variable, Representation::Cell);
    }
    if let Some(variable) = result {
        generator.push_output_count();
        generator.code.open_if_value(ValType::I32);
        generator.push_output(0);
        generator.code.or_else();
        generator.push_constant(&Constant::Empty);
        generator.code.end();
        generator.assign(variable, Representation::Cell);
    }
}
