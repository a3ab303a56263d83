//! Faults on purpose, so that tests can show that they would be noticed. Not in the binary that users build.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Batch;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Groups are reported as committed before they are.
    EarlyReport,
    /// One batch in [`LOST_EVERY`] is not written, and reported all the same.
    LostBatch,
}

const LOST_EVERY: u64 = 500;

impl Fault {
    /// As `LOTMQ_STORE_FAULT` says: `early-report`, `lost-batch`, or what [`reached`] and [`spoil`] look at.
    ///
    /// # Panics
    /// With any other text: a test that misspells it would prove nothing.
    pub(crate) fn from_environment() -> Option<Self> {
        let text = std::env::var("LOTMQ_STORE_FAULT").ok()?;
        match text.as_str() {
            "early-report" => Some(Self::EarlyReport),
            "lost-batch" => Some(Self::LostBatch),
            SPOIL => None,
            place if place.starts_with(KILL_AT) => None,
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
pub(crate) fn spoil(path: &std::path::Path) -> std::io::Result<()> {
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
