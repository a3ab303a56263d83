//! Runs Python scripts: one guest for all of them, CPython with the standard library that scripts may use (`guests/python`), and an
//! instance of its own for each.
//!
//! Called by `CALL PYTHON`, on the thread of the run that calls, and by whoever checks a script before it is stored.
//!
//! Invariants: an instance holds one script and is never entered again after a trap; calls of one script never overlap, while those of
//! different scripts do, at most [`PYTHON_AT_ONCE_MAX`]; a call takes at most [`PYTHON_TIME`] of processor time and of sleep together, which counts for no run.
//! Not here: which scripts there are, and who may call them (`server`).

mod bindings;
mod code;
mod instance;
mod script;
mod sleep;

pub use code::Python;
pub use script::{Called, Script};

use crate::{Trap, Value};

/// The component, compressed. `cargo xtask guests` makes it.
const COMPONENT: &[u8] = include_bytes!("../../../guests/python/prebuilt/python.wasm.zst");

/// Why a script gave no result. The text is for the author of the script.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PythonError {
    /// An exception that the script did not catch, or a script that is not Python.
    #[error("{message}{}", at(*.line))]
    Raised {
        /// The exception as Python words it.
        message: String,
        /// Line of the script, from 1; 0 when none has to do with it.
        line: u32,
    },
    /// The script was stopped by force. Its globals are lost: the next call begins with a new instance.
    #[error("the script was stopped: {0}")]
    Stopped(Trap),
    /// There is no script of that name.
    #[error("there is no Python script '{name}'")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// Native code of the interpreter is still being made.
    #[error("Python is still being prepared, which takes some time once after an installation; try again")]
    Preparing,
    /// Other calls kept the script, or all places of Python, for too long.
    #[error("the script was busy for {waited_sec} s")]
    Busy {
        /// How long the call waited.
        waited_sec: u64,
    },
    /// The interpreter does not run on this machine.
    #[error("Python does not run here: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

fn at(line: u32) -> String {
    if line == 0 { String::new() } else { format!(" (line {line} of the script)") }
}

impl PythonError {
    /// Stable code for replies and `Error` topics.
    pub fn code(&self) -> &'static str {
        match self {
            PythonError::Raised { .. } => "PYTHON_ERROR",
            PythonError::Stopped(trap) => trap.kind.code(),
            PythonError::Unknown { .. } => "PYTHON_UNKNOWN",
            PythonError::Preparing => "PYTHON_PREPARING",
            PythonError::Busy { .. } => "PYTHON_BUSY",
            PythonError::Unavailable { .. } => "PYTHON_UNAVAILABLE",
        }
    }

    /// Line of the script, from 1; 0 when none has to do with it.
    pub fn line(&self) -> u32 {
        match self {
            PythonError::Raised { line, .. } => *line,
            PythonError::Stopped(_)
            | PythonError::Unknown { .. }
            | PythonError::Preparing
            | PythonError::Busy { .. }
            | PythonError::Unavailable { .. } => 0,
        }
    }
}

/// How values reach Python (LoT reference §12): by their kind, whatever they look like.
fn as_argument(value: &Value) -> bindings::exports::lotmq::python::script::Argument<'_> {
    use bindings::exports::lotmq::python::script::Argument;
    match value {
        Value::Empty | Value::Null => Argument::None,
        Value::Boolean(value) => Argument::Boolean(*value),
        Value::Integer(value) | Value::Time(value) => Argument::Integer(*value),
        Value::Double(value) => Argument::Double(*value),
        Value::Text(value) => Argument::Text(value),
        Value::Json(value) => Argument::Json(value),
        Value::Bytes(value) => Argument::Bytes(value),
    }
}
