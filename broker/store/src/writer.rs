//! The writer: commits groups, says what became of them, and opens the file again after a failure.
//!
//! It has a thread, which takes the groups ([`Writer::run`]), or is driven in steps (`stepped`).
//! Either way all is done in [`Writer::handle`].

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use lotmq_changes::rare::{Rare, is_taken};
use lotmq_changes::{Batch, CommitError, CommitErrorKind, MessageId, StoreError, Ticket};
use lotmq_pulse::Heartbeat;
use redb::{Database, ReadTransaction, ReadableDatabase as _};

use crate::backend::BackendFactory;
use crate::clock::Clock;
use crate::contain::{self, contained};
use crate::file_identity::FileIdentity;
use crate::group::{Committer, failed, unreadable};
use crate::load;
use crate::load_error::{self, LoadError};
use crate::log::replay::Rows;
use crate::metrics;
use crate::queue::{Group, Pace};
use crate::reader::Work;
use crate::request::{Reader, Request, StoreMoment};
use crate::rescue;
use crate::shared::Shared;
use crate::trouble::Trouble;

mod stepped;

pub(crate) use stepped::Steps;
pub use stepped::{Stepper, Surroundings};

/// Result of the batches up to a ticket, reported on the writer thread once per group.
#[derive(Debug, Clone)]
pub enum Committed {
    /// All batches up to this ticket that have not failed are durable.
    Through(Ticket),
    /// The batches after the last report and up to this ticket are not promised; see
    /// [`CommitError`].
    Failed {
        /// The last of them.
        through: Ticket,
        /// Why.
        error: CommitError,
    },
}

/// Called after every group, on the writer thread if there is one; it must not block. It may
/// append.
pub type OnCommit = Box<dyn Fn(Committed) + Send>;

/// The state of the writer.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) committer: Committer,
    /// `None` after a failure until the file could be opened again.
    pub(crate) database: Option<Database>,
    /// The file as it was left by a failure, for those who want to look at it meanwhile. Never
    /// beside `database`.
    pub(crate) view: Option<Database>,
    pub(crate) factory: BackendFactory,
    /// Identity of the file; `None` when it is none of ours.
    pub(crate) place: Option<FileIdentity>,
    pub(crate) cache_bytes: usize,
    /// Damage was met: before anything else is written, all of the file is to be checked.
    pub(crate) must_check: bool,
    pub(crate) on_commit: OnCommit,
    /// State of a disk that is full or failing.
    pub(crate) trouble: Trouble,
    /// To whoever reads queues.
    pub(crate) to_reader: Sender<Work>,
    pub(crate) pace: Pace,
    pub(crate) clock: Clock,
    #[cfg(feature = "fault-points")]
    pub(crate) fault: Option<crate::fault::Fault>,
}

/// Wakes those who wait, however the writer ends.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.queue.end();
        self.0.outcomes.end();
    }
}

impl Writer {
    /// The writer thread: works until the queue is closed and empty, then closes the file.
    pub(crate) fn run(mut self, pulse: &Heartbeat) {
        let _end = EndGuard(Arc::clone(&self.shared));
        self.make_room();
        while let Some(group) = self.next_group(pulse) {
            self.handle(group);
        }
        self.finish();
    }

    /// Waits for something to do.
    fn next_group(&self, pulse: &Heartbeat) -> Option<Group> {
        let (wake, now) = (self.next_wake(), self.clock.now());
        match wake {
            Some(wake) => pulse.waits_until(Instant::now() + wake.saturating_sub(now)),
            None => pulse.waits(),
        }
        let group = self.shared.queue.take(&self.pace, wake);
        pulse.begins(Instant::now());
        group
    }

    /// When to do something though nothing has come.
    fn next_wake(&self) -> Option<Duration> {
        self.trouble.next_attempt().or_else(|| Some(self.place.as_ref()?.next_look()))
    }

