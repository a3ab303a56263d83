//! One live instance of the interpreter, which holds one script.

use super::{
    Python, PythonError, as_argument,
    bindings::{self, PythonPre, exports::lotmq::python::script::Outcome},
    places::CallNumber,
    sleep::Waits,
};
use crate::{
    Trap, TrapKind, Value,
    ambient::Perceives,
    deadline::{AtTick, Deadline, Stopped, processor_time},
    limits::{CALL_BYTES_MAX, PYTHON_MEMORY_BYTES, PYTHON_SLICE, PYTHON_TIME},
    memory::Memory,
    ticker::{Pace, Ticker},
    trap::{self, StoppedRun},
};
use std::{sync::Arc, time::Duration};
use wasmtime::{Store, UpdateDeadline};

/// Host state of one instance.
pub(super) struct ScriptState {
    pub(super) deadline: Deadline,
    memory: Memory,
    pub(super) waits: Waits,
    pub(super) python: Python,
    /// The call that is under way.
    call: CallNumber,
    /// Processor time of the thread when the call got the place that it has.
    placed_at: Duration,
    /// Time that it has slept and the clocks around it have not gone on: in all, and in this call.
    slept_alone: (Duration, Duration),
}

impl ScriptState {
    /// Sleeps; a waiting call has its place meanwhile.
    pub(super) fn sleep(&mut self, time: Duration) {
        let ambient = Arc::clone(self.python.ambient());
        let before = ambient.monotonic();
        self.python.rest(self.call, || ambient.sleep(time));
        let alone = time.saturating_sub(ambient.monotonic().saturating_sub(before));
        self.slept_alone.0 += alone;
        self.slept_alone.1 += alone;
    }

    /// Lets others have its place when it has had it for a slice. The call waits meanwhile, which
    /// costs it no processor time.
    fn give_way(&mut self) {
        let now = processor_time();
        if now.saturating_sub(self.placed_at) >= PYTHON_SLICE && self.python.give_way(self.call) {
            self.placed_at = now;
        }
    }

    /// Has the clock tick for it again.
    pub(super) fn goes_on(&self) {
        self.python.engine().ticker().run_begins(Pace::Coarse);
    }
}

impl Perceives for ScriptState {
    /// Includes the sleeps of the script during which the clocks of the host stood still.
    fn wall(&self) -> Duration {
        self.python.ambient().wall().saturating_add(self.slept_alone.1)
    }

    fn monotonic(&self) -> Duration {
        self.python.ambient().monotonic().saturating_add(self.slept_alone.0)
    }

    fn random(&self) -> u64 {
        self.python.ambient().random()
    }
}

/// Result of entering the instance, with the text that the script printed.
pub(super) struct Entered {
    pub(super) result: Result<String, PythonError>,
    pub(super) output: String,
}

pub(super) struct ScriptInstance {
    store: Store<ScriptState>,
    exports: bindings::Python,
    ticker: Ticker,
}

impl ScriptInstance {
    pub(super) fn new(
        python: &Python,
        pre: &PythonPre<ScriptState>,
        (account, call): (u64, CallNumber),
    ) -> Result<Self, PythonError> {
        let engine = python.engine();
        let memory_bytes = PYTHON_MEMORY_BYTES.min(engine.memory_bytes_max());
        let memory = Memory::new(memory_bytes, account, engine.memory())
            .map_err(|refused| PythonError::Unavailable { reason: refused.to_string() })?;
        let state = ScriptState {
            deadline: Deadline::new(PYTHON_TIME),
            memory,
            waits: Waits::default(),
            placed_at: processor_time(),
            python: python.clone(),
            call,
            slept_alone: (Duration::ZERO, Duration::ZERO),
        };
        let mut store = Store::new(engine.wasmtime(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(CALL_BYTES_MAX);
        let ticker = engine.ticker().clone();
        let ticking = ticker.clone();
        store.epoch_deadline_callback(move |mut store| {
            let state = store.data_mut();
            match state.deadline.at_tick(processor_time()) {
                AtTick::TimeExpired => Err(Stopped::Time(PYTHON_TIME).into()),
                AtTick::GoOn | AtTick::SliceExpired => {
                    state.give_way();
                    ticking.run_begins(Pace::Coarse);
                    Ok(UpdateDeadline::Continue(1))
                }
            }
        });
        begin(&mut store, &ticker, call);
        match pre.instantiate(&mut store) {
            Ok(exports) => Ok(ScriptInstance { store, exports, ticker }),
            Err(error) => Err(PythonError::Unavailable { reason: explain(&error, &store).message }),
        }
    }

    /// Runs the script from top to bottom; gives the names of its functions as a JSON array.
    pub(super) fn load(&mut self, call: CallNumber, source: &str) -> Entered {
        begin(&mut self.store, &self.ticker, call);
        let called = self.exports.lotmq_python_script().call_load(&mut self.store, source);
        self.entered(called)
    }

    /// Calls one of its functions.
    pub(super) fn call(&mut self, call: CallNumber, function: &str, arguments: &[Value]) -> Entered {
        begin(&mut self.store, &self.ticker, call);
        let arguments: Vec<_> = arguments.iter().map(as_argument).collect();
        let called = self.exports.lotmq_python_script().call_call(&mut self.store, function, &arguments);
        self.entered(called)
    }

    fn entered(&self, called: wasmtime::Result<Outcome>) -> Entered {
        match called {
            Ok(outcome) => Entered {
                result: outcome
                    .result
                    .map_err(|failure| PythonError::Raised { message: failure.message, line: failure.line }),
                output: outcome.output,
            },
            Err(error) => Entered {
                result: Err(PythonError::Stopped(explain(&error, &self.store))),
                output: String::new(),
            },
        }
    }
}

fn begin(store: &mut Store<ScriptState>, ticker: &Ticker, call: CallNumber) {
    let state = store.data_mut();
    state.call = call;
    state.deadline = Deadline::new(PYTHON_TIME);
    state.placed_at = processor_time();
    state.slept_alone.1 = Duration::ZERO;
    ticker.run_begins(Pace::Coarse);
    store.set_epoch_deadline(1);
}

fn explain(error: &wasmtime::Error, store: &Store<ScriptState>) -> Trap {
    let (memory_refused, memory_bytes_max) = (store.data().memory.refused(), PYTHON_MEMORY_BYTES);
    let trap = trap::explain(error, &StoppedRun { memory_refused, memory_bytes_max, last_words: None });
    let message = if trap.kind == TrapKind::Time {
        format!("it took longer than {} s", PYTHON_TIME.as_secs())
    } else {
        trap.message
    };
    // Names of the interpreter's own functions say nothing to the author of a script.
    Trap { kind: trap.kind, message, function: None }
}
