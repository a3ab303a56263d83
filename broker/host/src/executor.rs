//! Runs definitions on threads of their own, each definition in the order of its mailbox.
//!
//! A [`Runner`] waits in the run queue while it has something to do; a worker takes it, runs a
//! bounded turn, and puts it back. So does an [`Errand`].
//!
//! Invariants: runs of one definition keep the mailbox's order and never overlap, but for inline
//! runs of pure ones; a definition is in the run queue at most once; a guest that traps delays only
//! itself; tenants take turns, and owners within a tenant; who waits much leaves threads that stand
//! in to others. Not here: what to do with the effects of a run: that is the [`Sink`]'s.

mod backoff;
mod called;
mod errand;
mod inline;
mod mailbox;
mod owner;
mod poison;
mod queue;
mod runner;
mod spare;
mod spare_thread;
mod spec;
mod starts;
mod worker;

pub use errand::Errand;
pub use inline::{BatchRuns, Inline, InlineRuns};
pub use mailbox::{MailboxOptions, PostError, Posted, WhenFull};
pub(crate) use owner::owner_of_thread;
pub use poison::MESSAGE_PAUSED;
pub use queue::RunWait;
pub use runner::Runner;
pub use spare_thread::away;
pub use spec::{CompilingSpec, RunnerMetrics, RunnerSpec, RunnerState};
pub use starts::RunnerStarts;

use crate::{Engine, OwnedEvent, RunOutcome, RunOutput, Trap, heap, limits};
use lotmq_pulse::{Heartbeat, Heartbeats};
use lotmq_shares::OwnerKey;
use parking_lot::Mutex;
use queue::RunQueue;
use spare_thread::SpareThreads;
use std::{
    io,
    sync::{Arc, Weak},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How an [`Executor`] runs.
#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// Number of threads. Default: one per core.
    pub threads: usize,
    /// Whether definitions run only while a caller [waits for the rest](Executor::wait_for_rest),
    /// so that the caller decides when. Default: no.
    pub is_stepped: bool,
    /// Time after which a definition that has more to do lets others run. Default
    /// [`limits::TURN_TIME_MAX`].
    pub turn_time_max: Duration,
    /// Most threads beside those that work while others wait for a script or a route. Default
    /// [`limits::SPARE_THREADS_MAX`].
    pub spare_threads_max: usize,
    /// Time after which the instance of a definition that has nothing to do is dropped. Default
    /// [`limits::INSTANCE_IDLE`].
    pub instance_idle: Duration,
    /// Watchdog for the threads of the executor.
    pub pulses: Heartbeats,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get());
        ExecutorOptions {
            threads,
            is_stepped: false,
            turn_time_max: limits::TURN_TIME_MAX,
            spare_threads_max: limits::SPARE_THREADS_MAX,
            instance_idle: limits::INSTANCE_IDLE,
            pulses: Heartbeats::default(),
        }
    }
}

/// A run that has ended on an executor thread.
#[derive(Clone, Copy, Debug)]
pub struct FinishedRun<'a> {
    /// Runner of the definition.
    pub runner: &'a Arc<Runner>,
    /// Event that started the run.
    pub event: &'a OwnedEvent,
    /// Hops of the message that started it; its own messages have one more.
    pub hops: u8,
    /// Value that the caller of `post` passed with the event.
    pub tag: u64,
    /// How it ended; never [`RunOutcome::SliceExpired`].
    pub outcome: &'a RunOutcome,
    /// When it began and how long it took. Measured while the definition
    /// [is traced](Runner::set_traced) and for one run in eight; `None` for the others.
    pub timing: Option<(Instant, Duration)>,
}

/// Takes the results of one executor thread; the server routes effects from here. It runs on that
/// thread, between two runs.
pub trait Sink: Send {
    /// A run has ended. Its effects are in `output`, also when it failed or was stopped.
    fn run_finished(&mut self, run: FinishedRun<'_>, output: &RunOutput);

    /// No instance could be made: the definition's start code trapped. Its messages wait while it
    /// backs off.
    fn start_failed(&mut self, runner: &Arc<Runner>, trap: &Trap);

    /// Does some of an errand. Whether something is left to do, for another turn of its owner.
    fn carry_out(&mut self, _errand: &dyn Errand) -> bool {
        false
    }

    /// Sends the effects collected over several runs. Called when a turn is over, or when one of
    /// its runs is about to wait.
    fn turn_finished(&mut self);
}

/// Threads that run definitions. Dropping it lets the runs that are under way end and forgets what
/// waits.
pub struct Executor {
    shared: Arc<Shared>,
}

/// State that workers and definitions share.
pub(crate) struct Shared {
    pub(crate) queue: RunQueue,
    /// Definitions that may have an instance.
    warm: Mutex<Vec<Weak<Runner>>>,
    options: ExecutorOptions,
    threads: Mutex<Threads>,
    pub(crate) spare_threads: SpareThreads,
}

/// The threads of an executor, and what makes the sink of a further one.
#[derive(Default)]
struct Threads {
    started: Vec<JoinHandle<()>>,
    /// `None` when the executor has ended: definitions that outlive it would keep the state of the
    /// sinks, which holds definitions.
    sink: Option<Box<MakeSink>>,
}

/// Makes the sink of the thread with a number.
type MakeSink = dyn Fn(usize) -> Box<dyn Sink> + Send;

/// Arguments of a thread at its start.
pub(crate) struct ThreadArguments {
    sink: Box<dyn Sink>,
    pulse: Arc<Heartbeat>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

impl Executor {
    /// Starts the threads; `sink` is called once per thread with its number, from 0, also for those
    /// that stand in for one that waits.
    pub fn start(
        options: ExecutorOptions,
        sink: impl Fn(usize) -> Box<dyn Sink> + Send + 'static,
    ) -> io::Result<Executor> {
        let shared = Arc::new(Shared {
            queue: RunQueue::new(options.spare_threads_max),
            warm: Mutex::default(),
            options,
            threads: Mutex::new(Threads { started: Vec::new(), sink: Some(Box::new(sink)) }),
            spare_threads: SpareThreads::default(),
        });
        let executor = Executor { shared };
        if executor.shared.options.is_stepped {
            executor.shared.queue.hold();
        }
        for _ in 0..executor.shared.options.threads.max(1) {
            executor.shared.spawn(worker::work)?;
        }
        Ok(executor)
    }

