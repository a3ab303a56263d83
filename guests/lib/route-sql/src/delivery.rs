//! Deliveries: the database gets pure writes together in one transaction, and each query with an
//! answer by itself.
//!
//! Order is kept: a query with an answer waits for earlier writes. The host halves a batch that
//! fails.

use std::borrow::Cow;

use lotmq_guest::route::{
    Arrival, Delivery, Failure, Level, Receipt, Rejection, ambient,
    diagnostics::{self, Severity},
    ingest, log, unpublished,
};

use crate::pace::Pace;
use crate::rows::Row;
use crate::task::{Destination, Query, Task, Tasks, Work};
use crate::{Dialect, Filled, Insert, Parameter, Target, affected};

/// Operations of a route on its database.
pub trait Database {
    /// Its dialect.
    fn dialect(&self) -> Dialect;

    /// Returns whether the writes of one transaction are atomic. If not, each message is written by
    /// itself.
    fn is_atomic(&self) -> bool {
        true
    }

    /// Does all of this, or nothing, in order.
    ///
    /// # Errors
    /// Why not; `Reject` when one of it can never pass.
    fn write(&mut self, writes: &[Write<'_>]) -> Result<(), Failure>;

    /// Runs one statement. Returns its rows as JSON, or the number of changed rows, and the number
    /// of rows beyond the limit.
    ///
    /// # Errors
    /// Returns why the statement failed.
    fn ask(&mut self, filled: &Filled) -> Result<(String, u64), Failure>;

    /// Describes in a few words how the messages of a query are written. `insert` is the insert
    /// that may combine many of them.
    ///
    /// # Errors
    /// Returns why the way is unknown.
    fn path(&mut self, insert: Option<&Insert>) -> Result<String, Failure> {
        Ok(if insert.is_some() { "rows together" } else { "one by one" }.to_owned())
    }

    /// Returns a name in a statement that the server does not know, by preparing the statement.
    /// Returns `None` if it knows all names, or if something else is wrong.
    ///
    /// # Errors
    /// Returns why the check failed.
    fn unknown_name(&mut self, _statement: &Filled) -> Result<Option<UnknownName>, Failure> {
        Ok(None)
    }

    /// Columns of a table; `None` when there is none of this name.
    ///
    /// # Errors
    /// Why they cannot be known.
    fn columns(&mut self, table: &str) -> Result<Option<Cow<'_, [crate::rows::Column]>>, Failure>;
}

/// A name that the server does not know, in its words.
#[derive(Debug)]
pub enum UnknownName {
    /// That of a table.
    Table(String),
    /// That of a column.
    Column(String),
}

/// Something that is written.
#[derive(Debug)]
pub enum Write<'a> {
    /// A statement of one message.
    Statement(Filled),
    /// The same insert for several messages.
    Inserts(Block<'a>),
    /// Rows of a table, which all have the same columns.
    Rows(&'a str, Vec<Row>),
}

impl Write<'_> {
    /// Table whose columns say as what values are sent; `None` where that is up to the server.
    #[must_use]
    pub fn table(&self, dialect: Dialect) -> Option<Cow<'_, str>> {
        match self {
            Write::Statement(_) => None,
            Write::Inserts(block) => {
                Target::of_insert(dialect, &block.insert.head).map(|target| target.table.into())
            }
            Write::Rows(table, _) => Some((*table).into()),
        }
    }
}

/// Messages of the same insert.
#[derive(Debug)]
pub struct Block<'a> {
    /// The insert.
    pub insert: &'a Insert,
    /// Its parameters for each message.
    pub rows: Vec<Vec<Parameter>>,
    /// Each message by itself.
    pub each: Vec<Filled>,
}

