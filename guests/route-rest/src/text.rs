//! Texts of a request that a message fills: bodies and fields of the head.

use std::borrow::Cow;

use lotmq_guest::route::{Template, Value, text_of};
use serde_json::Value as Json;

/// Mark of a placeholder while fields are cut; a definition has no such character.
const MARK: char = '\u{e000}';

/// Characters of a server's reason for a refusal.
const SAID_CHARS_MAX: usize = 200;

/// Bytes in which these are looked for: there may be blanks between them.
const SAID_BYTES_READ_MAX: usize = 4096;

/// A body: one that is JSON stays JSON, whatever the values are.
pub(crate) fn body(template: &Template, values: &[Value]) -> String {
    let is_json = template.texts()[0].trim_start().starts_with(['{', '[']);
    if !is_json {
        return template.joined(values);
    }
    let mut before = template.texts().iter();
    let mut is_quoted = false;
    template.with(|place, _| {
        for text in before.by_ref().take(1) {
            is_quoted = ends_quoted(text, is_quoted);
        }
        let value = values.get(place - 1).unwrap_or(&Value::Empty);
        Cow::Owned(in_json(value, is_quoted))
    })
}

/// Guesses the content type of a body without one.
pub(crate) fn content_type(body: &[u8]) -> &'static str {
    if serde_json::from_slice::<Json>(body).is_ok() {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    }
}

/// Returns the server's reason for a refusal, after its status: the start of the body on one line.
/// Returns nothing if the body is no text.
///
/// Cuts after a word, a value or a tag, because half a secret would not be recognized as one.
pub(crate) fn said(body: &[u8]) -> String {
    let read = &body[..body.len().min(SAID_BYTES_READ_MAX)];
    let text = match std::str::from_utf8(read) {
        Ok(text) => text,
        // A character may be cut in two.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&read[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return String::new(),
    };
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SAID_CHARS_MAX) {
        _ if line.is_empty() => String::new(),
        None if read.len() == body.len() => format!(": {line}"),
        cut => {
            let line = &line[..cut.map_or(line.len(), |(at, _)| at)];
            let end = line.rfind([' ', ',', '"', '}', '>']).map_or(0, |at| at + 1);
            format!(": {} …", line[..end].trim_end())
        }
    }
}

/// Whether JSON is within a text behind these characters.
fn ends_quoted(text: &str, mut is_quoted: bool) -> bool {
    let mut is_escaped = false;
    for character in text.chars() {
        is_quoted ^= character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
    }
    is_quoted
}

fn in_json(value: &Value, is_quoted: bool) -> String {
    let text = text_of(value);
    let literal = Json::from(text.as_str()).to_string();
    match value {
        _ if is_quoted => literal[1..literal.len() - 1].to_owned(),
        Value::Empty | Value::Null => "null".to_owned(),
        Value::Text(_) if serde_json::from_str::<Json>(&text).is_ok() => text,
        Value::Text(_) | Value::Bytes(_) | Value::Time(_) => literal,
        Value::Boolean(_) | Value::Integer(_) | Value::Double(_) | Value::Json(_) => text,
    }
}

