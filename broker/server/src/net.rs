//! The network side: sockets, shards and the turn in which bytes go from one to another.

pub(crate) mod admission;
mod aliased;
pub(crate) mod arena;
pub(crate) mod certificates;
mod closing;
pub(crate) mod connection;
mod events;
pub(crate) mod half_open;
pub(crate) mod held;
pub(crate) mod home;
mod inbox;
pub(crate) mod kept;
pub(crate) mod layers;
pub(crate) mod listener;
pub(crate) mod locality;
pub(crate) mod open_connections;
pub(crate) mod outbound;
pub(crate) mod output;
pub(crate) mod peer;
pub(crate) mod piece;
pub(crate) mod proxy;
#[cfg(feature = "quic")]
pub(crate) mod quic;
pub(crate) mod refused;
pub(crate) mod relayed;
pub(crate) mod shard;
pub(crate) mod socket;
pub(crate) mod spare;
pub(crate) mod subject;
pub(crate) mod time_share;
pub(crate) mod tls;
pub(crate) mod turn;
pub(crate) mod turn_time;
pub(crate) mod unfinished;
mod validity;
pub(crate) mod websocket;
mod zstd;
