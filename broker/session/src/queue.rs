//! Messages that wait: for the Client to come back, or for room in its window.
//!
//! Filled by [`Session::offer`](crate::Session::offer), emptied into the window in the same order.
//!
//! Invariants: never more messages or bytes than the options of the session say; nothing is thrown out for something
//! newer; order is that of arrival \[MQTT-4.6.0-5\].

use lotmq_codec::QoS;
use std::collections::VecDeque;

/// A message found the session's queue full. It was counted and not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("queue of the session is full with {messages} messages of {bytes} bytes")]
pub struct QueueFull {
    /// Messages that wait.
    pub messages: u32,
    /// Their bytes, without the refused message.
    pub bytes: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Queued<M> {
    pub(crate) message: M,
    pub(crate) bytes: u32,
    pub(crate) qos: QoS,
}

#[derive(Debug, Clone)]
pub(crate) struct Queue<M> {
    waiting: VecDeque<Queued<M>>,
    bytes: u64,
}

impl<M> Queue<M> {
    pub(crate) const fn new() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queued<M>> {
        self.waiting.iter()
    }

    /// Whether one more message of `bytes` keeps to both bounds.
    pub(crate) fn has_room(&self, bytes: u32, messages_max: u32, bytes_max: u64) -> bool {
        self.waiting.len() < messages_max as usize && self.bytes.saturating_add(bytes.into()) <= bytes_max
    }

    pub(crate) fn push(&mut self, queued: Queued<M>) {
        debug_assert!(queued.qos != QoS::AtMostOnce, "QoS 0 does not wait");
        self.bytes += u64::from(queued.bytes);
        self.waiting.push_back(queued);
    }

    pub(crate) fn pop(&mut self) -> Option<Queued<M>> {
        let queued = self.waiting.pop_front()?;
        self.bytes -= u64::from(queued.bytes);
        if self.waiting.is_empty() {
            // A queue of a million messages is not kept for a session that has caught up.
            self.waiting.shrink_to(16);
        }
        Some(queued)
    }

    /// Throws out every message that `is_unwanted` names; returns how many.
    pub(crate) fn discard(&mut self, mut is_unwanted: impl FnMut(&M) -> bool) -> usize {
        let before = self.waiting.len();
        let mut discarded = 0;
        self.waiting.retain(|queued| {
            let keep = !is_unwanted(&queued.message);
            discarded += if keep { 0 } else { u64::from(queued.bytes) };
            keep
        });
        self.bytes -= discarded;
        before - self.waiting.len()
    }

    pub(crate) fn check_invariants(&self) -> Result<(), &'static str> {
        let bytes: u64 = self.waiting.iter().map(|queued| u64::from(queued.bytes)).sum();
        if bytes == self.bytes { Ok(()) } else { Err("bytes of the queue are the sum over its messages") }
    }
}
