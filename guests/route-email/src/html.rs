//! HTML with values of messages in it, which never become markup.
//!
//! The host fills the placeholders of a setting; this module fills those of a template file, from
//! the same message.

use std::borrow::Cow;

use lotmq_guest::route::{Delivery, Value, text_of};
use serde_json::Value as Json;

/// A file of HTML with placeholders.
#[derive(Debug, PartialEq)]
pub(crate) struct Page(Vec<Part>);

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// A placeholder of a file (routes reference §2).
#[derive(Debug, PartialEq)]
enum Placeholder {
    Payload,
    Json(String),
    Csv(usize),
    Topic,
    Level(usize),
    Timestamp,
    UnixSeconds,
    UnixMilliseconds,
    /// A member of the payload, where it has one of this name.
    Field(String),
}

/// A text in which nothing is markup.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

impl Page {
    pub(crate) fn parse(text: &str) -> Result<Page, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut fixed = String::new();
        while let Some(at) = rest.find('{') {
            fixed.push_str(&rest[..at]);
            let behind = &rest[at + 1..];
            let inner = behind
                .find(['{', '}'])
                .filter(|end| behind[*end..].starts_with('}'))
                .map(|end| &behind[..end]);
            match inner.map(placeholder).transpose()?.flatten() {
                Some(placeholder) => {
                    parts.push(Part::Text(std::mem::take(&mut fixed)));
                    parts.push(Part::Placeholder(placeholder));
                    rest = &behind[inner.map_or(0, str::len) + 1..];
                }
                None => {
                    fixed.push('{');
                    rest = behind;
                }
            }
        }
        fixed.push_str(rest);
        parts.push(Part::Text(fixed));
        Ok(Page(parts))
    }

    /// The page for a message.
    pub(crate) fn filled(&self, delivery: &Delivery) -> Result<String, String> {
        let payload = &delivery.message.payload;
        // RFC 8259, §8.1: a parser may ignore a byte order mark.
        let json: Option<Json> =
            serde_json::from_slice(payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload)).ok();
        let subject = Subject {
            topic: &delivery.message.topic,
            payload: &delivery.message.payload,
            json,
            received_ms: delivery.received_ms,
        };
        let mut page = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => page.push_str(text),
                Part::Placeholder(placeholder) => page.push_str(&escaped(&subject.value(placeholder)?)),
            }
        }
        Ok(page)
    }
}

/// Parses the text in braces. Returns `None` if it is no placeholder.
fn placeholder(inner: &str) -> Result<Option<Placeholder>, String> {
    let (first, rest) = inner.split_once('.').map_or((inner, None), |(first, rest)| (first, Some(rest)));
    let number = |text: &str| match text.parse::<usize>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{{{inner}}}: it counts from 1")),
    };
    Ok(Some(match (first, rest) {
        ("payload" | "value", None) => Placeholder::Payload,
        ("payload" | "value", Some("json")) => Placeholder::Json(String::new()),
        ("payload" | "value", Some(rest)) => match (rest.strip_prefix("json."), rest.strip_prefix("csv.")) {
            (Some(path), _) => Placeholder::Json(path.to_owned()),
            (None, Some(column)) => Placeholder::Csv(number(column)?),
            (None, None) => return Ok(None),
        },
        ("topic", None) => Placeholder::Topic,
        ("topic", Some(level)) if level.bytes().all(|b| b.is_ascii_digit()) => {
            Placeholder::Level(number(level)?)
        }
        ("timestamp", None) => Placeholder::Timestamp,
        ("timestamp", Some("unix")) => Placeholder::UnixSeconds,
        ("timestamp", Some("unix_ms")) => Placeholder::UnixMilliseconds,
        ("env" | "secret", Some(_)) => {
            return Err(format!("{{{inner}}} can stand in the definition alone, not in a file"));
        }
        (name, None) if is_name(name) => Placeholder::Field(name.to_owned()),
        _ => return Ok(None),
    }))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Message that a page is filled for.
