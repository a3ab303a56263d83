//! Hold on the messages of a route: while a caller removes the oldest ones, no instance takes any.
//!
//! An instance keeps the messages that it has, because the far side may have them by now. They wait
//! again if the current call ends without them.

use std::sync::Arc;

use super::mailbox::RouteMessage;
use super::runner::RouteRunner;

/// Hold on a route; it ends when this is dropped.
pub(crate) struct DeliveryPause(Arc<RouteRunner>);

/// Messages that a caller can remove now.
pub(crate) enum RemovableMessages {
    /// The oldest messages, at least one.
    Posts(Vec<RouteMessage>),
    /// An instance has older ones, or they are being read.
    Later,
    /// Nothing waits.
    Nothing,
}

impl DeliveryPause {
    pub(crate) fn on(route: &Arc<RouteRunner>) -> DeliveryPause {
        route.shared.lock().holds += 1;
        DeliveryPause(Arc::clone(route))
    }

    /// Takes the oldest messages out, `most` at most.
    pub(crate) fn take(&self, most: usize) -> RemovableMessages {
        let mut shared = self.0.shared.lock();
        let unread = shared.outbox.first_unread();
        let posts = shared.mailbox.take_oldest(most, unread.unwrap_or(u64::MAX));
        match posts.is_empty() {
            false => RemovableMessages::Posts(posts),
            true if shared.is_closed || (unread.is_none() && !shared.mailbox.has_taken()) => {
                RemovableMessages::Nothing
            }
            true => RemovableMessages::Later,
        }
    }
}

impl Drop for DeliveryPause {
    fn drop(&mut self) {
        let mut shared = self.0.shared.lock();
        shared.holds -= 1;
        shared.call_all();
    }
}
