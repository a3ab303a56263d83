//! Session: statements, and the server's answers to them (\[MS-TDS\] §2.2.7).

use lotmq_guest::route::{Failure, IoError, described, failure, net};
use route_sql::limits::CONNECT_MS;
use route_sql::{Parameter, Server};

use crate::code_page::Collation;
use crate::column::{Column, read_columns};
use crate::fault::{Fault, broken};
use crate::limits::{PACKET_BYTES, STATEMENT_BYTES_MAX, VALUE_BYTES_MAX};
use crate::login::{self, Login};
use crate::options::{Options, Protection};
use crate::parameter::Kind;
use crate::source::{Source, as_utf16, utf16};
use crate::types::Type;
use crate::value::Value;
use crate::wire::{self, Wire};

/// Token types of the server's answers.
mod said {
    pub(super) const RETURN_STATUS: u8 = 0x79;
    pub(super) const COLUMNS: u8 = 0x81;
    pub(super) const TABLE_NAMES: u8 = 0xa4;
    pub(super) const COLUMN_INFO: u8 = 0xa5;
    pub(super) const ORDER: u8 = 0xa9;
    pub(super) const ERROR: u8 = 0xaa;
    pub(super) const INFO: u8 = 0xab;
    pub(super) const RETURN_VALUE: u8 = 0xac;
    pub(super) const LOGIN_ACKNOWLEDGEMENT: u8 = 0xad;
    pub(super) const FEATURES: u8 = 0xae;
    pub(super) const ROW: u8 = 0xd1;
    pub(super) const ROW_WITH_NULLS: u8 = 0xd2;
    pub(super) const CHANGE: u8 = 0xe3;
    pub(super) const SESSION_STATE: u8 = 0xe4;
    pub(super) const SECURITY: u8 = 0xed;
    pub(super) const DONE: u8 = 0xfd;
    pub(super) const DONE_CALL: u8 = 0xfe;
    pub(super) const DONE_IN_CALL: u8 = 0xff;
}

/// Flags of DONE: more follows, it has a count, it ends a cancelled statement.
const HAS_MORE: u16 = 0x001;
const HAS_COUNT: u16 = 0x010;
const IS_GIVEN_UP: u16 = 0x020;

/// Command of a SELECT, whose count is that of its rows.
const SELECT: u16 = 0xc1;

/// Number of the procedure `sp_executesql`.
const EXECUTE_SQL: u16 = 10;

/// First statement of a session: standard settings, errors that end the whole transaction, and
/// years before months.
const BEGINNING: &str = "SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF; SET ANSI_NULL_DFLT_ON ON; SET IMPLICIT_TRANSACTIONS OFF; SET NOCOUNT OFF; SET XACT_ABORT ON; SET DATEFORMAT ymd; SET TEXTSIZE 2147483647";

/// A session.
pub(crate) struct Session {
    wire: Wire,
    /// Collation of the database, for the texts of parameters.
    collation: Collation,
    /// The transaction that is open; 0 is none.
    transaction: [u8; 8],
    /// Seconds after which a statement is given up.
    timeout_s: u64,
    /// Reason why the connection is unusable.
    lost: Option<Fault>,
}

/// Result of a statement.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) affected: u64,
    /// Whether it has given rows, none of them perhaps.
    pub(crate) has_rows: bool,
}

/// Receiver of a result's rows.
pub(crate) type OnRow<'a> = &'a mut dyn FnMut(&[Column], &[Value]);

/// State of the answer so far.
#[derive(Default)]
struct Course {
    done: Done,
    columns: Vec<Column>,
    /// Results with rows.
    results: usize,
    error: Option<Fault>,
    is_logged_in: bool,
}

