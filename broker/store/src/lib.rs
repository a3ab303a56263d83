//! The durable store: everything that must outlive the process, in one redb file with group commit.
//!
//! A shard collects what a turn must make durable in a [`Batch`], [`append`](Store::append)s it and
//! gets a [`Ticket`]. One thread commits batches in groups and reports each group to `on_commit`;
//! acknowledgements wait for that report. [`Store::open`] returns what was stored before as
//! [`Recovered`].
//!
//! ```text
//! shards, commands --append--> queue --groups--> writer thread --one transaction--> log chunks + rows
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
//! written. Not here: what a message means, when it expires, who may read it.

mod audit;
mod backend;
mod batch;
mod check;
mod clock;
mod component;
mod contain;
mod directory;
mod encoding;
mod error;
mod export;
#[cfg(feature = "fault-points")]
mod fault;
mod file_identity;
mod fuzz;
mod group;
mod ids;
mod limits;
mod load;
mod load_error;
mod log;
mod metrics;
mod offline;
mod outcomes;
mod overlay;
mod queue;
#[doc(hidden)]
pub mod rare;
mod reader;
mod recent;
mod recovered;
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

pub use audit::{AuditEnds, AuditRecord};
pub use backend::{BackendFactory, Durability, NoNote, Note};
pub use batch::{Batch, Op};
#[cfg(feature = "fault-points")]
pub use batch::{OpKind, lose_operations};
pub use contain::takes_panic;
pub use directory::{disk_bytes, free_bytes, is_full};
pub use error::{
    CommitError, CommitErrorKind, Corruption, ImportError, OpenError, SecretKeyError, SnapshotError,
    StoreError,
};
pub use export::TableSize;
#[doc(hidden)]
pub use fuzz::{fuzz_log, fuzz_row};
pub use ids::{Ids, MembershipId, MessageId, SessionId, TenantId, Ticket};
pub use limits::Limits;
pub use log::record::{Delivery, MessageRef};
pub use metrics::{COMMIT_BOUNDS, COMMIT_BUCKETS, Metrics};
pub use offline::Stats;
pub use recovered::{
    Recovered, RecoveredDelivery, RecoveredQueues, RecoveredSecret, RecoveredSession, StoredMessage, Waiting,
};
pub use redb::{BackendError, StorageBackend};
pub use request::{OnSlice, QueueSlice};
pub use secret::{KeySource, RandomSource};
pub use snapshot::Snapshot;
pub use staged::{Installed, Staged};
pub use store::{Store, StoreOptions};
pub use table::{
    BackupClass, DefinitionRow, EnvironmentRow, KeepRow, KeeperRow, MetaRow, ModuleRow, PeerRow, ProjectRow,
    QuarantineRow, RetainedRow, SCHEMA_VERSION, SessionRow, SettingRow, SubscriptionRow, TABLES, TableInfo,
    TenantRow, UserRow, WillRow,
};
pub use writer::{Committed, OnCommit, Stepper, Surroundings};
