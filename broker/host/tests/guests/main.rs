//! The host with real WebAssembly: hand-made components for every way in which a guest can behave.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "tests")]

mod auth;
mod capabilities;
mod containment;
mod contract;
mod engine;
mod files;
mod http;
mod http_server;
mod inline;
mod properties;
mod python;
mod route_batches;
mod routes;
mod serial;
mod support;
mod tls;
mod tls_in_tds;
