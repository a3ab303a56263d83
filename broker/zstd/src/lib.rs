//! The zstd stream transport: what MQTT looks like below CONNECT and CONNACK when both sides have
//! agreed on it. Sans-I/O.
//!
//! Each direction of a connection is one stream of zstd frames (RFC 8878) with a window of its own,
//! flushed wherever its sender wants the receiver to see everything. [`Encoder`] and [`Decoder`]
//! are the two ends of a direction; [`Offer`] is what the sides tell each other.
//! `docs/zstd-transport.md` is the specification for others.
//!
//! Invariants: what a call writes fits the slice that it was given; no bytes make a decoder panic,
//! loop, or keep more than the largest allowed window; no context is ever used for two connections.
//! Not here: sockets, TLS, who may use it, when to flush.
//!
//! Further invariants, with the tests that guard them:
//!
//! - A stream means the same however the bytes are cut. A decoder keeps at most one window. Tests
//!   `any_bytes_survive_and_mean_the_same_in_any_pieces`,
//!   `corpus_of_zstd_replays_with_every_byte_changed`,
//!   `a_bomb_is_given_out_in_the_pieces_that_are_asked_for`.

mod decoder;
mod encoder;
mod fuzz;
pub mod limits;
mod offer;

pub use decoder::{Decoder, Progress, Violation};
pub use encoder::Encoder;
#[doc(hidden)]
pub use fuzz::fuzz_zstd;
pub use offer::Offer;

/// There is no memory for a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory for a zstd context")]
pub struct OutOfMemory;
