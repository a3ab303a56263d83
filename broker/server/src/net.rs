//! The network side: sockets, shards and the turn in which bytes go from one to another.

pub(crate) mod arena;
pub(crate) mod connection;
pub(crate) mod held;
pub(crate) mod listener;
pub(crate) mod outbound;
pub(crate) mod output;
pub(crate) mod piece;
pub(crate) mod shard;
pub(crate) mod turn;
