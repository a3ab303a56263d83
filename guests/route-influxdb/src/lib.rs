//! The route type `INFLUXDB`: writes points from messages and asks queries, over the HTTP
//! interfaces of InfluxDB 1, 2 and 3.

mod config;
mod far;
mod limits;
mod pairs;
mod point;
mod question;
mod serving;

use std::cell::RefCell;

use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use serving::Serving;

struct InfluxDb;

thread_local!(static SERVING: RefCell<Option<Serving>> = const { RefCell::new(None) });

fn serving<T>(work: impl FnOnce(&Serving) -> Result<T, Failure>) -> Result<T, Failure> {
    SERVING.with_borrow(|serving| match serving {
        Some(serving) => work(serving),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

impl Route for InfluxDb {
    fn describe() -> Description {
        let abilities = Abilities::DELIVER | Abilities::REQUEST;
        Description { configuration: config::SCHEMA.to_owned(), abilities }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        SERVING.set(Some(Serving::open(config::Config::parse(&configuration)?)));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        serving(|serving| serving.deliver(&batch))
    }

    fn request(operation: String, _body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "probe" => serving(|serving| serving.far.probe()).map(|()| b"{}".to_vec()),
            _ => Err(Failure::Reject(format!("a route of type INFLUXDB does not answer '{operation}'"))),
        }
    }

    fn close() {
        SERVING.take();
    }
}

lotmq_guest::export_route!(InfluxDb);
