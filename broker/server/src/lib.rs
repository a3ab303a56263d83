//! The broker itself: listeners, shards, sessions, commands and the `$SYS` tree.
//!
//! On the path of a message: [`net`] reads it into a turn and hands it to `lotmq_core`, which decides what it means and who gets it, and writes it through the
//! [`net`] of its receivers; [`guests`] start what it triggers, [`sys`] and [`command`] take what is for the broker itself. Start with [`Server`].
//!
//! Invariants: no lock is held across an await; tasks are spawned here and in `host` only. Not here: the data path (`core`), permanence (`store`),
//! sandboxes (`host`).

mod accounts;
mod admin;
mod audit;
pub mod backup;
mod broker;
mod client_lines;
pub mod codes;
mod command;
mod denials;
mod exposure;
mod guests;
mod hooks;
mod housekeeping;
mod limits;
mod logins;
mod logs;
mod managed;
mod modules;
mod net;
mod not_opened;
mod process;
pub mod projects;
mod recover;
mod removed_names;
mod restart;
mod server;
mod signals;
mod storage_watch;
mod sys;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use command::fuzz_command;
pub use guests::json::value_of_json;
pub use guests::routes::runs_route_type;
pub use guests::{Addressed, Refused, StandaloneRoute, StandaloneType, StandaloneTypes};
pub use logs::layer as log_topics;
pub use lotmq_core::limits::markdown as limits_markdown;
pub use net::listener::ListenAddress;
#[doc(hidden)]
pub use net::proxy::fuzz_proxy;
pub use server::{Server, StartError};
pub use signals::{Signals, survive_file_size_limit};