struct Subject<'a> {
    topic: &'a str,
    payload: &'a [u8],
    json: Option<Json>,
    received_ms: i64,
}

impl Subject<'_> {
    fn value(&self, placeholder: &Placeholder) -> Result<Cow<'_, str>, String> {
        Ok(match placeholder {
            Placeholder::Payload => String::from_utf8_lossy(self.payload),
            Placeholder::Json(path) => text(at(self.json.as_ref().ok_or("the payload is not JSON")?, path)),
            Placeholder::Csv(column) => {
                let line = String::from_utf8_lossy(self.payload);
                line.split(',').nth(column - 1).unwrap_or_default().trim().to_owned().into()
            }
            Placeholder::Topic => self.topic.into(),
            Placeholder::Level(level) => self.topic.split('/').nth(level - 1).unwrap_or_default().into(),
            Placeholder::Timestamp => text_of(&Value::Time(self.received_ms)).into(),
            Placeholder::UnixSeconds => self.received_ms.div_euclid(1000).to_string().into(),
            Placeholder::UnixMilliseconds => self.received_ms.to_string().into(),
            Placeholder::Field(name) => match self.json.as_ref().and_then(|json| json.as_object()?.get(name))
            {
                Some(value) => text(value),
                None => format!("{{{name}}}").into(),
            },
        })
    }
}

fn at<'a>(json: &'a Json, path: &str) -> &'a Json {
    path.split('.').filter(|_| !path.is_empty()).fold(json, |json, step| match json {
        Json::Array(items) => step.parse().ok().and_then(|at: usize| items.get(at)).unwrap_or(&Json::Null),
        other => &other[step],
    })
}

fn text(value: &Json) -> Cow<'_, str> {
    match value {
        Json::Null => "".into(),
        Json::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_guest::route::{Addressee, Message, QoS};

    fn filled(page: &str, payload: &str) -> Result<String, String> {
        let message = Message {
            topic: "plant/<b>".to_owned(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            client_id: String::new(),
        };
        let to = Addressee::Event("E".to_owned());
        let delivery = Delivery {
            sequence: 1,
            to,
            message,
            properties: None,
            received_ms: 1500,
            placeholders: Vec::new(),
        };
        Page::parse(page)?.filled(&delivery)
    }

    #[test]
    fn values_are_filled_in_and_are_no_markup() {
        for (page, expected) in [
            ("<p>{topic.2} {value.json.a.0}</p>", "<p>&lt;b&gt; &lt;script&gt;&amp;&quot;&#39;</p>"),
            ("{payload.json.n}{payload.json.o}{payload.json.x.y}", "2.5{&quot;z&quot;:1}"),
            ("{timestamp} {timestamp.unix} {timestamp.unix_ms}", "1970-01-01T00:00:01.500Z 1 1500"),
            ("a { color: red } {n} {none} {topic.x} {{n}", "a { color: red } 2.5 {none} {topic.x} {2.5"),
            ("{", "{"),
            ("{ö", "{ö"),
        ] {
            let payload = r#"{"a":["<script>&\"'"],"n":2.5,"o":{"z":1}}"#;
            assert_eq!(filled(page, payload).as_deref(), Ok(expected), "{page}");
        }
        assert_eq!(filled("{payload.csv.2}|{payload}", "1, b ,3").as_deref(), Ok("b|1, b ,3"));
    }

    #[test]
    fn what_cannot_be_filled_is_told() {
        assert_eq!(filled("{payload.json.a}", "x"), Err("the payload is not JSON".to_owned()));
        assert_eq!(Page::parse("{topic.0}"), Err("{topic.0}: it counts from 1".to_owned()));
        let told = "{secret.S} can stand in the definition alone, not in a file";
        assert_eq!(Page::parse("x {secret.S}"), Err(told.to_owned()));
    }
}
