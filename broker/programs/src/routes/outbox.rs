//! Outbox of a route: what is known in memory of the messages that wait for it in the store.
//!
//! They are the queue of a session of the route's own. A message enters it in the batch of its
//! publisher; it is read back slice by slice when its batch is on the disk, and leaves when the far
//! side has it. In memory are the slices that were read and are not done, and as long as the route
//! is not far behind what is on its way to the disk ([`MemoryBuffer`]), which it then takes from
//! there; nothing else, however many wait.
//!
//! Several threads have batches with messages for the route under way, and one with lower numbers
//! may come to the disk behind one with higher ones. So each batch is known by a number below all
//! of its own (its *floor*) until it is there, and reading does not go beyond the lowest floor.
//!
//! Invariants: what was stored is read once in a run of the broker, in the order of the numbers,
//! and nothing is left out; what is counted as waiting is never less than what waits. Not here: who
//! reads and writes (`route_drivers::tending`), what becomes of the messages (`mailbox`).

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::task::Waker;
use std::time::Instant;

use lotmq_changes::{MessageId, SessionId, Waiting};
use lotmq_session::Time;

use super::mailbox::RouteMessage;
use super::memory_buffer::{BufferedMessage, FreshBytes, MemoryBuffer};
use crate::limits::ROUTE_FRESH_MESSAGES;

/// Outboxes by the names of their routes.
pub(crate) type LeftOutboxes = Mutex<HashMap<Box<str>, (SessionId, Waiting)>>;

/// State of an outbox.
#[derive(Debug, Default)]
pub(crate) struct RouteOutbox {
    /// Session in whose queue messages wait; `None` where none does.
    session: Option<SessionId>,
    /// Messages that wait in the store and were not read.
    unread: Amount,
    /// Unread messages that are in memory, too.
    fresh: MemoryBuffer,
    /// Messages that were read and are not done.
    in_hand: Amount,
    /// Number up to which everything was read.
    read_until: MessageId,
    /// Highest number that is known to be on the disk.
    newest: MessageId,
    /// Highest number of those that have entered.
    entered: MessageId,
    /// Batches that may not be on the disk, by their floors.
    entering: BTreeMap<MessageId, BatchState>,
    is_reading: bool,
    /// When what could not be read is tried again.
    pub(crate) read_again_at: Option<Instant>,
    /// Since when it has been full.
    pub(crate) full_since: Option<Time>,
    /// Whether it has become full and nobody was told.
    pub(crate) is_full_anew: bool,
    /// Publishers that wait for room.
    waiting: Vec<Waker>,
    /// Numbers of messages that are done and still in the queue.
    pub(crate) done: Vec<MessageId>,
    /// Those that leave in the batch of their dead letter, and not otherwise: should that batch be
    /// lost, they come again with the next start.
    buried: HashSet<MessageId>,
}

/// Number of messages, and bytes of topic, payload and what is kept beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub messages: u64,
    pub bytes: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, other: Amount) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(crate) fn remove(&mut self, other: Amount) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Standing of a batch with messages for the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BatchState {
    OnItsWay,
    /// The store has failed with it: it may be stored yet. With its highest number.
    Doubtful(MessageId),
}

/// Part of the queue that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutboxStretch {
    pub(crate) session: SessionId,
    /// Number behind which it begins.
    pub(crate) after: MessageId,
    /// Number at which it ends: everything below is on the disk that is to come there.
    pub(crate) before: MessageId,
}

impl RouteOutbox {
    /// Takes the queue of a session, with what waits there; all its numbers are below `next`.
    pub(crate) fn open(&mut self, session: SessionId, waiting: Waiting, next: MessageId) {
        self.session = Some(session);
        self.unread = Amount { messages: waiting.messages.into(), bytes: waiting.bytes };
        self.newest = MessageId(next.0.saturating_sub(1));
        if waiting.messages == 0 {
            self.read_until = self.newest;
        }
    }

    /// Session of the outbox.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// Number and bytes of waiting messages, including those on their way to the far side.
    pub(crate) fn waiting(&self) -> Amount {
        let mut all = self.unread;
        all.add(self.in_hand);
        all
    }

    /// Number and bytes of waiting messages that were not read.
    pub(crate) fn unread(&self) -> Amount {
        self.unread
    }

    /// Number at or below that of the first message that was not read; `None` when there is none.
    pub(crate) fn first_unread(&self) -> Option<u64> {
        (self.unread.messages > 0).then(|| self.read_until.0.saturating_add(1))
    }

    /// Notes that a batch has messages for it, all with numbers above `floor`.
    pub(crate) fn batch_begins(&mut self, floor: MessageId) {
        self.entering.insert(floor, BatchState::OnItsWay);
    }

