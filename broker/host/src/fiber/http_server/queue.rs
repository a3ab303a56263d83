//! Requests that wait for the guest to take them.
//!
//! Invariant: never more than a server may have open: one that is answered otherwise, or whose
//! client has gone, is let go before the next one comes.

use super::{super::signal::Signalling, answer::ServedAnswer, callers::BodyRoom};
use crate::fiber::bindings::lotmq::guest::http_server::Request;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};
use tokio::{sync::oneshot, time::Instant};

/// A request that came whole.
pub(in crate::fiber) struct WaitingRequest {
    pub(in crate::fiber) request: Request,
    pub(in crate::fiber) deadline: Instant,
    pub(in crate::fiber) answer: oneshot::Sender<ServedAnswer>,
}

/// Requests in the order in which they came.
#[derive(Default)]
pub(in crate::fiber) struct RequestQueue(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    waiting: VecDeque<(WaitingRequest, Option<BodyRoom>)>,
    waker: Option<Waker>,
}

impl RequestQueue {
    /// Adds a request, whose body takes the room of this until it is taken.
    pub(super) fn put(&self, waiting: WaitingRequest, room: Option<BodyRoom>) {
        let mut inside = self.0.lock();
        inside.waiting.retain(|(waiting, _)| !waiting.answer.is_closed());
        inside.waiting.push_back((waiting, room));
        if let Some(waker) = inside.waker.take() {
            waker.wake();
        }
    }

    /// The next request whose client still waits.
    pub(in crate::fiber) fn take(&self) -> Option<WaitingRequest> {
        let mut inside = self.0.lock();
        loop {
            let (waiting, _) = inside.waiting.pop_front()?;
            if !waiting.answer.is_closed() {
                return Some(waiting);
            }
        }
    }

    /// Drops all of them.
    pub(super) fn clear(&self) {
        self.0.lock().waiting.clear();
    }
}

impl Signalling for RequestQueue {
    fn poll_signal(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inside = self.0.lock();
        if inside.waiting.iter().any(|(waiting, _)| !waiting.answer.is_closed()) {
            return Poll::Ready(());
        }
        inside.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
