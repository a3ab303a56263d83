//! Operation of the broker: commands and the `$SYS` tree, and their subjects: accounts, logins,
//! audit, log lines, modules, projects, backups.
//!
//! Above `net` and `programs`, which know nothing of it: what the core and guests call of it comes
//! through `hooks`. [`broker::Broker`] is what all of it shares, [`managed::Managed`] what it
//! keeps of a tenant. Not here: when any of it starts and stops (`server`).
//!
//! Invariants, with the tests that guard them:
//!
//! - No audit record and no published log line holds a secret, a password or a payload. Answered
//!   commands are in the audit after `kill -9`. Tests `audit_records_every_command_and_no_secret`,
//!   `no_line_holds_a_secret_a_password_or_a_payload`,
//!   `answered_commands_survive_kill_9_in_an_intact_audit_chain`.
//! - Logins, denials and readers push out no audit record of an administrator. Removed records are
//!   noticed. Tests `neither_logins_nor_readers_push_out_what_administrators_did`,
//!   `newest_records_that_somebody_took_out_of_the_file_are_missed`.
//! - Data of a reply reaches only the sessions and definitions of the asking user. Tests
//!   `a_reply_is_for_who_asked_and_others_learn_verb_result_and_user`,
//!   `definitions_see_replies_to_their_owners_only`.
//! - A log line costs nothing without a reader, and causes no other line. Tests
//!   `only_what_is_wanted_is_heard`, `lines_beget_no_lines`.
//!
//! # Adding a command
//!
//! 1. Add a `static` of type `Verb` to a file of `command`: name, arguments, permission,
//!    effect on the store, summary and example for `-help`, and its function.
//! 2. Add a line to `GROUPS` in `command/mod.rs`. No other code knows the verb.
//! 3. New reply codes get a row in `table.rs` of crate `codes`.
//! 4. Add a row to `tests/verbs.rs` of crate `server`. `UPDATE=1` writes its usage errors into
//!    `tests/usage_errors.tsv` there, and its reply into `tests/replies.tsv`.
//!
//! The function returns a message and data. `command_queue::reply::CommandReply` is made of them, a
//! value for every front; `command/answer.rs` alone renders it for topics.

pub mod accounts;
pub mod apply;
pub(crate) mod asset_catalog;
pub mod assets;
pub mod audit;
pub mod backup;
pub mod broker;
pub mod command;
pub mod command_queue;
mod command_text;
pub(crate) mod components;
pub mod denials;
pub mod exposure;
mod hooks;
pub mod limits;
pub mod login_places;
pub mod logins;
pub mod logs;
pub mod managed;
pub mod module_catalog;
pub mod modules;
pub mod projects;
pub(crate) mod refused_logins;
pub mod sys;
pub mod system_state;
pub mod tenant_projects;
pub mod uploads;
mod zip_members;

#[doc(hidden)]
pub use command::fuzz_command;
