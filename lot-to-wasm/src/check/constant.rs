//! Comparisons that have the same result at each run, because both sides are written in the program.

use super::tree::{Comparison, Constant, Expression, ExpressionKind};
use super::{Checker, fold};
use crate::diagnostic::{Draft, codes};
use crate::source::Span;

/// Reports such a comparison; whether it is one.
pub(super) fn is_reported(
    checker: &mut Checker<'_, '_, '_>,
    operator: Comparison,
    [(left, left_span), (right, right_span)]: [(&Expression, Span); 2],
) -> bool {
    let span = left_span.to(right_span);
    let message = match (fold::constant(left), fold::constant(right)) {
        // Others have reports of their own.
        (Some(left), Some(right)) if !are_alike(left, right) => return false,
        (Some(left), Some(right)) => match result(operator, left, right) {
            Some(result) => format!("both sides are written here, so this is always {result}"),
            None => "both sides are written here, so this has the same result each time".to_owned(),
        },
        (Some(_), None) | (None, Some(_)) => return false,
        (None, None) if is_same(left, right) => match operator {
            Comparison::Less | Comparison::Greater | Comparison::NotEqual => {
                "both sides are the same value, so this is never true".to_owned()
            }
            Comparison::Equal
            | Comparison::LessOrEqual
            | Comparison::GreaterOrEqual
            | Comparison::Contains
            | Comparison::StartsWith
            | Comparison::EndsWith
            | Comparison::In => {
                "both sides are the same value, so this has the same result each time".to_owned()
            }
        },
        (None, None) => return false,
    };
    let draft = Draft::warning(codes::CONSTANT_COMPARISON, span, message);
    checker.error(draft.suggest("compare what comes with it, such as PAYLOAD, a variable or GET TOPIC"));
    true
}

/// Whether both are numbers, or texts, or truth values.
fn are_alike(left: &Constant, right: &Constant) -> bool {
    match (left, right) {
        (Constant::Int(_) | Constant::Double(_), Constant::Int(_) | Constant::Double(_))
        | (Constant::Text(_), Constant::Text(_))
        | (Constant::Bool(_), Constant::Bool(_)) => true,
        (
            Constant::Empty
            | Constant::Null
            | Constant::Bool(_)
            | Constant::Int(_)
            | Constant::Double(_)
            | Constant::Text(_)
            | Constant::Json(_),
            _,
        ) => false,
    }
}

/// The result for two numbers, or two texts, truth values and the like that are asked whether they are equal; `None` where it is a matter of more rules.
fn result(operator: Comparison, left: &Constant, right: &Constant) -> Option<bool> {
    if let (Some(left), Some(right)) = (fold::number(left), fold::number(right)) {
        return Some(match operator {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Contains | Comparison::StartsWith | Comparison::EndsWith | Comparison::In => {
                return None;
            }
        });
    }
    let is_equal = match (left, right) {
        (Constant::Text(left), Constant::Text(right)) => left == right,
        (Constant::Bool(left), Constant::Bool(right)) => left == right,
        _ => return None,
    };
    match operator {
        Comparison::Equal => Some(is_equal),
        Comparison::NotEqual => Some(!is_equal),
        Comparison::Less
        | Comparison::LessOrEqual
        | Comparison::Greater
        | Comparison::GreaterOrEqual
        | Comparison::Contains
        | Comparison::StartsWith
        | Comparison::EndsWith
        | Comparison::In => None,
    }
}

/// Whether both sides are the payload, or the same variable.
fn is_same(left: &Expression, right: &Expression) -> bool {
    match (&left.kind, &right.kind) {
        (ExpressionKind::Payload, ExpressionKind::Payload) => true,
        (ExpressionKind::Variable(left), ExpressionKind::Variable(right)) => left == right,
        _ => false,
    }
}
