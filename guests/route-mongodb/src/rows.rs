//! Questions of the Language of Things for rows of a table, as filters of a collection.

use bson::{RawArrayBuf, RawBson, RawDocumentBuf, rawdoc};
use serde_json::Value as Json;

use crate::bson_value::{append, value_of};
use crate::limits::ROWS_MAX;

/// Conditions within conditions; the compiler nests less.
const DEPTH_MAX: usize = 256;

/// A question for rows, as `rows.select` of the contract has it.
#[derive(Debug)]
pub(crate) struct Question(Json);

impl Question {
    pub(crate) fn parse(body: &[u8]) -> Result<Question, String> {
        let question: Json =
            serde_json::from_slice(body).map_err(|error| format!("the query is not JSON: {error}"))?;
        match question["table"].as_str() {
            Some(table) if !table.is_empty() => Ok(Question(question)),
            _ => Err("a query names a table".to_owned()),
        }
    }

    pub(crate) fn table(&self) -> &str {
        self.0["table"].as_str().unwrap_or_default()
    }

    /// Returns the members of the command `find`. Without an order, the newest documents come
    /// first.
    pub(crate) fn members(&self) -> Result<RawDocumentBuf, String> {
        let filter = match &self.0["where"] {
            Json::Null => RawDocumentBuf::new(),
            condition => filter_of(condition, DEPTH_MAX)?,
        };
        let (column, is_descending) = match self.0["order"]["column"].as_str() {
            Some(column) => (column, self.0["order"]["descending"] == true),
            None => ("_id", true),
        };
        let mut order = RawDocumentBuf::new();
        append(&mut order, column, RawBson::Int32(if is_descending { -1 } else { 1 }))?;
        let limit = self.0["limit"].as_i64().unwrap_or(ROWS_MAX).clamp(1, ROWS_MAX);
        Ok(rawdoc! { "filter": filter, "sort": order, "limit": limit, "projection": { "_id": 0 } })
    }
}

fn filter_of(condition: &Json, depth_left: usize) -> Result<RawDocumentBuf, String> {
    let depth_left = depth_left.checked_sub(1).ok_or("the query nests too deep")?;
    for (key, operator) in [("and", "$and"), ("or", "$or")] {
        if let Some(several) = condition[key].as_array() {
            let mut filters = RawArrayBuf::new();
            for one in several {
                filters.push(filter_of(one, depth_left)?);
            }
            return filter(operator, RawBson::Array(filters));
        }
    }
    if !condition["not"].is_null() {
        let mut filters = RawArrayBuf::new();
        filters.push(filter_of(&condition["not"], depth_left)?);
        return filter("$nor", RawBson::Array(filters));
    }
    comparison(condition)
}

fn comparison(condition: &Json) -> Result<RawDocumentBuf, String> {
    let column = condition["column"].as_str().filter(|column| !column.starts_with('$'));
    let column = column.ok_or("a condition names no column")?;
    let value = &condition["value"];
    let (operator, operand) = match (condition["operator"].as_str().unwrap_or_default(), value) {
        ("==", value) => ("$eq", value_of(value)?),
        ("!=", value) => ("$ne", value_of(value)?),
        // Nothing is before or behind what is not there.
        ("<" | "<=" | ">" | ">=", Json::Null) => ("$in", RawBson::Array(RawArrayBuf::new())),
        ("<", value) => ("$lt", value_of(value)?),
        ("<=", value) => ("$lte", value_of(value)?),
        (">", value) => ("$gt", value_of(value)?),
        (">=", value) => ("$gte", value_of(value)?),
        ("in", Json::Array(_)) => ("$in", value_of(value)?),
        ("contains", value) => ("$regex", RawBson::String(literal(value))),
        ("starts_with", value) => ("$regex", RawBson::String(format!("^{}", literal(value)))),
        ("ends_with", value) => ("$regex", RawBson::String(format!("{}$", literal(value)))),
        (operator, _) => return Err(format!("a collection cannot compare with '{operator}'")),
    };
    filter(column, RawBson::Document(filter(operator, operand)?))
}

fn filter(key: &str, value: RawBson) -> Result<RawDocumentBuf, String> {
    let mut filter = RawDocumentBuf::new();
    append(&mut filter, key, value)?;
    Ok(filter)
}

/// A value as a pattern that means itself.
fn literal(value: &Json) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut pattern = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(question: &Json) -> Result<String, String> {
        let mut out = String::new();
        crate::bson_value::write_json(
            &Question::parse(question.to_string().as_bytes())?.members()?,
            &mut out,
        )?;
        Ok(out)
    }

    #[test]
    fn conditions_become_filters() {
        let on = |column: &str, operator: &str, value: Json| json!({ "column": column, "operator": operator, "value": value });
        for (condition, expected) in [
            (on("t", "==", json!(5)), r#"{"t":{"$eq":5}}"#),
            (on("t", "==", json!({"$gt": ""})), r#"{"t":{"$eq":{"$gt":""}}}"#),
            (on("t", "!=", json!(null)), r#"{"t":{"$ne":null}}"#),
            (on("t", "<", json!(null)), r#"{"t":{"$in":[]}}"#),
            (on("t", "in", json!([1, "a"])), r#"{"t":{"$in":[1,"a"]}}"#),
            (on("t", "contains", json!("a*b")), r#"{"t":{"$regex":"a\\*b"}}"#),
            (on("t", "starts_with", json!("ä.")), r#"{"t":{"$regex":"^ä\\."}}"#),
            (on("t", "ends_with", json!(5)), r#"{"t":{"$regex":"5$"}}"#),
            (
                json!({ "or": [on("t", "<", json!(1)), { "not": { "and": [on("t", ">", json!(3))] } }] }),
                r#"{"$or":[{"t":{"$lt":1}},{"$nor":[{"$and":[{"t":{"$gt":3}}]}]}]}"#,
            ),
        ] {
            let told = members(&json!({ "table": "Part", "where": condition })).unwrap();
            let expected = format!(
                r#"{{"filter":{expected},"sort":{{"_id":-1}},"limit":10000,"projection":{{"_id":0}}}}"#
            );
            assert_eq!(told, expected, "{condition}");
        }
    }

    #[test]
    fn a_question_says_what_is_found_where() {
        let question = json!({ "table": "P", "order": { "column": "t", "descending": true }, "limit": 3 });
        assert_eq!(
            members(&question).unwrap(),
            r#"{"filter":{},"sort":{"t":-1},"limit":3,"projection":{"_id":0}}"#
        );
        for (question, told) in [
            (json!({}), "a query names a table"),
            (
                json!({ "table": "t", "where": { "column": "$where", "operator": "==" } }),
                "a condition names no column",
            ),
            (
                json!({ "table": "t", "where": { "column": "c", "operator": "~" } }),
                "a collection cannot compare with '~'",
            ),
        ] {
            assert_eq!(members(&question).unwrap_err(), told);
        }
    }
}
