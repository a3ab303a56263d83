//! Outbox of a route: what is known in memory of the messages that wait for it in the store.
//!
//! They are the queue of a session of the route's own. A message enters it in the batch of its publisher; it is read back slice by slice when its batch is on the disk, and
//! leaves when the far side has it. In memory are the slices that were read and are not done, and nothing else, however many wait.
//!
//! Several threads have batches with messages for the route under way, and one with lower numbers may come to the disk behind one with higher ones. So each batch is
//! known by a number below all of its own (its *floor*) until it is there, and reading does not go beyond the lowest floor.
//!
//! Invariants: what was stored is read once in a run of the broker, in the order of the numbers, and nothing is left out; what is counted as waiting is never less
//! than what waits. Not here: who reads and writes (`route_drivers::tending`), what becomes of the messages (`mailbox`).

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::task::Waker;
use std::time::Instant;

use lotmq_session::Time;
use lotmq_store::{MessageId, SessionId, Waiting};

/// Outboxes by the names of their routes.
pub(in crate::guests) type LeftOutboxes = Mutex<HashMap<Box<str>, (SessionId, Waiting)>>;

/// State of an outbox.
#[derive(Debug, Default)]
pub(in crate::guests) struct RouteOutbox {
    /// Session in whose queue messages wait; `None` where none does.
    session: Option<SessionId>,
    /// What waits in the store and was not read.
    unread: Amount,
    /// What was read and is not done.
    in_hand: Amount,
    /// Number up to which everything was read.
    read_until: MessageId,
    /// Highest number that is known to be on the disk.
    newest: MessageId,
    /// Batches that may not be on the disk, by their floors.
    entering: BTreeMap<MessageId, Standing>,
    is_reading: bool,
    /// When what could not be read is tried again.
    pub(in crate::guests) read_again_at: Option<Instant>,
    /// Since when it has been full.
    pub(in crate::guests) full_since: Option<Time>,
    /// Who waits for room.
    waiting: Vec<Waker>,
    /// Numbers of messages that are done and still in the queue.
    pub(in crate::guests) done: Vec<MessageId>,
    /// Those that leave in the batch of their dead letter, and not otherwise: should that batch be lost, they come again with the next start.
    buried: HashSet<MessageId>,
}

/// Number of messages, and bytes of topic, payload and what is kept beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    pub(in crate::guests) fn add(&mut self, other: Amount) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(in crate::guests) fn remove(&mut self, other: Amount) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Standing of a batch with messages for the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    OnItsWay,
    /// The store has failed with it: it may be stored yet. With its highest number.
    Doubtful(MessageId),
}

/// Part of the queue that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guests) struct OutboxStretch {
    pub(in crate::guests) session: SessionId,
    /// Number behind which it begins.
    pub(in crate::guests) after: MessageId,
    /// Number at which it ends: everything below is on the disk that is to come there.
    pub(in crate::guests) before: MessageId,
}

impl RouteOutbox {
    /// Takes the queue of a session, with what waits there; all its numbers are below `next`.
    pub(in crate::guests) fn open(&mut self, session: SessionId, waiting: Waiting, next: MessageId) {
        self.session = Some(session);
        self.unread = Amount { messages: waiting.messages.into(), bytes: waiting.bytes };
        self.newest = MessageId(next.0.saturating_sub(1));
        if waiting.messages == 0 {
            self.read_until = self.newest;
        }
    }

    /// Session of the outbox.
    pub(in crate::guests) fn session(&self) -> Option<SessionId> {
        self.session
    }

    /// What waits, with what is on its way to the far side.
    pub(in crate::guests) fn waiting(&self) -> Amount {
        let mut all = self.unread;
        all.add(self.in_hand);
        all
    }

    /// What waits and was not read.
    pub(in crate::guests) fn unread(&self) -> Amount {
        self.unread
    }

    /// Number at or below that of the first message that was not read; `None` when there is none.
    pub(in crate::guests) fn first_unread(&self) -> Option<u64> {
        (self.unread.messages > 0).then(|| self.read_until.0.saturating_add(1))
    }

