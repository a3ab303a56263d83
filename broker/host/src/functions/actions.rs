//! `actions`: calling other definitions. Capability: [`Grants::calls`](crate::Grants). Bounds:
//! depth, stack, and the caller's time.

use crate::{
    Argument, NestedCall, RunContext, RunError, Value,
    grants::Capability,
    limits::{CALL_DEPTH_MAX, NAME_BYTES_MAX},
    stack,
    state::RunState,
    texts::cut,
};
use wasmtime::component::{Linker, WasmStr};

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("actions"))?;
    interface.func_wrap("call", |store, (name, inputs): (WasmStr, Vec<Argument>)| {
        let name = name.to_str(&store)?;
        let state = store.data();
        Ok((state.give(call(state, &name, &inputs)),))
    })
}

fn call(state: &RunState, name: &str, inputs: &[Argument]) -> Result<Vec<Value>, RunError> {
    if name.len() > NAME_BYTES_MAX || !state.may(Capability::CallAction, name) {
        let message = format!("this definition may not call '{}'", cut(name, NAME_BYTES_MAX));
        return Err(RunError::new("CALL_NOT_ALLOWED", message));
    }
    let mut called = nested(state, name, |call| state.services.call_action(call, name, inputs));
    if let Err(error) = &mut called {
        // An Action that calls itself reports the failure once.
        let own = format!("called action `{name}` failed: ");
        if let Some(cause) = error.message.strip_prefix(&own) {
            error.message = cause.into();
        }
    }
    called
}

/// Calls another definition, if there is room for it.
pub(super) fn nested(
    state: &RunState,
    name: &str,
    run: impl FnOnce(NestedCall<'_>) -> Result<Vec<Value>, RunError>,
) -> Result<Vec<Value>, RunError> {
    let depth = state.run.depth + 1;
    if depth > CALL_DEPTH_MAX || !stack::has_room() {
        let message = format!("calls are nested deeper than {CALL_DEPTH_MAX}: '{name}' was not called");
        return Err(RunError::new("CALL_DEPTH", message));
    }
    state.act();
    run(NestedCall {
        run: RunContext { depth, ..state.run },
        trigger: state.trigger(),
        output: &mut state.output.borrow_mut(),
        deadline: state.deadline.get().nested(),
    })
}
