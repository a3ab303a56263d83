//! Templates: texts with placeholders, filled for one message. Routes reference §2.

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;
use lot_facts::TemplatePart;
use lotmq_host::route::Value;
use lotmq_host::{RunContext, Services as _};

use super::document::{self, JsonDocument, STEP_BYTES};
use crate::limits::{ROUTE_FILLED_BYTES_MAX, ROUTE_SEARCHED_BYTES_MAX};
use crate::services::TenantServices;

/// Setting of an event that the host fills itself, with where it reports what can never pass;
/// guests do not see it.
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
    #[error("what is searched for the values of its placeholders has more than {} MiB", ROUTE_SEARCHED_BYTES_MAX >> 20)]
    TooFar,
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

/// Fills a text. Keep `filling` for the other texts of the message.
pub(super) fn fill(
    parts: &[TemplatePart],
    filling: &mut Filling<'_>,
    names: &impl Names,
) -> Result<String, Unfilled> {
    let mut text = String::new();
    for part in parts {
        let value = if let TemplatePart::JoinedEnv(name) = part {
            Some(filling.environment(name, names)?)
        } else {
            filling.value(part, names)?
        };
        match value {
            Some(value) => text.push_str(&text_of(&value)),
            None => text.push_str(part.text().unwrap_or_default()),
        }
    }
    Ok(text)
}

/// Values of the placeholders of a text, in order.
pub(super) fn values(
    parts: &[TemplatePart],
    filling: &mut Filling<'_>,
    names: &impl Names,
) -> Result<Vec<Value>, Unfilled> {
    parts.iter().filter_map(|part| filling.value(part, names).transpose()).collect()
}

/// Bytes that a value takes besides its text.
const VALUE_BYTES: usize = 64;

/// The same for a variable or secret, for which the rules may be asked.
const VARIABLE_BYTES: usize = 4096;

/// Bytes that are searched while one is copied.
const SEARCHED_PER_WORK: usize = 4;

/// Bytes that are copied while one of JSON is parsed.
const PARSED_WORK: usize = 8;

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

/// Filling of all texts of one message: what is known of the message by now, and what was done for
/// it.
pub(super) struct Filling<'a> {
    subject: Subject<'a>,
    /// The payload as JSON, which is parsed at most once; `None` within where it is none.
    document: Option<Option<JsonDocument<'a>>>,
    levels: Pieces<'a>,
    columns: Pieces<'a>,
    bytes: usize,
    searched: usize,
}

impl<'a> Filling<'a> {
    pub(super) fn of(subject: Subject<'a>) -> Self {
        Self {
            subject,
            document: None,
            levels: Pieces::of(subject.topic.as_bytes(), b'/'),
            columns: Pieces::of(subject.payload, b','),
            bytes: 0,
            searched: 0,
        }
    }

    /// Bytes of all values, with 64 for each, and of what they are for.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Work that was done, in bytes that are copied meanwhile.
    pub(super) fn work(&self) -> usize {
        let parsed = if self.document.is_some() { self.subject.payload.len() } else { 0 };
        self.bytes + self.searched / SEARCHED_PER_WORK + parsed.saturating_mul(PARSED_WORK)
    }

    /// Counts what a text is called.
    pub(super) fn count_name(&mut self, name: &str) -> Result<(), Unfilled> {
        self.count(VALUE_BYTES + name.len())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Unfilled> {
        self.bytes += bytes;
        if self.bytes > ROUTE_FILLED_BYTES_MAX {
            return Err(Unfilled::TooMuch);
        }
        if self.searched > ROUTE_SEARCHED_BYTES_MAX { Err(Unfilled::TooFar) } else { Ok(()) }
    }

    /// Value of a placeholder, which is counted; `None` for what is part of the text itself.
    fn value(&mut self, part: &TemplatePart, names: &impl Names) -> Result<Option<Value>, Unfilled> {
        let value = match part {
            TemplatePart::Text(_) | TemplatePart::JoinedEnv(_) | TemplatePart::JoinedUuid => return Ok(None),
            TemplatePart::Payload => match std::str::from_utf8(self.subject.payload) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Bytes(self.subject.payload.to_vec()),
            },
            TemplatePart::Json(path) => self.at(path)?,
            TemplatePart::Csv(column) => Value::Text(self.column(*column)),
            TemplatePart::Topic => Value::Text(self.subject.topic.to_owned()),
            TemplatePart::TopicLevel(level) => Value::Text(self.level(*level).to_owned()),
            TemplatePart::Timestamp => Value::Time(self.subject.at.as_millisecond()),
            TemplatePart::UnixSeconds => Value::Integer(self.subject.at.as_second()),
            TemplatePart::UnixMilliseconds => Value::Integer(self.subject.at.as_millisecond()),
            TemplatePart::Env(name) => self.environment(name, names)?,
            TemplatePart::Secret(name) => {
                self.searched += VARIABLE_BYTES;
                let value = names.secret(name);
                Value::Text(value.ok_or_else(|| Unfilled::NoSecret(name.clone()))?)
            }
            TemplatePart::Field(name) => {
                self.field(name).unwrap_or_else(|| Value::Text(["{", name, "}"].concat()))
            }
        };
        self.count(VALUE_BYTES + bytes_of(&value))?;
        Ok(Some(value))
    }

