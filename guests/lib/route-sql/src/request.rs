//! Requests of the host: `probe`, `query` for `GET MODEL` and `FETCH FROM`, and `paths`: which way the messages of each query go.

use std::collections::BTreeMap;

use lotmq_guest::route::Failure;

use crate::condition::Question;
use crate::delivery::told_of_rows_left_out;
use crate::{Database, Filled, Tasks};

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
            // What the server already has against a query holds for each of its messages; the connection is well.
            for (name, insert) in tasks.queries() {
                let path = database.path(insert)?;
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
            let filled = question.filled(dialect, &columns).map_err(Failure::Reject)?;
            let (rows, left_out) = database.ask(&filled)?;
            told_of_rows_left_out(left_out);
            Ok(rows.into_bytes())
        }
        "paths" => {
            let path = |(name, insert)| Ok((name, database.path(insert)?));
            let paths: BTreeMap<&str, String> = tasks.queries().map(path).collect::<Result<_, Failure>>()?;
            Ok(serde_json::json!(paths).to_string().into_bytes())
        }
        _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
    }
}
