//! Lists: APPEND, LAST, SUM, MEAN, STDDEV, STDDEV_POP.
//!
//! A list is a JSON array or its text. Any other value is a list of itself; Empty and Null are
//! lists without members. Sums and means skip members that are Null.

use crate::arithmetic::{add, operand};
use crate::cast::to_array;
use crate::growing;
use crate::json;
use crate::math;
use crate::model;
use crate::value::{Origin, Value, keep, text_of};

/// `APPEND(list, value)`: the list with a value behind its last member.
pub fn append(list: Value, value: Value) -> Value {
    let mut out = open(list).to_owned();
    if out.len() > 1 {
        out.push(',');
    }
    json::append_value(&mut out, value);
    out.push(']');
    Value::Json(keep(out))
}

/// A list without its closing bracket.
pub fn open(list: Value) -> &'static str {
    match array_of(list) {
        Value::Json(text) => text.strip_suffix(']').unwrap_or("["),
        _ => "[",
    }
}

/// Appends a value to a list without a closing bracket. The result has none either, so that it can
/// [grow](growing).
pub fn append_open(list: &'static str, value: Value) -> &'static str {
    let mut more = String::from(if list.len() > 1 { "," } else { "" });
    json::append_value(&mut more, value);
    growing::longer(list, &more)
}

/// A list that was left open.
pub fn closed(list: &str) -> Value {
    Value::Json(keep([list, "]"].concat()))
}

/// `LAST(list, n)`: its last n members, or all where there are fewer.
pub fn last(list: Value, count: i64) -> Value {
    let members = members(list);
    let count = usize::try_from(count).unwrap_or(0).min(members.len());
    model::array(members.into_iter().rev().take(count).rev())
}

/// `SUM(list)`: whole while all members are and their sum fits; 0 of none.
pub fn sum(list: Value) -> Value {
    present(list).into_iter().fold(Value::Int(0), |sum, member| add(sum, operand(member).into()))
}

/// `MEAN(list)`: a floating-point number; Null of none.
pub fn mean(list: Value) -> Value {
    let members = present(list);
    let count = members.len();
    let sum: f64 = members.into_iter().map(|member| operand(member).as_f64()).sum();
    if count == 0 { Value::Null } else { Value::Double(sum / count as f64) }
}

/// `STDDEV(list)`: standard deviation of a sample; Null of fewer than two members.
pub fn sample_deviation(list: Value) -> Value {
    let (count, squares) = squared_deviations(list);
    if count < 2 { Value::Null } else { math::finite((squares / (count - 1) as f64).sqrt()) }
}

/// `STDDEV_POP(list)`: standard deviation of a population; Null of no members.
pub fn population_deviation(list: Value) -> Value {
    let (count, squares) = squared_deviations(list);
    if count == 0 { Value::Null } else { math::finite((squares / count as f64).sqrt()) }
}

/// Number of members, and the sum of the squares of their deviations from the mean.
///
/// Welford's method: the difference of two large sums of squares would lose all digits.
fn squared_deviations(list: Value) -> (usize, f64) {
    let (mut count, mut mean, mut squares) = (0, 0.0, 0.0);
    for member in present(list) {
        let number = operand(member).as_f64();
        let deviation = number - mean;
        count += 1;
        mean += deviation / count as f64;
        squares += deviation * (number - mean);
    }
    (count, squares)
}

/// The members of a JSON array, or of the text of one; `None` for anything else.
pub fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Text(text, _) | Value::Json(text) if json::first(text) == b'[' => json::members(text),
        Value::Bytes(bytes) => array(Value::Text(text_of(bytes), Origin::Data)),
        Value::Text(..)
        | Value::Json(_)
        | Value::Empty
        | Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Double(_)
        | Value::Time(_) => None,
    }
}

/// Members that are not Null.
fn present(list: Value) -> Vec<Value> {
    let mut members = members(list);
    members.retain(|member| *member != Value::Null);
    members
}

fn members(list: Value) -> Vec<Value> {
    model::elements(array_of(list))
}

