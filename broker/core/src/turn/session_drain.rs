//! Draining of ended sessions: undelivered messages go to other members of their shared
//! subscriptions, and their subscriptions are removed.
//!
//! The Client decides how long that takes: it may have ten thousand subscriptions and a million
//! messages. Short drains happen at once; the housekeeping thread does everything else bit by bit,
//! all drains in turn. Each message leaves one queue in the batch in which it enters the other. The
//! rows of the session stay until its queue is empty, and say that it has ended. After a crash the
//! broker restores it, ends it again and goes on with the rest.
//!
//! A session that is ending is still in the subscription index. It is no longer chosen as a member
//! of a group, and messages routed to it are dropped or go to another member. Not here: which
//! messages are for which group (`redistribute`).

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_changes::{MembershipId, MessageId, Op, QueueSlice, SessionId, StoreError};
use lotmq_session::Session;
use parking_lot::Mutex;
use tracing::{error, warn};

use crate::clock::Stretch;
use crate::limits::{DRAIN_TIME_MAX, ENDED_AT_ONCE_MAX, UNSUBSCRIBED_AT_ONCE};
use crate::message::Message;
use crate::tenant::client::{Client, Queued};
use crate::tenant::subscription::Subscriptions;
use crate::turn::Turn;
use crate::turn::redistribute::{Memberships, Undelivered, redistribute_to};
use crate::turn::stored;

/// Drains of all sessions that have ended.
#[derive(Default)]
pub struct SessionDrains(Mutex<State>);

#[derive(Default)]
struct State {
    /// Drains that can go on.
    ready: VecDeque<SessionDrain>,
    /// Drains that want a slice of their queue. One is read at a time, that of the first.
    readers: VecDeque<SessionDrain>,
    reading: Reading,
    /// Number of drains, those included that are being worked on.
    count: usize,
}

/// State of the slice for the first reader.
#[derive(Default)]
enum Reading {
    #[default]
    NotAsked,
    Asked,
    Here(Result<QueueSlice, StoreError>),
}

/// Drain of one session that has ended.
pub struct SessionDrain {
    client: Arc<Client>,
    /// Subscriptions that are to be taken off the index.
    filters: Vec<Box<str>>,
    is_member: bool,
    memberships: Memberships,
    /// Session whose undelivered messages have not been taken out yet.
    session: Option<Box<Session<Queued>>>,
    /// Messages for other members, each with the membership by which it came.
    messages: VecDeque<(Arc<Message>, MembershipId)>,
    /// Number in the store behind which the rest of its queue begins.
    rests_after: Option<MessageId>,
    /// Messages behind it that other members have got already, by number.
    redistributed: Vec<u64>,
    /// Whether the store has rows of the session.
    is_stored: bool,
}

/// Progress of a drain.
enum Progress {
    GoesOn,
    WantsSlice,
    Over,
}

impl SessionDrains {
    pub(crate) fn add(&self, drain: SessionDrain) {
        let mut state = self.0.lock();
        state.count += 1;
        state.ready.push_back(drain);
    }

    /// Number of drains under way.
    pub fn len(&self) -> usize {
        self.0.lock().count
    }

    /// Whether no session is being drained.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes on with drains for a while. False when a slice could not be read, so that none should
    /// be asked for at once.
    pub(crate) fn go_on(&self, turn: &mut Turn) -> bool {
        let stretch = turn.core.clock.stretch(DRAIN_TIME_MAX);
        let can_read = self.take_slice();
        while let Some(mut drain) = self.next() {
            let progress = drain.go_on(turn, &stretch);
            let mut state = self.0.lock();
            match progress {
                Progress::GoesOn => state.ready.push_back(drain),
                Progress::WantsSlice => state.readers.push_back(drain),
                Progress::Over => state.count -= 1,
            }
            drop(state);
            if stretch.is_over(&*turn.core.clock) {
                break;
            }
        }
        can_read
    }

    /// Whether a drain can go on.
    pub(crate) fn are_ready(&self) -> bool {
        !self.0.lock().ready.is_empty()
    }

    /// Slice that the first reader wants, by session and the message behind which it begins; `None`
    /// while one is under way.
    pub(crate) fn wanted(&self) -> Option<(SessionId, MessageId)> {
        let mut state = self.0.lock();
        let first = state.readers.front()?;
        let wanted = (first.client.stored_id(), first.rests_after?);
        matches!(state.reading, Reading::NotAsked).then(|| {
            state.reading = Reading::Asked;
            wanted
        })
    }

    /// Takes the slice that was wanted, for the next time that drains go on.
    pub(crate) fn read(&self, slice: Result<QueueSlice, StoreError>) {
        self.0.lock().reading = Reading::Here(slice);
    }

    /// Lets go of all drains, because the broker stops.
    pub(crate) fn stop(&self) {
        *self.0.lock() = State::default();
    }

    fn next(&self) -> Option<SessionDrain> {
        self.0.lock().ready.pop_front()
    }

