//! Statements: one file per construct, each with its grammar, node, `parse` and `check`.
//!
//! This file is the registry. A statement is parsed by its first word or words; [`STATEMENTS`] lists them for the parser, for
//! "did you mean" and for editors.

pub mod call_action;
pub mod call_python;
pub mod call_route;
pub mod delete;
pub mod if_else;
pub mod keep;
pub mod loop_until;
pub mod navigate;
pub mod publish_model;
pub mod publish_topic;
pub mod set;
pub mod switch;
pub mod trigger_event;
mod walk;

use lot_nearest::nearest;

use crate::check::{Checker, tree};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser, Reported};
use crate::syntax::sexpr::Writer;
use crate::token::{Sign, TokenKind};

pub use call_action::CallAction;
pub use call_python::CallPython;
pub use call_route::{CallRoute, Service};
pub use delete::{Delete, DeleteTarget};
pub use if_else::{IfBranch, IfElse};
pub use keep::{Keep, KeepTarget};
pub use loop_until::LoopUntil;
pub use navigate::Navigate;
pub use publish_model::{Assignment, PublishModel};
pub use publish_topic::PublishTopic;
pub use set::Set;
pub use switch::{Switch, SwitchCase};
pub use trigger_event::TriggerEvent;
pub(crate) use walk::Part;
use walk::{each_expression, each_return};

/// A statement with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it is.
    pub kind: StatementKind,
    /// From its first word to the end of its last line.
    pub span: Span,
}

/// What the file of a construct says of it, besides how it is read.
pub(crate) trait Construct {
    /// Checks it; `None` when it is nothing that can be run, which was reported.
    fn check(&self, checker: &mut Checker<'_, '_, '_>, span: Span) -> Option<tree::StatementKind>;

    /// Calls `visit` for each part directly in it, in source order.
    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>));

    /// Writes it as a nested list.
    fn write(&self, writer: &mut Writer);
}

macro_rules! constructs {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        /// What a statement is.
        #[derive(Debug, Clone, PartialEq)]
        pub enum StatementKind {
            $($(#[$doc])* $name($name),)*
        }

        impl StatementKind {
            /// What its file says of it.
            pub(crate) fn construct(&self) -> &dyn Construct {
                match self {
                    $(StatementKind::$name(node) => node,)*
                }
            }
        }
    };
}

constructs! {
    /// `SET`.
    Set;
    /// `PUBLISH TOPIC`.
    PublishTopic;
    /// `PUBLISH MODEL`.
    PublishModel;
    /// `KEEP TOPIC`, `KEEP ENV`, `KEEP SECRET`.
    Keep;
    /// `DELETE TOPIC`, `DELETE ENV`, `DELETE SECRET`.
    Delete;
    /// `IF`.
    IfElse;
    /// `SWITCH`.
    Switch;
    /// `LOOP`.
    LoopUntil;
    /// `CALL ACTION`.
    CallAction;
    /// `CALL PYTHON`.
    CallPython;
    /// `CALL MCP`, `CALL LLM`, `CALL AGENT`.
    CallRoute;
    /// `TRIGGER`.
    TriggerEvent;
    /// `NAVIGATE`, only in a panel.
    Navigate;
}

/// A statement as the parser finds it.
struct Row {
    /// Its first words.
    words: &'static [&'static str],
    /// Reads what follows them.
    parse: fn(&mut Parser<'_, '_>) -> Parsed<StatementKind>,
}

/// All statements, one line each.
#[rustfmt::skip]
const STATEMENTS: &[Row] = &[
    Row { words: &["SET"], parse: set::parse },
    Row { words: &["PUBLISH", "TOPIC"], parse: publish_topic::parse },
    Row { words: &["PUBLISH", "MODEL"], parse: publish_model::parse },
    Row { words: &["KEEP"], parse: keep::parse },
    Row { words: &["DELETE"], parse: delete::parse },
    Row { words: &["IF"], parse: if_else::parse },
    Row { words: &["SWITCH"], parse: switch::parse },
    Row { words: &["LOOP"], parse: loop_until::parse },
    Row { words: &["CALL", "ACTION"], parse: call_action::parse },
    Row { words: &["CALL", "PYTHON"], parse: call_python::parse },
    Row { words: &["CALL", "MCP"], parse: call_route::parse_mcp },
    Row { words: &["CALL", "LLM"], parse: call_route::parse_llm },
    Row { words: &["CALL", "AGENT"], parse: call_route::parse_agent },
    Row { words: &["TRIGGER"], parse: trigger_event::parse },
    Row { words: &["NAVIGATE"], parse: navigate::parse },
];

/// The first words of each statement.
pub(crate) fn first_words() -> impl Iterator<Item = &'static [&'static str]> {
    STATEMENTS.iter().map(|row| row.words)
}

/// Whether a statement begins with this word, in any case.
pub(crate) fn is_first_word(word: &str) -> bool {
    STATEMENTS.iter().any(|row| row.words.first().is_some_and(|first| first.eq_ignore_ascii_case(word)))
}

