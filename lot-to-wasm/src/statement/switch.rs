//! `SWITCH v` with `CASE` and `DEFAULT` (LoT reference §8.4).
//!
//! ```text
//! switch = "SWITCH" value NL IN { "CASE" value { "," value } [ "THEN" ] block }
//!          [ "DEFAULT" [ "THEN" ] block ] DE ;
//!
//! SWITCH PAYLOAD
//!     CASE "on", "1" THEN
//!         PUBLISH TOPIC "lamp" WITH 1
//!     DEFAULT THEN
//!         PUBLISH TOPIC "lamp" WITH 0
//! ```

use super::word::Use::{BeforeValue, BeginsBlock, BeginsLine, BeginsStatement, WantsMore};
use super::{
    CheckedKind, Construct, Executable, Form, Part, Statement, StatementKind, Word, each_expression,
};
use crate::check::Checker;
use crate::check::tree::walk::{self, Times, parts};
use crate::check::tree::{self, Candidate};
use crate::diagnostic::{Draft, codes};
use crate::limits::COMPARED_CASES_MAX;
use crate::lower::{Generator, UnrollBudget};
use crate::source::Span;
use crate::syntax::parse::{Parsed, Parser};
use crate::syntax::sexpr::{Writer, block, text};
use crate::syntax::{Expression, Position};
use crate::token::{Sign, TokenKind};

/// `SWITCH` with its cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// Compared with the cases; evaluated once.
    pub subject: Expression,
    /// In source order.
    pub cases: Vec<SwitchCase>,
    /// `DEFAULT`.
    pub otherwise: Option<Vec<Statement>>,
}

/// `CASE a, b THEN …`.
#[derive(Debug, Clone, PartialEq)]
pub struct SwitchCase {
    /// At least one.
    pub values: Vec<Expression>,
    /// The statements; empty only after an error.
    pub body: Vec<Statement>,
}

/// How it begins.
pub(super) const FORMS: &[Form] = &[Form::new(&["SWITCH"], parse)];

/// Words that only it has.
pub(super) const WORDS: &[Word] = &[
    Word {
        word: "SWITCH",
        is: &[BeforeValue, BeginsStatement, BeginsBlock, WantsMore],
        text: "`SWITCH value`, then indented `CASE value THEN` and `DEFAULT`: the first case that equals the value.",
    },
    Word {
        word: "CASE",
        is: &[BeforeValue, BeginsStatement, BeginsBlock, WantsMore],
        text: "`CASE value, value THEN`: a branch of `SWITCH`.",
    },
    Word {
        word: "DEFAULT",
        is: &[BeginsLine, BeginsBlock],
        text: "The branch of `SWITCH` that is taken when no `CASE` fits.",
    },
];

/// Reads what follows `SWITCH`.
fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let subject = parser.value()?;
    let mut switch = Switch { subject, cases: Vec::new(), otherwise: None };
    parser.skip_foreign_opener();
    parser.expect_line_end("the value of SWITCH")?;
    if parser.peek().kind != TokenKind::Indent {
        let draft = Draft::error(codes::EMPTY_BLOCK, parser.previous(), "empty block after SWITCH");
        if !is_case(parser) {
            return parser.fail(draft.suggest("write CASE value THEN below, indented by 4 more spaces"));
        }
        let start = parser.span();
        while is_case(parser) {
            if line(parser, &mut switch).is_err() {
                parser.recover();
            }
            parser.skip_newlines();
        }
        let (span, text) = parser.indented(start);
        let hint = "indent CASE and DEFAULT, and what is below them, by 4 more spaces";
        parser.sink.push(draft.suggest(hint).fix(span, text));
        return Ok(StatementKind::Switch(switch));
    }
    parser.lines(|parser| line(parser, &mut switch));
    Ok(StatementKind::Switch(switch))
}

fn is_case(parser: &Parser<'_, '_>) -> bool {
    parser.is_keyword("CASE") || parser.is_keyword("DEFAULT")
}

/// `CASE …` or `DEFAULT` with its block.
fn line(parser: &mut Parser<'_, '_>, switch: &mut Switch) -> Parsed<()> {
    match parser.eat_any(&["CASE", "DEFAULT"]) {
        Some("CASE") => case(parser).map(|case| switch.cases.push(case)),
        Some(_) => {
            parser.eat_keyword("THEN");
            switch.otherwise = Some(parser.block("DEFAULT")?);
            Ok(())
        }
        None if parser.begins_value(0) => {
            parser.missing_first_word("CASE", &["CASE", "DEFAULT"]);
            case(parser).map(|case| switch.cases.push(case))
        }
        None if parser.is_keyword("ELSE") => {
            let message = "expected CASE or DEFAULT after SWITCH, found ELSE";
            let draft = Draft::error(codes::EXPECTED_WORD, parser.span(), message);
            parser.sink.push(draft.did_you_mean(Some("DEFAULT")));
            parser.advance();
            parser.eat_keyword("THEN");
            switch.otherwise = Some(parser.block("DEFAULT")?);
            Ok(())
        }
        None => parser.missing(&["CASE", "DEFAULT"], "SWITCH"),
    }
}

