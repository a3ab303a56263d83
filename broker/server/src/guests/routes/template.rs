//! Templates: texts with placeholders, filled for one message. Routes reference §2.

use jiff::Timestamp;
use lot_facts::TemplatePart;
use lotmq_host::{RunContext, Services as _};
use serde_json::Value as Json;

use crate::guests::services::TenantServices;

/// Message for which a text is filled.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// Time at which it is filled.
    pub(super) at: Timestamp,
}

/// Reason why a text cannot be filled: the message can never pass.
#[derive(Debug, thiserror::Error, PartialEq)]
pub(super) enum Unfilled {
    #[error("the payload is not JSON")]
    NotJson,
    #[error("environment value '{0}' is not set")]
    NoEnvironment(String),
    #[error("secret '{0}' is not set")]
    NoSecret(String),
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
        match part {
            TemplatePart::Text(plain) => text.push_str(plain),
            TemplatePart::Payload => text.push_str(&String::from_utf8_lossy(subject.payload)),
            TemplatePart::Json(path) => text.push_str(&document.at(path)?),
            TemplatePart::Csv(column) => text.push_str(&csv(subject.payload, *column)),
            TemplatePart::Topic => text.push_str(subject.topic),
            TemplatePart::TopicLevel(level) => {
                let index = usize::try_from(*level).unwrap_or(usize::MAX).saturating_sub(1);
                text.push_str(subject.topic.split('/').nth(index).unwrap_or_default());
            }
            TemplatePart::Timestamp => text.push_str(&format!("{:.3}", subject.at)),
            TemplatePart::UnixSeconds => text.push_str(&subject.at.as_second().to_string()),
            TemplatePart::UnixMilliseconds => text.push_str(&subject.at.as_millisecond().to_string()),
            TemplatePart::Env(name) => {
                let value = names.environment(name);
                text.push_str(&value.ok_or_else(|| Unfilled::NoEnvironment(name.clone()))?);
            }
            TemplatePart::Secret(name) => {
                let value = names.secret(name);
                text.push_str(&value.ok_or_else(|| Unfilled::NoSecret(name.clone()))?);
            }
            TemplatePart::Field(name) => match document.field(name) {
                Some(value) => text.push_str(&value),
                None => text.extend(["{", name, "}"]),
            },
        }
    }
    Ok(text)
}

/// Payload that may be JSON, parsed at most once.
pub(super) struct Document<'a> {
    payload: &'a [u8],
    parsed: Option<Option<Json>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { payload, parsed: None }
    }

    fn root(&mut self) -> Option<&Json> {
        let payload = self.payload;
        self.parsed.get_or_insert_with(|| serde_json::from_slice(payload).ok()).as_ref()
    }

    /// Value at a path of keys and indexes joined by dots; empty where there is none, or null.
    fn at(&mut self, path: &str) -> Result<String, Unfilled> {
        let mut value = self.root().ok_or(Unfilled::NotJson)?;
        for step in path.split('.').filter(|_| !path.is_empty()) {
            let next = match value {
                Json::Array(elements) => step.parse().ok().and_then(|index: usize| elements.get(index)),
                Json::Object(members) => members.get(step),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
            };
            let Some(next) = next else { return Ok(String::new()) };
            value = next;
        }
        Ok(text_of(value))
    }

    fn field(&mut self, name: &str) -> Option<String> {
        self.root()?.as_object()?.get(name).map(text_of)
    }
}

fn text_of(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
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
        let payload = br#"{"a":{"b":[1,{"c":"x"}]},"n":null,"t":true,"s":"y"}"#;
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
}
