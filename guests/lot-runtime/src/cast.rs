//! `AS type` (§4, explicit casts). A cast never fails: an unreadable value becomes the zero of the
//! type and raises a bit.

use crate::compare::truth_of_text;
use crate::number::{self, Number};
use crate::value::{Origin, Value, text_of};
use crate::{json, pending, time};

/// Whole number; Empty stays Empty (OD-14).
pub fn to_int(value: Value) -> Value {
    if value == Value::Empty { value } else { Value::Int(int_of(value)) }
}

/// Floating-point number; Empty stays Empty (OD-14).
pub fn to_double(value: Value) -> Value {
    if value == Value::Empty { value } else { Value::Double(double_of(value)) }
}

/// Truth value; Empty stays Empty (OD-14).
pub fn to_bool(value: Value) -> Value {
    if value == Value::Empty { value } else { Value::Bool(bool_of(value)) }
}

/// Text, which counts as a literal from here on; Empty stays Empty.
pub fn to_string(value: Value) -> Value {
    if value == Value::Empty { value } else { Value::Text(value.text(), Origin::Literal) }
}

/// The bytes of a payload as they came, else the bytes of the text; Empty stays Empty.
pub fn to_bytes(value: Value) -> Value {
    match value {
        Value::Empty | Value::Bytes(_) => value,
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Text(..)
        | Value::Json(_)
        | Value::Time(_) => Value::Bytes(value.text().as_bytes()),
    }
}

/// As a whole number: truncated towards zero, at the bounds of 64 bits. Empty is 0.
pub fn int_of(value: Value) -> i64 {
    match value {
        Value::Int(number) => number,
        _ => match number_of(value) {
            Number::Int(number) => number,
            // The cast saturates, and is 0 for NaN.
            Number::Double(number) => number as i64,
        },
    }
}

/// As a floating-point number. Empty is 0.
pub fn double_of(value: Value) -> f64 {
    number_of(value).as_f64()
}

/// As a truth value. Empty is false.
pub fn bool_of(value: Value) -> bool {
    match value {
        Value::Bool(truth) => truth,
        Value::Int(number) => number != 0,
        Value::Double(number) => number != 0.0,
        Value::Text(text, _) => truth_of_text(text),
        Value::Bytes(bytes) => truth_of_text(text_of(bytes)),
        Value::Time(_) => true,
        Value::Empty | Value::Null | Value::Json(_) => false,
    }
}

fn number_of(value: Value) -> Number {
    match value {
        Value::Int(number) => Number::Int(number),
        Value::Double(number) => Number::Double(number),
        Value::Bool(truth) => Number::Int(i64::from(truth)),
        Value::Time(ms) => Number::of_time(ms),
        Value::Empty | Value::Null => Number::Int(0),
        Value::Text(text, _) => number_of_text(text),
        Value::Bytes(bytes) => number_of_text(text_of(bytes)),
        Value::Json(_) => failed(),
    }
}

fn number_of_text(text: &str) -> Number {
    match number::parse(text) {
        Some(number) => number,
        None if text == "null" => Number::Int(0),
        None => failed(),
    }
}

fn failed() -> Number {
    pending::raise(pending::CAST_FAILED);
    Number::Int(0)
}

/// `AS ARRAY`: keeps a JSON array or object, and wraps a scalar in an array. Text that is not JSON
/// becomes Null.
pub fn to_array(value: Value) -> Value {
    match to_json(value) {
        json @ Value::Json(_) => json,
        scalar @ (Value::Empty | Value::Null) => scalar,
        other => {
            let mut out = String::from("[");
            json::append_value(&mut out, other);
            out.push(']');
            Value::Json(crate::value::keep(out))
        }
    }
}

/// `AS OBJECT`: a JSON array or object as it is, anything else is Null.
pub fn to_object(value: Value) -> Value {
    match to_json(value) {
        json @ Value::Json(_) => json,
        Value::Empty => Value::Empty,
        _ => Value::Null,
    }
}

/// `AS JSON`: texts are parsed, scalars keep their kind; text that is no JSON is Null.
pub fn to_json(value: Value) -> Value {
    match value {
        Value::Text(text, _) => json::read(text).unwrap_or(Value::Null),
        Value::Bytes(bytes) => json::read(text_of(bytes)).unwrap_or(Value::Null),
        Value::Empty
        | Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Json(_)
        | Value::Time(_) => value,
    }
}

