//! JSON: reads members of texts and builds texts.
//!
//! No text is parsed into a tree. A scanner walks over the text once, checks all of it, and
//! remembers the place of the wanted member. Structured values stay a piece of text, which keeps
//! the kinds and the spelling of numbers. One walk over a payload of a few hundred bytes costs less
//! than the allocations of a tree.

mod build;
mod path;
mod scan;

pub use build::{append_quoted, append_value, fill};
pub use path::{forget, get};

use crate::Value;
use crate::number::{self, Number};
use crate::value::{Origin, keep};
use scan::Scanner;

/// Returns the value of a whole JSON text: a scalar in its kind, or compact text. Returns `None` if
/// the text is not valid.
pub fn read(text: &'static str) -> Option<Value> {
    let mut scanner = Scanner::new(text);
    let (start, end) = scanner.document()?;
    Some(value_of(text.get(start..end)?))
}

/// Returns the value of a foreign JSON text, or a text if it is no JSON.
pub fn from_outside(text: &'static str) -> Value {
    read(text).unwrap_or(Value::Text(text, Origin::Data))
}

/// The members of a JSON array; `None` when the text is no array.
pub fn members(text: &'static str) -> Option<Vec<Value>> {
    let mut members = Vec::new();
    let mut scanner = Scanner::new(text);
    scanner.array(|range| members.push(range))?;
    Some(members.into_iter().filter_map(|(start, end)| text.get(start..end)).map(value_of).collect())
}

/// The values of a JSON object; `None` when the text is no object.
pub fn values(text: &'static str) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    Scanner::new(text).object(|_, range| values.push(range))?;
    Some(values.into_iter().filter_map(|(start, end)| text.get(start..end)).map(value_of).collect())
}

/// Returns alternating names and values of the members of a JSON object; `None` if the text is no
/// object. A name counts as a text from a JSON string.
pub fn named_members(text: &'static str) -> Option<Vec<Value>> {
    let mut ranges = Vec::new();
    Scanner::new(text).object(|name, value| ranges.push((name, value)))?;
    let mut members = Vec::with_capacity(2 * ranges.len());
    for ((name_start, name_end), (start, end)) in ranges {
        let name = Value::Text(unescaped(text.get(name_start..name_end)?), Origin::Quoted);
        members.extend([name, value_of(text.get(start..end)?)]);
    }
    Some(members)
}

/// The first character of a text that is no white space and no byte order mark; NUL when there is
/// none.
pub fn first(text: &str) -> u8 {
    Scanner::new(text).first()
}

/// Returns the text of a JSON string; `None` if the text is no JSON string.
pub fn string(text: &'static str) -> Option<Value> {
    let is_quoted = first(text) == b'"';
    is_quoted.then(|| read(text)).flatten()
}

/// Calls `leaf` with path and value of each leaf of a JSON object: each member, at any depth, that
/// is no object itself. `/` joins the levels of the path. Returns `None` without calls if the text
/// is not exactly one object.
pub fn leaves_of(text: &'static str, prefix: &str, leaf: &mut dyn FnMut(String, Value)) -> Option<()> {
    let mut pairs = Vec::new();
    Scanner::new(text).object(|key, value| pairs.push((key, value)))?;
    for ((key_start, key_end), (start, end)) in pairs {
        let path = format!("{prefix}{}", scan::unescape(&text[key_start..key_end]));
        let value = &text[start..end];
        if value.starts_with('{') {
            leaves_of(value, &format!("{path}/"), leaf)?;
        } else {
            leaf(path, value_of(value));
        }
    }
    Some(())
}

/// Members of an array or object; 0 for anything else.
pub fn count(text: &str) -> usize {
    let mut count = 0;
    if Scanner::new(text).array(|_| count += 1).is_none() {
        count = 0;
        if Scanner::new(text).object(|_, _| count += 1).is_none() {
            count = 0;
        }
    }
    count
}

