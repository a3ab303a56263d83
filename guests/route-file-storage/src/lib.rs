//! Routes of type `FILE_STORAGE`: records in files of CSV or JSON, and lines in files of text.
//!
//! A batch is accepted when it is on the disk.

mod config;
mod csv;
mod limits;
mod query;
mod store;
mod time;

use config::{Config, Taker, checked};
use lotmq_guest::route::files::{FileError, Folder};
use lotmq_guest::route::{
    Abilities, Addressee, Arrival, Delivery, Description, Failure, Receipt, Rejection, Route, ingest,
    unpublished,
};
use query::Query;
use serde_json::{Map, Value as Json};
use std::cell::RefCell;
use store::Store;
use time::Time;

/// Error text for a full disk. The broker keeps some space free on every disk with such a folder.
const NO_SPACE: &str =
    "its disk is full, or has no more than the broker keeps free (limits.disk_reserve_bytes and an eighth)";

struct FileStorage;

struct State {
    config: Config,
    store: Store,
}

thread_local!(static STATE: RefCell<Option<State>> = const { RefCell::new(None) });

impl Route for FileStorage {
    fn describe() -> Description {
        let abilities = Abilities::DELIVER | Abilities::REQUEST;
        Description { configuration: config::SCHEMA.to_owned(), abilities }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let config = Config::parse(&configuration)?;
        let store = Store::new(config.files.clone());
        STATE.set(Some(State { config, store }));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        STATE.with_borrow_mut(|state| match state {
            Some(state) => state.deliver(&batch),
            None => Err(Failure::Reconnect("not open".to_owned())),
        })
    }

    fn request(operation: String, _body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        if operation != "probe" {
            return Err(Failure::Reject(format!("files do not answer '{operation}'")));
        }
        let listed = Folder::named("file_storage").list("").map(|_| b"{}".to_vec());
        listed.map_err(|error| Failure::Reconnect(format!("the folder cannot be read: {}", told(error))))
    }
}

/// Why a folder cannot be read.
fn told(error: FileError) -> String {
    match error {
        FileError::Denied(reason) | FileError::Other(reason) => reason,
        FileError::NotFound => "it is not there".to_owned(),
        FileError::Exists | FileError::NotEmpty => "a file is in its place".to_owned(),
        FileError::NoSpace => NO_SPACE.to_owned(),
        FileError::LimitReached => "too many files are open".to_owned(),
    }
}

impl State {
    fn deliver(&mut self, batch: &[Delivery]) -> Result<Receipt, Failure> {
        let mut receipt = Receipt { accepted: 0, rejected: Vec::new() };
        let mut answers = Vec::new();
        for delivery in batch {
            match self.write(delivery) {
                Ok(answer) => answers.extend(answer.map(|answer| (receipt.accepted, answer))),
                Err(Failure::Reject(reason)) => {
                    receipt.rejected.push(Rejection { index: receipt.accepted, reason });
                }
                // Earlier messages are accepted alone, so this one fails by itself the next time.
                Err(_) if receipt.accepted > 0 => break,
                Err(failure) => {
                    self.store.forget();
                    return Err(failure);
                }
            }
            receipt.accepted += 1;
        }
        if let Err(failure) = self.store.flush() {
            self.store.forget();
            return Err(failure);
        }
        receipt.rejected.extend(publish(answers)?);
        receipt.rejected.sort_by_key(|rejection| rejection.index);
        Ok(receipt)
    }

    /// Writes the records of a delivery and returns its answer.
    fn write(&mut self, delivery: &Delivery) -> Result<Option<Arrival>, Failure> {
        let unknown = || Failure::Reject("the definition has nothing that takes it".to_owned());
        let taker = match &delivery.to {
            Addressee::Event(name) => self.config.event(name).ok_or_else(unknown)?,
            Addressee::Mapping(name) => self.config.mapping(name).ok_or_else(unknown)?,
            Addressee::Table(name) => {
                let records = query::records_of(&delivery.message.payload).map_err(Failure::Reject)?;
                add(&mut self.store, &self.config, name, records, delivery)?;
                return Ok(None);
            }
            Addressee::Tag(_) => return Err(unknown()),
        };
        let affected = match &taker.query {
            None => {
                let records = query::records_of(&delivery.message.payload).map_err(Failure::Reject)?;
                add(&mut self.store, &self.config, &taker.table, records, delivery)?
            }
            Some((_, Query::Clean { table, data })) => {
                let values = taker.values(delivery);
                let records = data.records(values).map_err(Failure::Reject)?;
                add(&mut self.store, &self.config, &table.text(values), records, delivery)?
            }
            Some((_, Query::Append { file, text })) => {
                let values = taker.values(delivery);
                let path = checked(file.text(values)).map_err(Failure::Reject)?;
                self.store.append(&path, &text.text(values))?;
                1
            }
        };
        Ok(answer(taker, delivery, affected))
    }
}

/// Publishes answers, by the positions of their deliveries. Reports unpublished answers as
/// rejected, because their records are written and must not come again.
fn publish(answers: Vec<(u32, Arrival)>) -> Result<Vec<Rejection>, Failure> {
    let (positions, arrivals): (Vec<u32>, Vec<Arrival>) = answers.into_iter().unzip();
    if arrivals.is_empty() || ingest::publish(&arrivals).is_ok() {
        return Ok(Vec::new());
    }
    let mut rejected = Vec::new();
    for (index, arrival) in positions.into_iter().zip(&arrivals) {
        match ingest::publish(std::slice::from_ref(arrival)).map_err(unpublished) {
            Ok(()) => {}
            Err(Failure::Reject(reason) | Failure::Retry(reason)) => {
                let reason = format!(
                    "it is written, but its answer is not published to '{}': {reason}",
                    arrival.topic
                );
                rejected.push(Rejection { index, reason });
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(rejected)
}

/// Adds records to the file of a table; gives their number.
fn add(
    store: &mut Store,
    config: &Config,
    table: &str,
    mut records: Vec<Map<String, Json>>,
    delivery: &Delivery,
) -> Result<usize, Failure> {
    let at = Time::of(delivery.received_ms);
    let path = config.files.path(table, at).map_err(Failure::Reject)?;
    let count = records.len();
    for record in &mut records {
        if let Some(pattern) = &config.files.timestamp {
            // That of the record itself is what it means.
            let own = record.shift_remove("timestamp").unwrap_or_else(|| at.by_net(pattern).into());
            record.shift_insert(0, "timestamp".to_owned(), own);
        }
    }
    store.add(&path, &records)?;
    Ok(count)
}

/// Returns the answer to a delivery that was written.
fn answer(taker: &Taker, delivery: &Delivery, affected: usize) -> Option<Arrival> {
    let topic = taker.answer.as_ref()?.filled(delivery);
    let (qos, retain) = taker.publishing;
    let payload = format!("[{{\"affected\":{affected}}}]").into_bytes();
    Some(Arrival { topic, payload, qos, retain, properties: None })
}

lotmq_guest::export_route!(FileStorage);