    /// Counts a message that enters. `post` makes of it what is kept in memory, where the route is
    /// behind by [`ROUTE_FRESH_MESSAGES`] at most and `has_room` for it.
    pub(crate) fn enters(
        &mut self,
        (id, bytes): (MessageId, u64),
        has_room: bool,
        post: impl FnOnce(&mut FreshBytes) -> BufferedMessage,
    ) {
        if has_room && self.session.is_some() && self.unread.messages <= ROUTE_FRESH_MESSAGES as u64 {
            self.fresh.begin(self.unread, self.entered.max(MessageId(id.0.saturating_sub(1))));
        }
        self.unread.add(Amount { messages: 1, bytes });
        self.entered = self.entered.max(id);
        self.fresh.enters((id, bytes), has_room, post);
    }

    /// Number and bytes of unread messages that are in memory.
    pub(crate) fn fresh(&self) -> Amount {
        self.fresh.amount()
    }

    /// Reads what is in memory and on the disk.
    pub(crate) fn take_fresh(&mut self) -> Vec<RouteMessage> {
        let (posts, read) = self.fresh.take_below(self.stored_below().0);
        self.unread.remove(read);
        self.in_hand.add(read);
        if let Some(last) = posts.last() {
            self.read_until = self.read_until.max(MessageId(last.sequence));
        }
        posts
    }

    /// Notes what became of a batch; `last` is its highest number.
    pub(crate) fn batch_ended(&mut self, floor: MessageId, last: MessageId, is_stored: bool) {
        if is_stored {
            self.entering.remove(&floor);
            self.newest = self.newest.max(last);
        } else {
            self.entering.insert(floor, BatchState::Doubtful(last));
            // Only the store knows what it has of that.
            self.fresh = MemoryBuffer::default();
        }
    }

    /// Whether batches are in doubt.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.entering.values().any(|state| *state != BatchState::OnItsWay)
    }

    /// Settles batches in doubt: the store works again, so each is on the disk, or lost for good.
    pub(crate) fn settle_doubts(&mut self) {
        let newest = &mut self.newest;
        self.entering.retain(|_, state| match state {
            BatchState::OnItsWay => true,
            BatchState::Doubtful(last) => {
                *newest = (*newest).max(*last);
                false
            }
        });
    }

    /// Begins to read from the store, if there is anything to be read that is not in memory.
    pub(crate) fn begin_reading(&mut self) -> Option<OutboxStretch> {
        let session = self.session?;
        let before =
            self.fresh.reading_ends().map_or(self.stored_below(), |end| end.min(self.stored_below()));
        let has_any = self.newest > self.read_until && self.read_until.0.saturating_add(1) < before.0;
        if self.is_reading || self.unread.messages == 0 || self.fresh.are_next() || !has_any {
            return None;
        }
        self.is_reading = true;
        Some(OutboxStretch { session, after: self.read_until, before })
    }

    /// Number below which everything is on the disk that is to come there: batches that begin later
    /// have higher floors.
    fn stored_below(&self) -> MessageId {
        let next = MessageId(self.newest.0.saturating_add(1));
        self.entering.first_key_value().map_or(next, |(floor, _)| *floor)
    }

    /// Notes that a stretch was read: so much of it, up to the message `last`, and whether nothing
    /// is behind that in the store.
    pub(crate) fn has_read(
        &mut self,
        stretch: OutboxStretch,
        read: Amount,
        (last, is_end): (Option<MessageId>, bool),
    ) {
        self.is_reading = false;
        self.unread.remove(read);
        self.in_hand.add(read);
        let gap_ends = self.fresh.reading_ends();
        self.fresh.has_read(read);
        let whole = MessageId(stretch.before.0.saturating_sub(1));
        let end = if is_end { whole } else { last.unwrap_or(stretch.after).min(whole) };
        self.read_until = self.read_until.max(end);
        if gap_ends == Some(stretch.before) && end == whole {
            self.unread.remove(self.fresh.gap_is_read());
        }
        if is_end && self.entering.is_empty() && self.read_until >= self.newest {
            // The rest was counted but never reached the disk.
            self.unread = Amount::default();
            self.fresh = MemoryBuffer::default();
        }
    }

    /// Notes that reading has failed; it is tried again at that time.
    pub(crate) fn has_not_read(&mut self, again_at: Instant) {
        self.is_reading = false;
        self.read_again_at = Some(again_at);
    }

    /// Notes that a message with so many bytes is done.
    pub(crate) fn is_done(&mut self, message: MessageId, bytes: u64) {
        self.in_hand.remove(Amount { messages: 1, bytes });
        if !self.buried.remove(&message) {
            self.done.push(message);
        }
    }

    /// Notes that a message which is going to be done has become a dead letter.
    pub(crate) fn is_buried(&mut self, message: MessageId) {
        self.buried.insert(message);
    }

    /// Registers somebody who waits for room.
    pub(crate) fn wake_when_roomy(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// Takes those who wait for room.
    pub(crate) fn take_waiting(&mut self) -> Vec<Waker> {
        self.full_since = None;
        std::mem::take(&mut self.waiting)
    }

    /// Forgets what waits, because the route has ended.
    pub(crate) fn close(&mut self) -> u64 {
        let left = self.waiting().messages;
        *self = Self { waiting: std::mem::take(&mut self.waiting), ..Self::default() };
        left
    }
}

#[cfg(test)]
mod tests;
