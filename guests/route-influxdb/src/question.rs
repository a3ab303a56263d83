//! Questions in InfluxQL: values of a message are bound, or escaped within names.

use lotmq_guest::route::{Template, Value, text_of};
use serde_json::{Map, Value as Json};

use crate::pairs::{Piece, value};

/// A statement with places for values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QuestionOf(Vec<Part>);

/// Part of a statement.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// A value of its own type.
    Bound(usize),
    /// A text that was quoted, and has values in it.
    BoundText(Vec<Piece>),
    /// A value within a quoted name.
    InName(usize),
}

/// A statement for a message, and what is bound to it.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) statement: String,
    pub(crate) parameters: Json,
}

impl QuestionOf {
    /// Reads a statement.
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn parse(template: &Template) -> Result<QuestionOf, String> {
        let mut parts = vec![Part::Text(String::new())];
        let mut quote: Option<char> = None;
        let mut quoted: Vec<Piece> = Vec::new();
        for (index, text) in template.texts().iter().enumerate() {
            if index > 0 {
                match quote {
                    None => parts.push(Part::Bound(index - 1)),
                    Some('"') => parts.push(Part::InName(index - 1)),
                    Some(_) => quoted.push(Piece::Value(index - 1)),
                }
            }
            let mut is_escaped = false;
            for next in text.chars() {
                let ends = quote == Some(next) && !is_escaped;
                is_escaped = next == '\\' && !is_escaped && quote.is_some();
                match quote {
                    None if matches!(next, '\'' | '"') => {
                        quote = Some(next);
                        if next == '"' {
                            push(&mut parts, next);
                        }
                    }
                    Some('\'') if ends => {
                        parts.push(of_quoted(std::mem::take(&mut quoted)));
                        quote = None;
                    }
                    Some('\'') => match quoted.last_mut() {
                        Some(Piece::Text(text)) => text.push(next),
                        _ => quoted.push(Piece::Text(next.to_string())),
                    },
                    _ => {
                        push(&mut parts, next);
                        if ends {
                            quote = None;
                        }
                    }
                }
            }
        }
        match quote {
            Some(quote) => Err(format!("the quote {quote} does not end")),
            None => Ok(QuestionOf(parts)),
        }
    }

    /// The statement for these values.
    ///
    /// # Errors
    /// A value that cannot stand where it is to stand.
    pub(crate) fn filled(&self, values: &[Value]) -> Result<Question, String> {
        let (mut statement, mut parameters) = (String::new(), Map::new());
        for part in &self.0 {
            let bound = match part {
                Part::Text(text) => {
                    statement.push_str(text);
                    continue;
                }
                Part::InName(index) => {
                    let name = text_of(value(values, *index));
                    if name.contains(['\n', '\0']) {
                        return Err(format!("'{}' is no part of a name", name.escape_debug()));
                    }
                    statement.push_str(&name.replace('\\', "\\\\").replace('"', "\\\""));
                    continue;
                }
                Part::Bound(index) => parameter(value(values, *index))?,
                Part::BoundText(pieces) => pieces
                    .iter()
                    .map(|piece| match piece {
                        // As the statement has it, where a quote is escaped.
                        Piece::Text(text) => text.replace("\\'", "'").replace("\\\\", "\\"),
                        Piece::Value(index) => text_of(value(values, *index)),
                    })
                    .collect::<String>()
                    .into(),
            };
            let name = format!("p{}", parameters.len() + 1);
            statement.push_str(&format!("${name}"));
            parameters.insert(name, bound);
        }
        Ok(Question { statement, parameters: parameters.into() })
    }
}

/// A quoted text: as it is, where it has no values in it.
fn of_quoted(pieces: Vec<Piece>) -> Part {
    match pieces.as_slice() {
        [] => Part::Text("''".to_owned()),
        [Piece::Text(text)] => Part::Text(format!("'{text}'")),
        _ => Part::BoundText(pieces),
    }
}

fn push(parts: &mut Vec<Part>, next: char) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push(next),
        _ => parts.push(Part::Text(next.to_string())),
    }
}

fn parameter(value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::Empty | Value::Null => return Err("a value of the question is missing".to_owned()),
        Value::Boolean(is) => (*is).into(),
        Value::Integer(number) => (*number).into(),
        Value::Double(number) => (*number).into(),
        // A payload that is a number is compared as one.
        Value::Text(text) => serde_json::from_str::<Json>(text)
            .ok()
            .filter(Json::is_number)
            .unwrap_or_else(|| text.clone().into()),
        Value::Json(_) | Value::Bytes(_) | Value::Time(_) => text_of(value).into(),
    })
}

/// Returns the rows of an answer, as objects of their columns and tags.
///
/// # Errors
/// Returns the server's error about the question.
pub(crate) fn rows(answer: &Json) -> Result<Vec<Json>, String> {
    let mut rows = Vec::new();
    for result in answer["results"].as_array().into_iter().flatten() {
        if let Some(reason) = result["error"].as_str() {
            return Err(reason.to_owned());
        }
        for series in result["series"].as_array().into_iter().flatten() {
            let columns = series["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
            for values in series["values"].as_array().into_iter().flatten() {
                let mut row = series["tags"].as_object().cloned().unwrap_or_default();
                for (column, value) in columns.iter().zip(values.as_array().into_iter().flatten()) {
                    row.insert(column.as_str().unwrap_or_default().to_owned(), value.clone());
                }
                rows.push(Json::Object(row));
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::template;
    use serde_json::json;

    #[test]
    fn values_are_bound_and_names_escaped() {
        let evil = Value::Text("x' OR '1'='1".to_owned());
        let question = QuestionOf::parse(&template(
            "SELECT mean(v) FROM \"m-{}\" WHERE dev = '{}' AND note = 'a\\'b' AND v > {} AND k = 'dev-{}'",
        ))
        .unwrap();
        let name = Value::Text("a\"b".to_owned());
        assert_eq!(
            question.filled(&[name, evil.clone(), Value::Double(1.5), evil]),
            Ok(Question {
                statement: "SELECT mean(v) FROM \"m-a\\\"b\" WHERE dev = $p1 AND note = 'a\\'b' AND v > $p2 AND k = $p3".to_owned(),
                parameters: json!({"p1": "x' OR '1'='1", "p2": 1.5, "p3": "dev-x' OR '1'='1"}),
            })
        );
        assert!(QuestionOf::parse(&template("SELECT 'x")).unwrap_err().contains("does not end"));
        let question = QuestionOf::parse(&template("SELECT v FROM m WHERE v > {}")).unwrap();
        assert!(question.filled(&[Value::Empty]).is_err());
    }

    #[test]
    fn series_become_rows() {
        let answer = json!({"results":[{"series":[{"name":"m","tags":{"dev":"a"},"columns":["time","v"],"values":[[1,2.5],[2,null]]}]}]});
        assert_eq!(
            rows(&answer).unwrap(),
            [json!({"dev":"a","time":1,"v":2.5}), json!({"dev":"a","time":2,"v":null})]
        );
        assert_eq!(rows(&json!({"results":[{"error":"no such"}]})), Err("no such".to_owned()));
        assert_eq!(rows(&json!({"results":[{}]})).unwrap(), [] as [Json; 0]);
    }
}
