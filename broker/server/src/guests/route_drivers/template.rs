//! Templates: texts with placeholders, filled for one message. Routes reference §2.

use std::borrow::Cow;

use jiff::Timestamp;
use lot_facts::TemplatePart;
use lotmq_host::route::Value;
use lotmq_host::{RunContext, Services as _};
use serde_json::Value as Json;

use crate::guests::services::TenantServices;
use crate::limits::ROUTE_FILLED_BYTES_MAX;

/// Setting of an event that the host fills itself, with where it reports what can never pass; guests do not see it.
pub(super) const ERROR_TOPIC: &str = "ERROR_TOPIC";

/// Message for which a text is filled.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// Its time.
    pub(super) at: Timestamp,
}

/// Reason why a text cannot be filled: the message can never pass.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(super) enum Unfilled {
    #[error("the payload is not JSON")]
    NotJson,
    #[error("environment value '{0}' is not set")]
    NoEnvironment(String),
    #[error("secret '{0}' is not set, or stored with another key than this broker's (SECRETS_LOCKED)")]
    NoSecret(String),
    #[error("the values of its placeholders have more than {} MiB", ROUTE_FILLED_BYTES_MAX >> 20)]
    TooMuch,
}

/// Values that placeholders name.
pub(super) trait Names {
    fn environment(&self, name: &str) -> Option<String>;
    fn secret(&self, name: &str) -> Option<String>;
}

/// Values that the owner of a route may read.
pub(super) struct OfRoute<'a>(pub(super) &'a TenantServices, pub(super) RunContext);

impl Names for OfRoute<'_> {
    fn environment(&self, name: &str) -> Option<String> {
        self.0.environment(&self.1, name)
    }

    fn secret(&self, name: &str) -> Option<String> {
        self.0.secret(&self.1, name)
    }
}

/// Fills a text. The payload is parsed at most once: keep `document` for the other texts of the message.
pub(super) fn fill<'a>(
    parts: &[TemplatePart],
    subject: Subject<'a>,
    document: &mut Document<'a>,
    names: &impl Names,
) -> Result<String, Unfilled> {
    let mut text = String::new();
    for part in parts {
        match value(part, subject, document, names)? {
            Some(value) => text.push_str(&text_of(&value)),
            None => text.push_str(part.text().unwrap_or_default()),
        }
    }
    Ok(text)
}

/// Values of the placeholders of a text, in order.
pub(super) fn values<'a>(
    parts: &[TemplatePart],
    subject: Subject<'a>,
    document: &mut Document<'a>,
    names: &impl Names,
) -> Result<Vec<Value>, Unfilled> {
    parts.iter().filter_map(|part| value(part, subject, document, names).transpose()).collect()
}

/// Value of a placeholder, which is counted; `None` for text.
fn value<'a>(
    part: &TemplatePart,
    subject: Subject<'a>,
    document: &mut Document<'a>,
    names: &impl Names,
) -> Result<Option<Value>, Unfilled> {
    let Some(value) = uncounted_value(part, subject, document, names)? else { return Ok(None) };
    // A column is looked for from the beginning, some ten times as fast as a value is copied.
    let searched = if matches!(part, TemplatePart::Csv(_)) { subject.payload.len() / 16 } else { 0 };
    document.count(VALUE_BYTES + bytes_of(&value) + searched)?;
    Ok(Some(value))
}

/// Bytes that a value takes besides its text.
const VALUE_BYTES: usize = 64;

/// Bytes of the text of a value.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Json(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Empty
        | Value::Null
        | Value::Boolean(_)
        | Value::Integer(_)
        | Value::Double(_)
        | Value::Time(_) => 0,
    }
}

fn uncounted_value<'a>(
    part: &TemplatePart,
    subject: Subject<'a>,
    document: &mut Document<'a>,
    names: &impl Names,
) -> Result<Option<Value>, Unfilled> {
    Ok(Some(match part {
        TemplatePart::Text(_) => return Ok(None),
        TemplatePart::Payload => match std::str::from_utf8(subject.payload) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(subject.payload.to_vec()),
        },
        TemplatePart::Json(path) => document.at(path)?,
        TemplatePart::Csv(column) => Value::Text(csv(subject.payload, *column)),
        TemplatePart::Topic => Value::Text(subject.topic.to_owned()),
        TemplatePart::TopicLevel(level) => {
            let index = usize::try_from(*level).unwrap_or(usize::MAX).saturating_sub(1);
            Value::Text(subject.topic.split('/').nth(index).unwrap_or_default().to_owned())
        }
        TemplatePart::Timestamp => Value::Time(subject.at.as_millisecond()),
        TemplatePart::UnixSeconds => Value::Integer(subject.at.as_second()),
        TemplatePart::UnixMilliseconds => Value::Integer(subject.at.as_millisecond()),
        TemplatePart::Env(name) => {
            let value = names.environment(name);
            Value::Text(value.ok_or_else(|| Unfilled::NoEnvironment(name.clone()))?)
        }
        TemplatePart::Secret(name) => {
            let value = names.secret(name);
            Value::Text(value.ok_or_else(|| Unfilled::NoSecret(name.clone()))?)
        }
        TemplatePart::Field(name) => {
            document.field(name).unwrap_or_else(|| Value::Text(["{", name, "}"].concat()))
        }
    }))
}

