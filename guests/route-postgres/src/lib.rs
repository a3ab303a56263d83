//! The route types `POSTGRESQL` and `CRATEDB`: writes rows, asks queries and stores tables, over
//! the protocol of PostgreSQL.
//!
//! The crate `route-sql` has the parts of all SQL databases, from a message to a bound statement or
//! a row of a table. This crate has the connection and its messages ([`wire`], [`login`]),
//! statements of a session ([`session`]) and combined rows ([`together`]). It converts values in
//! both directions ([`parameter`], [`json`]) and classifies errors ([`fault`]).

mod array;
mod database;
mod fault;
mod json;
mod limits;
mod login;
mod parameter;
mod session;
mod together;
mod wire;

use database::Postgres;
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use route_settings::Configuration;
use route_sql::{Dialect, Opened, SCHEMA, Server, Tasks};

struct Guest;

thread_local!(static OPEN: Opened<Postgres> = const { Opened::none() });

/// The database that a type of route means.
fn dialect(configuration: &str) -> Dialect {
    let whole: serde_json::Value = serde_json::from_str(configuration).unwrap_or_default();
    if whole["type"] == "CRATEDB" { Dialect::Crate } else { Dialect::Postgres }
}

impl Route for Guest {
    fn describe() -> Description {
        Description { configuration: SCHEMA.to_owned(), abilities: Abilities::DELIVER | Abilities::REQUEST }
    }

    fn open(text: String) -> Result<(), Failure> {
        let (configuration, dialect) = (Configuration::parse(&text)?, dialect(&text));
        let server = Server::read(configuration.section("SQL_CONFIG"))?;
        let tasks = Tasks::read(&configuration, dialect, server.is_raw)?;
        let mut database = Postgres::open(&server, dialect)?;
        database.tell_ways(&tasks)?;
        OPEN.with(|open| open.set(database, tasks));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        OPEN.with(|open| open.deliver(&batch))
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        OPEN.with(|open| open.request(&operation, &body))
    }

    fn close() {
        if let Some(mut database) = OPEN.with(Opened::take) {
            database.close();
        }
    }
}

lotmq_guest::export_route!(Guest);
