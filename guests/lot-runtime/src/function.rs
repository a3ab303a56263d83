//! The small functions of OD-12: LENGTH, ABS, ROUND, FLOOR, CEIL, SQRT, MIN, MAX.

use crate::arithmetic::operand;
use crate::json;
use crate::list;
use crate::number::Number;
use crate::value::Value;

/// `LENGTH(x)`: members of a JSON array or object, bytes of bytes, else characters of the text.
pub fn length(value: Value) -> i64 {
    let count = match value {
        Value::Json(text) => json::count(text),
        Value::Bytes(bytes) => bytes.len(),
        Value::Empty | Value::Null => 0,
        Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Text(..) | Value::Time(_) => {
            value.text().chars().count()
        }
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `ABS(x)`.
pub fn absolute(value: Value) -> Value {
    match operand(value) {
        Number::Int(number) => number.checked_abs().map_or(Value::Double((number as f64).abs()), Value::Int),
        Number::Double(number) => Value::Double(number.abs()),
    }
}

/// `ROUND(x)` to a whole number, halves away from zero.
pub fn round(value: Value) -> Value {
    whole(value, f64::round)
}

/// `ROUND(x, places)`: to that many decimal places (−15 to 15), halves away from zero.
pub fn round_to(value: Value, places: Value) -> Value {
    let places = (operand(places).as_f64() as i32).clamp(-15, 15);
    let scale = 10f64.powi(places.abs());
    match operand(value) {
        Number::Int(number) if places >= 0 => Value::Int(number),
        number if places >= 0 => Value::Double((number.as_f64() * scale).round() / scale),
        number => Value::Double((number.as_f64() / scale).round() * scale),
    }
}

/// `FLOOR(x)`.
pub fn floor(value: Value) -> Value {
    whole(value, f64::floor)
}

/// `CEIL(x)`.
pub fn ceil(value: Value) -> Value {
    whole(value, f64::ceil)
}

/// Doubles that are whole after rounding become Int where they fit exactly.
fn whole(value: Value, rounding: fn(f64) -> f64) -> Value {
    match operand(value) {
        Number::Int(number) => Value::Int(number),
        Number::Double(number) => {
            let rounded = rounding(number);
            if rounded.abs() < 9e15 { Value::Int(rounded as i64) } else { Value::Double(rounded) }
        }
    }
}

/// `SQRT(x)`; Null for negative numbers.
pub fn square_root(value: Value) -> Value {
    let number = operand(value).as_f64();
    if number < 0.0 { Value::Null } else { Value::Double(number.sqrt()) }
}

/// `MIN(a, b)`. A list stands for its least member. If one value is Null or Empty, the result is
/// the other, unchanged.
pub fn minimum(a: Value, b: Value) -> Value {
    pick(a, b, |a, b| a <= b)
}

/// `MAX(a, b)`, likewise.
pub fn maximum(a: Value, b: Value) -> Value {
    pick(a, b, |a, b| a >= b)
}

fn pick(a: Value, b: Value, first: fn(f64, f64) -> bool) -> Value {
    let of_list = |value| match list::array(value) {
        Some(members) => members
            .into_iter()
            .filter(|member| *member != Value::Null)
            .reduce(|a, b| pick(a, b, first))
            .unwrap_or(Value::Null),
        None => value,
    };
    let (a, b) = (of_list(a), of_list(b));
    let is_missing = |value| matches!(value, Value::Null | Value::Empty);
    if is_missing(a) {
        return b;
    }
    if is_missing(b) {
        return a;
    }
    let (a, b) = (operand(a), operand(b));
    if first(a.as_f64(), b.as_f64()) { a.into() } else { b.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_calculate() {
        for (result, expected) in [
            (Value::Int(length(Value::data("né"))), Value::Int(2)),
            (Value::Int(length(Value::Json("[1,[2,3]]"))), Value::Int(2)),
            (Value::Int(length(Value::Json("{\"a\":1}"))), Value::Int(1)),
            (Value::Int(length(Value::Empty)), Value::Int(0)),
            (absolute(Value::data("-2.5")), Value::Double(2.5)),
            (absolute(Value::Int(i64::MIN)), Value::Double(9_223_372_036_854_775_808.0)),
            (round(Value::Double(2.5)), Value::Int(3)),
            (round(Value::Double(-2.5)), Value::Int(-3)),
            (round_to(Value::Double(2.346), Value::Int(2)), Value::Double(2.35)),
            (floor(Value::Double(-2.1)), Value::Int(-3)),
            (ceil(Value::Double(2.1)), Value::Int(3)),
            (square_root(Value::Int(9)), Value::Double(3.0)),
            (square_root(Value::Int(-9)), Value::Null),
            (minimum(Value::Int(2), Value::data("1.5")), Value::Double(1.5)),
            (maximum(Value::Int(2), Value::data("1.5")), Value::Int(2)),
            (minimum(Value::Int(2), Value::Null), Value::Int(2)),
            (maximum(Value::Empty, Value::Int(-2)), Value::Int(-2)),
            (minimum(Value::Empty, Value::Null), Value::Null),
            (minimum(Value::Json("[4,\"1.5\",null,6]"), Value::Empty), Value::Double(1.5)),
            (maximum(Value::Json("[4,5,6]"), Value::Int(7)), Value::Int(7)),
            (minimum(Value::data(" [4, \"1.5\", null, 6]"), Value::Empty), Value::Double(1.5)),
            (maximum(Value::data("[4,5,6]"), Value::Null), Value::Int(6)),
            (maximum(Value::literal("[]"), Value::Int(-1)), Value::Int(-1)),
            (maximum(Value::Json("[]"), Value::Empty), Value::Empty),
        ] {
            assert_eq!(result, expected);
        }
    }
}
