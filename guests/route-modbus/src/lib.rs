//! The route types `MODBUS_TCP` and `MODBUS_SERIAL`: coils and registers of Modbus units as tags.
//!
//! The crate `route-tags` does polling, scaling and publishing for all tag protocols. This crate
//! has addresses, requests and the units of one connection. Only [`tcp`] and [`serial`] know how
//! frames travel: each is a [`Line`](line::Line).

mod address;
mod client;
mod config;
mod limits;
mod line;
mod plan;
mod rtu;
mod serial;
mod tcp;
mod units;
mod words;

use std::cell::RefCell;

use address::Defaults;
use client::Client;
use config::{Config, SerialConfig};
use line::Line;
use lotmq_guest::route::{Abilities, Delivery, Description, Failure, Receipt, Route};
use route_settings::Configuration;
use route_tags::{Plant, RouteTags};
use serial::SerialLine;
use tcp::TcpLine;

thread_local!(static PLANT: RefCell<Option<Plant<Client>>> = const { RefCell::new(None) });

struct Modbus;

impl Route for Modbus {
    fn describe() -> Description {
        Description {
            configuration: config::schema(),
            abilities: Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST,
        }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        let configuration = Configuration::parse(&configuration)?;
        let config = Config::read(&configuration);
        let defaults = Defaults {
            unit: config.unit,
            order: config.byte_order,
            registers_max: config.registers_max,
            has_everybody: is_serial(&configuration),
        };
        let tags = RouteTags::read(&configuration, |mapping, tag, settings| {
            address::read(mapping, tag, settings, defaults)
        })?;
        let mut client = Client::new(line(&configuration, &config)?, config);
        client.know_units(tags.addresses().filter(|it| !it.is_everybody).map(|it| it.unit));
        let mut plant = Plant::new(client, tags);
        // Gateways, and kernels of hung devices, accept connections for units that do not exist.
        plant.probe()?;
        PLANT.set(Some(plant));
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

fn is_serial(configuration: &Configuration) -> bool {
    configuration.kind() == "MODBUS_SERIAL"
}

/// The line that the type of the route has.
fn line(configuration: &Configuration, config: &Config) -> Result<Box<dyn Line>, Failure> {
    if is_serial(configuration) {
        let config = SerialConfig::read(configuration, config.connection_timeout_ms)?;
        return Ok(Box::new(SerialLine::open(config)?));
    }
    Ok(Box::new(TcpLine::connect(config.connection_timeout_ms)?))
}

fn with_plant<T>(act: impl FnOnce(&mut Plant<Client>) -> Result<T, Failure>) -> Result<T, Failure> {
    PLANT.with_borrow_mut(|plant| match plant {
        Some(plant) => act(plant),
        None => Err(Failure::Reconnect("it is not open".to_owned())),
    })
}

lotmq_guest::export_route!(Modbus);
