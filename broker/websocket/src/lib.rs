//! WebSocket for MQTT: the opening handshake of both sides, framing as a stream of bytes,
//! permessage-deflate. Sans-I/O.
//!
//! Bytes come in as slices and go out into slices and vectors of the caller. A [`Decoder`] passes
//! payload on as it comes: packets of MQTT and frames are not aligned \[MQTT-6.0.0-2\], so no
//! message is ever collected, and a message of any length needs no memory. Compression keeps at
//! most the last [`limits::HISTORY_BYTES`] of what was sent per connection; the compressor itself
//! ([`Compressor`]) is shared by all connections of a thread.
//!
//! Invariants: what a call writes fits the slice that it was given; no bytes make it panic, loop or
//! keep more than it says. Not here: sockets, TLS, who may connect, what the payload means.
//!
//! Further invariants, with the tests that guard them:
//!
//! - Frames mean the same however the bytes are cut, and compressed data comes back unchanged.
//!   Tests `any_bytes_mean_the_same_in_any_pieces`,
//!   `corpus_of_websocket_replays_with_every_byte_changed`.
//! - Each frame that we send has one packet. Test `each_packet_is_one_frame`.

mod client;
mod decoder;
mod deflate;
mod encoder;
mod frame;
mod fuzz;
mod handshake;
pub mod limits;
mod packets;
mod violation;

pub use client::{Answered, HandshakeError, check_answer, request};
pub use decoder::{Decoder, Event, Progress};
pub use deflate::{Compressor, DeflateParams, Outgoing};
pub use encoder::{mask, put_close, put_header, put_pong};
pub use frame::{Opcode, Role};
#[doc(hidden)]
pub use fuzz::fuzz_websocket;
pub use handshake::{Accepted, Asker, Refusal, accept};
pub use packets::{Framed, PacketFrames};
pub use violation::Violation;