    /// Does what follows when a group was taken: commits and reports it, and serves who reads. An
    /// empty one is the time to look after the file.
    fn handle(&mut self, mut group: Group) {
        if let Some(damage) = group.damage.take()
            && damage.closings == self.shared.closings.load(SeqCst)
        {
            self.fail(&damage.error);
        }
        let readers = std::mem::take(&mut group.readers);
        self.serve_slices(std::mem::take(&mut group.requests));
        if group.batches.is_empty() {
            self.serve(readers);
            self.look();
            self.try_to_recover();
            return;
        }
        let start = self.clock.now();
        #[cfg(feature = "fault-points")]
        if self.fault == Some(crate::fault::Fault::EarlyReport) {
            self.shared.outcomes.committed(group.through);
            (self.on_commit)(Committed::Through(group.through));
        }
        let result = self.commit(&group.batches);
        let end = self.clock.now();
        self.pace.committed(group.ops, start, end);
        self.count(&group, result.is_ok(), end.saturating_sub(start));
        // Before anybody is told, so that who was told finds room.
        self.shared.queue.settled(&group);
        let report = match result {
            Ok(()) => {
                self.shared.outcomes.committed(group.through);
                Committed::Through(group.through)
            }
            Err(error) => {
                self.trouble.tell(end, &error, group.batches.len());
                self.shared.outcomes.failed(group.through, error.clone());
                self.trouble.keep(group.batches, &self.shared.counters);
                Committed::Failed { through: group.through, error }
            }
        };
        (self.on_commit)(report);
        self.serve(readers);
    }

    /// Nothing more comes: closes the file.
    fn finish(mut self) {
        // Refused batches whose effect is in memory get a last attempt.
        if self.trouble.failure().is_some() {
            self.trouble.hurry(self.clock.now());
            self.try_to_recover();
            self.trouble.give_up(&self.shared.counters);
        }
        self.close();
    }

    /// Nobody writes: finds out whether the file is still there.
    fn look(&mut self) {
        let Some(place) = self.place.as_mut().filter(|_| self.trouble.failure().is_none()) else { return };
        if let Err(error) = place.look(self.clock.now()) {
            self.fail(&error);
        }
    }

    /// Stores nothing more before the file could be opened again.
    fn fail(&mut self, error: &CommitError) {
        tracing::error!(%error, "store fails");
        self.close_after(error);
        self.trouble.begins(self.clock.now(), error, Duration::ZERO);
        self.shared.note_failure(self.trouble.failure());
    }

    /// Writes out what a start had to bring into memory.
    fn make_room(&mut self) {
        if self.committer.has_too_much_in_memory()
            && let Some(database) = &self.database
        {
            let none = std::iter::empty();
            if let Err(error) = self.committer.commit(database, none, &self.shared.counters) {
                tracing::error!(%error, "queues cannot be written out of memory");
                self.close();
            }
        }
    }

    /// Commits batches behind those that have failed before.
    fn commit(&mut self, batches: &[Batch]) -> Result<(), CommitError> {
        let start = self.clock.now();
        self.trouble.may_try(start, self.shared.is_read())?;
        let mut result = self.attempt(&self.trouble.kept(), batches);
        if result.is_err() && self.trouble.has_kept() && self.attempt(&[], &[Batch::probe()]).is_ok() {
            // The disk may have begun to work between the two, so all of it is tried again where it
            // is known to work.
            result = self.attempt(&self.trouble.kept(), batches);
            if result.is_err() {
                // One of them may be what it fails on, for ever; or together they are more than the
                // disk has room for, though it is not full.
                result = self.attempt(&[], batches);
                if result.is_ok() {
                    self.trouble.give_up(&self.shared.counters);
                }
            }
        }
        match &result {
            Ok(()) => self.trouble.is_over(&self.shared.counters),
            Err(error) => {
                let now = self.clock.now();
                self.trouble.begins(now, error, now.saturating_sub(start));
            }
        }
        self.shared.note_failure(self.trouble.failure());
        result
    }