impl Session {
    /// Connects and logs in.
    pub(crate) fn open(server: &Server, options: &Options) -> Result<Session, Failure> {
        let connect_ms = match options.connect_s {
            Some(seconds) => u32::try_from(seconds.saturating_mul(1_000)).unwrap_or(u32::MAX).min(60_000),
            None => CONNECT_MS,
        };
        let tcp = net::Tcp::connect("sql", connect_ms).map_err(|error| failure(&error))?;
        let mut session = Session {
            wire: Wire::new(tcp, connect_ms.into()),
            collation: Collation([0x09, 0x04, 0xd0, 0x00, 0x34]),
            transaction: [0; 8],
            timeout_s: server.timeout_s,
            lost: None,
        };
        session.protect(options)?;
        session.log_in(server, options).map_err(Fault::of_login)?;
        session.run(BEGINNING, &[], &mut |_, _| {}).map_err(Fault::of_login)?;
        Ok(session)
    }

    /// Says what comes before a login, and goes on with TLS where it is asked for.
    fn protect(&mut self, options: &Options) -> Result<(), Failure> {
        // A denial of the host is no network error.
        let of_tls = |error: IoError| match error {
            IoError::Denied(_) => failure(&error),
            error => Fault::Lost(described(&error)).of_login(),
        };
        if options.protection == Protection::Strict {
            self.wire.tcp().start_tls_for("tds/8.0", self.wire.left_ms()).map_err(of_tls)?;
        }
        self.prelogin(options.protection).map_err(Fault::of_login)?;
        if options.protection == Protection::InTds {
            self.wire.tcp().start_tls_in_tds(self.wire.left_ms()).map_err(of_tls)?;
        }
        Ok(())
    }

    fn prelogin(&mut self, protection: Protection) -> Result<(), Fault> {
        self.wire.send(wire::PRELOGIN, &login::prelogin(protection))?;
        self.wire.next_message()?;
        let mut answer = Vec::new();
        while self.wire.has_more()? {
            answer.push(self.wire.byte()?);
        }
        login::check_prelogin(&answer, protection)?;
        // Anybody could have sent bytes before TLS.
        if self.wire.is_quiet() { Ok(()) } else { Err(broken("it speaks before TLS")) }
    }

    fn log_in(&mut self, server: &Server, options: &Options) -> Result<(), Fault> {
        let (user, password) = (server.user.as_deref(), server.password.as_deref());
        let Some(user) = user else {
            let reason = "SQL_CONFIG needs USERNAME: a login of SQL Server, not of Windows";
            return Err(Fault::Fatal(reason.to_owned()));
        };
        let peer = self.wire.tcp().peer().map(|peer| peer.host).unwrap_or_default();
        let message = login::login7(
            &Login {
                server: &peer,
                user,
                password: password.unwrap_or_default(),
                database: server.database.as_deref().unwrap_or_default(),
                options,
            },
            PACKET_BYTES,
        )?;
        self.wire.send(wire::LOGIN, &message)?;
        let mut course = Course::default();
        self.answer(&mut course, &mut |_, _| {})?;
        match course.error {
            Some(error) if !course.is_logged_in => Err(error),
            None if !course.is_logged_in => Err(broken("a login that is neither taken nor refused")),
            _ => {
                self.wire.open();
                Ok(())
            }
        }
    }

    /// Runs a statement, with values that have a type beside its text.
    pub(crate) fn run(
        &mut self,
        sql: &str,
        values: &[(Kind, &Parameter)],
        on_row: OnRow<'_>,
    ) -> Result<Done, Fault> {
        // Before there are more copies of it.
        let texts = values.iter().map(|(_, value)| match value {
            Parameter::Text(text) | Parameter::Number(text) => text.len(),
            Parameter::Bytes(bytes) => bytes.len(),
            Parameter::Null | Parameter::Boolean(_) => 0,
        });
        if texts.fold(sql.len(), usize::saturating_add) > STATEMENT_BYTES_MAX {
            return Err(too_long());
        }
        let (kind, message) = match values {
            [] => (wire::BATCH, [self.headers(), as_utf16(sql)].concat()),
            values => (wire::CALL, self.call(sql, values)),
        };
        if message.len() > STATEMENT_BYTES_MAX {
            return Err(too_long());
        }
        self.exchange(|session| {
            session.wire.begin(session.timeout_s.saturating_mul(1_000));
            session.wire.send(kind, &message)?;
            let mut course = Course::default();
            session.answer(&mut course, on_row)?;
            match course.error {
                _ if session.wire.is_given_up() => Err(Fault::TooSlow(session.timeout_s)),
                Some(error) => Err(error),
                None => Ok(course.done),
            }
        })
    }

