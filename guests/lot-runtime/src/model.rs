//! Functions of Models: values from the assignments of `PUBLISH MODEL`, leaves of received JSON,
//! and members of arrays.

use crate::json::{self, append_quoted, append_value, leaves_of, members};
use crate::number;
use crate::value::{Origin, Value, keep, text_of};

/// Returns the value of a field without a type in its definition (§15). A text that looks like a
/// number or truth value becomes one, unless it was a JSON string.
pub fn inferred(value: Value) -> Value {
    let Value::Text(text, Origin::Literal | Origin::Data) = value else { return value };
    match text.trim() {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        // A text that is not a number is quoted whatever it came from.
        _ => number::reading(text).map_or(Value::Text(text, Origin::Literal), Value::from),
    }
}

/// Returns the value assigned to `name`. Without one, builds it from the assignments below it
/// (`name.a`, `name[0].a`).
pub fn assigned(arguments: &[(&'static str, Value)], name: &str) -> Option<Value> {
    if let Some((_, value)) = arguments.iter().find(|(of, _)| *of == name) {
        return Some(*value);
    }
    let mut tree = Tree::Absent;
    for (of, value) in arguments {
        if let Some(path) = of.strip_prefix(name).filter(|rest| rest.starts_with(['.', '['])) {
            tree.put(path, *value);
        }
    }
    let mut out = String::new();
    (!matches!(tree, Tree::Absent)).then(|| {
        tree.append(&mut out);
        Value::Json(keep(out))
    })
}

/// Returns the first argument that is not in `names`, which NUL separates. A name that ends with a
/// dot covers all names below it.
pub fn unknown<'a>(mut arguments: impl Iterator<Item = &'a str>, names: &str) -> Option<&'a str> {
    let covers = |known: &str, name: &str| match known.strip_suffix('.') {
        Some(above) => name.strip_prefix(above).is_some_and(|rest| rest.starts_with(['.', '['])),
        None => known == name,
    };
    arguments.find(|name| !names.split('\0').any(|known| covers(known, name)))
}

/// Returns alternating paths and values of the leaves of a JSON object: scalars and arrays, nested
/// members as `a/b`. Returns nothing for other texts. Returns `None` for a text that begins as an
/// object but is invalid or nested too deep.
pub fn leaves(value: Value) -> Option<Vec<Value>> {
    let mut leaves = Vec::new();
    let text = value.text();
    if json::first(text) == b'{' {
        leaves_of(text, "", &mut |path, value| leaves.extend([Value::literal(path), value]))?;
    }
    Some(leaves)
}

/// The members of an array; nothing for anything else.
pub fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Text(text, _) | Value::Json(text) => members(text).unwrap_or_default(),
        Value::Bytes(bytes) => members(text_of(bytes)).unwrap_or_default(),
        Value::Empty | Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Time(_) => {
            Vec::new()
        }
    }
}

/// Names and values of the members of an object, one after the other, in the order of the text;
/// nothing for anything else.
pub fn members_of_object(value: Value) -> Vec<Value> {
    match value {
        Value::Text(text, _) | Value::Json(text) => json::named_members(text).unwrap_or_default(),
        Value::Bytes(bytes) => json::named_members(text_of(bytes)).unwrap_or_default(),
        Value::Empty | Value::Null | Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Time(_) => {
            Vec::new()
        }
    }
}

/// A JSON array of values.
pub fn array(values: impl Iterator<Item = Value>) -> Value {
    let mut out = String::from("[");
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        append_value(&mut out, value);
    }
    out.push(']');
    Value::Json(keep(out))
}

/// Members an array can have by assignment to its elements; what is assigned beyond is dropped.
const ASSIGNED_ELEMENTS_MAX: usize = 10_000;

