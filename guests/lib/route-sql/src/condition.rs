//! Conditions of a question (`rows.select` of the contract) as SQL, with their values bound.

use serde_json::Value as Json;

use crate::limits::{DEPTH_MAX, ELEMENTS_MAX};
use crate::number::is_number;
use crate::rows::{Column, is_whole};
use crate::{Dialect, Filled, Parameter};

/// A question as `request` gets it.
pub(crate) struct Question(Json);

impl Question {
    pub(crate) fn parse(body: &[u8]) -> Result<Question, String> {
        match serde_json::from_slice(body) {
            Ok(Json::Object(query)) if query.get("table").is_some_and(Json::is_string) => {
                Ok(Question(query.into()))
            }
            Ok(_) => Err("a query names a table".to_owned()),
            Err(error) => Err(format!("the query is not JSON: {error}")),
        }
    }

    pub(crate) fn table(&self) -> &str {
        self.0["table"].as_str().unwrap_or_default()
    }

    /// Columns that it names and its table, with these columns, has not.
    pub(crate) fn unknown_columns(&self, dialect: Dialect, columns: &[Column]) -> Vec<&str> {
        let mut named = Vec::new();
        collect_columns(&self.0["where"], DEPTH_MAX, &mut named);
        named.extend(self.0["order"]["column"].as_str());
        named.retain(|name| !has_column(dialect, columns, name));
        named
    }

    /// The query for a table with these columns.
    pub(crate) fn filled(&self, dialect: Dialect, columns: &[Column]) -> Result<Filled, String> {
        let number = dialect.row_number().0;
        let mut writer =
            Writer { dialect, columns, filled: Filled { sql: String::new(), parameters: Vec::new() } };
        let shown = columns.iter().filter(|column| column.name != number);
        let names: Vec<String> = shown.map(|column| dialect.name(&column.name)).collect();
        if names.is_empty() {
            return Err("the table has no columns".to_owned());
        }
        let limit = self.0["limit"].as_u64();
        let top = limit.filter(|_| dialect.is_sqlserver()).map(|limit| format!("TOP ({limit}) "));
        let (top, names) = (top.unwrap_or_default(), names.join(", "));
        writer.write(&format!("SELECT {top}{names} FROM {}", dialect.table(self.table())));
        if let Some(condition) = self.0.get("where") {
            writer.write(" WHERE ");
            writer.condition(condition, DEPTH_MAX)?;
        }
        let order = &self.0["order"];
        let is_numbered = columns.iter().any(|column| column.name == number);
        let descends = |is| if is { " DESC" } else { "" };
        match order["column"].as_str() {
            // By what no row has there is no order, and some databases refuse a constant.
            Some(column) if writer.has(column) => {
                let name = writer.column(column);
                writer.write(&format!(
                    " ORDER BY {name}{}",
                    descends(order["descending"].as_bool().unwrap_or(false))
                ));
            }
            Some(_) => {}
            None if is_numbered => writer.write(&format!(" ORDER BY {} DESC", dialect.name(number))),
            None => {}
        }
        if let Some(limit) = limit.filter(|_| !dialect.is_sqlserver()) {
            writer.write(&format!(" LIMIT {limit}"));
        }
        Ok(writer.filled)
    }
}

/// Collects the columns that a condition names.
fn collect_columns<'a>(condition: &'a Json, depth_left: usize, named: &mut Vec<&'a str>) {
    let Some(depth_left) = depth_left.checked_sub(1) else { return };
    named.extend(condition["column"].as_str());
    for inner in ["and", "or"].into_iter().filter_map(|word| condition[word].as_array()).flatten() {
        collect_columns(inner, depth_left, named);
    }
    collect_columns(&condition["not"], depth_left, named);
}

fn has_column(dialect: Dialect, columns: &[Column], name: &str) -> bool {
    let is_it =
        |known: &str| if dialect.ignores_case() { known.eq_ignore_ascii_case(name) } else { known == name };
    columns.iter().any(|column| is_it(&column.name))
}