    /// Encodes a call of `sp_executesql`: the statement, the names and types of its parameters, and
    /// their values.
    fn call(&self, sql: &str, values: &[(Kind, &Parameter)]) -> Vec<u8> {
        let mut message = self.headers();
        message.extend([0xff, 0xff]);
        message.extend(EXECUTE_SQL.to_le_bytes());
        message.extend([0, 0]);
        let names: Vec<String> = (1..=values.len()).map(|number| format!("@p{number}")).collect();
        let declared =
            names.iter().zip(values).map(|(name, (kind, _))| format!("{name} {}", kind.declaration()));
        let texts = [sql.to_owned(), declared.collect::<Vec<_>>().join(", ")];
        for text in texts {
            message.extend([0, 0]);
            let text = Parameter::Text(text);
            Kind::Text { is_long: true }.write(&text, self.collation, &mut message);
        }
        for (name, (kind, value)) in names.iter().zip(values) {
            let name = as_utf16(name);
            message.push(u8::try_from(name.len() / 2).unwrap_or_default());
            message.extend(name);
            message.push(0);
            kind.write(value, self.collation, &mut message);
        }
        message
    }

    /// Encodes the headers of a statement, with its transaction.
    fn headers(&self) -> Vec<u8> {
        let mut headers = vec![22, 0, 0, 0, 18, 0, 0, 0, 2, 0];
        headers.extend(self.transaction);
        headers.extend([1, 0, 0, 0]);
        headers
    }

