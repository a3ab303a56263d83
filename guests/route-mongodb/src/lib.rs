//! Routes of type `MONGODB`: messages store, find, change and remove documents.
//!
//! A delivery is accepted when the server has confirmed its command with the write concern of the
//! connection string.

mod address;
mod bson_value;
mod cluster;
mod condition;
mod config;
mod failures;
mod find;
mod identity;
mod limits;
mod link;
mod login;
mod naming;
mod node;
mod raw_filter;
mod rows;
mod serving;
mod statement;
mod symbols;
mod wire;
mod write;

use std::cell::RefCell;

use config::Config;
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use serving::Serving;

struct MongoDb;

thread_local!(static OPEN: RefCell<Option<Serving>> = const { RefCell::new(None) });

fn opened<T>(work: impl FnOnce(&mut Serving) -> Result<T, Failure>) -> Result<T, Failure> {
    OPEN.with_borrow_mut(|open| match open {
        Some(open) => work(open),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

impl Route for MongoDb {
    fn describe() -> Description {
        let abilities = Abilities::DELIVER | Abilities::REQUEST;
        Description { configuration: config::SCHEMA.to_owned(), abilities }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        OPEN.set(Some(Serving::open(Config::parse(&configuration)?)?));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        opened(|open| open.deliver(&batch))
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "probe" => opened(Serving::probe).map(|()| b"{}".to_vec()),
            "query" => opened(|open| open.query(&body)),
            _ => Err(Failure::Reject(format!("a route of type MONGODB does not answer '{operation}'"))),
        }
    }

    fn close() {
        OPEN.take();
    }
}

lotmq_guest::export_route!(MongoDb);