impl StatementKind {
    /// Whether it is a CALL.
    pub(crate) fn is_call(&self) -> bool {
        matches!(
            self,
            StatementKind::CallAction(_) | StatementKind::CallPython(_) | StatementKind::CallRoute(_)
        )
    }
}

/// Whether what comes is meant for a statement, if not always one of LoT, rather than for the rest of the line before, which is a CALL or not.
pub(crate) fn is_meant(parser: &Parser<'_, '_>, after_call: bool) -> bool {
    let is_argument = after_call && parser.peek_at(1).kind == TokenKind::Sign(Sign::Equal);
    let firsts = STATEMENTS.iter().filter_map(|row| row.words.first().copied());
    !is_argument && (nearest(parser.word(), firsts).is_some() || known_mistake(parser).is_some())
}

/// Reads a statement up to the end of its last line, which is left unless a block ended it.
pub(crate) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let word = parser.word();
    let rows: Vec<&Row> = STATEMENTS
        .iter()
        .filter(|row| row.words.first().is_some_and(|first| first.eq_ignore_ascii_case(word)))
        .collect();
    let Some(first) = rows.first() else { return unknown(parser) };
    let keyword = first.words.first().copied().unwrap_or_default();
    if keyword == "NAVIGATE" && !parser.in_panel {
        let draft = Draft::error(codes::MISPLACED_CLAUSE, parser.span(), "NAVIGATE outside of a panel");
        return parser.fail(draft);
    }
    parser.eat_keyword(keyword);
    if first.words.len() == 1 {
        return (first.parse)(parser);
    }
    let second = parser.word();
    let found =
        rows.iter().find(|row| row.words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(second)));
    if let Some(row) = found {
        parser.eat_keyword(row.words.get(1).copied().unwrap_or_default());
        return (row.parse)(parser);
    }
    let seconds: Vec<&str> = rows.iter().filter_map(|row| row.words.get(1).copied()).collect();
    missing_second(parser, keyword, &seconds)
}

fn missing_second<T>(parser: &mut Parser<'_, '_>, keyword: &str, seconds: &[&str]) -> Parsed<T> {
    if keyword == "CALL"
        && !parser.word().is_empty()
        && nearest(parser.word(), seconds.iter().copied()).is_none()
    {
        let draft = Draft::error(codes::NOT_LOT, parser.span(), "CALL needs the kind of what is called");
        return parser.fail(
            draft.suggest("write CALL ACTION name WITH …, or CALL PYTHON \"Script.function\" WITH (…)"),
        );
    }
    if keyword == "PUBLISH" && parser.is_text() {
        let draft = Draft::error(
            codes::UNEXPECTED_TOKEN,
            parser.span(),
            "expected TOPIC or MODEL after PUBLISH, found STRING",
        );
        let start = Span { end: parser.span().start, ..parser.span() };
        let draft = draft.expected(seconds).suggest("write PUBLISH TOPIC before the topic");
        return parser.fail(draft.fix(start, "TOPIC "));
    }
    if keyword == "PUBLISH"
        && parser.is_topic_without_quotes(0)
        && let Some(text) = parser.text_without_quotes("PUBLISH TOPIC")
    {
        let draft = Draft::error(codes::UNEXPECTED_TOKEN, text.span, "expected TOPIC or MODEL after PUBLISH");
        let whole = format!("TOPIC \"{}\"", text.value);
        parser.sink.push_over(draft.suggest(format!("write PUBLISH {whole}")).fix(text.span, whole));
        return Err(Reported);
    }
    parser.expected(codes::UNEXPECTED_TOKEN, seconds, keyword)
}

/// Whether `++`, `--`, `+=` or another such operator follows the word here.
fn is_update(parser: &Parser<'_, '_>) -> bool {
    let sign = |ahead: usize| {
        let TokenKind::Sign(sign) = parser.peek_at(ahead).kind else { return None };
        Some(sign)
    };
    let is_arithmetic = matches!(sign(1), Some(Sign::Plus | Sign::Minus | Sign::Star | Sign::Slash));
    is_arithmetic && (sign(2) == sign(1) || sign(2) == Some(Sign::Equal))
}

/// Where a word that begins no statement belongs.
fn place_of(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_uppercase().as_str() {
        "STORE" | "FETCH" | "ADD" => "it belongs to a model, a route or a panel: indent it below DEFINE",
        "CASE" | "DEFAULT" => "it belongs to SWITCH: indent it by 4 more spaces than its SWITCH",
        "OUTPUT" => "indent it below RETURN, which stands in column 1 after the statements",
        "INPUT" => "write it in column 1, before DO",
        "UNTIL" => "it ends a loop: write LOOP above the statements that repeat, in the column of UNTIL",
        "THEN" => "write it at the end of the line of its IF",
        "RETURN" => "write it in column 1 after the statements, with each OUTPUT on an indented line below",
        "ON" | "DO" | "DESCRIPTION" | "DEFINE" => "write it in column 1",
        _ => return None,
    })
}

