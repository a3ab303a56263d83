//! A script: its text, its functions, and the instance that holds it.

use super::{
    Called, Python, PythonError,
    instance::{Entered, ScriptInstance},
    places::{CallNumber, ScriptIdentity},
};
use crate::{
    Value,
    deadline::apart,
    limits::{PYTHON_LOAD_WAIT, PYTHON_WAIT},
};
use lotmq_shares::payer;
use parking_lot::{Mutex, MutexGuard};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// A script. Its globals live from call to call, until it is dropped or stopped by force.
pub struct Script {
    python: Python,
    source: Box<str>,
    /// Account whose memory sum its own counts in; 0 if it has no owner.
    account: u64,
    /// Identity for the order of its calls. Only the call that has begun locks the instance.
    identity: ScriptIdentity,
    /// `None` until the first call, and after a trap.
    instance: Mutex<Option<ScriptInstance>>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("bytes", &self.source.len()).finish_non_exhaustive()
    }
}

impl Script {
    /// Returns a script of this account (0: no owner) that was checked before. It runs from top to
    /// bottom at its first call.
    pub fn known(python: &Python, source: &str, account: u64) -> Script {
        let identity = python.script(payer(account));
        Script {
            python: python.clone(),
            source: source.into(),
            account,
            identity,
            instance: Mutex::new(None),
        }
    }

    /// Runs a script of this account (0: no owner) from top to bottom. Returns the names of its
    /// functions in their order, as a JSON array, and the text that it printed. Waits for the
    /// interpreter's native code at most [`PYTHON_LOAD_WAIT`].
    ///
    /// # Errors
    /// The error of the script, or of the interpreter.
    pub fn load(
        python: &Python,
        source: &str,
        account: u64,
    ) -> Result<(Script, String, String), PythonError> {
        Self::load_within(python, (source, account), PYTHON_LOAD_WAIT)
    }

    /// Like [`load`](Self::load) with another time to wait, for callers that report progress.
    ///
    /// # Errors
    /// As of [`load`](Self::load).
    pub fn load_within(
        python: &Python,
        (source, account): (&str, u64),
        wait: Duration,
    ) -> Result<(Script, String, String), PythonError> {
        let script = Script::known(python, source, account);
        let deadline = Instant::now() + wait;
        let loaded = apart(|| {
            let place = python.place(script.identity, deadline)?;
            script.start(&mut script.instance.lock(), (place.number, deadline))
        })?;
        Ok((script, loaded.result?, loaded.output))
    }

    /// The text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Calls a function by name. It waits for its turn among the calls of this script, for a place
    /// and for native code, at most [`PYTHON_WAIT`]; the thread's time until it returns counts for
    /// no run.
    pub fn call(&self, function: &str, arguments: &[Value]) -> Called {
        let called = apart(|| self.entered(function, arguments));
        called.unwrap_or_else(|error| Called { result: Err(error), output: String::new() })
    }

    fn entered(&self, function: &str, arguments: &[Value]) -> Result<Called, PythonError> {
        let deadline = Instant::now() + PYTHON_WAIT;
        let place = self.python.place(self.identity, deadline)?;
        let mut instance = self.instance.lock();
        let mut printed = String::new();
        if instance.is_none() {
            let loaded = self.start(&mut instance, (place.number, deadline))?;
            loaded.result?;
            printed = loaded.output;
        }
        let Some(running) = instance.as_mut() else { return Err(PythonError::Preparing) };
        let Entered { result, output } = running.call(place.number, function, arguments);
        if matches!(result, Err(PythonError::Stopped(_))) {
            *instance = None;
        }
        Ok(Called { result, output: printed + &output })
    }

    /// Makes the instance and runs the script in it. An instance whose script raised an exception
    /// is not kept.
    fn start(
        &self,
        instance: &mut MutexGuard<'_, Option<ScriptInstance>>,
        (number, deadline): (CallNumber, Instant),
    ) -> Result<Entered, PythonError> {
        let code = self.python.code(deadline)?;
        let mut made = ScriptInstance::new(&self.python, &code, (self.account, number))?;
        let loaded = made.load(number, &self.source);
        **instance = loaded.result.is_ok().then_some(made);
        Ok(loaded)
    }
}