    /// Gives a slice that was read to the drain that wanted it. False when it could not be read; it
    /// is asked for again in a later round.
    fn take_slice(&self) -> bool {
        let mut state = self.0.lock();
        let slice = match std::mem::take(&mut state.reading) {
            Reading::Here(slice) => slice,
            unread @ (Reading::NotAsked | Reading::Asked) => {
                state.reading = unread;
                return true;
            }
        };
        let Some(mut drain) = state.readers.pop_front() else { return true };
        let is_read = slice.is_ok();
        match slice {
            Ok(slice) => {
                drain.take(&slice);
                state.ready.push_back(drain);
            }
            Err(error) => {
                warn!(session = drain.client.stored_id().0, %error, "queue of an ended session cannot be read");
                // Those of others first.
                state.readers.push_back(drain);
            }
        }
        is_read
    }
}

impl SessionDrain {
    /// Drain of a session that ends with these subscriptions. Nobody must choose its Client any
    /// more.
    pub fn new(
        client: &Arc<Client>,
        subscriptions: Subscriptions,
        session: Session<Queued>,
        is_stored: bool,
    ) -> Self {
        Self {
            client: Arc::clone(client),
            is_member: subscriptions.has_shared(),
            memberships: Memberships::of(&client.tenant, &subscriptions),
            filters: subscriptions.into_filters().collect(),
            session: Some(Box::new(session)),
            messages: VecDeque::new(),
            rests_after: None,
            redistributed: Vec::new(),
            is_stored,
        }
    }

    /// Drains the session at once where that is short. True when something is left to be done, for
    /// which its row must stay.
    pub fn begin(&mut self, turn: &mut Turn) -> bool {
        if !self.is_member {
            // Its waiting messages go to nobody.
            self.delete(turn);
        }
        let counts = self.session.as_ref().map(|session| session.counts()).unwrap_or_default();
        let rests = self.is_member && counts.queued > counts.queued_in_memory;
        let len = self.filters.len().max(counts.queued_in_memory).max(counts.inflight);
        rests
            || len > ENDED_AT_ONCE_MAX
            || self.needs_answers()
            || !matches!(self.go_on(turn, &Stretch::ENDLESS), Progress::Over)
    }

    /// Whether rules must be asked about the members who get the remaining messages.
    fn needs_answers(&self) -> bool {
        let Some(session) = self.session.as_ref().filter(|_| self.is_member) else { return false };
        let permissions = &self.client.tenant.permissions;
        let is_open = |topic| permissions.delivers_to_all(topic) == Some(true);
        session.messages_in_memory().any(|(queued, _)| !is_open(queued.message.topic()))
    }

    /// Whether rows of the session stay in the store until the drain is over.
    pub fn keeps_rows(&self) -> bool {
        self.is_stored
    }

    /// Goes on until the stretch is over.
    fn go_on(&mut self, turn: &mut Turn, stretch: &Stretch) -> Progress {
        self.take_undelivered();
        let tenant = &self.client.tenant;
        let queue = self.is_stored.then(|| self.client.stored_id());
        while let Some((message, membership)) = self.messages.pop_front() {
            if let Some(group) = self.memberships.group(membership) {
                redistribute_to(tenant, group, &message, queue, turn);
            }
            if stretch.is_over(&*turn.core.clock) {
                return Progress::GoesOn;
            }
        }
        if self.is_stored && self.rests_after.is_some() {
            if self.filters.iter().any(|filter| tenant.has_other_members(filter)) {
                return Progress::WantsSlice;
            }
            self.rests_after = None;
        }
        self.delete(turn);
        while !self.filters.is_empty() {
            let first = self.filters.len().saturating_sub(UNSUBSCRIBED_AT_ONCE);
            self.client.tenant.unsubscribe_all(&self.client, self.filters.drain(first..));
            if stretch.is_over(&*turn.core.clock) {
                return Progress::GoesOn;
            }
        }
        turn.core.slots.give_back(self.client.slot);
        Progress::Over
    }

    fn take_undelivered(&mut self) {
        let Some(session) = self.session.take() else { return };
        if self.is_member {
            let Undelivered { messages, rests_after } = Undelivered::of(&session);
            self.messages = messages;
            self.rests_after = rests_after;
            let behind = self.messages.iter().map(|(message, _)| message.id);
            self.redistributed = behind.filter(|id| rests_after.is_some_and(|after| *id > after.0)).collect();
            self.redistributed.sort_unstable();
        }
    }

    /// Takes a slice of the queue that was wanted.
    fn take(&mut self, slice: &QueueSlice) {
        if let Some(first) = &slice.first_damage {
            error!(
                session = self.client.stored_id().0,
                count = slice.damaged,
                %first,
                "queued messages are damaged and left out"
            );
        }
        let is_new = |number: u64| self.redistributed.binary_search(&number).is_err();
        let deliveries = slice.deliveries.iter().filter(|delivery| is_new(delivery.message.id.0));
        let by_groups = deliveries
            .filter_map(|delivery| Some((Arc::new(stored::message(delivery)), delivery.membership?)));
        self.messages.extend(by_groups);
        self.rests_after = slice.last.filter(|_| !slice.is_last);
    }

    /// Deletes the session from the store.
    fn delete(&mut self, turn: &mut Turn) {
        if std::mem::take(&mut self.is_stored) {
            let (tenant, session) = (self.client.tenant.id, self.client.stored_id());
            turn.batch.push(Op::DeleteSession { tenant, session });
            turn.call_flusher();
        }
    }
}
