//! The interpreter's native code: made once, in the background, and cached like that of any guest.

use super::{
    PythonError,
    bindings::PythonPre,
    component,
    instance::ScriptState,
    places::{CallNumber, CallPlace, CallPlaces, ScriptIdentity},
    sleep,
};
use crate::{Ambient, Engine, LoadError, Machine, inert, limits::PYTHON_WAIT, packed::unpack};
use parking_lot::{Condvar, Mutex};
use std::{
    fmt,
    sync::{Arc, Weak},
    thread,
    time::Instant,
};
use wasmtime::component::Linker;

/// The Python interpreter of a process. Clones share it. It costs nothing until it is
/// [prepared](Python::prepare).
#[derive(Clone)]
pub struct Python {
    shared: Arc<Shared>,
    /// Clocks and chance of scripts.
    ambient: Arc<dyn Ambient>,
}

struct Shared {
    engine: Engine,
    code: Mutex<Code>,
    code_changed: Condvar,
    places: CallPlaces,
}

enum Code {
    Absent,
    Preparing,
    Ready(PythonPre<ScriptState>),
    Failed(String),
    /// Nobody is to wait any more.
    Closed,
}

impl fmt::Debug for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Python").finish_non_exhaustive()
    }
}

impl Python {
    /// An interpreter on this engine.
    pub fn new(engine: &Engine) -> Python {
        let shared = Shared {
            engine: engine.clone(),
            code: Mutex::new(Code::Absent),
            code_changed: Condvar::new(),
            places: CallPlaces::default(),
        };
        Python { shared: Arc::new(shared), ambient: Arc::new(Machine::start()) }
    }

    /// Returns the same interpreter for scripts with these clocks and random numbers.
    #[must_use]
    pub fn with_ambient(self, ambient: Arc<dyn Ambient>) -> Python {
        Python { ambient, ..self }
    }

    pub(super) fn ambient(&self) -> &Arc<dyn Ambient> {
        &self.ambient
    }

    /// Begins to make the native code in the background, if nobody has: some seconds on a machine
    /// that never did, a tenth of a second when the engine's cache has it.
    pub fn prepare(&self) {
        let mut code = self.shared.code.lock();
        if !matches!(*code, Code::Absent) {
            return;
        }
        let weak = Arc::downgrade(&self.shared);
        let spawned = thread::Builder::new().name("lotmq-python".into()).spawn(move || prepare(&weak));
        *code = match spawned {
            Ok(_) => Code::Preparing,
            Err(error) => Code::Failed(format!("its thread does not start: {error}")),
        };
    }

    /// Waits until native code that is being made is there, or has failed; not at all where nobody
    /// has asked for it.
    pub fn wait(&self, deadline: Instant) {
        let mut code = self.shared.code.lock();
        while matches!(*code, Code::Preparing)
            && !self.shared.code_changed.wait_until(&mut code, deadline).timed_out()
        {}
    }

    /// Ends all waiting for native code: the broker stops.
    pub fn close(&self) {
        *self.shared.code.lock() = Code::Closed;
        self.shared.code_changed.notify_all();
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// The native code, as soon as there is some.
    pub(super) fn code(&self, deadline: Instant) -> Result<PythonPre<ScriptState>, PythonError> {
        self.prepare();
        let mut code = self.shared.code.lock();
        loop {
            match &*code {
                Code::Ready(pre) => return Ok(pre.clone()),
                Code::Failed(reason) => return Err(PythonError::Unavailable { reason: reason.clone() }),
                Code::Closed => return Err(PythonError::Preparing),
                Code::Absent | Code::Preparing => {
                    if self.shared.code_changed.wait_until(&mut code, deadline).timed_out() {
                        return Err(PythonError::Preparing);
                    }
                }
            }
        }
    }

    /// Identity of a new script of this account, for the order of its calls.
    pub(super) fn script(&self, account: u64) -> ScriptIdentity {
        self.shared.places.script(account)
    }

    /// The script and a place for a call, as soon as it is its turn.
    pub(super) fn place(
        &self,
        script: ScriptIdentity,
        deadline: Instant,
    ) -> Result<CallPlace<'_>, PythonError> {
        let place = self.shared.places.take(script, deadline);
        place.ok_or(PythonError::Busy { waited_sec: PYTHON_WAIT.as_secs() })
    }

    /// Lets a call of an owner with fewer running calls go first, after this call has run for a
    /// slice. Returns false if there is none.
    pub(super) fn give_way(&self, call: CallNumber) -> bool {
        self.shared.places.give_way(call)
    }

    /// Sleeps in the midst of a call; its place is another one's meanwhile.
    pub(super) fn rest(&self, call: CallNumber, sleep: impl FnOnce()) {
        self.shared.places.rest(call, sleep);
    }
}

/// Compiles the native code and wakes the waiting calls. The engine lives at least as long.
fn prepare(shared: &Weak<Shared>) {
    let Some(engine) = shared.upgrade().map(|shared| shared.engine.clone()) else { return };
    let began = Instant::now();
    let made = compile(&engine);
    let Some(shared) = shared.upgrade() else { return };
    let mut code = shared.code.lock();
    if matches!(*code, Code::Closed) {
        return;
    }
    *code = match made {
        Ok(pre) => {
            tracing::info!(elapsed_ms = began.elapsed().as_millis(), "Python is ready");
            Code::Ready(pre)
        }
        Err(reason) => {
            tracing::error!(error = reason, "Python does not run here");
            Code::Failed(reason)
        }
    };
    shared.code_changed.notify_all();
}

fn compile(engine: &Engine) -> Result<PythonPre<ScriptState>, String> {
    let failed = |error: wasmtime::Error| format!("{error:#}");
    let packed = component::packed()?;
    let component =
        engine.native_of_packed(&packed, || unpack(&packed)).map_err(|error: LoadError| error.to_string())?;
    let mut linker = inert::link_all(&Linker::new(engine.wasmtime()), &component).map_err(failed)?;
    sleep::provide(&mut linker, &component).map_err(failed)?;
    let pre = linker.instantiate_pre(&component).map_err(failed)?;
    PythonPre::new(pre).map_err(failed)
}
