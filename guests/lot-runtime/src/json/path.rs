//! `GET JSON "a.b[0].c" IN source` (§5.2).

use std::cell::RefCell;

use super::scan::{Range, Scanner, unescape};
use super::value_of;
use crate::Value;
use crate::value::text_of;

/// Returns the value at a path. Returns Null if there is none or the source is no JSON.
///
/// Dots separate keys, members of arrays are `[i]` or `.i` from 0, and the empty path is the whole
/// document. A key with dots takes precedence over the same text as steps. The last of repeated
/// keys counts.
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

/// Returns the part of a valid JSON text at a path. The first step checks the whole text, once for
/// each text.
fn find(text: &'static str, path: &str) -> Option<&'static str> {
    if path.is_empty() {
        let (start, end) = Scanner::new(text).document()?;
        return text.get(start..end);
    }
    let mut first = true;
    let (mut text, mut path) = (text, path);
    loop {
        let ((start, end), used) =
            if std::mem::take(&mut first) { look(text, path) } else { step_further(text, path) }?;
        text = text.get(start..end)?;
        path = path.get(used..)?;
        path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            return Some(text);
        }
    }
}

/// Most members of a text that are remembered: 64 KiB.
const MEMBERS_MAX: usize = 4096;

/// Room for members to begin with.
const MEMBERS_USUAL: usize = 16;

/// Cache of the text of the last path, with its members, so that the paths of a program walk over
/// its payload once.
#[derive(Default)]
struct Looked {
    text: &'static str,
    /// Keys, empty for an array, and values.
    members: Vec<(Range, Range)>,
    is_array: bool,
}

thread_local! {
    static LOOKED: RefCell<Looked> = const { RefCell::new(Looked { text: "", members: Vec::new(), is_array: false }) };
}

/// Forgets texts of the run, whose memory is about to be used again.
pub fn forget() {
    LOOKED.with_borrow_mut(|looked| {
        if !looked.text.is_empty() {
            *looked = Looked::default();
        }
    });
}

/// As [`step`], for a text that has perhaps been walked over already.
fn look(text: &'static str, path: &str) -> Option<(Range, usize)> {
    LOOKED.with_borrow_mut(|looked| {
        if std::ptr::eq(looked.text, text) {
            return of_members(text, &looked.members, looked.is_array, path);
        }
        let mut members = Vec::with_capacity(MEMBERS_USUAL);
        let found = step(text, path, Some(&mut members));
        if found.is_none() {
            // Nothing leads into a text that is not valid.
            members.clear();
        }
        if members.len() < MEMBERS_MAX {
            *looked = Looked { text, members, is_array: Scanner::new(text).first() == b'[' };
        }
        found?
    })
}

/// Like [`step`], but into a part of a checked text. Finds an array element without a scan of the
/// later ones.
fn step_further(text: &str, path: &str) -> Option<(Range, usize)> {
    if text.starts_with('[') {
        let (index, used) = leading_index(path)?;
        return Some((Scanner::new(text).element(index)?, used));
    }
    step(text, path, None)?
}

fn of_members(text: &str, members: &[(Range, Range)], is_array: bool, path: &str) -> Option<(Range, usize)> {
    if is_array {
        let (index, used) = leading_index(path)?;
        return Some((members.get(index)?.1, used));
    }
    let mut best = Best::of(path);
    for (key, value) in members {
        best.consider(text, *key, *value);
    }
    best.found
}

/// Takes one step into a text. Returns the member, if any, and the bytes of the path that name it;
/// `None` if the text is not valid JSON. Records up to [`MEMBERS_MAX`] members on the way.
fn step(text: &str, path: &str, members: Option<&mut Vec<(Range, Range)>>) -> Option<Option<(Range, usize)>> {
    match Scanner::new(text).first() {
        b'{' => step_into_object(text, path, members),
        b'[' => step_into_array(text, path, members),
        _ => {
            Scanner::new(text).document()?;
            Some(None)
        }
    }
}

/// The member whose key takes most of the path; of several the last.
struct Best<'a> {
    path: &'a str,
    /// First byte of the path, which excludes most keys.
    first: Option<u8>,
    found: Option<(Range, usize)>,
}

impl<'a> Best<'a> {
    fn of(path: &'a str) -> Self {
        Self { path, first: path.bytes().next(), found: None }
    }

    #[inline(always)]
    fn consider(&mut self, text: &str, key: Range, value: Range) {
        let first = text.as_bytes().get(key.0).copied();
        // The empty key has none, and one that begins with an escape is not yet known.
        if first == self.first || matches!(first, Some(b'\\' | b'"')) {
            self.compare(text, key, value);
        }
    }

    fn compare(&mut self, text: &str, (start, end): Range, value: Range) {
        let key = &text[start..end];
        let used = if key.contains('\\') {
            leading_key(self.path, &unescape(key))
        } else {
            leading_key(self.path, key)
        };
        if let Some(used) = used
            && self.found.is_none_or(|(_, longest)| used >= longest)
        {
            self.found = Some((value, used));
        }
    }
}

