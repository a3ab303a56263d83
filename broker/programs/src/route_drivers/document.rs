//! Payload of a message as JSON: members at paths, with the digits of numbers as they came.
//!
//! Each object or array on a path is read once and remembered. Values off every path are only
//! checked. Nothing here is a tree of the whole payload. Numbers of such a tree have 64 bits: a
//! greater one loses digits, or makes the payload unreadable.

use std::collections::HashMap;

use lotmq_host::route::Value;
use serde_json::value::RawValue;

/// Character that some programs write in front of a text; no part of JSON (RFC 8259, §8.1).
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Bytes that count as searched for a step of a path: one member of an object is found.
pub(super) const STEP_BYTES: usize = 64;

/// Payload that is valid JSON.
pub(super) struct JsonDocument<'a> {
    text: &'a str,
    root: Level<'a>,
    /// Objects and arrays below, by the offset of their text.
    levels: HashMap<usize, Level<'a>>,
}

/// Value with its members.
enum Level<'a> {
    Object(HashMap<String, &'a RawValue>),
    Array(Vec<&'a RawValue>),
    Scalar,
}

impl<'a> JsonDocument<'a> {
    /// Returns `None` for a payload that is not one JSON value.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?;
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let text = text.trim_matches([' ', '\t', '\n', '\r']);
        Some(Self { text, root: Level::parse(text)?, levels: HashMap::new() })
    }

    /// Returns the value at a path of keys and indexes joined by dots, `None` where there is none.
    /// As in `GET JSON`, a key that has dots itself is preferred to the steps that it could be read
    /// as. Adds the bytes that were searched.
    pub(super) fn at(&mut self, path: &str, searched: &mut usize) -> Option<&'a str> {
        let (mut value, mut rest) = (self.text, path);
        while !rest.is_empty() {
            let (next, used) = self.level(value, searched).step(rest, searched)?;
            value = next.get();
            rest = rest.get(used..)?;
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        Some(value)
    }

    /// Returns a member of the object that the payload is.
    pub(super) fn member(&self, name: &str) -> Option<&'a str> {
        let Level::Object(members) = &self.root else { return None };
        members.get(name).map(|value| value.get())
    }

    fn level(&mut self, value: &'a str, searched: &mut usize) -> &Level<'a> {
        let offset = value.as_ptr() as usize - self.text.as_ptr() as usize;
        if offset == 0 {
            return &self.root;
        }
        self.levels.entry(offset).or_insert_with(|| {
            *searched += value.len();
            Level::parse(value).unwrap_or(Level::Scalar)
        })
    }
}

impl<'a> Level<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        match text.as_bytes().first()? {
            b'{' => serde_json::from_str(text).ok().map(Level::Object),
            b'[' => serde_json::from_str(text).ok().map(Level::Array),
            _ => serde_json::from_str::<&RawValue>(text).ok().map(|_| Level::Scalar),
        }
    }

    /// Returns the member that a path leads to first, and how many bytes of the path name it.
    fn step(&self, path: &str, searched: &mut usize) -> Option<(&'a RawValue, usize)> {
        match self {
            Level::Object(members) => {
                let ends = path.match_indices(['.', '[']).map(|(end, _)| end).chain([path.len()]);
                ends.rev().find_map(|end| {
                    *searched += STEP_BYTES + end;
                    members.get(path.get(..end)?).map(|value| (*value, end))
                })
            }
            Level::Array(elements) => {
                *searched += STEP_BYTES;
                let (index, used) = leading_index(path)?;
                elements.get(index).map(|value| (*value, used))
            }
            Level::Scalar => None,
        }
    }
}

/// `i` or `[i]` at the start of a path, and its bytes.
fn leading_index(path: &str) -> Option<(usize, usize)> {
    if let Some(rest) = path.strip_prefix('[') {
        let digits = rest.split(']').next()?;
        return Some((digits.trim().parse().ok()?, digits.len() + 2));
    }
    let digits = path.split(['.', '[']).next()?;
    Some((digits.parse().ok()?, digits.len()))
}

