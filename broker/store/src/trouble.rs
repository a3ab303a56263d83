//! State of the writer thread while the disk is full or failing: the reason, the time of the next
//! attempt, and the refused batches.
//!
//! The callers get an error for a batch whose group fails. But its effect has happened in memory: a
//! session has ended, a message was delivered. So the writer keeps the batch and commits it before
//! the batches that follow the recovery; the file follows the memory.
//!
//! Invariants: batches are kept in the order of their tickets; what is kept is bounded. Times are
//! those of the store's clock. Not here: opening and committing (`writer`).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lotmq_changes::{Batch, CommitError, CommitErrorKind};

use crate::directory;
use crate::limits::{FREE_BYTES_MIN, SNAPSHOT_HOLD_MAX, SNAPSHOT_HOLDS_MAX};
use crate::metrics::{self, Counters};

/// An attempt that took long, because all of a large file is read, is followed by a pause of so
/// many times that.
const PAUSE_PER_ATTEMPT: u32 = 4;

/// Least pause between two log lines about batches that are not stored.
const TELL_PAUSE: Duration = Duration::from_secs(10);

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Trouble {
    failure: Option<Failure>,
    /// Refused batches, group by group.
    kept: Vec<Arc<Vec<Batch>>>,
    kept_bytes: usize,
    /// When it was last said that something is not stored, and how many batches that was not said
    /// of.
    told_at: Option<Duration>,
    untold: usize,
    /// Least pause between two attempts; zero for none at all.
    pause: Duration,
    /// Most bytes that are kept.
    bytes_max: usize,
    /// Directory that must have free space; `None` when that cannot be known.
    directory: Option<PathBuf>,
}

#[derive(Debug)]
struct Failure {
    /// The first failure, or a later one that says more.
    error: CommitError,
    next_attempt: Duration,
    /// Since when the attempt is put off for those who read.
    held_since: Option<Duration>,
    /// How long it may be.
    hold_max: Duration,
}

impl Trouble {
    pub(crate) fn new(pause: Duration, bytes_max: usize, directory: Option<PathBuf>) -> Self {
        let (kept, kept_bytes, untold) = (Vec::new(), 0, 0);
        Self { failure: None, kept, kept_bytes, told_at: None, untold, pause, bytes_max, directory }
    }

    /// Why nothing is stored at the moment.
    pub(crate) fn failure(&self) -> Option<&CommitError> {
        self.failure.as_ref().map(|failure| &failure.error)
    }

    /// When to try again, if nobody does before.
    pub(crate) fn next_attempt(&self) -> Option<Duration> {
        self.failure.as_ref().map(|failure| failure.next_attempt)
    }

    /// Returns whether the disk may be tried now. After a full disk it waits until some space is
    /// free: otherwise every small batch that fits into a hole of the file would look like a
    /// recovery. An attempt ends the snapshots of the failed file. While one is read, the attempt
    /// waits for [`SNAPSHOT_HOLD_MAX`], and twice as long each time that this was not enough.
    ///
    /// # Errors
    /// Why not: the failure.
    pub(crate) fn may_try(&mut self, now: Duration, is_read: bool) -> Result<(), CommitError> {
        let Some(failure) = &mut self.failure else { return Ok(()) };
        if now < failure.next_attempt {
            return Err(failure.error.clone());
        }
        if is_read && !self.pause.is_zero() {
            let held_since = *failure.held_since.get_or_insert(now);
            if now.saturating_sub(held_since) < failure.hold_max {
                failure.next_attempt = now + self.pause;
                return Err(failure.error.clone());
            }
            // A reader that took longer starts anew now, and gets more time.
            failure.hold_max = (failure.hold_max * 2).min(SNAPSHOT_HOLDS_MAX);
        }
        failure.held_since = None;
        let is_full = failure.error.kind == CommitErrorKind::NoSpace;
        let free = self.directory.as_deref().filter(|_| is_full).and_then(directory::free_bytes);
        if free.is_some_and(|free| free < FREE_BYTES_MIN) {
            failure.next_attempt = now + self.pause;
            return Err(failure.error.clone());
        }
        Ok(())
    }