/// JSON that is built of assignments.
enum Tree {
    Absent,
    Leaf(Value),
    Object(Vec<(&'static str, Tree)>),
    Array(Vec<Tree>),
}

impl Tree {
    /// Puts a value at a path of `.key` and `[index]` steps. Recurses once per step; the parser
    /// limits the path.
    fn put(&mut self, path: &'static str, value: Value) {
        if path.is_empty() {
            *self = Tree::Leaf(value);
        } else if let Some(rest) = path.strip_prefix('[') {
            let (index, rest) = rest.split_once(']').unwrap_or((rest, ""));
            let Some(index) = index.parse().ok().filter(|index: &usize| *index < ASSIGNED_ELEMENTS_MAX)
            else {
                return;
            };
            if !matches!(self, Tree::Array(_)) {
                *self = Tree::Array(Vec::new());
            }
            if let Tree::Array(elements) = self {
                if elements.len() <= index {
                    elements.resize_with(index + 1, || Tree::Absent);
                }
                elements[index].put(rest, value);
            }
        } else {
            let path = path.strip_prefix('.').unwrap_or(path);
            let end = path.find(['.', '[']).unwrap_or(path.len());
            let (key, rest) = path.split_at(end);
            if !matches!(self, Tree::Object(_)) {
                *self = Tree::Object(Vec::new());
            }
            if let Tree::Object(members) = self {
                let index = members.iter().position(|(name, _)| *name == key).unwrap_or_else(|| {
                    members.push((key, Tree::Absent));
                    members.len() - 1
                });
                members[index].1.put(rest, value);
            }
        }
    }

    fn append(&self, out: &mut String) {
        match self {
            Tree::Absent => out.push_str("null"),
            Tree::Leaf(value) => append_value(out, *value),
            Tree::Object(members) => {
                for (index, (key, member)) in members.iter().enumerate() {
                    out.push(if index == 0 { '{' } else { ',' });
                    append_quoted(out, key);
                    out.push(':');
                    member.append(out);
                }
                out.push('}');
            }
            Tree::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    out.push(if index == 0 { '[' } else { ',' });
                    element.append(out);
                }
                out.push(']');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_inferred_from_texts() {
        for (value, expected) in [
            (Value::literal("5"), Value::Int(5)),
            (Value::data("2.50"), Value::Double(2.5)),
            (Value::data("True"), Value::Bool(true)),
            (Value::data("on"), Value::literal("on")),
            (Value::Empty, Value::Empty),
            (Value::Int(3), Value::Int(3)),
        ] {
            assert_eq!(inferred(value), expected, "{value:?}");
        }
    }

    #[test]
    fn assignments_below_a_name_build_its_value() {
        let arguments = [
            ("a", Value::Int(1)),
            ("o.x", Value::Int(2)),
            ("o.y.z", Value::literal("t")),
            ("l[1].v", Value::Bool(true)),
            ("l[0].v", Value::Empty),
            ("ox", Value::Null),
        ];
        for (name, expected) in [
            ("a", Some(Value::Int(1))),
            ("o", Some(Value::Json("{\"x\":2,\"y\":{\"z\":\"t\"}}"))),
            ("l", Some(Value::Json("[{\"v\":null},{\"v\":true}]"))),
            ("x", None),
        ] {
            assert_eq!(assigned(&arguments, name), expected, "{name}");
        }
        assert_eq!(assigned(&[("l[99999999]", Value::Null)], "l"), None);
    }

    #[test]
    fn unknown_names_are_found() {
        for (names, given, expected) in [
            ("a\0b", vec!["a", "b"], None),
            ("a", vec!["a", "b"], Some("b")),
            ("o\0o.", vec!["o.x", "o[1].y", "o"], None),
            ("o.", vec!["ox"], Some("ox")),
            ("", vec!["a"], Some("a")),
        ] {
            assert_eq!(unknown(given.iter().copied(), names), expected, "{names:?}");
        }
    }

    #[test]
    fn objects_have_leaves() {
        let leaves =
            leaves(Value::data(r#"{"id":7,"p":{"x":1,"q":{"r":"s"}},"l":[1,{"a":2}],"n":null,"e":{}}"#))
                .unwrap();
        let shown: Vec<&str> = leaves.iter().map(|value| value.text()).collect();
        assert_eq!(shown, ["id", "7", "p/x", "1", "p/q/r", "s", "l", "[1,{\"a\":2}]", "n", "null"]);
        for other in ["[1]", "5", "", "{}"] {
            assert_eq!(super::leaves(Value::data(other)), Some(Vec::new()), "{other}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        for other in ["{", "{\"a\":1} x", &deep] {
            assert_eq!(super::leaves(Value::data(other)), None, "{other}");
        }
    }

    #[test]
    fn arrays_are_taken_apart_and_built() {
        let elements = elements(Value::data("[{\"v\":1}, 2]"));
        assert_eq!(elements, [Value::Json("{\"v\":1}"), Value::Int(2)]);
        assert_eq!(array(elements.into_iter()), Value::Json("[{\"v\":1},2]"));
        assert_eq!(array(std::iter::empty()), Value::Json("[]"));
        assert!(super::elements(Value::data("{}")).is_empty());
    }

    #[test]
    fn members_of_an_object_have_names() {
        let quoted = |text| Value::Text(text, Origin::Quoted);
        let text = r#" {"b":1, "a\u0041\"":"x","07":{"k": [1]},"":null,"b":2}"#;
        let expected = [
            (quoted("b"), Value::Int(1)),
            (quoted("aA\""), quoted("x")),
            (quoted("07"), Value::Json("{\"k\":[1]}")),
            (quoted(""), Value::Null),
            (quoted("b"), Value::Int(2)),
        ];
        let expected: Vec<Value> = expected.into_iter().flat_map(|(name, value)| [name, value]).collect();
        assert_eq!(members_of_object(Value::data(text)), expected);
        assert_eq!(members_of_object(Value::Bytes(text.as_bytes())), expected);
        for other in ["[1]", "5", "", "{}", "{\"a\":1", "{\"a\":1} x"] {
            assert_eq!(members_of_object(Value::data(other)), [], "{other}");
        }
        assert_eq!(members_of_object(Value::Empty), []);
    }
}