    /// One transaction; the file is closed when it fails, and opened again, which checks it, at
    /// once or before the next.
    fn attempt(&mut self, kept: &[Arc<Vec<Batch>>], batches: &[Batch]) -> Result<(), CommitError> {
        if self.database.is_none() {
            self.reopen()?;
        }
        let Some(database) = &self.database else { return Err(unavailable("store is not open")) };
        let counters = &self.shared.counters;
        #[cfg(feature = "fault-points")]
        crate::fault::kept(!kept.is_empty())?;
        let batches = kept.iter().flat_map(|kept| kept.iter()).chain(batches);
        #[cfg(feature = "fault-points")]
        let batches = crate::fault::without_lost(self.fault, batches);
        // redb can panic on a damaged page; that must end in a report, not in a dead thread. The
        // committer is loaded anew before it is used again.
        let looked = self.place.as_mut().map_or(Ok(()), |place| place.look_before_write(self.clock.now()));
        let committed = contained(|| {
            looked?;
            self.committer.commit(database, batches, counters)?;
            self.place.as_ref().map_or(Ok(()), FileIdentity::check_length)
        });
        let result = committed.unwrap_or_else(|panic| Err(CommitError::corrupted(panic)));
        if let Err(error) = &result {
            self.close_after(error);
            if self.trouble.failure().is_none()
                && let Err(error) = self.reopen()
            {
                tracing::error!(%error, "store cannot be opened again");
            }
        }
        result
    }

    /// Nobody has written since a failure: finds out whether it would work again.
    fn try_to_recover(&mut self) {
        if self.trouble.failure().is_none() {
            return;
        }
        if self.trouble.may_try(self.clock.now(), self.shared.is_read()).is_err() {
            return;
        }
        if let Err(error) = self.commit(&[Batch::probe()]) {
            tracing::debug!(%error, "store fails still");
        }
    }

    /// Gives a snapshot to everybody who asked for one.
    fn serve(&mut self, readers: Vec<Reader>) {
        for reader in readers {
            let next_message = MessageId(self.committer.index().next_message_id);
            (reader.0)(self.begin_read().map(|transaction| StoreMoment { transaction, next_message }));
        }
    }

    /// Finds out where the wanted messages are, and has them read.
    fn serve_slices(&mut self, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        let mut reading = self.reading(read_transaction);
        for request in requests {
            let (transaction, rows) = match &reading {
                Ok(rows) => rows,
                Err(error) => {
                    (request.reply)(Err(StoreError::CommitFailed(error.clone())));
                    continue;
                }
            };
            let Request { session, after, mut bounds, .. } = request;
            if is_taken(Rare::ShortSlice) {
                bounds.messages_max = 1;
            }
            let index = self.committer.index();
            let found = contained(|| {
                let found = index.waiting_after(session, after, bounds, rows);
                found.map_err(|error| failed(unreadable(error)))
            });
            match found.unwrap_or_else(|panic| Err(CommitError::corrupted(panic))) {
                Ok(slice) => {
                    let (transaction, closings) =
                        (Arc::clone(transaction), self.shared.closings.load(SeqCst));
                    let work = Work { transaction, closings, slice, request };
                    if let Err(work) = self.to_reader.send(work) {
                        (work.0.request.reply)(Err(StoreError::Closed));
                    }
                }
                Err(error) => {
                    if error.kind == CommitErrorKind::Corrupted {
                        self.fail(&error);
                        reading = Err(error.clone());
                    }
                    (request.reply)(Err(StoreError::CommitFailed(error)));
                }
            }
        }
    }

    fn begin_read(&mut self) -> Result<ReadTransaction, CommitError> {
        let begin = |database: &Database| database.begin_read().map_err(failed);
        self.reading(begin).or_else(|error| self.viewing(begin).ok_or(error))
    }

    /// Reads in the file; when it proves to be damaged, nothing more is stored before it was opened
    /// again and checked.
    fn reading<T>(
        &mut self,
        read: impl FnOnce(&Database) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        if self.database.is_none() {
            self.trouble.may_try(self.clock.now(), self.shared.is_read())?;
            self.reopen()?;
        }
        let Some(database) = &self.database else { return Err(unavailable("store is not open")) };
        let found = contained(|| read(database));
        let found = found.unwrap_or_else(|panic| Err(CommitError::corrupted(panic)));
        if let Err(error) = found.as_ref()
            && error.kind == CommitErrorKind::Corrupted
        {
            self.fail(error);
        }
        found
    }