fn step_into_object(
    text: &str,
    path: &str,
    mut members: Option<&mut Vec<(Range, Range)>>,
) -> Option<Option<(Range, usize)>> {
    let mut best = Best::of(path);
    Scanner::new(text).object(|key, value| {
        best.consider(text, key, value);
        note(&mut members, key, value);
    })?;
    Some(best.found)
}

fn note(members: &mut Option<&mut Vec<(Range, Range)>>, key: Range, value: Range) {
    if let Some(members) = members.as_mut().filter(|members| members.len() < MEMBERS_MAX) {
        members.push((key, value));
    }
}

/// How many bytes a key takes of the path, when the path begins with it.
fn leading_key(path: &str, key: &str) -> Option<usize> {
    let rest = path.strip_prefix(key)?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(key.len())
}

fn step_into_array(
    text: &str,
    path: &str,
    mut members: Option<&mut Vec<(Range, Range)>>,
) -> Option<Option<(Range, usize)>> {
    let (index, used) = leading_index(path).unwrap_or((usize::MAX, 0));
    let mut found = None;
    let mut position = 0;
    Scanner::new(text).array(|range| {
        if position == index {
            found = Some(range);
        }
        position += 1;
        note(&mut members, (0, 0), range);
    })?;
    Some(found.map(|range| (range, used)))
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
    use crate::value::Origin;

    #[test]
    fn paths_lead_to_members() {
        let document = r#"{"a":{"b":1.5,"l":[4,5,{"n":"x"}]},"a.b":"dotted","z":null,"e":"","m":[[1,2],[3]], "k\"q":7, "\u0064x":8, "":{"k":9}}"#;
        for (path, expected) in [
            ("a.b", Value::Text("dotted", Origin::Quoted)),
            ("a.l[1]", Value::Int(5)),
            ("a.l.1", Value::Int(5)),
            ("a.l[2].n", Value::Text("x", Origin::Quoted)),
            ("a.l[3]", Value::Null),
            ("a.l", Value::Json(r#"[4,5,{"n":"x"}]"#)),
            ("m[0][1]", Value::Int(2)),
            ("z", Value::Null),
            ("e", Value::Text("", Origin::Quoted)),
            ("a.none", Value::Null),
            ("none", Value::Null),
            ("a.l.n", Value::Null),
            ("k\"q", Value::Int(7)),
            ("dx", Value::Int(8)),
            (".k", Value::Int(9)),
        ] {
            assert_eq!(get(Value::data(document), path), expected, "{path}");
        }
    }

    #[test]
    fn a_text_that_was_looked_into_says_the_same_again() {
        let document = r#"{"a":{"a":1},"b":[1,2],"a.a":3,"b":[4], "c\u0041":5}"#;
        let array = r#"[10,{"x":11},[12]]"#;
        let paths = ["a.a", "a", "b[0]", "b[1]", "cA", "none", "b", "[1].x", "[2][0]", "[3]", "0", "x", ""];
        for text in [document, array, "", "{}", "[]", "{\"a\":1", "x"] {
            let fresh = paths.map(|path| {
                forget();
                get(Value::data(text), path)
            });
            // One text for all of them.
            let source = Value::data(text);
            forget();
            assert_eq!(paths.map(|path| get(source, path)), fresh, "{text}");
            assert_eq!(paths.map(|path| get(source, path)), fresh, "{text}");
        }
        let many = Value::data(format!("[{}0]", "1,".repeat(2 * MEMBERS_MAX)));
        for (path, expected) in [("[0]", 1), ("[8192]", 0), ("[8191]", 1), ("[4095]", 1), ("[4096]", 1)] {
            assert_eq!(get(many, path), Value::Int(expected), "{path}");
        }
        assert_eq!(get(many, "[8193]"), Value::Null);
    }

    #[test]
    fn a_text_is_walked_over_once_wherever_its_paths_lead() {
        for text in [r#"{"a":1}"#, "[1]", "{\"a\":1", "[1,", "x", "5"] {
            let source = text_of(text.as_bytes());
            for path in ["none", "[7]", "a", "[0]"] {
                let expected = (path == "a" && text.ends_with('}')) || (path == "[0]" && text.ends_with(']'));
                let found = get(Value::data(source), path);
                assert_eq!(found == Value::Int(1), expected, "{text} {path}");
                LOOKED.with_borrow(|looked| {
                    assert!(!looked.text.is_empty() && looked.text == text, "{text} {path}")
                });
            }
        }
    }

    #[test]
    fn strings_end_where_they_end() {
        for length in 0..20 {
            for end in ["\\n", "\u{1f600}", "\u{7f}", ""] {
                let plain = "x".repeat(length);
                let text = format!("{{\"k\":\"{plain}{end}\",\"n\":1}}");
                assert_eq!(get(Value::data(text.clone()), "n"), Value::Int(1), "{text}");
                let broken = format!("{{\"k\":\"{plain}\u{1f}{end}\",\"n\":1}}");
                assert_eq!(get(Value::data(broken.clone()), "n"), Value::Null, "{broken}");
            }
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
