//! Core of the broker: what each packet does, who gets a message, how sessions live, and when
//! durable changes are acknowledged.
//!
//! On the path of a message: [`owner`] reads it, [`protocol`] decides what a packet means,
//! [`routing`] who gets it, [`turn`] collects that for all connections of a thread and hands it to
//! the store and to the [`Transport`](connection::Transport)s, [`durable`] answers when it is on
//! the disk, [`client`] is the life of the sessions between. Start with [`Turn`](turn::Turn) and
//! [`Core`].
//!
//! Each of these knows those in front of it and none behind it: [`connection`], [`tenant`] with its
//! sessions, [`routing`], [`turn`], [`client`], [`protocol`], [`owner`].
//!
//! Invariants: nothing here opens a socket or a file, reads a clock, starts a thread or draws a
//! random bit, but for the seeds of hash tables; nothing allocates or copies per message and
//! receiver on the way from socket to socket. What the core needs comes as values and traits:
//! [`Clock`](clock::Clock), [`Transport`](connection::Transport), [`Above`],
//! [`TenantHooks`](tenant::triggers::TenantHooks), [`GuestRunner`](turn::above::GuestRunner). Not
//! here: what bytes mean (`codec`), flows of one session (`session`), matching (`router`),
//! permanence (`store`), shards and sockets, guests and management (`server`).

pub mod arena;
pub mod client;
pub mod clock;
pub mod connection;
pub mod counter;
pub mod counters;
pub mod durable;
pub mod fault;
pub mod figures;
#[cfg(test)]
mod fixture;
mod hashing;
pub mod limits;
pub mod message;
pub mod owner;
pub mod protocol;
pub mod reason;
pub mod recover;
pub mod routing;
mod shared;
pub mod shares;
pub mod tenant;
pub mod turn;

pub use hashing::Hashing;
pub use shared::{Chance, Core, Settings};
pub use turn::above::Above;
