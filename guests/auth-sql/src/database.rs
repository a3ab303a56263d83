//! Session with a database server of either kind, and the rows of its answers.

use crate::config::{Kind, Server};
use crate::mysql;
use crate::postgres;
use crate::query::Query;

/// A session.
pub(crate) enum Session {
    Postgres(Box<postgres::Session>),
    Mysql(Box<mysql::Session>),
}

/// Rows of an answer, as text; `None` is NULL. An answer without rows may have no columns.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

/// Reason why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The session is of no use any more.
    Lost(String),
    /// The server refuses the statement.
    Refused(String),
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The reason in words.
    pub(crate) fn open(server: &Server, until_ms: u64) -> Result<Session, String> {
        match server.kind {
            Kind::Postgres => postgres::Session::open(server, until_ms).map(Box::new).map(Session::Postgres),
            Kind::Mysql => mysql::Session::open(server, until_ms).map(Box::new).map(Session::Mysql),
        }
    }

    /// Asks a query.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) fn ask(
        &mut self,
        query: &Query,
        values: Vec<Vec<u8>>,
        until_ms: u64,
    ) -> Result<Table, Failure> {
        match self {
            Session::Postgres(session) => session.ask(query, &values, until_ms),
            Session::Mysql(session) => session.ask(query, values, until_ms),
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        match self {
            Session::Postgres(session) => session.close(),
            Session::Mysql(session) => session.close(),
        }
    }
}

impl Table {
    /// A cell by the name of its column.
    pub(crate) fn cell<'a>(&self, row: &'a [Option<String>], column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| name == column)?;
        row.get(at)?.as_deref()
    }
}
