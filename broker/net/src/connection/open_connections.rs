//! Open connections of the calling thread, a shard's.

use std::cell::RefCell;

use super::SocketSide;
use lotmq_core::owner::open::OpenConnections;

thread_local! {
    static OPEN: RefCell<OpenConnections<SocketSide>> = const { RefCell::new(OpenConnections::new()) };
}

/// Lets `work` use the open connections. It must not call this again.
pub(crate) fn with<R>(work: impl FnOnce(&mut OpenConnections<SocketSide>) -> R) -> R {
    OPEN.with_borrow_mut(work)
}
