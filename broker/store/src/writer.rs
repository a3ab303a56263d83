//! The writer thread: takes groups, commits them, says what became of them, and opens the file again after a failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase as _};

use crate::Ticket;
use crate::backend::BackendFactory;
use crate::error::{CommitError, CommitErrorKind, StoreError};
use crate::group::{Committer, failed};
use crate::load::{self, panic_text};
use crate::metrics::{self, Counters};
use crate::queue::{Group, Outcomes, Pace, Queue, Reader};
use crate::snapshot::Snapshot;

/// What became of the batches up to a ticket, told on the writer thread once per group.
#[derive(Debug, Clone)]
pub enum Committed {
    /// All batches up to this ticket that have not failed are durable.
    Through(Ticket),
    /// The batches after the last report and up to this ticket are not promised; see [`CommitError`].
    Failed {
        /// The last of them.
        through: Ticket,
        /// Why.
        error: CommitError,
    },
}

/// Called on the writer thread after every group; it must not block. It may append.
pub type OnCommit = Box<dyn Fn(Committed) + Send>;

/// What the writer shares with [`Store`](crate::Store).
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) outcomes: Outcomes,
    pub(crate) counters: Counters,
    /// How often the file was closed: what was read of it before means nothing afterwards.
    pub(crate) closings: AtomicU64,
}

/// The state of the writer thread.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) committer: Committer,
    /// `None` after a failure until the file could be opened again.
    pub(crate) database: Option<Database>,
    pub(crate) factory: BackendFactory,
    pub(crate) cache_bytes: usize,
    pub(crate) on_commit: OnCommit,
    pub(crate) reopen_pause: Duration,
    pub(crate) last_attempt: Option<Instant>,
    #[cfg(feature = "fault-points")]
    pub(crate) fault: Option<crate::fault::Fault>,
}

/// Wakes those who wait, however the thread ends.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.queue.end();
        self.0.outcomes.end();
    }
}

impl Writer {
    /// Works until the queue is closed and empty, then closes the file.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _end = EndGuard(Arc::clone(&shared));
        let mut pace = Pace::new();
        while let Some(mut group) = shared.queue.take(&pace) {
            let readers = std::mem::take(&mut group.readers);
            if group.batches.is_empty() {
                self.serve(readers);
                continue;
            }
            let start = Instant::now();
            #[cfg(feature = "fault-points")]
            if self.fault == Some(crate::fault::Fault::EarlyReport) {
                (self.on_commit)(Committed::Through(group.through));
            }
            let result = self.commit(&group);
            pace.committed(group.ops, start.elapsed());
            self.count(&group, &pace, result.is_ok());
            // Before anybody is told, so that who was told finds room.
            shared.queue.settled(&group);
            let report = match result {
                Ok(()) => {
                    shared.outcomes.committed(group.through);
                    Committed::Through(group.through)
                }
                Err(error) => {
                    tracing::error!(%error, batches = group.batches.len(), "group not stored");
                    shared.outcomes.failed(group.through, error.clone());
                    Committed::Failed { through: group.through, error }
                }
            };
            drop(group);
            (self.on_commit)(report);
            self.serve(readers);
        }
        self.close();
    }

    fn commit(&mut self, group: &Group) -> Result<(), CommitError> {
        if self.database.is_none() {
            self.reopen()?;
        }
        let Some(database) = &self.database else { return Err(unavailable("store is not open")) };
        let counters = &self.shared.counters;
        let batches = group.batches.iter();
        #[cfg(feature = "fault-points")]
        let batches = crate::fault::without_lost(self.fault, batches);
        // redb can panic on a damaged page; that must end in a report, not in a dead thread. The committer is loaded
        // anew before it is used again.
        let committed = catch_unwind(AssertUnwindSafe(|| self.committer.commit(database, batches, counters)));
        let result = committed.unwrap_or_else(|panic| {
            Err(CommitError { kind: CommitErrorKind::Corrupted, detail: panic_text(&*panic).into() })
        });
        if result.is_err() {
            self.close();
            self.last_attempt = None;
            if let Err(error) = self.reopen() {
                tracing::error!(%error, "store cannot be opened again");
            }
        }
        result
    }

    /// Gives a snapshot to everybody who asked for one.
    fn serve(&mut self, readers: Vec<Reader>) {
        for reader in readers {
            // Who asked may have ended meanwhile.
            let _ = reader.send(self.snapshot().map_err(StoreError::CommitFailed));
        }
    }

    fn snapshot(&mut self) -> Result<Snapshot, CommitError> {
        if self.database.is_none() {
            self.reopen()?;
        }
        let Some(database) = &self.database else { return Err(unavailable("store is not open")) };
        let transaction = database.begin_read().map_err(failed)?;
        Ok(Snapshot::new(transaction, Arc::clone(&self.shared)))
    }

    /// redb refuses everything after an error until the file is closed and opened again; opening checks it.
    fn reopen(&mut self) -> Result<(), CommitError> {
        if self.last_attempt.is_some_and(|attempt| attempt.elapsed() < self.reopen_pause) {
            return Err(unavailable("store failed and could not be opened again yet"));
        }
        self.last_attempt = Some(Instant::now());
        metrics::add(&self.shared.counters.reopens, 1);
        let loaded = load::contained(|| {
            let (database, _) = load::open_database(&self.factory, self.cache_bytes)?;
            load::load(database)
        });
        let loaded = loaded.map_err(|error| unavailable(&error.to_string()))?;
        self.database = Some(self.committer.reload(loaded));
        Ok(())
    }

    /// Closing a file that has failed may panic inside redb.
    fn close(&mut self) {
        // Before the file can change behind the back of those who read it.
        self.shared.closings.fetch_add(1, SeqCst);
        let database = self.database.take();
        if catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::error!("database panicked while it was closed");
        }
    }

    fn count(&self, group: &Group, pace: &Pace, is_committed: bool) {
        let counters = &self.shared.counters;
        metrics::set(&counters.commit_us, u64::try_from(pace.mean().as_micros()).unwrap_or(u64::MAX));
        if !is_committed {
            metrics::add(&counters.commit_failures, 1);
            return;
        }
        metrics::add(&counters.commits, 1);
        metrics::add(&counters.batches, group.batches.len() as u64);
        metrics::add(&counters.bytes, group.bytes as u64);
        for batch in &group.batches {
            metrics::add(&counters.records, batch.records.len() as u64);
            metrics::add(&counters.rows, batch.rows.len() as u64);
        }
        let ops = group.ops as u64;
        metrics::set(&counters.group_last, ops);
        counters.group_max.fetch_max(ops, std::sync::atomic::Ordering::Relaxed);
    }
}

fn unavailable(detail: &str) -> CommitError {
    CommitError { kind: CommitErrorKind::Unavailable, detail: detail.into() }
}
