//! `$SYS` tree: what the broker tells about itself, and what Clients may write there. Commands
//! reference §5 and §6.
//!
//! Retained topics have no stored message: their payload is computed when somebody subscribes
//! ([`snapshot`]), and published to those who are there when it changes ([`publish`]) or when its
//! time has come (the thread of [`clockwork`]). What Clients write comes in through
//! `command::published`.
//!
//! Invariants: nothing below `$SYS` is written to the store, but the Will of a bridge with its
//! session; no payload holds a password or secret; a listing is computed only while somebody
//! subscribes to it. Not here: who may subscribe to what (`auth`), what commands do (`command`).

mod bridges;
mod clients;
mod clockwork;
mod condition;
mod definition;
mod documents;
mod figures;
mod full_queues;
mod listing;
pub(crate) mod logins;
mod monitor;
mod rows;
mod snapshot;
mod untrusted;
mod users;

pub(crate) use bridges::note_state;
pub(crate) use clients::{connections_page, page as clients_page, sessions_page};
pub(crate) use clockwork::start;
pub(crate) use condition::{condition, failures, login_waits, state};
pub(crate) use definition::{installed_topics, removed_topics, retained_topics};
pub(crate) use documents::config as config_json;
pub(crate) use snapshot::snapshot;
pub(crate) use users::{USERS_TOPICS, users_json};

use lotmq_core::turn::internal::publish;
