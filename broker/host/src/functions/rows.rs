//! `rows`: asking routes that store. Capability: [`Grants::rows`](crate::Grants). Bound: the caller
//! waits at most [`ROWS_WAIT`](crate::limits::ROWS_WAIT), and its own time stands still.

use crate::{
    RowQuery, RunError, Severity, SourcePlace, Value, grants::Capability, limits::NAME_BYTES_MAX,
    state::RunState, texts::cut,
};
use wasmtime::component::{Linker, WasmStr};

type Asked = (WasmStr, WasmStr, Vec<Value>, u32, u32);

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(interface!("rows"))?;
    interface.func_wrap("select", |store, (route, query, parameters, line, column): Asked| {
        let (route, query) = (route.to_str(&store)?, query.to_str(&store)?);
        let query = RowQuery { route: &route, query: &query, parameters: &parameters };
        let state = store.data();
        Ok((state.give(select(state, &query, SourcePlace { line, column })),))
    })
}

fn select(state: &RunState, query: &RowQuery<'_>, place: SourcePlace) -> Result<Vec<Value>, RunError> {
    let RowQuery { route, .. } = *query;
    if route.len() > NAME_BYTES_MAX || !state.may(Capability::AskRoute, route) {
        let message = format!("this definition may not ask route '{}'", cut(route, NAME_BYTES_MAX));
        return Err(RunError::new("CALL_NOT_ALLOWED", message));
    }
    state.act();
    let selected = state.services.select_rows(&state.run, query);
    let value = selected.unwrap_or_else(|error| {
        let (code, message) = (error.code(), error.to_string());
        state.output.borrow_mut().report(state.writer(), Severity::Error, code, &message, place);
        Value::Null
    });
    Ok(vec![value])
}
