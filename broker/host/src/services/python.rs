//! Results and errors of calls of Python scripts.

use crate::Trap;

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
    /// The script was stopped by force. Its globals are lost: the next call begins with a new
    /// instance.
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

/// Result of a call of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Called {
    /// Text as the function returned it; everything else as compact JSON, `None` as `null`.
    pub result: Result<String, PythonError>,
    /// Text that it printed, cut at 16 KiB.
    pub output: String,
}

impl Called {
    /// Returns the result of a call of `Script.function` when there is no such script.
    pub fn unknown(function: &str) -> Called {
        let name = function.split_once('.').map_or(function, |(script, _)| script).to_owned();
        Called { result: Err(PythonError::Unknown { name }), output: String::new() }
    }
}