/// The value of a text that the scanner accepted, without surrounding space.
fn value_of(text: &'static str) -> Value {
    match text.as_bytes().first() {
        Some(b'"') => Value::Text(unquoted(text), Origin::Quoted),
        Some(b'{' | b'[') => Value::Json(compacted(text)),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') | None => Value::Null,
        Some(_) => number_of(text),
    }
}

/// The value of a JSON number. One that no number type holds keeps its digits: a whole one beyond
/// 64 bits, and one that is beyond every Double.
fn number_of(text: &'static str) -> Value {
    match number::parse(text) {
        Some(Number::Double(number)) if !number.is_finite() || number::is_whole(text) => {
            Value::Text(text, Origin::Digits)
        }
        Some(number) => number.into(),
        None => Value::Null,
    }
}

/// The text of a JSON string with its quotes.
fn unquoted(quoted: &'static str) -> &'static str {
    unescaped(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())
}

/// The text of what stands between the quotes of a JSON string.
fn unescaped(inner: &'static str) -> &'static str {
    if inner.contains('\\') { keep(scan::unescape(inner)) } else { inner }
}

/// Removes the white space between the tokens of a valid JSON text.
fn compacted(text: &'static str) -> &'static str {
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            out.push_str(&text[start..at]);
            start = at + 1;
        } else {
            in_string = byte == b'"';
        }
    }
    out.push_str(&text[start..]);
    keep(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_are_read_in_their_kind() {
        for (text, expected) in [
            ("5", Some(Value::Int(5))),
            (" 2.50 ", Some(Value::Double(2.5))),
            ("\"a\\u00e9\\n\"", Some(Value::Text("aé\n", Origin::Quoted))),
            ("\"\\ud83d\\ude00\"", Some(Value::Text("😀", Origin::Quoted))),
            ("18446744073709551615", Some(Value::Text("18446744073709551615", Origin::Digits))),
            ("-9223372036854775809", Some(Value::Text("-9223372036854775809", Origin::Digits))),
            ("9223372036854775808.0", Some(Value::Double(9_223_372_036_854_775_808.0))),
            ("1e400", Some(Value::Text("1e400", Origin::Digits))),
            ("\u{feff}{\"a\":1}", Some(Value::Json("{\"a\":1}"))),
            ("\u{feff}", None),
            ("true", Some(Value::Bool(true))),
            ("null", Some(Value::Null)),
            ("[ 1 , \"a b\" , {\"x y\" : [ ] } ]", Some(Value::Json("[1,\"a b\",{\"x y\":[]}]"))),
            ("{\"q\":\"\\\" ,\"}", Some(Value::Json("{\"q\":\"\\\" ,\"}"))),
            ("", None),
            ("{", None),
            ("[1,]", None),
            ("{\"a\":1,}", None),
            ("01", None),
            ("1 2", None),
            ("'a'", None),
            ("\"a\nb\"", None),
            ("nul", None),
            ("\"\\x\"", None),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn json_of_others_is_json_only_if_it_is_valid() {
        for (text, embedded) in [
            ("{\"a\": [1]}", "[{\"a\":[1]}]"),
            ("[1,2", "[\"[1,2\"]"),
            ("{\"a\":1},\"admin\":{\"x\":1}", "[\"{\\\"a\\\":1},\\\"admin\\\":{\\\"x\\\":1}\"]"),
            ("[1],2", "[\"[1],2\"]"),
            ("", "[\"\"]"),
            ("5", "[5]"),
            ("18446744073709551615", "[18446744073709551615]"),
            ("\"5\"", "[\"5\"]"),
        ] {
            let mut out = String::from("[");
            append_value(&mut out, from_outside(text));
            out.push(']');
            assert_eq!(out, embedded, "{text}");
        }
    }

    #[test]
    fn nesting_beyond_the_bound_is_unparsable() {
        let nested = |depth: usize| keep(format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
        assert!(read(nested(crate::limits::JSON_DEPTH_MAX as usize)).is_some());
        assert!(read(nested(crate::limits::JSON_DEPTH_MAX as usize + 1)).is_none());
        assert!(read(nested(1_000_000)).is_none());
    }
}
