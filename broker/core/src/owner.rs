//! Owner of connections: a thread that reads from them and handles their packets.
//!
//! It calls [`drive`](step::drive) whenever a connection is woken; a connection needs no more of a
//! thread. Module [`open`] handles deadlines and the ends of turns.
//!
//! Not here: connections as other threads see them (`connection`), and the meaning of packets
//! (`protocol`).

pub mod end;
pub mod in_memory;
pub mod input;
mod intake;
pub mod open;
pub mod source;
pub mod step;

use std::sync::Arc;

use crate::connection::Connection;

/// Connection in the hands of its owner.
struct Driven<'a, T> {
    connection: &'a Arc<Connection>,
    source: &'a T,
}
