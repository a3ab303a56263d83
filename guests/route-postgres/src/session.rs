//! Session: prepares statements once, and executes many of them with one round trip, as one
//! transaction.
//!
//! Values are text in both directions: the server reads a value of any type, and nothing is lost on
//! the way. All steps before one `Sync` are one transaction: all of them or none take effect.

use std::collections::HashMap;
use std::rc::Rc;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use lotmq_guest::route::Failure;
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;
use postgres_protocol::{IsNull, Oid};
use route_sql::limits::PREPARED_MAX;
use route_sql::{Answer, Dialect, Server, affected};

use crate::fault::Fault;
use crate::json;
use crate::limits::GRACE_MS;
use crate::login;
use crate::wire::{Incoming, Wire, no_protocol};

/// The type of texts.
pub(crate) const TEXT: Oid = 25;

/// Error text for a server that wants data for `COPY … FROM STDIN`.
const NO_COPY: &str = "a route brings no data for COPY";

/// A statement that is prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    name: String,
    /// Types of its parameters.
    pub(crate) parameters: Vec<Oid>,
    columns: Vec<Column>,
}

/// A column of a result.
#[derive(Debug)]
struct Column {
    name: String,
    kind: Oid,
}

/// Values of the parameters of a statement, as text; `None` is NULL.
pub(crate) type Values = Vec<Option<Vec<u8>>>;

/// A statement that is to be executed.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) prepared: Rc<Prepared>,
    pub(crate) values: Values,
}

/// Steps of the same messages are equal if their parameter types, and so their texts, are equal.
impl PartialEq for Step {
    fn eq(&self, other: &Step) -> bool {
        self.prepared.parameters == other.prepared.parameters && self.values == other.values
    }
}

/// A session with a server.
pub(crate) struct Session {
    wire: Wire,
    timeout_ms: u64,
    /// Prepared statements, by their text and given types.
    prepared: HashMap<(String, Vec<Oid>), Rc<Prepared>>,
    last_number: u64,
}

/// Result of a statement: rows, or the number of changed ones.
#[derive(Default)]
struct Outcome {
    answer: Option<Answer>,
    columns: Vec<Column>,
    changed: u64,
    left_out: u64,
}

impl Session {
    /// Connects, logs in and sets what a session has.
    pub(crate) fn open(server: &Server, dialect: Dialect) -> Result<Session, Failure> {
        let wire = login::connect(server, dialect)?;
        let timeout_ms = server.timeout_s.saturating_mul(1_000).saturating_add(GRACE_MS);
        let mut session = Session { wire, timeout_ms, prepared: HashMap::new(), last_number: 0 };
        let settings = login::settings(server, dialect);
        if !settings.is_empty() {
            session.query(&settings).map_err(|fault| fault.failure)?;
        }
        Ok(session)
    }

    /// Prepares a statement, or returns the prepared one. `types` are its parameter types, unless
    /// the server chooses them.
    pub(crate) fn prepare(&mut self, sql: &str, types: &[Oid]) -> Result<Rc<Prepared>, Fault> {
        let key = (sql.to_owned(), types.to_vec());
        if let Some(known) = self.prepared.get(&key) {
            return Ok(Rc::clone(known));
        }
        if self.prepared.len() >= PREPARED_MAX {
            self.forget();
        }
        let mut types = types.to_vec();
        let described = loop {
            match self.describe(sql, &types) {
                // A literal would be a text there, and so is the parameter that stands for it.
                Err(fault) if fault.code == "42P18" && says_text(&mut types, &fault.message) => {}
                other => break Rc::new(other?),
            }
        };
        self.prepared.insert(key, Rc::clone(&described));
        Ok(described)
    }

    /// Prepares statements with this beginning again at their next use, because their parameter
    /// types may have changed. The server keeps the old ones, because existing steps use them.
    pub(crate) fn renew(&mut self, begin: &str) {
        self.prepared.retain(|(sql, _), _| !sql.starts_with(begin));
    }

    /// Whether no statement is prepared.
    pub(crate) fn knows_nothing(&self) -> bool {
        self.prepared.is_empty()
    }

    /// Forgets all prepared statements, and has the server forget them.
    pub(crate) fn forget(&mut self) {
        for (_, known) in self.prepared.drain() {
            // The names are ours.
            let _ = frontend::close(b'S', &known.name, &mut self.wire.out);
        }
    }

