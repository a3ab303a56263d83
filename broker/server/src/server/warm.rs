//! `lotmq store warm`: native code for what a data directory holds, made before the broker starts.
//!
//! Native code depends on the version of the engine, so a new version of the broker finds none in
//! the cache. A package replaces the files while the former version runs, and then restarts the
//! service. Between the two, the new program compiles here. It takes the configuration from the
//! running broker ([`snapshot_socket`](super::snapshot_socket)), or from the store of one that is
//! stopped, makes a store of its own of that, and restores it as a start does, without listeners
//! and without a run of anything. Only the code cache of the broker changes.
//!
//! Bounds: programs are compiled one after another, large ones and uploads by a worker process with
//! its bounds of time and memory; all of it within a time that the caller sets. One at a time for a
//! directory.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use lotmq_auth::PasswordCost;
use lotmq_changes::{ImportError, Recovered};
use lotmq_config::{Config, Durability};
use lotmq_definitions::{DefinitionKind, State};
use lotmq_host::python::Python;
use lotmq_host::{Executor, ExecutorOptions, Machine, Sink};
use lotmq_store::{OpenError, Store};

use super::{StartError, Surroundings, assemble, engine, entropy, restore, snapshot_socket, store_options};
use lotmq_net::shard;
use lotmq_operations::broker::Broker;
use lotmq_process::clock::SystemClock;
use lotmq_process::lifetimes::Anchor;
use lotmq_process::machine;
use lotmq_process::watchdog::Watchdog;
use lotmq_programs::cold_start::DeferredCompile;
use lotmq_programs::route_drivers;
use lotmq_programs::routes::Routes;
use lotmq_programs::{GuestSink, HasPrograms as _};

/// Directory within that of the data in which the copy of the configuration lies meanwhile.
const COPY_DIRECTORY: &str = "warm";

/// File that is locked while code is made.
const LOCK_FILE: &str = "warm.lock";

/// How long a running broker may leave a part of its configuration unwritten.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// Reason why no code was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarmError {
    /// The configuration keeps everything in memory.
    #[error("`store.durability` is none: nothing is stored, and no code is kept")]
    NotKept,
    /// The files would belong to somebody else than the broker's.
    #[error(
        "the data directory '{}' belongs to user {owner}, and the broker could not read what this one writes; run it as that user: `runuser -u lotmq -- lotmq store warm`",
        path.display()
    )]
    OtherOwner {
        /// The data directory.
        path: PathBuf,
        /// Number of its owner.
        owner: u32,
    },
    /// Another process is at it.
    #[error("another `lotmq store warm` is at work in '{}'", .0.display())]
    Busy(PathBuf),
    /// A file or directory cannot be used.
    #[error("'{}': {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A broker that cannot be asked uses the store.
    #[error(
        "{0} It hands out no configuration, as it is of an earlier version; its successor compiles after its start, or stop it first"
    )]
    Unasked(OpenError),
    /// The copy of the configuration cannot be used.
    #[error("the configuration of the broker cannot be read: {0}")]
    Import(#[from] ImportError),
    /// It cannot be restored.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Progress: one program, compiled or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warmed {
    /// Name of the definition or module.
    pub name: String,
    /// Result.
    pub outcome: WarmOutcome,
    /// Programs that are done, and all of them.
    pub done: (usize, usize),
    /// How long it took.
    pub time: Duration,
}

/// Result for one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WarmOutcome {
    /// Its code was there.
    Cached,
    /// Its code was made.
    Compiled,
    /// There is no code, for this reason.
    Failed(String),
}

/// Result for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WarmReport {
    /// Programs whose code was there.
    pub cached: usize,
    /// Programs whose code was made.
    pub compiled: usize,
    /// Programs without code.
    pub failed: usize,
    /// Programs that were not reached in time.
    pub left: usize,
}

