//! Types of values about HTTP: the origins of web pages, and names of hosts.

use serde_json::Value;

use super::setting::Setting;
use crate::value_error::ValueError;

/// Origins of web pages (RFC 6454 §6.2) as browsers write them: `scheme://host[:port]` in lower
/// case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebOrigins(Vec<Box<str>>);

impl WebOrigins {
    /// Whether this very origin is among them.
    #[must_use]
    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }
}

impl Setting for WebOrigins {
    const TYPE: &'static str =
        "origins such as `http://localhost:3000`, without a path: one, a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let wrong = ValueError::WrongType { expected: Self::TYPE };
        let origins = texts(value).ok_or(wrong)?;
        // Every page can make its origin `null`.
        if origins.iter().all(|origin| is_origin(origin)) { Ok(Self(origins)) } else { Err(wrong) }
    }

    fn show(&self) -> Value {
        self.0.iter().map(|origin| Value::from(&**origin)).collect()
    }
}

fn is_origin(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let is_of_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    // `file://` has no host.
    !scheme.is_empty() && scheme.chars().all(is_of_scheme) && rest.chars().all(is_of_host)
}

/// Names of hosts, without ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostNames(Vec<Box<str>>);

impl HostNames {
    /// Whether this name is among them, in whatever case.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

impl Setting for HostNames {
    const TYPE: &'static str = "host names without ports: one, a list, or text with commas";

    fn parse(value: &Value) -> Result<Self, ValueError> {
        let wrong = ValueError::WrongType { expected: Self::TYPE };
        let names = texts(value).ok_or(wrong)?;
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if names.iter().all(|name| name.chars().all(is_of_name)) { Ok(Self(names)) } else { Err(wrong) }
    }

    fn show(&self) -> Value {
        self.0.iter().map(|name| Value::from(&**name)).collect()
    }
}

/// The texts of a list, or of one text with commas; none of them is empty.
pub(super) fn texts(value: &Value) -> Option<Vec<Box<str>>> {
    let texts: Vec<&str> = match value {
        Value::String(text) if text.trim().is_empty() => Vec::new(),
        Value::String(text) => text.split(',').collect(),
        Value::Array(list) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let texts: Vec<Box<str>> = texts.iter().map(|text| text.trim().into()).collect();
    texts.iter().all(|text| !text.is_empty()).then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn origins_are_whole_and_exact() {
        for (value, shown) in [
            (json!([]), json!([])),
            (json!(""), json!([])),
            (json!("http://localhost:3000"), json!(["http://localhost:3000"])),
            (
                json!("https://a.example, vscode-webview://1a2b"),
                json!(["https://a.example", "vscode-webview://1a2b"]),
            ),
            (json!(["file://", "http://[::1]:80"]), json!(["file://", "http://[::1]:80"])),
        ] {
            assert_eq!(WebOrigins::parse(&value).unwrap().show(), shown);
        }
        for value in [
            json!("null"),
            json!("*"),
            json!("localhost:3000"),
            json!("http://localhost:3000/"),
            json!("http://*.example"),
            json!("http://x@localhost"),
            json!("http://a,,http://b"),
            json!([1]),
            json!(true),
        ] {
            assert_eq!(WebOrigins::parse(&value), Err(ValueError::WrongType { expected: WebOrigins::TYPE }));
        }
        let origins = WebOrigins::parse(&json!("http://localhost:3000")).unwrap();
        for (origin, expected) in [
            ("HTTP://LOCALHOST:3000", true),
            ("http://localhost:30000", false),
            ("http://localhost", false),
            ("http://localhost:3000,http://localhost:3000", false),
        ] {
            assert_eq!(origins.contains(origin), expected, "{origin}");
        }
    }

    #[test]
    fn names_of_hosts_have_no_port() {
        let names = HostNames::parse(&json!("lotmq, Broker.plant.example")).unwrap();
        for (name, expected) in [("LOTMQ", true), ("broker.plant.example", true), ("plant.example", false)] {
            assert_eq!(names.contains(name), expected, "{name}");
        }
        for value in [json!("lotmq:9100"), json!("*"), json!("http://lotmq"), json!([""]), json!(7)] {
            assert_eq!(HostNames::parse(&value), Err(ValueError::WrongType { expected: HostNames::TYPE }));
        }
    }
}
