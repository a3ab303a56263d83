//! Questions of the Language of Things for rows of a table, as searches of an index.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use crate::far::encoded;

/// Documents of an answer: the most that an index gives without paging (`index.max_result_window`).
const ROWS_MAX: u64 = 10_000;

/// Conditions within conditions; the compiler nests less.
const DEPTH_MAX: usize = 256;

/// A question for rows, as `rows.select` of the contract has it.
#[derive(Debug)]
pub(crate) struct Question(Json);

/// Fields of an index, by the uses that the server reports for them.
#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Json>);

/// Name of the index of a table: indices have lower-case names.
pub(crate) fn index_of(table: &str) -> String {
    table.to_lowercase()
}

/// Whether a name is none of an index but a step of a path, to the same or the folder above.
pub(crate) fn is_step(name: &str) -> bool {
    ["", ".", ".."].contains(&name)
}

impl Question {
    pub(crate) fn parse(body: &[u8]) -> Result<Question, String> {
        let question: Json =
            serde_json::from_slice(body).map_err(|error| format!("the query is not JSON: {error}"))?;
        match question["table"].as_str() {
            Some(table) if !is_step(table) => Ok(Question(question)),
            _ => Err("a query names a table".to_owned()),
        }
    }

    pub(crate) fn index(&self) -> String {
        encoded(&index_of(self.0["table"].as_str().unwrap_or_default()))
    }

    /// Returns the target that lists the fields of the columns; `None` if there are no columns to
    /// ask about.
    pub(crate) fn fields_target(&self) -> Option<String> {
        let mut columns = BTreeSet::new();
        collect_columns(&self.0["where"], &mut columns, DEPTH_MAX);
        columns.extend(self.0["order"]["column"].as_str());
        let names: Vec<String> =
            columns.iter().map(|column| format!("{0},{0}.keyword", encoded(column))).collect();
        let index = self.index();
        (!names.is_empty()).then(|| {
            format!(
                "/{index}/_field_caps?ignore_unavailable=true&allow_no_indices=true&fields={}",
                names.join(",")
            )
        })
    }

    /// The search, without an order the newest first.
    pub(crate) fn search(&self, fields: &Fields) -> Result<Json, String> {
        let filter = match &self.0["where"] {
            Json::Null => json!({ "match_all": {} }),
            condition => search_of(condition, fields, DEPTH_MAX)?,
        };
        let sort = match self.0["order"]["column"].as_str() {
            Some(column) => {
                let direction = if self.0["order"]["descending"] == true { "desc" } else { "asc" };
                json!([{ fields.exact(column)?: { "order": direction, "unmapped_type": "keyword" } }])
            }
            None => json!([{ "_seq_no": "desc" }]),
        };
        let size = self.0["limit"].as_u64().unwrap_or(ROWS_MAX).min(ROWS_MAX);
        Ok(json!({ "size": size, "query": { "bool": { "filter": [filter] } }, "sort": sort }))
    }
}

impl Fields {
    pub(crate) fn of(answer: &Json) -> Fields {
        Fields(answer["fields"].as_object().cloned().unwrap_or_default())
    }

    fn is(&self, field: &str, kind: &str) -> bool {
        self.0.get(field).is_some_and(|kinds| !kinds[kind].is_null())
    }

    /// Returns the field that holds a column's exact value. By default, the server splits texts
    /// into words.
    fn exact(&self, column: &str) -> Result<String, String> {
        let keyword = format!("{column}.keyword");
        match (self.is(column, "text"), self.is(&keyword, "keyword")) {
            (true, true) => Ok(keyword),
            (true, false) => {
                Err(format!("'{column}' is a text that the index has by its words alone, without {keyword}"))
            }
            (false, _) => Ok(column.to_owned()),
        }
    }
}

/// The documents of an answer, as an array.
pub(crate) fn sources(answer: &Json) -> Result<Vec<&Json>, String> {
    let hits = answer["hits"]["hits"].as_array().ok_or("the answer of the server has no hits")?;
    Ok(hits.iter().map(|hit| &hit["_source"]).collect())
}

fn collect_columns<'a>(condition: &'a Json, columns: &mut BTreeSet<&'a str>, depth_left: usize) {
    let Some(depth_left) = depth_left.checked_sub(1) else { return };
    columns.extend(condition["column"].as_str());
    for several in ["and", "or"] {
        for one in condition[several].as_array().into_iter().flatten() {
            collect_columns(one, columns, depth_left);
        }
    }
    if !condition["not"].is_null() {
        collect_columns(&condition["not"], columns, depth_left);
    }
}

fn search_of(condition: &Json, fields: &Fields, depth_left: usize) -> Result<Json, String> {
    let depth_left = depth_left.checked_sub(1).ok_or("the query nests too deep")?;
    let all = |several: &Json| -> Result<Vec<Json>, String> {
        several.as_array().into_iter().flatten().map(|one| search_of(one, fields, depth_left)).collect()
    };
    if condition["and"].is_array() {
        return Ok(json!({ "bool": { "filter": all(&condition["and"])? } }));
    }
    if condition["or"].is_array() {
        return Ok(json!({ "bool": { "should": all(&condition["or"])?, "minimum_should_match": 1 } }));
    }
    if !condition["not"].is_null() {
        return Ok(not(search_of(&condition["not"], fields, depth_left)?));
    }
    comparison(condition, fields)
}

