//! The handle of an open store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use lotmq_changes::{
    Batch, CommitErrorKind, CommitTimes, Corruption, Ids, LogMetrics, MessageId, OnSlice, QueueSlice,
    Recovered, RecoveredQueues, SessionId, SliceBounds, StoreError, Ticket, retry_lost,
};
use lotmq_pulse::Heartbeats;
use parking_lot::Mutex;
use redb::ReadableDatabase as _;

use crate::backend::{self, AnyBackend, BackendFactory, Durability, KnownLength, NoNote, NoteFile};
use crate::clock::Clock;
use crate::component;
use crate::directory::{self, DATABASE_FILE, DirectoryLock, trial};
use crate::error::OpenError;
use crate::file_identity::FileIdentity;
use crate::group::Committer;
use crate::limits::{Limits, SILENCE_MAX};
use crate::load::{self, Loaded};
use crate::load_error::{LoadError, contained, from_redb};
use crate::overlay::Overlay;
use crate::queue::{Pace, Queue};
use crate::reader::{self, Work};
use crate::request::{Reader, Request};
use crate::rescue::{self, Consent};
use crate::secret::{KeySource, SecretCipher};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::trouble::Trouble;
use crate::writer::{OnCommit, Stepper, Steps, Surroundings, Writer};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data directory; made if it is not there. Not touched with [`Durability::None`].
    pub path: PathBuf,
    /// Guarantee of an acknowledgement. Default [`Durability::Fsync`].
    pub durability: Durability,
    /// Memory for redb's page cache, in bytes. Default 32 MiB; 8 MiB are enough for small machines.
    pub cache_bytes: usize,
    /// Source of the key for secrets.
    pub secret_key: KeySource,
    /// Messages of the queues that are read when the store is opened. Default
    /// [`RecoveredQueues::Whole`].
    pub queues: RecoveredQueues,
    /// Whether this is a start of the broker. The second one on a restored store that was not
    /// [good](Store::started_well) puts the former store back. Default false.
    pub is_start: bool,
    /// Tunable bounds.
    pub limits: Limits,
    /// Watchdog for the threads of the store.
    pub pulses: Heartbeats,
}

impl StoreOptions {
    /// The defaults for a data directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            cache_bytes: 32 * 1024 * 1024,
            secret_key: KeySource::default(),
            queues: RecoveredQueues::default(),
            is_start: false,
            limits: Limits::default(),
            pulses: Heartbeats::default(),
        }
    }
}

/// An open store: batches in, news of their commits out.
///
/// One thread owns the file. Dropping the store closes it like [`Store::close`].
///
/// ```
/// use lotmq_changes::{Batch, EnvironmentRow, Op, TenantId};
/// use lotmq_store::{Durability, Store, StoreOptions};
///
/// let options = StoreOptions { durability: Durability::None, ..StoreOptions::new("unused") };
/// let (store, recovered) = Store::open(options, Box::new(|_committed| {}))?;
/// assert!(recovered.is_new);
///
/// let mut batch = Batch::new();
/// let name = "SITE".into();
/// let row = EnvironmentRow { tenant: TenantId::DEFAULT, name, value: "north".into() };
/// batch.push(Op::PutEnv(&row));
/// let ticket = store.append(batch)?;
/// store.wait(ticket)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Store {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    /// Replacement for threads in a stepped store.
    steps: Option<Arc<Steps>>,
    ids: Arc<Ids>,
    /// As in its limits.
    snapshot_wait: Duration,
    /// Directory of the file; `None` when it is not ours to replace.
    pub(crate) directory: Option<PathBuf>,
    pub(crate) cipher: Arc<SecretCipher>,
}

/// All that was in a file.
struct LoadedAll {
    loaded: Loaded,
    recovered: Recovered,
}

impl LoadedAll {
    /// Reads everything, and looks whether the components are whole that stay in the file.
    fn read(
        database: redb::Database,
        is_new: bool,
        options: &StoreOptions,
        cipher: &SecretCipher,
    ) -> Result<Self, LoadError> {
        let (loaded, recovered) = load::load_all(database, is_new, cipher, options.queues)?;
        let damaged = component::damaged_modules(&loaded.database.begin_read().map_err(from_redb)?)?;
        damaged.into_iter().next().map_or(Ok(()), |(_, corruption)| Err(corruption))?;
        Ok(Self { loaded, recovered })
    }
}

