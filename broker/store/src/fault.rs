//! Faults on purpose, so that tests can show that they would be noticed. Not in the binary that
//! users build.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lotmq_changes::{Batch, CommitError, CommitErrorKind};

/// Kind of injected fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Groups are reported as committed before they are.
    EarlyReport,
    /// One batch in [`LOST_EVERY`] is not written, and reported all the same.
    LostBatch,
}

/// Few enough for a life of the broker in which thousands of operations come in a few large
/// batches.
const LOST_EVERY: u64 = 100;

impl Fault {
    /// As `LOTMQ_STORE_FAULT` says: `early-report`, `lost-batch`, or what [`reached`], [`spoil`]
    /// and [`disk`] look at.
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

/// Prefix of the points at which the process is killed.
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

/// Prefix of the fault that simulates a disk. A path follows it: the file that holds the state of
/// the disk.
const DISK: &str = "disk:";

/// The file that says how the disk under the store does, if `LOTMQ_STORE_FAULT` wants one.
pub(crate) fn disk_state() -> Option<PathBuf> {
    let fault = std::env::var("LOTMQ_STORE_FAULT").unwrap_or_default();
    fault.strip_prefix(DISK).map(PathBuf::from)
}

/// Fails for what was refused before, while the disk says `kept-eio`.
pub(crate) fn kept(is_kept: bool) -> Result<(), CommitError> {
    let Some(state) = disk_state().filter(|_| is_kept) else { return Ok(()) };
    match std::fs::read_to_string(state).is_ok_and(|state| state.trim() == "kept-eio") {
        true => Err(CommitError { kind: CommitErrorKind::Io, detail: "injected".into() }),
        false => Ok(()),
    }
}
