//! Payloads in a file with cases.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// A text, or a value that is written as JSON.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) struct Payload(toml::Value);

impl TryFrom<toml::Value> for Payload {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        is_json(&value)?;
        Ok(Self(value))
    }
}

/// Rejects TOML values that JSON does not have.
pub(crate) fn is_json(value: &toml::Value) -> Result<(), String> {
    match value {
        toml::Value::Datetime(time) => {
            Err(format!("write the time {time} in quotes, as the program sees it"))
        }
        toml::Value::Float(number) if !number.is_finite() => Err(format!("{number} is no number of JSON")),
        toml::Value::Table(members) => members.values().try_for_each(is_json),
        toml::Value::Array(elements) => elements.iter().try_for_each(is_json),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_) => Ok(()),
    }
}

impl Payload {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// Whether it is a table or a list.
    fn is_structured(&self) -> bool {
        self.0.is_table() || self.0.is_array()
    }

    /// Whether a payload equals this value: for a text the same bytes, for a number, a table or a
    /// list the same JSON, in which numbers are compared by value.
    pub(crate) fn is_like(&self, found: &[u8]) -> bool {
        match &self.0 {
            toml::Value::Table(_)
            | toml::Value::Array(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_) => {
                let wanted = serde_json::to_value(&self.0).ok();
                let found = serde_json::from_slice::<Value>(found).ok();
                wanted.zip(found).is_some_and(|(wanted, found)| is_same(&wanted, &found))
            }
            toml::Value::String(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) => {
                self.to_string().as_bytes() == found
            }
        }
    }
}

/// Most differences that are named.
const DIFFERENCES_MAX: usize = 5;

/// Expected and found JSON with keys in the same order, and the places at which they differ.
pub(crate) struct Compared {
    pub(crate) expected: String,
    pub(crate) found: String,
    /// One at least.
    pub(crate) differences: String,
}

/// Compares found JSON with expected JSON; `None` if one of them is no JSON, or nothing differs.
pub(crate) fn compared(expected: &Payload, found: &[u8]) -> Option<Compared> {
    if !expected.is_structured() {
        return None;
    }
    let wanted = serde_json::to_value(&expected.0).ok()?;
    let found = serde_json::from_slice::<Value>(found).ok()?;
    let mut differences = Vec::new();
    differ(&wanted, Some(&found), "", &mut differences);
    if differences.is_empty() {
        return None;
    }
    let more = differences.len().saturating_sub(DIFFERENCES_MAX);
    let mut told = differences.into_iter().take(DIFFERENCES_MAX).collect::<Vec<_>>().join("; ");
    if more > 0 {
        told.push_str(&format!("; and {more} more"));
    }
    let found_text = found.to_string();
    Some(Compared {
        expected: in_order_of(&wanted, &found).to_string(),
        found: found_text,
        differences: told,
    })
}

/// Collects the places at which found and expected JSON differ.
fn differ(wanted: &Value, found: Option<&Value>, path: &str, differences: &mut Vec<String>) {
    match (wanted, found) {
        (_, None) => differences.push(format!("{} is missing", place(path))),
        (Value::Object(wanted), Some(Value::Object(found))) => {
            for (key, value) in wanted {
                differ(value, found.get(key), &member(path, key), differences);
            }
            let others = found.keys().filter(|key| !wanted.contains_key(*key));
            differences.extend(others.map(|key| format!("{} is not expected", place(&member(path, key)))));
        }
        (Value::Array(wanted), Some(Value::Array(found))) => {
            for (index, value) in wanted.iter().enumerate() {
                differ(value, found.get(index), &format!("{path}[{index}]"), differences);
            }
            let others = wanted.len()..found.len();
            differences.extend(others.map(|index| format!("{path}[{index}] is not expected")));
        }
        (wanted, Some(found)) if is_same(wanted, found) => {}
        (wanted, Some(found)) => differences.push(format!("{} is {found} and not {wanted}", place(path))),
    }
}

