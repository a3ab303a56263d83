//! The broker itself: listeners, shards, guests, commands and the `$SYS` tree.
//!
//! ```text
//! server (start, stop) ─▶ management (commands, $SYS tree) ─▶ net (sockets), guests (programs) ─▶ process (clocks, threads)
//! ```
//!
//! On the path of a message: [`net`] reads it into a turn and hands it to `lotmq_core`, which
//! decides what it means and who gets it, and writes it through the [`net`] of its receivers;
//! [`guests`] start what it triggers, [`management`] takes what is for the broker itself. Start
//! with [`Server`].
//!
//! Invariants: none of these trees knows one to its left; no lock is held across an await; tasks
//! are spawned here and in `host` only. Not here: the data path (`core`), permanence (`store`),
//! sandboxes (`host`).

mod guests;
mod limits;
mod management;
mod net;
mod process;
mod server;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use guests::json::value_of_json;
pub use guests::route_modules::named as module_of_route;
pub use guests::route_types::runs_route_type;
pub use guests::seeds::is_seed;
pub use guests::witness::{Denial, Forwarded, LoginDeed, Published, Report};
pub use lotmq_core::limits::markdown as limits_markdown;
#[doc(hidden)]
pub use management::command::fuzz_command;
pub use management::command::{commands_markdown, takes_text, verb_names};
pub use management::logs::layer as log_topics;
pub use management::{backup, codes, projects};
pub use net::listening_socket::ListenAddress;
#[doc(hidden)]
pub use net::proxy::fuzz_proxy;
pub use process::time_zone::LocalZone;
pub use server::admin::metrics::documents as metrics_documents;
pub use server::offline_password::{PasswordChangeError, change_password};
pub use server::signals::{Signals, survive_file_size_limit};
pub use server::{Server, StartError, embedded, preflight, warm};
