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

use super::Statement;
use super::StatementKind;
use crate::diagnostic::{Draft, codes};
use crate::syntax::Expression;
use crate::syntax::parse::{Parsed, Parser};
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

/// Reads what follows `SWITCH`.
pub(super) fn parse(parser: &mut Parser<'_, '_>) -> Parsed<StatementKind> {
    let subject = parser.value()?;
    let mut switch = Switch { subject, cases: Vec::new(), otherwise: None };
    parser.expect_line_end("the value of SWITCH")?;
    if parser.peek().kind != TokenKind::Indent {
        let draft = Draft::error(codes::EMPTY_BLOCK, parser.previous(), "empty block after SWITCH");
        return parser.fail(draft.suggest("write CASE value THEN below, indented by 4 more spaces"));
    }
    parser.lines(|parser| match parser.eat_any(&["CASE", "DEFAULT"]) {
        Some("CASE") => case(parser).map(|case| switch.cases.push(case)),
        Some(_) => {
            parser.eat_word("THEN");
            switch.otherwise = Some(parser.block("DEFAULT")?);
            Ok(())
        }
        None => parser.expected(codes::UNEXPECTED_TOKEN, &["CASE", "DEFAULT"], "SWITCH"),
    });
    Ok(StatementKind::Switch(switch))
}

fn case(parser: &mut Parser<'_, '_>) -> Parsed<SwitchCase> {
    let mut values = vec![parser.value()?];
    while parser.eat_sign(Sign::Comma) {
        values.push(parser.value()?);
    }
    parser.eat_word("THEN");
    let body = parser.block("CASE")?;
    Ok(SwitchCase { values, body })
}
