//! Storage for the pages of redb: a file that is synced, a file that is not, or memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{BackendError, StorageBackend};

#[cfg(feature = "fault-points")]
mod faulty;
mod resync;

pub use resync::{NoNote, Note};
pub(crate) use resync::{NoteFile, resynced};

/// Makes the storage under the database; called again after an error, when the file is opened anew.
pub type BackendFactory = Box<dyn Fn() -> io::Result<Box<dyn StorageBackend>> + Send>;

/// Guarantee of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Every group is synced to the disk: survives `kill -9` and power loss. The default.
    #[default]
    Fsync,
    /// Groups are written and left to the system to sync: survives `kill -9` and a crash of this
    /// process only.
    ///
    /// **After a power loss or a crash of the system the whole file may be unusable**, not just its
    /// newest part: pages reach the disk in any order, and the next start then ends with
    /// [`OpenError::Corrupted`](crate::OpenError). A clean close syncs.
    Os,
    /// Everything is in memory: nothing survives the process, no file is read or written.
    None,
}

/// The storage for a mode; a file must be there.
pub(crate) fn factory(durability: Durability, path: PathBuf) -> BackendFactory {
    let factory: BackendFactory = match durability {
        Durability::Fsync => Box::new(move || Ok(Box::new(file_backend(&path, false)?))),
        Durability::Os => Box::new(move || Ok(Box::new(Unsynced(file_backend(&path, false)?)))),
        Durability::None => return shared_memory()(),
    };
    #[cfg(feature = "fault-points")]
    let factory = faulty::disk(factory);
    factory
}

/// A file that is synced, and made if it is not there.
pub(crate) fn new_file(path: PathBuf) -> BackendFactory {
    let factory: BackendFactory = Box::new(move || Ok(Box::new(file_backend(&path, true)?)));
    #[cfg(feature = "fault-points")]
    let factory = faulty::disk(factory);
    factory
}

/// Makes factories that all open the same memory.
pub(crate) fn shared_memory() -> impl Fn() -> BackendFactory {
    let memory = Arc::new(InMemoryBackend::new());
    move || {
        let memory = Arc::clone(&memory);
        Box::new(move || Ok(Box::new(Memory(Arc::clone(&memory)))))
    }
}

fn file_backend(path: &Path, may_create: bool) -> io::Result<FileBackend> {
    // It holds hashes of passwords and everybody's messages: nobody else reads it.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(may_create).truncate(false).mode(0o600);
    let file = options.open(path)?;
    FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()))
}

/// A file that is there and will not be changed; it may be one that cannot be.
pub(crate) fn open_to_read(path: &Path) -> io::Result<AnyBackend> {
    let backend = |file| FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()));
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(AnyBackend(Box::new(backend(file)?))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(AnyBackend(Box::new(Unwritable(backend(File::open(path)?)?))))
        }
        Err(error) => Err(error),
    }
}

/// Delegates everything that a wrapper does not change. The locks too: without them two processes
/// could open one file.
macro_rules! delegate {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $method(&self, $($argument: $type),*) -> $result {
            self.0.$method($($argument),*)
        })*
    };
}

macro_rules! delegate_locks {
    () => {
        delegate! {
            try_lock_range(start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError>;
            try_lock_shared_range(start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError>;
            lock_range(start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError>;
            lock_shared_range(start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError>;
            unlock_range(start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError>;
            query_lock_range(start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError>;
        }
    };
}

pub(crate) use {delegate, delegate_locks};

/// Storage of any type that the factory made.
#[derive(Debug)]
pub(crate) struct AnyBackend(pub(crate) Box<dyn StorageBackend>);

impl StorageBackend for AnyBackend {
    delegate! {
        len() -> io::Result<u64>;
        read(offset: u64, out: &mut [u8]) -> io::Result<()>;
        set_len(len: u64) -> io::Result<()>;
        sync_data() -> io::Result<()>;
        write(offset: u64, data: &[u8]) -> io::Result<()>;
        close() -> io::Result<()>;
    }
    delegate_locks!();
}

/// Length that the open file has at least: as the database has set it last, or as it was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownLength(Arc<AtomicU64>);

impl KnownLength {
    /// Returns the length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Makes a factory that notes how long the file has to be.
pub(crate) fn measured(factory: BackendFactory, length: &KnownLength) -> BackendFactory {
    let length = length.clone();
    Box::new(move || {
        let storage = AnyBackend(factory()?);
        length.0.store(storage.len()?, Relaxed);
        Ok(Box::new(Measured(storage, length.clone())))
    })
}

/// A file whose length is noted. Only the thread that compares it changes it.
#[derive(Debug)]
struct Measured(AnyBackend, KnownLength);

impl StorageBackend for Measured {
    delegate! {
        len() -> io::Result<u64>;
        read(offset: u64, out: &mut [u8]) -> io::Result<()>;
        sync_data() -> io::Result<()>;
        write(offset: u64, data: &[u8]) -> io::Result<()>;
        close() -> io::Result<()>;
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.1.0.store(len, Relaxed);
        Ok(())
    }

    delegate_locks!();
}

/// A file that is synced only when it is closed.
#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    delegate! {
        len() -> io::Result<u64>;
        read(offset: u64, out: &mut [u8]) -> io::Result<()>;
        set_len(len: u64) -> io::Result<()>;
        write(offset: u64, data: &[u8]) -> io::Result<()>;
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        let synced = self.0.sync_data();
        self.0.close().and(synced)
    }

    delegate_locks!();
}

/// A file that was opened for reading. It cannot be locked: the system wants one opened for
/// writing.
#[derive(Debug)]
struct Unwritable(FileBackend);

impl StorageBackend for Unwritable {
    delegate! {
        len() -> io::Result<u64>;
        read(offset: u64, out: &mut [u8]) -> io::Result<()>;
        set_len(len: u64) -> io::Result<()>;
        sync_data() -> io::Result<()>;
        write(offset: u64, data: &[u8]) -> io::Result<()>;
    }
}

/// Memory that is still there when the database is opened again.
#[derive(Debug)]
struct Memory(Arc<InMemoryBackend>);

impl StorageBackend for Memory {
    delegate! {
        len() -> io::Result<u64>;
        read(offset: u64, out: &mut [u8]) -> io::Result<()>;
        set_len(len: u64) -> io::Result<()>;
        sync_data() -> io::Result<()>;
        write(offset: u64, data: &[u8]) -> io::Result<()>;
    }
}