    fn describe(&mut self, sql: &str, types: &[Oid]) -> Result<Prepared, Fault> {
        self.last_number += 1;
        let name = format!("lotmq_{}", self.last_number);
        encoded(&mut self.wire.out, |out| frontend::parse(&name, sql, types.iter().copied(), out))?;
        frontend::describe(b'S', &name, &mut self.wire.out).map_err(|_| no_protocol())?;
        frontend::sync(&mut self.wire.out);
        let mut prepared = Prepared { name, parameters: Vec::new(), columns: Vec::new() };
        self.until_ready(|message| {
            match message {
                Incoming::Message(Message::ParameterDescription(body)) => {
                    prepared.parameters = body.parameters().collect().map_err(|_| no_protocol())?;
                }
                Incoming::Message(Message::RowDescription(body)) => prepared.columns = columns(&body)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(prepared)
    }

    /// Executes statements as one transaction.
    pub(crate) fn execute(&mut self, steps: &[Step]) -> Result<(), Fault> {
        let began = self.wire.out.len();
        for step in steps {
            if let Err(failure) = self.bind(step) {
                // Nothing was sent yet, and nothing of it may be.
                self.wire.out.truncate(began);
                return Err(failure.into());
            }
        }
        frontend::sync(&mut self.wire.out);
        self.until_ready(|_| Ok(()))
    }

    /// Executes one statement. Returns its rows as JSON, or the number of changed rows, and the
    /// number of rows without room.
    pub(crate) fn ask(&mut self, step: &Step) -> Result<(String, u64), Fault> {
        self.bind(step)?;
        frontend::sync(&mut self.wire.out);
        let columns = &step.prepared.columns;
        let mut result = Outcome::default();
        if !columns.is_empty() {
            result.answer = Some(Answer::default());
        }
        self.until_ready(|incoming| match incoming {
            Incoming::Message(Message::DataRow(body)) => result.row(&body, columns),
            other => result.heed(&other),
        })?;
        Ok(result.end())
    }

    /// Executes statements without parameters, separated by semicolons, as one transaction. Returns
    /// the result of the last one with rows.
    pub(crate) fn query(&mut self, sql: &str) -> Result<(String, u64), Fault> {
        encoded(&mut self.wire.out, |out| frontend::query(sql, out))?;
        let mut result = Outcome::default();
        self.until_ready(|incoming| match incoming {
            Incoming::Message(Message::RowDescription(body)) => {
                result.columns = columns(&body)?;
                result.answer = Some(Answer::default());
                result.left_out = 0;
                Ok(())
            }
            Incoming::Message(Message::DataRow(body)) => {
                let columns = std::mem::take(&mut result.columns);
                let added = result.row(&body, &columns);
                result.columns = columns;
                added
            }
            other => result.heed(&other),
        })?;
        Ok(result.end())
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        self.wire.close();
    }

    fn bind(&mut self, step: &Step) -> Result<(), Failure> {
        let out = &mut self.wire.out;
        let began = out.len();
        let values = step.values.iter();
        // All as text, in both directions.
        let bound = frontend::bind("", &step.prepared.name, [], values, value, [], out);
        let bound = bound.is_ok() && frontend::execute("", 0, out).is_ok();
        if !bound {
            out.truncate(began);
            return Err(Failure::Reject("a value is too large for one statement".to_owned()));
        }
        Ok(())
    }

    /// Hands over what the server sends until it is ready; the first error is what came of it all.
    fn until_ready(&mut self, heed: impl FnMut(Incoming) -> Result<(), Failure>) -> Result<(), Fault> {
        let (fault, is_within) = self.until_status(heed)?;
        if !is_within {
            return fault.map_or(Ok(()), Err);
        }
        // A statement of the definition has begun a transaction, which later statements must not
        // join.
        encoded(&mut self.wire.out, |out| frontend::query("ROLLBACK", out))?;
        if self.until_status(|_| Ok(()))?.1 {
            return Err(no_protocol().into());
        }
        let reason = "the statement has begun a transaction and not ended it: all of it was undone";
        Err(fault.unwrap_or_else(|| Failure::Reject(reason.to_owned()).into()))
    }

    /// The first error until the server is ready, and whether a transaction is under way then.
    fn until_status(
        &mut self,
        mut heed: impl FnMut(Incoming) -> Result<(), Failure>,
    ) -> Result<(Option<Fault>, bool), Fault> {
        let (mut fault, mut is_copying) = (None, false);
        loop {
            // A server that goes on sending is not silent, however long that takes.
            match self.wire.next(self.timeout_ms)? {
                Incoming::Message(Message::ReadyForQuery(body)) => return Ok((fault, body.status() != b'I')),
                Incoming::Message(Message::ErrorResponse(body)) => {
                    let mut told = Fault::of(&body, false);
                    if is_copying {
                        // The server reports a cancellation, which would mean a retry.
                        told.failure = Failure::Reject(NO_COPY.to_owned());
                    }
                    fault.get_or_insert(told);
                }
                Incoming::Message(Message::CopyInResponse(_)) => {
                    is_copying = true;
                    encoded(&mut self.wire.out, |out| frontend::copy_fail(NO_COPY, out))?;
                    frontend::sync(&mut self.wire.out);
                }
                Incoming::Message(Message::EmptyQueryResponse) if fault.is_none() => {}
                incoming if fault.is_none() => heed(incoming)?,
                _ => {}
            }
        }
    }
}

impl Outcome {
    fn row(&mut self, body: &DataRowBody, columns: &[Column]) -> Result<(), Failure> {
        let Some(answer) = &mut self.answer else { return Err(no_protocol()) };
        let buffer = body.buffer();
        let mut ranges = body.ranges();
        if answer.is_full() {
            answer.row(std::iter::empty());
            return Ok(());
        }
        let mut cells = Vec::with_capacity(columns.len());
        for column in columns {
            let range = ranges.next().map_err(|_| no_protocol())?.ok_or_else(no_protocol)?;
            let value = match range {
                None => "null".to_owned(),
                Some(range) => {
                    let text = std::str::from_utf8(buffer.get(range).ok_or_else(no_protocol)?);
                    json::value(text.map_err(|_| no_protocol())?, column.kind)
                }
            };
            cells.push((column.name.as_str(), value));
        }
        answer.row(cells.into_iter());
        Ok(())
    }

    fn heed(&mut self, incoming: &Incoming) -> Result<(), Failure> {
        match incoming {
            Incoming::LongRow => self.left_out += 1,
            Incoming::Message(Message::CommandComplete(body)) => {
                let tag = body.tag().map_err(|_| no_protocol())?;
                let count = tag.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
                self.changed = self.changed.saturating_add(count.unwrap_or(0));
            }
            Incoming::Message(_) => {}
        }
        Ok(())
    }

    fn end(self) -> (String, u64) {
        match self.answer {
            Some(answer) => {
                let (json, left_out) = answer.end();
                (json, left_out.saturating_add(self.left_out))
            }
            None => (affected(self.changed), 0),
        }
    }
}

fn columns(body: &RowDescriptionBody) -> Result<Vec<Column>, Failure> {
    let fields =
        body.fields().map(|field| Ok(Column { name: field.name().to_owned(), kind: field.type_oid() }));
    fields.collect().map_err(|_| no_protocol())
}

fn value(
    value: &Option<Vec<u8>>,
    out: &mut BytesMut,
) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
    match value {
        None => Ok(IsNull::Yes),
        Some(text) => {
            out.extend_from_slice(text);
            Ok(IsNull::No)
        }
    }
}

/// Writes a message, or nothing of it: a statement with the character NUL cannot be sent.
fn encoded(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let began = out.len();
    write(out).map_err(|_| {
        out.truncate(began);
        Failure::Reject("the statement has the character NUL in it, or is too long".to_owned())
    })
}

/// Says that a parameter is a text whose type a server could not find; false when that is no help.
fn says_text(types: &mut Vec<Oid>, message: &str) -> bool {
    let behind = message.split_once('$').map_or("", |(_, behind)| behind);
    let digits = behind.split(|next: char| !next.is_ascii_digit()).next().unwrap_or_default();
    let Some(number) = digits.parse::<u16>().ok().map(usize::from).filter(|number| *number > 0) else {
        return false;
    };
    if types.len() < number {
        types.resize(number, 0);
    }
    std::mem::replace(&mut types[number - 1], TEXT) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_of_any_type_is_a_text() {
        let mut types = Vec::new();
        assert!(says_text(&mut types, "could not determine data type of parameter $2"));
        assert_eq!(types, [0, TEXT]);
        assert!(!says_text(&mut types, "could not determine data type of parameter $2"));
        assert!(says_text(&mut types, "konnte Datentyp von Parameter $1 nicht ermitteln"));
        assert!(!says_text(&mut types, "of parameter $0"));
        assert!(!says_text(&mut types, "nothing"));
    }
}
