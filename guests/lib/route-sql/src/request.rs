//! Requests of the host: `probe`, `query` for `GET MODEL` and `FETCH FROM`, and `paths`, which
//! describes how each query's messages are written.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use lotmq_guest::route::{
    Failure, Level,
    diagnostics::{self, Severity},
    log,
};

use crate::condition::Question;
use crate::delivery::{UnknownName, told_of_rows_left_out};
use crate::limits::COLUMNS_TOLD_MAX;
use crate::rows::Column;
use crate::{Database, Dialect, Filled, Insert, Statement, Tasks};

/// Code of warnings about missing columns.
const UNKNOWN_COLUMN: &str = "COLUMN";

/// Beginning of the path of a query that the server does not take.
pub const UNPREPARED: &str = "cannot be prepared";

/// Answers a request.
///
/// # Errors
/// Why it cannot be answered.
pub(crate) fn request(
    database: &mut impl Database,
    tasks: &Tasks,
    operation: &str,
    body: &[u8],
) -> Result<Vec<u8>, Failure> {
    match operation {
        "probe" => {
            database.ask(&Filled { sql: "SELECT 1".to_owned(), parameters: Vec::new() })?;
            // An error of the server in a query holds for each of its messages, but the connection
            // works.
            for (name, path) in paths(database, tasks)? {
                if path.starts_with(UNPREPARED) {
                    return Err(Failure::Retry(format!("the server is there, and {name} {path}")));
                }
            }
            Ok(b"{}".to_vec())
        }
        "query" => {
            let question = Question::parse(body).map_err(Failure::Reject)?;
            let dialect = database.dialect();
            let Some(columns) = database.columns(question.table())? else { return Ok(b"[]".to_vec()) };
            for warning in warnings(&question, dialect, &columns) {
                diagnostics::report(Severity::Warning, UNKNOWN_COLUMN, &warning, 0, 0);
                log(Level::Warn, &warning);
            }
            let filled = question.filled(dialect, &columns).map_err(Failure::Reject)?;
            let (rows, left_out) = database.ask(&filled)?;
            told_of_rows_left_out(left_out);
            Ok(rows.into_bytes())
        }
        "paths" => Ok(serde_json::json!(paths(database, tasks)?).to_string().into_bytes()),
        _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
    }
}

/// The path of each query, or what the server does not know of it.
fn paths<'a>(database: &mut impl Database, tasks: &'a Tasks) -> Result<BTreeMap<&'a str, String>, Failure> {
    let path = |(name, insert, statement): (&'a str, Option<&Insert>, &Statement)| {
        let unknown = match statement.sample() {
            Some(sample) => database.unknown_name(&sample)?,
            None => None,
        };
        let path = match unknown {
            Some(UnknownName::Column(reason)) => format!("{UNPREPARED}: {reason}"),
            // The route makes its own tables with the first row, so they may be missing before.
            Some(UnknownName::Table(reason)) if !tasks.makes_table_in(&reason) => {
                format!("{UNPREPARED}: {reason}")
            }
            Some(UnknownName::Table(_)) | None => database.path(insert)?,
        };
        Ok((name, path))
    };
    tasks.statements().map(path).collect()
}

thread_local!(static TOLD: RefCell<BTreeSet<(String, String)>> = const { RefCell::new(BTreeSet::new()) });

/// Returns warnings for columns that a question names and its table lacks, each once. They are null
/// in every row.
pub(crate) fn warnings(question: &Question, dialect: Dialect, columns: &[Column]) -> Vec<String> {
    let table = question.table();
    let is_new = |column: &&str| {
        TOLD.with_borrow_mut(|told| {
            told.len() < COLUMNS_TOLD_MAX && told.insert((table.to_owned(), (*column).to_owned()))
        })
    };
    let unknown = question.unknown_columns(dialect, columns).into_iter().filter(is_new);
    let warning = |column| {
        format!(
            "the table '{table}' has no column '{column}', which a question names: it is NULL in each row"
        )
    };
    unknown.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_a_question_names_and_its_table_has_not_are_told_once() {
        let question = br#"{"table":"t","where":{"and":[{"column":"here","operator":"=","value":"1"},{"not":{"column":"gone","operator":"=","value":"1"}}]},"order":{"column":"away"}}"#;
        let question = Question::parse(question).unwrap();
        let columns = [Column { name: "here".to_owned(), kind: "text".to_owned() }];
        let told = warnings(&question, Dialect::Postgres, &columns);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("'gone'") && told[1].contains("'away'"), "{told:?}");
        assert!(warnings(&question, Dialect::Postgres, &columns).is_empty());
    }
}
