//! Rows of JSON objects, and the tables that they need (routes reference §4.8).

use serde_json::{Map, Value as Json};

use crate::limits::COLUMNS_MAX;
use crate::{ColumnKind, Dialect, Parameter};

/// A row: names of columns and their values, in the order of the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Names.
    pub columns: Vec<String>,
    /// Values, each with the kind of column that it would have; none of a null.
    pub cells: Vec<(Option<ColumnKind>, Parameter)>,
}

impl Row {
    /// The row that a payload is.
    ///
    /// # Errors
    /// It is no JSON object with at least one member and not too many.
    pub fn parse(payload: &[u8]) -> Result<Row, String> {
        let object: Map<String, Json> = match serde_json::from_slice(payload) {
            Ok(Json::Object(object)) => object,
            Ok(_) | Err(_) => return Err("a row is a JSON object".to_owned()),
        };
        if object.is_empty() || object.len() > COLUMNS_MAX {
            return Err(format!("a row has 1 to {COLUMNS_MAX} members, not {}", object.len()));
        }
        let mut row = Row { columns: Vec::new(), cells: Vec::new() };
        for (name, value) in object {
            if name.is_empty() || name.contains('\0') {
                return Err("a column has a name, without the character NUL".to_owned());
            }
            row.columns.push(name);
            row.cells.push(cell(value));
        }
        Ok(row)
    }
}

fn cell(value: Json) -> (Option<ColumnKind>, Parameter) {
    match value {
        Json::Null => (None, Parameter::Null),
        Json::Bool(is) => (Some(ColumnKind::Boolean), Parameter::Boolean(is)),
        Json::Number(number) => {
            let kind = if number.is_i64() { ColumnKind::Integer } else { ColumnKind::Double };
            (Some(kind), Parameter::Number(number.to_string()))
        }
        Json::String(text) => (Some(ColumnKind::Text), Parameter::Text(text)),
        value @ (Json::Array(_) | Json::Object(_)) => {
            (Some(ColumnKind::Json), Parameter::Text(value.to_string()))
        }
    }
}

/// A column that a table has, with its type in the words of the database.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type.
    pub kind: String,
}

/// Returns the statements that prepare a table for rows; none if it is ready. In our own tables, a
/// column of integers becomes one of doubles for the first fraction. Other tables keep their
/// types.
#[must_use]
pub fn preparation(dialect: Dialect, table: &str, known: Option<&[Column]>, rows: &[&Row]) -> Vec<String> {
    let mut wanted: Vec<(&str, ColumnKind)> = Vec::new();
    for (name, (kind, _)) in rows.iter().flat_map(|row| row.columns.iter().zip(&row.cells)) {
        let Some(kind) = *kind else { continue };
        match wanted.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) if *known == ColumnKind::Integer && kind == ColumnKind::Double => *known = kind,
            Some(_) => {}
            None => wanted.push((name, kind)),
        }
    }
    let quoted = dialect.table(table);
    let Some(known) = known else {
        let (number, definition) = dialect.row_number();
        let own = wanted
            .iter()
            .all(|(name, _)| *name != number)
            .then(|| format!("{} {definition}", dialect.name(number)));
        let columns = wanted
            .iter()
            .map(|(name, kind)| format!("{} {}", dialect.name(name), dialect.column_type(*kind)));
        let columns: Vec<String> = own.into_iter().chain(columns).collect();
        // The character set of a database may have no place for all of Unicode.
        let charset = if dialect.is_mysql() { " DEFAULT CHARACTER SET utf8mb4" } else { "" };
        let create = if dialect.is_sqlserver() { "CREATE TABLE" } else { "CREATE TABLE IF NOT EXISTS" };
        return vec![format!("{create} {quoted} ({}){charset}", columns.join(", "))];
    };
    let is_same = |one: &str, other: &str| {
        if dialect.ignores_case() { one.eq_ignore_ascii_case(other) } else { one == other }
    };
    let is_ours = known.iter().any(|column| is_same(&column.name, dialect.row_number().0));
    let addition = match dialect {
        Dialect::Postgres => "ADD COLUMN IF NOT EXISTS",
        Dialect::Crate | Dialect::MySql | Dialect::MariaDb => "ADD COLUMN",
        Dialect::SqlServer => "ADD",
    };
    let mut statements = Vec::new();
    for (name, kind) in wanted {
        let (column, column_type) = (dialect.name(name), dialect.column_type(kind));
        match known.iter().find(|column| is_same(&column.name, name)) {
            None => statements.push(format!("ALTER TABLE {quoted} {addition} {column} {column_type}")),
            Some(found)
                if is_ours
                    && kind == ColumnKind::Double
                    && is_whole(&found.kind)
                    && dialect != Dialect::Crate =>
            {
                let change = match dialect {
                    Dialect::MySql | Dialect::MariaDb => format!("MODIFY COLUMN {column} {column_type}"),
                    Dialect::SqlServer => format!("ALTER COLUMN {column} {column_type}"),
                    Dialect::Postgres | Dialect::Crate => format!("ALTER COLUMN {column} TYPE {column_type}"),
                };
                statements.push(format!("ALTER TABLE {quoted} {change}"));
            }
            Some(_) => {}
        }
    }
    statements
}

