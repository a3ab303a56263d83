//! Queries of events: `CLEAN:{table: name, data: record}` and `APPEND file text`.
//!
//! A query is parsed when the route opens, so that values of a message never become part of its
//! syntax.

use lotmq_guest::route::{Template, Value, text_of};
use serde_json::{Map, Value as Json};

/// Mark of a placeholder while a query is cut; no text of a definition has it.
const MARK: char = '\u{1}';

/// A text with placeholders, by their positions in the query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pieces(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Value(usize),
}

/// Operation on a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Query {
    /// A record becomes one of a table.
    Clean { table: Pieces, data: Pieces },
    /// A line is written to a file.
    Append { file: Pieces, text: Pieces },
}

impl Query {
    /// Cuts a query; the error is for people.
    pub(crate) fn parse(template: &Template) -> Result<Query, String> {
        let text = template.with(|place, _| format!("{MARK}{place}{MARK}").into());
        let text = text.trim();
        if let Some(inside) = strip_word(text, "CLEAN") {
            let inside = inside.trim_start().strip_prefix(':').map(str::trim);
            let inside = inside.and_then(|inside| inside.strip_prefix('{')?.strip_suffix('}'));
            let wrong = || "CLEAN is written CLEAN:{table: name, data: record}".to_owned();
            let (table, data) = inside.and_then(|inside| inside.split_once(',')).ok_or_else(wrong)?;
            let table = member(table, "table").ok_or_else(wrong)?;
            let data = member(data, "data").ok_or_else(wrong)?;
            return Ok(Query::Clean { table: Pieces::of(table.trim_matches('"')), data: Pieces::of(data) });
        }
        if let Some(rest) = strip_word(text, "APPEND") {
            let (file, text) =
                rest.trim_start().split_once(' ').ok_or("APPEND is written APPEND file text")?;
            return Ok(Query::Append { file: Pieces::of(file), text: Pieces::of(text) });
        }
        Err("a query is CLEAN:{table: name, data: record} or APPEND file text".to_owned())
    }
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = text.split_at_checked(word.len())?;
    first.eq_ignore_ascii_case(word).then_some(rest)
}

fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = text.split_once(':')?;
    key.trim()
        .trim_matches('"')
        .eq_ignore_ascii_case(name)
        .then_some(value.trim())
        .filter(|value| !value.is_empty())
}

impl Pieces {
    fn of(text: &str) -> Pieces {
        let parts = text.split(MARK).enumerate().map(|(index, part)| match index % 2 {
            0 => Piece::Text(part.to_owned()),
            _ => Piece::Value(part.parse::<usize>().map_or(usize::MAX, |place| place - 1)),
        });
        Pieces(parts.filter(|piece| *piece != Piece::Text(String::new())).collect())
    }

    /// The text with values as they are.
    pub(crate) fn text(&self, values: &[Value]) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(index) => values.get(*index).map(text_of).unwrap_or_default(),
        };
        self.0.iter().map(text).collect()
    }

    /// Returns the records: a JSON object, or several in an array. Values within the query's JSON
    /// become JSON values or parts of its texts.
    pub(crate) fn records(&self, values: &[Value]) -> Result<Vec<Map<String, Json>>, String> {
        let text = match &self.0[..] {
            [Piece::Value(_)] => self.text(values),
            pieces => json_of(pieces, values),
        };
        records_of(text.as_bytes())
    }
}

/// The records of a payload.
pub(crate) fn records_of(payload: &[u8]) -> Result<Vec<Map<String, Json>>, String> {
    let parsed =
        serde_json::from_slice(payload).map_err(|error| format!("a record is a JSON object: {error}"))?;
    let all = if let Json::Array(all) = parsed { all } else { vec![parsed] };
    let record = |one| {
        if let Json::Object(record) = one { Ok(record) } else { Err("a record is a JSON object".to_owned()) }
    };
    all.into_iter().map(record).collect()
}

fn json_of(pieces: &[Piece], values: &[Value]) -> String {
    let (mut json, mut is_quoted) = (String::new(), false);
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                let mut is_escaped = false;
                for character in text.chars() {
                    is_quoted ^= character == '"' && !is_escaped;
                    is_escaped = character == '\\' && !is_escaped;
                }
                json.push_str(text);
            }
            Piece::Value(index) => {
                let value = values.get(*index).unwrap_or(&Value::Empty);
                let literal = Json::from(text_of(value)).to_string();
                match value {
                    _ if is_quoted => json.push_str(&literal[1..literal.len() - 1]),
                    Value::Empty | Value::Null => json.push_str("null"),
                    Value::Boolean(_) | Value::Integer(_) | Value::Double(_) | Value::Json(_) => {
                        json.push_str(&text_of(value));
                    }
                    Value::Text(_) | Value::Bytes(_) | Value::Time(_) => json.push_str(&literal),
                }
            }
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(texts: &[&str], names: &[&str]) -> Template {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Template::new("QUERY", owned(texts), owned(names)).unwrap()
    }

    #[test]
    fn records_go_to_tables() {
        let query = template(&["CLEAN:{table: s_", ", data: ", "}"], &["topic.2", "payload.json"]);
        let Query::Clean { table, data } = Query::parse(&query).unwrap() else { panic!("no CLEAN") };
        // A comma in a value is a part of it.
        let values = [Value::Text("a, data: {}".to_owned()), Value::Json(r#"{"z":1,"a":[2]}"#.to_owned())];
        assert_eq!(table.text(&values), "s_a, data: {}");
        let records = data.records(&values).unwrap();
        assert_eq!(Json::from(records[0].clone()).to_string(), r#"{"z":1,"a":[2]}"#);
        let several = [Value::Empty, Value::Json(r#"[{"a":1},{"a":2}]"#.to_owned())];
        assert_eq!(data.records(&several).unwrap().len(), 2);
        for wrong in ["1", "[1]", "no"] {
            assert!(data.records(&[Value::Empty, Value::Text(wrong.to_owned())]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_within_json_stay_values() {
        let texts = ["clean:{ table: t, data: {\"v\": ", ", \"name\": \"x-", "\", \"at\": ", "}}"];
        let query = template(&texts, &["payload.json.v", "payload.json.n", "timestamp"]);
        let Query::Clean { data, .. } = Query::parse(&query).unwrap() else { panic!("no CLEAN") };
        let values = [Value::Double(1.5), Value::Text("o\"h".to_owned()), Value::Time(0)];
        let records = data.records(&values).unwrap();
        let expected = r#"{"v":1.5,"name":"x-o\"h","at":"1970-01-01T00:00:00.000Z"}"#;
        assert_eq!(Json::from(records[0].clone()).to_string(), expected);
        assert_eq!(data.records(&[]).unwrap()[0]["v"], Json::Null);
    }

    #[test]
    fn lines_go_to_files_and_all_else_is_told() {
        let query =
            Query::parse(&template(&["APPEND log/", ".txt ", " was here"], &["topic.2", "payload"])).unwrap();
        let Query::Append { file, text } = query else { panic!("no APPEND") };
        let values = [Value::Text("a b".to_owned()), Value::Text("who".to_owned())];
        assert_eq!(
            (file.text(&values), text.text(&values)),
            ("log/a b.txt".to_owned(), "who was here".to_owned())
        );
        for wrong in [
            "",
            "SELECT 1",
            "APPEND x",
            "CLEAN:{table: t}",
            "CLEAN:{data: x, table: t}",
            "CLEAN t",
            "CLEAN:{table: , data: x}",
        ] {
            assert!(Query::parse(&Template::plain("QUERY", wrong)).is_err(), "{wrong}");
        }
    }
}
