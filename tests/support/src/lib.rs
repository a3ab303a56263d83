//! Support for end-to-end tests: a real broker in a process of its own, clients, commands, other
//! programs.
//!
//! A test starts a [`Broker`] on free ports with a data directory of its own. It kills and restarts
//! the broker, and talks to it with [`lotmq_client`], [`Broker::command`] or other people's
//! programs ([`Program`]). Everything is gone when the test ends.
//!
//! Invariants: Tests share nothing but native code, which is named after its content. Every wait
//! has an end and reports what it waited for. All failures panic: these functions are for tests
//! only.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test code: a failure is a panic with its place, and what the broker said belongs to it"
)]

mod broker;
mod certificates;
mod guest_builds;
mod http;
mod http_server;
mod lines;
mod of_build;
mod open_files;
mod ports;
mod postgres;
mod prepared;
mod program;
mod quic;
mod reply;
mod shared_code;
mod sql_server;
mod token_signer;
mod wait;

pub use broker::{Broker, BrokerOptions, Exited};
pub use certificates::{Authority, Signed};
pub use guest_builds::{guests_changed, record_guest_builds};
pub use http::{Response, get, get_from};
pub use http_server::{Answer, Asked, HttpServer};
pub use lines::Lines;
pub use of_build::of_build;
pub use open_files::allow_open_files;
pub use ports::{free_address, free_port, wait_for_port};
pub use postgres::{FrozenPostgres, PostgresServer};
pub use program::{
    Finished, Frozen, Program, library, python_with_module, python_with_paho, python_with_websockets,
};
pub use quic::{QuicOptions, QuicTunnel, Silence};
pub use reply::Reply;
pub use sql_server::SqlServer;
pub use token_signer::TokenSigner;
pub use wait::{WAIT_MAX, eventually};
