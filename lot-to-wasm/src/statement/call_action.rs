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

use lot_facts::Signature;
use lot_nearest::nearest;

use super::word::Use::{BeginsStatement, EndsWithValue, WantsMore};
use super::{
    Assignment, CheckedKind, Construct, Executable, Form, Part, StatementKind, Word, arguments,
    each_expression, each_return,
};
use crate::check::kind::KindSet;
use crate::check::tree::walk::{self, Need, parts};
use crate::check::tree::{Argument, VariableId};
use crate::check::{Callee, Checker};
use crate::diagnostic::{Draft, codes};
use crate::lower::{self, ANSWER, Generator, Host};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, assignments, returns};
use crate::syntax::{Name, Position};

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

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["CALL", "ACTION"], parse)];

/// Words of its own, and those that it shares with others of their family.
pub(super) const WORDS: &[Word] = &[Word {
    word: "CALL",
    is: &[BeginsStatement, EndsWithValue, WantsMore],
    text: "`CALL ACTION Name`, `CALL PYTHON \"Script.function\"`, `CALL MODULE \"name.function\"`: runs something and waits for it.",
}];

/// Reads what follows `CALL ACTION`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
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
        self.check_missing(signature, checker);
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

impl CallAction {
    /// Warns of inputs without a value. A misspelt argument was probably meant for one of them.
    fn check_missing(&self, signature: &Signature, checker: &mut Checker<'_, '_, '_>) {
        let given: Vec<String> = self.arguments.iter().map(|argument| argument.target.to_string()).collect();
        let inputs = || signature.inputs.iter().map(|input| input.name.as_str());
        if given.iter().any(|name| !inputs().any(|input| input == name)) {
            return;
        }
        let missing: Vec<&str> = inputs().filter(|input| !given.iter().any(|name| name == input)).collect();
        let Some(first) = missing.first() else { return };
        let word = if missing.len() == 1 { "input" } else { "inputs" };
        let listed = missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let message = format!("action `{}` gets no value for its {word} {listed}", self.name.text);
        let draft = Draft::warning(codes::MISSING_INPUT, self.name.span, message);
        checker.sink.push(
            draft.suggest(format!("add {first} = value behind WITH, or {first} = EMPTY if it is meant")),
        );
    }
}

impl Construct for CallAction {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        match checker.known.action(&self.name.text) {
            Callee::Unknown => {}
            Callee::Triggered => {
                let message =
                    format!("action `{}` is started by a trigger and cannot be called", self.name.text);
                checker.error(Draft::error(codes::CALLEE_TRIGGERED, self.name.span, message));
            }
            Callee::Callable(signature) => self.check_signature(&signature, checker),
        }
        let arguments = arguments::checked(&self.arguments, checker);
        let (returns, result) = arguments::received(&self.returns, checker);
        Some(Checked { name: self.name.text.clone(), arguments, returns, result }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        each_expression(self.arguments.iter().map(|argument| &argument.value), visit);
        each_return(&self.returns, visit);
    }

    fn each_certain_call<'a>(&'a self, visit: &mut dyn FnMut(&'a Name)) {
        visit(&self.name);
    }

    fn write(&self, writer: &mut Writer) {
        let head = format!("(call {}{}", self.name.text, assignments(&self.arguments));
        writer.push(&format!("{head}{})", returns(&self.returns)));
    }

    fn is_call(&self) -> bool {
        true
    }
}

/// Runs another Action. Writes queued so far are flushed before it by the host.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Name of the callee.
    pub name: String,
    /// Arguments by name, evaluated in source order.
    pub arguments: Vec<Argument>,
    /// Variables that receive the outputs in order; the checker compared their number with a known
    /// callee. When it differs at run time, the run ends with an error.
    pub returns: Vec<VariableId>,
    /// Without `RETURN`: the variable behind `RESULT`, which receives the first output, or Empty
    /// when there is none.
    pub result: Option<VariableId>,
}

impl Executable for Checked {
    parts!(|Checked { name, arguments, returns, result }, visit| {
        visit(walk::Part::Need(Need::Action(name)));
        for Argument { value, .. } in arguments {
            visit(walk::Part::Value(value));
        }
        for variable in returns.iter().chain(result.iter()) {
            visit(walk::Part::Received(*variable, KindSet::RETURNED));
        }
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let list = generator.arguments(&self.arguments, at);
        generator.push_text(&self.name);
        generator.code.get(list);
        generator.code.u32(u32::try_from(self.arguments.len()).unwrap_or(u32::MAX));
        generator.push_constant_address(ANSWER);
        generator.code.call(lower::Callee::Host(Host::CallAction));
        generator.code.release(list);
        let failed = format!("called action `{}` failed: ", self.name);
        generator.pass_on_error(codes::RUN_CALL_FAILED, failed, at);
        let callee = format!("action `{}`", self.name);
        arguments::take_outputs(generator, &self.returns, self.result, (&callee, at));
    }
}
