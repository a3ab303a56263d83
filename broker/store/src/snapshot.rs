//! Snapshot of an open store: its contents at one moment, read while more is written.
//!
//! The writer thread makes the read transaction, the caller's thread reads in it. redb keeps the
//! pages of a transaction, but not beyond a closing of its file. When a failed store is opened
//! again, they are overwritten while the transaction still lives.
//!
//! Invariant: nothing is handed on that was read after the file was closed. So a snapshot delays
//! the reopening of a failed store only as long as the writer chooses to wait (`trouble`). Not
//! here: the form of the stream (`export`).
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use lotmq_changes::table::{ArchiveRow, BackupClass, named_key};
use lotmq_changes::{
    CommitError, LogSnapshot, MessageId, Recovered, RecoveredQueues, SnapshotError, TableSize, TenantId,
};
use redb::ReadTransaction;

use crate::component::{self, ComponentName};
use crate::export;
use crate::load;
use crate::load_error::{LoadError, contained};
use crate::request::{Damage, StoreMoment};
use crate::secret::SecretCipher;
use crate::shared::Shared;

/// See the module's documentation.
pub struct Snapshot {
    transaction: ReadTransaction,
    shared: Arc<Shared>,
    /// [`Shared::closings`] when the transaction began.
    closings: u64,
    cipher: Arc<SecretCipher>,
    next_message: MessageId,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("is_lost", &self.is_lost()).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Called by the writer thread, which alone closes the file.
    pub(crate) fn new(
        StoreMoment { transaction, next_message }: StoreMoment,
        shared: Arc<Shared>,
        cipher: Arc<SecretCipher>,
    ) -> Self {
        let closings = shared.closings.load(SeqCst);
        shared.snapshots.fetch_add(1, SeqCst);
        Self { transaction, shared, closings, cipher, next_message }
    }

    /// Writes the tables of these classes, and those that every backup has, as one stream.
    ///
    /// Reads in the caller's thread and holds a block of about 1 MiB; `out` is written to while the
    /// snapshot lives, so it should not be slow.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn export(
        self,
        classes: &[BackupClass],
        out: &mut dyn Write,
    ) -> Result<Vec<TableSize>, SnapshotError> {
        let mut guarded = Guarded { snapshot: &self, out };
        self.read(|transaction| export::write(transaction, classes, &mut guarded))
    }

    /// All contents but archives, components and the audit, as an opening returns them.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn contents(&self, queues: RecoveredQueues) -> Result<Recovered, SnapshotError> {
        let mut contents = self.read(|transaction| load::contents(transaction, &self.cipher, queues))?;
        contents.next_message = contents.next_message.max(self.next_message);
        Ok(contents)
    }

    /// The files of a project; `None` when there is no such project.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn archive(&self, tenant: TenantId, name: &str) -> Result<Option<Bytes>, SnapshotError> {
        let key = named_key(tenant, name);
        let row = self.read(|transaction| load::row::<ArchiveRow>(transaction, &key))?;
        Ok(row.map(|row| row.bytes))
    }

    /// The component of a module, by the [hash](lotmq_changes::ModuleRow::hash) in its row; `None`
    /// when no module of the tenant has it.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn component(&self, tenant: TenantId, hash: &[u8; 32]) -> Result<Option<Bytes>, SnapshotError> {
        self.read(|transaction| component::whole(transaction, ComponentName { tenant, hash }))
    }

    /// The bytes in a range of a component, as many as it has of them.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn component_range(
        &self,
        tenant: TenantId,
        hash: &[u8; 32],
        range: Range<u64>,
    ) -> Result<Option<Bytes>, SnapshotError> {
        self.read(|transaction| component::range(transaction, ComponentName { tenant, hash }, range))
    }

    /// Reads in the snapshot; nothing that was read after the file was closed is handed on.
    pub(crate) fn read<T>(
        &self,
        run: impl FnOnce(&ReadTransaction) -> Result<T, LoadError>,
    ) -> Result<T, SnapshotError> {
        // A transaction whose file was closed reads anything, and redb may panic on it.
        let found = contained(|| run(&self.transaction));
        if self.is_lost() {
            return Err(SnapshotError::Lost);
        }
        found.map_err(|error| match error {
            LoadError::Corrupted(corruption) => {
                if corruption.is_of_tree() {
                    let error = CommitError::corrupted(&corruption);
                    self.shared.queue.report(Damage { closings: self.closings, error });
                }
                SnapshotError::Damaged(corruption)
            }
            LoadError::Io(error) => SnapshotError::Io(error),
            other @ (LoadError::SchemaTooNew(_) | LoadError::InUse) => {
                SnapshotError::Io(io::Error::other(other.to_string()))
            }
        })
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.shared.closings.load(SeqCst) != self.closings
    }
}

impl LogSnapshot for Snapshot {
    fn export(
        self: Box<Self>,
        classes: &[BackupClass],
        out: &mut dyn Write,
    ) -> Result<Vec<TableSize>, SnapshotError> {
        (*self).export(classes, out)
    }

    fn contents(&self, queues: RecoveredQueues) -> Result<Recovered, SnapshotError> {
        self.contents(queues)
    }

    fn archive(&self, tenant: TenantId, name: &str) -> Result<Option<Bytes>, SnapshotError> {
        self.archive(tenant, name)
    }

    fn component(&self, tenant: TenantId, hash: &[u8; 32]) -> Result<Option<Bytes>, SnapshotError> {
        self.component(tenant, hash)
    }

    fn component_range(
        &self,
        tenant: TenantId,
        hash: &[u8; 32],
        range: Range<u64>,
    ) -> Result<Option<Bytes>, SnapshotError> {
        self.component_range(tenant, hash, range)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shared.snapshots.fetch_sub(1, SeqCst);
    }
}

/// Looks, before anything leaves, whether it was read in time.
struct Guarded<'a> {
    snapshot: &'a Snapshot,
    out: &'a mut dyn Write,
}

impl Write for Guarded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.snapshot.is_lost() {
            return Err(io::Error::other("the store was closed"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
