//! Signals of a guest. Bound: signals per instance.

use crate::{
    fiber::{
        bindings::lotmq::guest::net::{self, HostSignal, IoError},
        handles::TableHandle,
        signal::{GuestSignal, Signalling},
        state::FiberState,
    },
    limits::SIGNALS_MAX,
};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use wasmtime::component::Resource;

impl TableHandle for net::Signal {
    type Value = GuestSignal;
}

impl HostSignal for FiberState {
    fn drop(&mut self, signal: Resource<net::Signal>) -> wasmtime::Result<()> {
        self.table.delete(signal)?;
        self.signals -= 1;
        Ok(())
    }
}

/// Gives the guest a signal.
pub(super) fn give(
    state: &mut FiberState,
    of: &Arc<impl Signalling + 'static>,
) -> Result<Resource<net::Signal>, IoError> {
    if state.signals >= SIGNALS_MAX {
        return Err(IoError::LimitReached);
    }
    let pushed = state.table.push(GuestSignal::new(of));
    let signal = pushed.map_err(|error| IoError::Other(error.to_string()))?;
    state.signals += 1;
    Ok(signal)
}

/// Whether what gave a signal is ready; if not, the task of `context` is woken when it is.
pub(super) fn poll(
    state: &FiberState,
    signal: &Resource<net::Signal>,
    context: &mut Context<'_>,
) -> Result<Poll<()>, IoError> {
    let found = state.table.get(signal).map_err(|error| IoError::Other(error.to_string()))?;
    Ok(found.poll(context))
}