fn comparison(condition: &Json, fields: &Fields) -> Result<Json, String> {
    let column = condition["column"].as_str().ok_or("a condition names no column")?;
    let (field, value) = (fields.exact(column)?, &condition["value"]);
    let exists = || json!({ "exists": { "field": column } });
    Ok(match (condition["operator"].as_str().unwrap_or_default(), value) {
        ("==", Json::Null) => not(exists()),
        ("!=", Json::Null) => exists(),
        (_, Json::Null) => json!({ "match_none": {} }),
        ("==", value) => json!({ "term": { field: value } }),
        ("!=", value) => not(json!({ "term": { field: value } })),
        ("<", value) => json!({ "range": { field: { "lt": value } } }),
        ("<=", value) => json!({ "range": { field: { "lte": value } } }),
        (">", value) => json!({ "range": { field: { "gt": value } } }),
        (">=", value) => json!({ "range": { field: { "gte": value } } }),
        ("in", Json::Array(values)) => json!({ "terms": { field: values } }),
        ("contains", value) => wildcard(field, &["*", &literal(value), "*"].concat()),
        ("starts_with", value) => wildcard(field, &[&literal(value), "*"].concat()),
        ("ends_with", value) => wildcard(field, &["*", &literal(value)].concat()),
        (operator, _) => return Err(format!("an index cannot compare with '{operator}'")),
    })
}

fn not(search: Json) -> Json {
    json!({ "bool": { "must_not": [search] } })
}

fn wildcard(field: String, pattern: &str) -> Json {
    json!({ "wildcard": { field: { "value": pattern } } })
}

/// A value as a pattern that means itself.
fn literal(value: &Json) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let escape = |c: char| if "*?\\".contains(c) { vec!['\\', c] } else { vec![c] };
    text.chars().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields::of(&json!({ "fields": {
            "name": { "text": {} }, "name.keyword": { "keyword": {} }, "note": { "text": {} }, "t": { "long": {} },
        } }))
    }

    fn filter(condition: Json) -> Result<Json, String> {
        let body = json!({ "table": "Part", "where": condition }).to_string();
        let search = Question::parse(body.as_bytes())?.search(&fields())?;
        Ok(search["query"]["bool"]["filter"][0].clone())
    }

    #[test]
    fn conditions_become_filters() {
        let on = |column: &str, operator: &str, value: Json| json!({ "column": column, "operator": operator, "value": value });
        for (condition, expected) in [
            (on("t", "==", json!(5)), json!({ "term": { "t": 5 } })),
            (on("name", "==", json!("A b")), json!({ "term": { "name.keyword": "A b" } })),
            (on("t", "!=", json!(5)), json!({ "bool": { "must_not": [{ "term": { "t": 5 } }] } })),
            (on("t", ">=", json!(5)), json!({ "range": { "t": { "gte": 5 } } })),
            (on("t", "<", json!(null)), json!({ "match_none": {} })),
            (on("t", "==", json!(null)), json!({ "bool": { "must_not": [{ "exists": { "field": "t" } }] } })),
            (on("t", "in", json!([1, 2])), json!({ "terms": { "t": [1, 2] } })),
            (
                on("name", "contains", json!("a*b")),
                json!({ "wildcard": { "name.keyword": { "value": "*a\\*b*" } } }),
            ),
            (on("new", "ends_with", json!(5)), json!({ "wildcard": { "new": { "value": "*5" } } })),
            (
                json!({ "or": [on("t", "<", json!(1)), { "not": { "and": [on("t", ">", json!(3))] } }] }),
                json!({ "bool": { "should": [
                    { "range": { "t": { "lt": 1 } } },
                    { "bool": { "must_not": [{ "bool": { "filter": [{ "range": { "t": { "gt": 3 } } }] } }] } },
                ], "minimum_should_match": 1 } }),
            ),
        ] {
            assert_eq!(filter(condition.clone()).unwrap(), expected, "{condition}");
        }
        let told = filter(on("note", "==", json!("x"))).unwrap_err();
        assert_eq!(told, "'note' is a text that the index has by its words alone, without note.keyword");
        assert_eq!(filter(on("t", "~", json!("x"))).unwrap_err(), "an index cannot compare with '~'");
        let mut deep = on("t", "==", json!(1));
        for _ in 0..300 {
            deep = json!({ "not": deep });
        }
        // The reader of JSON has a bound of its own below that of conditions.
        assert!(filter(deep).is_err());
    }

    #[test]
    fn a_question_says_what_is_searched_where() {
        let body = br#"{"table":"Part/x","where":{"column":"t","operator":"==","value":1},"order":{"column":"name","descending":true},"limit":3}"#;
        let question = Question::parse(body).unwrap();
        assert_eq!(question.index(), "part%2Fx");
        assert!(question.fields_target().unwrap().ends_with("&fields=name,name.keyword,t,t.keyword"));
        let search = question.search(&fields()).unwrap();
        assert_eq!(
            search["sort"],
            json!([{ "name.keyword": { "order": "desc", "unmapped_type": "keyword" } }])
        );
        assert_eq!(search["size"], 3);
        let question = Question::parse(br#"{"table":"t"}"#).unwrap();
        assert_eq!(question.fields_target(), None);
        let search = question.search(&Fields::default()).unwrap();
        assert_eq!((&search["sort"], &search["size"]), (&json!([{ "_seq_no": "desc" }]), &json!(10_000)));
        for (body, told) in [("{}", "a query names a table"), ("{\"table\":\"\"}", "a query names a table")] {
            assert_eq!(Question::parse(body.as_bytes()).unwrap_err(), told);
        }
    }
}
