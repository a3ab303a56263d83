//! Signals: what `wait` of `net` waits for besides sockets, which other interfaces give.

use super::{
    bindings::lotmq::guest::net::{HostSignal, IoError},
    state::FiberState,
};
use crate::limits::SIGNALS_MAX;
use std::{
    sync::{Arc, Weak},
    task::{Context, Poll},
};
use wasmtime::component::Resource;

/// Something that can be waited for by one task.
pub(super) trait Signalling: Send + Sync {
    /// Ready, or the task of `context` is woken when it is.
    fn poll_signal(&self, context: &mut Context<'_>) -> Poll<()>;
}

/// A signal: the resource `signal`. It keeps nothing open.
#[allow(unreachable_pub, reason = "the generated bindings name it in public types")]
pub struct GuestSignal(Weak<dyn Signalling>);

impl HostSignal for FiberState {
    fn drop(&mut self, signal: Resource<GuestSignal>) -> wasmtime::Result<()> {
        self.table.delete(signal)?;
        self.signals -= 1;
        Ok(())
    }
}

/// Gives the guest a signal.
pub(super) fn give(
    state: &mut FiberState,
    of: &Arc<impl Signalling + 'static>,
) -> Result<Resource<GuestSignal>, IoError> {
    if state.signals >= SIGNALS_MAX {
        return Err(IoError::LimitReached);
    }
    let weak: Weak<dyn Signalling> = Arc::downgrade(&(Arc::clone(of) as Arc<dyn Signalling>));
    let pushed = state.table.push(GuestSignal(weak));
    let signal = pushed.map_err(|error| IoError::Other(error.to_string()))?;
    state.signals += 1;
    Ok(signal)
}

/// Whether what gave a signal is ready; if not, the task of `context` is woken when it is.
pub(super) fn poll(
    state: &FiberState,
    signal: &Resource<GuestSignal>,
    context: &mut Context<'_>,
) -> Result<Poll<()>, IoError> {
    let found = state.table.get(signal).map_err(|error| IoError::Other(error.to_string()))?;
    Ok(found.0.upgrade().map_or(Poll::Pending, |signalling| signalling.poll_signal(context)))
}
