//! Files of the cache, read and written on a thread of their own. A disk that hangs blocks only
//! that thread; callers go on without the file after [`CACHE_PATIENCE`].
//!
//! Invariants: while an abandoned request is unanswered, no other caller waits for the thread. So
//! the number of waiting requests is at most the number of concurrent compilations. Other users
//! cannot open the files. Not here: the contents of the files (`cache`).

use crate::limits::{CACHE_BYTES_MAX, CACHE_PATIENCE, CACHE_UNUSED_MAX};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
        mpsc::{RecvTimeoutError, Sender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

const SUFFIX: &str = "native";

/// Digest that a file is named after.
type Name = [u8; 32];

pub(super) fn file_name(name: &Name) -> String {
    format!("{}.{SUFFIX}", data_encoding::HEXLOWER.encode(name))
}

/// Files of the directory, and the thread that alone touches them.
pub(super) struct Files {
    directory: Arc<Directory>,
    /// `None` once it is over.
    work: Option<Sender<Box<dyn FnOnce() + Send>>>,
    /// Pieces of work whose outcome nobody waits for any more, and which are not done.
    given_up: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

/// Nobody has given the work up, and it is not done.
const AWAITED: u8 = 0;
const DONE: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Files {
    /// Opens a directory that is there: removes what nobody needs, and starts the thread.
    ///
    /// # Errors
    /// When the directory cannot be read, or the system gives no thread.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        remove_unused(dir)?;
        let bytes = AtomicU64::new(prune(dir, CACHE_BYTES_MAX)?);
        let (work, to_do) = channel::<Box<dyn FnOnce() + Send>>();
        let thread = thread::Builder::new()
            .name("lotmq-cache".into())
            .spawn(move || to_do.into_iter().for_each(|work| work()))?;
        Ok(Files {
            directory: Arc::new(Directory { path: dir.to_owned(), bytes }),
            work: Some(work),
            given_up: Arc::default(),
            thread: Some(thread),
            patience: CACHE_PATIENCE,
        })
    }

    /// Content of a file; `None` where there is none, or none in time.
    pub(super) fn read(&self, name: &Name) -> Option<Vec<u8>> {
        let name = *name;
        self.ask(move |directory| directory.read(&name)).ok()?.ok()
    }

    /// Whether there is a file; false when the disk does not say so in time.
    pub(super) fn has(&self, name: &Name) -> bool {
        let path = self.directory.path(name);
        self.ask(move |_| path.exists()).unwrap_or_default()
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written, or not in time.
    pub(super) fn write(&self, name: &Name, content: Vec<u8>) -> io::Result<()> {
        let name = *name;
        self.ask(move |directory| directory.write(&name, &content))?
    }

    pub(super) fn remove(&self, name: &Name) {
        let path = self.directory.path(name);
        // It is overwritten anyway, as soon as that works.
        let _ = self.ask(move |_| fs::remove_file(path).ok());
    }

    /// Does a piece of work on the thread, and waits for that, though not for long.
    fn ask<T: Send + 'static>(&self, work: impl FnOnce(&Directory) -> T + Send + 'static) -> io::Result<T> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer");
        if self.given_up.load(Ordering::Acquire) > 0 {
            return Err(late());
        }
        let (answer, answered) = sync_channel(1);
        let state = Arc::new(AtomicU8::new(AWAITED));
        let (directory, given_up, of_thread) = (self.directory.clone(), self.given_up.clone(), state.clone());
        let work = move || {
            let outcome = work(&directory);
            if of_thread.swap(DONE, Ordering::AcqRel) == GIVEN_UP
                && given_up.fetch_sub(1, Ordering::AcqRel) == 1
            {
                tracing::info!("compiled code is cached again");
            }
            // The caller may have stopped waiting.
            let _ = answer.send(outcome);
        };
        let over = || io::Error::other("the cache is closed");
        self.work.as_ref().ok_or_else(over)?.send(Box::new(work)).map_err(|_| over())?;
        match answered.recv_timeout(self.patience) {
            Ok(outcome) => return Ok(outcome),
            Err(RecvTimeoutError::Disconnected) => return Err(over()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        // First, so that the thread never subtracts a request that was not counted.
        let others = self.given_up.fetch_add(1, Ordering::AcqRel);
        if state.swap(GIVEN_UP, Ordering::AcqRel) == DONE {
            self.given_up.fetch_sub(1, Ordering::AcqRel);
            return answered.recv().map_err(|_| over());
        }
        if others == 0 {
            let directory = self.directory.path.display();
            tracing::warn!(%directory, "the disk does not answer; programs are compiled without their cached code");
        }
        Err(late())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(self.work.take());
        // One that a disk keeps is left to it.
        if self.given_up.load(Ordering::Acquire) == 0
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of cached code had ended by a panic");
        }
    }
}

/// Directory of the files.
struct Directory {
    path: PathBuf,
    /// Bytes in it; too many while files are written a second time, exact again when it is pruned.
    bytes: AtomicU64,
}

impl Directory {
    fn path(&self, name: &Name) -> PathBuf {
        self.path.join(file_name(name))
    }

    fn read(&self, name: &Name) -> io::Result<Vec<u8>> {
        let path = self.path(name);
        let content = fs::read(&path)?;
        // The time of change is the time of the last use. A directory that cannot be written only
        // loses track of that.
        fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now())).ok();
        Ok(content)
    }

    fn write(&self, name: &Name, content: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        let part = path.with_extension(format!("part{}", std::process::id()));
        // One that a crash left may have another mode.
        fs::remove_file(&part).ok();
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        // Without file locks, a process that starts at this moment may remove the file. Then the
        // code is compiled once more.
        let _ = file.try_lock();
        file.write_all(content)?;
        fs::rename(&part, &path)?;
        drop(file);
        let len = content.len() as u64;
        if self.bytes.fetch_add(len, Ordering::Relaxed) + len > CACHE_BYTES_MAX {
            // Well below the bound, so that not every new file looks through the directory.
            self.bytes.store(prune(&self.path, CACHE_BYTES_MAX / 4 * 3)?, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Removes half-written files, files that others can read, and files unused for
/// [`CACHE_UNUSED_MAX`].
fn remove_unused(dir: &Path) -> io::Result<()> {
    let oldest = SystemTime::now().checked_sub(CACHE_UNUSED_MAX).unwrap_or(SystemTime::UNIX_EPOCH);
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if extension.starts_with("part") && !is_locked(&path) {
            fs::remove_file(&path).ok();
        }
    }
    for file in native_files(dir)?.into_iter().filter(|file| file.used < oldest || file.is_open) {
        fs::remove_file(file.path).ok();
    }
    Ok(())
}

/// Whether another process is writing the file.
fn is_locked(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Removes the files used longest ago until the rest fits. Returns the bytes that are left.
fn prune(dir: &Path, bytes_max: u64) -> io::Result<u64> {
    let mut files = native_files(dir)?;
    files.sort_unstable_by_key(|file| file.used);
    let mut total: u64 = files.iter().map(|file| file.len).sum();
    for file in files {
        if total <= bytes_max {
            break;
        }
        fs::remove_file(file.path).ok();
        total -= file.len;
    }
    Ok(total)
}

struct NativeFile {
    used: SystemTime,
    len: u64,
    /// Others can read it, which no file of ours is.
    is_open: bool,
    path: PathBuf,
}

fn native_files(dir: &Path) -> io::Result<Vec<NativeFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        // One that is gone meanwhile was removed by another prune.
        if path.extension().is_some_and(|extension| extension == SUFFIX)
            && let Ok(data) = entry.metadata()
        {
            let used = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let is_open = data.permissions().mode() & 0o077 != 0;
            files.push(NativeFile { used, len: data.len(), is_open, path });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::CACHE_KEY_FILE;

    fn write(dir: &Path, name: &str, bytes: usize, age: u64) {
        let file = fs::File::create(dir.join(name)).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        file.set_len(bytes as u64).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn cache_evicts_the_least_recently_used_file_first() {
        let dir = tempfile::tempdir().unwrap();
        for (name, age) in [("a.native", 30), ("b.native", 10), ("c.native", 20)] {
            write(dir.path(), name, 100, age);
        }
        write(dir.path(), CACHE_KEY_FILE, 32, 99);
        assert_eq!(prune(dir.path(), 300).unwrap(), 300);
        assert_eq!(prune(dir.path(), 250).unwrap(), 200);
        assert_eq!(names(dir.path()), ["b.native", "c.native", CACHE_KEY_FILE]);
        assert_eq!(prune(dir.path(), 100).unwrap(), 100);
        assert_eq!(names(dir.path()), ["b.native", CACHE_KEY_FILE]);
    }

    #[test]
    fn unused_cache_files_are_removed_at_start() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "old.native", 10, CACHE_UNUSED_MAX.as_secs() + 60);
        write(dir.path(), "new.native", 10, CACHE_UNUSED_MAX.as_secs() - 60);
        write(dir.path(), "half.part17", 10, 0);
        write(dir.path(), "written.part18", 10, 0);
        let written = fs::File::open(dir.path().join("written.part18")).unwrap();
        written.lock().unwrap();
        write(dir.path(), "open.native", 10, 0);
        let open = fs::Permissions::from_mode(0o644);
        fs::set_permissions(dir.path().join("open.native"), open).unwrap();
        remove_unused(dir.path()).unwrap();
        assert_eq!(names(dir.path()), ["new.native", "written.part18"]);
    }

    #[test]
    fn a_disk_that_hangs_keeps_nobody_for_long_and_is_asked_again_when_it_answers() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(dir.path()).unwrap();
        files.write(&[1; 32], b"code".to_vec()).unwrap();
        assert_eq!(files.read(&[1; 32]).unwrap(), b"code");
        assert!(files.read(&[2; 32]).is_none(), "there is none");
        files.patience = Duration::ZERO;
        let (heals, hangs) = channel::<()>();
        let asked = files.ask(move |_| hangs.recv().is_err());
        files.patience = CACHE_PATIENCE;
        assert_eq!(asked.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(files.write(&[2; 32], Vec::new()).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(files.read(&[1; 32]).is_none());
        drop(heals);
        while files.read(&[1; 32]).is_none() {
            thread::yield_now();
        }
        assert!(files.read(&[2; 32]).is_none(), "what was refused is not done later");
    }

    #[test]
    fn a_thread_that_the_disk_keeps_is_not_waited_for_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(dir.path()).unwrap();
        files.patience = Duration::ZERO;
        let (_heals, hangs) = channel::<()>();
        files.ask(move |_| hangs.recv().is_err()).unwrap_err();
        drop(files);
    }
}
