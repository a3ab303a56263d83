//! `$SYS` tree: topics about the broker, and topics that Clients may write. Commands reference §5
//! and §6.
//!
//! Retained topics have no stored message: their payload is computed when somebody subscribes
//! ([`snapshot`]). It is published to subscribers when it changes ([`publish`]) or when its time
//! has come (the thread of [`periodic`]). Messages of Clients come in through
//! `command::published`.
//!
//! Invariants: nothing below `$SYS` is written to the store, but the Will of a bridge with its
//! session. No payload holds a password or secret. A listing is computed only while a Client is
//! subscribed to it. Not here: permissions to subscribe (`auth`), effects of commands (`command`).

mod bridges;
mod clients;
mod condition;
mod definition;
mod documents;
mod figures;
mod full_queues;
mod listing;
pub(crate) mod logins;
mod monitor;
mod periodic;
mod rows;
mod snapshot;
mod untrusted;
mod users;

pub(crate) use bridges::note_state;
pub(crate) use clients::{connections_page, page as clients_page, sessions_page};
pub use condition::{certificates_not_read, condition, failures, login_waits, state};
pub(crate) use definition::{ChangedTopic, installed_topics, removed_topics, retained_topics};
pub(crate) use documents::config as config_json;
pub use periodic::start;
pub(crate) use snapshot::snapshot;
pub(crate) use users::{USERS_TOPICS, users_json};

use lotmq_core::turn::internal::publish;
