//! Notification of an instance that the host has work for it: the interest `host-work`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// Says to a route guest that is within `run` that its driver wants to make another call. Clones
/// are the same.
#[derive(Clone, Debug, Default)]
pub struct HostWork(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_there: AtomicBool,
    /// Of the guest that waits; there is at most one, because an instance makes one call at a time.
    waker: parking_lot::Mutex<Option<Waker>>,
}

impl HostWork {
    /// There is work: `wait` with the interest `host-work` is ready until the driver says
    /// [`done`](Self::done).
    pub fn announce(&self) {
        self.0.is_there.store(true, Ordering::Release);
        if let Some(waker) = self.0.waker.lock().take() {
            waker.wake();
        }
    }

    /// The driver has got all there was.
    pub fn done(&self) {
        self.0.is_there.store(false, Ordering::Release);
    }

    /// Whether there is work; if not, the task of `context` is woken when there is.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        *self.0.waker.lock() = Some(context.waker().clone());
        if self.0.is_there.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}