fn case(parser: &mut Parser<'_, '_>) -> Parsed<SwitchCase> {
    let is_comparison = matches!(
        parser.peek().kind,
        TokenKind::Sign(Sign::Less | Sign::LessEqual | Sign::Greater | Sign::GreaterEqual | Sign::NotEqual)
    );
    if is_comparison {
        let draft =
            Draft::error(codes::EXPECTED_EXPRESSION, parser.span(), "CASE takes values, no comparisons");
        return parser.fail(draft.suggest("write IF … THEN and ELSE IF … THEN for ranges"));
    }
    let mut values = vec![parser.value()?];
    if parser.is_sign(Sign::Dot) {
        let draft = Draft::error(codes::EXPECTED_EXPRESSION, parser.span(), "CASE takes values, no ranges");
        return parser.fail(draft.suggest("write IF … THEN and ELSE IF … THEN for ranges"));
    }
    while parser.eat_sign(Sign::Comma) {
        values.push(parser.value()?);
    }
    parser.eat_keyword("THEN");
    let body = parser.block("CASE")?;
    Ok(SwitchCase { values, body })
}

impl Construct for Switch {
    fn check(&self, checker: &mut Checker<'_, '_, '_>, _span: Span) -> Option<CheckedKind> {
        let subject = checker.operand(&self.subject);
        let mut ends = Vec::new();
        let mut cases = Vec::new();
        let mut constants: Vec<tree::Constant> = Vec::new();
        for case in &self.cases {
            let candidates: Vec<Candidate> =
                case.values.iter().map(|value| checker.candidate(value)).collect();
            for (source, candidate) in case.values.iter().zip(&candidates) {
                if let Some(constant) = constant_of(candidate) {
                    if constants.contains(constant) {
                        let message = "case can never be reached: an earlier one has the same value";
                        checker.error(Draft::warning(codes::UNREACHABLE_CASE, source.span, message));
                    }
                    // Longer lists are not compared: the cost grows with the square.
                    if constants.len() < COMPARED_CASES_MAX {
                        constants.push(constant.clone());
                    }
                }
            }
            let start = checker.scope.save();
            let body = checker.statements(&case.body);
            ends.push(checker.scope.save());
            checker.scope.restore(start);
            cases.push(Case { candidates, body });
        }
        let otherwise = checker.statements(self.otherwise.as_deref().unwrap_or_default());
        ends.push(checker.scope.save());
        checker.scope.join(ends);
        Some(Checked { subject, cases, otherwise }.into())
    }

    fn each_part<'a>(&'a self, visit: &mut dyn FnMut(Part<'a>)) {
        visit(Part::Expression(&self.subject));
        for case in &self.cases {
            each_expression(&case.values, visit);
            visit(Part::Block(&case.body));
        }
        self.otherwise.iter().for_each(|block| visit(Part::Block(block)));
    }

    fn write(&self, writer: &mut Writer) {
        writer.push(&format!("(switch {}", text(&self.subject)));
        writer.nested(|writer| {
            for case in &self.cases {
                writer.line();
                let values: Vec<String> = case.values.iter().map(text).collect();
                writer.push(&format!("(case ({})", values.join(" ")));
                block(writer, &case.body);
                writer.push(")");
            }
            if let Some(body) = &self.otherwise {
                writer.line();
                writer.push("(default");
                block(writer, body);
                writer.push(")");
            }
        });
        writer.push(")");
    }
}

/// Returns the value of a candidate that is known at compile time.
fn constant_of(candidate: &Candidate) -> Option<&tree::Constant> {
    match candidate {
        Candidate::Empty => Some(&tree::Constant::Empty),
        Candidate::Value(tree::Expression { kind: tree::ExpressionKind::Constant(constant), .. }) => {
            Some(constant)
        }
        Candidate::Value(_) => None,
    }
}

/// The first case with an equal value.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Evaluated once.
    pub subject: tree::Expression,
    /// In source order; equality is that of [`Equal`](tree::Comparison::Equal).
    pub cases: Vec<Case>,
    /// The `DEFAULT` part, empty when there is none.
    pub otherwise: Vec<tree::Statement>,
}

/// A checked `CASE` with its values and statements.
#[derive(Debug, Clone)]
pub struct Case {
    /// At least one; evaluated in order until one is equal.
    pub candidates: Vec<Candidate>,
    /// At least one.
    pub body: Vec<tree::Statement>,
}

impl Executable for Checked {
    parts!(|Checked { subject, cases, otherwise }, visit| {
        visit(walk::Part::Value(subject));
        for Case { candidates, body } in cases {
            for candidate in candidates {
                if let Candidate::Value(value) = candidate {
                    visit(walk::Part::Value(value));
                }
            }
            visit(walk::Part::Block(body, Times::Once));
        }
        visit(walk::Part::Block(otherwise, Times::Once));
    });

    fn lower(&self, generator: &mut Generator<'_>, at: Position) {
        let candidates = self.cases.iter().flat_map(|case| &case.candidates);
        let subject = generator.subject(&self.subject, candidates);
        generator.flush_notes(at);
        let end = generator.code.block();
        for case in &self.cases {
            let next = generator.code.block();
            let equal = generator.code.block();
            for candidate in &case.candidates {
                generator.equals_subject(subject, candidate);
                generator.flush_notes(at);
                generator.code.branch_if(equal);
            }
            generator.code.branch(next);
            generator.code.end();
            generator.block(&case.body);
            generator.code.branch(end);
            generator.code.end();
        }
        generator.block(&self.otherwise);
        generator.code.end();
        generator.release_subject(subject);
    }

    /// A SWITCH that compares texts of the program with the payload can be unrolled.
    fn is_unrollable(&self, generator: &Generator<'_>, budget: &mut UnrollBudget) -> bool {
        let mut fits = |case: &Case| {
            case.candidates.iter().all(|candidate| generator.is_compared_in_place(candidate, budget))
                && generator.are_unrollable(&case.body, budget)
        };
        generator.payload_text(&self.subject).is_some()
            && self.cases.iter().all(&mut fits)
            && generator.are_unrollable(&self.otherwise, budget)
    }
}
