//! Comparisons and truth (§4).

use std::cmp::Ordering;

use crate::json;
use crate::number::{self, Number};
use crate::pending;
use crate::value::{Origin, Value, text_of};

/// Decimal digits that every `DOUBLE` keeps.
const DOUBLE_DIGITS: usize = 15;

/// `a == b`: as texts when either is a literal text (OD-18); else as numbers, as truth values, as
/// texts. Bytes that are not UTF-8 are equal to the same bytes only.
pub fn equals(a: Value, b: Value) -> bool {
    if is_not_text(a) || is_not_text(b) {
        return bytes_of(a) == bytes_of(b);
    }
    if is_literal(a) || is_literal(b) {
        return a.text() == b.text();
    }
    if let (Value::Int(a), Value::Int(b)) = (a, b) {
        return a == b;
    }
    if has_more_digits_than_double(a) || has_more_digits_than_double(b) {
        return a.text() == b.text();
    }
    if let (Some(a), Some(b)) = (numeric(a), numeric(b)) {
        return order_numbers(a, b) == Some(Ordering::Equal);
    }
    if let Some((a, b)) = truths(a, b) {
        return a == b;
    }
    a.text() == b.text()
}

/// Returns whether a value is a number in text that a `DOUBLE` would round and that is no `INT`.
/// Such identifiers of 20 digits must not equal their neighbours.
fn has_more_digits_than_double(value: Value) -> bool {
    let Value::Text(text, _) = value else { return false };
    text.len() > DOUBLE_DIGITS
        && matches!(number::parse(text), Some(Number::Double(_)))
        && number::significant_digits(text) > DOUBLE_DIGITS
}

/// Bytes that no text has.
fn is_not_text(value: Value) -> bool {
    matches!(value, Value::Bytes(bytes) if std::str::from_utf8(bytes).is_err())
}

/// The bytes that PUBLISH sends for a value.
fn bytes_of(value: Value) -> &'static [u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        text => text.text().as_bytes(),
    }
}

/// Compares `a` with `b` for `< > <= >=`: as numbers if both look numeric, literals included; else
/// as truth values, else as texts. Returns `None` only for NaN.
pub fn order(a: Value, b: Value) -> Option<Ordering> {
    let (left, right) = (numeric(a), numeric(b));
    if let (Some(left), Some(right)) = (left, right) {
        let are_ints = matches!((left, right), (Number::Int(_), Number::Int(_)));
        let exact = if are_ints { None } else { order_digits(a, b) };
        return exact.or_else(|| order_numbers(left, right));
    }
    if let Some((a, b)) = truths(a, b) {
        return Some(a.cmp(&b));
    }
    if left.is_some() || right.is_some() {
        pending::raise(pending::COMPARED_AS_TEXT);
    }
    if is_not_text(a) || is_not_text(b) {
        return Some(bytes_of(a).cmp(bytes_of(b)));
    }
    Some(a.text().cmp(b.text()))
}

/// Order of two whole numbers by their digits: as floating point, neighbours beyond 64 bits would
/// be equal.
fn order_digits(a: Value, b: Value) -> Option<Ordering> {
    let digits = |value: Value| match value {
        Value::Int(_) => Some(value.text()),
        Value::Text(text, _) => Some(text.trim_ascii()).filter(|text| number::is_whole(text)),
        Value::Bytes(bytes) => Some(text_of(bytes).trim_ascii()).filter(|text| number::is_whole(text)),
        Value::Empty | Value::Null | Value::Bool(_) | Value::Double(_) | Value::Json(_) | Value::Time(_) => {
            None
        }
    };
    Some(number::order_whole(digits(a)?, digits(b)?))
}

/// Whether a bare condition holds.
pub fn truth(value: Value) -> bool {
    match value {
        Value::Bool(truth) => truth,
        Value::Int(number) => number != 0,
        Value::Double(number) => number != 0.0,
        Value::Text(text, _) => truth_of_text(text),
        Value::Bytes(bytes) => truth_of_text(text_of(bytes)),
        Value::Empty | Value::Null => false,
        Value::Json(_) | Value::Time(_) => true,
    }
}

/// The BOOL cast of a text: a number other than 0, or `true`, `on`, `yes` in any case.
pub fn truth_of_text(text: &str) -> bool {
    match number::parse(text) {
        Some(number) => number.as_f64() != 0.0,
        None => recognised_truth(text).unwrap_or(false),
    }
}

