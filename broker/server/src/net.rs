//! The network side: listeners, sockets with what lies above them, and the shards that read them.
//!
//! Not here: the turn in which bytes go from one connection to another (`lotmq_core::turn`).

pub(crate) mod admission;
pub(crate) mod certificates;
pub(crate) mod connection;
pub(crate) mod half_open;
mod inbox;
pub(crate) mod layers;
pub(crate) mod listener;
pub(crate) mod locality;
mod look;
mod open_connections;
pub(crate) mod proxy;
#[cfg(feature = "quic")]
pub(crate) mod quic;
pub(crate) mod relayed;
pub(crate) mod shard;
pub(crate) mod socket;
pub(crate) mod spare;
pub(crate) mod subject;
pub(crate) mod tls;
pub(crate) mod turn_time;
mod validity;
pub(crate) mod websocket;
mod zstd;