/// A value as it stands in a text.
fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Empty | Value::Null => "".into(),
        Value::Boolean(is) => is.to_string().into(),
        Value::Integer(number) => number.to_string().into(),
        Value::Double(number) => Json::from(*number).to_string().into(),
        Value::Text(text) | Value::Json(text) => text.into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes),
        Value::Time(ms) => {
            Timestamp::from_millisecond(*ms).map(|at| format!("{at:.3}")).unwrap_or_default().into()
        }
    }
}

/// Payload that may be JSON, parsed at most once, and what was filled of it.
pub(super) struct Document<'a> {
    payload: &'a [u8],
    parsed: Option<Option<Json>>,
    filled: usize,
}

impl<'a> Document<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { payload, parsed: None, filled: 0 }
    }

    /// Bytes of all values that it was asked for.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    fn count(&mut self, bytes: usize) -> Result<(), Unfilled> {
        self.filled += bytes;
        if self.filled > ROUTE_FILLED_BYTES_MAX { Err(Unfilled::TooMuch) } else { Ok(()) }
    }

    fn root(&mut self) -> Option<&Json> {
        let payload = self.payload;
        self.parsed.get_or_insert_with(|| serde_json::from_slice(payload).ok()).as_ref()
    }

    /// Value at a path of keys and indexes joined by dots; empty where there is none.
    fn at(&mut self, path: &str) -> Result<Value, Unfilled> {
        let mut value = self.root().ok_or(Unfilled::NotJson)?;
        for step in path.split('.').filter(|_| !path.is_empty()) {
            let next = match value {
                Json::Array(elements) => step.parse().ok().and_then(|index: usize| elements.get(index)),
                Json::Object(members) => members.get(step),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
            };
            let Some(next) = next else { return Ok(Value::Empty) };
            value = next;
        }
        Ok(value_of(value))
    }

    fn field(&mut self, name: &str) -> Option<Value> {
        self.root()?.as_object()?.get(name).map(value_of)
    }
}

fn value_of(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::String(text) => Value::Text(text.clone()),
        Json::Bool(is) => Value::Boolean(*is),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(double)) if number.is_f64() => Value::Double(double),
            // A whole number of more than 63 bits.
            (None, _) => Value::Json(number.to_string()),
        },
        Json::Array(_) | Json::Object(_) => Value::Json(value.to_string()),
    }
}

