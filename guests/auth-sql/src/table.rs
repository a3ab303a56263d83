//! Rows of an answer, bounded, and the reasons why there is none.

use crate::limits::{ANSWER_BYTES_MAX, ROWS_MAX};

/// Rows of an answer, as text; `None` is NULL. An answer without rows may have no columns.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// Bytes of the cells.
    bytes: usize,
}

/// Reason why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The session is of no use any more.
    Lost(String),
    /// The server refuses the statement.
    Refused(String),
}

impl Table {
    /// Adds a row.
    ///
    /// # Errors
    /// The answer is too large.
    pub(crate) fn push(&mut self, row: Vec<Option<String>>) -> Result<(), String> {
        self.bytes += row.iter().flatten().map(String::len).sum::<usize>();
        if self.rows.len() >= ROWS_MAX || self.bytes > ANSWER_BYTES_MAX {
            return Err(format!("the query returns more than {ROWS_MAX} rows or {ANSWER_BYTES_MAX} bytes"));
        }
        self.rows.push(row);
        Ok(())
    }

    /// A cell by the name of its column.
    pub(crate) fn cell<'a>(&self, row: &'a [Option<String>], column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| name == column)?;
        row.get(at)?.as_deref()
    }
}
