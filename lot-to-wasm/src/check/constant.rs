//! Comparisons, and operands of AND and OR, that have the same result at each run, because nothing
//! that comes can change it.

use super::tree::{Constant, Expression, ExpressionKind};
use super::{Checker, fold};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;
use crate::syntax::{self, BinaryOperator, ExpressionKind as Source};

/// Longest value that is written anew in a suggestion, in bytes.
const SHOWN_BYTES_MAX: usize = 60;

/// Reports such a comparison; whether it is one.
pub(super) fn is_reported(
    checker: &mut Checker<'_, '_, '_>,
    [(left, left_span), (right, right_span)]: [(&Expression, Span); 2],
) -> bool {
    let why = match (fold::constant(left), fold::constant(right)) {
        (Some(left), Some(right)) if are_alike(left, right) => "both sides are written here",
        (None, None) if is_same(left, right) => "both sides are the same value",
        _ => return false,
    };
    let message = format!("{why}, so this has the same result each time");
    let draft = Draft::warning(codes::CONSTANT_COMPARISON, left_span.to(right_span), message);
    checker.error(draft.suggest("compare what comes with it, such as PAYLOAD, a variable or GET TOPIC"));
    true
}

/// Reports a text or number of the program that is an operand of AND or OR, where the comparison
/// beside it is to be made with that, too.
pub(super) fn warn_of_operands(checker: &mut Checker<'_, '_, '_>, [left, right]: [&syntax::Expression; 2]) {
    for (operand, other) in [(left, right), (right, left)] {
        if !matches!(operand.kind, Source::Text(_) | Source::Int(_) | Source::Double(_)) {
            continue;
        }
        let written = checker.sink.source().slice(operand.span);
        let message = format!("{written} is compared with nothing, so it counts the same each time");
        let draft = Draft::warning(codes::CONSTANT_COMPARISON, operand.span, message);
        let draft = match comparison_with(checker, other, written) {
            Some(meant) => draft.suggest(format!("write {meant}")).fix(operand.span, meant),
            None => draft.suggest("compare it with what comes, such as PAYLOAD, a variable or GET TOPIC"),
        };
        checker.error(draft);
    }
}

/// The comparison nearest to the end of `condition`, with `written` as its right side.
fn comparison_with(
    checker: &Checker<'_, '_, '_>,
    condition: &syntax::Expression,
    written: &str,
) -> Option<String> {
    let Source::Binary { operator, left, right } = &condition.kind else { return None };
    match operator {
        BinaryOperator::Or | BinaryOperator::And => {
            comparison_with(checker, right, written).or_else(|| comparison_with(checker, left, written))
        }
        BinaryOperator::Add
        | BinaryOperator::Subtract
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Remainder
        | BinaryOperator::In
        | BinaryOperator::MatchesRegex => None,
        BinaryOperator::Equal
        | BinaryOperator::NotEqual
        | BinaryOperator::Less
        | BinaryOperator::LessOrEqual
        | BinaryOperator::Greater
        | BinaryOperator::GreaterOrEqual
        | BinaryOperator::Contains
        | BinaryOperator::NotContains
        | BinaryOperator::StartsWith
        | BinaryOperator::EndsWith
        | BinaryOperator::Matches => {
            let source = checker.sink.source();
            let between = Span::new(left.span.end as usize, right.span.start as usize);
            let (subject, sign) = (source.slice(left.span), source.slice(between).trim());
            let is_plain = subject.len() <= SHOWN_BYTES_MAX
                && written.len() <= SHOWN_BYTES_MAX
                && !sign.is_empty()
                && !sign.contains(['(', ')', '\n']);
            let sign = if sign == "=" { "==" } else { sign };
            is_plain.then(|| format!("{subject} {sign} {written}"))
        }
    }
}

/// Whether both are numbers, or texts, or truth values. Other pairs have reports of their own.
fn are_alike(left: &Constant, right: &Constant) -> bool {
    matches!(
        (left, right),
        (Constant::Int(_) | Constant::Double(_), Constant::Int(_) | Constant::Double(_))
            | (Constant::Text(_), Constant::Text(_))
            | (Constant::Bool(_), Constant::Bool(_))
    )
}

/// Whether both sides are the payload, or the same variable.
fn is_same(left: &Expression, right: &Expression) -> bool {
    match (&left.kind, &right.kind) {
        (ExpressionKind::Payload, ExpressionKind::Payload) => true,
        (ExpressionKind::Variable(left), ExpressionKind::Variable(right)) => left == right,
        _ => false,
    }
}
