//! Owner of connections: a thread that reads from them and handles what has come.
//!
//! It calls [`drive`](step::drive) whenever a connection is woken: that is all that a connection
//! needs of a thread. What is due at a time, and when turns end, is in [`open`].
//!
//! Not here: connections as other threads see them (`connection`), and what packets mean
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