/// Returns the value of a JSON text. A whole number beyond 64 bits, and a number beyond every
/// double, is JSON as it came. Returns `None` for a text with half of a surrogate pair, which no
/// UTF-8 has.
pub(super) fn value_of(json: &str) -> Option<Value> {
    Some(match json.as_bytes().first()? {
        b'"' => Value::Text(serde_json::from_str(json).ok()?),
        b'{' | b'[' => Value::Json(compact(json)),
        b't' => Value::Boolean(true),
        b'f' => Value::Boolean(false),
        b'n' => Value::Null,
        _ if !json.contains(['.', 'e', 'E']) => {
            json.parse().map_or_else(|_| Value::Json(json.to_owned()), Value::Integer)
        }
        _ => match json.parse() {
            Ok(double) if f64::is_finite(double) => Value::Double(double),
            _ => Value::Json(json.to_owned()),
        },
    })
}

/// Returns a valid JSON text without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut is_string, mut is_escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let is_kept = is_string || !matches!(c, ' ' | '\t' | '\n' | '\r');
            if *c == '"' && !is_escaped {
                is_string = !is_string;
            }
            is_escaped = is_string && *c == '\\' && !is_escaped;
            is_kept
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(payload: &str, path: &str) -> Option<String> {
        let mut document = JsonDocument::parse(payload.as_bytes()).unwrap();
        let twice = [(); 2].map(|()| document.at(path, &mut 0).map(str::to_owned));
        assert_eq!(twice[0], twice[1], "a remembered level has the same members");
        twice[0].clone()
    }

    #[test]
    fn paths_lead_to_members_as_those_of_get_json() {
        for (payload, path, expected) in [
            (r#"{"a":{"b":[1,{"c":"x"}]}}"#, "a.b.1.c", Some(r#""x""#)),
            (r#"{"a":{"b":[1,{"c":"x"}]}}"#, "a.b[1].c", Some(r#""x""#)),
            (r#"{"1.7.0":"840"}"#, "1.7.0", Some(r#""840""#)),
            (r#"{"a":{"1-0:1.8.0":5}}"#, "a.1-0:1.8.0", Some("5")),
            (r#"{"PM2.5":7,"PM2":{"5":8}}"#, "PM2.5", Some("7")),
            (r#"{"a.b":{"c":1},"a":{"b":{"c":2}}}"#, "a.b.c", Some("1")),
            (r#"{"a":1,"a":2}"#, "a", Some("2")),
            ("[[1,2],[3]]", "0.1", Some("2")),
            ("[1]", "1", None),
            ("5", "a", None),
            (r#"{"a":5}"#, "a.b", None),
            (" {\"a\" : 5 } ", "", Some("{\"a\" : 5 }")),
            ("\u{feff}{\"a\":5}", "a", Some("5")),
            (r#"{"a":1e400,"b":2}"#, "b", Some("2")),
            (r#"{"a":1e400,"b":2}"#, "a", Some("1e400")),
        ] {
            assert_eq!(found(payload, path).as_deref(), expected, "{path} of {payload}");
        }
        for payload in ["", "{", "{\"a\":}", "1 2", "\u{feff}"] {
            assert!(JsonDocument::parse(payload.as_bytes()).is_none(), "{payload:?}");
        }
        assert!(JsonDocument::parse(b"\"\xff\"").is_none());
    }

    #[test]
    fn numbers_keep_their_digits() {
        for (json, expected) in [
            ("18446744073709551615", Value::Json("18446744073709551615".into())),
            ("123456789012345678901234567890", Value::Json("123456789012345678901234567890".into())),
            ("-9223372036854775808", Value::Integer(i64::MIN)),
            ("31.333846775201351", Value::Double("31.333846775201351".parse().unwrap())),
            ("1e400", Value::Json("1e400".into())),
            (r#"{ "a b" : [ 1.0, "\" ," ] }"#, Value::Json(r#"{"a b":[1.0,"\" ,"]}"#.into())),
            (r#""a\u00e9""#, Value::Text("aé".into())),
        ] {
            assert_eq!(format!("{:?}", value_of(json)), format!("{:?}", Some(expected)), "{json}");
        }
        assert!(value_of(r#""\ud800""#).is_none());
    }
}
