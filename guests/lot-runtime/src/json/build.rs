//! JSON literals: a skeleton prepared by the compiler, with holes for values.

use crate::number;
use crate::value::{Origin, Value, keep};

/// The byte that stands for a hole in a skeleton. It cannot occur in JSON text.
const HOLE: u8 = 0;

/// A skeleton with its holes filled, in order, as JSON.
pub fn fill(skeleton: &str, values: &[Value]) -> Value {
    let mut out = String::with_capacity(skeleton.len() + 16 * values.len());
    let mut pieces = skeleton.split(char::from(HOLE));
    out.push_str(pieces.next().unwrap_or_default());
    for (piece, value) in pieces.zip(values) {
        append_value(&mut out, *value);
        out.push_str(piece);
    }
    Value::Json(keep(out))
}

/// Appends a value as JSON. Numbers, truth values and JSON stay unchanged. Data with a
/// [reading](number::reading) becomes a number (OD-23). Other texts and JSON strings are quoted;
/// Empty and Null become `null`.
pub fn append_value(out: &mut String, value: Value) {
    match value {
        Value::Empty | Value::Null => out.push_str("null"),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Json(_) => value.append_text(out),
        Value::Text(digits, Origin::Digits) => out.push_str(digits),
        Value::Text(text, Origin::Data) => match number::reading(text) {
            Some(number) => Value::from(number).append_text(out),
            None => append_quoted(out, text),
        },
        Value::Text(_, Origin::Literal | Origin::Quoted) | Value::Bytes(_) | Value::Time(_) => {
            append_quoted(out, value.text())
        }
    }
}

/// Appends a text as JSON string.
pub fn append_quoted(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u00");
                for digit in [byte >> 4, byte & 15] {
                    out.extend(char::from_digit(u32::from(digit), 16));
                }
            }
        }
    }
    out.push_str(&text[start..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_by_kind() {
        for (value, expected) in [
            (Value::Int(7), "7"),
            (Value::Double(75.0), "75"),
            (Value::Double(f64::NAN), "null"),
            (Value::Bool(true), "true"),
            (Value::Null, "null"),
            (Value::Empty, "null"),
            (Value::Json("[1]"), "[1]"),
            (Value::data("42"), "42"),
            (Value::data("0042"), "\"0042\""),
            (Value::data("+49"), "\"+49\""),
            (Value::data("12E4567"), "\"12E4567\""),
            (Value::data("21.400000000000002"), "21.400000000000002"),
            (Value::data("9999999999999999999"), "\"9999999999999999999\""),
            (Value::Text("4006381333931", Origin::Quoted), "\"4006381333931\""),
            (Value::data("x"), "\"x\""),
            (Value::literal("7"), "\"7\""),
            (Value::data("a\"b\\\n\u{1}é"), "\"a\\\"b\\\\\\n\\u0001é\""),
            (Value::Time(0), "\"1970-01-01T00:00:00.000Z\""),
        ] {
            let expected = format!("{{\"k\":{expected}}}");
            assert_eq!(fill("{\"k\":\0}", &[value]).text(), expected);
        }
    }

    #[test]
    fn several_holes_keep_their_order() {
        let filled =
            fill("{\"x\":\0,\"y\":\0,\"z\":[1,\0]}", &[Value::Int(7), Value::data("x"), Value::Int(2)]);
        assert_eq!(filled, Value::Json("{\"x\":7,\"y\":\"x\",\"z\":[1,2]}"));
    }
}
