//! A part of the queue of a session, as a log reads it back.

use crate::{Corruption, MessageId, RecoveredDelivery, StoreError};

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
