//! The route type `OPENSEARCH`: indexes documents and searches, over the HTTP interface that
//! OpenSearch and Elasticsearch share.
//!
//! One `_bulk` request carries the documents of a batch; each document has its own result.

mod bulk;
mod config;
mod far;
mod query;
mod serving;
mod statement;

use std::cell::RefCell;

use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use serving::Serving;

struct OpenSearch;

thread_local!(static SERVING: RefCell<Option<Serving>> = const { RefCell::new(None) });

fn serving<T>(work: impl FnOnce(&mut Serving) -> Result<T, Failure>) -> Result<T, Failure> {
    SERVING.with_borrow_mut(|serving| match serving {
        Some(serving) => work(serving),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

impl Route for OpenSearch {
    fn describe() -> Description {
        Description {
            configuration: config::SCHEMA.to_owned(),
            abilities: Abilities::DELIVER | Abilities::REQUEST,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let opened = Serving::open(config::Config::parse(&configuration)?)?;
        SERVING.set(Some(opened));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        serving(|serving| serving.deliver(&batch))
    }

    fn request(operation: String, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        serving(|serving| match operation.as_str() {
            "probe" => serving.probe().map(|()| b"{}".to_vec()),
            "query" => serving.query(&body),
            _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
        })
    }

    fn close() {
        SERVING.take();
    }
}

lotmq_guest::export_route!(OpenSearch);
