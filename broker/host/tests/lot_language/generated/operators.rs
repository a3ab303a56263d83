//! Casts, arithmetic and comparisons of the reference evaluator (§4).

use std::cmp::Ordering;

use super::json::Json;
use super::tree::{Operator, Type};
use super::value::{Answer, Number, Stop, Value, bool_word, truth_of_text};

/// Warning of a calculation, besides its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// A text was used as a number, and counted as 0 or was compared as text.
    NotANumber,
    DivisionByZero,
    /// A cast gave the zero of its type.
    FailedCast,
}

fn unspecified<T>(what: &'static str) -> Answer<T> {
    Err(Stop::Unspecified(what))
}

/// `value AS to`.
pub(super) fn cast(value: Value, to: Type, notes: &mut Vec<Note>) -> Answer<Value> {
    if value == Value::Empty {
        return Ok(Value::Empty);
    }
    match to {
        Type::Int | Type::Double => cast_number(&value, to, notes),
        Type::Bool => Ok(Value::Bool(match &value {
            Value::Text { text, .. } => truth_of_text(text),
            other => other.truth()?,
        })),
        Type::String => Ok(Value::literal(value.text())),
        Type::Timestamp => cast_time(value),
        Type::Array | Type::Object | Type::Json => cast_json(value, to),
        Type::Bytes => unspecified("bytes of anything but the payload"),
    }
}

fn cast_number(value: &Value, to: Type, notes: &mut Vec<Note>) -> Answer<Value> {
    let number = match value {
        Value::Bool(value) => Number::Int(i64::from(*value)),
        Value::Null => Number::Int(0),
        Value::Time(ms) => Number::of_time(*ms),
        Value::Json(_) => {
            notes.push(Note::FailedCast);
            Number::Int(0)
        }
        Value::Bytes(_) => return unspecified("bytes as a number"),
        other => match other.number() {
            Some(number) => number,
            None => {
                if other.text() != "null" {
                    notes.push(Note::FailedCast);
                }
                Number::Int(0)
            }
        },
    };
    Ok(match (to, number) {
        (Type::Int, Number::Int(value)) => Value::Int(value),
        (Type::Int, Number::Double(value)) => {
            // At the bounds of 64 bits where it is beyond them; 0 for NaN.
            Value::Int(value as i64)
        }
        (_, number) => Value::Double(number.as_double()),
    })
}

fn cast_time(value: Value) -> Answer<Value> {
    match value {
        Value::Time(_) => Ok(value),
        Value::Null => Ok(Value::Null),
        Value::Json(_) | Value::Bool(_) => Ok(Value::Null),
        Value::Bytes(_) => unspecified("bytes as a time"),
        Value::Text { ref text, .. } if value.number().is_none() => match text.as_str() {
            // The only dates that are generated.
            "2026-01-15T10:30:00Z" | "2026-01-15 10:30:00" => Ok(Value::Time(1_768_473_000_000)),
            text if text.contains('-') || text.contains(':') => unspecified("what else is a time"),
            _ => Ok(Value::Null),
        },
        other => match other.number() {
            Some(Number::Int(number)) if (0..=100_000_000_000).contains(&number) => {
                Ok(Value::Time(number * 1000))
            }
            Some(Number::Int(number)) if (100_000_000_001..10_000_000_000_000).contains(&number) => {
                Ok(Value::Time(number))
            }
            _ => unspecified("a time before 1970, far away or in fractions"),
        },
    }
}

fn cast_json(value: Value, to: Type) -> Answer<Value> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Int(_) | Value::Double(_) => match to {
            Type::Array => Ok(Value::Json(Json::Array(vec![Json::of(&value)]))),
            Type::Object => Ok(Value::Null),
            _ => Ok(value),
        },
        Value::Text { ref text, .. } => match (Json::parse(text), to) {
            (None, _) => Ok(Value::Null),
            (Some(found), Type::Json) => Ok(found.into_value()),
            (Some(found), _) => of_kind(found, to),
        },
        Value::Json(found) => match to {
            Type::Json => Ok(Value::Json(found)),
            _ => of_kind(found, to),
        },
        Value::Bool(_) | Value::Time(_) if to == Type::Array => {
            Ok(Value::Json(Json::Array(vec![Json::of(&value)])))
        }
        Value::Bool(_) | Value::Time(_) if to == Type::Json => Ok(value),
        Value::Bool(_) | Value::Time(_) => Ok(Value::Null),
        Value::Empty | Value::Bytes(_) => unspecified("bytes as JSON"),
    }
}

fn of_kind(found: Json, to: Type) -> Answer<Value> {
    match (&found, to) {
        (Json::Array(_) | Json::Object(_), _) => Ok(Value::Json(found)),
        (Json::Null, _) | (_, Type::Object) => Ok(Value::Null),
        _ => Ok(Value::Json(Json::Array(vec![found]))),
    }
}

