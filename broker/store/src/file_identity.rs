//! Identity of the file that is open: whether it is still the one that its path names, and whole.
//!
//! A file that was deleted, moved or replaced takes what is written to it as ever, and the next
//! start does not find it: what is acknowledged into it is lost. So the writer looks now and then,
//! and opens nothing else in its place.
//!
//! A file that was truncated takes what is written to it as well, and grows again. So the writer
//! compares its length before and after each commit.
//!
//! Not here: what becomes of it (`writer`, `trouble`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lotmq_changes::{CommitError, CommitErrorKind};

use crate::backend::KnownLength;
use crate::group::failed;
use crate::limits::{LOOK_PAUSE, LOOK_PAUSE_IDLE};

/// Identity of the open file.
#[derive(Debug)]
pub(crate) struct FileIdentity {
    path: PathBuf,
    /// Open for as long as the store is: without it the system might give the number of the file to
    /// another one.
    file: File,
    /// Length that it has at least.
    length: KnownLength,
    looked_at: Duration,
    /// Whether anything was written to it since.
    is_written: bool,
}

impl FileIdentity {
    /// Identity of a file that is open. `None` on a file system that does not tell files apart.
    pub(crate) fn of(path: &Path, length: KnownLength, now: Duration) -> io::Result<Option<Self>> {
        // For writing, too: some file systems give one that is only read another number.
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let place = Self { path: path.to_owned(), file, length, looked_at: now, is_written: false };
        if let Err(error) = place.check() {
            tracing::warn!(%error, "it cannot be told whether the store's file is replaced");
            return Ok(None);
        }
        Ok(Some(place))
    }

    /// When it is to be looked at again, though nothing is written.
    pub(crate) fn next_look(&self) -> Duration {
        self.looked_at + if self.is_written { LOOK_PAUSE } else { LOOK_PAUSE_IDLE }
    }

    /// Checks it before something is written to it: its path if that was not done lately, its
    /// length each time.
    ///
    /// # Errors
    /// See [`FileIdentity::check`] and [`FileIdentity::check_length`].
    pub(crate) fn look_before_write(&mut self, now: Duration) -> Result<(), CommitError> {
        self.look(now)?;
        self.is_written = true;
        self.check_length()
    }

    /// Checks it if that was not done lately.
    ///
    /// # Errors
    /// See [`FileIdentity::check`] and [`FileIdentity::check_length`].
    pub(crate) fn look(&mut self, now: Duration) -> Result<(), CommitError> {
        if now < self.looked_at + LOOK_PAUSE {
            return Ok(());
        }
        (self.looked_at, self.is_written) = (now, false);
        self.check()?;
        self.check_length()
    }

    /// Whether nothing was cut off. Cost: one call of the system.
    ///
    /// # Errors
    /// [`CommitErrorKind::Corrupted`] when the file is shorter than the database has made it.
    pub(crate) fn check_length(&self) -> Result<(), CommitError> {
        let found = self.file.metadata().map_err(|error| failed(redb::Error::Io(error)))?.len();
        let known = self.length.bytes();
        if found >= known {
            return Ok(());
        }
        let path = self.path.display();
        Err(CommitError::corrupted(format_args!("'{path}' was truncated from {known} to {found} bytes")))
    }

    /// Whether the path names the file.
    ///
    /// # Errors
    /// [`CommitErrorKind::Gone`] when it does not, another one when that cannot be told.
    pub(crate) fn check(&self) -> Result<(), CommitError> {
        let failed = |error| failed(redb::Error::Io(error));
        let own = self.file.metadata().map_err(failed)?;
        match std::fs::metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) != (own.dev(), own.ino()) => {
                Err(self.gone("was replaced by another file"))
            }
            Ok(_) if own.nlink() > 0 => Ok(()),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(failed(error))
            }
            Ok(_) | Err(_) => Err(self.gone("is gone")),
        }
    }

    fn gone(&self, what: &str) -> CommitError {
        let detail = format!("'{}' {what}", self.path.display());
        CommitError { kind: CommitErrorKind::Gone, detail: detail.into() }
    }
}
