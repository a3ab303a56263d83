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
use super::{Construct, Part, each_expression, each_return};
use crate::check::kind::KindSet;
use crate::check::tree::{self, RESULT};
use crate::check::{Callee, Checker};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Name;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, assignments, returns};
use lot_facts::Signature;
use lot_nearest::nearest;
use std::collections::BTreeSet;

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

impl CallAction {
    fn check_signature(&self, signature: &Signature, checker: &mut Checker<'_, '_, '_>) {
        for argument in &self.arguments {
            let name = argument.target.to_string();
            let inputs = signature.inputs.iter().map(|input| input.name.as_str());
            if !inputs.clone().any(|input| input == name) {
                let near = nearest(&name, inputs.clone());
                let known: Vec<&str> = inputs.collect();
                let message = format!("action `{}` has no input `{name}`", self.name.text);
                let draft = Draft::error(codes::UNKNOWN_INPUT, argument.target.span, message);
                let note = if known.is_empty() { "it has none".to_owned() } else { known.join(", ") };
                let draft = match near {
                    Some(_) => draft.note(format!("its inputs: {note}")),
                    None => draft.suggest(format!("its inputs: {note}")),
                };
                checker.error(draft.did_you_mean_path(&argument.target, &name, near));
            }
        }
        let (wanted, found) = (signature.outputs.len(), self.returns.len());
        if let (Some(first), Some(last)) = (self.returns.first(), self.returns.last())
            && wanted != found
        {
            let values = if wanted == 1 { "value" } else { "values" };
            let message = format!("callee returns {wanted} {values}, RETURN names {found}");
            let draft = Draft::error(codes::RETURN_COUNT, first.span.to(last.span), message);
            let hint = match wanted {
                0 => "leave out RETURN".to_owned(),
                _ => format!("its outputs: {}", signature.outputs.join(", ")),
            };
            checker.error(draft.suggest(hint));
        }
    }
}

impl Construct for CallAction {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<tree::StatementKind> {
        match checker.known.action(&self.name.text) {
            Callee::Unknown => {}
            Callee::Triggered => {
                let message =
                    format!("action `{}` is started by a trigger and cannot be called", self.name.text);
                checker.error(Draft::error(codes::CALLEE_TRIGGERED, self.name.span, message));
            }
            Callee::Callable(signature) => self.check_signature(&signature, checker),
        }
        let mut arguments: Vec<tree::Argument> = Vec::new();
        let mut names = BTreeSet::new();
        for argument in &self.arguments {
            let name = argument.target.to_string();
            if !names.insert(name.clone()) {
                let message = format!("input `{name}` is given twice");
                checker.error(Draft::error(codes::DUPLICATE_NAME, argument.target.span, message));
            }
            arguments.push(tree::Argument { name, value: checker.value(&argument.value) });
        }
        self.returns.iter().for_each(|name| checker.variable_name(name));
        let returns = self.returns.iter().filter_map(|name| set(checker, &name.text)).collect();
        let result = if self.returns.is_empty() { set(checker, RESULT) } else { None };
        Some(tree::StatementKind::CallAction { name: self.name.text.clone(), arguments, returns, result })
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        each_expression(self.arguments.iter().map(|argument| &argument.value), visit);
        each_return(&self.returns, visit);
    }

    fn write(&self, writer: &mut Writer) {
        let head = format!("(call {}{}", self.name.text, assignments(&self.arguments));
        writer.push(&format!("{head}{})", returns(&self.returns)));
    }
}

/// Notes that a variable receives an output; the hidden one only when somebody may read it.
fn set(checker: &mut Checker<'_, '_, '_>, name: &str) -> Option<tree::VariableId> {
    let id = checker.scope.find(name)?;
    checker.scope.set(id, KindSet::RETURNED);
    Some(id)
}