    fn environment(&mut self, name: &str, names: &impl Names) -> Result<Value, Unfilled> {
        self.searched += VARIABLE_BYTES;
        let value = names.environment(name);
        Ok(Value::Text(value.ok_or_else(|| Unfilled::NoEnvironment(name.to_owned()))?))
    }

    fn document(&mut self) -> Option<(&mut JsonDocument<'a>, &mut usize)> {
        let payload = self.subject.payload;
        let document = self.document.get_or_insert_with(|| JsonDocument::parse(payload)).as_mut()?;
        Some((document, &mut self.searched))
    }

    /// Value at a path of keys and indexes joined by dots; empty where there is none.
    fn at(&mut self, path: &str) -> Result<Value, Unfilled> {
        let (document, searched) = self.document().ok_or(Unfilled::NotJson)?;
        let Some(found) = document.at(path, searched) else { return Ok(Value::Empty) };
        document::value_of(found).ok_or(Unfilled::NotJson)
    }

    fn field(&mut self, name: &str) -> Option<Value> {
        self.searched += STEP_BYTES + name.len();
        let (document, _) = self.document()?;
        document.member(name).and_then(document::value_of)
    }

    /// Level of the topic, from 1.
    fn level(&mut self, level: u32) -> &'a str {
        let place = self.levels.find(level, &mut self.searched);
        self.subject.topic.get(place).unwrap_or_default()
    }

    /// Column of a line of comma-separated values, from 1.
    fn column(&mut self, column: u32) -> String {
        let place = self.columns.find(column, &mut self.searched);
        let bytes = self.subject.payload.get(place).unwrap_or_default();
        String::from_utf8_lossy(bytes).trim().to_owned()
    }
}

/// Pieces of a text between separators. Each is looked for from the one before, or from the front
/// where it stands before that.
struct Pieces<'a> {
    text: &'a [u8],
    separator: u8,
    /// The piece that was looked for last, from 0, and where it begins.
    index: usize,
    start: usize,
}

impl<'a> Pieces<'a> {
    fn of(text: &'a [u8], separator: u8) -> Self {
        Self { text, separator, index: 0, start: 0 }
    }

    /// Place of a piece, from 1; an empty one where there is none. Adds the bytes that were looked
    /// at.
    fn find(&mut self, number: u32, searched: &mut usize) -> Range<usize> {
        let wanted = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        if wanted < self.index {
            (self.index, self.start) = (0, 0);
        }
        loop {
            let rest = self.text.get(self.start..).unwrap_or_default();
            let length = rest.iter().position(|byte| *byte == self.separator);
            *searched += length.map_or(rest.len(), |length| length + 1);
            match length {
                _ if self.index == wanted => {
                    return self.start..self.start + length.unwrap_or(rest.len());
                }
                Some(length) => (self.index, self.start) = (self.index + 1, self.start + length + 1),
                None => return 0..0,
            }
        }
    }
}

