//! `SET "x" WITH v`: assigns a variable of the run (LoT reference §8.1).
//!
//! ```text
//! set = "SET" ( string | ident | var ) ( "WITH" | "TO" | "AS" | "=" ) value ;
//!
//! SET "total" WITH {total} + PAYLOAD
//! ```

use super::value::insert_with;
use super::word::Use::{BeginsStatement, EndsWithValue, WantsMore};
use super::{CheckedKind, Construct, Executable, Form, Part, StatementKind, Word};
use crate::check::tree::walk::{self, parts};
use crate::check::tree::{self, VariableId};
use crate::check::{Checker, empty};
use crate::diagnostic::{Draft, codes};
use crate::identifier::is_identifier;
use crate::lower::{Generator, Representation, UnrollBudget};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, text};
use crate::syntax::{Expression, Name, Position};
use crate::token::{Sign, TokenKind};

/// `SET name WITH value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    /// The variable.
    pub name: Name,
    /// Its new value.
    pub value: Expression,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["SET"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[Word {
    word: "SET",
    is: &[BeginsStatement, EndsWithValue, WantsMore],
    text: "`SET \"name\" WITH value`: sets a variable, which is read as `{name}` and gone when the run ends.",
}];

/// Reads what follows `SET`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    if let Some(draft) = member(parser) {
        return parser.fail(draft);
    }
    let name = parser.expect_variable("SET")?;
    let separated = ["WITH", "TO", "AS"].iter().any(|word| parser.eat_keyword(word))
        || parser.eat_sign(Sign::Equal)
        || (parser.is_word("USING") && !parser.is_line_end());
    if !separated {
        let message = format!("expected WITH after the variable `{}`, found {}", name.text, parser.found());
        let draft = Draft::error(codes::SET_SEPARATOR, parser.here(), message);
        if name.text == "TOPIC" && !name.quoted && parser.is_text() {
            let hint = "write PUBLISH TOPIC to send a message, or KEEP TOPIC to store the last value alone";
            let draft = Draft::error(codes::NOT_LOT, name.span, "SET sets a variable, not a topic");
            return parser.fail(draft.suggest(hint));
        }
        let hint = format!("write: SET \"{}\" WITH value", name.text);
        let draft = draft.expected(&["WITH", "TO", "AS", "="]);
        if let TokenKind::Sign(sign @ (Sign::Plus | Sign::Minus | Sign::Star | Sign::Slash)) =
            parser.peek().kind
            && parser.peek_at(1).kind == TokenKind::Sign(Sign::Equal)
        {
            let (name, span) = (&name.text, parser.span().to(parser.peek_at(1).span));
            let right = format!("WITH {{{name}}} {}", sign.text());
            return parser
                .fail(draft.suggest(format!("write: SET \"{name}\" {right} value")).fix(span, right));
        }
        return parser.fail(insert_with(parser, draft, hint));
    }
    if parser.is_line_end() && parser.peek().kind != TokenKind::Indent {
        let draft = Draft::error(codes::EXPECTED_WITH, parser.here(), "SET without a value");
        return parser.fail(draft.suggest("write the value after WITH"));
    }
    let value = parser.value()?;
    Ok(StatementKind::Set(Set { name, value }))
}

/// `SET {o.b}` and `SET "o.b"`: a member is nothing that can be set.
fn member(parser: &Parser<'_, '_>) -> Option<Draft> {
    if let TokenKind::Text(text) = &parser.peek().kind {
        return member_in_quotes(text, parser.span());
    }
    let is = |ahead: usize, sign: Sign| parser.peek_at(ahead).kind == TokenKind::Sign(sign);
    let (name, is_braced) = (parser.word_at(1), is(0, Sign::OpenBrace));
    if name.is_empty() || !is_braced || !(is(2, Sign::Dot) || is(2, Sign::OpenBracket)) {
        return None;
    }
    let message = format!("SET sets all of the variable `{name}`, and no member of it");
    let draft = Draft::error(codes::NOT_LOT, parser.peek_at(2).span, message);
    let ours = format!("SET \"{name}\" WITH {{\"a\": {{{name}.a}}, \"b\": value}}");
    Some(draft.suggest(format!("write the object anew, with the members that stay: {ours}")))
}

/// `SET "o.b"`: an object with that member may be meant, or a variable of its own.
fn member_in_quotes(text: &str, span: Span) -> Option<Draft> {
    let (name, path) = text.split_once('.')?;
    let is_path = is_identifier(name) && path.split('.').all(is_identifier);
    let draft = Draft::error(codes::VARIABLE_NAME, span, format!("`{text}` is no name of a variable"));
    let member = path.split('.').next().filter(|_| is_path)?;
    let other = if member == "a" { "b" } else { "a" };
    let ours = format!("SET \"{name}\" WITH {{\"{other}\": {{{name}.{other}}}, \"{member}\": value}}");
    let alone = text.replace('.', "_");
    let draft = draft.note("SET sets all of a variable, and no member of it");
    let draft = draft.suggest(format!("write the object anew, with the members that stay: {ours}"));
    Some(draft.suggest(format!("write \"{alone}\" for a variable of its own")))
}

impl Construct for Set {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        checker.variable_name(&self.name);
        let value = checker.value(&self.value);
        let variable = checker.scope.find(&self.name.text)?;
        checker.scope.set(variable, value.kinds);
        if matches!(value.kind, tree::ExpressionKind::Constant(_)) {
            checker.scope.set_constant(variable);
        }
        if let tree::ExpressionKind::Constant(tree::Constant::Text(text)) = &value.kind {
            checker.scope.set_text(variable, text);
        }
        if empty::stays_empty(&value) {
            checker.scope.set_cast(variable);
        }
        if empty::is_unset(checker, &value, self.value.span) {
            checker.scope.set_unset(variable);
        }
        Some(Checked { variable, value }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Assigned(&self.name));
        visit(Part::Expression(&self.value));
    }

    fn write(&self, writer: &mut Writer) {
        writer.push(&format!("(set {} {})", self.name.text, text(&self.value)));
    }
}

/// Assigns a variable.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The variable.
    pub variable: VariableId,
    /// Its new value; kinds and text provenance travel with it.
    pub value: tree::Expression,
}

impl Executable for Checked {
    parts!(|Checked { variable, value }, visit| {
        visit(walk::Part::Set(*variable, value));
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let representation = generator.representation_of(self.variable);
        generator.value_as(&self.value, representation);
        generator.assign(self.variable, representation);
        generator.flush_notes(at);
    }

    fn is_unrollable(&self, generator: &Generator<'_>, budget: &mut UnrollBudget) -> bool {
        generator.representation_of(self.variable) != Representation::Cell
            && generator.is_machine_code(&self.value, budget)
    }
}
