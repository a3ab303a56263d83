//! Statements of `QUERY`: `INDEX <index>[/<id>] <document>` and `SEARCH <index> <search>`.
//!
//! Document and search are JSON with placeholders. A value never becomes syntax: it is escaped
//! within a JSON string, and elsewhere it is a JSON value.

use lotmq_guest::route::{Template, Value, text_of};
use serde_json::Value as Json;

/// Bytes of the name of an index.
const INDEX_BYTES_MAX: usize = 255;

/// Bytes of the id of a document.
const ID_BYTES_MAX: usize = 512;

/// Operation on a message.
#[derive(Debug)]
pub(crate) enum Statement {
    /// Stores a document.
    Index(Words),
    /// Answers with the documents that are found.
    Search(Words),
}

/// A statement behind its first word.
#[derive(Debug, Default)]
pub(crate) struct Words {
    index: Vec<Part>,
    id: Option<Vec<Part>>,
    body: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// A placeholder by its position among those of the setting.
    Placeholder {
        at: usize,
        is_payload: bool,
    },
}

/// A document on its way.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) index: String,
    pub(crate) id: Option<String>,
    /// Compact JSON object.
    pub(crate) source: String,
}

/// A search on its way.
#[derive(Debug, PartialEq)]
pub(crate) struct Search {
    pub(crate) index: String,
    pub(crate) body: String,
}

impl Statement {
    /// Reads the text of `QUERY`.
    pub(crate) fn parse(query: &Template) -> Result<Statement, String> {
        let mut parts = parts_of(query);
        let word = first_word(&mut parts)?;
        let words = Words::parse(parts, word.eq_ignore_ascii_case("INDEX"))?;
        match word.to_ascii_uppercase().as_str() {
            "INDEX" if words.body.is_empty() => Err("has no document behind the index".to_owned()),
            "INDEX" => Ok(Statement::Index(words)),
            "SEARCH" => Ok(Statement::Search(words)),
            _ => Err(format!("begins with '{word}', and not with INDEX or SEARCH")),
        }
    }

    /// Stores each payload in an index.
    pub(crate) fn document(index: &str) -> Statement {
        let body = vec![Part::Placeholder { at: usize::MAX, is_payload: true }];
        Statement::Index(Words { index: vec![Part::Text(index.to_owned())], id: None, body })
    }
}

impl Words {
    fn parse(parts: Vec<Part>, may_have_id: bool) -> Result<Words, String> {
        let mut words = Words::default();
        let mut parts = parts.into_iter();
        // Up to the first blank it is the index, and behind a slash the id.
        for part in parts.by_ref() {
            let Part::Text(text) = part else {
                words.place().push(part);
                continue;
            };
            let (name, rest) = match text.find(char::is_whitespace) {
                Some(at) => (&text[..at], Some(text[at..].trim_start())),
                None => (&*text, None),
            };
            match name.split_once('/') {
                Some((index, id)) if may_have_id && words.id.is_none() => {
                    push(words.place(), index);
                    words.id = Some(Vec::new());
                    push(words.place(), id);
                }
                _ => push(words.place(), name),
            }
            if let Some(rest) = rest {
                push(&mut words.body, rest);
                break;
            }
        }
        words.body.extend(parts);
        if let Some(Part::Text(last)) = words.body.last_mut() {
            last.truncate(last.trim_end().len());
        }
        words.body.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        match (words.index.is_empty(), &words.id) {
            (true, _) => Err("names no index".to_owned()),
            (_, Some(id)) if id.is_empty() => Err("has no id behind the slash".to_owned()),
            _ => Ok(words),
        }
    }

    fn place(&mut self) -> &mut Vec<Part> {
        self.id.as_mut().unwrap_or(&mut self.index)
    }

    /// The document for a message.
    pub(crate) fn as_document(&self, values: &[Value], payload: &[u8]) -> Result<Document, String> {
        let source = self.json(values, payload)?;
        if !source.is_object() {
            return Err("the document is not a JSON object".to_owned());
        }
        let id = self.id.as_ref().map(|id| id_of(&joined(id, values))).transpose()?;
        Ok(Document { index: self.index(values)?, id, source: source.to_string() })
    }

    /// Returns the search for a message; an empty search finds all documents.
    pub(crate) fn as_search(&self, values: &[Value], payload: &[u8]) -> Result<Search, String> {
        let body =
            if self.body.is_empty() { Json::Object(<_>::default()) } else { self.json(values, payload)? };
        if !body.is_object() {
            return Err("the search is not a JSON object".to_owned());
        }
        Ok(Search { index: self.index(values)?, body: body.to_string() })
    }

