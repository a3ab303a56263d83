//! A small blocking MQTT 3.1, 3.1.1 and 5.0 client on `std::net`, for the command line, the demo
//! and tests.
//!
//! [`Client`] connects, publishes and subscribes with full QoS 1 and 2 handshakes. [`Connection`]
//! below it sends and receives single packets, or any bytes at all, for tests of conformance. One
//! thread, one socket, no reconnecting. [`Layers`] sit between MQTT and the socket, for callers
//! with sockets of their own.
//!
//! Invariants: no call waits longer than its timeout. A message is returned once, repeats of QoS 2
//! included. The inbox is bounded ([`limits::INBOX_MESSAGES_MAX`], [`limits::INBOX_BYTES_MAX`]).
//! Not here: storage of a session beyond the [`Client`].
//!
//! ```no_run
//! use std::time::Duration;
//! use lotmq_client::{Client, ConnectOptions, Publication, QoS};
//!
//! let mut client = Client::connect("127.0.0.1:1883", &ConnectOptions::new("reader"))?;
//! client.subscribe_to("plant/#", QoS::AtLeastOnce)?;
//! client.publish(&Publication::new("plant/line1", "21.5").qos(QoS::ExactlyOnce))?;
//! let message = client.receive(Duration::from_secs(5))?.expect("our own message comes back");
//! assert_eq!(message.payload, b"21.5");
//! # Ok::<(), lotmq_client::ClientError>(())
//! ```

mod client;
mod connection;
mod endpoint;
mod error;
mod layers;
pub mod limits;
mod message;
mod options;
mod outbound;
mod packet;
mod received;
mod socket;
mod tls;
mod transport;
mod unread;
mod websocket;
mod zstd;

pub use client::Client;
pub use connection::Connection;
pub use endpoint::{Address, Endpoint};
pub use error::ClientError;
pub use layers::Layers;
pub use lotmq_codec::{
    PacketId, PropertyBuf, PropertyId, PropertyPlace, PropertyValue, ProtocolVersion, QoS, ReasonCode,
    RetainHandling, SubscriptionOptions,
};
pub use message::{Message, Publication};
pub use options::{AckMode, ConnectOptions, Will};
pub use packet::Packet;
pub use tls::{TlsContext, TlsError, TlsOptions};
