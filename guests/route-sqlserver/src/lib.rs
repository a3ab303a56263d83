//! The route type `SQLSERVER`: writes rows, asks queries and stores tables, over TDS.
//!
//! The crate `route-sql` has the parts of all SQL databases, from a message to a bound statement or
//! a row of a table. This crate has packets ([`wire`], [`source`]), the login ([`login`],
//! [`options`]) and statements of a session ([`session`]). It converts values in both directions
//! ([`parameter`], [`inserts`]; [`types`], [`column`], [`value`], [`code_page`]) and classifies
//! errors ([`fault`]). The host does TLS, also within packets of TDS.

mod code_page;
mod column;
mod database;
mod fault;
mod inserts;
mod limits;
mod login;
mod options;
mod parameter;
mod session;
mod source;
mod types;
mod value;
mod wire;

use database::SqlServer;
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use options::Options;
use route_settings::Configuration;
use route_sql::{Dialect, Opened, SCHEMA, Server, Tasks};

struct Guest;

thread_local!(static OPEN: Opened<SqlServer> = const { Opened::none() });

impl Route for Guest {
    fn describe() -> Description {
        Description { configuration: SCHEMA.to_owned(), abilities: Abilities::DELIVER | Abilities::REQUEST }
    }

    fn open(text: String) -> Result<(), Failure> {
        let configuration = Configuration::parse(&text)?;
        let section = configuration.section("SQL_CONFIG");
        let server = Server::read(section)?;
        if server.schema.is_some() {
            let reason = "SQL_CONFIG: SCHEMA is of PostgreSQL; here a table's name has its schema: 'dbo.t'";
            return Err(Failure::Fatal(reason.to_owned()));
        }
        let pairs = section.text("CONNECTION_STRING")?.map(|string| route_sql::pairs_of(&string));
        let trusting = ["TRUST_SERVER_CERTIFICATE", "ALLOW_UNTRUSTED_CERTS", "IGNORE_CERT_ERRORS"];
        let is_trusting = trusting.iter().any(|key| section.is(key));
        let options = Options::read(&pairs.unwrap_or_default(), &server, is_trusting)?;
        let tasks = Tasks::read(&configuration, Dialect::SqlServer, server.is_raw)?;
        let database = SqlServer::open(&server, &options)?;
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
        // There is no goodbye in this protocol: the connection ends.
        drop(OPEN.with(Opened::take));
    }
}

lotmq_guest::export_route!(Guest);
