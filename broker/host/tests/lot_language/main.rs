//! The tables of the LoT reference that concern Actions, run: text in, compiled by `lot-to-wasm`,
//! executed in the sandbox, messages out.
//!
//! One binary, because it compiles much. What a broker adds around it (subscribers, retained
//! messages, timers, durability) is a small model in [`bench`]; the same through sockets is in
//! `tests/e2e`.

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