    /// Does something over the connection, unless it is lost; it is when that fails in the middle.
    fn exchange<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        let outcome = work(self);
        if let Err(fault) = &outcome
            && (fault.is_of_the_connection() || matches!(fault, Fault::Rejected(_)))
        {
            self.lost = Some(match fault {
                // Only the message that asked for it is to blame.
                Fault::Oversize | Fault::Rejected(_) => {
                    Fault::Lost("the connection was given up within an answer".to_owned())
                }
                fault => fault.clone(),
            });
        }
        outcome
    }

    /// Reads the whole answer to a request. Passes on the rows of the first result with rows.
    fn answer(&mut self, course: &mut Course, on_row: OnRow<'_>) -> Result<(), Fault> {
        loop {
            self.wire.next_message()?;
            let is_over = self.message(course, on_row)?;
            if self.wire.has_more()? {
                return Err(broken("more than the end"));
            }
            // A cancelled statement may have ended before the cancellation; then the server reports
            // both.
            if is_over || !self.wire.is_given_up() {
                return Ok(());
            }
        }
    }

    /// Reads a message up to its last DONE. Returns whether that ends the whole answer.
    fn message(&mut self, course: &mut Course, on_row: OnRow<'_>) -> Result<bool, Fault> {
        loop {
            match self.wire.byte()? {
                said::COLUMNS => {
                    course.columns = read_columns(&mut self.wire)?;
                    course.results += usize::from(!course.columns.is_empty());
                    course.done.has_rows |= !course.columns.is_empty();
                }
                token @ (said::ROW | said::ROW_WITH_NULLS) => {
                    let row = self.row(&course.columns, token == said::ROW_WITH_NULLS)?;
                    if course.results == 1 {
                        on_row(&course.columns, &row);
                    }
                }
                said::ERROR => {
                    let error = self.error()?;
                    course.error.get_or_insert(error);
                }
                said::INFO | said::TABLE_NAMES | said::COLUMN_INFO | said::ORDER | said::SECURITY => {
                    let length = self.wire.short()?;
                    self.wire.take(length.into())?;
                }
                said::CHANGE => self.change()?,
                said::LOGIN_ACKNOWLEDGEMENT => {
                    login::check_acknowledgement(&mut self.wire)?;
                    course.is_logged_in = true;
                }
                said::RETURN_STATUS => drop(self.wire.take(4)?),
                said::RETURN_VALUE => {
                    self.wire.take(2)?;
                    self.wire.short_text()?;
                    self.wire.take(7)?;
                    Type::read(&mut self.wire)?.value(&mut self.wire)?;
                }
                said::FEATURES => self.features()?,
                said::SESSION_STATE => {
                    let length = usize::try_from(self.wire.long()?).unwrap_or(usize::MAX);
                    self.skip(length)?;
                }
                token @ (said::DONE | said::DONE_CALL | said::DONE_IN_CALL) => {
                    let (status, command) = (self.wire.short()?, self.wire.short()?);
                    let count = self.wire.long_long()?;
                    if status & HAS_COUNT != 0 && command != SELECT && token != said::DONE_CALL {
                        course.done.affected = course.done.affected.saturating_add(count);
                    }
                    if status & HAS_MORE == 0 && token != said::DONE_IN_CALL {
                        return Ok(status & IS_GIVEN_UP != 0);
                    }
                }
                token => return Err(broken(format!("a token of type {token:#04x}"))),
            }
        }
    }

    fn row(&mut self, columns: &[Column], has_nulls: bool) -> Result<Vec<Value>, Fault> {
        let nulls = if has_nulls { self.wire.take(columns.len().div_ceil(8))?.to_vec() } else { Vec::new() };
        let is_null = |place: usize| nulls.get(place / 8).is_some_and(|bits| bits >> (place % 8) & 1 == 1);
        let mut row = Vec::with_capacity(columns.len());
        for (place, column) in columns.iter().enumerate() {
            row.push(if is_null(place) { Value::Null } else { column.kind.value(&mut self.wire)? });
        }
        Ok(row)
    }

    fn error(&mut self) -> Result<Fault, Fault> {
        let length = self.wire.short()?;
        let mut source = Bytes(self.wire.take(length.into())?);
        let number = i32::from_le_bytes(source.array()?);
        let [_, severity] = source.array()?;
        Ok(Fault::Server { number, severity, message: source.text()? })
    }

    /// Applies a change of the session.
    fn change(&mut self) -> Result<(), Fault> {
        const PACKET_SIZE: u8 = 4;
        const COLLATION: u8 = 7;
        const BEGUN: u8 = 8;
        const ENDED: [u8; 3] = [9, 10, 17];
        const ROUTING: u8 = 20;
        let length = self.wire.short()?;
        let mut source = Bytes(self.wire.take(length.into())?);
        match source.byte()? {
            PACKET_SIZE => {
                let bytes = source.short_text()?.parse().map_err(broken)?;
                self.wire.set_packet_bytes(bytes);
            }
            COLLATION => {
                if source.byte()? == 5 {
                    self.collation = Collation::read(&mut source)?;
                }
            }
            BEGUN => {
                if source.byte()? == 8 {
                    self.transaction = source.array()?;
                }
            }
            kind if ENDED.contains(&kind) => self.transaction = [0; 8],
            ROUTING => {
                source.take(3)?;
                let port = source.short()?;
                let characters = usize::from(source.short()?);
                let host = utf16(source.take(2 * characters)?);
                return Err(Fault::Fatal(format!(
                    "the server sends its clients on to {host}, port {port}: name that one as SERVER"
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads what features the server has, of which none was asked for.
    fn features(&mut self) -> Result<(), Fault> {
        const END: u8 = 0xff;
        while self.wire.byte()? != END {
            let length = usize::try_from(self.wire.long()?).unwrap_or(usize::MAX);
            self.skip(length)?;
        }
        Ok(())
    }

    fn skip(&mut self, length: usize) -> Result<(), Fault> {
        if length > VALUE_BYTES_MAX {
            return Err(Fault::Oversize);
        }
        self.wire.take(length).map(drop)
    }
}

fn too_long() -> Fault {
    Fault::Rejected(format!(
        "a statement with its values has more than {STATEMENT_BYTES_MAX} bytes, of which a character has two"
    ))
}

/// Bytes of a token whose length is known.
struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| broken("a token that ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }
}
