//! A part of the queue of a session, as a log reads it back.

use crate::{Corruption, MessageId, RecoveredDelivery, StoreError};

/// Bounds of a slice of a session's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceBounds {
    /// Most messages.
    pub messages_max: usize,
    /// Most bytes of the messages, from the second one on.
    pub bytes_max: u64,
    /// Most bytes of the first message. If it has more, the slice is empty and not the last.
    pub first_bytes_max: u64,
}

impl SliceBounds {
    /// Bounds for messages and bytes. The first message may have any number of bytes.
    #[must_use]
    pub fn new(messages_max: usize, bytes_max: u64) -> Self {
        Self { messages_max, bytes_max, first_bytes_max: u64::MAX }
    }
}

/// Messages of a session's queue, in order.
#[derive(Debug, Default)]
pub struct QueueSlice {
    /// Those that could be read.
    pub deliveries: Vec<RecoveredDelivery>,
    /// The last one, readable or not: the next slice begins behind it. `None` when there was none,
    /// or the first was too large.
    pub last: Option<MessageId>,
    /// Nothing waits behind them.
    pub is_last: bool,
    /// Messages that are damaged on the disk: they are left out and stay there.
    pub damaged: u32,
    /// Damage of the first of them.
    pub first_damage: Option<Corruption>,
}

/// Receiver of the outcome of a request: called on the reader's thread, or on the writer's when the
/// request fails. It must not block.
pub type OnSlice = Box<dyn FnOnce(Result<QueueSlice, StoreError>) + Send>;
