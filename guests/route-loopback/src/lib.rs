//! The route type `LOOPBACK`: a far side in memory. It stores rows, answers events and queries, and
//! fails on demand.
//!
//! It lets users try routes without a database, and tests the behaviour that all routes share. Its
//! tables live as long as the instance. They are gone when the route is replaced or has failed with
//! class `reconnect`.

mod config;
mod failing;
mod table;

use config::Config;
use lotmq_guest::route::{
    Abilities, Addressee, Arrival, Delivery, Description, Failure, Receipt, Rejection, Route, ingest, net,
    unpublished,
};
use serde_json::Value as Json;
use std::{cell::RefCell, collections::BTreeMap};
use table::{Query, Table};

/// Delay of the messages of one call, all together, in milliseconds.
const DELAY_MS_MAX: u32 = 10_000;

struct Loopback;

#[derive(Default)]
struct State {
    config: Config,
    tables: BTreeMap<String, Table>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

impl Route for Loopback {
    fn describe() -> Description {
        Description {
            configuration: config::SCHEMA.to_owned(),
            abilities: Abilities::DELIVER | Abilities::REQUEST,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let config = Config::parse(&configuration)?;
        STATE.with_borrow_mut(|state| *state = State { config, tables: BTreeMap::new() });
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        STATE.with_borrow_mut(|state| {
            let mut receipt = Receipt { accepted: 0, rejected: Vec::new() };
            for delivery in &batch {
                match state.deliver(delivery) {
                    // Stops early, before the host takes the delay for a far side that does not
                    // answer. The rest comes again.
                    Ok(()) if state.config.delay_ms.saturating_mul(receipt.accepted + 1) >= DELAY_MS_MAX => {
                        receipt.accepted += 1;
                        return Ok(receipt);
                    }
                    Ok(()) => {}
                    Err(Failure::Reject(reason)) => {
                        receipt.rejected.push(Rejection { index: receipt.accepted, reason });
                    }
                    // The receipt prevents that finished messages are done again.
                    Err(_) if receipt.accepted > 0 => return Ok(receipt),
                    Err(failure) => return Err(failure),
                }
                receipt.accepted += 1;
            }
            Ok(receipt)
        })
    }

    fn run(_until_ms: u32) -> Result<u32, Failure> {
        Ok(u32::MAX)
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        STATE.with_borrow_mut(|state| {
            state.config.hold();
            state.config.failing.check()?;
            match operation.as_str() {
                "probe" => Ok(b"{}".to_vec()),
                "query" => {
                    let query = Query::parse(&body).map_err(Failure::Reject)?;
                    let rows = state.tables.get(query.table()).map(|table| table.select(&query));
                    Ok(Json::Array(rows.unwrap_or_default()).to_string().into_bytes())
                }
                _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
            }
        })
    }

    fn close() {
        STATE.take();
    }
}

impl State {
    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Failure> {
        self.config.hold();
        self.config.failing.check()?;
        let (event, table) = match &delivery.to {
            Addressee::Event(name) => (&**name, self.config.table_of(name)),
            Addressee::Table(name) => ("", Some(&**name)),
            Addressee::Mapping(_) | Addressee::Tag(_) => {
                return Err(Failure::Reject("it has no mappings".to_owned()));
            }
        };
        if let Some(word) = self.config.template(event, "FAIL") {
            failing::Failing::parse(&word.filled(delivery))?.check()?;
        }
        let payload = &delivery.message.payload;
        if let Some(table) = table {
            let row = serde_json::from_slice(payload).ok().filter(Json::is_object);
            let row = row.ok_or_else(|| Failure::Reject("a row is a JSON object".to_owned()))?;
            self.tables.entry(table.to_owned()).or_default().insert(row, self.config.rows_max);
        }
        let Some(topic) = self.config.template(event, "DESTINATION_TOPIC") else { return Ok(()) };
        let topic = topic.filled(delivery);
        let (qos, retain) = self.config.answer_options(event);
        let (topic_name, properties) = (topic.clone(), delivery.properties.clone());
        let answer = Arrival { topic: topic_name, payload: payload.clone(), qos, retain, properties };
        ingest::publish(&[answer]).map_err(|error| match unpublished(error) {
            Failure::Reject(_) => Failure::Reject(format!("cannot publish to '{topic}': {}", error.name())),
            other => other,
        })
    }
}

impl Config {
    /// Takes as long as the far side would.
    fn hold(&self) {
        if self.delay_ms > 0 {
            net::wait(&[], self.delay_ms);
        }
    }
}

lotmq_guest::export_route!(Loopback);
