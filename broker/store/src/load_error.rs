//! Why a database file cannot be read, before its path is known: errors and panics of redb as ours.

use std::io;
use std::path::{Path, PathBuf};

use lotmq_changes::Corruption;
use lotmq_changes::table::SCHEMA_VERSION;
use redb::{DatabaseError, StorageError, TableError};

use crate::contain;
use crate::directory;
use crate::error::OpenError;
use crate::limits::FREE_BYTES_MIN;

/// Why a database could not be loaded, before the path is known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("{0}")]
    Corrupted(#[from] Corruption),
    #[error("schema version {0} is newer than {SCHEMA_VERSION}")]
    SchemaTooNew(u64),
    #[error("in use by another process")]
    InUse,
    #[error("{0}")]
    Io(io::Error),
}

impl LoadError {
    /// An error on opening a table that must be there.
    pub(crate) fn table(table: &'static str, error: TableError) -> Self {
        if let TableError::Storage(error) = error {
            return error.into();
        }
        Self::Corrupted(Corruption::ForeignTable { table, reason: error.to_string() })
    }

    pub(crate) fn at(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Corrupted(detail) => OpenError::Corrupted { path, detail },
            Self::SchemaTooNew(found) => OpenError::SchemaTooNew { path, found, known: SCHEMA_VERSION },
            Self::InUse => OpenError::InUse { dir: path, pid: None },
            Self::Io(source) => io_error(path, source),
        }
    }
}

fn io_error(path: PathBuf, source: io::Error) -> OpenError {
    use io::ErrorKind::{IsADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    if matches!(source.kind(), StorageFull | QuotaExceeded) {
        let free_bytes = directory::free_bytes(&path).unwrap_or(0);
        return OpenError::NoSpace { path, free_bytes, needed_bytes: FREE_BYTES_MIN };
    }
    if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem | IsADirectory) {
        return OpenError::NotWritable { path, source };
    }
    OpenError::Io { path, source }
}

impl From<StorageError> for LoadError {
    fn from(error: StorageError) -> Self {
        from_redb(error)
    }
}

/// redb reports a file that is none of its own, or that ends early, as an input/output error of
/// these kinds.
fn is_format_error(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

impl From<DatabaseError> for LoadError {
    fn from(error: DatabaseError) -> Self {
        if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
            return Self::InUse;
        }
        from_redb(error)
    }
}

pub(crate) fn from_redb(error: impl Into<redb::Error>) -> LoadError {
    let error = error.into();
    let text = error.to_string();
    if let redb::Error::Io(error) = error
        && !is_format_error(&error)
    {
        return LoadError::Io(error);
    }
    LoadError::Corrupted(Corruption::Structure(text))
}

/// Runs what touches a file that may be damaged, on which redb can panic.
pub(crate) fn contained<T>(run: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
    contain::contained(run).unwrap_or_else(|panic| Err(LoadError::Corrupted(Corruption::Unreadable(panic))))
}
