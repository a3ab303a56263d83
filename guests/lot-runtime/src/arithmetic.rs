//! `+ - * / %` and unary minus (§4, implicit coercion).

use crate::growing;
use crate::number::{self, Number};
use crate::pending;
use crate::value::{Origin, Value, keep};

/// `a + b`: a sum if both are numbers, numeric data, or Empty beside a number. Else a
/// concatenation, which is a literal.
pub fn add(a: Value, b: Value) -> Value {
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        return add_ints(a, b);
    }
    match (summand(a), summand(b)) {
        (Some(a), Some(b)) => add_numbers(a, b),
        (Some(a), None) if b == Value::Empty => a.into(),
        (None, Some(b)) if a == Value::Empty => b.into(),
        (Some(_) | None, Some(_) | None) => concat(&[a, b]),
    }
}

/// The texts of all values in a row, as one literal.
pub fn concat(values: &[Value]) -> Value {
    let joined = match values {
        [Value::Text(begin, _), more @ ..] if begin.len() >= growing::BYTES_MIN => {
            growing::longer(begin, &joined(more))
        }
        all => keep(joined(all)),
    };
    Value::Text(joined, Origin::Literal)
}

fn joined(values: &[Value]) -> String {
    let mut out = String::with_capacity(values.iter().map(|value| expected_length(*value)).sum());
    for value in values {
        value.append_text(&mut out);
    }
    out
}

fn expected_length(value: Value) -> usize {
    match value {
        Value::Text(text, _) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Empty => 0,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Time(_) => 24,
    }
}

/// Returns the number of a value in a sum; `None` for literals.
fn summand(value: Value) -> Option<Number> {
    match value {
        Value::Int(number) => Some(Number::Int(number)),
        Value::Double(number) => Some(Number::Double(number)),
        Value::Text(text, Origin::Data | Origin::Quoted | Origin::Digits) => number::parse(text),
        Value::Text(_, Origin::Literal)
        | Value::Empty
        | Value::Null
        | Value::Bool(_)
        | Value::Json(_)
        | Value::Bytes(_)
        | Value::Time(_) => None,
    }
}

/// Returns the number of a value in `- * / %`: 0 for Empty. Other values that are no number are 0
/// and raise a bit (OD-15).
pub fn operand(value: Value) -> Number {
    let found = match value {
        Value::Int(number) => Some(Number::Int(number)),
        Value::Double(number) => Some(Number::Double(number)),
        Value::Bool(truth) => Some(Number::Int(i64::from(truth))),
        Value::Empty => Some(Number::Int(0)),
        Value::Time(ms) => Some(Number::of_time(ms)),
        Value::Text(text, _) => number::parse(text),
        Value::Bytes(bytes) => number::parse(crate::value::text_of(bytes)),
        Value::Null | Value::Json(_) => None,
    };
    found.unwrap_or_else(|| {
        pending::raise(pending::NOT_NUMERIC);
        Number::Int(0)
    })
}

fn add_ints(a: i64, b: i64) -> Value {
    a.checked_add(b).map_or(Value::Double(a as f64 + b as f64), Value::Int)
}

fn add_numbers(a: Number, b: Number) -> Value {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => add_ints(a, b),
        (Number::Int(_) | Number::Double(_), Number::Int(_) | Number::Double(_)) => {
            Value::Double(a.as_f64() + b.as_f64())
        }
    }
}

/// `a - b`.
pub fn subtract(a: Value, b: Value) -> Value {
    calculate(a, b, i64::checked_sub, |a, b| a - b)
}

/// `a * b`.
pub fn multiply(a: Value, b: Value) -> Value {
    calculate(a, b, i64::checked_mul, |a, b| a * b)
}

/// Whole numbers stay whole until they overflow.
fn calculate(a: Value, b: Value, whole: fn(i64, i64) -> Option<i64>, real: fn(f64, f64) -> f64) -> Value {
    let (a, b) = (operand(a), operand(b));
    if let (Number::Int(a), Number::Int(b)) = (a, b)
        && let Some(result) = whole(a, b)
    {
        return Value::Int(result);
    }
    Value::Double(real(a.as_f64(), b.as_f64()))
}

