//! Archive of a log: snapshots of its contents, backups made of them, and a restore from one.
//!
//! A command, or the start of a broker, reads large contents here that are not in memory: files of
//! projects and components of modules. Calls block and are for threads that serve no client.
//!
//! Not here: queues and the audit, which [`Log`](crate::Log) reads back.

use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;

use crate::limits::SNAPSHOTS_LOST_MAX;
use crate::table::{BackupClass, TABLES};
use crate::{ImportError, Recovered, RecoveredQueues, SnapshotError, StoreError, TenantId};

/// Archive of a log.
pub trait LogArchive: Send + Sync {
    /// Takes a snapshot of everything that was appended before. It is read while the log takes
    /// more.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::CommitFailed`] when the log cannot be read,
    /// [`StoreError::Hangs`] when there is no answer.
    fn snapshot(&self) -> Result<Box<dyn LogSnapshot>, StoreError>;

    /// Makes a new log of an exported stream, beside the one in use, and checks all of it.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing has changed then.
    fn stage(&self, input: &mut dyn Read) -> Result<Box<dyn StagedLog>, ImportError>;

    /// Notes that the broker has started on this log, which may have been restored. Until then, the
    /// next start goes back to the former log.
    ///
    /// # Errors
    /// When that cannot be noted.
    fn started_well(&self) -> io::Result<()>;
}

impl dyn LogArchive + '_ {
    /// Reads in a snapshot; see [`retry_lost`].
    ///
    /// # Errors
    /// As [`LogArchive::snapshot`]; those of `read` are inside.
    pub fn in_snapshot<T, E>(
        &self,
        is_lost: impl Fn(&E) -> bool,
        read: impl FnMut(Box<dyn LogSnapshot>) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        retry_lost(|| self.snapshot(), is_lost, read)
    }
}

/// Reads in a snapshot, and in a new one if `is_lost` reports its loss, a few times at most.
///
/// While the disk fails, a log is opened again now and then, which ends its snapshots. A read that
/// outlasts the pause before such an attempt starts anew.
///
/// # Errors
/// Those of `take`; those of `read` are inside.
pub fn retry_lost<S, T, E>(
    take: impl Fn() -> Result<S, StoreError>,
    is_lost: impl Fn(&E) -> bool,
    mut read: impl FnMut(S) -> Result<T, E>,
) -> Result<Result<T, E>, StoreError> {
    for _ in 0..SNAPSHOTS_LOST_MAX {
        match read(take()?) {
            Err(error) if is_lost(&error) => {}
            outcome => return Ok(outcome),
        }
    }
    Ok(read(take()?))
}

/// Contents of a log at one moment.
pub trait LogSnapshot: Send {
    /// Writes the tables of these classes, and those that every backup has, as one stream.
    ///
    /// `out` is written to while the snapshot lives, so it should not be slow.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    fn export(
        self: Box<Self>,
        classes: &[BackupClass],
        out: &mut dyn Write,
    ) -> Result<Vec<TableSize>, SnapshotError>;

    /// Returns all contents but archives, components and the audit, as the log does when it is
    /// opened. They are in memory then.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    fn contents(&self, queues: RecoveredQueues) -> Result<Recovered, SnapshotError>;

    /// Returns the files of a project; `None` when there is no such project.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    fn archive(&self, tenant: TenantId, name: &str) -> Result<Option<Bytes>, SnapshotError>;

    /// Returns the component of a module, by the [hash](crate::ModuleRow::hash) in its row; `None`
    /// when no module of the tenant has it.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    fn component(&self, tenant: TenantId, hash: &[u8; 32]) -> Result<Option<Bytes>, SnapshotError>;

    /// Returns the bytes in a range of a component, as many as it has of them.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    fn component_range(
        &self,
        tenant: TenantId,
        hash: &[u8; 32],
        range: Range<u64>,
    ) -> Result<Option<Bytes>, SnapshotError>;
}

/// Log that is ready to take the place of the one in use. Dropping it removes its files.
pub trait StagedLog: Send {
    /// Tables of the backup.
    fn tables(&self) -> &[TableSize];

    /// Names of secrets that the key of this log does not open.
    fn locked_secrets(&self) -> &[String];

    /// Puts it in the place of the log in use, which must be closed. Takes time for what is kept.
    ///
    /// # Errors
    /// See [`ImportError`]; the log in use is as it was then.
    fn install(self: Box<Self>) -> Result<Box<dyn InstalledLog>, ImportError>;

    /// Whether a part is not in the backup, so that it stays as it is.
    fn keeps(&self, class: BackupClass) -> bool {
        let of_class =
            |size: &TableSize| TABLES.iter().any(|info| info.name == size.name && info.backup == class);
        class != BackupClass::Always && !self.tables().iter().any(of_class)
    }
}

/// Log that has taken the place of another one.
pub trait InstalledLog {
    /// Puts the former log back; none may be open.
    ///
    /// # Errors
    /// When a file cannot be renamed.
    fn undo(self: Box<Self>) -> io::Result<()>;
}

/// Rows and bytes of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSize {
    /// Name of the table.
    pub name: &'static str,
    /// How many rows it has.
    pub rows: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}
