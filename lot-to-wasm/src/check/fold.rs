//! Constant folding at compile time.
//!
//! It only folds expressions with the same result at run time by definition: arithmetic on number
//! literals, joined texts, and casts between numbers.

use super::kind::KindSet;
use super::tree::{Arithmetic, CastKind, Constant, Expression, ExpressionKind};

/// Kinds of a constant.
pub(super) fn kinds(constant: &Constant) -> KindSet {
    match constant {
        Constant::Empty => KindSet::EMPTY,
        Constant::Null => KindSet::NULL,
        Constant::Bool(_) => KindSet::BOOL,
        Constant::Int(_) => KindSet::INT,
        Constant::Double(_) => KindSet::DOUBLE,
        Constant::Text(_) => KindSet::TEXT_LITERAL,
        Constant::Json(_) => KindSet::JSON,
    }
}

/// The negative of a number.
pub(super) fn negate(constant: &Constant) -> Option<Constant> {
    match constant {
        Constant::Int(number) => {
            Some(number.checked_neg().map_or(Constant::Double(-(*number as f64)), Constant::Int))
        }
        Constant::Double(number) => Some(Constant::Double(-number)),
        Constant::Empty | Constant::Null | Constant::Bool(_) | Constant::Text(_) | Constant::Json(_) => None,
    }
}

/// The result of arithmetic on two numbers; `None` when it is not finite or not a matter of
/// numbers.
pub(super) fn arithmetic(operator: Arithmetic, left: &Constant, right: &Constant) -> Option<Constant> {
    if let (Constant::Int(left), Constant::Int(right)) = (left, right) {
        let whole = match operator {
            Arithmetic::Add => left.checked_add(*right),
            Arithmetic::Subtract => left.checked_sub(*right),
            Arithmetic::Multiply => left.checked_mul(*right),
            Arithmetic::Divide => {
                left.checked_rem(*right).filter(|rest| *rest == 0).and_then(|_| left.checked_div(*right))
            }
            Arithmetic::Remainder => left.checked_rem(*right),
        };
        if let Some(number) = whole {
            return Some(Constant::Int(number));
        }
    }
    let (left, right) = (number(left)?, number(right)?);
    let result = match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
    };
    (result.is_finite() && (right != 0.0 || !matches!(operator, Arithmetic::Divide | Arithmetic::Remainder)))
        .then_some(Constant::Double(result))
}

/// Whether a constant is the number zero.
pub(super) fn is_zero(constant: &Constant) -> bool {
    number(constant) == Some(0.0)
}

fn number(constant: &Constant) -> Option<f64> {
    match constant {
        Constant::Int(number) => Some(*number as f64),
        Constant::Double(number) => Some(*number),
        Constant::Empty | Constant::Null | Constant::Bool(_) | Constant::Text(_) | Constant::Json(_) => None,
    }
}

/// A cast of a constant, where it is simple.
pub(super) fn cast(to: CastKind, constant: &Constant) -> Option<Constant> {
    match (to, constant) {
        (_, Constant::Empty) => Some(Constant::Empty),
        (CastKind::Int, Constant::Int(number)) => Some(Constant::Int(*number)),
        (CastKind::Double, Constant::Double(number)) => Some(Constant::Double(*number)),
        (CastKind::Double, Constant::Int(number)) => Some(Constant::Double(*number as f64)),
        (CastKind::Int, Constant::Double(number)) if number.abs() < 9.0e15 => {
            Some(Constant::Int(*number as i64))
        }
        (CastKind::String, constant) => text(constant).map(Constant::Text),
        _ => None,
    }
}

/// Canonical text of a constant (§4); `None` for doubles whose text has an exponent.
pub(super) fn text(constant: &Constant) -> Option<String> {
    Some(match constant {
        Constant::Empty => String::new(),
        Constant::Null => "null".to_owned(),
        Constant::Bool(value) => value.to_string(),
        Constant::Int(number) => number.to_string(),
        Constant::Double(number) if (1e-5..=1e15).contains(&number.abs()) => number.to_string(),
        Constant::Double(_) => return None,
        Constant::Text(text) | Constant::Json(text) => text.clone(),
    })
}

/// Joins neighbouring constants of a concatenation, and returns the remaining expression.
pub(super) fn concat(parts: Vec<Expression>) -> ExpressionKind {
    let mut joined: Vec<Expression> = Vec::new();
    for part in parts {
        let text = constant(&part).and_then(text);
        match (text, joined.last_mut()) {
            (Some(text), Some(Expression { kind: ExpressionKind::Constant(Constant::Text(before)), .. })) => {
                before.push_str(&text);
            }
            (Some(text), _) => joined.push(Expression {
                kind: ExpressionKind::Constant(Constant::Text(text)),
                kinds: KindSet::TEXT_LITERAL,
                ..part
            }),
            (None, _) => joined.push(part),
        }
    }
    match joined.as_slice() {
        [Expression { kind: ExpressionKind::Constant(constant), .. }] => {
            ExpressionKind::Constant(constant.clone())
        }
        _ => ExpressionKind::Concat(joined),
    }
}

/// The constant that an expression is.
#[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
pub(super) fn constant(expression: &Expression) -> Option<&Constant> {
    match &expression.kind {
        ExpressionKind::Constant(constant) => Some(constant),
        _ => None,
    }
}

/// A constant as JSON text; `None` where that depends on run-time rules.
#[allow(clippy::wildcard_enum_match_arm, reason = "only the special cases are named")]
pub(super) fn json(constant: &Constant) -> Option<String> {
    match constant {
        Constant::Text(text) => serde_json::to_string(text).ok(),
        Constant::Empty => Some("null".to_owned()),
        constant => text(constant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_on_literals_follows_the_run_time_rules() {
        use Arithmetic as A;
        let (int, double) = (Constant::Int, Constant::Double);
        for (operator, left, right, expected) in [
            (A::Add, int(2), int(3), Some(int(5))),
            (A::Divide, int(7), int(2), Some(double(3.5))),
            (A::Divide, int(8), int(2), Some(int(4))),
            (A::Divide, int(1), int(0), None),
            (A::Remainder, int(-7), int(2), Some(int(-1))),
            (A::Remainder, double(1.0), int(0), None),
            (A::Multiply, int(i64::MAX), int(2), Some(double(i64::MAX as f64 * 2.0))),
            (A::Divide, int(i64::MIN), int(-1), Some(double(9_223_372_036_854_775_808.0))),
            (A::Add, Constant::Text("5".into()), int(1), None),
        ] {
            assert_eq!(arithmetic(operator, &left, &right), expected, "{operator:?} {left:?} {right:?}");
        }
        assert_eq!(text(&double(77.0)).as_deref(), Some("77"));
    }
}