/// What to write in place of statements of other languages.
fn foreign(word: &str) -> Option<&'static str> {
    Some(match word {
        "PRINT" | "PRINTLN" | "ECHO" | "LOG" | "WRITE" | "CONSOLE" | "DEBUG" => {
            "publish the text: PUBLISH TOPIC \"log\" WITH value"
        }
        "BREAK" | "CONTINUE" | "EXIT" | "LEAVE" => {
            "a loop ends with UNTIL condition; skip statements with IF"
        }
        "GET" => "a value is no statement: write SET \"name\" WITH GET …",
        "SEND" | "EMIT" => "write PUBLISH TOPIC \"topic\" WITH value",
        "SUBSCRIBE" => {
            "an action reads its messages by ON TOPIC \"filter\" DO; a topic's last value is GET TOPIC"
        }
        "FUNCTION" | "DEF" => "define another action with INPUT lines and DO, and CALL ACTION it",
        "TRY" | "CATCH" | "THROW" => "errors end the run and are recorded; there is nothing to catch",
        "WAIT" | "SLEEP" | "DELAY" => {
            "an action does not wait: define one with ON EVERY, and keep what it needs with KEEP TOPIC"
        }
        _ => return None,
    })
}

/// A line that begins with none of the statements' words.
fn unknown<T>(parser: &mut Parser<'_, '_>) -> Parsed<T> {
    if let Some(draft) = known_mistake(parser) {
        return parser.fail(draft);
    }
    let words = STATEMENTS.iter().filter_map(|row| row.words.first().copied());
    let near = nearest(parser.word(), words.clone());
    let message = format!("expected a statement, found {}", parser.found());
    // One of a panel alone is nothing to propose elsewhere.
    let mut first_words: Vec<&str> = words.filter(|word| *word != "NAVIGATE").collect();
    first_words.dedup();
    let draft = Draft::error(codes::UNKNOWN_STATEMENT, parser.here(), message)
        .expected(&first_words)
        .did_you_mean(near);
    parser.fail(draft)
}

/// What is said about a line that begins as in other languages, or with a word that belongs elsewhere.
fn known_mistake(parser: &Parser<'_, '_>) -> Option<Draft> {
    let span = parser.here();
    let word = parser.word();
    Some(match word.to_ascii_uppercase().as_str() {
        "END" | "ENDIF" | "END_IF" => {
            let message = format!("{word}: blocks are closed by indentation");
            Draft::error(codes::END_IF, span, message)
                .suggest("remove the line")
                .fix(parser.rest_of_line(), "")
        }
        "WHILE" | "FOR" | "FOREACH" | "REPEAT" => {
            let message = format!("{word} is not part of the language");
            Draft::error(codes::NO_SUCH_LOOP, span, message).suggest("write LOOP … UNTIL condition")
        }
        "ELSE" | "ELSEIF" | "ELSIF" | "ELIF" => Draft::error(codes::STRAY_ELSE, span, "ELSE without its IF")
            .suggest("put ELSE into the column of its IF, directly after the IF's block"),
        "VALIDATE" => Draft::error(codes::NOT_LOT, span, "VALIDATE is not part of the language")
            .suggest("check values with IF"),
        "STORE" | "FETCH" | "ADD" | "CASE" | "DEFAULT" | "OUTPUT" | "INPUT" | "UNTIL" | "THEN" | "RETURN"
        | "ON" | "DO" | "DESCRIPTION" | "DEFINE" => {
            let message = format!("{word} is not allowed here");
            Draft::error(codes::MISPLACED_CLAUSE, span, message).suggest_if(place_of(word).map(str::to_owned))
        }
        "LET" | "VAR" | "CONST" | "DIM" | "LOCAL" | "ASSIGN" => {
            let message = format!("{word} is not part of the language");
            Draft::error(codes::NOT_LOT, span, message).suggest("write SET").fix(span, "SET")
        }
        _ if parser.peek_at(1).kind == TokenKind::Sign(Sign::Equal) && !word.is_empty() => {
            let message = format!("expected a statement, found {}", parser.found());
            let place = Span { end: span.start, ..span };
            Draft::error(codes::UNKNOWN_STATEMENT, span, message)
                .suggest(format!("write SET {word} = value"))
                .fix(place, "SET ")
        }
        _ if !word.is_empty() && is_update(parser) => {
            let message = format!("expected a statement, found {}", parser.found());
            Draft::error(codes::UNKNOWN_STATEMENT, span, message)
                .suggest(format!("write SET {word} WITH {{{word}}} and what is to be done with it"))
        }
        upper if foreign(upper).is_some() => {
            let message = format!("{word} is not part of the language");
            Draft::error(codes::NOT_LOT, span, message).suggest_if(foreign(upper).map(str::to_owned))
        }
        _ => return None,
    })
}
