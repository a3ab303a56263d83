//! Comparisons that have the same result at each run, because nothing that comes can change it.

use super::tree::{Constant, Expression, ExpressionKind};
use super::{Checker, fold};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;

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
