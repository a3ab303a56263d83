//! Session with PostgreSQL: login, and queries with parameters. Its transactions are read-only.

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::backend::{AuthenticationSaslBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;

use crate::limits::ERROR_CHARACTERS_MAX;
use crate::query::Query;
use crate::server::Server;
use crate::table::{Failure, Table};
use crate::wire::{Wire, no_protocol};

/// The way to authenticate with a password that is not sent.
const SCRAM: &str = "SCRAM-SHA-256";

/// A session.
pub(crate) struct Session {
    wire: Wire,
}

impl Session {
    /// Connects, logs in and sets what a session has.
    pub(crate) fn open(server: &Server, until_ms: u64) -> Result<Session, String> {
        let mut wire = Wire::connect(until_ms)?;
        if server.starts_tls {
            wire.start_tls(until_ms)?;
        }
        let parameters = [
            ("user", &*server.user),
            ("database", &*server.database),
            ("client_encoding", "UTF8"),
            ("application_name", "lotmq"),
        ];
        frontend::startup_message(parameters, &mut wire.out).map_err(|_| no_protocol())?;
        Login { wire: &mut wire, server, until_ms, scram: None }.finish()?;
        let settings = format!(
            "SET default_transaction_read_only = on; SET standard_conforming_strings = on; SET statement_timeout = {}",
            server.timeout_ms
        );
        frontend::query(&settings, &mut wire.out).map_err(|_| no_protocol())?;
        let mut session = Session { wire };
        match session.answer(until_ms) {
            Ok(_) => Ok(session),
            Err(Failure::Lost(reason) | Failure::Refused(reason)) => Err(reason),
        }
    }

    /// Asks a query. The statement is prepared for this one use, so proxies that pool connections
    /// work too.
    pub(crate) fn ask(&mut self, query: &Query, values: &[Vec<u8>], until_ms: u64) -> Result<Table, Failure> {
        let out = &mut self.wire.out;
        let value = |value: &Vec<u8>, out: &mut bytes::BytesMut| {
            out.extend_from_slice(value);
            Ok(IsNull::No)
        };
        let is_written = frontend::parse("", &query.sql, [], out).is_ok()
            && frontend::bind("", "", [], values, value, [], out).is_ok()
            && frontend::describe(b'P', "", out).is_ok()
            && frontend::execute("", 0, out).is_ok();
        if !is_written {
            out.clear();
            return Err(Failure::Refused("the query is too long".to_owned()));
        }
        frontend::sync(out);
        self.answer(until_ms)
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        self.wire.close();
    }

    /// Rows until the server is ready; the first error is what came of it all.
    fn answer(&mut self, until_ms: u64) -> Result<Table, Failure> {
        let (mut table, mut refused) = (Table::default(), None);
        loop {
            let message =
                self.wire.next(until_ms).map_err(|reason| Failure::Lost(refused.take().unwrap_or(reason)))?;
            match message {
                // A statement that has begun a transaction leaves it to nobody.
                Message::ReadyForQuery(body) if body.status() != b'I' => {
                    return Err(Failure::Lost(
                        "the query has begun a transaction and not ended it".to_owned(),
                    ));
                }
                Message::ReadyForQuery(_) => {
                    return refused.map_or(Ok(table), |reason| Err(Failure::Refused(reason)));
                }
                Message::ErrorResponse(body) => drop(refused.get_or_insert(error_text(&body))),
                Message::RowDescription(body) => {
                    let names = body.fields().map(|field| Ok(field.name().to_owned())).collect();
                    table.columns = names.map_err(|_| Failure::Lost(no_protocol()))?;
                }
                Message::DataRow(body) => {
                    let buffer = body.buffer();
                    let cell = |range: Option<std::ops::Range<usize>>| {
                        let bytes = range.and_then(|range| buffer.get(range));
                        Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
                    };
                    let row = body.ranges().map(cell).collect();
                    table.push(row.map_err(|_| Failure::Lost(no_protocol()))?).map_err(Failure::Lost)?;
                }
                // Data for `COPY` would be waited for without end.
                Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                    return Err(Failure::Lost("the query is COPY".to_owned()));
                }
                _ => {}
            }
        }
    }
}

struct Login<'a> {
    wire: &'a mut Wire,
    server: &'a Server,
    until_ms: u64,
    scram: Option<sasl::ScramSha256>,
}

impl<'a> Login<'a> {
    fn finish(mut self) -> Result<(), String> {
        loop {
            match self.wire.next(self.until_ms)? {
                Message::AuthenticationOk if self.scram.is_some() => return Err(unproven()),
                Message::AuthenticationOk | Message::BackendKeyData(_) => {}
                Message::AuthenticationCleartextPassword if !self.server.starts_tls => {
                    return Err("it wants the password in clear, which needs USE_STARTTLS".to_owned());
                }
                Message::AuthenticationCleartextPassword => {
                    let password = self.password()?;
                    self.send_password(password.as_bytes())?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash =
                        md5_hash(self.server.user.as_bytes(), self.password()?.as_bytes(), body.salt());
                    self.send_password(hash.as_bytes())?;
                }
                Message::AuthenticationSasl(body) => self.begin_scram(&body)?,
                Message::AuthenticationSaslContinue(body) => {
                    let scram = self.scram.as_mut().ok_or_else(no_protocol)?;
                    scram.update(body.data()).map_err(|_| no_protocol())?;
                    frontend::sasl_response(scram.message(), &mut self.wire.out)
                        .map_err(|_| no_protocol())?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let mut scram = self.scram.take().ok_or_else(no_protocol)?;
                    scram.finish(body.data()).map_err(|_| unproven())?;
                }
                Message::ErrorResponse(body) => return Err(error_text(&body)),
                Message::ReadyForQuery(_) if self.scram.is_none() => return Ok(()),
                _ => return Err("it wants another way to authenticate than with a password".to_owned()),
            }
        }
    }

    fn password(&self) -> Result<&'a str, String> {
        let missing = || "it wants a password, and db_password is not set".to_owned();
        self.server.password.as_deref().ok_or_else(missing)
    }

    fn send_password(&mut self, password: &[u8]) -> Result<(), String> {
        frontend::password_message(password, &mut self.wire.out).map_err(|_| no_protocol())
    }

    fn begin_scram(&mut self, body: &AuthenticationSaslBody) -> Result<(), String> {
        let mut offered = body.mechanisms();
        let has_it = offered.any(|mechanism| Ok(mechanism == SCRAM)).map_err(|_| no_protocol())?;
        if !has_it {
            return Err("it wants another way to authenticate than SCRAM-SHA-256".to_owned());
        }
        // The host has the certificate of the server, and nothing here could be bound to it.
        let scram = sasl::ScramSha256::new(self.password()?.as_bytes(), sasl::ChannelBinding::unsupported());
        frontend::sasl_initial_response(SCRAM, scram.message(), &mut self.wire.out)
            .map_err(|_| no_protocol())?;
        self.scram = Some(scram);
        Ok(())
    }
}

/// Error of the server for the log.
fn error_text(body: &ErrorResponseBody) -> String {
    let (mut code, mut message) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = value,
            b'M' => message = value,
            _ => {}
        }
    }
    let message: String = message.chars().take(ERROR_CHARACTERS_MAX).collect();
    format!("{message} (SQLSTATE {code})")
}

fn unproven() -> String {
    "it has not proved that it knows the password".to_owned()
}