/// A value as it stands in a text.
fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Empty | Value::Null => "".into(),
        Value::Boolean(is) => is.to_string().into(),
        Value::Integer(number) => number.to_string().into(),
        Value::Double(number) => serde_json::Value::from(*number).to_string().into(),
        Value::Text(text) | Value::Json(text) => text.into(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes),
        Value::Time(ms) => {
            Timestamp::from_millisecond(*ms).map(|at| format!("{at:.3}")).unwrap_or_default().into()
        }
    }
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
            let filled = fill(std::slice::from_ref(&part), &mut Filling::of(subject), &OneEach);
            assert_eq!(filled, expected, "{part:?}");
        }
        let subject = Subject { payload: b"1, b ,3", ..subject };
        let fill_csv = |part| fill(&[part], &mut Filling::of(subject), &OneEach);
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
            values(&parts, &mut Filling::of(subject), &OneEach).map(|mut values| values.remove(0))
        };
        for (payload, expected) in [
            (r#"{"v":null}"#, Value::Null),
            ("{}", Value::Empty),
            (r#"{"v":true}"#, Value::Boolean(true)),
            (r#"{"v":-7}"#, Value::Integer(-7)),
            (r#"{"v":1e3}"#, Value::Double(1000.0)),
            (r#"{"v":2,"w":1e400}"#, Value::Integer(2)),
            (r#"{"v":1e400}"#, Value::Json("1e400".into())),
            (r#"{"v":9223372036854775808}"#, Value::Json("9223372036854775808".into())),
            (r#"{"v":"it's"}"#, Value::Text("it's".into())),
            (r#"{"v":{"b":[1]}}"#, Value::Json(r#"{"b":[1]}"#.into())),
        ] {
            let found = of(payload.as_bytes(), "v").unwrap();
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{payload}");
        }
        let parts = [TemplatePart::Payload, TemplatePart::Timestamp, TemplatePart::TopicLevel(2)];
        let subject = Subject { topic: "a/b", payload: b"\xff", at: Timestamp::UNIX_EPOCH };
        let values = values(&parts, &mut Filling::of(subject), &OneEach).unwrap();
        let expected = [Value::Bytes(vec![0xff]), Value::Time(0), Value::Text("b".into())];
        assert_eq!(format!("{values:?}"), format!("{expected:?}"));
    }

    #[test]
    fn a_message_fills_so_many_bytes_and_is_searched_so_far() {
        use TemplatePart as P;
        let (payload, topic) = (vec![0xff; 1 << 20], "y".repeat(60_000) + "/z");
        let subject = Subject { topic: &topic, payload: &payload, at: Timestamp::UNIX_EPOCH };
        for (parts, count, expected) in [
            (vec![P::Payload], 7, Ok(7)),
            (vec![P::Payload], 8, Err(Unfilled::TooMuch)),
            (vec![P::UnixSeconds], 100_000, Ok(100_000)),
            (vec![P::UnixSeconds], 200_000, Err(Unfilled::TooMuch)),
            // There is no second column: it is looked for from where the first begins.
            (vec![P::Csv(2)], 31, Ok(31)),
            (vec![P::Csv(2)], 40, Err(Unfilled::TooFar)),
            // Each but the first is found at once, and again where it was.
            (vec![P::TopicLevel(2)], 100_000, Ok(100_000)),
            (vec![P::TopicLevel(3), P::TopicLevel(1)], 50, Ok(100)),
            (vec![P::TopicLevel(3), P::TopicLevel(1)], 100, Ok(200)),
            (vec![P::TopicLevel(2), P::TopicLevel(1)], 300, Err(Unfilled::TooMuch)),
            (vec![P::Secret("KEY".into())], 8_000, Ok(8_000)),
            (vec![P::Env("SITE".into())], 9_000, Err(Unfilled::TooFar)),
        ] {
            let parts: Vec<_> = std::iter::repeat_n(parts, count).flatten().collect();
            let found = values(&parts, &mut Filling::of(subject), &OneEach);
            assert_eq!(found.map(|values| values.len()), expected, "{count} {:?}", parts[0]);
            let filled = fill(&parts, &mut Filling::of(subject), &OneEach);
            assert_eq!(filled.is_ok(), expected.is_ok(), "{count} {:?}", parts[0]);
        }
    }

    #[test]
    fn pieces_are_where_they_stand_whatever_was_looked_for_before() {
        let text = ",b,,dd,";
        let mut pieces = Pieces::of(text.as_bytes(), b',');
        for number in [1, 2, 5, 4, 4, 3, 6, 2, u32::MAX, 5, 1, 0] {
            let expected = text.split(',').nth(number.saturating_sub(1) as usize).unwrap_or_default();
            assert_eq!(&text[pieces.find(number, &mut 0)], expected, "{number}");
        }
        let mut searched = 0;
        for number in 1..=5 {
            pieces.find(number, &mut searched);
        }
        assert!(searched <= 2 * text.len(), "in order they are found in one pass: {searched}");
    }

    #[test]
    fn template_work_per_message_is_counted() {
        use TemplatePart as P;
        let payload = br#"{"a":{"b":[1,2,3]}}"#;
        let subject = Subject { topic: "a/b", payload, at: Timestamp::UNIX_EPOCH };
        let work = |parts: &[TemplatePart]| {
            let mut filling = Filling::of(subject);
            values(parts, &mut filling, &OneEach).unwrap();
            filling.work()
        };
        let (parsed, step) = (payload.len() * PARSED_WORK, STEP_BYTES / SEARCHED_PER_WORK);
        for (parts, least) in [
            (vec![P::Text("x".repeat(1000))], 0),
            (vec![P::Topic], VALUE_BYTES + 3),
            (vec![P::Payload, P::Payload], 2 * (VALUE_BYTES + payload.len())),
            (vec![P::Json("a.b.0".into())], parsed + 3 * step + VALUE_BYTES),
            (vec![P::Field("x".into()), P::Field("a".into())], parsed + 2 * (step + VALUE_BYTES)),
            (vec![P::Secret("KEY".into())], VARIABLE_BYTES / SEARCHED_PER_WORK + VALUE_BYTES),
        ] {
            let found = work(&parts);
            assert!((least..=least + 60).contains(&found), "{parts:?}: {found}, at least {least}");
        }
    }
}
