//! Rows of an answer: the hash of a user, groups, and grants.

use auth_settings::grants;
use lotmq_guest::auth::Grant;
use serde_json::{Map, Value as Json};

use crate::table::Table;

/// Row of a user.
#[derive(Debug, PartialEq)]
pub(crate) struct UserRow {
    pub(crate) password_hash: String,
    pub(crate) salt: Option<String>,
    /// Whether the user reaches all topics.
    pub(crate) is_superuser: bool,
}

impl UserRow {
    /// The row of a user; `None` without a row, or with a NULL in place of the hash.
    ///
    /// # Errors
    /// The answer has another form, or several rows.
    pub(crate) fn of(table: &Table) -> Result<Option<UserRow>, String> {
        let [row] = table.rows.as_slice() else {
            return match table.rows.len() {
                0 => Ok(None),
                count => Err(format!("query: it returns {count} rows in place of one")),
            };
        };
        if !table.columns.iter().any(|name| name == "password_hash") {
            return Err("query: its answer has no column password_hash".to_owned());
        }
        let Some(password_hash) = table.cell(row, "password_hash") else { return Ok(None) };
        let is_superuser = match table.cell(row, "is_superuser") {
            None => false,
            Some(text) => truth(text).ok_or("query: is_superuser is no boolean")?,
        };
        let salt = table.cell(row, "salt").map(str::to_owned);
        Ok(Some(UserRow { password_hash: password_hash.to_owned(), salt, is_superuser }))
    }
}

/// Groups: the first column of each row.
pub(crate) fn groups_of(table: Table) -> Vec<String> {
    table.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// Grants of rows with the columns `permission`, `action` and `topic`, and perhaps `qos` and
/// `retain`.
///
/// # Errors
/// A row that no grant expresses.
pub(crate) fn grants_of(table: &Table) -> Result<Vec<Grant>, String> {
    for needed in ["permission", "action", "topic"] {
        if !table.rows.is_empty() && !table.columns.iter().any(|name| name == needed) {
            return Err(format!("grants_query: its answer has no column {needed}"));
        }
    }
    let rule = |row: &Vec<Option<String>>| {
        let mut rule = Map::new();
        for column in ["permission", "action", "topic", "qos", "retain"] {
            if let Some(text) = table.cell(row, column) {
                rule.insert(column.to_owned(), value(column, text));
            }
        }
        Json::Object(rule)
    };
    grants(&Json::Array(table.rows.iter().map(rule).collect()), "grants_query: row ")
}

/// Value of a cell, as an access control list in JSON has it.
fn value(column: &str, text: &str) -> Json {
    match column {
        "qos" => {
            let levels = text.trim_matches(['{', '}', '[', ']']).split(',');
            let level = |level: &str| level.trim().parse::<u64>().map_or(Json::Null, Json::from);
            Json::Array(levels.map(level).collect())
        }
        "retain" => truth(text).map_or_else(|| text.into(), Json::Bool),
        _ => text.into(),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "t" | "true" | "1" => Some(true),
        "f" | "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_guest::auth::QoS;

    fn table(columns: &[&str], rows: &[&[Option<&str>]]) -> Table {
        let row = |row: &&[Option<&str>]| row.iter().map(|cell| cell.map(str::to_owned)).collect();
        let mut table = Table::default();
        table.columns = columns.iter().map(|name| (*name).to_owned()).collect();
        rows.iter().for_each(|cells| table.push(row(cells)).unwrap());
        table
    }

    #[test]
    fn user_has_one_row_or_none() {
        let columns = ["password_hash", "salt", "is_superuser"];
        let one = table(&columns, &[&[Some("h"), None, Some("t")]]);
        let expected = UserRow { password_hash: "h".to_owned(), salt: None, is_superuser: true };
        assert_eq!(UserRow::of(&one), Ok(Some(expected)));
        assert_eq!(UserRow::of(&table(&columns, &[])), Ok(None));
        assert_eq!(UserRow::of(&table(&columns, &[&[None, None, None]])), Ok(None));
        let two: &[Option<&str>] = &[Some("h"), None, None];
        let error = UserRow::of(&table(&columns, &[two, two])).unwrap_err();
        assert_eq!(error, "query: it returns 2 rows in place of one");
        let error = UserRow::of(&table(&["hash"], &[&[Some("h")]])).unwrap_err();
        assert_eq!(error, "query: its answer has no column password_hash");
        let error = UserRow::of(&table(&columns, &[&[Some("h"), None, Some("yes")]])).unwrap_err();
        assert_eq!(error, "query: is_superuser is no boolean");
    }

    #[test]
    fn rows_become_grants() {
        let columns = ["permission", "action", "topic", "qos", "retain"];
        let rows: [&[Option<&str>]; 2] = [
            &[Some("allow"), Some("publish"), Some("d/${username}/#"), Some("{0,1}"), Some("f")],
            &[Some("deny"), Some("all"), Some("x"), None, None],
        ];
        let grants = grants_of(&table(&columns, &rows)).unwrap();
        assert_eq!(
            (&*grants[0].filter, grants[0].qos_max, grants[0].retain),
            ("d/%u/#", QoS::AtLeastOnce, false)
        );
        let rows: [&[Option<&str>]; 1] = [&[Some("allow"), Some("read"), Some("x"), None, None]];
        let error = grants_of(&table(&columns, &rows)).unwrap_err();
        assert_eq!(error, "grants_query: row [0].action: \"publish\", \"subscribe\" or \"all\"");
        let error = grants_of(&table(&["topic"], &[&[Some("x")]])).unwrap_err();
        assert_eq!(error, "grants_query: its answer has no column permission");
        assert_eq!(groups_of(table(&["g"], &[&[Some("a")], &[None]])), ["a"]);
    }
}
