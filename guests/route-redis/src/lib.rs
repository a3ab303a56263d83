//! Routes of type `REDIS`: commands with values of messages, their replies, and the messages of
//! channels.
//!
//! A delivery is accepted when the server has replied to its command.

mod command;
mod config;
mod failures;
mod limits;
mod link;
mod reply;
mod serving;
mod subscriber;

use std::cell::RefCell;

use config::Config;
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use route_frames::Subscriber;
use serving::Serving;
use subscriber::Channels;

struct Redis;

/// Open route: the connection for messages, and the one for channels if the definition names some.
struct Open {
    serving: Serving,
    subscriber: Option<Subscriber<Channels>>,
}

thread_local!(static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) });

fn opened<T>(work: impl FnOnce(&mut Open) -> Result<T, Failure>) -> Result<T, Failure> {
    OPEN.with_borrow_mut(|open| match open {
        Some(open) => work(open),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

impl Route for Redis {
    fn describe() -> Description {
        let abilities = Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST;
        Description { configuration: config::SCHEMA.to_owned(), abilities }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let mut config = Config::parse(&configuration)?;
        let subscriptions = std::mem::take(&mut config.subscriptions);
        let serving = Serving::open(config)?;
        let listens = !subscriptions.is_empty();
        let listener = listens.then(|| Channels::open(&serving.config, subscriptions)).transpose()?;
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
            _ => Err(Failure::Reject(format!("a route of type REDIS does not answer '{operation}'"))),
        }
    }

    fn close() {
        OPEN.take();
    }
}

lotmq_guest::export_route!(Redis);