/// Fields of a head with placeholders in their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Cuts `name: value; name: value`, or a JSON object of texts. The error is for people.
    pub(crate) fn parse(template: &Template) -> Result<Fields, String> {
        let text = template.with(|place, _| format!("{MARK}{place}{MARK}").into());
        let text = text.trim();
        if text.starts_with('{') {
            let parsed: Result<serde_json::Map<String, Json>, _> = serde_json::from_str(text);
            let parsed = parsed.map_err(|error| format!("is no JSON object: {error}"))?;
            let field = |(name, value): (String, Json)| match value {
                Json::String(value) => Ok((name, value)),
                Json::Number(_) | Json::Bool(_) => Ok((name, value.to_string())),
                Json::Null | Json::Array(_) | Json::Object(_) => Err(format!("has no text for '{name}'")),
            };
            return parsed.into_iter().map(field).collect::<Result<_, _>>().map(Fields);
        }
        let field = |part: &str| {
            let (name, value) =
                part.split_once(':').ok_or_else(|| format!("is 'name: value; name: value', not '{part}'"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        parts.map(field).collect::<Result<_, String>>().map(Fields)
    }

    /// The fields with values in them.
    pub(crate) fn filled(&self, values: &[Value]) -> Vec<(String, String)> {
        let fill = |text: &String| -> String {
            let value =
                |place: &str| place.parse().ok().and_then(|place: usize| values.get(place.checked_sub(1)?));
            let part = |(index, part): (usize, &str)| match index % 2 {
                0 => part.to_owned(),
                _ => value(part).map(text_of).unwrap_or_default(),
            };
            text.split(MARK).enumerate().map(part).collect()
        };
        self.0.iter().map(|(name, value)| (fill(name), fill(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(texts: &[&str]) -> Template {
        let names = vec!["payload".to_owned(); texts.len() - 1];
        Template::new("BODY", texts.iter().map(|text| (*text).to_owned()), names).unwrap()
    }

    #[test]
    fn a_refusal_says_the_beginning_of_its_body_on_one_line() {
        let (word, many) = ("x".repeat(300), "word ".repeat(100));
        let values = format!("{{\"error\":\"no\",\"key\":\"{word}\"}}");
        for (body, expected) in [
            (&b""[..], String::new()),
            (b" \r\n\t", String::new()),
            (b"no such tag", ": no such tag".to_owned()),
            (b"<h1>Bad</h1>\r\n\x1b<p>a  b</p>\n", ": <h1>Bad</h1> <p>a b</p>".to_owned()),
            (b"\xff\xfe\x00", String::new()),
            (many.as_bytes(), format!(": {} …", "word ".repeat(40).trim_end())),
            (values.as_bytes(), ": {\"error\":\"no\",\"key\":\" …".to_owned()),
            (word.as_bytes(), ":  …".to_owned()),
            ("ä".repeat(4096).as_bytes(), ":  …".to_owned()),
        ] {
            assert_eq!(said(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_body_of_json_stays_json() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (texts, values, expected) in [
            (&["{\"v\":", "}"][..], vec![text("21.5")], "{\"v\":21.5}"),
            (&["{\"v\":", "}"], vec![text("warm")], "{\"v\":\"warm\"}"),
            (&["{\"v\":", "}"], vec![text("1,\"x\":2")], "{\"v\":\"1,\\\"x\\\":2\"}"),
            (
                &["{\"v\":\"a ", "\",\"w\":", "}"],
                vec![text("q\"q"), Value::Null],
                "{\"v\":\"a q\\\"q\",\"w\":null}",
            ),
            (&["{\"a\\\"b\":\"", "\"}"], vec![Value::Integer(3)], "{\"a\\\"b\":\"3\"}"),
            (&["v=", ""], vec![text("q\"q")], "v=q\"q"),
            (&["{\"a\":1}"], vec![], "{\"a\":1}"),
        ] {
            assert_eq!(body(&template(texts), &values), expected);
        }
    }

    #[test]
    fn values_become_no_further_fields() {
        let values = [Value::Text("1; x: 2".to_owned())];
        for texts in
            [&["X-Id: ", "; Accept: text/plain"][..], &["{\"X-Id\":\"", "\",\"Accept\":\"text/plain\"}"]]
        {
            let fields = Fields::parse(&template(texts)).unwrap();
            let expected =
                [("X-Id", "1; x: 2"), ("Accept", "text/plain")].map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert_eq!(fields.filled(&values), expected);
        }
        for wrong in ["nothing", "{\"a\":[1]}", "{"] {
            assert!(Fields::parse(&template(&[wrong])).is_err(), "{wrong}");
        }
    }
}
