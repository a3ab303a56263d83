//! Why the store could not be opened, and why something was not made durable.
//!
//! All of these are failures of the environment, except [`StoreError::Full`], which is a limit.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Ticket;

/// Why [`Store::open`](crate::Store::open) refused. No file has been harmed in any of these cases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process holds the lock of the directory. `pid` is `None` when the lock file does not
    /// tell.
    #[error("data directory '{}' is in use by process {}", dir.display(), pid_text(*pid))]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds it.
        pid: Option<u32>,
    },
    /// Too little free space to work with; nothing was created or changed.
    #[error("no space left for '{}': {free_bytes} bytes free, {needed_bytes} needed", path.display())]
    NoSpace {
        /// The data directory.
        path: PathBuf,
        /// Bytes free for an ordinary user on its file system.
        free_bytes: u64,
        /// Bytes that must be free.
        needed_bytes: u64,
    },
    /// The path of the data directory names something else.
    #[error("data directory '{}' is not a directory", path.display())]
    NotDirectory {
        /// That path.
        path: PathBuf,
    },
    /// The directory cannot be created, or a file in it cannot be created or written.
    #[error("'{}' is not writable: {source}", path.display())]
    NotWritable {
        /// Path that could not be written.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file was written by a newer version of this program.
    #[error(
        "'{}' has schema version {found}, this program knows versions up to {known}: a newer lotmq has written it, which reads it still; a backup that was made \
         before, `lotmq store import` makes a store of in an empty data directory",
        path.display()
    )]
    SchemaTooNew {
        /// The database file.
        path: PathBuf,
        /// The version in the file.
        found: u64,
        /// The newest version that this program reads.
        known: u64,
    },
    /// The file is not one of ours or has been damaged.
    #[error("'{}' is corrupted: {detail}", path.display())]
    Corrupted {
        /// The database file.
        path: PathBuf,
        /// The contradiction that was found.
        detail: Corruption,
    },
    /// Rows are damaged without which something may be allowed that they deny.
    #[error(
        "the store in '{0}' is damaged where it protects: {rows}. Nothing was changed. Restore a backup{1}",
        directory.display(), protection_hint(directory, *may_be_put_aside)
    )]
    ProtectionDamaged {
        /// The data directory.
        directory: PathBuf,
        /// The damaged rows, with the fault of each.
        rows: String,
        /// Whether [`Store::quarantine`](crate::Store::quarantine) puts them aside.
        may_be_put_aside: bool,
    },
    /// The key for secrets cannot be had.
    #[error("no key for secrets: {0}")]
    SecretKey(#[from] SecretKeyError),
    /// Another failure of the file system.
    #[error("'{}' cannot be opened: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The writer thread could not be started.
    #[error("store thread cannot be started: {0}")]
    Thread(io::Error),
}

fn protection_hint(directory: &Path, may_be_put_aside: bool) -> String {
    let command = "lotmq store quarantine --data";
    match may_be_put_aside {
        true => format!(", or let it start without them: `{command} '{}'`", directory.display()),
        false => String::new(),
    }
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string())
}

/// Kind of damage in a file.
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
        /// redb's error.
        reason: String,
    },
    /// A row's checksum is wrong, or it does not decode.
    #[error("row of table '{table}' with key {key}: {reason}")]
    Row {
        /// The table.
        table: &'static str,
        /// The key, in hexadecimal, at most 64 bytes of it, and the name that it ends with.
        key: String,
        /// The fault of the row.
        reason: &'static str,
    },
    /// A chunk of the log has a wrong checksum or does not decode.
    #[error("log chunk {lsn}: {reason}")]
    Chunk {
        /// Number of its first record.
        lsn: u64,
        /// The fault of the chunk.
        reason: &'static str,
    },
    /// A table says that it has more rows than are found, or fewer.
    #[error("table '{table}' says that it has {expected} rows, and {found} are found")]
    RowsMissing {
        /// The table.
        table: &'static str,
        /// Number of rows that the table states.
        expected: u64,
        /// Number of rows that were found.
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
}

impl Corruption {
    /// Whether the tree of the database is damaged, so that rows may be missing without a trace;
    /// else it is what is named, and nothing besides.
    pub(crate) fn is_of_tree(&self) -> bool {
        match self {
            Self::Structure(_)
            | Self::Unreadable(_)
            | Self::ForeignTable { .. }
            | Self::RowsMissing { .. }
            | Self::SchemaMissing => true,
            Self::Row { .. } | Self::Chunk { .. } | Self::LogGap { .. } | Self::MessageMissing { .. } => {
                false
            }
        }
    }
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

/// Why there is no key for secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretKeyError {
    /// `LOTMQ_SECRET_KEY` is not a key.
    #[error("environment variable LOTMQ_SECRET_KEY must be 64 hexadecimal digits")]
    EnvironmentMalformed,
    /// The key file is not a key.
    #[error("'{}' must hold 64 hexadecimal digits", .0.display())]
    FileMalformed(PathBuf),
    /// The key file cannot be read or created.
    #[error("'{}': {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// The system gave no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
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
    /// Kind of failure.
    pub kind: CommitErrorKind,
    /// The database's own words.
    pub detail: Arc<str>,
}

impl CommitError {
    pub(crate) fn corrupted(detail: impl fmt::Display) -> Self {
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
