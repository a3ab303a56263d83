//! Place kept in the mailbox of a route for one message: from when its publisher was told to go on
//! until it is posted, behind the messages of the turn.
//!
//! Else a turn with many messages would look at a mailbox that none of them is in yet, and those
//! that find no room there would be shed after they were acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::mailbox::Mailbox;
use super::runner::RouteRunner;

/// Place that is kept for one message; it is given back when this is dropped.
pub(crate) struct KeptPlace {
    route: Arc<RouteRunner>,
    /// Bytes that the mailbox keeps.
    bytes: usize,
    is_used: AtomicBool,
}

impl KeptPlace {
    /// That of a message for which the mailbox of the route keeps so many bytes.
    pub(super) fn new(route: &Arc<RouteRunner>, bytes: usize) -> Self {
        Self { route: Arc::clone(route), bytes, is_used: AtomicBool::new(false) }
    }

    /// Gives the place back to the mailbox of the route, for the message that takes it.
    pub(super) fn is_used_in(&self, mailbox: &mut Mailbox) {
        if !self.is_used.swap(true, Ordering::Relaxed) {
            mailbox.is_not_admitted(self.bytes);
        }
    }
}

impl Drop for KeptPlace {
    fn drop(&mut self) {
        if !self.is_used.load(Ordering::Relaxed) {
            self.route.shared.lock().mailbox.is_not_admitted(self.bytes);
        }
    }
}