/// Makes the native code of what a data directory holds, as the broker with this configuration
/// needs it; `tell` hears of each program. Ends after `time`.
///
/// # Errors
/// [`WarmError`].
pub fn warm(config: &Config, time: Duration, tell: &mut dyn FnMut(Warmed)) -> Result<WarmReport, WarmError> {
    if config.store.durability == Durability::None {
        return Err(WarmError::NotKept);
    }
    let store = config.store_path();
    let directory = store.parent().map(Path::to_owned).unwrap_or_default();
    if !store.exists() {
        return Ok(WarmReport::default());
    }
    let copy = ConfigurationCopy::of(&directory)?;
    // The broker comes first.
    let _ = rustix::process::nice(lotmq_host::limits::WORKER_NICE);
    let (broker, recovered) = restored(config, &copy)?;
    let report = compile_all(&broker, recovered, time, tell)?;
    drop(broker.hosting.executor.lock().take());
    broker.core.log.close();
    Ok(report)
}

/// Copy of the configuration of a broker; dropping it removes the directory.
struct ConfigurationCopy {
    path: PathBuf,
    _lock: File,
}

impl Drop for ConfigurationCopy {
    fn drop(&mut self) {
        // The next run removes the rest.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl ConfigurationCopy {
    fn of(directory: &Path) -> Result<Self, WarmError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| WarmError::Io { path, source }
        };
        let owner = fs::metadata(directory).map_err(io(directory))?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(WarmError::OtherOwner { path: directory.to_owned(), owner });
        }
        let lock = directory.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let file = file.map_err(io(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(WarmError::Busy(directory.to_owned())),
            Err(TryLockError::Error(source)) => return Err(WarmError::Io { path: lock, source }),
        }
        let copy = Self { path: directory.join(COPY_DIRECTORY), _lock: file };
        if copy.path.exists() {
            // Of one that was killed.
            fs::remove_dir_all(&copy.path).map_err(io(&copy.path))?;
        }
        DirBuilder::new().mode(0o700).create(&copy.path).map_err(io(&copy.path))?;
        copy.fill(directory)?;
        Ok(copy)
    }

    /// Asks the running broker, or reads the store of one that is stopped.
    fn fill(&self, directory: &Path) -> Result<(), WarmError> {
        match UnixStream::connect(snapshot_socket::path(directory)) {
            Ok(stream) => {
                let _ = stream.set_read_timeout(Some(READ_PATIENCE));
                Ok(self.import(stream)?)
            }
            // Nobody listens there, or the path is too long for a socket.
            Err(_) => self.fill_from_file(directory),
        }
    }

    fn fill_from_file(&self, directory: &Path) -> Result<(), WarmError> {
        let pipe = UnixStream::pair();
        let (mut out, input) = pipe.map_err(|source| WarmError::Io { path: directory.to_owned(), source })?;
        std::thread::scope(|scope| {
            let imported = scope.spawn(|| self.import(input));
            let exported = snapshot_socket::export(directory, &mut out);
            drop(out);
            let imported = imported.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match exported {
                Err(error @ OpenError::InUse { .. }) => Err(WarmError::Unasked(error)),
                Err(error) => Err(error.into()),
                Ok(()) => Ok(imported?),
            }
        })
    }

    fn import(&self, from: UnixStream) -> Result<(), ImportError> {
        Store::import(&self.path, &mut BufReader::new(from)).map(drop)
    }
}

/// Restores the copy as a start does, but without code.
fn restored(config: &Config, copy: &ConfigurationCopy) -> Result<(Arc<Broker>, Recovered), WarmError> {
    // The code is that of the real directory.
    let watchdog = Arc::<Watchdog>::default();
    let engine = engine(config, &watchdog.pulses).map_err(StartError::from)?;
    let mut config = machine::fitted(config);
    config.data.path.clone_from(&copy.path);
    config.store.durability = Durability::Os;
    let options = store_options(&config, &watchdog.pulses);
    let (store, recovered) = Store::open(options, Box::new(|_| {})).map_err(StartError::from)?;
    let (shards, _) = shard::prepare(1, &watchdog.pulses);
    let surroundings = Surroundings {
        clock: Arc::new(SystemClock::resuming(Anchor::stored(&recovered.meta))),
        entropy: entropy(),
        zone: TimeZone::UTC,
        // Nobody logs in.
        password_cost: PasswordCost::TEST,
        python: Python::new(&engine),
        ambient: Arc::new(Machine::start()),
        engine,
        shards,
        routes: Routes::default(),
        watchdog,
        report: None,
    };
    let (broker, recovered) = assemble(&config, store, surroundings, recovered)?;
    broker.hosting.cold_start.defer_all();
    let of_sinks = Arc::clone(&broker.hosting);
    let sink = move |_| Box::new(GuestSink::new(&of_sinks)) as Box<dyn Sink>;
    let options = ExecutorOptions { threads: 1, ..ExecutorOptions::default() };
    *broker.hosting.executor.lock() = Some(Executor::start(options, sink).map_err(StartError::from)?);
    // Nobody carries out the orders, so no route is opened.
    drop(route_drivers::open(&broker.hosting));
    Ok((broker, recovered))
}

