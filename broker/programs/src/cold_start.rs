//! Programs that a start compiles behind its open listeners: the order of the work, and how much is
//! left.
//!
//! Invariants: before the listeners open, a start compiles programs of at most [`COLD_START_BYTES`]
//! that have no code in the cache. Owners take turns among jobs of the same order. When the broker
//! stops, no job begins. Not here: what the jobs are (`late_code`), and the threads that do them
//! (`server/cold_start`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lotmq_host::{Engine, Tier};
use lotmq_shares::{OwnerKey, OwnerTurns};
use parking_lot::{Condvar, Mutex};

use crate::limits::{COLD_START_BYTES, COLD_START_RETRY_MAX, COLD_START_RETRY_MIN, WORKER_PROGRAM_BYTES};

/// Compilation behind the listeners of a start, and its progress.
pub struct ColdStart {
    state: Mutex<State>,
    /// Called when a job has ended, and when the broker stops.
    changed: Condvar,
}

struct State {
    /// Stored definitions and modules.
    all: usize,
    /// Bytes of programs that the start may still compile before the listeners open.
    bytes_left: usize,
    /// Jobs that may begin.
    jobs: BTreeMap<CompileOrder, OwnerTurns<Box<dyn DeferredCompile>>>,
    /// Jobs that wait for their next attempt.
    retries: Vec<Retry>,
    under_way: usize,
    /// Whether every program is compiled later, optimised at once: nothing runs meanwhile.
    is_all_deferred: bool,
    is_stopping: bool,
}

/// Job that is tried again at a time.
struct Retry {
    at: Instant,
    order: CompileOrder,
    job: Box<dyn DeferredCompile>,
}

/// Failed attempts to compile a definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedAttempts {
    pub(crate) failures: u32,
    /// Reason of the last failure; empty before the first.
    pub(crate) reason: String,
}

/// Next step of a job whose compilation has ended.
pub enum NextStep {
    /// None: the code was put in, or the definition was given up.
    Done,
    /// The second pass.
    Optimise(Box<dyn DeferredCompile>),
    /// Another attempt, because the failure says nothing about the program.
    Retry(Box<dyn DeferredCompile>),
}

/// Code that is to be compiled for a definition.
pub trait DeferredCompile: Send {
    /// Owner in whose turn it is compiled.
    fn owner(&self) -> OwnerKey;

    /// Place in the order of the work.
    fn order(&self) -> CompileOrder;

    /// Attempts that have failed so far.
    fn attempts(&self) -> &FailedAttempts;

    /// Whether the definition still waits for it.
    fn is_wanted(&self) -> bool;

    /// Name for the log.
    fn name(&self) -> String;

    /// Pass over the program.
    fn pass(&self) -> Pass;

    /// Compiles the code, which takes long and changes nothing.
    fn compile(&mut self);

    /// Why the compilation has failed; `None` where it has not.
    fn failure(&self) -> Option<&str>;

    /// Puts in the compiled code, and returns what follows. Gives the definition up if its program
    /// does not compile. The caller holds the lock of changes.
    fn put_in(self: Box<Self>) -> NextStep;
}

impl Default for ColdStart {
    fn default() -> Self {
        let state = State {
            all: 0,
            bytes_left: COLD_START_BYTES,
            jobs: BTreeMap::new(),
            retries: Vec::new(),
            under_way: 0,
            is_all_deferred: false,
            is_stopping: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

/// Pass over a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The only one, optimised: the program is small.
    Only,
    /// Without optimisation; an optimised one follows.
    First,
    /// Optimised: the code takes the place of that of the first pass.
    Second,
}

impl Pass {
    pub(crate) fn of(bytes: usize) -> Self {
        if bytes < WORKER_PROGRAM_BYTES { Pass::Only } else { Pass::First }
    }

    pub(crate) fn tier(self) -> Tier {
        match self {
            Pass::First => Tier::Baseline,
            Pass::Only | Pass::Second => Tier::Optimised,
        }
    }
}

/// Place of a job in the order of the work: the smallest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CompileOrder {
    /// Rules, and modules that rules ask: they deny until then.
    Deciding,
    /// Programs that are compiled in a moment.
    Small,
    /// Programs that take longer to compile.
    Large,
    /// Programs that run already, without optimisation.
    Running,
}

impl CompileOrder {
    pub(crate) fn of(is_deciding: bool, bytes: usize) -> Self {
        match is_deciding {
            true => CompileOrder::Deciding,
            false if bytes < WORKER_PROGRAM_BYTES => CompileOrder::Small,
            false => CompileOrder::Large,
        }
    }
}

impl ColdStart {
    /// Defers every program, also what the cache has.
    pub fn defer_all(&self) {
        self.state.lock().is_all_deferred = true;
    }

