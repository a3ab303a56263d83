//! Why the store could not be opened. All of these are failures of the environment.

use std::io;
use std::path::{Path, PathBuf};

use lotmq_changes::Corruption;

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