/// Parts of a store after its file has been read.
struct Parts {
    loaded: LoadedAll,
    cipher: SecretCipher,
    factory: BackendFactory,
    /// Directory of the file; `None` when it is not ours to replace.
    directory: Option<PathBuf>,
    place: Option<FileIdentity>,
    on_commit: OnCommit,
    clock: Clock,
}

/// A store that nothing drives yet.
struct Assembled {
    store: Store,
    recovered: Recovered,
    writer: Writer,
    /// Read requests from the writer.
    work: Receiver<Work>,
}

/// Parts that end with the writer thread.
struct Running {
    writer: JoinHandle<()>,
    reader: JoinHandle<()>,
    /// Released only when the thread has closed the file.
    _lock: Option<DirectoryLock>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a data directory, or makes it, and reads everything that is in it.
    ///
    /// `on_commit` is told, on the writer thread, what became of the batches; it must not block.
    ///
    /// # Errors
    /// See [`OpenError`]. The database is as it was; the directory, the lock file and the key file
    /// may have been made, except when the disk is full.
    pub fn open(options: StoreOptions, on_commit: OnCommit) -> Result<(Self, Recovered), OpenError> {
        let path = options.path.join(DATABASE_FILE);
        let clock = Clock::of_machine();
        if options.durability == Durability::None {
            let cipher = SecretCipher::ephemeral()?;
            let factory = backend::factory(Durability::None, path);
            let loaded = load_from(&options, &factory, &cipher)?;
            let parts = Parts { loaded, cipher, factory, directory: None, place: None, on_commit, clock };
            return Self::start(&options, None, parts);
        }
        let lock = directory::enter(&options.path)?;
        let cipher = SecretCipher::open(&options.secret_key, &options.path)?;
        directory::forget_staged(&options.path);
        let restore_failed = options.is_start
            && trial::start(&options.path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        rescue::forget(&options.path);
        let is_new = create_if_missing(&path)?;
        let note = Box::new(NoteFile::within(&options.path));
        let length = KnownLength::default();
        let factory = backend::measured(backend::factory(options.durability, path.clone()), &length);
        let factory = backend::resynced(factory, note);
        let mut loaded = load_file(&options, &path, &factory, &cipher);
        if matches!(loaded, Err(OpenError::Corrupted { .. })) {
            for damage in rescue::rescue(&options.path, Consent::Ordinary)? {
                tracing::error!(table = damage.table, error = %damage, "damaged row put aside");
            }
            loaded = load_file(&options, &path, &factory, &cipher);
        }
        let loaded = loaded?;
        let place = FileIdentity::of(&path, length, clock.now())
            .map_err(|source| OpenError::Io { path: path.clone(), source })?;
        let directory = Some(options.path.clone());
        let parts = Parts { loaded, cipher, factory, directory, place, on_commit, clock };
        let (store, mut recovered) = Self::start(&options, Some(lock), parts)?;
        recovered.is_new |= is_new;
        recovered.restore_failed = restore_failed;
        Ok((store, recovered))
    }

    /// Notes that the broker has started on this store, which may have been restored.
    ///
    /// # Errors
    /// When the note cannot be removed; the next start puts the former store back then.
    pub fn started_well(&self) -> std::io::Result<()> {
        self.directory.as_deref().map_or(Ok(()), trial::end)
    }

    /// Opens a store on storage of the caller's own, for simulated disks and injected errors.
    ///
    /// The directory in `options` is used for the key file only, and not at all with
    /// [`KeySource::Key`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_on(
        options: StoreOptions,
        factory: BackendFactory,
        on_commit: OnCommit,
    ) -> Result<(Self, Recovered), OpenError> {
        let cipher = SecretCipher::open(&options.secret_key, &options.path)?;
        let factory = backend::resynced(factory, Box::new(NoNote));
        let loaded = load_from(&options, &factory, &cipher)?;
        let clock = Clock::of_machine();
        let parts = Parts { loaded, cipher, factory, directory: None, place: None, on_commit, clock };
        Self::start(&options, None, parts)
    }

