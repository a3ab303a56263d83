//! Signals: what `wait` of `net` waits for besides sockets, which other interfaces give.

use std::{
    sync::{Arc, Weak},
    task::{Context, Poll},
};

/// Something that can be waited for by one task.
pub(super) trait Signalling: Send + Sync {
    /// Ready, or the task of `context` is woken when it is.
    fn poll_signal(&self, context: &mut Context<'_>) -> Poll<()>;
}

/// A signal: the resource `signal`. It keeps nothing open.
pub(super) struct GuestSignal(Weak<dyn Signalling>);

impl GuestSignal {
    pub(super) fn new(of: &Arc<impl Signalling + 'static>) -> Self {
        let weak: Weak<dyn Signalling> = Arc::downgrade(&(Arc::clone(of) as Arc<dyn Signalling>));
        Self(weak)
    }

    /// Ready, or the task of `context` is woken when it is. Never ready when its source is gone.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.upgrade().map_or(Poll::Pending, |signalling| signalling.poll_signal(context))
    }
}