/// `left operator right`, for operators that calculate.
pub(super) fn calculate(
    operator: Operator,
    left: &Value,
    right: &Value,
    notes: &mut Vec<Note>,
) -> Answer<Value> {
    if operator == Operator::Add {
        return add(left, right);
    }
    let (left, right) = (operand(left, notes)?, operand(right, notes)?);
    if right.is_zero() && matches!(operator, Operator::Divide | Operator::Remainder) {
        notes.push(Note::DivisionByZero);
        return Ok(Value::Null);
    }
    if let (Number::Int(left), Number::Int(right)) = (left, right) {
        let whole = match operator {
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Divide => {
                left.checked_rem(right).filter(|rest| *rest == 0).and(left.checked_div(right))
            }
            _ => Some(left.wrapping_rem(right)),
        };
        if let Some(whole) = whole {
            return Ok(Value::Int(whole));
        }
    }
    let (left, right) = (left.as_double(), right.as_double());
    Ok(Value::Double(match operator {
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => left % right,
    }))
}

pub(super) fn operand(value: &Value, notes: &mut Vec<Note>) -> Answer<Number> {
    match value {
        Value::Empty => Ok(Number::Int(0)),
        Value::Bool(value) => Ok(Number::Int(i64::from(*value))),
        Value::Time(ms) => Ok(Number::of_time(*ms)),
        Value::Bytes(_) => unspecified("calculating with bytes"),
        other => Ok(other.number().unwrap_or_else(|| {
            notes.push(Note::NotANumber);
            Number::Int(0)
        })),
    }
}

fn add(left: &Value, right: &Value) -> Answer<Value> {
    let numeric = |value: &Value| if value.is_literal() { None } else { value.number() };
    let numbers = match (left, right) {
        (Value::Empty, other) | (other, Value::Empty) => numeric(other).map(|number| {
            if *left == Value::Empty { (Number::Int(0), number) } else { (number, Number::Int(0)) }
        }),
        _ => numeric(left).zip(numeric(right)),
    };
    Ok(match numbers {
        Some((Number::Int(left), Number::Int(right))) => match left.checked_add(right) {
            Some(sum) => Value::Int(sum),
            None => Value::Double(left as f64 + right as f64),
        },
        Some((left, right)) => Value::Double(left.as_double() + right.as_double()),
        None => Value::literal(left.text() + &right.text()),
    })
}

/// `-value`.
pub(super) fn negate(value: &Value, notes: &mut Vec<Note>) -> Answer<Value> {
    Ok(match operand(value, notes)? {
        Number::Int(value) => value.checked_neg().map_or(Value::Double(-(value as f64)), Value::Int),
        Number::Double(value) => Value::Double(-value),
    })
}

/// Comparisons but `IS EMPTY`.
pub(super) fn compare(
    operator: Operator,
    left: &Value,
    right: &Value,
    notes: &mut Vec<Note>,
) -> Answer<bool> {
    let (left_text, right_text) = (left.text(), right.text());
    // A value that was never written is in no text.
    let is_there = !matches!(right, Value::Empty | Value::Null);
    Ok(match operator {
        Operator::Contains => is_there && left_text.contains(&right_text),
        Operator::NotContains => !(is_there && left_text.contains(&right_text)),
        Operator::StartsWith => is_there && left_text.starts_with(&right_text),
        Operator::EndsWith => is_there && left_text.ends_with(&right_text),
        Operator::Matches => left_text == right_text,
        Operator::Equal => equal(left, right)?,
        Operator::NotEqual => !equal(left, right)?,
        _ => {
            let order = order(left, right, notes)?;
            match operator {
                Operator::Less => order == Ordering::Less,
                Operator::LessOrEqual => order != Ordering::Greater,
                Operator::Greater => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
        }
    })
}

/// `==`, `IN`, `CASE`.
pub(super) fn equal(left: &Value, right: &Value) -> Answer<bool> {
    if left.is_literal() || right.is_literal() || is_rounded(left) || is_rounded(right) {
        return Ok(left.text() == right.text());
    }
    Ok(order(left, right, &mut Vec::new())? == Ordering::Equal)
}

/// Whether it is a number in text with more digits than a floating-point number keeps.
fn is_rounded(value: &Value) -> bool {
    let Value::Text { text, .. } = value else { return false };
    let digits = text.chars().filter(char::is_ascii_digit).count();
    digits > 15 && matches!(value.number(), Some(Number::Double(_)))
}

fn order(left: &Value, right: &Value, notes: &mut Vec<Note>) -> Answer<Ordering> {
    if let (Some(left), Some(right)) = (left.number(), right.number()) {
        return match (left, right) {
            (Number::Int(left), Number::Int(right)) => Ok(left.cmp(&right)),
            _ => match left.as_double().partial_cmp(&right.as_double()) {
                Some(order) => Ok(order),
                None => unspecified("comparing NaN"),
            },
        };
    }
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => return Ok(left.cmp(right)),
        // 1 and 0 say true and false, no other number does.
        (Value::Bool(left), Value::Int(right @ (0 | 1))) => return Ok(left.cmp(&(*right == 1))),
        (Value::Int(left @ (0 | 1)), Value::Bool(right)) => return Ok((*left == 1).cmp(right)),
        (Value::Bool(left), Value::Text { text, .. }) => {
            if let Some(right) = bool_word(text) {
                return Ok(left.cmp(&right));
            }
        }
        (Value::Text { text, .. }, Value::Bool(right)) => {
            if let Some(left) = bool_word(text) {
                return Ok(left.cmp(right));
            }
        }
        _ => {}
    }
    if left.number().is_some() != right.number().is_some() {
        notes.push(Note::NotANumber);
    }
    Ok(left.text().cmp(&right.text()))
}
