//! `LOOP … UNTIL c`: a loop whose condition is tested after each pass (LoT reference §8.5).
//!
//! ```text
//! loop = "LOOP" block "UNTIL" cond ;
//!
//! LOOP
//!     SET "i" WITH {i} + 1
//! UNTIL {i} == 3
//! ```

use super::Statement;
use super::StatementKind;
use crate::check::Checker;
use crate::check::tree;
use crate::diagnostic::suggest::nearest;
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::Expression;
use crate::syntax::parse::{Parsed, Parser};

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
    let body = parser.block("LOOP")?;
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

impl LoopUntil {
    pub(crate) fn check(&self, checker: &mut Checker<'_, '_, '_>) -> tree::StatementKind {
        checker.scope.enter_loop(&self.body);
        let body = checker.statements(&self.body);
        let until = checker.operand(&self.until);
        let until_at = checker.at(self.until_span);
        tree::StatementKind::Loop { body, until, until_at }
    }
}
