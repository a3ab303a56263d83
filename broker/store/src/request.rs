//! Requests of readers to the writer: for a snapshot or a part of a queue, and reports of damage.

use std::fmt;

use redb::ReadTransaction;

use crate::error::{CommitError, Corruption, StoreError};
use crate::log::contents::RecoveredDelivery;
use crate::{MessageId, SessionId};

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
    /// The fault of the first of them.
    pub first_damage: Option<Corruption>,
}

/// Callback for the result of a request. It runs on the reader's thread, or on the writer's if the
/// request fails. It must not block.
pub type OnSlice = Box<dyn FnOnce(Result<QueueSlice, StoreError>) + Send>;

/// Request for messages of a session's queue.
pub(crate) struct Request {
    pub(crate) session: SessionId,
    pub(crate) after: MessageId,
    pub(crate) messages_max: usize,
    pub(crate) bytes_max: u64,
    pub(crate) first_bytes_max: u64,
    pub(crate) reply: OnSlice,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("session", &self.session)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

/// Takes a read transaction of the moment, on the writer's thread; it must not block. Dropped when
/// the store is closed first.
pub(crate) struct Reader(pub(crate) Box<dyn FnOnce(Result<ReadTransaction, CommitError>) + Send>);

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

/// The tree of the file was found to be damaged by somebody who read in it.
#[derive(Debug)]
pub(crate) struct Damage {
    /// Closings of the file (`Shared::closings`) when the reading began.
    pub(crate) closings: u64,
    pub(crate) error: CommitError,
}
