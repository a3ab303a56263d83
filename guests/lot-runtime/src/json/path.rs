//! `GET JSON "a.b[0].c" IN source` (§5.2).

use super::scan::{Range, Scanner, unescape};
use super::value_of;
use crate::Value;
use crate::value::text_of;

/// What a path leads to; Null when it leads nowhere or the source is no JSON.
///
/// Keys are separated by dots, members of arrays are `[i]` or `.i` from 0, the empty path is the whole document. A key that
/// itself contains dots is preferred to the steps it could be read as. Of a repeated key the last counts.
pub fn get(source: Value, path: &str) -> Value {
    let text = match source {
        Value::Text(text, _) | Value::Json(text) => text,
        Value::Bytes(bytes) => text_of(bytes),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) if path.is_empty() => return source,
        Value::Empty | Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Time(_) => {
            return Value::Null;
        }
    };
    find(text, path).map_or(Value::Null, value_of)
}

/// The part of a valid JSON text that a path leads to. The first step checks the whole text.
fn find<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    let mut text = text;
    let mut path = path;
    loop {
        if path.is_empty() {
            let (start, end) = Scanner::new(text).document()?;
            return text.get(start..end);
        }
        let ((start, end), used) = step(text, path)?;
        text = text.get(start..end)?;
        path = path.get(used..)?;
        path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            return Some(text);
        }
    }
}

/// One step into an object or array: the member and how many bytes of the path name it.
fn step(text: &str, path: &str) -> Option<(Range, usize)> {
    match text.trim_start().as_bytes().first()? {
        b'{' => step_into_object(text, path),
        b'[' => step_into_array(text, path),
        _ => {
            Scanner::new(text).document()?;
            None
        }
    }
}

fn step_into_object(text: &str, path: &str) -> Option<(Range, usize)> {
    let mut best: Option<(Range, usize)> = None;
    Scanner::new(text).object(|(start, end), value| {
        let key = &text[start..end];
        let used =
            if key.contains('\\') { leading_key(path, &unescape(key)) } else { leading_key(path, key) };
        if let Some(used) = used
            && best.is_none_or(|(_, longest)| used >= longest)
        {
            best = Some((value, used));
        }
    })?;
    best
}

/// How many bytes a key takes of the path, when the path begins with it.
fn leading_key(path: &str, key: &str) -> Option<usize> {
    let rest = path.strip_prefix(key)?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(key.len())
}

fn step_into_array(text: &str, path: &str) -> Option<(Range, usize)> {
    let (index, used) = leading_index(path).unwrap_or((usize::MAX, 0));
    let mut found = None;
    let mut position = 0;
    Scanner::new(text).array(|range| {
        if position == index {
            found = Some(range);
        }
        position += 1;
    })?;
    Some((found?, used))
}

/// `[i]` or `i` at the start of a path.
fn leading_index(path: &str) -> Option<(usize, usize)> {
    if let Some(rest) = path.strip_prefix('[') {
        let digits = rest.split(']').next()?;
        return Some((digits.trim().parse().ok()?, digits.len() + 2));
    }
    let digits = path.split(['.', '[']).next()?;
    Some((digits.parse().ok()?, digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_members() {
        let document =
            r#"{"a":{"b":1.5,"l":[4,5,{"n":"x"}]},"a.b":"dotted","z":null,"e":"","m":[[1,2],[3]], "k\"q":7}"#;
        for (path, expected) in [
            ("a.b", Value::data("dotted")),
            ("a.l[1]", Value::Int(5)),
            ("a.l.1", Value::Int(5)),
            ("a.l[2].n", Value::data("x")),
            ("a.l[3]", Value::Null),
            ("a.l", Value::Json(r#"[4,5,{"n":"x"}]"#)),
            ("m[0][1]", Value::Int(2)),
            ("z", Value::Null),
            ("e", Value::data("")),
            ("a.none", Value::Null),
            ("none", Value::Null),
            ("a.l.n", Value::Null),
            ("k\"q", Value::Int(7)),
        ] {
            assert_eq!(get(Value::data(document), path), expected, "{path}");
        }
    }

    #[test]
    fn sources_may_be_anything() {
        for (source, path, expected) in [
            (Value::data("not json"), "a", Value::Null),
            (Value::data("{\"a\":1"), "a", Value::Null),
            (Value::data("{\"a\":1} x"), "a", Value::Null),
            (Value::data("5"), "", Value::Int(5)),
            (Value::data("[1,2]"), "[0]", Value::Int(1)),
            (Value::data("{\"a\":1,\"a\":2}"), "a", Value::Int(2)),
            (Value::Json("{\"a\":true}"), "a", Value::Bool(true)),
            (Value::Empty, "a", Value::Null),
            (Value::Int(5), "", Value::Int(5)),
            (Value::Int(5), "a", Value::Null),
            (Value::data("{\"d\":{\"list\":[{\"n\":1},{\"n\":2}]}}"), "d.list[1].n", Value::Int(2)),
        ] {
            assert_eq!(get(source, path), expected, "{source:?} {path}");
        }
    }
}