/// Hands a batch over.
///
/// # Errors
/// Nothing of the batch is done, and why.
pub(crate) fn deliver(
    database: &mut impl Database,
    tasks: &Tasks,
    batch: &[Delivery],
) -> Result<Receipt, Failure> {
    let began = ambient::monotonic_ms();
    let mut course = Course {
        database,
        pace: &tasks.pace,
        receipt: Receipt { accepted: 0, rejected: Vec::new() },
        writes: Vec::new(),
        written: 0,
        waiting: Vec::new(),
    };
    for (index, delivery) in batch.iter().enumerate() {
        match course.next(tasks, delivery, index as u32) {
            Ok(()) => {}
            // The receipt prevents that finished messages are done again.
            Err(_) if course.receipt.accepted > 0 => return Ok(course.receipt),
            Err(failure) => return Err(failure),
        }
        if course.writes.is_empty()
            && course.waiting.is_empty()
            && ambient::monotonic_ms().saturating_sub(began) >= tasks.pace.batch_ms()
        {
            return Ok(course.receipt);
        }
    }
    match course.flush(batch.len() as u32) {
        Err(failure) if course.receipt.accepted == 0 => Err(failure),
        Ok(()) | Err(_) => Ok(course.receipt),
    }
}

struct Course<'a, D> {
    database: &'a mut D,
    receipt: Receipt,
    pace: &'a Pace,
    /// Pending writes, and the number of their messages.
    writes: Vec<Write<'a>>,
    written: usize,
    /// Rejections of messages among those that wait to be written.
    waiting: Vec<Rejection>,
}

impl<'a, D: Database> Course<'a, D> {
    fn next(&mut self, tasks: &'a Tasks, delivery: &'a Delivery, index: u32) -> Result<(), Failure> {
        let planned = tasks.of(delivery).and_then(|work| self.plan(work, delivery));
        match planned {
            Err(reason) => {
                self.waiting.push(Rejection { index, reason });
                Ok(())
            }
            Ok(None) if self.database.is_atomic() => {
                self.written += 1;
                if self.written < self.pace.most() { Ok(()) } else { self.flush(index + 1) }
            }
            Ok(None) => match self.flush(index + 1) {
                Err(Failure::Reject(reason)) => {
                    self.receipt.rejected.append(&mut self.waiting);
                    self.receipt.rejected.push(Rejection { index, reason });
                    self.receipt.accepted = index + 1;
                    Ok(())
                }
                other => other,
            },
            Ok(Some((planned, destination))) => {
                self.flush(index)?;
                let answered = self.answer(planned, destination, delivery);
                match answered {
                    Err(Failure::Reject(reason)) => self.receipt.rejected.push(Rejection { index, reason }),
                    other => other?,
                }
                self.receipt.accepted = index + 1;
                Ok(())
            }
        }
    }

    /// Puts a message to what is to be written; gives back what has to be answered.
    fn plan(
        &mut self,
        work: Work<'a>,
        delivery: &'a Delivery,
    ) -> Result<Option<(Planned<'a>, &'a Destination)>, String> {
        match work {
            Work::Table(table) => self.row(table, Row::parse(&delivery.message.payload)?),
            Work::Task(Task { query: None, table, answer: None }) => {
                self.row(table, Row::parse(&delivery.message.payload)?)
            }
            Work::Task(Task { query: None, table, answer: Some(destination) }) => {
                return Ok(Some((Planned::Row(table, Row::parse(&delivery.message.payload)?), destination)));
            }
            Work::Task(Task { query: Some(query), answer, .. }) => {
                let filled = query.statement.filled(query.values(delivery))?;
                match (answer, &query.insert) {
                    (Some(destination), _) => return Ok(Some((Planned::Statement(filled), destination))),
                    (None, Some(insert)) => self.insert(query, insert, delivery, filled)?,
                    (None, None) => self.writes.push(Write::Statement(filled)),
                }
            }
        }
        Ok(None)
    }

    fn row(&mut self, table: &'a str, row: Row) {
        match self.writes.last_mut() {
            Some(Write::Rows(known, rows)) if *known == table && rows[0].columns == row.columns => {
                rows.push(row)
            }
            _ => self.writes.push(Write::Rows(table, vec![row])),
        }
    }

