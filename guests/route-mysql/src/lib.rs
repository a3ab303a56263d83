//! The route types `MYSQL` and `MARIADB`: writes rows, asks queries and stores tables, over the
//! protocol that both speak.
//!
//! The crate `route-sql` has the parts of all SQL databases, from a message to a bound statement or
//! a row of a table. The crate `mysql-session` has the protocol. This crate connects ([`connect`]),
//! converts values ([`parameter`]) and classifies errors ([`fault`]).

mod connect;
mod database;
mod fault;
mod limits;
mod parameter;

use database::MySql;
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use route_settings::Configuration;
use route_sql::{Dialect, Opened, SCHEMA, Server, Tasks};

struct Guest;

thread_local!(static OPEN: Opened<MySql> = const { Opened::none() });

/// Returns the dialect of the route's type. The server reports which of the two it really is.
fn dialect(configuration: &str) -> Dialect {
    let whole: serde_json::Value = serde_json::from_str(configuration).unwrap_or_default();
    if whole["type"] == "MARIADB" { Dialect::MariaDb } else { Dialect::MySql }
}

impl Route for Guest {
    fn describe() -> Description {
        Description { configuration: SCHEMA.to_owned(), abilities: Abilities::DELIVER | Abilities::REQUEST }
    }

    fn open(text: String) -> Result<(), Failure> {
        let (configuration, dialect) = (Configuration::parse(&text)?, dialect(&text));
        let server = Server::read(configuration.section("SQL_CONFIG"))?;
        if server.schema.is_some() {
            let reason = "SQL_CONFIG: SCHEMA is of PostgreSQL; here DATABASE says where tables are";
            return Err(Failure::Fatal(reason.to_owned()));
        }
        let tasks = Tasks::read(&configuration, dialect, server.is_raw)?;
        let database = MySql::open(&server, dialect)?;
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
