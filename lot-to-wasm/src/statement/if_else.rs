//! `IF … THEN … ELSE IF … ELSE …`, closed by indentation (LoT reference §8.3).
//!
//! ```text
//! if = "IF" cond "THEN" ( block | stmt NL )
//!      { [NL] "ELSE" "IF" cond "THEN" ( block | stmt NL ) }
//!      [ [NL] "ELSE" ( block | stmt NL ) ] ;
//!
//! IF PAYLOAD > 80 THEN
//!     PUBLISH TOPIC "level" WITH "high"
//! ELSE
//!     PUBLISH TOPIC "level" WITH "low"
//! ```

use super::word::Use::{BeforeValue, BeginsBlock, BlockFollows, WantsMore};
use super::{CheckedKind, Construct, Executable, Form, Part, Statement, StatementKind, Word};
use crate::check::Checker;
use crate::check::tree;
use crate::check::tree::walk::{self, Times, parts};
use crate::lower::{Generator, UnrollBudget};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser, Reported};
use crate::syntax::sexpr::{Writer, block, text};
use crate::syntax::{Expression, ExpressionKind, Position};

/// `IF` with all its branches.
#[derive(Debug, Clone, PartialEq)]
pub struct IfElse {
    /// `IF` and `ELSE IF`, at least one.
    pub branches: Vec<IfBranch>,
    /// `ELSE`.
    pub otherwise: Option<Vec<Statement>>,
}

/// A condition with its statements.
#[derive(Debug, Clone, PartialEq)]
pub struct IfBranch {
    /// The condition.
    pub condition: Expression,
    /// The statements; empty only after an error.
    pub body: Vec<Statement>,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["IF"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[
    Word {
        word: "IF",
        is: &[BeforeValue, BeginsBlock, WantsMore],
        text: "`IF condition THEN` and statements below it, or `IF condition THEN value ELSE value` as a value.",
    },
    Word { word: "THEN", is: &[BlockFollows], text: "Ends the condition of `IF` and the value of `CASE`." },
    Word {
        word: "ELSE",
        is: &[BeginsBlock],
        text: "What happens otherwise, in the column of its `IF`; `ELSE IF condition THEN` asks on.",
    },
];

/// Reads what follows `IF`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let column = (!parser.previous_begins_line()).then(|| parser.column(parser.previous()));
    let mut branches = Vec::new();
    let mut otherwise = None;
    loop {
        let after = if branches.is_empty() { "IF condition" } else { "ELSE IF condition" };
        let condition = condition(parser, after)?;
        let body = branch_body(parser, "THEN")?;
        branches.push(IfBranch { condition, body });
        if !else_follows(parser, column) {
            break;
        }
        if parser.eat_else() {
            continue;
        }
        otherwise = Some(branch_body(parser, "ELSE")?);
        break;
    }
    Ok(StatementKind::IfElse(IfElse { branches, otherwise }))
}

/// Reads a condition with its THEN. Reports an error and goes on with the block below if the
/// condition is wrong.
fn condition(parser: &mut Parser<'_, '_>, after: &str) -> Parsed<Expression> {
    let start = parser.span();
    let read = parser.condition().and_then(|condition| {
        // Without THEN the block can be read when the line ends here.
        match parser.expect_then(after) {
            Err(Reported) if !parser.is_line_end() => Err(Reported),
            Ok(()) | Err(Reported) => Ok(condition),
        }
    });
    read.or_else(|Reported| {
        parser.skip_line();
        if !parser.is_block_below() {
            return Err(Reported);
        }
        Ok(Expression { kind: ExpressionKind::Invalid, span: parser.span_from(start), depth: 1 })
    })
}

/// An indented block, or a single statement on the line.
fn branch_body(parser: &mut Parser<'_, '_>, opener: &str) -> Parsed<Vec<Statement>> {
    parser.skip_foreign_opener();
    if parser.is_line_end() {
        return parser.block(opener);
    }
    parser.nested_statement().map(|statement| vec![statement])
}

/// Whether ELSE comes next, on this line or the next one of the block. One that stands left of an
/// IF in the midst of a line, which is in `column`, belongs to an outer one.
fn else_follows(parser: &mut Parser<'_, '_>, column: Option<u32>) -> bool {
    let ahead = parser.newlines_ahead();
    if !parser.is_else_at(ahead) {
        return false;
    }
    let stands = parser.column(parser.peek_at(ahead).span);
    if ahead > 0 && column.is_some_and(|column| stands < column) {
        return false;
    }
    for _ in 0..ahead {
        parser.advance();
    }
    true
}

impl Construct for IfElse {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        let mut ends = Vec::new();
        let mut branches = Vec::new();
        for branch in &self.branches {
            let condition = checker.operand(&branch.condition);
            let start = checker.scope.save();
            let body = checker.statements(&branch.body);
            ends.push(checker.scope.save());
            checker.scope.restore(start);
            branches.push(Branch { condition, body });
        }
        let otherwise = checker.statements(self.otherwise.as_deref().unwrap_or_default());
        ends.push(checker.scope.save());
        checker.scope.join(ends);
        Some(Checked { branches, otherwise }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        for branch in &self.branches {
            visit(Part::Expression(&branch.condition));
            visit(Part::Block(&branch.body));
        }
        self.otherwise.iter().for_each(|block| visit(Part::Block(block)));
    }

    fn write(&self, writer: &mut Writer) {
        for (index, branch) in self.branches.iter().enumerate() {
            if index > 0 {
                writer.line();
                writer.push(" ");
            }
            writer.push(&format!("({} {}", if index == 0 { "if" } else { "elif" }, text(&branch.condition)));
            block(writer, &branch.body);
            if index > 0 {
                writer.push(")");
            }
        }
        if let Some(body) = &self.otherwise {
            writer.line();
            writer.push(" (else");
            block(writer, body);
            writer.push(")");
        }
        writer.push(")");
    }
}

/// The first branch whose condition is true.
#[derive(Debug, Clone)]
pub struct Checked {
    /// At least one.
    pub branches: Vec<Branch>,
    /// The `ELSE` part, empty when there is none.
    pub otherwise: Vec<tree::Statement>,
}

/// A checked condition with its statements.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its truth decides.
    pub condition: tree::Expression,
    /// At least one.
    pub body: Vec<tree::Statement>,
}

impl Checked {
    /// `IF condition THEN body`.
    pub(crate) fn when(condition: tree::Expression, body: Vec<tree::Statement>) -> Checked {
        Checked { branches: vec![Branch { condition, body }], otherwise: Vec::new() }
    }
}

impl Executable for Checked {
    parts!(|Checked { branches, otherwise }, visit| {
        for Branch { condition, body } in branches {
            visit(walk::Part::Value(condition));
            visit(walk::Part::Block(body, Times::Once));
        }
        visit(walk::Part::Block(otherwise, Times::Once));
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let end = generator.code.block();
        for branch in &self.branches {
            generator.truth(&branch.condition);
            generator.flush_notes(at);
            generator.code.open_if();
            generator.block(&branch.body);
            generator.code.branch(end);
            generator.code.end();
        }
        generator.block(&self.otherwise);
        generator.code.end();
    }

    fn is_unrollable(&self, generator: &Generator<'_>, budget: &mut UnrollBudget) -> bool {
        let mut fits = |branch: &Branch| {
            generator.is_machine_code(&branch.condition, budget)
                && generator.are_unrollable(&branch.body, budget)
        };
        self.branches.iter().all(&mut fits) && generator.are_unrollable(&self.otherwise, budget)
    }
}