    /// Opens a store without threads on storage of the caller's own, for simulations. Work happens
    /// only in a [`Stepper::step`], and `surroundings` give the time. `on_commit` is called within
    /// the steps.
    ///
    /// Calls that would wait for a thread ([`Store::wait`], [`Store::commit`], [`Store::snapshot`],
    /// [`Store::queue_slice`], [`Store::close`]) make the steps themselves. Dropping the stepper is
    /// a crash; dropping the store does nothing.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_stepped(
        options: StoreOptions,
        factory: BackendFactory,
        on_commit: OnCommit,
        surroundings: Surroundings,
    ) -> Result<(Self, Stepper, Recovered), OpenError> {
        let Surroundings { now, random, note } = surroundings;
        let cipher = SecretCipher::open(&options.secret_key, &options.path)?.with_nonces(random);
        let factory = backend::resynced(factory, note);
        let loaded = load_from(&options, &factory, &cipher)?;
        let clock = Clock::Given(now);
        let parts = Parts { loaded, cipher, factory, directory: None, place: None, on_commit, clock };
        let Assembled { mut store, recovered, writer, work } = Self::assemble(&options, parts);
        let steps = Steps::new(writer, work);
        let stepper = Stepper::new(&steps);
        store.steps = Some(steps);
        Ok((store, stepper, recovered))
    }

    /// Gives a store its threads.
    fn start(
        options: &StoreOptions,
        lock: Option<DirectoryLock>,
        parts: Parts,
    ) -> Result<(Self, Recovered), OpenError> {
        let Assembled { store, recovered, writer, work } = Self::assemble(options, parts);
        let shared = Arc::clone(&store.shared);
        let pulse = options.pulses.add("the store's writer", SILENCE_MAX);
        let reader_pulse = options.pulses.add("the store's reader", SILENCE_MAX);
        let reader = std::thread::Builder::new()
            .name("lotmq-reader".to_owned())
            .spawn(move || reader::run(&work, &shared, &reader_pulse))
            .map_err(OpenError::Thread)?;
        let writer = std::thread::Builder::new()
            .name("lotmq-store".to_owned())
            .spawn(move || writer.run(&pulse))
            .map_err(OpenError::Thread)?;
        *store.running.lock() = Some(Running { writer, reader, _lock: lock });
        Ok((store, recovered))
    }

    fn assemble(options: &StoreOptions, parts: Parts) -> Assembled {
        let Parts { loaded, cipher, factory, directory, place, on_commit, clock } = parts;
        let LoadedAll { loaded, recovered } = loaded;
        let limits = &options.limits;
        let next_session_id = loaded.sessions_reserved;
        let cipher = Arc::new(cipher);
        let (committer, database) = Committer::new(loaded, Arc::clone(&cipher), limits.clone());
        let next_message_id = committer.index().next_message_id;
        let shared = Arc::new(Shared::new(Queue::new(limits.clone(), clock.clone())));
        committer.show(&shared.counters);
        // Unbounded, because the writer must not wait for the reader. A session waits for its slice
        // before it requests the next one, so the limits of sessions are the bound.
        let (to_reader, work) = std::sync::mpsc::channel();
        let writer = Writer {
            shared: Arc::clone(&shared),
            committer,
            database: Some(database),
            factory,
            place,
            cache_bytes: options.cache_bytes,
            must_check: false,
            on_commit,
            view: None,
            trouble: Trouble::new(limits.reopen_pause, limits.waiting_bytes_max, directory.clone()),
            to_reader,
            pace: Pace::new(),
            clock,
            #[cfg(feature = "fault-points")]
            fault: crate::fault::Fault::from_environment(),
        };
        let store = Self {
            shared,
            running: Mutex::new(None),
            steps: None,
            ids: Arc::new(Ids::starting_at(MessageId(next_message_id), SessionId(next_session_id))),
            snapshot_wait: limits.snapshot_wait,
            directory,
            cipher,
        };
        Assembled { store, recovered, writer, work }
    }

    /// Hands a batch over, however much waits already, and returns its ticket; never waits for the
    /// disk.
    ///
    /// For what is in force when it is handed over, and cannot be taken back. Nothing bounds what
    /// waits but those who call this: their changes are few, or they wait for each before they make
    /// the next. All else is [offered](Store::offer).
    ///
    /// # Errors
    /// [`StoreError::Closed`] after [`Store::close`]: nothing of the batch will be stored.
    pub fn append(&self, batch: Batch) -> Result<Ticket, StoreError> {
        self.shared.queue.append(batch).map_err(|(error, _)| error)
    }

    /// Like [`Store::append`] while there is room; a batch that is not taken comes back, to be
    /// offered again when something was committed.
    ///
    /// # Errors
    /// [`StoreError::Full`] when too much waits already, and those of [`Store::append`], with the
    /// batch.
    #[allow(
        clippy::result_large_err,
        reason = "the batch comes back as it went in, by value, and only when the store is full"
    )]
    pub fn offer(&self, batch: Batch) -> Result<Ticket, (StoreError, Batch)> {
        self.shared.queue.offer(batch)
    }

    /// The ticket of the batch that was appended last, by whomever: when it is settled, so are all
    /// before.
    pub fn last_ticket(&self) -> Ticket {
        self.shared.queue.last_ticket()
    }

    /// Bytes of batches that were taken: committed, or on their way. One that failed does not
    /// count.
    pub fn accepted_bytes(&self) -> u64 {
        self.shared.counters.bytes.load(Relaxed).saturating_add(self.shared.queue.unsettled_bytes() as u64)
    }

    /// Returns the result of a batch; `None` while it is under way. Takes no lock while no batch
    /// from this one on has failed.
    ///
    /// [`OnCommit`] is called when there is news. A batch that failed may be stored later, with one
    /// that does not; see [`Store::has_lost`].
    ///
    /// # Errors
    /// [`StoreError::CommitFailed`] when its group failed, [`StoreError::OutcomeForgotten`] when
    /// too many have failed since.
    pub fn settled(&self, ticket: Ticket) -> Option<Result<(), StoreError>> {
        self.shared.outcomes.settled(ticket)
    }

    /// Whether batches that had failed were given up since the store was opened. As long as that is
    /// not so, a commit that works has stored everything in front of it, too.
    pub fn has_lost(&self) -> bool {
        self.losses() > 0
    }

    /// Returns the number of failed batches that were given up since the store was opened. As long
    /// as it does not change, a commit includes everything that was handed over before.
    pub fn losses(&self) -> u64 {
        self.shared.counters.batches_lost.load(Relaxed)
    }

    /// Blocks until the ticket is settled; for commands and tests, not for shards.
    ///
    /// # Errors
    /// [`StoreError::CommitFailed`] when its group failed, [`StoreError::Closed`] when the writer
    /// ended first, or when this is called within a step of it.
    pub fn wait(&self, ticket: Ticket) -> Result<(), StoreError> {
        let Some(steps) = &self.steps else { return self.shared.outcomes.wait(ticket) };
        steps.settle();
        self.settled(ticket).unwrap_or(Err(StoreError::Closed))
    }

    /// As [`Store::wait`], as long as anything is settled every now and then.
    ///
    /// # Errors
    /// Those of [`Store::wait`], and [`StoreError::Hangs`] when nothing was settled for `patience`:
    /// what becomes of the batch is not known then.
    pub fn wait_for(&self, ticket: Ticket, patience: Duration) -> Result<(), StoreError> {
        if self.steps.is_some() {
            return self.wait(ticket);
        }
        self.shared.outcomes.wait_for(ticket, patience)
    }

    /// Appends a batch and waits for it.
    ///
    /// # Errors
    /// Those of [`Store::append`] and [`Store::wait`].
    pub fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.wait(self.append(batch)?)
    }

    /// Whether more than half of [`Limits::waiting_bytes_max`] waits for the disk, with `more`
    /// bytes that are to be appended. Takes no lock.
    ///
    /// A shard that stops reading from durable publishers while this is so never meets
    /// [`StoreError::Full`] with the batch of its turn.
    pub fn is_congested(&self, more: usize) -> bool {
        self.shared.queue.is_congested(more)
    }

    /// Whether more than three quarters of it wait, with `more` bytes. Takes no lock.
    pub fn is_nearly_full(&self, more: usize) -> bool {
        self.shared.queue.is_nearly_full(more)
    }

    /// Half of [`Limits::waiting_bytes_max`].
    pub fn congested_bytes(&self) -> usize {
        self.shared.queue.congested_bytes()
    }

    /// Returns the source of numbers for new messages and sessions.
    pub fn ids(&self) -> &Arc<Ids> {
        &self.ids
    }

    /// [`Ids::next_message`].
    pub fn next_message_id(&self) -> MessageId {
        self.ids.next_message()
    }

    /// [`Ids::next_session`].
    pub fn next_session_id(&self) -> SessionId {
        self.ids.next_session()
    }

    /// Takes a snapshot of everything that was appended before, to be read while more is written.
    ///
    /// It costs the writer nothing but the moment; as long as it lives, the file keeps what is
    /// deleted meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::CommitFailed`] when the file cannot be read,
    /// [`StoreError::Hangs`] after [`Limits::snapshot_wait`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let (sender, snapshot) = std::sync::mpsc::sync_channel(1);
        let (shared, cipher) = (Arc::clone(&self.shared), Arc::clone(&self.cipher));
        let reader = Reader(Box::new(move |moment| {
            let snapshot = moment.map(|moment| Snapshot::new(moment, shared, cipher));
            // The caller may have ended meanwhile.
            let _ = sender.send(snapshot.map_err(StoreError::CommitFailed));
        }));
        self.shared.queue.ask(reader)?;
        let waited = match &self.steps {
            Some(steps) => {
                steps.settle();
                Duration::ZERO
            }
            None => self.snapshot_wait,
        };
        match snapshot.recv_timeout(waited) {
            Ok(snapshot) => snapshot,
            Err(RecvTimeoutError::Timeout) => Err(StoreError::Hangs { waited }),
            Err(RecvTimeoutError::Disconnected) => Err(StoreError::Closed),
        }
    }

    /// Reads in a snapshot, and in a new one if `is_lost` reports its loss. While the disk fails,
    /// the store is opened again now and then. A read that outlasts the pause before such an
    /// attempt starts anew, with twice the time.
    ///
    /// # Errors
    /// As [`Store::snapshot`]; those of `read` are inside.
    pub fn in_snapshot<T, E>(
        &self,
        is_lost: impl Fn(&E) -> bool,
        read: impl FnMut(Snapshot) -> Result<T, E>,
    ) -> Result<Result<T, E>, StoreError> {
        retry_lost(|| self.snapshot(), is_lost, read)
    }

    /// Why nothing is stored at the moment, from a failure until a commit has worked again; costs
    /// next to nothing.
    ///
    /// The store finds out by itself when that is so, within about [`Limits::reopen_pause`].
    pub fn failure(&self) -> Option<CommitErrorKind> {
        self.shared.failure()
    }

    /// Reads what waits for a session behind the message `after` and has not been sent, within
    /// these bounds.
    ///
    /// `reply` is called on a thread of the store, which must not be kept waiting. Everything is
    /// there that was reported as committed before; what was appended later may be there or not.
    ///
    /// # Errors
    /// [`StoreError::Closed`]; `reply` is not called then.
    pub fn read_queue(
        &self,
        session: SessionId,
        after: MessageId,
        bounds: SliceBounds,
        reply: OnSlice,
    ) -> Result<(), StoreError> {
        let request = Request { session, after, bounds, reply };
        self.shared.queue.request(request).map_err(|_| StoreError::Closed)
    }

    /// Like [`Store::read_queue`], and waits for it; for threads without Clients, not for shards.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::CommitFailed`] when the file cannot be read.
    pub fn queue_slice(
        &self,
        session: SessionId,
        after: MessageId,
        messages_max: usize,
        bytes_max: u64,
    ) -> Result<QueueSlice, StoreError> {
        let (sender, slice) = std::sync::mpsc::sync_channel(1);
        let reply = move |slice| drop(sender.send(slice));
        self.read_queue(session, after, SliceBounds::new(messages_max, bytes_max), Box::new(reply))?;
        if let Some(steps) = &self.steps {
            steps.settle();
            return slice.try_recv().unwrap_or(Err(StoreError::Closed));
        }
        slice.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// The counters as they are now.
    pub fn metrics(&self) -> LogMetrics {
        let waiting_bytes = self.shared.queue.unsettled_bytes() as u64;
        LogMetrics { waiting_bytes, ..self.shared.counters.read() }
    }

    /// Durations of commits so far.
    pub fn commit_times(&self) -> CommitTimes {
        self.shared.commit_times.read()
    }

    /// Commits what waits and closes the file; returns when that is done. Further calls do nothing.
    ///
    /// Not to be called from `on_commit`.
    pub fn close(&self) {
        if let Some(steps) = &self.steps {
            return steps.close();
        }
        self.shared.queue.close();
        let Some(Running { writer, reader, _lock }) = self.running.lock().take() else { return };
        // The reader ends when the writer has.
        if writer.join().is_err() | reader.join().is_err() {
            tracing::error!("store thread panicked");
        }
    }
}

