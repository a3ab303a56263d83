//! The broker itself: listeners, shards, sessions, commands and the `$SYS` tree.
//!
//! On the path of a message: [`net`] reads it into a turn, `protocol` decides what it means, `fan_out` routes it by the `route` of its topic, `net`
//! writes it to its receivers. Start with [`Server`].
//!
//! Invariants: nothing here allocates or copies per message and receiver on the way from socket to socket; no lock is held across an await;
//! tasks are spawned here and in `host` only. Not here: what bytes mean (`codec`), flows of a session (`session`), matching (`router`),
//! permanence (`store`), sandboxes (`host`).

mod absences;
mod accounts;
mod admin;
mod alias_out;
mod attach;
mod audit;
pub mod backup;
mod broker;
mod changes;
mod client;
mod client_lines;
mod clock;
mod close;
pub mod codes;
mod command;
mod compiles;
mod connection;
mod core;
mod counters;
mod denials;
mod descriptors;
mod ended_runs;
mod endings;
mod exposure;
mod fan_out;
#[cfg(test)]
mod fixture;
mod foreign;
mod full_queues;
mod guests;
mod hand_on;
mod heap;
mod hooks;
mod housekeeping;
mod limits;
mod logins;
mod logs;
mod machine;
mod managed;
mod message;
mod modules;
mod net;
mod not_opened;
mod numbers;
mod outgoing;
mod paging;
mod peer;
pub mod projects;
mod protocol;
mod recipient;
mod recover;
mod refused;
mod release;
mod removed_names;
mod replay;
mod restart;
mod retain;
mod room;
mod route;
mod server;
mod session_end;
mod sessions;
mod shares;
mod signals;
mod storage;
mod storage_watch;
mod store_failure;
mod stored;
mod subscription;
mod sys;
mod system_clock;
mod system_topics;
mod tenant;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod this_turn;
mod topic_alias;
mod triggers;
mod variables;
mod violation;
mod vital;
mod will;

#[doc(hidden)]
pub use command::fuzz_command;
pub use guests::json::value_of_json;
pub use guests::routes::runs_route_type;
pub use guests::{Addressed, Refused, StandaloneRoute, StandaloneType, StandaloneTypes};
pub use limits::markdown as limits_markdown;
pub use logs::layer as log_topics;
pub use net::listener::ListenAddress;
#[doc(hidden)]
pub use net::proxy::fuzz_proxy;
pub use server::{Server, StartError};
pub use signals::{Signals, survive_file_size_limit};
