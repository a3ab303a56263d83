//! Faults on purpose, so that tests can show that they would be noticed. Not in the binary that users build.

use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redb::{BackendError, StorageBackend};

use crate::Batch;
use crate::backend::{AnyBackend, BackendFactory, delegate, delegate_locks};
use crate::error::{CommitError, CommitErrorKind};

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Groups are reported as committed before they are.
    EarlyReport,
    /// One batch in [`LOST_EVERY`] is not written, and reported all the same.
    LostBatch,
}

/// Few enough for a life of the broker in which thousands of operations come in a few large batches.
const LOST_EVERY: u64 = 100;

impl Fault {
    /// As `LOTMQ_STORE_FAULT` says: `early-report`, `lost-batch`, or what [`reached`], [`spoil`] and [`disk`] look at.
    ///
    /// # Panics
    /// With any other text: a test that misspells it would prove nothing.
    pub(crate) fn from_environment() -> Option<Self> {
        let text = std::env::var("LOTMQ_STORE_FAULT").ok()?;
        match text.as_str() {
            "early-report" => Some(Self::EarlyReport),
            "lost-batch" => Some(Self::LostBatch),
            SPOIL => None,
            place if place.starts_with(KILL_AT) || place.starts_with(DISK) => None,
            other => panic!("LOTMQ_STORE_FAULT: no fault is called {other}"),
        }
    }
}

/// What the names of places begin with at which the process is killed.
const KILL_AT: &str = "kill-at-";

/// Kills the process as `kill -9` does when `LOTMQ_STORE_FAULT` names this place.
pub(crate) fn reached(place: &str) {
    let fault = std::env::var("LOTMQ_STORE_FAULT").unwrap_or_default();
    if fault.strip_prefix(KILL_AT) == Some(place) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// The fault of a restored store that cannot be opened.
const SPOIL: &str = "spoil-restored";

/// Cuts the file off when `LOTMQ_STORE_FAULT` wants it.
pub(crate) fn spoil(path: &Path) -> io::Result<()> {
    if std::env::var("LOTMQ_STORE_FAULT").is_ok_and(|fault| fault == SPOIL) {
        std::fs::OpenOptions::new().write(true).open(path)?.set_len(1000)?;
    }
    Ok(())
}

/// The batches that are written.
pub(crate) fn without_lost<'b>(
    fault: Option<Fault>,
    batches: impl Iterator<Item = &'b Batch>,
) -> impl Iterator<Item = &'b Batch> + Clone {
    static BATCHES: AtomicU64 = AtomicU64::new(0);
    let is_lost = |_: &&Batch| {
        fault == Some(Fault::LostBatch)
            && BATCHES.fetch_add(1, Ordering::Relaxed) % LOST_EVERY == LOST_EVERY - 1
    };
    batches.filter(|batch| !is_lost(batch)).collect::<Vec<_>>().into_iter()
}

/// What the fault begins with that is a disk whose state a file says, behind it the path of that file.
const DISK: &str = "disk:";

/// How often a disk that hangs looks whether it still does.
const HANG_PAUSE: Duration = Duration::from_millis(2);

/// Puts a disk under the store that does what a file says, if `LOTMQ_STORE_FAULT` wants it.
///
/// The file is read at every call. It says `full`, `read-only`, `write-eio`, `sync-eio`, `hang`, or `kept-eio` for [`kept`]; all is well with anything else,
/// or without it.
pub(crate) fn disk(factory: BackendFactory) -> BackendFactory {
    let fault = std::env::var("LOTMQ_STORE_FAULT").unwrap_or_default();
    let Some(state) = fault.strip_prefix(DISK).map(PathBuf::from) else { return factory };
    Box::new(move || Ok(Box::new(Disk(AnyBackend(factory()?), state.clone()))))
}

/// Fails for what was refused before, while the disk says `kept-eio`.
pub(crate) fn kept(is_kept: bool) -> Result<(), CommitError> {
    let fault = std::env::var("LOTMQ_STORE_FAULT").unwrap_or_default();
    let Some(state) = fault.strip_prefix(DISK).filter(|_| is_kept) else { return Ok(()) };
    match std::fs::read_to_string(state).is_ok_and(|state| state.trim() == "kept-eio") {
        true => Err(CommitError { kind: CommitErrorKind::Io, detail: "injected".into() }),
        false => Ok(()),
    }
}

#[derive(Debug)]
struct Disk(AnyBackend, PathBuf);

impl Disk {
    fn state(&self) -> String {
        std::fs::read_to_string(&self.1).unwrap_or_default().trim().to_owned()
    }

    fn before_write(&self) -> io::Result<()> {
        match self.state().as_str() {
            "full" => Err(io::ErrorKind::StorageFull.into()),
            "read-only" => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            "write-eio" => Err(rustix::io::Errno::IO.into()),
            _ => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    delegate! {
        len() -> io::Result<u64>;
        read(offset: u64, out: &mut [u8]) -> io::Result<()>;
        close() -> io::Result<()>;
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.before_write()?;
        self.0.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.before_write()?;
        self.0.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        while self.state() == "hang" {
            std::thread::sleep(HANG_PAUSE);
        }
        if self.state() == "sync-eio" {
            return Err(rustix::io::Errno::IO.into());
        }
        self.0.sync_data()
    }

    delegate_locks!();
}
