//! The broker as a user sees it: the real binary, real sockets, other people's clients.
//!
//! Test target of the package `lotmq`, because only so does cargo build the binary first and say
//! where it is.
#![allow(clippy::unwrap_used, reason = "test code: a failure is a panic with its place")]

mod actions;
mod assets;
mod audit;
mod auth_modules;
mod backup;
mod bad_input;
mod bans;
mod bench;
mod bridge;
mod called_modules;
mod client_addresses;
mod client_transports;
mod clocks;
mod code_memory;
mod cold_start;
mod command_line;
mod command_shares;
mod command_table;
mod commands;
mod compile_workers;
mod connect_flood;
mod contexts;
mod damage;
mod dead_letters;
mod delayed;
mod demo;
mod demo_plc;
mod deploy;
mod deploy_questions;
mod described_connector;
mod descriptors;
mod disk;
mod doctor;
mod durability;
mod durable_triggers;
mod ecosystem;
mod error_places;
mod examples;
mod first_steps;
mod flood;
mod foreign_assets;
mod foreign_broker;
mod foreign_values;
mod full_disk;
mod full_queue;
mod golden;
mod guest_configured;
mod guest_hangs;
mod guest_languages;
mod guest_logs;
mod guest_pages;
mod guest_templates;
mod guest_tutorial;
mod guests;
mod hidden_secrets;
mod hostile_broker;
mod identifiers;
mod idle;
mod in_flight;
mod jwt;
mod jwt_authentication;
mod jwt_guide;
mod lan;
mod limits;
mod listed_topics;
mod login_guests;
mod logins;
mod logins_tested;
mod logs;
mod long_queues;
mod lot_pages;
mod lot_routes;
mod lsp;
mod mappings;
mod memcached;
mod message_properties;
mod message_tools;
mod metrics;
mod models;
mod module_files;
mod module_http;
mod module_points;
mod module_routes;
mod module_serial;
mod module_serve;
mod module_streams;
mod module_tls;
mod modules;
mod modules_before;
mod modules_in_parts;
mod modules_signed;
mod modules_tested;
mod mosquitto_import;
mod no_connections;
mod nothing_to_do;
mod out_of_memory;
mod outbox;
mod overhead;
mod ownership;
mod packages;
mod panels;
mod passwd;
mod places;
mod planted_secrets;
mod projects;
mod protection;
mod proxy_protocol;
mod publishers;
mod python;
mod quic;
mod rates;
mod read_only_root;
mod refused_handshakes;
mod replies;
mod requests;
mod rights_matrix;
mod route_ingest;
mod route_instances;
mod route_policies;
mod route_standing;
mod route_values;
mod rows;
mod rule_modules;
mod rules;
mod rules_tested;
mod same_as_broker;
mod sessions;
mod skip_waiting;
mod slow_client;
mod small_disk;
mod start;
mod status;
mod store_tools;
mod store_warm;
mod system_topics;
mod tls;
mod tls_guide;
mod tool_input;
mod top;
mod topics;
mod transport;
mod triggers;
mod type_schemas;
mod unattended;
mod unconnected;
mod unfinished;
mod unix_socket;
mod upgrade;
mod user_management;
mod watching;
mod websocket;
mod zstd;

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX};

/// The binary under test.
const LOTMQ: &str = env!("CARGO_BIN_EXE_lotmq");

/// The program of `lotmq demo`.
const DEMO_PROGRAM: &str = include_str!("../../broker/cli/src/demo/program.lot");

/// How to start a broker of this build.
fn options() -> BrokerOptions {
    BrokerOptions::new(LOTMQ).shared_code()
}

/// A new broker with an empty data directory.
fn broker() -> Broker {
    options().start()
}

/// A new broker that runs the demo's program.
fn demo_broker() -> Broker {
    let broker = broker();
    broker.command_ok(&format!("-addAction {DEMO_PROGRAM}"));
    broker
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

/// The next message as `topic=payload`.
fn next(client: &mut Client) -> String {
    let message = client.receive(WAIT_MAX).unwrap().expect("a message");
    format!("{}={}", message.topic, message.text())
}
