//! Postponed writing, which a turn leaves to later ones because it has written enough.
//!
//! 100 KB for a thousand Clients take 30 ms of the kernel's time. It takes ten times as long if
//! their sockets are full and the rest is copied. So a turn has limited time for writing. It puts
//! further large messages of QoS 1 and 2 into the sessions of their receivers, as if their windows
//! were full. Messages that wait in sessions stay there. The turns that follow send them, one
//! behind the other, each for as many Clients as it has time for.
//!
//! Acknowledgements, storage and the order of messages are decided as if all were written at once:
//! the session has the message. The publisher of a large message for many waits until all receivers
//! have the one before (`protocol::publish`). QoS 0, which no session keeps, is routed in parts
//! (`fan_out`).

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_changes::rare::{Rare, is_taken};

use crate::limits::{RESUMED_COST_MIN, WRITTEN_BYTES_MAX};
use crate::tenant::client::{Client, ClientState};
use crate::turn::Turn;

/// Clients of one thread whose messages wait for time alone.
#[derive(Default)]
pub struct Postponed {
    /// Clients, each with about the bytes that are written when it goes on.
    clients: VecDeque<(Arc<Client>, usize)>,
    /// Bytes that the turn has written.
    written: usize,
}

impl Postponed {
    /// Notes bytes that were written.
    pub(crate) fn note_written(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes);
    }

    /// Whether the turn has written as much as it has time for.
    pub(crate) fn is_enough(&self) -> bool {
        self.written >= WRITTEN_BYTES_MAX || is_taken(Rare::WrittenEnough)
    }

    /// Lets a connected Client go on in a later turn, unless it does already.
    pub fn add(&mut self, client: &Arc<Client>, state: &mut ClientState) {
        let queued_bytes = state.session.counts().queued_bytes;
        let Some(link) = state.link.as_mut().filter(|link| !link.is_postponed) else { return };
        link.is_postponed = true;
        let bytes = usize::try_from(queued_bytes).unwrap_or(usize::MAX).min(link.output_bytes_max());
        self.clients.push_back((Arc::clone(client), bytes.max(RESUMED_COST_MIN)));
    }
}

/// Goes on with writing that earlier turns have postponed, while there is room for it. True when
/// there was any: then there is more to do.
pub fn resume(turn: &mut Turn) -> bool {
    turn.delivery.postponed.written = 0;
    let mut has_any = false;
    while let Some((_, bytes)) = turn.delivery.postponed.clients.front()
        && turn.time_shares.may_resume(*bytes)
        && let Some((client, bytes)) = turn.delivery.postponed.clients.pop_front()
    {
        has_any = true;
        turn.time_shares.owe(bytes);
        // It may have to wait once more.
        if let Some(link) = &mut client.state.lock().link {
            link.is_postponed = false;
        }
        client.send_waiting(turn);
    }
    has_any || is_behind(turn)
}

/// Whether receivers of messages that were routed before have not got theirs yet.
pub fn is_behind(turn: &Turn) -> bool {
    !turn.delivery.postponed.clients.is_empty()
}