/// Opens the file and reads all of it. Of one that is damaged nothing is changed.
fn load_file(
    options: &StoreOptions,
    path: &Path,
    factory: &BackendFactory,
    cipher: &SecretCipher,
) -> Result<LoadedAll, OpenError> {
    let loaded = contained(|| {
        let before = rescue::header(path).map_err(LoadError::Io);
        let (overlay, pending) =
            Overlay::over(AnyBackend(factory().map_err(LoadError::Io)?)).map_err(LoadError::Io)?;
        let (database, is_new) = load::open_backend(overlay, options.cache_bytes)?;
        let mut all = LoadedAll::read(database, is_new, options, cipher)?;
        if all.loaded.has_foreign_rows {
            // They are removed in place, which pages that are damaged do not stand: those are left
            // behind with the file.
            all.loaded.database.check_integrity().map_err(from_redb)?;
        }
        pending.settle().map_err(LoadError::Io)?;
        if rescue::is_undone(&before?, &rescue::header(path).map_err(LoadError::Io)?) {
            tracing::warn!("what was committed last before the crash is not whole and was undone");
        }
        Ok(all)
    });
    loaded.map_err(|error| error.at(path))
}

/// The same on storage of the caller's own.
fn load_from(
    options: &StoreOptions,
    factory: &BackendFactory,
    cipher: &SecretCipher,
) -> Result<LoadedAll, OpenError> {
    let loaded = contained(|| {
        let (database, is_new) = load::open_database(factory, options.cache_bytes)?;
        LoadedAll::read(database, is_new, options, cipher)
    });
    loaded.map_err(|error| error.at(&options.path.join(DATABASE_FILE)))
}

