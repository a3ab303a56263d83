//! `CALL MODULE`: calls a module of world `action`, or one of its functions, and waits for it
//! (commands reference §14.8).
//!
//! ```text
//! callModule = "CALL" "MODULE" string [ "WITH" [ "(" ] assign { "," assign } [ ")" ] ]
//!              [ "RETURN" [ "AS" ] retVar { "," retVar } ] ;
//!                                                  (* the string: module [ "." function ] *)
//! retVar     = ident | string | var ;
//!
//! CALL MODULE "calc.scale" WITH (value = PAYLOAD, by = 3) RETURN AS {r}
//! ```

use super::word::Use::WantsMore;
use super::{
    Assignment, CheckedKind, Construct, Executable, Form, Part, StatementKind, Word, arguments,
    each_expression, each_return,
};
use crate::check::Checker;
use crate::check::kind::KindSet;
use crate::check::tree::walk::{self, Need, parts};
use crate::check::tree::{Argument, VariableId};
use crate::diagnostic::{Draft, codes};
use crate::identifier::{is_module, module_of};
use crate::limits::MODULE_FUNCTION_BYTES_MAX;
use crate::lower::{self, ANSWER, Generator, Host};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, assignments, quoted, returns};
use crate::syntax::{Name, Position, Text};

/// `CALL MODULE "module.function" WITH … RETURN …`.
#[derive(Debug, Clone, PartialEq)]
pub struct CallModule {
    /// `module` or `module.function`.
    pub function: Text,
    /// Arguments by name.
    pub arguments: Vec<Assignment>,
    /// Variables that receive the outputs; none without `RETURN`.
    pub returns: Vec<Name>,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["CALL", "MODULE"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[Word {
    word: "MODULE",
    is: &[WantsMore],
    text: "`CALL MODULE \"calc.scale\" WITH (a = 1) RETURN AS {result}`: calls a function of a module that was added with `-addModule`. In a rule: `IF MODULE \"guard\" THEN`.",
}];

/// Reads what follows `CALL MODULE`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let function = parser.expect_text("CALL MODULE")?;
    parser.non_portable(function.span, "CALL MODULE");
    let arguments = parser.arguments()?;
    let returns = parser.return_variables()?;
    Ok(StatementKind::CallModule(CallModule { function, arguments, returns }))
}

fn is_function(name: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MODULE_FUNCTION_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_inside)
}

impl CallModule {
    fn check_function(&self, checker: &mut Checker<'_, '_, '_>) {
        let name = &self.function;
        let function = name.value.split_once('.').map(|(_, function)| function);
        if is_module(module_of(&name.value)) && function.is_none_or(is_function) {
            return;
        }
        let message = format!("`{}` names no module, and no function of one", name.value.escape_debug());
        let draft = Draft::error(codes::MODULE_FUNCTION, name.span, message);
        checker.error(draft.suggest("write the module, a dot, and the function: \"calc.scale\""));
    }
}

impl Construct for CallModule {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        self.check_function(checker);
        let arguments = arguments::checked(&self.arguments, checker);
        let (returns, result) = arguments::received(&self.returns, checker);
        Some(Checked { function: self.function.value.clone(), arguments, returns, result }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        each_expression(self.arguments.iter().map(|argument| &argument.value), visit);
        each_return(&self.returns, visit);
    }

    fn write(&self, writer: &mut Writer) {
        let head = format!("(module {}{}", quoted(&self.function.value), assignments(&self.arguments));
        writer.push(&format!("{head}{})", returns(&self.returns)));
    }

    fn is_call(&self) -> bool {
        true
    }
}

/// Runs a module. Writes queued so far are flushed before it by the host.
#[derive(Debug, Clone)]
pub struct Checked {
    /// `module` or `module.function`.
    pub function: String,
    /// Arguments by name, evaluated in source order.
    pub arguments: Vec<Argument>,
    /// Variables that receive the outputs in order. When their number differs at run time, the run
    /// ends with an error.
    pub returns: Vec<VariableId>,
    /// Without `RETURN`: the variable behind `RESULT`, which receives the first output, or Empty
    /// when there is none.
    pub result: Option<VariableId>,
}

impl Executable for Checked {
    parts!(|Checked { function, arguments, returns, result }, visit| {
        visit(walk::Part::Need(Need::Module(function)));
        for Argument { value, .. } in arguments {
            visit(walk::Part::Value(value));
        }
        for variable in returns.iter().chain(result.iter()) {
            visit(walk::Part::Received(*variable, KindSet::RETURNED));
        }
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let list = generator.arguments(&self.arguments, at);
        generator.push_text(&self.function);
        generator.code.get(list);
        generator.code.u32(u32::try_from(self.arguments.len()).unwrap_or(u32::MAX));
        generator.push_constant_address(ANSWER);
        generator.code.call(lower::Callee::Host(Host::CallModule));
        generator.code.release(list);
        let failed = format!("CALL MODULE \"{}\" failed: ", self.function);
        generator.pass_on_error(codes::RUN_MODULE_CALL_FAILED, failed, at);
        let callee = format!("module `{}`", self.function);
        arguments::take_outputs(generator, &self.returns, self.result, (&callee, at));
    }
}
