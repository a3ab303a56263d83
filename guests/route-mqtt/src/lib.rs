//! Routes of type `MQTT_BRIDGE`: messages between this broker and another one, or between two
//! others.
//!
//! A delivery is accepted when the other broker has acknowledged it. A message of another broker is
//! acknowledged when it is published here, or taken by the other side.

mod bridge;
mod closes;
mod config;
mod delivery;
mod echoes;
mod failures;
mod far;
mod fingerprint;
mod hops;
mod inbox;
mod kept;
mod limits;
mod link;
mod message;
mod numbers;
mod opening;
mod repeats;
mod snapshot;
mod topic;
mod window;
mod witness;

use bridge::Bridge;
use config::Config;
use lotmq_guest::route::{Abilities, DeliveryBatch, Description, Failure, Receipt, Route, ambient};
use std::cell::RefCell;

thread_local!(static BRIDGE: RefCell<Option<Bridge>> = const { RefCell::new(None) });

struct MqttBridge;

impl Route for MqttBridge {
    fn describe() -> Description {
        let abilities = Abilities::DELIVER | Abilities::RUN | Abilities::REQUEST;
        Description { configuration: config::SCHEMA.to_owned(), abilities }
    }

    fn open(configuration: String) -> Result<(), Failure> {
        BRIDGE.set(Some(Bridge::open(Config::parse(&configuration)?)?));
        Ok(())
    }

    fn deliver_batch(mut batch: DeliveryBatch) -> Result<Receipt, Failure> {
        let deliveries = batch.deliveries()?;
        with_bridge(|bridge| witness::deliver(bridge, &deliveries))
    }

    fn run(until_ms: u32) -> Result<u32, Failure> {
        with_bridge(|bridge| {
            let end = ambient::monotonic_ms().saturating_add(until_ms.into());
            loop {
                let has_worked = bridge.work()?;
                let left = end.saturating_sub(ambient::monotonic_ms());
                let host_has_work = bridge.wait(if has_worked { 0 } else { left }, true)?;
                if host_has_work || left == 0 {
                    return Ok(0);
                }
            }
        })
    }

    fn request(operation: String, _body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match operation.as_str() {
            "probe" => with_bridge(Bridge::probe).map(|()| b"{}".to_vec()),
            _ => Err(Failure::Reject(format!("a bridge does not answer '{operation}'"))),
        }
    }

    fn close() {
        if let Some(mut bridge) = BRIDGE.take() {
            bridge.fars.iter_mut().for_each(far::Far::close);
        }
    }
}

/// Works with the bridge, unless it has failed before.
fn with_bridge<T>(work: impl FnOnce(&mut Bridge) -> Result<T, Failure>) -> Result<T, Failure> {
    BRIDGE.with_borrow_mut(|bridge| {
        let bridge = bridge.as_mut().ok_or_else(|| Failure::Reconnect("not open".to_owned()))?;
        match bridge.failed.take() {
            Some(failure) => Err(failure),
            None => work(bridge),
        }
    })
}

lotmq_guest::export_route!(MqttBridge);