/// Column of a line of comma-separated values, from 1.
fn csv(payload: &[u8], column: u32) -> String {
    let text = String::from_utf8_lossy(payload);
    let index = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    text.split(',').nth(index).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneEach;

    impl Names for OneEach {
        fn environment(&self, name: &str) -> Option<String> {
            (name == "SITE").then(|| "north".to_owned())
        }
        fn secret(&self, name: &str) -> Option<String> {
            (name == "KEY").then(|| "k".to_owned())
        }
    }

    #[test]
    fn placeholders_are_filled_as_the_reference_says() {
        use TemplatePart as P;
        let json = |path: &str| P::Json(path.to_owned());
        let payload =
            br#"{"a":{"b":[1,{"c":"x"}]},"n":null,"t":true,"s":"y","d":2.50,"h":18446744073709551615}"#;
        let at = Timestamp::from_millisecond(1_795_166_305_120).unwrap();
        let subject = Subject { topic: "site/a/b", payload, at };
        for (part, expected) in [
            (P::Topic, Ok("site/a/b".to_owned())),
            (P::TopicLevel(1), Ok("site".to_owned())),
            (P::TopicLevel(9), Ok(String::new())),
            (json("a.b.1.c"), Ok("x".to_owned())),
            (json("a.b"), Ok(r#"[1,{"c":"x"}]"#.to_owned())),
            (json("t"), Ok("true".to_owned())),
            (json("n"), Ok(String::new())),
            (json("none.x"), Ok(String::new())),
            (json("d"), Ok("2.5".to_owned())),
            (json("h"), Ok("18446744073709551615".to_owned())),
            (P::Field("s".into()), Ok("y".to_owned())),
            (P::Field("none".into()), Ok("{none}".to_owned())),
            (P::Timestamp, Ok("2026-11-20T09:18:25.120Z".to_owned())),
            (P::UnixSeconds, Ok("1795166305".to_owned())),
            (P::UnixMilliseconds, Ok("1795166305120".to_owned())),
            (P::Env("SITE".into()), Ok("north".to_owned())),
            (P::Env("X".into()), Err(Unfilled::NoEnvironment("X".into()))),
            (P::Secret("KEY".into()), Ok("k".to_owned())),
            (P::Secret("X".into()), Err(Unfilled::NoSecret("X".into()))),
        ] {
            let mut document = Document::new(payload);
            let filled = fill(std::slice::from_ref(&part), subject, &mut document, &OneEach);
            assert_eq!(filled, expected, "{part:?}");
        }
        let subject = Subject { payload: b"1, b ,3", ..subject };
        let fill_csv = |part| fill(&[part], subject, &mut Document::new(subject.payload), &OneEach);
        assert_eq!(fill_csv(P::Csv(2)), Ok("b".to_owned()));
        assert_eq!(fill_csv(P::Csv(4)), Ok(String::new()));
        assert_eq!(fill_csv(P::Payload), Ok("1, b ,3".to_owned()));
        assert_eq!(fill_csv(json("")), Err(Unfilled::NotJson));
    }

    #[test]
    fn values_have_the_types_of_the_payload() {
        let of = |payload: &[u8], path: &str| {
            let subject = Subject { topic: "a/b", payload, at: Timestamp::UNIX_EPOCH };
            let parts = [TemplatePart::Text("x".to_owned()), TemplatePart::Json(path.to_owned())];
            values(&parts, subject, &mut Document::new(payload), &OneEach).map(|mut values| values.remove(0))
        };
        for (payload, expected) in [
            (r#"{"v":null}"#, Value::Null),
            ("{}", Value::Empty),
            (r#"{"v":true}"#, Value::Boolean(true)),
            (r#"{"v":-7}"#, Value::Integer(-7)),
            (r#"{"v":1e3}"#, Value::Double(1000.0)),
            (r#"{"v":9223372036854775808}"#, Value::Json("9223372036854775808".into())),
            (r#"{"v":"it's"}"#, Value::Text("it's".into())),
            (r#"{"v":{"b":[1]}}"#, Value::Json(r#"{"b":[1]}"#.into())),
        ] {
            let found = of(payload.as_bytes(), "v").unwrap();
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{payload}");
        }
        let parts = [TemplatePart::Payload, TemplatePart::Timestamp, TemplatePart::TopicLevel(2)];
        let subject = Subject { topic: "a/b", payload: b"\xff", at: Timestamp::UNIX_EPOCH };
        let values = values(&parts, subject, &mut Document::new(subject.payload), &OneEach).unwrap();
        let expected = [Value::Bytes(vec![0xff]), Value::Time(0), Value::Text("b".into())];
        assert_eq!(format!("{values:?}"), format!("{expected:?}"));
    }
    #[test]
    fn a_message_fills_so_many_bytes() {
        let payload = vec![b'x'; 1 << 20];
        let subject = Subject { topic: "a/b", payload: &payload, at: Timestamp::UNIX_EPOCH };
        for (part, count, expected) in [
            (TemplatePart::Payload, 7, Ok(7)),
            (TemplatePart::Payload, 8, Err(Unfilled::TooMuch)),
            (TemplatePart::Csv(2), 100, Ok(100)),
            (TemplatePart::Csv(2), 200, Err(Unfilled::TooMuch)),
            (TemplatePart::UnixSeconds, 100_000, Ok(100_000)),
            (TemplatePart::UnixSeconds, 200_000, Err(Unfilled::TooMuch)),
        ] {
            let parts = vec![part.clone(); count];
            let found = values(&parts, subject, &mut Document::new(&payload), &OneEach);
            assert_eq!(found.map(|values| values.len()), expected, "{part:?}");
            let filled = fill(&parts, subject, &mut Document::new(&payload), &OneEach);
            assert_eq!(filled.is_ok(), expected.is_ok(), "{part:?}");
        }
    }
}