/// Makes a new file under another name first: a crash or a full disk leaves no half database
/// behind.
fn create_if_missing(path: &Path) -> Result<bool, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    if path.exists() {
        refuse_empty(path)?;
        return Ok(false);
    }
    let new = path.with_extension("redb.new");
    if new.exists() {
        std::fs::remove_file(&new).map_err(io)?;
    }
    create(&backend::new_file(new.clone())).map_err(|error| error.at(&new))?;
    std::fs::rename(&new, path).map_err(io)?;
    path.parent().map_or(Ok(()), directory::sync).map_err(io)?;
    Ok(true)
}

/// Makes an empty database, all of which is on the disk when this returns.
fn create(factory: &BackendFactory) -> Result<(), LoadError> {
    contained(|| load::open_database(factory, 1024 * 1024).map(drop))
}

/// Ours are never empty: they are renamed into place when they are complete. Taking an empty one
/// for new would hide a loss.
pub(crate) fn refuse_empty(path: &Path) -> Result<(), OpenError> {
    let data = std::fs::metadata(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    if data.len() == 0 {
        let detail = Corruption::Structure("the file is empty".to_owned());
        return Err(OpenError::Corrupted { path: path.to_owned(), detail });
    }
    Ok(())
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.steps.is_none() {
            self.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use lotmq_disk::{Disk, Random};

    use super::*;

    /// The file gets its name behind this: whatever the power leaves of it before is thrown away,
    /// and then it is whole.
    #[test]
    fn a_new_file_is_on_the_disk_before_it_gets_its_name() {
        for seed in 0..100 {
            let disk = Disk::new(seed);
            create(&(Box::new(disk.opener()) as BackendFactory)).unwrap();
            let whole = disk.bytes();
            let found = disk.power_cut(&mut Random::new(seed));
            assert_eq!(found.bytes(), whole, "seed {seed}");
        }
    }
}