    /// Notes that a batch has messages for it, all with numbers above `floor`.
    pub(in crate::guests) fn batch_begins(&mut self, floor: MessageId) {
        self.entering.insert(floor, Standing::OnItsWay);
    }

    /// Counts a message that enters.
    pub(in crate::guests) fn enters(&mut self, bytes: u64) {
        self.unread.add(Amount { messages: 1, bytes });
    }

    /// Notes what became of a batch; `last` is its highest number.
    pub(in crate::guests) fn batch_ended(&mut self, floor: MessageId, last: MessageId, is_stored: bool) {
        if is_stored {
            self.entering.remove(&floor);
            self.newest = self.newest.max(last);
        } else {
            self.entering.insert(floor, Standing::Doubtful(last));
        }
    }

    /// Whether batches are in doubt.
    pub(in crate::guests) fn is_in_doubt(&self) -> bool {
        self.entering.values().any(|standing| *standing != Standing::OnItsWay)
    }

    /// Settles batches in doubt: the store works again, so each is on the disk, or lost for good.
    pub(in crate::guests) fn settle_doubts(&mut self) {
        let newest = &mut self.newest;
        self.entering.retain(|_, standing| match standing {
            Standing::OnItsWay => true,
            Standing::Doubtful(last) => {
                *newest = (*newest).max(*last);
                false
            }
        });
    }

    /// Begins to read, if there is anything to be read.
    pub(in crate::guests) fn begin_reading(&mut self) -> Option<OutboxStretch> {
        let session = self.session?;
        let before = self.stored_below();
        let has_any = self.newest > self.read_until && self.read_until.0.saturating_add(1) < before.0;
        if self.is_reading || self.unread.messages == 0 || !has_any {
            return None;
        }
        self.is_reading = true;
        Some(OutboxStretch { session, after: self.read_until, before })
    }

    /// Number below which everything is on the disk that is to come there: batches that begin later have higher floors.
    fn stored_below(&self) -> MessageId {
        let next = MessageId(self.newest.0.saturating_add(1));
        self.entering.first_key_value().map_or(next, |(floor, _)| *floor)
    }

    /// Notes that a stretch was read: so much of it, up to the message `last`, and whether nothing is behind that in the store.
    pub(in crate::guests) fn has_read(
        &mut self,
        stretch: OutboxStretch,
        read: Amount,
        (last, is_end): (Option<MessageId>, bool),
    ) {
        self.is_reading = false;
        self.unread.remove(read);
        self.in_hand.add(read);
        let whole = MessageId(stretch.before.0.saturating_sub(1));
        let end = if is_end { whole } else { last.unwrap_or(stretch.after).min(whole) };
        self.read_until = self.read_until.max(end);
        if is_end && self.entering.is_empty() && self.read_until >= self.newest {
            // What was counted and has never come to the disk.
            self.unread = Amount::default();
        }
    }

    /// Notes that reading has failed; it is tried again at that time.
    pub(in crate::guests) fn has_not_read(&mut self, again_at: Instant) {
        self.is_reading = false;
        self.read_again_at = Some(again_at);
    }

    /// Notes that a message with so many bytes is done.
    pub(in crate::guests) fn is_done(&mut self, message: MessageId, bytes: u64) {
        self.in_hand.remove(Amount { messages: 1, bytes });
        if !self.buried.remove(&message) {
            self.done.push(message);
        }
    }

    /// Notes that a message which is going to be done has become a dead letter.
    pub(in crate::guests) fn is_buried(&mut self, message: MessageId) {
        self.buried.insert(message);
    }