    /// Reads in the file as a failure has left it, if that can be opened without being changed.
    fn viewing<T>(&mut self, read: impl FnOnce(&Database) -> Result<T, CommitError>) -> Option<T> {
        if self.database.is_some() || self.must_check {
            return None;
        }
        if self.view.is_none() {
            self.place.as_ref().map_or(Ok(()), FileIdentity::check).ok()?;
            self.view = load_error::contained(|| load::open_view(&self.factory, self.cache_bytes)).ok();
        }
        let view = self.view.as_ref()?;
        contained(|| read(view)).ok()?.ok()
    }

    /// redb refuses everything after an error until the file is closed and opened again; opening
    /// checks it.
    fn reopen(&mut self) -> Result<(), CommitError> {
        metrics::add(&self.shared.counters.reopens, 1);
        if self.view.is_some() {
            self.shared.closings.fetch_add(1, SeqCst);
            let view = self.view.take();
            // Nothing of it is written, so nothing can be lost.
            let _ = contained(|| drop(view));
        }
        // Another file is not opened in its place, and none is made.
        self.place.as_ref().map_or(Ok(()), FileIdentity::check)?;
        let loaded = load_error::contained(|| {
            let database = match self.must_check {
                true => rescue::open_checked(&self.factory, self.cache_bytes)?,
                false => load::open_database(&self.factory, self.cache_bytes)?.0,
            };
            load::load(database)
        });
        let loaded = loaded.map_err(|error| {
            let error = not_opened(error);
            self.must_check |= error.kind == CommitErrorKind::Corrupted;
            error
        })?;
        self.must_check = false;
        self.database = Some(self.committer.reload(loaded));
        Ok(())
    }

    /// Closes a file that has failed. Nothing more is written to one whose tree is damaged: it is
    /// left as a crash would leave it.
    fn close_after(&mut self, error: &CommitError) {
        if error.kind != CommitErrorKind::Corrupted {
            return self.close();
        }
        self.must_check = true;
        contain::abandon(self.take_database());
    }

    /// Closing a file that has failed may panic inside redb.
    fn close(&mut self) {
        let database = self.take_database();
        // Said already, and there is nothing left to be done.
        let _ = contained(|| drop(database));
    }

    fn take_database(&mut self) -> Option<Database> {
        // Before the file can change behind the back of those who read it.
        self.shared.closings.fetch_add(1, SeqCst);
        self.database.take()
    }

    fn count(&self, group: &Group, is_committed: bool, took: Duration) {
        let counters = &self.shared.counters;
        metrics::set(&counters.commit_us, u64::try_from(self.pace.mean().as_micros()).unwrap_or(u64::MAX));
        if !is_committed {
            metrics::add(&counters.commit_failures, 1);
            return;
        }
        self.shared.commit_times.observe_alone(took, 1);
        metrics::add(&counters.batches, group.batches.len() as u64);
        for batch in &group.batches {
            metrics::add(&counters.records, batch.records().len() as u64);
            metrics::add(&counters.rows, batch.rows().len() as u64);
        }
        let ops = group.ops as u64;
        metrics::set(&counters.group_last, ops);
        counters.group_max.fetch_max(ops, Relaxed);
    }
}

fn read_transaction(database: &Database) -> Result<(Arc<ReadTransaction>, Rows), CommitError> {
    let transaction = database.begin_read().map_err(failed)?;
    let rows = Rows::open(&transaction).map_err(not_opened)?;
    Ok((Arc::new(transaction), rows))
}

/// The disk may be full for opening, too.
fn not_opened(error: LoadError) -> CommitError {
    match error {
        LoadError::Io(error) => failed(redb::Error::Io(error)),
        LoadError::Corrupted(corruption) => CommitError::corrupted(corruption),
        other @ (LoadError::SchemaTooNew(_) | LoadError::InUse) => unavailable(&other.to_string()),
    }
}

fn unavailable(detail: &str) -> CommitError {
    CommitError { kind: CommitErrorKind::Unavailable, detail: detail.into() }
}
