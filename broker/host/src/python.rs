//! Runs Python scripts: one guest for all of them, CPython with the standard library that scripts
//! may use (`guests/python`), and an instance of its own for each.
//!
//! `CALL PYTHON` calls it on the thread of the calling run. The check of a new script calls it
//! before the script is stored.
//!
//! Invariants: an instance holds one script and is never entered again after a trap; calls of one
//! script never overlap, while those of different scripts do, at most [`PYTHON_AT_ONCE_MAX`]; a
//! call takes at most [`PYTHON_TIME`] of processor time and of sleep together, which counts for no
//! run. Not here: the set of scripts, and the permission to call them (`server`).

mod bindings;
mod code;
mod component;
mod instance;
mod places;
mod script;
mod sleep;

pub use crate::services::python::{Called, PythonError};
pub use code::Python;
pub use script::Script;

use crate::Value;

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
