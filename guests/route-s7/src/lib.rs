//! The route type `SIEMENS_S7`: data blocks, flags, inputs, outputs, timers and counters of a PLC
//! as tags.
//!
//! The crate `route-tags` has the parts of all tag protocols. This crate has addresses, frames of
//! ISO-on-TCP (RFC 1006) and of S7 communication, and requests with as many items as the PLC
//! allows.

mod address;
mod client;
mod frame;
mod limits;
mod plan;

use std::cell::RefCell;

use client::{Client, Config};
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use route_settings::Configuration;
use route_tags::{Plant, RouteTags};

thread_local!(static PLANT: RefCell<Option<Plant<Client>>> = const { RefCell::new(None) });

struct S7;

impl Route for S7 {
    fn describe() -> Description {
        Description {
            configuration: client::schema(),
            abilities: Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let configuration = Configuration::parse(&configuration)?;
        let config = Config::read(&configuration)?;
        let tags = RouteTags::read(&configuration, |_, _, settings| address::read(settings))?;
        PLANT.set(Some(Plant::new(Client::connect(config)?, tags)));
        Ok(())
    }

    fn deliver(batch: Vec<Delivery>) -> Result<Receipt, Failure> {
        with_plant(|plant| plant.deliver(&batch))
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        with_plant(|plant| plant.run(until_ms))
    }

    fn request(operation: String, _body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "probe" => with_plant(Plant::probe).map(|()| b"{}".to_vec()),
            "tags" => with_plant(|plant| Ok(plant.failing())),
            _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
        }
    }

    fn close() {
        PLANT.take();
    }
}

fn with_plant<T>(act: impl FnOnce(&mut Plant<Client>) -> Result<T, Failure>) -> Result<T, Failure> {
    PLANT.with_borrow_mut(|plant| match plant {
        Some(plant) => act(plant),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

lotmq_guest::export_route!(S7);
