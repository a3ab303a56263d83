//! `python`: calling scripts. Capability: [`Grants::python`](crate::Grants). Bounds: those of the
//! script, see [`python`](crate::python); the caller waits, and its own time stands still.

use crate::{
    RunError, Severity, SourcePlace, Value,
    grants::Capability,
    limits::NAME_BYTES_MAX,
    services::python::{Called, PythonError},
    stack,
    state::RunState,
    texts::cut,
};
use wasmtime::component::{Linker, WasmStr};

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("python"))?;
    interface.func_wrap(
        "call",
        |store, (function, arguments, line, column): (WasmStr, Vec<Value>, u32, u32)| {
            let function = function.to_str(&store)?;
            let state = store.data();
            Ok((state.give(call(state, &function, &arguments, SourcePlace { line, column })),))
        },
    )
}

/// Name of the script in `Script.function`.
fn script_of(function: &str) -> &str {
    function.split_once('.').map_or(function, |(script, _)| script)
}

fn call(
    state: &RunState,
    function: &str,
    arguments: &[Value],
    place: SourcePlace,
) -> Result<Vec<Value>, RunError> {
    if function.len() > NAME_BYTES_MAX || !state.may(Capability::CallScript, script_of(function)) {
        let message = format!("this definition may not call '{}'", cut(function, NAME_BYTES_MAX));
        return Err(RunError::new("CALL_NOT_ALLOWED", message));
    }
    if !stack::has_room() {
        let message = format!("calls are nested too deep: '{function}' was not called");
        return Err(RunError::new("CALL_DEPTH", message));
    }
    state.act();
    let Called { result, .. } = state.services.call_python(&state.run, function, arguments);
    let value = result.unwrap_or_else(|error: PythonError| {
        let message = format!("'{function}': {error}");
        state.output.borrow_mut().report(state.writer(), Severity::Error, error.code(), &message, place);
        "null".to_owned()
    });
    Ok(vec![match value.as_bytes() {
        b"null" => Value::Null,
        // Perhaps a text that only begins like that: the runtime looks at all of it.
        [b'{' | b'[', ..] => Value::Json(value),
        _ => Value::Text(value),
    }])
}