    fn insert(
        &mut self,
        query: &'a Query,
        insert: &'a Insert,
        delivery: &Delivery,
        filled: Filled,
    ) -> Result<(), String> {
        let row = insert.values(&query.statement, query.values(delivery))?;
        match self.writes.last_mut() {
            Some(Write::Inserts(block)) if std::ptr::eq(block.insert, insert) => {
                block.rows.push(row);
                block.each.push(filled);
            }
            _ => self.writes.push(Write::Inserts(Block { insert, rows: vec![row], each: vec![filled] })),
        }
        Ok(())
    }

    /// Writes what waits; what stands before `index` is done then.
    fn flush(&mut self, index: u32) -> Result<(), Failure> {
        if !self.writes.is_empty() {
            let began = ambient::monotonic_ms();
            self.database.write(&std::mem::take(&mut self.writes))?;
            let took_ms = ambient::monotonic_ms().saturating_sub(began);
            self.pace.heed(std::mem::take(&mut self.written), took_ms);
        }
        self.receipt.rejected.append(&mut self.waiting);
        self.receipt.accepted = index;
        Ok(())
    }

    fn answer(
        &mut self,
        planned: Planned<'a>,
        destination: &Destination,
        delivery: &Delivery,
    ) -> Result<(), Failure> {
        let payload = match planned {
            Planned::Statement(filled) => {
                let (rows, left_out) = self.database.ask(&filled)?;
                told_of_rows_left_out(left_out);
                rows
            }
            Planned::Row(table, row) => {
                self.database.write(&[Write::Rows(table, vec![row])])?;
                affected(1)
            }
        };
        let arrival = Arrival {
            topic: destination.topic.filled(delivery),
            payload: payload.into_bytes(),
            qos: destination.qos,
            retain: destination.retain,
            properties: None,
        };
        ingest::publish(&[arrival]).map_err(unpublished)
    }
}

enum Planned<'a> {
    Statement(Filled),
    Row(&'a str, Row),
}

/// Tells people that an answer was too large, if rows were left out.
pub(crate) fn told_of_rows_left_out(count: u64) {
    if count == 0 {
        return;
    }
    let message = format!("an answer has more than 1 MiB: {count} rows were left out");
    diagnostics::report(Severity::Warning, "TRUNCATED", &message, 0, 0);
    log(Level::Warn, &message);
}

#[cfg(test)]
mod tests {
    use lotmq_guest::route::{PlaceholderValues, Value, testing};
    use route_settings::Configuration;

    use super::*;

    /// A database that refuses one text, and notes how many messages each transaction has.
    struct Fake {
        is_atomic: bool,
        written: Vec<usize>,
    }

    impl Database for Fake {
        fn dialect(&self) -> Dialect {
            Dialect::Postgres
        }

        fn is_atomic(&self) -> bool {
            self.is_atomic
        }

        fn write(&mut self, writes: &[Write<'_>]) -> Result<(), Failure> {
            let filled: Vec<&Filled> = writes
                .iter()
                .flat_map(|write| match write {
                    Write::Statement(filled) => std::slice::from_ref(filled),
                    Write::Inserts(block) => &block.each[..],
                    Write::Rows(..) => &[],
                })
                .collect();
            if filled.iter().any(|one| one.parameters == [Parameter::Text("bad".to_owned())]) {
                return Err(Failure::Reject("it is bad".to_owned()));
            }
            self.written.push(filled.len());
            Ok(())
        }

        fn ask(&mut self, _: &Filled) -> Result<(String, u64), Failure> {
            Ok(("[]".to_owned(), 0))
        }

        fn unknown_name(&mut self, statement: &Filled) -> Result<Option<UnknownName>, Failure> {
            let column = statement.sql.contains("nope").then(|| UnknownName::Column("no nope".to_owned()));
            let table =
                || statement.sql.contains("late").then(|| UnknownName::Table("no \"late\"".to_owned()));
            Ok(column.or_else(table))
        }

        fn columns(&mut self, _: &str) -> Result<Option<Cow<'_, [crate::rows::Column]>>, Failure> {
            Ok(None)
        }
    }