/// `a CONTAINS b`, on texts, or on bytes where either is no text. A value that is not there is in
/// nothing.
pub fn contains(a: Value, b: Value) -> bool {
    if is_there(b) && (is_not_text(a) || is_not_text(b)) {
        let (a, b) = (bytes_of(a), bytes_of(b));
        return b.is_empty() || a.windows(b.len()).any(|part| part == b);
    }
    is_there(b) && a.text().contains(b.text())
}

/// `a STARTS_WITH b`, on texts. Nothing starts with what is not there.
pub fn starts_with(a: Value, b: Value) -> bool {
    is_there(b) && bytes_of(a).starts_with(bytes_of(b))
}

/// `a ENDS_WITH b`, on texts. Nothing ends with what is not there.
pub fn ends_with(a: Value, b: Value) -> bool {
    is_there(b) && bytes_of(a).ends_with(bytes_of(b))
}

/// Returns whether a value was ever written. Every text contains the empty text, so without this
/// check a rule that looks for a missing entry would allow everything.
fn is_there(value: Value) -> bool {
    !matches!(value, Value::Empty | Value::Null)
}

/// `a IN b`: equality with a member of a JSON array or object, also in text form. Any other `b`
/// except Empty and Null is its only member.
pub fn is_in(a: Value, b: Value) -> bool {
    let text = match b {
        Value::Empty | Value::Null => return false,
        Value::Text(text, _) | Value::Json(text) => text,
        Value::Bytes(bytes) => text_of(bytes),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Time(_) => return equals(a, b),
    };
    match json::members(text).or_else(|| json::values(text)) {
        Some(members) => members.into_iter().any(|member| equals(a, member)),
        None => equals(a, b) || json::string(text).is_some_and(|only| equals(a, only)),
    }
}

fn is_literal(value: Value) -> bool {
    matches!(value, Value::Text(_, Origin::Literal))
}

fn numeric(value: Value) -> Option<Number> {
    match value {
        Value::Int(number) => Some(Number::Int(number)),
        Value::Double(number) => Some(Number::Double(number)),
        Value::Text(text, _) => number::parse(text),
        Value::Bytes(bytes) => number::parse(text_of(bytes)),
        Value::Empty | Value::Null | Value::Bool(_) | Value::Json(_) | Value::Time(_) => None,
    }
}

fn order_numbers(a: Number, b: Number) -> Option<Ordering> {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (Number::Int(_) | Number::Double(_), Number::Int(_) | Number::Double(_)) => {
            a.as_f64().partial_cmp(&b.as_f64())
        }
    }
}

/// Returns both as truth values, if one is a truth value and the other converts to one.
fn truths(a: Value, b: Value) -> Option<(bool, bool)> {
    match (a, b) {
        (Value::Bool(a), b) => Some((a, tellable(b)?)),
        (a, Value::Bool(b)) => Some((tellable(a)?, b)),
        _ => None,
    }
}

fn tellable(value: Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(truth),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::Text(text, _) => recognised_truth(text),
        Value::Int(_)
        | Value::Double(_)
        | Value::Empty
        | Value::Null
        | Value::Json(_)
        | Value::Bytes(_)
        | Value::Time(_) => None,
    }
}

