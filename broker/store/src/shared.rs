//! State that the handle of a store, its writer and its readers share.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize};

use lotmq_changes::{COMMIT_BOUNDS, COMMIT_BUCKETS, CommitError, CommitErrorKind};
use lotmq_histogram::Histogram;

use crate::metrics::Counters;
use crate::outcomes::Outcomes;
use crate::queue::Queue;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) outcomes: Outcomes,
    pub(crate) counters: Counters,
    /// Times of commits; the writer alone adds to it.
    pub(crate) commit_times: Histogram<COMMIT_BUCKETS>,
    /// How often the file was closed: what was read of it before means nothing afterwards.
    pub(crate) closings: AtomicU64,
    /// Snapshots that somebody reads in.
    pub(crate) snapshots: AtomicUsize,
    /// Why nothing is stored at the moment; 0 while all is well.
    failure: AtomicU8,
}

impl Shared {
    pub(crate) fn new(queue: Queue) -> Self {
        Self {
            queue,
            outcomes: Outcomes::default(),
            counters: Counters::default(),
            commit_times: Histogram::new(COMMIT_BOUNDS),
            closings: AtomicU64::new(0),
            snapshots: AtomicUsize::new(0),
            failure: AtomicU8::new(0),
        }
    }

    /// Whether somebody reads in a snapshot.
    pub(crate) fn is_read(&self) -> bool {
        self.snapshots.load(SeqCst) > 0
    }

    pub(crate) fn note_failure(&self, failure: Option<&CommitError>) {
        let code = failure.and_then(|error| KINDS.iter().position(|kind| *kind == error.kind));
        let code = code.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0);
        self.failure.store(code, Relaxed);
    }

    /// Why nothing is stored at the moment.
    pub(crate) fn failure(&self) -> Option<CommitErrorKind> {
        KINDS.get(usize::from(self.failure.load(Relaxed)).checked_sub(1)?).copied()
    }
}

/// All of them, for [`Shared::failure`].
const KINDS: [CommitErrorKind; 5] = [
    CommitErrorKind::NoSpace,
    CommitErrorKind::Io,
    CommitErrorKind::Corrupted,
    CommitErrorKind::Gone,
    CommitErrorKind::Unavailable,
];