    #[test]
    fn names_that_the_server_does_not_know_are_told_before_there_are_messages() {
        let text = r#"{"sections":{},"events":{"bad":{"QUERY":{"template":["UPDATE t SET a = 1 WHERE nope = '","'"],"placeholders":["payload"]}},
            "makes":{"TABLE":"late"},"reads":{"QUERY":"SELECT * FROM late"}},"mappings":{}}"#;
        let tasks = Tasks::read(&Configuration::parse(text).unwrap(), Dialect::Postgres, false).unwrap();
        let mut fake = Fake { is_atomic: true, written: Vec::new() };
        let mut ask = |operation: &str| crate::request::request(&mut fake, &tasks, operation, b"{}");
        let told = String::from_utf8(ask("paths").unwrap()).unwrap();
        assert_eq!(told, r#"{"bad":"cannot be prepared: no nope","reads":"one by one"}"#);
        let refused = ask("probe").unwrap_err();
        assert!(
            matches!(refused, Failure::Retry(reason) if reason.ends_with("bad cannot be prepared: no nope"))
        );
    }

    fn tasks() -> Tasks {
        let text = r#"{"sections":{},"events":{"event":{"QUERY":{"template":["INSERT INTO t VALUES ('","')"],"placeholders":["payload"]}}},"mappings":{}}"#;
        Tasks::read(&Configuration::parse(text).unwrap(), Dialect::Postgres, false).unwrap()
    }

    fn batch(payloads: &[&str]) -> Vec<Delivery> {
        let delivery = |payload: &&str| {
            let mut delivery = testing::delivery("in", *payload);
            let values = vec![Value::Text((*payload).to_owned())];
            delivery.placeholders = vec![PlaceholderValues { setting: "QUERY".to_owned(), values }];
            delivery
        };
        payloads.iter().map(delivery).collect()
    }

    #[test]
    fn transactions_grow_with_what_is_quick() {
        let (mut fake, tasks) = (Fake { is_atomic: true, written: Vec::new() }, tasks());
        let receipt = deliver(&mut fake, &tasks, &batch(&["a"; 10])).unwrap();
        assert_eq!((receipt.accepted, fake.written), (10, vec![1, 2, 4, 3]));
    }

    #[test]
    fn what_was_written_before_a_bad_one_is_done() {
        let (mut fake, tasks) = (Fake { is_atomic: true, written: Vec::new() }, tasks());
        let receipt = deliver(&mut fake, &tasks, &batch(&["a", "b", "bad"])).unwrap();
        assert_eq!((receipt.accepted, receipt.rejected.len()), (1, 0));
        let refused = deliver(&mut fake, &tasks, &batch(&["b", "bad"])).unwrap_err();
        assert!(matches!(refused, Failure::Reject(reason) if reason == "it is bad"));
    }

    #[test]
    fn the_path_of_each_query_is_told() {
        let text = r#"{"sections":{},"events":{"put":{"QUERY":{"template":["INSERT INTO t VALUES ('","')"],"placeholders":["payload"]}},
            "back":{"QUERY":{"template":["INSERT INTO t VALUES ('","')"],"placeholders":["payload"]},"DESTINATION_TOPIC":"x"},
            "row":{"TABLE":"t"}},"mappings":{"ask":{"QUERY":"SELECT 1"}}}"#;
        let tasks = Tasks::read(&Configuration::parse(text).unwrap(), Dialect::Postgres, false).unwrap();
        let mut fake = Fake { is_atomic: true, written: Vec::new() };
        let told = crate::request::request(&mut fake, &tasks, "paths", b"{}").unwrap();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(told, r#"{"ask":"one by one","back":"one by one","put":"rows together"}"#);
    }

    #[test]
    fn without_transactions_each_message_is_heeded_by_itself() {
        let (mut fake, tasks) = (Fake { is_atomic: false, written: Vec::new() }, tasks());
        let receipt = deliver(&mut fake, &tasks, &batch(&["a", "bad", "c"])).unwrap();
        let rejected: Vec<_> = receipt.rejected.iter().map(|one| (one.index, one.reason.as_str())).collect();
        assert_eq!((receipt.accepted, rejected), (3, vec![(1, "it is bad")]));
        assert_eq!(fake.written, [1, 1]);
    }
}