fn recognised_truth(text: &str) -> Option<bool> {
    let is = |word: &str| text.trim_ascii().eq_ignore_ascii_case(word);
    if is("true") || is("on") || is("yes") || is("1") {
        Some(true)
    } else if is("false") || is("off") || is("no") || is("0") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> Value {
        Value::data(text)
    }
    fn literal(text: &str) -> Value {
        Value::literal(text)
    }

    #[test]
    fn equality_follows_the_provenance_of_texts() {
        for (a, b, expected) in [
            (data("true"), literal("True"), false),
            (data("True"), Value::Bool(true), true),
            (data("5.0"), literal("5"), false),
            (data("5.0"), Value::Int(5), true),
            (data("1.0"), literal("1"), false),
            (Value::Int(7), literal("7"), true),
            (data("abc"), data("abc"), true),
            (data("abc"), data("ABC"), false),
            (data("null"), Value::Null, true),
            (Value::Empty, Value::Null, false),
            (Value::Bool(true), Value::Int(1), true),
            (Value::Bool(true), data("maybe"), false),
            (data(" 5 "), Value::Int(5), true),
        ] {
            assert_eq!(equals(a, b), expected, "{a:?} == {b:?}");
        }
    }

    #[test]
    fn whole_numbers_beyond_64_bits_are_compared_by_their_digits() {
        let digits = |text: &'static str| Value::Text(text, Origin::Digits);
        let (less, more) = ("18446744073709551614", "18446744073709551615");
        for (a, b) in [(digits(less), digits(more)), (data(less), data(more)), (digits(less), data(more))] {
            assert!(!equals(a, b) && equals(a, a), "{a:?} and {b:?}");
            assert_eq!(
                (order(a, b), order(b, a)),
                (Some(Ordering::Less), Some(Ordering::Greater)),
                "{a:?} {b:?}"
            );
            assert!(!is_in(a, Value::Json("[18446744073709551615]")), "{a:?}");
        }
        for (a, b, expected) in [
            (Value::Int(i64::MAX), digits("9223372036854775808"), Ordering::Less),
            (Value::Int(i64::MIN), digits("-9223372036854775809"), Ordering::Greater),
            (digits("-18446744073709551615"), digits("-18446744073709551614"), Ordering::Less),
            (digits(more), Value::Double(1.5), Ordering::Greater),
            (data("0018446744073709551615"), digits(more), Ordering::Equal),
        ] {
            assert_eq!(order(a, b), Some(expected), "{a:?} against {b:?}");
        }
        assert!(
            equals(data("0.00012345678901234"), data("1.2345678901234e-4")),
            "zeros in front are no digits"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_equal_to_the_same_bytes_only() {
        let (a, b) = (Value::Bytes(b"pin\xff"), Value::Bytes(b"pin\xfe"));
        assert!(
            equals(a, a)
                && !equals(a, b)
                && !equals(a, data("pin\u{fffd}"))
                && !equals(literal("pin\u{fffd}"), a)
        );
        assert!(!is_in(a, b) && is_in(a, a) && order(a, b) == Some(Ordering::Greater));
        assert!(
            contains(a, data("in"))
                && !contains(a, b)
                && !contains(a, data("\u{fffd}"))
                && !contains(a, Value::Empty)
        );
        assert!(
            starts_with(a, data("pin"))
                && ends_with(a, Value::Bytes(b"\xff"))
                && !ends_with(a, Value::Bytes(b"\xfe"))
        );
    }

    #[test]
    fn order_is_numeric_where_both_look_numeric() {
        for (a, b, expected) in [
            (data("5.0"), literal("4"), Ordering::Greater),
            (data("30"), Value::Int(30), Ordering::Equal),
            (data("9"), data("10"), Ordering::Less),
            (data("abc"), Value::Int(80), Ordering::Greater),
            (literal("a"), literal("b"), Ordering::Less),
            (Value::Bool(false), data("on"), Ordering::Less),
        ] {
            assert_eq!(order(a, b), Some(expected), "{a:?} against {b:?}");
        }
    }

    #[test]
    fn conditions_have_a_truth() {
        for (value, expected) in [
            (data("ON"), true),
            (data("yes"), true),
            (data("0"), false),
            (data("2"), true),
            (data("abc"), false),
            (Value::Empty, false),
            (Value::Null, false),
            (Value::Double(0.0), false),
        ] {
            assert_eq!(truth(value), expected, "{value:?}");
        }
    }

    #[test]
    fn membership_is_equality_with_a_member() {
        for (a, b, expected) in [
            (data("b"), Value::Json("[\"a\",\"b\"]"), true),
            (Value::Int(2), Value::Json("[1,2]"), true),
            (data("c"), Value::Json("[\"a\",\"b\"]"), false),
            (data("b"), data(" [\"a\", \"b\"]"), true),
            (data("a"), Value::Json("[\"annabel\",[\"a\"]]"), false),
            (data("ann"), data("{\"x\":\"annabel\"}"), false),
            (data("annabel"), data("{\"x\":\"annabel\"}"), true),
            (data("x"), Value::Json("{\"x\":\"annabel\"}"), false),
            (Value::Int(5), data("{\"a\":4,\"b\":5}"), true),
            (data("ann"), data("annabel"), false),
            (data("annabel"), data("annabel"), true),
            (data("ann"), data("\"ann\""), true),
            (data("an"), data("\"ann\""), false),
            (Value::Int(5), data("15"), false),
            (Value::Int(15), data("15"), true),
            (data("15"), Value::Int(15), true),
            (literal("1e1"), data("10"), false),
            (literal("1e1"), data("[10]"), false),
            (data("a"), data("[\"a\""), false),
            (data("a"), Value::Empty, false),
            (Value::Empty, Value::Empty, false),
            (Value::Null, Value::Null, false),
            (Value::Empty, data("x"), false),
            (Value::Null, Value::Json("[null]"), true),
        ] {
            assert_eq!(is_in(a, b), expected, "{a:?} in {b:?}");
        }
    }
}
