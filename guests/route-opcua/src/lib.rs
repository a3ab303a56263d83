//! The route type `OPCUA`: variables of an OPC UA server as tags, subscribed to or polled, and
//! written.
//!
//! The crate `route-tags` has the parts of all tag protocols; the crates `async-opcua-*` have
//! encoding, chunks and cryptography. This crate has the session, subscriptions and certificates.
//! Its calls wait within the limits of the host, without a runtime, and the host does the
//! reconnects.

mod address;
mod certificates;
mod channel;
mod client;
mod config;
mod frame;
mod limits;
mod notices;
mod services;
mod session;
mod status;
mod subscriptions;
mod values;

use std::cell::RefCell;

use client::Client;
use config::Config;
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use route_settings::Configuration;
use route_tags::limits::PERIOD_MS;
use route_tags::{Plant, RouteTags};

thread_local!(static PLANT: RefCell<Option<Plant<Client>>> = const { RefCell::new(None) });

struct OpcUa;

impl Route for OpcUa {
    fn describe() -> Description {
        Description {
            configuration: config::schema(),
            abilities: Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let configuration = Configuration::parse(&configuration)?;
        let mut config = Config::read(&configuration)?;
        config.subscribes &= !configuration.is_probe();
        let mut periods: Vec<u64> =
            configuration.mappings().map(|mapping| mapping.number("EVERY_MS").unwrap_or(PERIOD_MS)).collect();
        periods.sort_unstable();
        periods.dedup();
        let by_path = config.browse_root.is_some();
        let tags = RouteTags::read(&configuration, |mapping, _, settings| {
            address::read(settings, by_path, mapping.number("EVERY_MS").unwrap_or(PERIOD_MS))
        })?;
        let client = Client::open(&config, configuration.route(), &periods)?;
        PLANT.set(Some(Plant::new(client, tags)));
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
            "probe" => with_plant(|plant| plant.device().probe()).map(|()| b"{}".to_vec()),
            "tags" => with_plant(|plant| Ok(plant.failing())),
            _ => Err(Failure::Reject(format!("unknown operation '{operation}'"))),
        }
    }

    fn close() {
        if let Some(plant) = PLANT.take() {
            plant.into_device().close();
        }
    }
}

fn with_plant<T>(act: impl FnOnce(&mut Plant<Client>) -> Result<T, Failure>) -> Result<T, Failure> {
    PLANT.with_borrow_mut(|plant| match plant {
        Some(plant) => act(plant),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

lotmq_guest::export_route!(OpcUa);