    /// First pass over a program of so many bytes.
    pub(crate) fn first_pass(&self, bytes: usize) -> Pass {
        if self.state.lock().is_all_deferred { Pass::Only } else { Pass::of(bytes) }
    }

    /// Number of jobs that wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().jobs.values().map(OwnerTurns::len).sum()
    }

    /// Begins a start with so many stored definitions and modules.
    pub fn begin(&self, all: usize) {
        self.state.lock().all = all;
    }

    /// Number of stored definitions and modules; `None` when nothing is left to do.
    pub(crate) fn all(&self) -> Option<usize> {
        let state = self.state.lock();
        (!state.is_over()).then_some(state.all)
    }

    /// Whether native code of a program is compiled behind the listeners. A program that is not
    /// deferred takes its bytes of the budget, unless its code is in the cache.
    pub fn defers(&self, engine: &Engine, program: &[u8]) -> bool {
        if self.state.lock().is_all_deferred {
            return true;
        }
        if engine.is_cached(program) {
            return false;
        }
        let mut state = self.state.lock();
        match state.bytes_left.checked_sub(program.len()) {
            Some(left) => {
                state.bytes_left = left;
                false
            }
            None => true,
        }
    }

    /// Adds a job behind those of its owner; not while the broker stops.
    pub fn push(&self, job: Box<dyn DeferredCompile>) {
        let mut state = self.state.lock();
        if !state.is_stopping {
            state.push(job.order(), job);
            self.changed.notify_all();
        }
    }

    /// Adds a job that may begin after a pause, which doubles with each failure.
    pub fn push_later(&self, job: Box<dyn DeferredCompile>) {
        let mut state = self.state.lock();
        if !state.is_stopping {
            let (at, order) = (Instant::now() + retry_pause(job.attempts().failures), job.order());
            state.retries.push(Retry { at, order, job });
            self.changed.notify_all();
        }
    }

    /// Takes the next job, and waits while there are only such that are tried again later; `None`
    /// when there is none left, or the broker stops. [`ended`](Self::ended) follows each.
    pub fn next(&self) -> Option<Box<dyn DeferredCompile>> {
        let mut state = self.state.lock();
        loop {
            if state.is_stopping {
                return None;
            }
            let due = state.wake_retries(Instant::now());
            if let Some(job) = state.take() {
                state.under_way += 1;
                return Some(job);
            }
            self.changed.wait_until(&mut state, due?);
        }
    }

    /// Jobs that wait for another attempt, with their names: the first of them.
    pub(crate) fn retries(&self, max: usize) -> Vec<(String, FailedAttempts)> {
        let state = self.state.lock();
        state.retries.iter().take(max).map(|it| (it.job.name(), it.job.attempts().clone())).collect()
    }

    /// Notes that a job has ended.
    pub fn ended(&self) {
        self.state.lock().under_way -= 1;
        self.changed.notify_all();
    }

    /// Whether nothing is left to do, or the broker stops.
    pub fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.is_over() || state.is_stopping
    }

    /// Waits until [that is so](Self::is_over), or for so long. Whether it is so.
    pub fn wait_until_over(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        let goes_on = |state: &mut State| !state.is_over() && !state.is_stopping;
        !self.changed.wait_while_for(&mut state, goes_on, patience).timed_out()
    }

    /// Ends the work: no further job begins, and what is under way is put in nowhere.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopping = true;
        state.jobs.clear();
        state.retries.clear();
        self.changed.notify_all();
    }

    /// Whether the broker stops.
    pub fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.jobs.values().all(OwnerTurns::is_empty) && self.retries.is_empty() && self.under_way == 0
    }

    fn push(&mut self, order: CompileOrder, job: Box<dyn DeferredCompile>) {
        self.jobs.entry(order).or_default().push(job.owner(), job);
    }

    /// Takes the next job of the first order that has any.
    fn take(&mut self) -> Option<Box<dyn DeferredCompile>> {
        self.jobs.values_mut().find_map(OwnerTurns::pop)
    }

    /// Queues the retries that are due; returns when the first of the others is.
    fn wake_retries(&mut self, now: Instant) -> Option<Instant> {
        let due: Vec<Retry> = self.retries.extract_if(.., |retry| retry.at <= now).collect();
        due.into_iter().for_each(|Retry { order, job, .. }| self.push(order, job));
        self.retries.iter().map(|retry| retry.at).min()
    }
}

/// Pause before the next attempt of a job that has failed so many times.
fn retry_pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    COLD_START_RETRY_MIN.saturating_mul(doubled).min(COLD_START_RETRY_MAX)
}

#[cfg(test)]
mod tests;
