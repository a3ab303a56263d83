//! Routes of type `NATS`: messages to subjects and streams, and messages of subjects.
//!
//! A delivery is accepted when the server has it, or with `JETSTREAM` when a stream has stored it.

mod config;
mod limits;
mod link;
mod serving;
mod subject;
mod subscriber;

use std::cell::RefCell;

use config::Config;
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use route_frames::Subscriber;
use serving::Serving;
use subscriber::Subjects;

struct Nats;

/// Open route: the connection for messages, and the one for subjects if the definition names some.
struct Open {
    serving: Serving,
    subscriber: Option<Subscriber<Subjects>>,
}

thread_local!(static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) });

fn opened<T>(work: impl FnOnce(&mut Open) -> Result<T, Failure>) -> Result<T, Failure> {
    OPEN.with_borrow_mut(|open| match open {
        Some(open) => work(open),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

impl Route for Nats {
    fn describe() -> Description {
        let abilities = Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST;
        Description { configuration: config::SCHEMA.to_owned(), abilities }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let mut config = Config::parse(&configuration)?;
        let inward = std::mem::take(&mut config.inward);
        let serving = Serving::open(config)?;
        let listens = !inward.is_empty();
        let listener = listens.then(|| Subjects::open(&serving.config, inward)).transpose()?;
        let subscriber = listener.map(|listener| Subscriber::new(listener, serving.config.timeout_ms));
        OPEN.set(Some(Open { serving, subscriber }));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        opened(|open| open.serving.deliver(&batch))
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        opened(|open| match &mut open.subscriber {
            Some(subscriber) => subscriber.run(until_ms).map(|()| 0),
            None => open.serving.rest(until_ms).map(|()| 0),
        })
    }

    fn request(operation: String, _body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "probe" => opened(|open| open.serving.probe()).map(|()| b"{}".to_vec()),
            _ => Err(Failure::Reject(format!("a route of type NATS does not answer '{operation}'"))),
        }
    }

    fn close() {
        OPEN.take();
    }
}

lotmq_guest::export_route!(Nats);
