//! Session with MySQL or MariaDB: queries with parameters, in read-only transactions.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};

use lotmq_guest::auth::net::{self, Interest, Tcp};
use lotmq_guest::auth::{IoError, described};
use mysql_common::Value;
use mysql_session::{Fault, Login};

use crate::limits::ERROR_CHARACTERS_MAX;
use crate::query::Query;
use crate::server::{ENDPOINT, Server};
use crate::table::{Failure, Table};
use crate::wire::left_ms;

/// A session.
pub(crate) struct Session {
    session: mysql_session::Session<Stream>,
}

/// Connection whose reads and writes have a common deadline.
struct Stream {
    tcp: Tcp,
    until_ms: Cell<u64>,
}

impl Session {
    /// Connects, logs in and sets what a session has.
    ///
    /// # Errors
    /// The reason in words.
    pub(crate) fn open(server: &Server, until_ms: u64) -> Result<Session, String> {
        let tcp = Tcp::connect(ENDPOINT, left_ms(until_ms)?).map_err(|error| described(&error))?;
        let who = Login {
            user: &server.user,
            password: server.password.as_deref().unwrap_or_default(),
            database: Some(&server.database),
            is_secure: server.starts_tls,
        };
        let stream = Stream { tcp, until_ms: Cell::new(until_ms) };
        let start_tls = |stream: &Stream| {
            let left_ms = left_ms(until_ms).map_err(Fault::Lost)?;
            stream.tcp.start_tls(left_ms).map_err(|error| Fault::Lost(described(&error)))
        };
        let timeout_s = server.timeout_ms / 1_000;
        let opened = mysql_session::Session::open(stream, &who, timeout_s, start_tls);
        let mut session = opened.map_err(|fault| text(&fault))?;
        let read_only = session.query("SET SESSION TRANSACTION READ ONLY", &mut |_, _| {});
        read_only.map_err(|fault| text(&fault))?;
        Ok(Session { session })
    }

    /// Asks a query. The server keeps the prepared statement.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) fn ask(
        &mut self,
        query: &Query,
        values: Vec<Vec<u8>>,
        until_ms: u64,
    ) -> Result<Table, Failure> {
        self.session.stream().until_ms.set(until_ms);
        let values: Vec<Value> = values.into_iter().map(Value::Bytes).collect();
        let (mut table, mut unusable) = (Table::default(), None);
        let outcome = self.session.execute(&query.sql, &values, &mut |columns, row| {
            if table.columns.is_empty() {
                table.columns = columns.iter().map(|column| column.name.clone()).collect();
            }
            let other = || "a column of the query is no text and no whole number".to_owned();
            let row: Option<Vec<_>> = row.iter().map(cell).collect();
            if let Err(reason) = row.ok_or_else(other).and_then(|row| table.push(row)) {
                unusable = Some(reason);
            }
        });
        match (outcome, unusable) {
            (Ok(_), None) => Ok(table),
            (Ok(_), Some(reason)) => Err(Failure::Refused(reason)),
            (Err(fault), _) if fault.is_of_the_connection() => Err(Failure::Lost(text(&fault))),
            (Err(fault), _) => {
                // A table may have changed since the statement was prepared.
                self.session.forget().map_err(|fault| Failure::Lost(text(&fault)))?;
                Err(Failure::Refused(text(&fault)))
            }
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        self.session.close();
    }
}

/// A value as text, and NULL as `None`; no cell for a time or a fraction.
fn cell(value: &Value) -> Option<Option<String>> {
    match value {
        Value::NULL => Some(None),
        Value::Bytes(bytes) => Some(Some(String::from_utf8_lossy(bytes).into_owned())),
        Value::Int(number) => Some(Some(number.to_string())),
        Value::UInt(number) => Some(Some(number.to_string())),
        Value::Float(_) | Value::Double(_) | Value::Date(..) | Value::Time(..) => None,
    }
}

fn text(fault: &Fault) -> String {
    fault.text().chars().take(ERROR_CHARACTERS_MAX).collect()
}

impl Stream {
    fn wait(&self, interest: Interest<'_>) -> IoResult<()> {
        let left_ms = left_ms(self.until_ms.get()).map_err(|_| Error::from(ErrorKind::TimedOut))?;
        net::wait(&[interest], left_ms);
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> IoResult<usize> {
        let max = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        loop {
            match self.tcp.read(max) {
                Ok(read) => {
                    let count = read.len().min(bytes.len());
                    bytes[..count].copy_from_slice(&read[..count]);
                    return Ok(count);
                }
                Err(IoError::WouldBlock) => self.wait(Interest::Readable(&self.tcp))?,
                Err(error) => return Err(Error::other(described(&error))),
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        loop {
            match self.tcp.write(bytes) {
                Ok(count) => return Ok(count as usize),
                Err(IoError::WouldBlock) => self.wait(Interest::Writable(&self.tcp))?,
                Err(error) => return Err(Error::other(described(&error))),
            }
        }
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}
