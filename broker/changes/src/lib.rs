//! The durable changes of the broker as values and bytes, and the traits of a log that takes them.
//!
//! A turn collects its changes as [`Op`]s in a [`Batch`], which encodes them at once. A log
//! ([`Log`]) takes batches and returns a [`Ticket`] for each. A log that is opened returns its
//! contents as [`Recovered`]. [`LogArchive`] makes and restores backups of a log. `lotmq_store` is
//! the log on one machine.
//!
//! Users of a log need the names at the root of this crate. An engine of a log also needs the
//! bytes: [`record`] for messages, acknowledgements and Packet Identifiers, [`table`] for
//! everything else, [`encoding`] for both.
//!
//! Not here: files, threads, clocks and random numbers. This crate does not know which database
//! holds the rows, which key encrypts secrets, what a message means, or who may read it.
//!
//! Invariants, with the tests that guard them:
//!
//! - A batch means the same to each log that applies it: its numbers and times are part of it.
//!   Test `the_same_batches_give_the_same_bytes`.
//! - Decoders never panic, whatever the bytes are. Tests `garbage_never_panics`,
//!   `corpus_of_rows_replays`, `corpus_of_the_log_replays`.
//! - A flipped bit in a row is found. Test `a_flipped_bit_in_key_or_value_is_found`.
//! - Each table belongs to one part of a backup or to all parts. Test
//!   `every_table_is_in_a_part_or_in_all`.
//! - The core and all crates below it know no database. Test `core_reaches_no_database`.

mod archive;
mod audit;
mod batch;
pub mod encoding;
mod error;
mod ids;
mod limits;
mod log;
mod managed;
mod message;
mod metrics;
#[doc(hidden)]
pub mod rare;
pub mod record;
mod recovered;
mod scope;
mod slice;
pub mod table;

pub use archive::{InstalledLog, LogArchive, LogSnapshot, StagedLog, TableSize, retry_lost};
pub use audit::{AuditEnds, AuditRecord};
pub use batch::{Batch, Op, RowChange};
#[cfg(feature = "fault-points")]
pub use batch::{OpKind, lose_operations};
pub use error::{CommitError, CommitErrorKind, Corruption, ImportError, SnapshotError, StoreError};
pub use ids::{Ids, MembershipId, MessageId, SessionId, TenantId, Ticket};
pub use log::Log;
pub use managed::{DefinitionName, ManagedChanges, RemovedRow};
pub use message::{Delivery, MessageRef};
pub use metrics::{COMMIT_BOUNDS, COMMIT_BUCKETS, CommitTimes, LogMetrics};
pub use recovered::{
    Recovered, RecoveredDelivery, RecoveredQueues, RecoveredSecret, RecoveredSession, StoredMessage, Waiting,
};
pub use scope::{LogShard, RestoreScope};
pub use slice::{OnSlice, QueueSlice, SliceBounds};
pub use table::definition::DefinitionRow;
pub use table::delayed::{DelayedClientRow, DelayedRow};
pub use table::environment::EnvironmentRow;
pub use table::keep::KeepRow;
pub use table::meta::MetaRow;
pub use table::module::ModuleRow;
pub use table::project::ProjectRow;
pub use table::quarantine::QuarantineRow;
pub use table::retained::{KeeperRow, RetainedRow};
pub use table::session::{PeerRow, ROUTE_CLIENT_IDS, SessionRow, WillRow};
pub use table::setting::SettingRow;
pub use table::subscription::SubscriptionRow;
pub use table::tenant::TenantRow;
pub use table::user::UserRow;