    /// Makes a runner for a definition. It runs when something is posted to it, until it is
    /// [closed](Runner::close).
    pub fn add(&self, spec: RunnerSpec) -> Arc<Runner> {
        Runner::new(spec, self.shared.clone())
    }

    /// Makes a runner for a definition whose code is still being compiled. Posted events wait for
    /// [`Runner::replace`].
    pub fn add_compiling(&self, spec: CompilingSpec, engine: &Engine) -> Arc<Runner> {
        Runner::compiling(spec, engine.clone(), self.shared.clone())
    }

    /// Whether no definition runs or has anything to do.
    pub fn is_at_rest(&self) -> bool {
        self.shared.queue.is_at_rest()
    }

    /// Waits until no definition runs or has anything to do, or for so long. Returns whether that
    /// is so: the effects of the last runs have gone out then.
    pub fn wait_for_rest(&self, patience: Duration) -> bool {
        self.shared.queue.wait_for_rest(Instant::now() + patience)
    }

    /// Runs that wait for this, each with a thread for which another one stands in.
    pub fn waiting_runs(&self, kind: RunWait) -> usize {
        self.shared.queue.waiting(kind)
    }

    /// Definitions that have an instance right now; the others cost only their compiled code.
    pub fn warm_definitions(&self) -> usize {
        let warm = self.shared.warm.lock().clone();
        warm.iter().filter_map(Weak::upgrade).filter(|runner| runner.is_warm()).count()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.spare_threads.close();
        let threads = std::mem::take(&mut *self.shared.threads.lock());
        for thread in threads.started {
            if thread.join().is_err() {
                tracing::error!("an executor thread had ended by a panic");
            }
        }
    }
}

impl Shared {
    /// Starts one more thread.
    fn spawn(self: &Arc<Self>, work: fn(&Arc<Shared>, ThreadArguments)) -> io::Result<()> {
        let mut threads = self.threads.lock();
        let number = threads.started.len();
        let sink = threads.sink.as_ref().ok_or_else(|| io::Error::other("the executor has ended"))?(number);
        let pulse =
            self.options.pulses.add(format!("executor thread {number}"), limits::EXECUTOR_SILENCE_MAX);
        let (shared, arguments) = (self.clone(), ThreadArguments { sink, pulse });
        let thread = thread::Builder::new()
            .name(format!("lotmq-guest-{number}"))
            .stack_size(limits::EXECUTOR_STACK_BYTES)
            .spawn(move || work(&shared, arguments))?;
        threads.started.push(thread);
        Ok(())
    }

    /// A definition has got an instance.
    pub(crate) fn warmed(&self, runner: Weak<Runner>) {
        let mut warm = self.warm.lock();
        warm.push(runner);
        let is_first = warm.len() == 1;
        drop(warm);
        if is_first {
            // From now on there is something to sweep.
            self.queue.call();
        }
    }

    /// Whether any definition has an instance.
    fn has_warm(&self) -> bool {
        !self.warm.lock().is_empty()
    }

    /// How often idle definitions are looked for.
    fn sweep_period(&self) -> Duration {
        (self.options.instance_idle / 2).max(Duration::from_millis(1))
    }

    /// Drops instances that were not used since the sweep before the last one; with `all`, every
    /// one that is not running.
    pub(crate) fn sweep(&self, all: bool) {
        self.sweep_where(|runner| runner.cool_down(all));
    }

    /// Drops all instances of an owner that are not running.
    pub(crate) fn sweep_of(&self, owner: OwnerKey) {
        self.sweep_where(|runner| runner.owner() != owner || runner.cool_down(true));
    }

    /// Drops the instances of definitions that `keeps` says false of, after it has.
    fn sweep_where(&self, keeps: impl Fn(&Runner) -> bool) {
        let warm = std::mem::take(&mut *self.warm.lock());
        let before = warm.len();
        let kept: Vec<_> =
            warm.into_iter().filter(|weak| weak.upgrade().is_some_and(|runner| keeps(&runner))).collect();
        let dropped = before - kept.len();
        self.warm.lock().extend(kept);
        if dropped > 0 {
            heap::settle(dropped);
        }
    }
}
