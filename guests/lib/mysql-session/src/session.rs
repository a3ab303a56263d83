//! Session: statements, and the server's answers to them.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::rc::Rc;

use mysql_common::Value;
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{
    ComStmtClose, ComStmtExecuteRequestBuilder, CommonOkPacket, NullBitmap, OkPacketDeserializer,
    OldEofPacket, StmtPacket,
};
use mysql_common::value::{BinValue, ServerSide, TextValue, ValueDeserializer};

use crate::column::Column;
use crate::fault::{Fault, broken};
use crate::limits::{COLUMNS_MAX, PREPARED_MAX};
use crate::login::{self, Login};
use crate::wire::{Wire, bytes_of};

/// Commands of the protocol.
const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;

/// Capabilities with which results are parsed.
const ABLE: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41;

/// First statement of a session. Times are in UTC, the server rejects values that it cannot store,
/// and it reads quotes and backslashes as the statement scanner does.
const BEGINNING: &str = "SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1, sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'";

/// A session.
pub struct Session<S> {
    wire: Wire<S>,
    /// Whether columns say more than MySQL's do.
    is_extended: bool,
    prepared: HashMap<String, u32>,
    /// Bytes of a packet that the server takes.
    packet_bytes_max: usize,
    /// Reason why the connection is unusable.
    lost: Option<Fault>,
}

/// Result of a statement.
#[derive(Debug, Default)]
pub struct Done {
    pub affected: u64,
    /// Whether it has given rows, none of them perhaps.
    pub has_rows: bool,
}

/// Receiver of a result's rows.
pub type OnRow<'a> = &'a mut dyn FnMut(&[Column], &[Value]);

impl<S: Read + Write> Session<S> {
    /// Logs in over a stream, and sets what a session has. `timeout_s` is the time of a statement.
    ///
    /// # Errors
    /// The server refuses, or is none of MySQL or MariaDB.
    pub fn open(
        stream: S,
        who: &Login<'_>,
        timeout_s: u64,
        start_tls: impl FnOnce(&S) -> Result<(), Fault>,
    ) -> Result<Session<S>, Fault> {
        let mut wire = Wire::new(stream);
        let welcome = login::login(&mut wire, who, start_tls)?;
        let (is_extended, prepared, lost) = (welcome.is_extended, HashMap::new(), None);
        let mut session = Session { wire, is_extended, prepared, packet_bytes_max: usize::MAX, lost };
        session.begin(welcome.is_mariadb, timeout_s)?;
        Ok(session)
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        self.wire.stream()
    }

    fn begin(&mut self, is_mariadb: bool, timeout_s: u64) -> Result<(), Fault> {
        self.query(BEGINNING, &mut |_, _| {})?;
        let timeout = match is_mariadb {
            true => format!("SET SESSION max_statement_time = {timeout_s}"),
            false => format!("SET SESSION max_execution_time = {}", timeout_s.saturating_mul(1000)),
        };
        match self.query(&timeout, &mut |_, _| {}) {
            // Not all have it; then the connection is given up.
            Ok(_) | Err(Fault::Server { .. }) => {}
            Err(fault) => return Err(fault),
        }
        let mut bytes_max = None;
        self.query("SELECT @@max_allowed_packet", &mut |_, row| {
            bytes_max = match row.first() {
                Some(Value::Bytes(text)) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
                _ => None,
            };
        })?;
        self.packet_bytes_max = bytes_max.ok_or_else(|| broken("no max_allowed_packet"))?;
        Ok(())
    }

    /// Runs the text of a statement.
    pub fn query(&mut self, sql: &str, on_row: OnRow<'_>) -> Result<Done, Fault> {
        let packet = [&[QUERY], sql.as_bytes()].concat();
        self.check_size(packet.len())?;
        self.exchange(|session| {
            session.wire.command(&packet)?;
            session.results(false, on_row)
        })
    }

    /// Runs a statement with values.
    pub fn execute(&mut self, sql: &str, values: &[Value], on_row: OnRow<'_>) -> Result<Done, Fault> {
        let statement = self.prepare(sql)?;
        let (request, is_too_long) = ComStmtExecuteRequestBuilder::new(statement).build(values);
        if is_too_long {
            return Err(too_large(usize::MAX));
        }
        let packet = bytes_of(&request);
        self.check_size(packet.len())?;
        self.exchange(|session| {
            session.wire.command(&packet)?;
            session.results(true, on_row)
        })
    }

    /// Bytes that one packet may have.
    pub fn check_size(&self, bytes: usize) -> Result<(), Fault> {
        let most = self.packet_bytes_max.min(crate::limits::PACKET_BYTES_MAX);
        if bytes > most { Err(too_large(most)) } else { Ok(()) }
    }

    /// Forgets what was prepared.
    pub fn forget(&mut self) -> Result<(), Fault> {
        let prepared = std::mem::take(&mut self.prepared);
        self.exchange(|session| {
            // Nothing answers.
            prepared.into_values().try_for_each(|id| session.wire.command(&bytes_of(&ComStmtClose::new(id))))
        })
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        // Whether it is heard does not matter any more.
        let _ = self.exchange(|session| session.wire.command(&[QUIT]));
    }

