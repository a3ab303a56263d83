//! `CALL MCP`, `CALL LLM`, `CALL AGENT`: calls a route and waits for its answer (LoT reference
//! §8.8).
//!
//! ```text
//! callRoute = "CALL" "MCP" string [ "WITH" [ "(" ] assign { "," assign } [ ")" ] ]
//!             [ "RETURN" "AS" retVar ]
//!           | "CALL" ( "LLM" | "AGENT" ) string [ "METHOD" string ]
//!             [ "WITH" [ "(" ] assign { "," assign } [ ")" ] ] [ "RETURN" "AS" retVar ] ;
//!
//! CALL LLM "Local" METHOD "generate" WITH prompt = "Say: " + PAYLOAD RETURN AS {a}
//! ```

use super::word::Use::WantsMore;
use super::{
    Assignment, CheckedKind, Construct, Form, Part, StatementKind, Word, each_expression, each_return,
};
use crate::check::Checker;
use crate::check::kind::KindSet;
use crate::check::tree;
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, assignments, quoted, returns};
use crate::syntax::{Name, Text};

/// Kind of route that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `CALL MCP "Route.tool"`.
    Mcp,
    /// `CALL LLM "Route"`.
    Llm,
    /// `CALL AGENT "Route"`.
    Agent,
}

impl Service {
    /// The word after `CALL`.
    pub fn keyword(self) -> &'static str {
        match self {
            Service::Mcp => "MCP",
            Service::Llm => "LLM",
            Service::Agent => "AGENT",
        }
    }
}

/// `CALL MCP|LLM|AGENT "target" …`.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRoute {
    /// Kind of the route.
    pub service: Service,
    /// `Route.tool` for MCP, else the route.
    pub target: Text,
    /// `METHOD "m"`.
    pub method: Option<Text>,
    /// Arguments by name.
    pub arguments: Vec<Assignment>,
    /// Variable that receives the answer.
    pub returns: Option<Name>,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[
    Form::new(&["CALL", "MCP"], parse_mcp),
    Form::new(&["CALL", "LLM"], parse_llm),
    Form::new(&["CALL", "AGENT"], parse_agent),
];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[
    Word { word: "MCP", is: &[WantsMore], text: "`CALL MCP \"Route.tool\"`: needs a route of type MCP." },
    Word { word: "LLM", is: &[WantsMore], text: "`CALL LLM \"Route\"`: needs a route of type LLM." },
    Word { word: "AGENT", is: &[WantsMore], text: "`CALL AGENT \"Route\"`: needs a route of type AGENT." },
    Word {
        word: "METHOD",
        is: &[WantsMore],
        text: "`CALL LLM \"Route\" METHOD \"method\"`: which of its methods.",
    },
];

/// Reads what follows `CALL MCP`.
#[allow(clippy::wildcard_enum_match_arm, reason = "every other token is the error case")]
fn parse_mcp(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let target = parser.expect_text("CALL MCP")?;
    if parser.is_word("TOOL") {
        let tool = match &parser.peek_at(1).kind {
            crate::token::TokenKind::Text(tool) => tool.clone(),
            _ => "tool".to_owned(),
        };
        let draft = Draft::error(codes::MCP_TOOL, parser.span(), "CALL MCP names the tool after the route");
        return parser.fail(draft.suggest(format!("write CALL MCP \"{}.{tool}\"", target.value)));
    }
    finish(parser, Service::Mcp, target, None)
}

/// Reads what follows `CALL LLM`.
fn parse_llm(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    with_method(parser, Service::Llm)
}

/// Reads what follows `CALL AGENT`.
fn parse_agent(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    with_method(parser, Service::Agent)
}

fn with_method(parser: &mut Parser<'_, '_>, service: Service) -> Parsed<StatementKind> {
    let target = parser.expect_text(&format!("CALL {}", service.keyword()))?;
    let method = if parser.eat_word("METHOD") { Some(parser.expect_text("METHOD")?) } else { None };
    finish(parser, service, target, method)
}

fn finish(
    parser: &mut Parser<'_, '_>,
    service: Service,
    target: Text,
    method: Option<Text>,
) -> Parsed<StatementKind> {
    let arguments = parser.arguments()?;
    let returns = parser.return_variable()?;
    Ok(StatementKind::CallRoute(CallRoute { service, target, method, arguments, returns }))
}

impl Construct for CallRoute {
    /// Checks the operands; the statement itself is not compiled yet.
    fn check(&self, checker: &mut Checker<'_, '_, '_>, span: Span) -> Option<CheckedKind> {
        let service = self.service.keyword();
        let message = format!("CALL {service} needs route type {service}, which this build does not have");
        checker.error(Draft::error(codes::NOT_YET_COMPILED, span, message));
        for argument in &self.arguments {
            checker.value(&argument.value);
        }
        let returned = self.returns.as_ref().map_or(tree::RESULT, |name| name.text.as_str());
        self.returns.iter().for_each(|name| checker.variable_name(name));
        if let Some(id) = checker.scope.find(returned) {
            checker.scope.set(id, KindSet::RETURNED);
        }
        None
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        each_expression(self.arguments.iter().map(|argument| &argument.value), visit);
        each_return(self.returns.as_slice(), visit);
    }

    fn write(&self, writer: &mut Writer) {
        let service = self.service.keyword().to_lowercase();
        let method =
            self.method.as_ref().map_or(String::new(), |text| format!(" method {}", quoted(&text.value)));
        let head =
            format!("({service} {}{method}{}", quoted(&self.target.value), assignments(&self.arguments));
        writer.push(&format!("{head}{})", returns(self.returns.as_slice())));
    }

    fn is_call(&self) -> bool {
        true
    }
}