    fn json(&self, values: &[Value], payload: &[u8]) -> Result<Json, String> {
        let text = match &*self.body {
            [Part::Placeholder { at: usize::MAX, .. }] => String::from_utf8_lossy(payload).into_owned(),
            [Part::Placeholder { at, is_payload: true }] => values.get(*at).map(text_of).unwrap_or_default(),
            parts => written(parts, values),
        };
        serde_json::from_str(&text).map_err(|error| format!("the document is not JSON: {error}"))
    }

    /// Returns the name of the index. Values of a message cannot name other indices.
    fn index(&self, values: &[Value]) -> Result<String, String> {
        for part in &self.index {
            if let Part::Placeholder { at, .. } = part {
                let value = values.get(*at).map(text_of).unwrap_or_default();
                let is_wrong = |c: char| c.is_control() || " *,?/\\<>|\"#:".contains(c);
                if value.is_empty() || value.contains(is_wrong) {
                    return Err(format!("'{value}' cannot be a part of the name of an index"));
                }
            }
        }
        let name = joined(&self.index, values);
        if name.len() > INDEX_BYTES_MAX {
            return Err(format!("the name of the index has {} bytes, of {INDEX_BYTES_MAX}", name.len()));
        }
        Ok(name)
    }
}

fn id_of(id: &str) -> Result<String, String> {
    match id.len() {
        0 => Err("the id of the document is empty".to_owned()),
        1..=ID_BYTES_MAX => Ok(id.to_owned()),
        length => Err(format!("the id of the document has {length} bytes, of {ID_BYTES_MAX}")),
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

fn parts_of(template: &Template) -> Vec<Part> {
    let mut parts = Vec::new();
    for (at, text) in template.texts().iter().enumerate() {
        if let Some(before) = at.checked_sub(1) {
            let is_payload = template.placeholders().get(before).is_some_and(|name| name == "payload");
            parts.push(Part::Placeholder { at: before, is_payload });
        }
        push(&mut parts, text);
    }
    parts
}

/// Takes the first word off.
fn first_word(parts: &mut [Part]) -> Result<String, String> {
    let Some(Part::Text(first)) = parts.first_mut() else {
        return Err("begins with a placeholder, and not with INDEX or SEARCH".to_owned());
    };
    let text = first.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = (text[..end].to_owned(), text[end..].trim_start().to_owned());
    *first = rest;
    Ok(word)
}

fn joined(parts: &[Part], values: &[Value]) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Placeholder { at, .. } => values.get(*at).map(text_of).unwrap_or_default(),
    };
    parts.iter().map(text).collect()
}

/// JSON with values in it.
fn written(parts: &[Part], values: &[Value]) -> String {
    let mut json = String::new();
    let (mut is_in_string, mut is_escaped) = (false, false);
    for part in parts {
        match part {
            Part::Text(text) => {
                for c in text.chars() {
                    is_in_string ^= c == '"' && !is_escaped;
                    is_escaped = is_in_string && c == '\\' && !is_escaped;
                }
                json.push_str(text);
            }
            Part::Placeholder { at, is_payload } => {
                let value = values.get(*at).unwrap_or(&Value::Null);
                json.push_str(&if is_in_string {
                    escaped(&text_of(value))
                } else {
                    bare(value, *is_payload)
                });
            }
        }
    }
    json
}