/// Whether a type, in the words of the database, is one of whole numbers.
pub(crate) fn is_whole(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    ["bigint", "integer", "smallint", "int", "int8", "int4", "int2", "mediumint"].contains(&&*kind)
}

/// The part of an insert before its values.
#[must_use]
pub fn insert_head(dialect: Dialect, table: &str, columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|name| dialect.name(name)).collect();
    format!("INSERT INTO {} ({}) ", dialect.table(table), names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row {
        Row::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn tables_get_the_columns_that_rows_need() {
        let (a, b) =
            (row(r#"{"t":21,"on":true,"who":"x","tags":[1],"none":null}"#), row(r#"{"t":21.5,"a\"b":1}"#));
        assert_eq!(
            preparation(Dialect::Postgres, "m", None, &[&a, &b]),
            [
                r#"CREATE TABLE IF NOT EXISTS "m" ("lotmq_row" BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "t" DOUBLE PRECISION, "on" BOOLEAN, "who" TEXT, "tags" JSON, "a""b" BIGINT)"#
            ]
        );
        let column = |name: &str, kind: &str| Column { name: name.to_owned(), kind: kind.to_owned() };
        let known = [
            column("t", "bigint"),
            column("on", "boolean"),
            column("who", "text"),
            column("tags", "json"),
            column("lotmq_row", "bigint"),
        ];
        assert_eq!(preparation(Dialect::Postgres, "m", Some(&known), &[&a]), [""; 0]);
        assert_eq!(preparation(Dialect::Postgres, "m", Some(&known[..1]), &[&row(r#"{"t":1.5}"#)]), [""; 0]);
        assert_eq!(
            preparation(Dialect::Postgres, "s.m", Some(&known), &[&b]),
            [
                r#"ALTER TABLE "s"."m" ALTER COLUMN "t" TYPE DOUBLE PRECISION"#,
                r#"ALTER TABLE "s"."m" ADD COLUMN IF NOT EXISTS "a""b" BIGINT"#
            ]
        );
        assert_eq!(
            preparation(Dialect::MariaDb, "m", Some(&known), &[&row(r#"{"T":1.5,"w":"x"}"#)]),
            ["ALTER TABLE `m` MODIFY COLUMN `T` DOUBLE", "ALTER TABLE `m` ADD COLUMN `w` LONGTEXT"]
        );
        assert_eq!(
            preparation(Dialect::SqlServer, "m", Some(&known), &[&row(r#"{"T":1.5,"w":"x"}"#)]),
            ["ALTER TABLE [m] ALTER COLUMN [T] FLOAT", "ALTER TABLE [m] ADD [w] NVARCHAR(MAX)"]
        );
    }

    #[test]
    fn what_is_no_row_is_told() {
        for (payload, expected) in [
            ("[1]", "a row is a JSON object"),
            ("21.5", "a row is a JSON object"),
            ("{", "a row is a JSON object"),
            ("{}", "a row has 1 to 1600 members, not 0"),
            (r#"{"":1}"#, "a column has a name, without the character NUL"),
        ] {
            assert_eq!(Row::parse(payload.as_bytes()).unwrap_err(), expected);
        }
    }
}
