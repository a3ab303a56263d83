//! The data directory: free space, write permission and the lock that keeps a second process out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::OpenError;
use crate::limits::FREE_BYTES_AT_START_MIN;

/// Name of the lock file. It stays when the process ends; only the lock on it counts.
const LOCK_FILE: &str = "lotmq.lock";

/// How long a lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// How often it is tried.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The lock on a data directory, held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is being started shares the descriptor until it runs its program.
        let _ = self.file.unlock();
    }
}

/// Checks for space, makes the directory and locks it. Changes nothing when the disk is full.
pub(crate) fn enter(dir: &Path) -> Result<DirectoryLock, OpenError> {
    if dir.exists() && !dir.is_dir() {
        return Err(OpenError::NotDirectory { path: dir.to_owned() });
    }
    check_space(dir)?;
    let not_writable = |path: &Path, source| OpenError::NotWritable { path: path.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(|error| not_writable(dir, error))?;
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| not_writable(&path, error))?;
    let mut lock = lock(file, dir, path.clone())?;
    write_pid(&mut lock.file).map_err(|error| not_writable(&path, error))?;
    Ok(lock)
}

/// Locks a directory to read in it; changes nothing there. `None` where nobody has ever written: there is no lock file.
pub(crate) fn enter_to_read(dir: &Path) -> Result<Option<DirectoryLock>, OpenError> {
    let path = dir.join(LOCK_FILE);
    match File::open(&path) {
        Ok(file) => lock(file, dir, path).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

fn lock(mut file: File, dir: &Path, path: PathBuf) -> Result<DirectoryLock, OpenError> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // Somebody who was killed holds it until the system has cleaned up behind him.
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_PAUSE)
            }
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { dir: dir.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
    }
    Ok(DirectoryLock { file })
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn check_space(dir: &Path) -> Result<(), OpenError> {
    let Some(free_bytes) = free_bytes(dir) else { return Ok(()) };
    if free_bytes < FREE_BYTES_AT_START_MIN {
        let needed_bytes = FREE_BYTES_AT_START_MIN;
        return Err(OpenError::NoSpace { path: dir.to_owned(), free_bytes, needed_bytes });
    }
    Ok(())
}

/// Bytes free for an ordinary user on the file system where `path` is or will be; `None` if the system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from("/"));
    let existing = absolute.ancestors().find(|ancestor| ancestor.exists())?;
    let stat = rustix::fs::statvfs(existing).ok()?;
    // File systems without storage of their own report no blocks at all.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes what was created or renamed in a directory durable.
pub(crate) fn sync(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