fn member(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn place(path: &str) -> &str {
    if path.is_empty() { "the payload" } else { path }
}

/// A value whose members come in the order in which another one has them; further ones behind
/// those.
fn in_order_of(value: &Value, other: &Value) -> Value {
    match (value, other) {
        (Value::Object(members), Value::Object(order)) => {
            let common = order.keys().filter_map(|key| members.get_key_value(key));
            let further = members.iter().filter(|(key, _)| !order.contains_key(*key));
            let ordered = |(key, value): (&String, &Value)| {
                let value = order.get(key).map_or_else(|| value.clone(), |other| in_order_of(value, other));
                (key.clone(), value)
            };
            Value::Object(common.chain(further).map(ordered).collect())
        }
        (Value::Array(elements), Value::Array(order)) => {
            let ordered = |(index, value): (usize, &Value)| {
                order.get(index).map_or_else(|| value.clone(), |other| in_order_of(value, other))
            };
            Value::Array(elements.iter().enumerate().map(ordered).collect())
        }
        (value, _) => value.clone(),
    }
}

/// Whether two values of JSON are the same, where 1 and 1.0 are. Whole numbers of any size are
/// compared as such.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            let has_fraction = a.is_f64() || b.is_f64();
            a == b
                || (has_fraction
                    && a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a.to_bits() == b.to_bits()))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let has_same = |(key, a)| b.get(key).is_some_and(|b| is_same(a, b));
            a.len() == b.len() && a.iter().all(has_same)
        }
        (a, b) => a == b,
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            Some(text) => f.write_str(text),
            None => f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_by_value_and_texts_by_their_bytes() {
        for (wanted, found, is_like) in [
            ("1.0", "1", true),
            ("1", "1.0", true),
            ("1", "1.5", false),
            ("9007199254740993", "9007199254740992", false),
            ("\"1.0\"", "1", false),
            ("\"1.0\"", "1.0", true),
            ("{ a = [1.0, 2] }", "{\"a\":[1,2.0]}", true),
            ("{ a = 1 }", "{\"a\":1,\"b\":2}", false),
            ("1", "one", false),
        ] {
            let table: toml::Table = format!("payload = {wanted}").parse().unwrap();
            let payload = Payload::try_from(table["payload"].clone()).unwrap();
            assert_eq!(payload.is_like(found.as_bytes()), is_like, "{wanted} {found}");
        }
    }

    #[test]
    fn json_comparison_renders_one_key_order_and_lists_the_differences() {
        for (wanted, found, shown, differences) in [
            (
                "{ a = 1, b = { c = [1, 2], d = \"x\" } }",
                r#"{"b":{"d":"x","c":[1,3]},"a":1.0}"#,
                r#"{"b":{"d":"x","c":[1,2]},"a":1}"#,
                "b.c[1] is 3 and not 2",
            ),
            ("{ a = 1, z = 2 }", r#"{"z":2,"y":3}"#, r#"{"z":2,"a":1}"#, "a is missing; y is not expected"),
            ("[1]", "[1,2]", "[1]", "[1] is not expected"),
            ("{ a = 1 }", "[]", r#"{"a":1}"#, r#"the payload is [] and not {"a":1}"#),
            (
                "[1, 2, 3, 4, 5, 6, 7]",
                "[]",
                "[1,2,3,4,5,6,7]",
                "[0] is missing; [1] is missing; [2] is missing; [3] is missing; [4] is missing; and 2 more",
            ),
        ] {
            let table: toml::Table = format!("payload = {wanted}").parse().unwrap();
            let payload = Payload::try_from(table["payload"].clone()).unwrap();
            let told = compared(&payload, found.as_bytes()).unwrap();
            assert_eq!(
                (&*told.expected, &*told.found),
                (shown, &*serde_json::from_str::<Value>(found).unwrap().to_string())
            );
            assert_eq!(told.differences, differences);
        }
        for (wanted, found) in [("{ a = 1 }", "no JSON"), ("{ a = 1 }", r#"{"a":1.0}"#), ("\"x\"", "{}")] {
            let table: toml::Table = format!("payload = {wanted}").parse().unwrap();
            let payload = Payload::try_from(table["payload"].clone()).unwrap();
            assert!(compared(&payload, found.as_bytes()).is_none(), "{wanted} {found}");
        }
    }
}
