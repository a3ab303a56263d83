//! Rows of routes for `GET MODEL` and `FETCH FROM`: the question for the guest, and its answer as a
//! value (LoT reference §8.7).

use jiff::Timestamp;
use lotmq_host::Value;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use crate::limits::ROWS_BYTES_MAX;

/// Question for the guest of a route.
#[derive(Debug, PartialEq)]
pub(super) struct Question {
    pub body: Vec<u8>,
    /// Whether at most one row is wanted.
    is_for_one: bool,
}

/// Rows that a route answered.
#[derive(Debug, PartialEq)]
pub(super) struct Rows {
    pub(super) value: Value,
    /// Whether there were more than the limit allows.
    pub(super) is_cut: bool,
}

impl Question {
    /// Reads a guest's question; `table_of` gives the table in which the route has instances of a
    /// Model. `None` when it is no question.
    pub(super) fn new(
        query: &str,
        parameters: &[Value],
        table_of: impl Fn(&str) -> String,
    ) -> Option<Question> {
        let Ok(Json::Object(mut query)) = serde_json::from_str(query) else { return None };
        let mut body = Map::new();
        let table = match query.get("model") {
            Some(model) => table_of(model.as_str()?).into(),
            None => query.remove("table").filter(Json::is_string)?,
        };
        body.insert("table".to_owned(), table);
        if let Some(condition) = query.remove("where") {
            body.insert("where".to_owned(), with_values(condition, parameters)?);
        }
        let is_for_one = query.get("limit").and_then(Json::as_u64) == Some(1);
        for key in ["order", "limit"] {
            body.extend(query.remove_entry(key));
        }
        Some(Question { body: Json::from(body).to_string().into_bytes(), is_for_one })
    }

    /// Reads an answer as a value: an object for one row, an array for several, null for none.
    /// Drops rows beyond the bound.
    ///
    /// # Errors
    /// The reason why an answer does not consist of rows.
    pub(super) fn rows(&self, answer: &[u8]) -> Result<Rows, String> {
        let wrong = |error: serde_json::Error| format!("the answer is no rows: {error}");
        let mut rows: Vec<&RawValue> = serde_json::from_slice(answer).map_err(wrong)?;
        if rows.iter().any(|row| !row.get().starts_with('{')) {
            return Err("the answer is no rows: each is an object".to_owned());
        }
        if self.is_for_one {
            rows.truncate(1);
        }
        let mut bytes = 0;
        let fitting = rows.iter().take_while(|row| {
            bytes += row.get().len() + 1;
            bytes <= ROWS_BYTES_MAX
        });
        let (fitting, all) = (fitting.count(), rows.len());
        let text: Vec<&str> = rows.iter().take(fitting).map(|row| row.get()).collect();
        let value = match (text.as_slice(), all) {
            ([], _) => Value::Null,
            ([one], 1) => Value::Json((*one).to_owned()),
            (many, _) => Value::Json(format!("[{}]", many.join(","))),
        };
        Ok(Rows { value, is_cut: fitting < all })
    }
}

/// Replaces the positions of parameters in a condition by their values.
fn with_values(condition: Json, parameters: &[Value]) -> Option<Json> {
    let Json::Object(mut condition) = condition else { return None };
    for key in ["and", "or"] {
        if let Some(Json::Array(all)) = condition.remove(key) {
            let all: Option<Vec<Json>> = all.into_iter().map(|one| with_values(one, parameters)).collect();
            return Some(json!({ key: all? }));
        }
    }
    if let Some(negated) = condition.remove("not") {
        return Some(json!({ "not": with_values(negated, parameters)? }));
    }
    let position = usize::try_from(condition.get("value")?.as_u64()?).ok()?;
    condition.insert("value".to_owned(), json_of(parameters.get(position)?));
    Some(condition.into())
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Empty | Value::Null => Json::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Double(value) => (*value).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Json(text) => serde_json::from_str(text).unwrap_or_default(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        Value::Time(ms) => {
            Timestamp::from_millisecond(*ms).map_or(Json::Null, |at| format!("{at:.3}").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(query: &str, parameters: &[Value]) -> Option<String> {
        let question = Question::new(query, parameters, |model| format!("table of {model}"))?;
        Some(String::from_utf8(question.body).unwrap())
    }

    #[test]
    fn values_take_the_places_of_their_positions() {
        let compared = |position: usize| format!(r#"{{"column":"c","operator":"==","value":{position}}}"#);
        let query = format!(
            r#"{{"model":"M","limit":3,"order":{{"column":"c","descending":true}},"where":{{"or":[{{"and":[{},{}]}},{{"not":{}}}]}}}}"#,
            compared(0),
            compared(1),
            compared(2)
        );
        let parameters = [Value::Text("007".to_owned()), Value::Empty, Value::Time(1_500)];
        let of = |value: &str| format!(r#"{{"column":"c","operator":"==","value":{value}}}"#);
        assert_eq!(
            question(&query, &parameters).unwrap(),
            format!(
                r#"{{"table":"table of M","where":{{"or":[{{"and":[{},{}]}},{{"not":{}}}]}},"order":{{"column":"c","descending":true}},"limit":3}}"#,
                of("\"007\""),
                of("null"),
                of("\"1970-01-01T00:00:01.500Z\"")
            )
        );
        assert_eq!(question(r#"{"table":"t"}"#, &[]).unwrap(), r#"{"table":"t"}"#);
        for wrong in [
            "[]",
            "{}",
            r#"{"table":1}"#,
            r#"{"table":"t","where":1}"#,
            r#"{"table":"t","where":{"column":"c","operator":"==","value":1}}"#,
        ] {
            assert_eq!(question(wrong, &[Value::Null]), None, "{wrong}");
        }
    }

    #[test]
    fn one_row_is_an_object_several_an_array_and_none_is_null() {
        let json = |text: &str| Value::Json(text.to_owned());
        let any = Question { body: Vec::new(), is_for_one: false };
        let one = Question { is_for_one: true, body: Vec::new() };
        for (question, answer, value) in [
            (&any, "[]", Value::Null),
            (&any, r#"[{"a":1.10}]"#, json(r#"{"a":1.10}"#)),
            (&any, r#"[{"a":1},{"a":2}]"#, json(r#"[{"a":1},{"a":2}]"#)),
            (&one, "[]", Value::Null),
            (&one, r#"[{"a":1},{"a":2}]"#, json(r#"{"a":1}"#)),
        ] {
            assert_eq!(question.rows(answer.as_bytes()).unwrap(), Rows { value, is_cut: false }, "{answer}");
        }
        for wrong in ["", "{}", "[1]"] {
            assert!(any.rows(wrong.as_bytes()).unwrap_err().starts_with("the answer is no rows"), "{wrong}");
        }
    }

    #[test]
    fn rows_beyond_the_bound_are_left_out() {
        let any = Question { body: Vec::new(), is_for_one: false };
        let row = format!(r#"{{"t":"{}"}}"#, "x".repeat(ROWS_BYTES_MAX / 3));
        let answer = format!("[{}]", [row.as_str(); 4].join(","));
        let rows = any.rows(answer.as_bytes()).unwrap();
        assert!(rows.is_cut);
        assert_eq!(rows.value, Value::Json(format!("[{row},{row}]")));
        let giant = format!(r#"[{{"t":"{}"}}]"#, "x".repeat(ROWS_BYTES_MAX));
        assert_eq!(any.rows(giant.as_bytes()).unwrap(), Rows { value: Value::Null, is_cut: true });
    }
}
