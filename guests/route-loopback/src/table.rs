//! A table in memory, and queries of it.

use serde_json::{Map, Value as Json};
use std::{cmp::Ordering, collections::VecDeque};

/// Rows in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: VecDeque<Json>,
}

impl Table {
    /// Adds a row; beyond the bound the oldest goes.
    pub(crate) fn insert(&mut self, row: Json, rows_max: usize) {
        self.rows.push_back(row);
        while self.rows.len() > rows_max {
            self.rows.pop_front();
        }
    }

    /// Returns the rows that match a query, the newest first unless it has another order.
    pub(crate) fn select(&self, query: &Query) -> Vec<Json> {
        let mut found: Vec<&Json> = self.rows.iter().rev().filter(|row| query.takes(row)).collect();
        if let Some((column, descends)) = query.order() {
            found.sort_by(|a, b| {
                let order = compare(&a[column], &b[column]).unwrap_or(Ordering::Equal);
                if descends { order.reverse() } else { order }
            });
        }
        found.into_iter().take(query.limit()).cloned().collect()
    }
}

/// Query: `{"table": t, "where": {…}, "order": {"column": c, "descending": b}, "limit":
/// n}`; only the table is required. A condition is `{"and": […]}`, `{"or": […]}`, `{"not":
/// condition}` or `{"column": c, "operator": o, "value": v}`.
#[derive(Debug)]
pub(crate) struct Query(Map<String, Json>);

/// Conditions within conditions; the compiler nests less.
const DEPTH_MAX: usize = 256;

impl Query {
    pub(crate) fn parse(body: &[u8]) -> Result<Query, String> {
        match serde_json::from_slice(body) {
            Ok(Json::Object(query)) if query.get("table").is_some_and(Json::is_string) => Ok(Query(query)),
            Ok(_) => Err("a query names a table".to_owned()),
            Err(error) => Err(format!("the query is not JSON: {error}")),
        }
    }

    pub(crate) fn table(&self) -> &str {
        self.0["table"].as_str().unwrap_or_default()
    }

    fn order(&self) -> Option<(&str, bool)> {
        let order = self.0.get("order")?;
        Some((order["column"].as_str()?, order["descending"].as_bool().unwrap_or(false)))
    }

    fn limit(&self) -> usize {
        let limit = self.0.get("limit").and_then(Json::as_u64);
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
    }

    fn takes(&self, row: &Json) -> bool {
        self.0.get("where").is_none_or(|condition| holds(condition, row, DEPTH_MAX))
    }
}

fn holds(condition: &Json, row: &Json, depth_left: usize) -> bool {
    let Some(depth_left) = depth_left.checked_sub(1) else { return false };
    if let Some(all) = condition["and"].as_array() {
        return all.iter().all(|one| holds(one, row, depth_left));
    }
    if let Some(any) = condition["or"].as_array() {
        return any.iter().any(|one| holds(one, row, depth_left));
    }
    if !condition["not"].is_null() {
        return !holds(&condition["not"], row, depth_left);
    }
    let Some(column) = condition["column"].as_str() else { return false };
    let (left, right) = (&row[column], &condition["value"]);
    match condition["operator"].as_str().unwrap_or_default() {
        "==" => is_equal(left, right),
        "!=" => !is_equal(left, right),
        "<" => compare(left, right) == Some(Ordering::Less),
        "<=" => matches!(compare(left, right), Some(Ordering::Less | Ordering::Equal)),
        ">" => compare(left, right) == Some(Ordering::Greater),
        ">=" => matches!(compare(left, right), Some(Ordering::Greater | Ordering::Equal)),
        "in" => right.as_array().is_some_and(|all| all.iter().any(|one| is_equal(left, one))),
        "contains" => text(left).contains(&text(right)),
        "starts_with" => text(left).starts_with(&text(right)),
        "ends_with" => text(left).ends_with(&text(right)),
        _ => false,
    }
}

fn is_equal(left: &Json, right: &Json) -> bool {
    left == right || compare(left, right) == Some(Ordering::Equal)
}

/// Numbers, and texts of numbers, as numbers; all else as text. Nothing is before or behind null.
fn compare(left: &Json, right: &Json) -> Option<Ordering> {
    if left.is_null() || right.is_null() {
        return None;
    }
    match (as_number(left), as_number(right)) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(text(left).cmp(&text(right))),
    }
}

fn as_number(value: &Json) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