/// A text within a JSON string.
fn escaped(text: &str) -> String {
    let quoted = Json::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A value outside of a JSON string. The payload as text is the JSON that it is, or else a string.
fn bare(value: &Value, is_payload: bool) -> String {
    match value {
        Value::Empty | Value::Null => "null".to_owned(),
        Value::Boolean(is) => is.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Double(number) => Json::from(*number).to_string(),
        Value::Json(json) => json.clone(),
        Value::Text(text) if is_payload && serde_json::from_str::<Json>(text).is_ok() => text.clone(),
        Value::Text(_) | Value::Bytes(_) | Value::Time(_) => Json::from(text_of(value)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        let (mut texts, mut names) = (vec![String::new()], Vec::new());
        let mut rest = text;
        // `<name>` stands for a placeholder here.
        while let Some((before, behind)) = rest.split_once('<') {
            let (name, after) = behind.split_once('>').unwrap();
            texts.last_mut().unwrap().push_str(before);
            names.push(name.to_owned());
            texts.push(String::new());
            rest = after;
        }
        texts.last_mut().unwrap().push_str(rest);
        Template::new("QUERY", texts, names).unwrap()
    }

    fn document(query: &str, values: &[Value]) -> Result<Document, String> {
        match Statement::parse(&template(query))? {
            Statement::Index(words) => words.as_document(values, b"{}"),
            Statement::Search(_) => Err("a search".to_owned()),
        }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn statements_make_documents() {
        let object = || Value::Json(r#"{"a":1}"#.to_owned());
        for (query, values, index, id, source) in [
            ("INDEX docs <payload.json>", vec![object()], "docs", None, r#"{"a":1}"#),
            ("index docs <payload>", vec![text(r#" {"a":1} "#)], "docs", None, r#"{"a":1}"#),
            ("INDEX d/<topic.2> <payload.json>", vec![text("x/y"), object()], "d", Some("x/y"), r#"{"a":1}"#),
            (
                "INDEX d-<topic.1>/id-<topic.2> <payload.json>",
                vec![text("p"), text("q"), object()],
                "d-p",
                Some("id-q"),
                r#"{"a":1}"#,
            ),
            (
                r#"INDEX d {"v": <payload>, "t": "at <topic>", "n": <payload.json.none>, "w": <timestamp>}"#,
                vec![text("21.5"), text("a\"b"), Value::Empty, Value::Time(0)],
                "d",
                None,
                r#"{"v":21.5,"t":"at a\"b","n":null,"w":"1970-01-01T00:00:00.000Z"}"#,
            ),
            (
                r#"INDEX d {"v": <payload>, "s": <payload.json.s>, "e": "\"<topic>"}"#,
                vec![text("}, x"), text("5"), text("\\")],
                "d",
                None,
                r#"{"v":"}, x","s":"5","e":"\"\\"}"#,
            ),
        ] {
            let found = document(query, &values).unwrap_or_else(|error| panic!("{query}: {error}"));
            let expected = Document { index: index.into(), id: id.map(str::to_owned), source: source.into() };
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn what_is_no_statement_or_no_document_is_told() {
        for (query, values, told) in [
            ("", vec![], "begins with a placeholder, and not with INDEX or SEARCH"),
            ("<payload>", vec![], "begins with a placeholder, and not with INDEX or SEARCH"),
            ("PUT x {}", vec![], "begins with 'PUT', and not with INDEX or SEARCH"),
            ("INDEX", vec![], "names no index"),
            ("INDEX docs", vec![], "has no document behind the index"),
            ("INDEX docs/ {}", vec![], "has no id behind the slash"),
            ("INDEX d <payload>", vec![text("5")], "the document is not a JSON object"),
            (
                "INDEX d {\"a\": <topic>, }",
                vec![text("5")],
                "the document is not JSON: trailing comma at line 1 column 12",
            ),
            ("INDEX d-<topic.1> {}", vec![text("*")], "'*' cannot be a part of the name of an index"),
            ("INDEX d-<topic.1> {}", vec![], "'' cannot be a part of the name of an index"),
            ("INDEX d/<topic.1> {}", vec![], "the id of the document is empty"),
        ] {
            assert_eq!(document(query, &values), Err(told.to_owned()), "{query}");
        }
        let long = text(&"x".repeat(600));
        assert!(
            document("INDEX d/<topic> {}", std::slice::from_ref(&long))
                .unwrap_err()
                .contains("600 bytes, of 512")
        );
        assert!(document("INDEX d<topic> {}", &[long]).unwrap_err().contains("601 bytes, of 255"));
    }

    #[test]
    fn searches_take_values_as_values() {
        let Ok(Statement::Search(words)) =
            Statement::parse(&template(r#"SEARCH a,b-* {"query":{"match":{"t":<payload.json.q>}}}"#))
        else {
            panic!("no search")
        };
        let search = words.as_search(&[text("\"}")], b"").unwrap();
        assert_eq!((&*search.index, &*search.body), ("a,b-*", r#"{"query":{"match":{"t":"\"}"}}}"#));
        let Ok(Statement::Search(words)) = Statement::parse(&template("SEARCH all")) else {
            panic!("no search")
        };
        assert_eq!(words.as_search(&[], b"").unwrap().body, "{}");
    }
}
