//! The tables of the LoT reference that concern Actions, run: text in, compiled by `lot-to-wasm`,
//! executed in the sandbox, messages out.
//!
//! One binary, because it compiles much. [`bench`] is a small model of the rest of a broker:
//! subscribers, retained messages, timers, durability. `tests/e2e` has the same through sockets.

#![allow(clippy::unwrap_used, reason = "a test")]

mod batches;
mod bench;
mod catalogue;
mod expressions;
mod failures;
mod foreign_values;
mod generated;
mod long;
mod models;
mod properties;
mod rows;
mod rules;
mod statements;
mod topics;
mod triggers;
