//! Backups: the store as one zip, made while the broker runs, and the restore of one. Commands
//! reference §12.3.
//!
//! ```text
//! -backup         store -> snapshot -> zip in a file without a name
//!                 -> chunks to the Client that asked, as fast as it takes them
//! -restoreBackup  zip -> checked -> store beside the one in use -> reply -> stop, swap, start
//! ```
//!
//! Nothing slow happens while a snapshot lives: the zip is whole before the first chunk leaves.
//!
//! Invariants: one backup or restore at a time; nothing is touched before all of a backup was read
//! and found good; compiled code and the key of the secrets are in none. Not here: the commands
//! (`command::backup`), the stream of the store and the swap of its files (`store`), stop and start
//! (`server`).

mod archive;
mod arriving;
mod download;
mod manifest;
mod spool;

use lotmq_changes::StagedLog;
use lotmq_changes::table::BackupClass;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

pub use archive::{Archive, ArchiveError};
pub(crate) use archive::{Contents, WriteError, write};
pub(crate) use arriving::{ArrivingBackup, PartError, PartNumber};
pub(crate) use download::{Download, DownloadError, DownloadReceiver, chunk_bytes, send};
pub use manifest::{Manifest, Member, Table};
pub(crate) use spool::Spool;

/// Part of a backup, which is in it or not as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Configuration,
    Secrets,
    Retained,
    Sessions,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Configuration, Self::Secrets, Self::Retained, Self::Sessions];

    pub(crate) fn class(self) -> BackupClass {
        match self {
            Self::Configuration => BackupClass::Configuration,
            Self::Secrets => BackupClass::Secret,
            Self::Retained => BackupClass::Messages,
            Self::Sessions => BackupClass::Sessions,
        }
    }

    /// Name in the manifest and in replies.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Secrets => "secrets",
            Self::Retained => "retained",
            Self::Sessions => "sessions",
        }
    }
}

/// Outcome of the last restore in this process.
#[derive(Clone, Debug)]
pub struct RestoreReport {
    /// End of the restore, by the wall clock.
    pub ended_at_ms: u64,
    /// Reason why it failed; then the broker runs on the former store.
    pub error: Option<String>,
}

/// Backup or restore that is under way, and the outcome of the last restore.
pub struct Backups {
    turn: Mutex<()>,
    /// Store that waits for the broker to stop.
    staged: Mutex<Option<Box<dyn StagedLog>>>,
    asked: Notify,
    /// Backup of which the last part has not come yet.
    pub(crate) arriving: ArrivingBackup,
    /// Outcome of the restore by which this broker was started.
    pub(crate) report: Option<RestoreReport>,
}

impl Backups {
    /// Returns the backups of a broker, with the report of the restore before its start, if any.
    pub fn new(report: Option<RestoreReport>) -> Self {
        Self {
            turn: Mutex::new(()),
            staged: Mutex::new(None),
            asked: Notify::new(),
            arriving: ArrivingBackup::default(),
            report,
        }
    }

    /// Permit for a backup or a restore; `None` while another one is under way.
    pub(crate) fn begin(&self) -> Option<MutexGuard<'_, ()>> {
        let turn = self.turn.try_lock()?;
        self.staged.lock().is_none().then_some(turn)
    }

    /// Keeps a store that was made from a backup until the broker restarts on it. No other backup
    /// or restore begins from now on.
    pub(crate) fn keep(&self, staged: Box<dyn StagedLog>) {
        *self.staged.lock() = Some(staged);
    }

    /// Asks for a restart on the kept store, if there is one.
    pub(crate) fn restart(&self) {
        if self.staged.lock().is_some() {
            self.asked.notify_one();
        }
    }

    /// Waits for a restart to be asked for. Loses nothing when it is dropped.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Takes the staged log of an accepted restore, if any.
    pub fn take(&self) -> Option<Box<dyn StagedLog>> {
        self.staged.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_in_a_part_or_in_all() {
        for table in lotmq_changes::table::TABLES {
            let is_in_part = Part::ALL.iter().any(|part| part.class() == table.backup);
            assert!(
                is_in_part
                    || [BackupClass::Always, BackupClass::Quarantine, BackupClass::Audit]
                        .contains(&table.backup),
                "{}",
                table.name
            );
        }
    }
}