fn array_of(list: Value) -> Value {
    match to_array(list) {
        Value::Json(object) if object.starts_with('{') => Value::Json(keep(format!("[{object}]"))),
        array => array,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_appended_in_their_kind() {
        for (list, value, expected) in [
            (Value::Empty, Value::Int(1), "[1]"),
            (Value::Null, Value::Int(1), "[1]"),
            (Value::data("[ ]"), Value::literal("a"), "[\"a\"]"),
            (Value::data("[1, [2]]"), Value::data("3.50"), "[1,[2],3.5]"),
            (Value::Json("[1]"), Value::Json("{\"a\":2}"), "[1,{\"a\":2}]"),
            (Value::Json("[1]"), Value::Empty, "[1,null]"),
            (Value::Int(7), Value::Int(8), "[7,8]"),
            (Value::data("{\"a\": 1}"), Value::Int(8), "[{\"a\":1},8]"),
            (Value::data("no list"), Value::Int(1), "[1]"),
        ] {
            assert_eq!(append(list, value), Value::Json(expected), "{list:?} {value:?}");
            assert_eq!(closed(append_open(open(list), value)), Value::Json(expected), "{list:?} {value:?}");
        }
    }

    #[test]
    fn the_last_members_are_taken() {
        for (list, count, expected) in [
            ("[1,2,3]", 2, "[2,3]"),
            ("[1,2,3]", 5, "[1,2,3]"),
            ("[\"a\\\"b\",{\"x\": 1}]", 2, "[\"a\\\"b\",{\"x\":1}]"),
            ("[1,2,3]", 0, "[]"),
            ("[1,2,3]", -1, "[]"),
            ("[]", 1, "[]"),
            ("", 1, "[]"),
        ] {
            assert_eq!(last(Value::data(list), count), Value::Json(expected), "{list} {count}");
        }
        assert_eq!(last(Value::Empty, 3), Value::Json("[]"));
    }

    #[test]
    fn members_are_added_as_numbers() {
        for (list, of_sum, of_mean) in [
            ("[1,2,4]", Value::Int(7), Value::Double(7.0 / 3.0)),
            ("[1,0.5]", Value::Double(1.5), Value::Double(0.75)),
            ("[\"2\",true]", Value::Int(3), Value::Double(1.5)),
            (
                "[9223372036854775807,1]",
                Value::Double(9_223_372_036_854_775_808.0),
                Value::Double(4_611_686_018_427_387_904.0),
            ),
            ("5", Value::Int(5), Value::Double(5.0)),
            ("[]", Value::Int(0), Value::Null),
            ("x", Value::Int(0), Value::Null),
            ("[1,null,2,null]", Value::Int(3), Value::Double(1.5)),
            ("[null,null]", Value::Int(0), Value::Null),
        ] {
            assert_eq!((sum(Value::data(list)), mean(Value::data(list))), (of_sum, of_mean), "{list}");
        }
    }

    #[test]
    fn deviations_are_of_a_sample_or_of_a_population() {
        for (list, of_sample, of_population) in [
            ("[2,4,4,4,5,5,7,9]", Some((32.0f64 / 7.0).sqrt()), Some(2.0)),
            ("[1,null,3]", Some(2.0f64.sqrt()), Some(1.0)),
            ("[\"1\",3]", Some(2.0f64.sqrt()), Some(1.0)),
            ("[5,5,5]", Some(0.0), Some(0.0)),
            ("5", None, Some(0.0)),
            ("[]", None, None),
            ("x", None, None),
            // The squares of these have no digits left for the differences.
            ("[1000000004,1000000007,1000000013,1000000016]", Some(30.0f64.sqrt()), Some(22.5f64.sqrt())),
            ("[1e308,-1e308]", None, None),
        ] {
            let value = |number: Option<f64>| number.map_or(Value::Null, Value::Double);
            let expected = (value(of_sample), value(of_population));
            let list = Value::data(list);
            assert_eq!((sample_deviation(list), population_deviation(list)), expected, "{list:?}");
        }
    }
}
