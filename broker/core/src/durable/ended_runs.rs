//! Ended runs of promised messages, which stay in the store until all the runs that they started
//! have ended (`lot.durable_triggers`).

use std::sync::atomic::{AtomicBool, Ordering};

use lotmq_changes::{Batch, MessageId, Op, SessionId};
use parking_lot::Mutex;

/// Promised messages whose runs have ended.
#[derive(Default)]
pub struct EndedRuns {
    /// Messages whose runs have ended, still in their queue.
    ended: Mutex<Vec<(SessionId, MessageId)>>,
    has_ended: AtomicBool,
    is_stopping: AtomicBool,
}

impl EndedRuns {
    /// Stops counting runs as ended: runs that the end of the broker drops have not ended.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
    }

    /// Notes that the last run of a message has ended.
    pub fn ended(&self, session: SessionId, message: MessageId) {
        if !self.is_stopping.load(Ordering::Acquire) {
            self.ended.lock().push((session, message));
            self.has_ended.store(true, Ordering::Release);
        }
    }

    /// Whether [`EndedRuns::take_ended`] has anything to do.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Removes messages whose runs have ended from their queue.
    pub(crate) fn take_ended(&self, batch: &mut Batch) {
        if self.has_ended() && self.has_ended.swap(false, Ordering::AcqRel) {
            for (session, message) in std::mem::take(&mut *self.ended.lock()) {
                batch.push(Op::Dequeue { session, message });
            }
        }
    }
}