    /// Registers somebody who waits for room.
    pub(in crate::guests) fn wake_when_roomy(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// Takes those who wait for room.
    pub(in crate::guests) fn take_waiting(&mut self) -> Vec<Waker> {
        self.full_since = None;
        std::mem::take(&mut self.waiting)
    }

    /// Forgets what waits, because the route has ended.
    pub(in crate::guests) fn close(&mut self) -> u64 {
        let left = self.waiting().messages;
        *self = Self { waiting: std::mem::take(&mut self.waiting), ..Self::default() };
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(messages: u32) -> RouteOutbox {
        let mut outbox = RouteOutbox::default();
        outbox.open(SessionId(1), Waiting { messages, bytes: u64::from(messages) * 10 }, MessageId(100));
        outbox
    }

    fn stretch(after: u64, before: u64) -> OutboxStretch {
        OutboxStretch { session: SessionId(1), after: MessageId(after), before: MessageId(before) }
    }

    fn amount(messages: u64) -> Amount {
        Amount { messages, bytes: messages * 10 }
    }

    #[test]
    fn what_was_left_is_read_in_slices_and_once() {
        let mut outbox = opened(3);
        let first = outbox.begin_reading().unwrap();
        assert_eq!(first, stretch(0, 100));
        assert_eq!(outbox.begin_reading(), None, "one at a time");
        outbox.has_read(first, amount(2), (Some(MessageId(40)), false));
        assert_eq!((outbox.unread(), outbox.waiting()), (amount(1), amount(3)));
        let second = outbox.begin_reading().unwrap();
        assert_eq!(second.after, MessageId(40));
        outbox.has_read(second, amount(1), (Some(MessageId(70)), true));
        assert_eq!((outbox.begin_reading(), outbox.unread()), (None, amount(0)));
        for message in [10, 40, 70] {
            outbox.is_done(MessageId(message), 10);
        }
        assert_eq!(outbox.waiting(), amount(0));
        assert_eq!(outbox.done, [10, 40, 70].map(MessageId));
    }

    #[test]
    fn nothing_is_read_beyond_a_batch_that_is_not_on_the_disk() {
        let mut outbox = opened(0);
        // Two threads: the one with the lower numbers is slower.
        outbox.batch_begins(MessageId(101));
        outbox.enters(10);
        outbox.batch_begins(MessageId(103));
        outbox.enters(10);
        outbox.batch_ended(MessageId(103), MessageId(104), true);
        let wanted = outbox.begin_reading().unwrap();
        assert_eq!(wanted.before, MessageId(101));
        outbox.has_read(wanted, amount(0), (Some(MessageId(104)), true));
        assert_eq!(outbox.begin_reading(), None, "there is nothing below it");
        outbox.batch_ended(MessageId(101), MessageId(102), true);
        assert_eq!(outbox.begin_reading().unwrap().after, MessageId(100));
    }

    #[test]
    fn what_comes_while_the_end_is_read_is_read_next() {
        let mut outbox = opened(1);
        let wanted = outbox.begin_reading().unwrap();
        outbox.batch_begins(MessageId(101));
        outbox.enters(10);
        outbox.has_read(wanted, amount(1), (Some(MessageId(99)), true));
        outbox.batch_ended(MessageId(101), MessageId(102), true);
        let next = outbox.begin_reading().unwrap();
        assert_eq!((next.after, outbox.unread()), (MessageId(99), amount(1)));
    }

    #[test]
    fn a_failed_batch_holds_the_reading_until_the_store_works() {
        let mut outbox = opened(0);
        outbox.batch_begins(MessageId(101));
        outbox.enters(10);
        outbox.batch_ended(MessageId(101), MessageId(102), false);
        assert!(outbox.is_in_doubt());
        assert_eq!(outbox.begin_reading(), None);
        outbox.settle_doubts();
        let wanted = outbox.begin_reading().unwrap();
        // It was lost: it does not count for ever.
        outbox.has_read(wanted, amount(0), (None, true));
        assert_eq!(outbox.waiting(), amount(0));
    }

    #[test]
    fn what_became_a_dead_letter_is_not_removed_without_it() {
        let mut outbox = opened(3);
        let stretch = outbox.begin_reading().unwrap();
        outbox.has_read(stretch, Amount { messages: 3, bytes: 30 }, (Some(MessageId(3)), true));
        outbox.is_buried(MessageId(2));
        (1..=3).for_each(|id| outbox.is_done(MessageId(id), 10));
        assert_eq!(outbox.done, [MessageId(1), MessageId(3)]);
        assert_eq!((outbox.waiting(), outbox.buried.len()), (Amount::default(), 0));
    }

    #[test]
    fn what_is_done_with_the_route_is_forgotten() {
        let mut outbox = opened(4);
        assert_eq!(outbox.close(), 4);
        assert_eq!((outbox.session(), outbox.begin_reading()), (None, None));
    }
}