/// Types of texts, in the words of the databases that compare no text with a number.
const TEXTS: [&str; 10] = [
    "text",
    "character",
    "character varying",
    "string",
    "varchar",
    "nvarchar",
    "char",
    "nchar",
    "ntext",
    "xml",
];

/// Types of other numbers, in the same.
const NUMBERS: [&str; 8] =
    ["double precision", "real", "numeric", "decimal", "float", "money", "smallmoney", "tinyint"];

struct Writer<'a> {
    dialect: Dialect,
    columns: &'a [Column],
    filled: Filled,
}

impl Writer<'_> {
    fn write(&mut self, sql: &str) {
        self.filled.sql.push_str(sql);
    }

    /// Whether the table has a column.
    fn has(&self, name: &str) -> bool {
        has_column(self.dialect, self.columns, name)
    }

    /// A column; NULL where the table does not have it, as in a row without such a member.
    fn column(&self, name: &str) -> String {
        if self.has(name) { self.dialect.name(name) } else { "NULL".to_owned() }
    }

    fn bind(&mut self, value: Parameter) {
        // A parameter would have the type of the column: of a whole number, which 21.5 is not.
        let number = match &value {
            _ if self.dialect.is_mysql() || self.dialect.is_sqlserver() => None,
            Parameter::Number(text) if self.dialect == Dialect::Crate => {
                Some(if text.parse::<i64>().is_ok() { "bigint" } else { "double precision" })
            }
            Parameter::Number(_) => Some("numeric"),
            Parameter::Null | Parameter::Text(_) | Parameter::Bytes(_) | Parameter::Boolean(_) => None,
        };
        self.filled.parameters.push(value);
        let parameter = self.dialect.parameter(self.filled.parameters.len());
        self.write(&match number {
            Some(number) => format!("CAST({parameter} AS {number})"),
            None => parameter,
        });
    }

    /// A condition that is always so, or never.
    fn certain(&mut self, is: bool) {
        self.write(match (self.dialect.is_sqlserver(), is) {
            (true, true) => "1 = 1",
            (true, false) => "1 = 0",
            (false, true) => "TRUE",
            (false, false) => "FALSE",
        });
    }

    fn condition(&mut self, condition: &Json, depth_left: usize) -> Result<(), String> {
        let depth_left = depth_left.checked_sub(1).ok_or("the condition is nested too deeply")?;
        for (word, between, none) in [("and", " AND ", true), ("or", " OR ", false)] {
            let Some(all) = condition[word].as_array() else { continue };
            if all.is_empty() {
                self.certain(none);
                return Ok(());
            }
            self.write("(");
            for (index, one) in all.iter().enumerate() {
                if index > 0 {
                    self.write(between);
                }
                self.condition(one, depth_left)?;
            }
            self.write(")");
            return Ok(());
        }
        if !condition["not"].is_null() {
            self.write("(NOT ");
            self.condition(&condition["not"], depth_left)?;
            self.write(")");
            return Ok(());
        }
        self.comparison(condition)
    }

    fn comparison(&mut self, condition: &Json) -> Result<(), String> {
        let name = condition["column"].as_str().ok_or("a condition names a column")?;
        let operator = condition["operator"].as_str().unwrap_or_default();
        let (column, value) = (self.column(name), &condition["value"]);
        let compared = match operator {
            "==" | "!=" if value.is_null() => {
                let is = if operator == "==" { "IS" } else { "IS NOT" };
                self.write(&format!("{column} {is} NULL"));
                return Ok(());
            }
            "==" => "=",
            "!=" => "<>",
            "<" | "<=" | ">" | ">=" => operator,
            "in" => return self.elements(name, &column, value),
            "contains" | "starts_with" | "ends_with" => {
                self.like(&column, operator, value);
                return Ok(());
            }
            _ => return Err(format!("unknown operator '{operator}'")),
        };
        match self.comparable(name, value) {
            Some(value) => {
                self.write(&format!("{column} {compared} "));
                self.bind(value);
            }
            None => self.certain(compared == "<>"),
        }
        Ok(())
    }

    /// Converts a value to one that compares with a column. Returns `None` if they are never equal
    /// and the database would reject the comparison. MySQL compares all types.
    fn comparable(&self, name: &str, value: &Json) -> Option<Parameter> {
        let value = parameter(value);
        let is_it =
            |known: &str| known == name || (self.dialect.ignores_case() && known.eq_ignore_ascii_case(name));
        let found = self.columns.iter().find(|column| is_it(&column.name));
        let kind = found.map_or("", |column| column.kind.as_str()).to_ascii_lowercase();
        if self.dialect.is_mysql() {
            return Some(value);
        }
        let is_text = TEXTS.contains(&&*kind);
        let is_numeric = is_whole(&kind) || NUMBERS.contains(&&*kind);
        let is_boolean = ["boolean", "bit"].contains(&&*kind);
        match value {
            Parameter::Number(text) if is_text => Some(Parameter::Text(text)),
            Parameter::Boolean(is) if is_text => Some(Parameter::Text(is.to_string())),
            Parameter::Text(text) if is_numeric => is_number(&text).then_some(Parameter::Number(text)),
            Parameter::Boolean(_) if is_numeric => None,
            Parameter::Number(_) if is_boolean => None,
            Parameter::Text(text) if is_boolean => match text.as_str() {
                "true" => Some(Parameter::Boolean(true)),
                "false" => Some(Parameter::Boolean(false)),
                _ => None,
            },
            value => Some(value),
        }
    }

    fn elements(&mut self, name: &str, column: &str, value: &Json) -> Result<(), String> {
        let elements = value.as_array().ok_or("`in` compares with an array")?;
        if elements.len() > ELEMENTS_MAX {
            return Err(format!("`in` has {} values, more than {ELEMENTS_MAX}", elements.len()));
        }
        let elements: Vec<Parameter> =
            elements.iter().filter_map(|element| self.comparable(name, element)).collect();
        if elements.is_empty() {
            self.certain(false);
            return Ok(());
        }
        self.write(&format!("{column} IN ("));
        for (index, element) in elements.into_iter().enumerate() {
            if index > 0 {
                self.write(", ");
            }
            self.bind(element);
        }
        self.write(")");
        Ok(())
    }

    fn like(&mut self, column: &str, operator: &str, value: &Json) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut pattern = String::new();
        for character in text.chars() {
            if matches!(character, '%' | '_' | '\\') || (character == '[' && self.dialect.is_sqlserver()) {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        let pattern = match operator {
            "starts_with" => format!("{pattern}%"),
            "ends_with" => format!("%{pattern}"),
            _ => format!("%{pattern}%"),
        };
        let text_type = match self.dialect {
            Dialect::MySql | Dialect::MariaDb => "CHAR",
            Dialect::SqlServer => "NVARCHAR(MAX)",
            Dialect::Postgres | Dialect::Crate => "TEXT",
        };
        self.write(&format!("CAST({column} AS {text_type}) LIKE "));
        self.bind(Parameter::Text(pattern));
        // The others take a backslash for this by themselves.
        if self.dialect.is_sqlserver() {
            self.write(" ESCAPE '\\'");
        }
    }
}

