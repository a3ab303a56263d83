//! Paging of long queues: a part is in memory, the rest comes back from the store.
//!
//! A message for a session whose queue is long, or whose Client is away, is in memory until it is
//! stored (`when_stored`). When the Client takes what is at the head, the next slice is asked for
//! (`ask`); the store reads it on a thread of its own, which puts it into the session and calls the
//! owner of the connection. Neither waits for the disk.
//!
//! Not here: the order of a queue (`lotmq_session`), what becomes of the queue of a session that
//! ends (`redistribute`).

use std::sync::Arc;

use lotmq_changes::{MessageId, QueueSlice, RecoveredDelivery, SliceBounds, StoreError};
use lotmq_session::{QueuedMessage, WantedSlice};
use tracing::{error, warn};

use crate::durable::store_failure::StoreFailure;
use crate::limits::SLICE_BYTES_PER_MESSAGE;
use crate::reason::close::CloseReason;
use crate::shared::Core;
use crate::tenant::client::{Client, ClientState, Queued};
use crate::turn::Messages;
use crate::turn::delivery::DeliveryContext;
use crate::turn::piece::Tracked;
use crate::turn::release::Release;
use crate::turn::stored;

/// Number of a message in the stored queue of a receiver's session, if it is there.
///
/// Whether the message is there was decided when it was routed. Since then another thread may have
/// resumed the session for a connection with which it ends: where its rows were deleted nothing of
/// it is stored, and where they stay, because its queue rests in the store, the message is among
/// them.
pub(crate) fn stored_for(
    client: &Client,
    state: &ClientState,
    tracked: &Tracked,
    messages: &Messages,
) -> Option<MessageId> {
    messages.stored_id(tracked.message).filter(|_| tracked.is_stored && state.has_rows(client))
}

/// Arranges for the session to be told when these messages are stored.
pub(crate) fn when_stored(client: &Arc<Client>, numbers: Vec<u64>, turn: &mut DeliveryContext<'_>) {
    if !numbers.is_empty() {
        turn.on_commit.push(Release::Queued { client: Arc::clone(client), numbers });
    }
}

/// Asks for the next slice of the queue, if one is needed.
pub(super) fn ask(client: &Arc<Client>, state: &mut ClientState, core: &Core) {
    let Some(wanted) = state.session.next_slice() else { return };
    let WantedSlice { after, messages_max, bytes_max: first_bytes_max } = wanted;
    // Not kept alive by the request: the store must not be what drops a Client last.
    let asking = Arc::downgrade(client);
    let reply = move |slice| {
        if let Some(client) = asking.upgrade() {
            take(&client, slice);
        }
    };
    let (session, after) = (client.stored_id(), MessageId(after));
    let first_bytes_max = first_bytes_max.unwrap_or(u64::MAX);
    let bytes_max = first_bytes_max.min(SLICE_BYTES_PER_MESSAGE * messages_max as u64);
    let bounds = SliceBounds { messages_max, bytes_max, first_bytes_max };
    let asked = core.log.read_queue(session, after, bounds, Box::new(reply));
    if asked.is_err() {
        // The broker stops.
        state.session.handle_slice_failed();
    }
}

/// Puts a slice of the queue into the session. Runs on the store's thread.
fn take(client: &Client, slice: Result<QueueSlice, StoreError>) {
    // Copied before the lock.
    let slice = slice.map(|slice| {
        if let Some(first) = &slice.first_damage {
            error!(
                client_id = &*client.client_id,
                count = slice.damaged,
                %first,
                "queued messages are damaged and left out"
            );
        }
        let is_too_long = slice.last.is_none() && !slice.is_last;
        (slice.deliveries.iter().map(queued).collect::<Vec<_>>(), slice.last, is_too_long)
    });
    let mut state = client.state.lock();
    if state.is_over {
        return;
    }
    match slice {
        Ok((_, None, true)) => {
            state.session.handle_slice_too_long();
            if let Some(link) = &state.link {
                // It may be asked for again meanwhile.
                link.call_owner();
            }
        }
        Ok((messages, last, _)) => {
            state.session.handle_slice(messages, last.map(|last| last.0));
            if let Some(link) = &state.link {
                link.call_owner();
            }
        }
        Err(error) => {
            state.session.handle_slice_failed();
            if !matches!(error, StoreError::Closed) {
                warn!(client_id = &*client.client_id, %error, "queue cannot be read");
            }
            let failure = if let StoreError::CommitFailed(error) = &error {
                error.kind.into()
            } else {
                StoreFailure::Failing
            };
            if let Some(link) = &state.link {
                link.connection.request_close(CloseReason::StoreFailed(failure));
            }
        }
    }
}

fn queued(delivery: &RecoveredDelivery) -> QueuedMessage<Queued> {
    let message = Arc::new(stored::message(delivery));
    let bytes = u32::try_from(message.size()).unwrap_or(u32::MAX);
    QueuedMessage {
        qos: stored::qos(delivery.qos),
        bytes,
        number: message.id,
        message: stored::queued(delivery, &message),
    }
}
