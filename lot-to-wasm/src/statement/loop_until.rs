//! `LOOP … UNTIL c`: a loop whose condition is tested after each pass (LoT reference §8.5).
//!
//! ```text
//! loop = "LOOP" block "UNTIL" cond ;
//!
//! LOOP
//!     SET "i" WITH {i} + 1
//! UNTIL {i} == 3
//! ```

use super::word::Use::{BeforeValue, BeginsBlock, BeginsStatement, BlockFollows, WantsMore};
use super::{CheckedKind, Construct, Executable, Form, Part, Statement, StatementKind, Word};
use crate::check::tree::walk::{self, Need, Times, parts};
use crate::check::{Checker, scope, tree};
use crate::diagnostic::{Draft, codes};
use crate::limits::LOOP_PASSES_MAX;
use crate::lower::{Generator, Passes};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, block, text};
use crate::syntax::{Expression, ExpressionKind, Name, Position};
use crate::token::TokenKind;
use lot_nearest::nearest;

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

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["LOOP"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[
    Word {
        word: "LOOP",
        is: &[BeginsStatement, BeginsBlock, BlockFollows],
        text: "`LOOP` and statements below it, then `UNTIL condition` in the column of `LOOP`.",
    },
    Word {
        word: "UNTIL",
        is: &[BeforeValue, BeginsStatement, WantsMore],
        text: "`UNTIL condition`: ends a `LOOP`, tested after each pass.",
    },
];

/// Reads what follows `LOOP`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let start = parser.previous();
    let begins_line = parser.previous_begins_line();
    if parser.is_keyword("UNTIL") {
        return until_first(parser);
    }
    if let TokenKind::Int(times) = parser.peek().kind {
        let draft = Draft::error(codes::NO_SUCH_LOOP, parser.span(), "LOOP does not count its passes");
        return parser.fail(draft.suggest(format!(
            "count with a variable: SET \"i\" WITH 0 above LOOP, SET \"i\" WITH {{i}} + 1 in its block, and UNTIL {{i}} >= {times} below it"
        )));
    }
    let body = parser.loop_block()?;
    let is_in_place = begins_line && parser.column(parser.span()) == parser.column(start);
    if parser.is_keyword("UNTIL") && !parser.is_after_block() && !is_in_place {
        return until_inside(parser, body, begins_line.then(|| parser.column(start)));
    }
    parser.skip_newlines();
    let until_span = parser.span();
    if !parser.eat_keyword("UNTIL") {
        let message = format!("expected UNTIL after the block of LOOP, found {}", parser.found());
        let near = nearest(parser.word(), ["UNTIL"]);
        let draft = Draft::error(codes::EXPECTED_UNTIL, parser.here(), message).expected(&["UNTIL"]);
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

/// `UNTIL` in the column of the statements that repeat: reported, and read. `column` is that of
/// LOOP, where it begins its line.
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
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        checker.scope.enter_loop(&self.body);
        let body = checker.statements(&self.body);
        let until = checker.operand(&self.until);
        self.warn_of_endless(checker);
        let until_at = checker.at(self.until_span);
        Some(Checked { body, until, until_at }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Block(&self.body));
        visit(Part::Expression(&self.until));
    }

    fn each_certain_call<'a>(&'a self, visit: &mut dyn FnMut(&'a Name)) {
        self.body.iter().for_each(|statement| statement.kind.construct().each_certain_call(visit));
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

impl LoopUntil {
    /// Warns of a condition that no pass changes: of FALSE, and of one that reads nothing but the
    /// message and variables that the loop does not set.
    fn warn_of_endless(&self, checker: &mut Checker<'_, '_, '_>) {
        let message = if self.until.kind == ExpressionKind::Bool(false) {
            "FALSE is never true: nothing ends the loop"
        } else if self.fixed(&self.until) == Some(true) {
            "no pass changes this: the loop ends after the first one, or never"
        } else {
            return;
        };
        let draft = Draft::warning(codes::ENDLESS_LOOP, self.until.span, message);
        let draft = draft.note("a run of 100,000 passes ends with an error");
        checker.error(draft.suggest(
            "ask for what the block sets, such as UNTIL {i} >= 10 with SET \"i\" WITH {i} + 1 in it",
        ));
    }

    /// Whether an expression that has the same value after each pass reads anything; `None` of one
    /// that may change.
    #[allow(clippy::wildcard_enum_match_arm, reason = "whatever else there is may change")]
    fn fixed(&self, expression: &Expression) -> Option<bool> {
        use ExpressionKind as Kind;
        let mut reads = match &expression.kind {
            Kind::Int(_) | Kind::Double(_) | Kind::Text(_) | Kind::Bool(_) | Kind::Null | Kind::Empty => {
                false
            }
            Kind::Binary { .. } | Kind::Not(_) | Kind::Negate(_) | Kind::Cast { .. } => false,
            Kind::Payload | Kind::Topic | Kind::TopicPosition(_) => true,
            Kind::Variable(path) if !scope::assigns(&self.body, &path.name) => true,
            _ => return None,
        };
        let mut inner = Vec::new();
        expression.kind.each_child(&mut |child| inner.push(child));
        for child in inner {
            reads |= self.fixed(child)?;
        }
        Some(reads)
    }
}

/// At least once, until the condition is true.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The statements; each pass counts against the run's budget of iterations.
    pub body: Vec<tree::Statement>,
    /// The condition after each pass.
    pub until: tree::Expression,
    /// Place of `UNTIL`.
    pub until_at: Position,
}

impl Executable for Checked {
    parts!(|Checked { body, until, .. }, visit| {
        visit(walk::Part::Need(Need::Unbounded));
        visit(walk::Part::Block(body, Times::Passes(u64::from(LOOP_PASSES_MAX))));
        visit(walk::Part::Value(until));
    });

    fn lower(&self, generator: &mut Generator<'_>, _at: Position) {
        let passes = generator.passes();
        let copies = generator.copies_of_loop(&self.body, &self.until);
        let end = generator.code.block();
        let start = generator.code.open_loop();
        for _ in 1..copies {
            self.lower_pass(generator, passes);
            generator.code.branch_if(end);
        }
        self.lower_pass(generator, passes);
        generator.code.not();
        generator.code.branch_if(start);
        generator.code.end();
        generator.code.end();
    }
}

impl Checked {
    /// One pass; pushes whether it was the last.
    fn lower_pass(&self, generator: &mut Generator<'_>, passes: Passes) {
        generator.begin_pass(passes, self.until_at);
        generator.block(&self.body);
        generator.truth(&self.until);
        generator.flush_notes(self.until_at);
    }
}
