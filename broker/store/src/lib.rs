//! The durable store: everything that must outlive the process, in one redb file with group commit.
//!
//! A shard collects what a turn must make durable in a `Batch`, [`append`](Store::append)s it and
//! gets a `Ticket`. One thread commits batches in groups and reports each group to `on_commit`;
//! acknowledgements wait for that report. [`Store::open`] returns what was stored before as
//! `Recovered`.
//!
//! ```text
//! shards, commands --append--> queue --groups--> writer thread --transaction--> log chunks + rows
//!        ^                                            |
//!        +------------ Committed(ticket) -------------+
//! ```
//!
//! Messages, acknowledgements and Packet Identifiers go to a log inside the file (`log`),
//! everything else to a table each (`table`). The log is kept within about twice what is alive in
//! it.
//!
//! Invariants: batches are committed in the order of their tickets, each whole or not at all; what
//! was reported as [`Committed::Through`] is there after `kill -9` and, with [`Durability::Fsync`],
//! after a power loss; after an error the file is opened and checked again before anything is
//! written. Not here: batches, rows and log records with their bytes (`lotmq_changes`); what a
//! message means, when it expires, who may read it.
//!
//! Further invariants, with the tests that guard them:
//!
//! - Reported commits survive `kill -9` and a power loss. The last three tests check the simulated
//!   disk, and prove that the others detect faults. Tests
//!   `committed_data_survives_kill_9`, `kill_9_keeps_sessions_and_their_queues`,
//!   `acknowledged_operations_survive_kill_9`,
//!   `nothing_that_was_reported_is_lost_when_the_power_goes`,
//!   `a_store_that_breaks_its_promise_is_found_out`, `a_disk_that_lies_about_syncing_is_found_out`,
//!   `power_cut_keeps_synced_data_and_may_tear_unsynced_sectors`.
//! - The store first rewrites all data that a failed sync may have lost. If this process is killed,
//!   the next one does so (`backend/resync.rs`). Test
//!   `nothing_that_was_reported_is_lost_when_the_power_goes`.
//! - A failed group fails alone, and never counts as committed. Tests
//!   `a_failed_commit_fails_its_group_and_not_those_behind_it`,
//!   `nothing_that_failed_counts_as_committed_however_late_somebody_asks`.
//! - A stepped store does nothing between two steps. The same batches give the same bytes. Tests
//!   `nothing_happens_between_steps`, `the_same_batches_give_the_same_bytes`,
//!   `nothing_is_written_when_the_stepper_is_dropped`.
//! - The log alone decides which records are alive. The rows of table `queues`, the records behind
//!   the mark and the memory agree with it. Memory is bounded. Test
//!   `the_log_keeps_exactly_what_is_alive`.
//! - Damage is an error with its place, or the store sets the damaged data aside and reports it.
//!   Contents are never wrong. A refused start has changed nothing. Tests
//!   `a_flipped_bit_is_an_error_or_harmless`, `a_flipped_bit_in_key_or_value_is_found`,
//!   `damaged_rows_are_quarantined_and_other_rows_stay_available`.
//! - Damage grants nobody a permission. Tests
//!   `damaged_rule_is_quarantined_only_by_explicit_command`,
//!   `a_damaged_root_does_not_become_one_with_the_default_password`.
//! - No file holds a secret in plain text. Test `no_file_holds_a_secret_in_plain_text`.
//! - A backup shows one moment, whatever is written meanwhile. Tests
//!   `snapshots_under_load_are_of_one_moment_and_have_all_that_was_appended_before`,
//!   `a_backup_under_load_has_what_was_acknowledged_before_and_serves_in_another_broker`.
//! - A restore leaves the old store or the new one, each complete. Test
//!   `kill_9_during_a_restore_leaves_the_old_store_or_the_new_one`.
//! - A database of this schema opens. Test
//!   `fixture_of_the_schema_opens_with_all_its_contents`.

mod as_log;
mod audit;
mod backend;
mod check;
mod clock;
mod component;
mod contain;
mod directory;
mod error;
mod export;
#[cfg(feature = "fault-points")]
mod fault;
mod file_identity;
mod fuzz;
mod group;
mod limits;
mod load;
mod load_error;
mod log;
mod metrics;
mod offline;
mod outcomes;
mod overlay;
mod queue;
mod reader;
mod recent;
mod request;
mod rescue;
mod secret;
mod shared;
mod snapshot;
mod staged;
mod store;
mod table;
mod trouble;
mod writer;

pub use backend::{BackendFactory, Durability, NoNote, Note};
pub use contain::takes_panic;
pub use directory::{disk_bytes, free_bytes, is_full};
pub use error::{OpenError, SecretKeyError};
#[doc(hidden)]
pub use fuzz::{fuzz_log, fuzz_row};
pub use limits::Limits;
pub use offline::Stats;
pub use redb::{BackendError, StorageBackend};
pub use secret::{KeySource, RandomSource};
pub use snapshot::Snapshot;
pub use staged::{Installed, Staged};
pub use store::{Store, StoreOptions};
pub use writer::{Committed, OnCommit, Stepper, Surroundings};