fn parameter(value: &Json) -> Parameter {
    match value {
        Json::Null => Parameter::Null,
        Json::Bool(is) => Parameter::Boolean(*is),
        Json::Number(number) => Parameter::Number(number.to_string()),
        Json::String(text) => Parameter::Text(text.clone()),
        Json::Array(_) | Json::Object(_) => Parameter::Text(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(question: &str) -> Result<String, String> {
        sql_of(Dialect::Postgres, question)
    }

    fn sql_of(dialect: Dialect, question: &str) -> Result<String, String> {
        let columns = [("lotmq_row", "bigint"), ("a", "text"), ("b", "bigint"), ("on", "bit")]
            .map(|(name, kind)| Column { name: name.to_owned(), kind: kind.to_owned() });
        let columns = &columns[..if dialect.is_sqlserver() { 4 } else { 3 }];
        let filled = Question::parse(question.as_bytes())?.filled(dialect, columns)?;
        Ok(format!(
            "{} <- {:?}",
            filled.sql.replace(r#"SELECT "a", "b" FROM "t""#, "*"),
            filled.parameters.len()
        ))
    }

    #[test]
    fn questions_become_queries_with_bound_values() {
        for (question, expected) in [
            (r#"{"table":"t"}"#, r#"* ORDER BY "lotmq_row" DESC <- 0"#),
            (r#"{"table":"t","order":{"column":"none"}}"#, "* <- 0"),
            (
                r#"{"table":"t","order":{"column":"a","descending":true},"limit":2}"#,
                r#"* ORDER BY "a" DESC LIMIT 2 <- 0"#,
            ),
            (
                r#"{"table":"t","order":{"column":"a"},"where":{"and":[{"column":"a","operator":"==","value":"'"},{"not":{"or":[{"column":"b","operator":"<","value":1},{"column":"c","operator":"!=","value":null}]}}]}}"#,
                r#"* WHERE ("a" = $1 AND (NOT ("b" < CAST($2 AS numeric) OR NULL IS NOT NULL))) ORDER BY "a" <- 2"#,
            ),
            (
                r#"{"table":"t","order":{"column":"a"},"where":{"or":[{"column":"a","operator":"in","value":[1,2]},{"column":"a","operator":"in","value":[]},{"column":"a","operator":"contains","value":"5%"}]}}"#,
                r#"* WHERE ("a" IN ($1, $2) OR FALSE OR CAST("a" AS TEXT) LIKE $3) ORDER BY "a" <- 3"#,
            ),
            (
                r#"{"table":"t","order":{"column":"a"},"where":{"or":[{"column":"b","operator":"==","value":"x"},{"column":"b","operator":"!=","value":true},{"column":"b","operator":"in","value":["1.5","x"]}]}}"#,
                r#"* WHERE (FALSE OR TRUE OR "b" IN (CAST($1 AS numeric))) ORDER BY "a" <- 1"#,
            ),
        ] {
            assert_eq!(sql(question).as_deref(), Ok(expected), "{question}");
        }
    }

    #[test]
    fn sql_server_has_no_truth_values_of_its_own() {
        for (question, expected) in [
            (
                r#"{"table":"t","limit":2}"#,
                "SELECT TOP (2) [a], [b], [on] FROM [t] ORDER BY [lotmq_row] DESC <- 0",
            ),
            (
                r#"{"table":"t","order":{"column":"A"},"where":{"or":[{"column":"A","operator":"==","value":1},{"column":"b","operator":"!=","value":"x"},{"column":"on","operator":"==","value":true},{"column":"a","operator":"contains","value":"[5%"},{"or":[]}]}}"#,
                "SELECT [a], [b], [on] FROM [t] WHERE ([A] = @p1 OR 1 = 1 OR [on] = @p2 OR CAST([a] AS NVARCHAR(MAX)) LIKE @p3 ESCAPE '\\' OR 1 = 0) ORDER BY [A] <- 3",
            ),
        ] {
            assert_eq!(sql_of(Dialect::SqlServer, question).as_deref(), Ok(expected), "{question}");
        }
    }

    #[test]
    fn what_is_no_question_is_told() {
        let deep = format!(r#"{{"table":"t","where":{}1{}}}"#, r#"{"not":"#.repeat(300), "}".repeat(300));
        for (question, expected) in [
            ("[]", "a query names a table"),
            (r#"{"table":"t","where":{"operator":"=="}}"#, "a condition names a column"),
            (r#"{"table":"t","where":{"column":"a","operator":"~"}}"#, "unknown operator '~'"),
            (
                r#"{"table":"t","where":{"column":"a","operator":"in","value":1}}"#,
                "`in` compares with an array",
            ),
        ] {
            assert_eq!(sql(question).unwrap_err(), expected);
        }
        assert!(sql(&deep).is_err());
    }
}
