//! Requests of readers to the writer: for a snapshot or a part of a queue, and reports of damage.

use std::fmt;

use lotmq_changes::{CommitError, MessageId, OnSlice, SessionId, SliceBounds};
use redb::ReadTransaction;

/// Request for a slice of a queue.
pub(crate) struct Request {
    pub(crate) session: SessionId,
    pub(crate) after: MessageId,
    pub(crate) bounds: SliceBounds,
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
pub(crate) struct Reader(pub(crate) Box<dyn FnOnce(Result<StoreMoment, CommitError>) + Send>);

/// The store at one moment.
pub(crate) struct StoreMoment {
    pub(crate) transaction: ReadTransaction,
    /// First number that no message has, deleted retained ones included.
    pub(crate) next_message: MessageId,
}

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