    /// The next attempt, the last one, may come at once, whoever reads.
    pub(crate) fn hurry(&mut self, now: Duration) {
        self.pause = Duration::ZERO;
        if let Some(failure) = &mut self.failure {
            failure.next_attempt = now;
        }
    }

    /// An attempt has failed and took so long. After the first failure the next attempt may come at
    /// once.
    pub(crate) fn begins(&mut self, now: Duration, error: &CommitError, took: Duration) {
        let is_first = self.failure.is_none();
        let has_none = is_first || self.pause.is_zero();
        let pause = if has_none { Duration::ZERO } else { self.pause.max(took * PAUSE_PER_ATTEMPT) };
        let next_attempt = now + pause;
        let says_more = error.kind != CommitErrorKind::Unavailable;
        match &mut self.failure {
            Some(failure) => {
                failure.next_attempt = next_attempt;
                if says_more {
                    failure.error = error.clone();
                }
            }
            none => {
                *none = Some(Failure {
                    error: error.clone(),
                    next_attempt,
                    held_since: None,
                    hold_max: SNAPSHOT_HOLD_MAX,
                })
            }
        }
    }

    /// Says that batches were not stored: at once, then now and then.
    pub(crate) fn tell(&mut self, now: Duration, error: &CommitError, batches: usize) {
        self.untold += batches;
        if self.told_at.is_none_or(|at| now.saturating_sub(at) >= TELL_PAUSE) {
            tracing::error!(%error, batches = self.untold, "batches not stored");
            self.untold = 0;
            self.told_at = Some(now);
        }
    }

    /// Returns the refused batches, oldest first.
    pub(crate) fn kept(&self) -> Vec<Arc<Vec<Batch>>> {
        self.kept.clone()
    }

    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Keeps the batches of a group that was refused, while there is room.
    pub(crate) fn keep(&mut self, batches: Vec<Batch>, counters: &Counters) {
        let bytes: usize = batches.iter().map(Batch::bytes).sum();
        if self.kept_bytes.saturating_add(bytes) > self.bytes_max {
            if counters.batches_lost.load(Relaxed) == 0 {
                tracing::error!(
                    bytes = self.kept_bytes,
                    "no room to keep what is refused; see lotmq_store_batches_lost_total"
                );
            }
            metrics::add(&counters.batches_lost, batches.len() as u64);
            return;
        }
        self.kept_bytes += bytes;
        self.kept.push(Arc::new(batches));
    }

    /// Throws away what is kept: without it the store works, or the broker stops.
    pub(crate) fn give_up(&mut self, counters: &Counters) {
        if !self.has_kept() {
            return;
        }
        let batches: usize = self.kept.iter().map(|batches| batches.len()).sum();
        tracing::error!(batches, "refused batches cannot be stored and are given up");
        metrics::add(&counters.batches_lost, batches as u64);
        self.forget();
    }

    /// Everything was stored.
    pub(crate) fn is_over(&mut self, counters: &Counters) {
        if self.failure.take().is_none() {
            return;
        }
        let batches: usize = self.kept.iter().map(|batches| batches.len()).sum();
        self.told_at = None;
        metrics::add(&counters.recoveries, 1);
        tracing::warn!(batches, "store works again; what was refused meanwhile is stored with it");
        self.forget();
    }

    fn forget(&mut self) {
        self.kept = Vec::new();
        self.kept_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_period_for_long_reads_doubles_at_each_retry() {
        const SECOND: Duration = Duration::from_secs(1);
        let error = CommitError { kind: CommitErrorKind::Io, detail: "injected".into() };
        let mut trouble = Trouble::new(SECOND, 1 << 20, None);
        let mut now = SECOND;
        trouble.begins(now, &error, Duration::ZERO);
        for seconds in [30, 60, 120, 240, 240] {
            let begun = now;
            while trouble.may_try(now, true).is_err() {
                now += SECOND;
            }
            let held = (now - begun).as_secs();
            assert!((seconds..=seconds + 1).contains(&held), "{held} s, not {seconds}");
            // The disk still fails.
            trouble.begins(now, &error, Duration::ZERO);
        }
        now += SECOND;
        assert!(trouble.may_try(now, false).is_ok(), "nobody reads");
    }
}
