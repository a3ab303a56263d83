//! Why something was not made durable, read or restored, and what is wrong with a damaged file.
//!
//! All of these are failures of the environment, except [`StoreError::Full`], which is a limit.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Ticket;

/// Damage of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// redb found its own structure damaged.
    #[error("{0}")]
    Structure(String),
    /// redb met bytes that it did not expect at all; the panic was contained.
    #[error("damaged beyond what the database can describe: {0}")]
    Unreadable(String),
    /// The file is a redb file of another program, or its table types differ.
    #[error("table '{table}' does not belong to this program: {reason}")]
    ForeignTable {
        /// The table.
        table: &'static str,
        /// Message of redb.
        reason: String,
    },
    /// A row's checksum is wrong, or it does not decode.
    #[error("row of table '{table}' with key {key}: {reason}")]
    Row {
        /// The table.
        table: &'static str,
        /// The key, in hexadecimal, at most 64 bytes of it, and the name that it ends with.
        key: String,
        /// Description of the damage.
        reason: &'static str,
    },
    /// A chunk of the log has a wrong checksum or does not decode.
    #[error("log chunk {lsn}: {reason}")]
    Chunk {
        /// Number of its first record.
        lsn: u64,
        /// Description of the damage.
        reason: &'static str,
    },
    /// A table says that it has more rows than are found, or fewer.
    #[error("table '{table}' says that it has {expected} rows, and {found} are found")]
    RowsMissing {
        /// The table.
        table: &'static str,
        /// Number of rows that it declares.
        expected: u64,
        /// Number of rows that are found.
        found: u64,
    },
    /// Part of the log is missing.
    #[error("log continues at record {found} where record {expected} should be")]
    LogGap {
        /// The record that should come.
        expected: u64,
        /// The record that came.
        found: u64,
    },
    /// A message is referred to and is not there.
    #[error("message {message} is queued but its content is missing")]
    MessageMissing {
        /// The message.
        message: u64,
    },
    /// The table of the schema version is empty in a file that has others.
    #[error("schema version missing")]
    SchemaMissing,
    /// The row of the tenant that every broker has is missing.
    #[error("table 'tenants' has no row for the tenant `default`")]
    DefaultTenantMissing,
    /// Rows belong to a tenant that has no row.
    #[error("table '{table}' has rows of tenant {tenant}, which table 'tenants' does not have")]
    TenantMissing {
        /// The table with the rows.
        table: &'static str,
        /// Number of the tenant.
        tenant: u32,
    },
    /// Two tenants have a session with the same number.
    #[error("table 'sessions' has two sessions with number {session}")]
    SessionTwice {
        /// The number.
        session: u64,
    },
}

impl Corruption {
    /// Whether the tree of the database is damaged, so that rows may be missing without a trace;
    /// else it is what is named, and nothing besides.
    pub fn is_of_tree(&self) -> bool {
        match self {
            Self::Structure(_)
            | Self::Unreadable(_)
            | Self::ForeignTable { .. }
            | Self::RowsMissing { .. }
            | Self::SchemaMissing
            | Self::DefaultTenantMissing
            | Self::TenantMissing { .. } => true,
            Self::Row { .. }
            | Self::Chunk { .. }
            | Self::LogGap { .. }
            | Self::MessageMissing { .. }
            | Self::SessionTwice { .. } => false,
        }
    }
}

/// Why something is not, or not known to be, durable.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Too many bytes wait for the disk. Stop reading from those who publish durably, try again
    /// later.
    #[error("{waiting_bytes} bytes wait for the disk, limit {limit_bytes}")]
    Full {
        /// Bytes that wait already.
        waiting_bytes: usize,
        /// The bound.
        limit_bytes: usize,
    },
    /// The store has been closed.
    #[error("store is closed")]
    Closed,
    /// The writer is at something that does not end: it gives no snapshot meanwhile, and settles
    /// nothing.
    #[error("the disk has not answered for {} s", waited.as_secs())]
    Hangs {
        /// How long was waited.
        waited: std::time::Duration,
    },
    /// The commit of the group that held the batch failed.
    #[error("not stored: {0}")]
    CommitFailed(CommitError),
    /// The ticket is so old that its failure is no longer remembered.
    #[error("outcome of ticket {} is no longer known", .0.number())]
    OutcomeForgotten(Ticket),
    /// No random numbers for a nonce; nothing was appended.
    #[error("no random numbers from the system")]
    Random,
}

/// Why a group was not committed.
///
/// The batches of the group are not promised to be there after a restart. They may be there all the
/// same: when the sync itself failed, nobody can tell.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct CommitError {
    /// Kind of the failure.
    pub kind: CommitErrorKind,
    /// The database's own words.
    pub detail: Arc<str>,
}

impl CommitError {
    /// Error of a damaged file.
    pub fn corrupted(detail: impl fmt::Display) -> Self {
        Self { kind: CommitErrorKind::Corrupted, detail: detail.to_string().into() }
    }
}

/// The kinds of [`CommitError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitErrorKind {
    /// The disk is full (0x97 to a 5.0 Client).
    NoSpace,
    /// Reading, writing or syncing failed.
    Io,
    /// The file is damaged.
    Corrupted,
    /// The file was deleted, moved or replaced while it was open.
    Gone,
    /// The file failed before and could not be opened again yet.
    Unavailable,
}

/// Why an exported stream did not become a store. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The stream is something else.
    #[error("this is no export of a lotmq store")]
    Foreign,
    /// It was written by a newer version of this program.
    #[error("the export has version {found}, this program knows versions up to {known}")]
    TooNew {
        /// Its version.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// It was changed or cut since it was written.
    #[error("the export is damaged: {0}")]
    Damaged(&'static str),
    /// There is a store already; it is not overwritten.
    #[error("'{}' exists; move it away first", .0.display())]
    Exists(PathBuf),
    /// It cannot be read, or the new file cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The store is in memory; nothing can be put in the place of a file.
    #[error("the store is in memory and has no file (store.durability = none)")]
    NoFile,
    /// The contents do not make a store.
    #[error("{0}")]
    Load(String),
}

impl From<Corruption> for ImportError {
    fn from(corruption: Corruption) -> Self {
        Self::Load(corruption.to_string())
    }
}

/// Error of writing out a snapshot. The partial output is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file was closed meanwhile, after a failure or at the end.
    #[error("the store failed or was closed meanwhile")]
    Lost,
    /// Reading the store or writing the stream failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The data read is damaged.
    #[error("the store is damaged: {0}")]
    Damaged(#[from] Corruption),
}

impl SnapshotError {
    /// Whether a new snapshot may do.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }
}