    pub fn prepare(&mut self, sql: &str) -> Result<u32, Fault> {
        if let Some(id) = self.prepared.get(sql) {
            return Ok(*id);
        }
        if self.prepared.len() >= PREPARED_MAX {
            self.forget()?;
        }
        let packet = [&[PREPARE], sql.as_bytes()].concat();
        self.check_size(packet.len())?;
        let id = self.exchange(|session| {
            session.wire.command(&packet)?;
            let packet = session.wire.receive()?;
            if packet.first() == Some(&0xff) {
                return Err(Fault::parse(&packet));
            }
            let told: StmtPacket = ParseBuf(&packet).parse(()).map_err(broken)?;
            // Skips the definitions of parameters and columns, which come again or are not needed.
            for count in [told.num_params(), told.num_columns()].into_iter().filter(|count| *count > 0) {
                for _ in 0..=count {
                    session.wire.receive()?;
                }
            }
            Ok(told.statement_id())
        })?;
        self.prepared.insert(sql.to_owned(), id);
        Ok(id)
    }

    /// Does something over the connection, unless it is lost; it is when that fails in the middle.
    fn exchange<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        let outcome = work(self);
        if let Err(fault) = &outcome
            && fault.is_of_the_connection()
        {
            self.lost = Some(match fault {
                // Only the message that asked for it is to blame.
                Fault::Oversize => Fault::Lost("the connection was given up within an answer".to_owned()),
                fault => fault.clone(),
            });
        }
        outcome
    }

    /// Reads all results of a statement. The rows of the first that has some are handed on.
    fn results(&mut self, is_binary: bool, on_row: OnRow<'_>) -> Result<Done, Fault> {
        let mut done = Done::default();
        loop {
            let packet = self.wire.receive()?;
            let status = match packet.first() {
                Some(0x00) => {
                    let told: OkPacketDeserializer<'_, CommonOkPacket> =
                        ParseBuf(&packet).parse(ABLE).map_err(broken)?;
                    let told = told.into_inner();
                    done.affected = done.affected.saturating_add(told.affected_rows());
                    told.status_flags()
                }
                Some(0xff) => return Err(Fault::parse(&packet)),
                Some(0xfb) | None => return Err(broken("a result that is none")),
                Some(_) => {
                    let is_first = !std::mem::replace(&mut done.has_rows, true);
                    let columns = self.columns(&packet)?;
                    self.rows(is_binary, &columns, is_first.then_some(&mut *on_row))?
                }
            };
            if !status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
                return Ok(done);
            }
        }
    }

    fn columns(&mut self, head: &[u8]) -> Result<Rc<[Column]>, Fault> {
        let count = ParseBuf(head).checked_eat_lenenc_int().filter(|count| (1..=COLUMNS_MAX).contains(count));
        let count = count.ok_or_else(|| broken("a number of columns that is none"))?;
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(Column::parse(&self.wire.receive()?, self.is_extended)?);
        }
        end_of(&self.wire.receive()?)?.ok_or_else(|| broken("columns without an end"))?;
        Ok(columns.into())
    }

    fn rows(
        &mut self,
        is_binary: bool,
        columns: &[Column],
        mut on_row: Option<OnRow<'_>>,
    ) -> Result<StatusFlags, Fault> {
        loop {
            let packet = self.wire.receive()?;
            if packet.first() == Some(&0xff) {
                return Err(Fault::parse(&packet));
            }
            if let Some(status) = end_of(&packet)? {
                return Ok(status);
            }
            let Some(on_row) = &mut on_row else { continue };
            let row = if is_binary { binary_row(&packet, columns) } else { text_row(&packet, columns) };
            on_row(columns, &row.map_err(broken)?);
        }
    }
}

/// Reads the end packet of columns or rows; `None` if it is another packet.
fn end_of(packet: &[u8]) -> Result<Option<StatusFlags>, Fault> {
    if packet.first() != Some(&0xfe) || packet.len() >= 9 {
        return Ok(None);
    }
    let told: OkPacketDeserializer<'_, OldEofPacket> = ParseBuf(packet).parse(ABLE).map_err(broken)?;
    Ok(Some(told.into_inner().status_flags()))
}

fn text_row(packet: &[u8], columns: &[Column]) -> std::io::Result<Vec<Value>> {
    let mut rest = ParseBuf(packet);
    columns.iter().map(|_| Ok(rest.parse::<ValueDeserializer<TextValue>>(())?.0)).collect()
}

fn binary_row(packet: &[u8], columns: &[Column]) -> std::io::Result<Vec<Value>> {
    let mut rest = ParseBuf(packet);
    rest.checked_eat_u8();
    let nulls: NullBitmap<ServerSide, std::borrow::Cow<'_, [u8]>> = rest.parse(columns.len())?;
    let value = |(place, column): (usize, &Column)| match nulls.is_null(place) {
        true => Ok(Value::NULL),
        false => Ok(rest.parse::<ValueDeserializer<BinValue>>((column.kind, column.flags))?.0),
    };
    columns.iter().enumerate().map(value).collect()
}

fn too_large(most: usize) -> Fault {
    let most = most.min(crate::limits::PACKET_BYTES_MAX);
    Fault::Rejected(format!("a statement with its values has more than {most} bytes (max_allowed_packet)"))
}
