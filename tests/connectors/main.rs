//! Connectors against the real servers of their protocols, which each test starts itself.
//!
//! Test target of the package `lotmq`, because only so does cargo build the binary first and say
//! where it is. A module per connector.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code: a failure is a panic with its place"
)]

mod apart;
mod auth_http;
mod auth_sql;
mod bridge;
mod email;
mod everything;
mod files;
mod influxdb;
mod kafka;
mod line4;
mod link;
mod login_guest;
mod modbus;
mod modbus_serial;
mod mongodb;
mod mysql;
mod nats;
mod oktopus;
mod opcua;
mod opensearch;
mod postgres;
mod redis;
mod rest;
mod s7;
mod sql;
mod sqlserver;
mod wire;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX, eventually};
use serde_json::Value as Json;

/// A new broker whose routes may connect to this machine.
fn broker() -> Broker {
    options().start()
}

/// How to start one.
fn options() -> BrokerOptions {
    BrokerOptions::new(env!("CARGO_BIN_EXE_lotmq"))
        .prepared()
        .shared_code()
        .variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true")
}

/// Someone who gets what matches, from now on.
fn watch(broker: &Broker, filter: &str) -> Client {
    let mut watcher = broker.client(&format!("watcher of {filter}"));
    watcher.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
    watcher
}

/// Publishes one message at QoS 1.
fn send(broker: &Broker, topic: &str, payload: &str) {
    let mut client = broker.client("sender");
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
    client.disconnect().unwrap();
}

/// An event with these lines in it.
fn event(name: &str, topic: &str, lines: &str) -> String {
    let event = format!("    ADD EVENT {name}\n        WITH SOURCE_TOPIC \"{topic}\"\n");
    lines.lines().fold(event, |text, line| format!("{text}        WITH {line}\n"))
}

/// Sends many without waiting for each, and waits until all are taken.
fn publish_all(broker: &Broker, mut messages: impl Iterator<Item = (String, String)>) {
    loop {
        // A client has as many packet identifiers as there are, and uses each once.
        let mut client = broker.client("sender of many");
        let mut sent = 0;
        for (topic, payload) in messages.by_ref().take(10_000) {
            client.send_publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
            sent += 1;
        }
        if sent == 0 {
            return;
        }
        eventually("all are acknowledged", || {
            client.ping().unwrap();
            (client.unacknowledged() == 0).then_some(())
        });
    }
}

/// How many messages wait in the test of a backlog: so many, or as many as `LOTMQ_BACKLOG` says.
fn backlog(count: usize) -> usize {
    std::env::var("LOTMQ_BACKLOG").map_or(count, |text| text.parse().expect("a number"))
}

/// A definition with mappings whose outbox has room for a million messages.
fn roomy(definition: &str) -> String {
    let settings = "        WITH BUFFER_MODE disk\n        WITH BUFFER_MAX_BYTES 4000000000\n";
    definition.replacen("    ADD MAPPING", &format!("    ADD ROUTE_CONFIG\n{settings}    ADD MAPPING"), 1)
}

/// Returns the error of the next message on an `ERROR_TOPIC`.
fn failure(failed: &mut Client) -> String {
    let told = next(failed);
    let told: Json = serde_json::from_str(told.split_once('=').unwrap().1).unwrap();
    told["error"].as_str().unwrap().to_owned()
}

/// The next message as `topic=payload`.
fn next(client: &mut Client) -> String {
    let message = client.receive(WAIT_MAX).unwrap().expect("a message");
    format!("{}={}", message.topic, message.text())
}

/// The standing of a route, as it changes.
struct Standing(Client);

impl Standing {
    fn of(broker: &Broker, route: &str) -> Standing {
        // It is read when the test comes to it, and says nothing meanwhile.
        let reader = ConnectOptions::new(format!("reader of status of {route}")).keep_alive(0);
        let mut root = broker.connect(&reader.user("root", "coreflux"));
        root.subscribe_to(&format!("$SYS/Coreflux/Routes/{route}/status"), QoS::AtMostOnce).unwrap();
        Standing(root)
    }

    /// Waits for a standing that says this, and gives it.
    fn until(&mut self, part: &str) -> String {
        let mut last = String::new();
        loop {
            let Some(status) = self.0.receive(WAIT_MAX).unwrap() else { panic!("no {part:?} behind {last}") };
            last = status.text();
            if last.contains(part) {
                return last;
            }
        }
    }
}
