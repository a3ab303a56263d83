//! MQTT 3.1.1 and 5.0 through real sockets, clause by clause: the duties of the broker that are
//! visible on the wire.
//!
//! The tests build each packet byte by byte ([`bytes`]), so that no mistake of our codec hides
//! itself. They compare answers as short text ([`peer`]). Test target of the package `lotmq`,
//! because only so does cargo build the binary first.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test code: a failure is a panic with its place, and a watchdog says why it ends the process"
)]

mod bytes;
mod mqtt_3_1;
mod mqtt_authentication;
mod mqtt_connack;
mod mqtt_connect;
mod mqtt_connect_refused;
mod mqtt_disconnect;
mod mqtt_errors;
mod mqtt_exactly_once;
mod mqtt_flow;
mod mqtt_framing;
mod mqtt_keep_alive;
mod mqtt_limits;
mod mqtt_publish;
mod mqtt_reasons;
mod mqtt_refused;
mod mqtt_restart;
mod mqtt_retained;
mod mqtt_session;
mod mqtt_shared;
mod mqtt_storms;
mod mqtt_subscribe;
mod mqtt_text;
mod mqtt_topic_alias;
mod mqtt_will;
mod peer;
mod scram;

use lotmq_test_support::{Broker, BrokerOptions};

pub(crate) use bytes::{Connect, Version, Version::V4, Version::V5};
pub(crate) use peer::Peer;

/// How to start a broker of this build.
fn options() -> BrokerOptions {
    BrokerOptions::new(env!("CARGO_BIN_EXE_lotmq")).prepared().shared_code()
}

/// A broker with nothing but `root` in its data directory.
fn broker() -> Broker {
    options().start()
}
