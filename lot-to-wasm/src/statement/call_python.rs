//! `CALL PYTHON`: calls a function of a Python script (LoT reference §8.8, §12).
//!
//! ```text
//! callPython = "CALL" "PYTHON" string [ "WITH" "(" [ value { "," value } ] ")" ]
//!              [ "RETURN" "AS" retVar ] ;
//!
//! CALL PYTHON "Stat.avg" WITH (1, 4) RETURN AS {r}
//! ```

use super::word::Use::WantsMore;
use super::{
    CheckedKind, Construct, Executable, Form, Part, StatementKind, Word, each_expression, each_return,
};
use crate::check::Checker;
use crate::check::kind::KindSet;
use crate::check::tree::walk::{self, Need, parts};
use crate::check::tree::{self, VariableId};
use crate::diagnostic::{Draft, codes};
use crate::lower::{Generator, Host, Representation};
use crate::script::is_name;
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, quoted, returns, text};
use crate::syntax::{Expression, Name, Position, Text};
use crate::token::{Sign, TokenKind};

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

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["CALL", "PYTHON"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[Word {
    word: "PYTHON",
    is: &[WantsMore],
    text: "`CALL PYTHON \"Script.function\" WITH (a, b) RETURN AS {result}`: calls a function of a script, in the sandbox.",
}];

/// Reads what follows `CALL PYTHON`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    if is_called_as_in_python(parser) {
        return called_as_in_python(parser);
    }
    let (function, has_arguments) = (parser.expect_text("CALL PYTHON")?, parser.eat_with_before_arguments());
    let arguments = match has_arguments {
        true if parser.eat_sign(Sign::OpenParen) => {
            parser.items(Sign::CloseParen, "the arguments", Parser::value)?
        }
        true => arguments_without_parentheses(parser)?,
        false => Vec::new(),
    };
    let returns = parser.return_variable()?;
    Ok(StatementKind::CallPython(CallPython { function, arguments, returns }))
}

/// Whether `Script.function(` follows, as Python writes a call.
fn is_called_as_in_python(parser: &Parser<'_, '_>) -> bool {
    let kinds = [1, 2, 3].map(|ahead| parser.peek_at(ahead).kind.clone());
    parser.peek().kind == TokenKind::Word
        && kinds == [TokenKind::Sign(Sign::Dot), TokenKind::Word, TokenKind::Sign(Sign::OpenParen)]
}

/// A call as Python writes it: read, and reported with the form that means it.
fn called_as_in_python(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let start = parser.span();
    let span = start.to(parser.peek_at(2).span);
    let function = Text { value: parser.slice(span).to_owned(), span };
    (0..3).for_each(|_| drop(parser.advance()));
    let begin = parser.span();
    parser.expect_sign(Sign::OpenParen, "the function")?;
    let arguments = parser.items(Sign::CloseParen, "the arguments", Parser::value)?;
    let given = parser.slice(parser.span_from(begin)).to_owned();
    let draft = Draft::error(codes::NOT_LOT, span, "a call as in Python is no LoT");
    let written = format!("\"{}\" WITH ", function.value);
    let draft = draft.suggest(format!("write CALL PYTHON {written}{given}"));
    parser.sink.push(draft.fix(span, written));
    let returns = parser.return_variable()?;
    Ok(StatementKind::CallPython(CallPython { function, arguments, returns }))
}

/// Values behind WITH that are in no parentheses: reported, and read.
fn arguments_without_parentheses(parser: &mut Parser<'_, '_>) -> Parsed<Vec<Expression>> {
    if parser.is_line_end() {
        parser.expect_sign(Sign::OpenParen, "WITH")?;
    }
    let start = parser.span();
    let mut arguments = vec![parser.value()?];
    while parser.eat_sign(Sign::Comma) {
        arguments.push(parser.value()?);
    }
    let span = parser.span_from(start);
    let written = format!("({})", parser.slice(span));
    let draft = Draft::error(codes::UNEXPECTED_TOKEN, span, "arguments without parentheses");
    parser.sink.push(draft.suggest(format!("write WITH {written}")).fix(span, written));
    Ok(arguments)
}

impl CallPython {
    /// A script and a function in it, both by names that Python can have.
    fn check_function(&self, checker: &mut Checker<'_, '_, '_>) {
        let name = &self.function;
        if matches!(name.value.split_once('.'), Some((script, function)) if is_name(script) && is_name(function))
        {
            return;
        }
        let message = format!("`{}` names no function of a script", name.value.escape_debug());
        let draft = Draft::error(codes::PYTHON_FUNCTION, name.span, message);
        checker.error(draft.suggest("write the script, a dot, and the function: \"Script.function\""));
    }
}

impl Construct for CallPython {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        let arguments = self.arguments.iter().map(|argument| checker.value(argument)).collect();
        self.check_function(checker);
        self.returns.iter().for_each(|name| checker.variable_name(name));
        let returned = self.returns.as_ref().map_or(tree::RESULT, |name| name.text.as_str());
        let result = checker.scope.find(returned);
        if let Some(id) = result {
            checker.scope.set(id, KindSet::RETURNED);
        }
        Some(Checked { function: self.function.value.clone(), arguments, result }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        each_expression(&self.arguments, visit);
        each_return(self.returns.as_slice(), visit);
    }

    fn write(&self, writer: &mut Writer) {
        let arguments: String = self.arguments.iter().map(|value| format!(" {}", text(value))).collect();
        let head = format!("(python {}{arguments}", quoted(&self.function.value));
        writer.push(&format!("{head}{})", returns(self.returns.as_slice())));
    }

    fn is_call(&self) -> bool {
        true
    }
}

/// Calls a function of a script. The host records an error of Python, and the call gives the text
/// `null`.
#[derive(Debug, Clone)]
pub struct Checked {
    /// `Script.function`.
    pub function: String,
    /// Arguments in their order.
    pub arguments: Vec<tree::Expression>,
    /// Variable that receives the result, the one behind `RESULT` without `RETURN`; `None` when it
    /// is never read.
    pub result: Option<VariableId>,
}

impl Executable for Checked {
    parts!(|Checked { function, arguments, result }, visit| {
        visit(walk::Part::Need(Need::Python(function)));
        for argument in arguments {
            visit(walk::Part::Value(argument));
        }
        if let Some(variable) = result {
            visit(walk::Part::Received(*variable, KindSet::RETURNED));
        }
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let list = generator.values(&self.arguments, at);
        generator.push_text(&self.function);
        generator.ask(Host::CallPython, (list, self.arguments.len()), at);
        let failed = format!("CALL PYTHON \"{}\" failed: ", self.function);
        generator.pass_on_error(codes::RUN_CALL_FAILED, failed, at);
        if let Some(variable) = self.result {
            generator.push_output(0);
            generator.assign(variable, Representation::Cell);
        }
    }
}