/// From this number on, an epoch is in milliseconds: as seconds it would be the year 5138.
const EPOCH_MS_FROM: f64 = 1e11;

/// `AS TIMESTAMP`: reads ISO texts, `yyyy-MM-dd HH:mm:ss`, and epochs in seconds or milliseconds.
/// Other values become Null.
pub fn to_timestamp(value: Value) -> Value {
    let from_number = |number: Number| {
        let number = number.as_f64();
        let ms = if number.abs() > EPOCH_MS_FROM { number } else { number * 1000.0 };
        Value::Time(ms as i64)
    };
    match value {
        Value::Int(number) => from_number(Number::Int(number)),
        Value::Double(number) => from_number(Number::Double(number)),
        Value::Text(text, _) => match (number::parse(text), time::parse(text)) {
            (Some(number), _) => from_number(number),
            (None, Some(ms)) => Value::Time(ms),
            (None, None) => Value::Null,
        },
        Value::Empty | Value::Time(_) => value,
        Value::Null | Value::Bool(_) | Value::Json(_) | Value::Bytes(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Value {
        Value::data(text)
    }

    /// The table of §4: from, then AS INT, DOUBLE, BOOL, STRING.
    #[test]
    fn scalar_casts_follow_the_table() {
        for (from, int, double, truth, text) in [
            (Value::Int(7), 7, 7.0, true, "7"),
            (Value::Double(-2.9), -2, -2.9, true, "-2.9"),
            (data("12.9"), 12, 12.9, true, "12.9"),
            (data("0"), 0, 0.0, false, "0"),
            (data("abc"), 0, 0.0, false, "abc"),
            (data("ON"), 0, 0.0, true, "ON"),
            (data("null"), 0, 0.0, false, "null"),
            (Value::Null, 0, 0.0, false, "null"),
            (Value::Bool(true), 1, 1.0, true, "true"),
            (data("1e300"), i64::MAX, 1e300, true, "1e300"),
            (Value::Time(1_500), 1, 1.5, true, "1970-01-01T00:00:01.500Z"),
            (Value::Time(0), 0, 0.0, true, "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(to_int(from), Value::Int(int), "{from:?} AS INT");
            assert_eq!(to_double(from), Value::Double(double), "{from:?} AS DOUBLE");
            assert_eq!(to_bool(from), Value::Bool(truth), "{from:?} AS BOOL");
            assert_eq!(to_string(from), Value::literal(text), "{from:?} AS STRING");
        }
    }

    #[test]
    fn empty_stays_empty() {
        for cast in
            [to_int, to_double, to_bool, to_string, to_array, to_object, to_json, to_timestamp, to_bytes]
        {
            assert_eq!(cast(Value::Empty), Value::Empty);
        }
    }

    #[test]
    fn structured_casts_follow_the_table() {
        for (cast, from, expected) in [
            (to_array as fn(Value) -> Value, Value::Int(5), Value::Json("[5]")),
            (to_array, data("[1, 2]"), Value::Json("[1,2]")),
            (to_array, data("nope"), Value::Null),
            (to_object, data("{ \"a\" : 1 }"), Value::Json("{\"a\":1}")),
            (to_object, data("[1, {}]"), Value::Json("[1,{}]")),
            (to_array, data("{\"a\":1}"), Value::Json("{\"a\":1}")),
            (to_object, Value::Int(5), Value::Null),
            (to_json, data("{\"a\":[]}"), Value::Json("{\"a\":[]}")),
            (to_json, data("2.5"), Value::Double(2.5)),
            (to_json, data("{"), Value::Null),
            (to_timestamp, Value::Int(1_700_000_000), Value::Time(1_700_000_000_000)),
            (to_timestamp, Value::Int(1_700_000_000_123), Value::Time(1_700_000_000_123)),
            (to_timestamp, data("2026-01-15T10:30:00.123Z"), Value::Time(1_768_473_000_123)),
            (to_timestamp, data("2026-01-15 10:30:00"), Value::Time(1_768_473_000_000)),
            (to_timestamp, data("soon"), Value::Null),
            (to_timestamp, Value::Null, Value::Null),
            (to_timestamp, Value::Time(1), Value::Time(1)),
            (to_array, Value::Time(0), Value::Json("[\"1970-01-01T00:00:00.000Z\"]")),
            (to_object, Value::Time(0), Value::Null),
            (to_json, Value::Time(0), Value::Time(0)),
        ] {
            assert_eq!(cast(from), expected, "{from:?}");
        }
    }
}