/// Compiles one program after another.
fn compile_all(
    broker: &Arc<Broker>,
    mut recovered: Recovered,
    time: Duration,
    tell: &mut dyn FnMut(Warmed),
) -> Result<WarmReport, WarmError> {
    let deadline = Instant::now() + time;
    restore::deployed(broker, &broker.hosting.tenants.all(), &mut recovered);
    let lost = not_restored(broker);
    let all = lost.len() + broker.hosting.cold_start.waiting();
    let mut progress = WarmProgress { report: WarmReport::default(), all, tell };
    lost.into_iter().for_each(|(name, reason)| {
        progress.note(name, WarmOutcome::Failed(reason), Duration::ZERO);
    });
    std::thread::scope(|scope| {
        let (done, ends) = channel::<()>();
        // It ends the worker of the program that is being compiled then.
        scope.spawn(move || {
            let left = deadline.saturating_duration_since(Instant::now());
            if matches!(ends.recv_timeout(left), Err(RecvTimeoutError::Timeout)) {
                broker.hosting.cold_start.stop();
                broker.hosting.compile_workers.stop();
            }
        });
        while let Some(mut job) = broker.hosting.cold_start.next() {
            let began = Instant::now();
            let outcome = compile(broker, &mut *job);
            if !broker.hosting.cold_start.is_stopping() {
                progress.note(job.name(), outcome, began.elapsed());
            }
            broker.hosting.cold_start.ended();
        }
        drop(done);
    });
    // Scripts share one interpreter, which is made beside the others.
    broker.hosting.python.wait(deadline);
    Ok(progress.finish())
}

fn compile(broker: &Broker, job: &mut dyn DeferredCompile) -> WarmOutcome {
    let (_, missing_before) = broker.hosting.engine.cache_counts();
    // The outcome of a panic is that of a program that does not compile.
    let _ = catch_unwind(AssertUnwindSafe(|| job.compile()));
    match job.failure() {
        Some(reason) => WarmOutcome::Failed(reason.to_owned()),
        None if broker.hosting.engine.cache_counts().1 == missing_before => WarmOutcome::Cached,
        None => WarmOutcome::Compiled,
    }
}

/// Definitions that this version cannot restore, with the reasons.
fn not_restored(broker: &Broker) -> Vec<(String, String)> {
    let mut lost = Vec::new();
    let mut seen = HashSet::new();
    for tenant in broker.hosting.tenants.all().iter() {
        let registry = tenant.programs().guests.registry.read();
        for definition in DefinitionKind::ALL.into_iter().flat_map(|kind| registry.list(kind)) {
            if registry.state(definition.id) == Some(State::Error) && seen.insert(definition.id) {
                let reason = definition.activity.last_error().map(|error| error.message);
                lost.push((definition.name().as_ref().to_owned(), reason.unwrap_or_default()));
            }
        }
    }
    lost
}

/// Count of what is done.
struct WarmProgress<'a> {
    report: WarmReport,
    all: usize,
    tell: &'a mut dyn FnMut(Warmed),
}

impl WarmProgress<'_> {
    fn note(&mut self, name: String, outcome: WarmOutcome, time: Duration) {
        *match &outcome {
            WarmOutcome::Cached => &mut self.report.cached,
            WarmOutcome::Compiled => &mut self.report.compiled,
            WarmOutcome::Failed(_) => &mut self.report.failed,
        } += 1;
        let done = (self.done(), self.all);
        (self.tell)(Warmed { name, outcome, done, time });
    }

    fn done(&self) -> usize {
        self.report.cached + self.report.compiled + self.report.failed
    }

    fn finish(self) -> WarmReport {
        WarmReport { left: self.all - self.done(), ..self.report }
    }
}
