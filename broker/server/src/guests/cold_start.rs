//! Programs that a start compiles behind its open listeners: the order of the work, and how much is
//! left.
//!
//! Invariants: before the listeners open, a start compiles programs of at most [`COLD_START_BYTES`]
//! that have no code in the cache. When the broker stops, no job begins. Not here: what the jobs
//! are (`late_code`), and the threads that do them (`server/cold_start`).

use std::collections::VecDeque;
use std::time::Duration;

use lotmq_host::{Engine, Tier};
use parking_lot::{Condvar, Mutex};

use crate::limits::{COLD_START_BYTES, WORKER_PROGRAM_BYTES};

/// Compilation behind the listeners of a start, and its progress.
pub(crate) struct ColdStart {
    state: Mutex<State>,
    /// Called when a job has ended, and when the broker stops.
    changed: Condvar,
}

struct State {
    /// Stored definitions and modules.
    all: usize,
    /// Bytes of programs that the start may still compile before the listeners open.
    bytes_left: usize,
    jobs: VecDeque<(CompileOrder, Box<dyn DeferredCompile>)>,
    under_way: usize,
    is_stopping: bool,
}

/// Code that is to be compiled for a definition.
pub(crate) trait DeferredCompile: Send {
    /// Whether the definition still waits for it.
    fn is_wanted(&self) -> bool;

    /// Name for the log.
    fn name(&self) -> String;

    /// Pass over the program.
    fn pass(&self) -> Pass;

    /// Compiles the code, which takes long and changes nothing.
    fn compile(&mut self);

    /// Puts in what was compiled; gives the definition up where nothing was, as after a panic. The
    /// caller holds the lock of changes. The second pass, where one follows.
    fn put_in(self: Box<Self>) -> Option<Box<dyn DeferredCompile>>;
}

impl Default for ColdStart {
    fn default() -> Self {
        let state = State {
            all: 0,
            bytes_left: COLD_START_BYTES,
            jobs: VecDeque::new(),
            under_way: 0,
            is_stopping: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

/// Pass over a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
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

/// CompileOrder of a job in the order: the smallest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CompileOrder {
    /// Rules, and modules that rules ask: they deny until then.
    Deciding,
    /// Programs that are compiled in a moment.
    Small,
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
    /// Begins a start with so many stored definitions and modules.
    pub(crate) fn begin(&self, all: usize) {
        self.state.lock().all = all;
    }

    /// Number of stored definitions and modules; `None` when nothing is left to do.
    pub(crate) fn all(&self) -> Option<usize> {
        let state = self.state.lock();
        (!state.is_over()).then_some(state.all)
    }

    /// Whether native code of a program is compiled behind the listeners. A program that is not
    /// deferred takes its bytes of the budget, unless its code is in the cache.
    pub(crate) fn defers(&self, engine: &Engine, program: &[u8]) -> bool {
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

    /// Adds a job behind those of its place; not while the broker stops.
    pub(crate) fn push(&self, place: CompileOrder, job: Box<dyn DeferredCompile>) {
        let mut state = self.state.lock();
        if state.is_stopping {
            return;
        }
        let at = state.jobs.partition_point(|(known, _)| *known <= place);
        state.jobs.insert(at, (place, job));
    }

    /// Takes the next job; `None` when there is none left, or the broker stops.
    /// [`ended`](Self::ended) follows each.
    pub(crate) fn next(&self) -> Option<Box<dyn DeferredCompile>> {
        let mut state = self.state.lock();
        if state.is_stopping {
            return None;
        }
        let (_, job) = state.jobs.pop_front()?;
        state.under_way += 1;
        Some(job)
    }

    /// Notes that a job has ended.
    pub(crate) fn ended(&self) {
        self.state.lock().under_way -= 1;
        self.changed.notify_all();
    }

    /// Whether nothing is left to do, or the broker stops.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.is_over() || state.is_stopping
    }

    /// Waits until [that is so](Self::is_over), or for so long. Whether it is so.
    pub(crate) fn wait_until_over(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        let goes_on = |state: &mut State| !state.is_over() && !state.is_stopping;
        !self.changed.wait_while_for(&mut state, goes_on, patience).timed_out()
    }

    /// Ends the work: no further job begins, and what is under way is put in nowhere.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopping = true;
        state.jobs.clear();
        self.changed.notify_all();
    }

    /// Whether the broker stops.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state.lock().is_stopping
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.jobs.is_empty() && self.under_way == 0
    }
}

#[cfg(test)]
mod tests;
