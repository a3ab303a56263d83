//! Session with a database server of either kind.

use crate::mysql;
use crate::postgres;
use crate::query::Query;
use crate::server::{Kind, Server};
use crate::table::{Failure, Table};

/// A session.
pub(crate) enum Session {
    Postgres(Box<postgres::Session>),
    Mysql(Box<mysql::Session>),
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