/// `a / b`: whole when both are and nothing remains (OD-17); Null and noted when `b` is zero.
pub fn divide(a: Value, b: Value) -> Value {
    let (a, b) = (operand(a), operand(b));
    if b.as_f64() == 0.0 {
        pending::raise(pending::DIVISION_BY_ZERO);
        return Value::Null;
    }
    if let (Number::Int(a), Number::Int(b)) = (a, b)
        && a.checked_rem(b) == Some(0)
    {
        return a.checked_div(b).map_or(Value::Double(-(a as f64)), Value::Int);
    }
    Value::Double(a.as_f64() / b.as_f64())
}

/// `a % b`, with the sign of `a`; Null and noted when `b` is zero.
pub fn remainder(a: Value, b: Value) -> Value {
    let (a, b) = (operand(a), operand(b));
    if b.as_f64() == 0.0 {
        pending::raise(pending::DIVISION_BY_ZERO);
        return Value::Null;
    }
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => Value::Int(a.checked_rem(b).unwrap_or(0)),
        (Number::Int(_) | Number::Double(_), Number::Int(_) | Number::Double(_)) => {
            Value::Double(a.as_f64() % b.as_f64())
        }
    }
}

/// `-a`.
pub fn negate(a: Value) -> Value {
    match operand(a) {
        Number::Int(number) => number.checked_neg().map_or(Value::Double(-(number as f64)), Value::Int),
        Number::Double(number) => Value::Double(-number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Value = Value::Int(7);
    const B: Value = Value::Int(2);

    fn data(text: &str) -> Value {
        Value::data(text)
    }
    fn literal(text: &str) -> Value {
        Value::literal(text)
    }

    #[test]
    fn plus_adds_numbers_and_joins_texts() {
        for (a, b, expected) in [
            (A, B, Value::Int(9)),
            (data("10"), Value::Int(1), Value::Int(11)),
            (data("ab"), Value::Int(1), literal("ab1")),
            (data("Hi"), Value::Int(1), literal("Hi1")),
            (literal("5"), Value::Int(1), literal("51")),
            (literal("v="), A, literal("v=7")),
            (literal("v=7"), B, literal("v=72")),
            (Value::Int(9), literal("v"), literal("9v")),
            (Value::Empty, Value::Int(1), Value::Int(1)),
            (data("1"), Value::Empty, Value::Int(1)),
            (Value::Empty, literal("x"), literal("x")),
            (Value::Empty, Value::Empty, literal("")),
            (Value::Null, Value::Int(1), literal("null1")),
            (Value::Bool(true), Value::Int(1), literal("true1")),
            (Value::Int(i64::MAX), Value::Int(1), Value::Double(9_223_372_036_854_775_808.0)),
            (Value::Double(0.5), Value::Int(1), Value::Double(1.5)),
            (data("1.5"), data("2"), Value::Double(3.5)),
        ] {
            assert_eq!(add(a, b), expected, "{a:?} + {b:?}");
        }
    }

    #[test]
    fn the_other_operators_calculate() {
        for (result, expected, pending_bits) in [
            (subtract(A, B), Value::Int(5), 0),
            (multiply(B, B), Value::Int(4), 0),
            (divide(A, B), Value::Double(3.5), 0),
            (divide(Value::Int(8), B), Value::Int(4), 0),
            (remainder(A, B), Value::Int(1), 0),
            (remainder(Value::Int(-7), B), Value::Int(-1), 0),
            (remainder(Value::Double(7.5), B), Value::Double(1.5), 0),
            (divide(Value::Int(i64::MIN), Value::Int(-1)), Value::Double(9_223_372_036_854_775_808.0), 0),
            (multiply(Value::Int(i64::MAX), B), Value::Double(18_446_744_073_709_551_614.0), 0),
            (multiply(data("25"), Value::Int(9)), Value::Int(225), 0),
            (multiply(literal("25"), Value::Int(9)), Value::Int(225), 0),
            (subtract(Value::Empty, Value::Int(3)), Value::Int(-3), 0),
            (negate(data("4")), Value::Int(-4), 0),
            (negate(Value::Int(i64::MIN)), Value::Double(9_223_372_036_854_775_808.0), 0),
        ] {
            assert_eq!(result, expected);
            assert_eq!(pending_bits, 0);
        }
    }
}
