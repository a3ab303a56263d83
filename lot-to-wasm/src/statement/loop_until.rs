//! `LOOP … UNTIL c`: a loop whose condition is tested after each pass (LoT reference §8.5).
//!
//! ```text
//! loop = "LOOP" block "UNTIL" cond ;
//!
//! LOOP
//!     SET "i" WITH {i} + 1
//! UNTIL {i} == 3
//! ```

use lot_nearest::nearest;

use super::Statement;
use super::StatementKind;
use super::{Construct, Part};
use crate::check::Checker;
use crate::check::tree;
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Expression;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, block, text};

/// `LOOP body UNTIL condition`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoopUntil {
    /// The statements; empty only after an error.
    pub body: Vec<Statement>,
    /// The loop ends when it is true.
    pub until: Expression,
    /// The word `UNTIL`.
    pub until_span: Span,
}

/// Reads what follows `LOOP`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let start = parser.previous();
    let begins_line = parser.previous_begins_line();
    if parser.is_keyword("UNTIL") {
        return until_first(parser);
    }
    let body = parser.loop_block()?;
    if parser.is_keyword("UNTIL") && !parser.is_after_block() {
        return until_inside(parser, body, begins_line.then(|| parser.column(start)));
    }
    parser.skip_newlines();
    let until_span = parser.span();
    if !parser.eat_keyword("UNTIL") {
        let message = format!("expected UNTIL after the block of LOOP, found {}", parser.found());
        let near = nearest(parser.word(), ["UNTIL"]);
        let draft = Draft::error(codes::UNEXPECTED_TOKEN, parser.here(), message).expected(&["UNTIL"]);
        let draft = draft.did_you_mean(near);
        return parser.fail(draft.suggest("write UNTIL condition in the column of LOOP"));
    }
    let until = parser.condition()?;
    Ok(StatementKind::LoopUntil(LoopUntil { body, until, until_span }))
}

/// `UNTIL` behind `LOOP`, with the statements below: reported, and read.
fn until_first(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let until_span = parser.span();
    let message = "UNTIL stands below the statements that repeat";
    let draft = Draft::error(codes::MISPLACED_CLAUSE, until_span, message);
    parser
        .sink
        .push(draft.suggest("write LOOP alone, and UNTIL condition below its block, in the column of LOOP"));
    parser.eat_keyword("UNTIL");
    let until = parser.condition()?;
    let body = parser.block("LOOP")?;
    Ok(StatementKind::LoopUntil(LoopUntil { body, until, until_span }))
}

/// `UNTIL` in the column of the statements that repeat: reported, and read. `column` is that of LOOP, where it begins its line.
fn until_inside(
    parser: &mut Parser<'_, '_>,
    body: Vec<Statement>,
    column: Option<u32>,
) -> Parsed<StatementKind> {
    let until_span = parser.span();
    let message = "UNTIL stands in the column of the statements that repeat";
    let draft = Draft::error(codes::MISPLACED_CLAUSE, until_span, message);
    let indent = parser.column(until_span) - 1;
    let blanks = Span { start: until_span.start.saturating_sub(indent), end: until_span.start };
    parser.sink.push(match column {
        Some(column) => draft
            .suggest(format!("move it to column {column}, that of its LOOP"))
            .fix(blanks, " ".repeat(column as usize - 1)),
        None => draft.suggest("write it in the column of LOOP"),
    });
    parser.eat_keyword("UNTIL");
    let until = parser.condition();
    parser.skip_block();
    Ok(StatementKind::LoopUntil(LoopUntil { body, until: until?, until_span }))
}

impl Construct for LoopUntil {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<tree::StatementKind> {
        checker.scope.enter_loop(&self.body);
        let body = checker.statements(&self.body);
        let until = checker.operand(&self.until);
        let until_at = checker.at(self.until_span);
        Some(tree::StatementKind::Loop { body, until, until_at })
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Block(&self.body));
        visit(Part::Expression(&self.until));
    }

    fn write(&self, writer: &mut Writer) {
        writer.push("(loop");
        block(writer, &self.body);
        writer.nested(|writer| {
            writer.line();
            writer.push(&format!("(until {}))", text(&self.until)));
        });
    }
}
