//! Keeping of messages for a route in its outbox: who may enter, what is read back, and what is
//! done.
//!
//! The threads that route ask for a [`PostPlace`] and write; `route_drivers::tending` reads and
//! removes. No lock is held while the store works.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use lotmq_changes::{MessageId, QueueSlice, SessionId, Waiting};
use lotmq_codec::QoS;
use lotmq_session::Time;
use parking_lot::MutexGuard;
use tracing::warn;

use super::buffering::{BufferMode, Overload};
use super::kept_place::KeptPlace;
use super::mailbox::{Filled, RouteMessage};
use super::memory_buffer::{BufferedMessage, FreshBytes};
use super::outbox::{Amount, OutboxStretch};
use super::runner::{RouteRunner, SharedRoute};
use super::status::RunnerFacts;
use super::stored_post;
use crate::limits::{
    ROUTE_ASIDE_BYTES_MAX, ROUTE_ASIDE_MESSAGES_MAX, ROUTE_FRESH_BYTES, ROUTE_FRESH_MESSAGES,
    ROUTE_MAILBOX_BYTES_MAX, ROUTE_READ_AHEAD_BYTES, ROUTE_READ_AHEAD_MESSAGES, ROUTE_SLICE_BYTES,
};
use lotmq_core::Core;
use lotmq_core::tenant::Tenant;

/// Pause between two looks of a held-back publisher, beside the call when there is room: what else
/// makes an outbox full calls nobody.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Pause before what could not be read is read again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// PostPlace for a message.
pub(crate) enum PostPlace {
    /// The mailbox, in memory; where there is room, a place is kept until the message comes.
    Memory(Option<KeptPlace>),
    /// The queue of this session.
    Store(SessionId),
    /// There is none: so many bytes wait.
    Full(u64),
    /// The route has ended.
    Nowhere,
}

/// Context of a query for room: tenant, broker, time and QoS.
#[derive(Clone, Copy)]
pub(crate) struct RoomQuery<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) core: &'a Core,
    pub(crate) now: Time,
    pub(crate) qos: QoS,
}

/// Result of a read from the outbox.
pub(crate) struct ReadBack {
    /// Messages that are damaged on the disk.
    pub(crate) damaged: u64,
}

impl SharedRoute {
    /// Whether messages wait in the store: in any mode as long as any wait there, so that they keep
    /// their order.
    pub(super) fn is_stored(&self) -> bool {
        self.outbox.session().is_some()
            && (self.version.buffering.mode == BufferMode::Disk || self.outbox.waiting().messages > 0)
    }

    fn is_full(&mut self, asking: &RoomQuery<'_>) -> bool {
        if !self.is_stored() {
            return self.is_away() || !self.mailbox.has_room();
        }
        self.outbox.waiting().bytes >= self.version.buffering.bytes_max || self.is_storage_full(asking)
    }

    /// That no more may wait, and what becomes of what comes, where that is so.
    fn fullness(&self) -> Option<String> {
        let (bytes, bytes_max) = (self.outbox.waiting().bytes, self.version.buffering.bytes_max);
        let Filled { count, most, of } = match self.is_stored() {
            true => (bytes >= bytes_max).then_some(Filled { count: bytes, most: bytes_max, of: "bytes" })?,
            false => self.mailbox.filled()?,
        };
        let becomes = |qos| match self.version.buffering.overload(qos) {
            Overload::Lossless => "waits",
            Overload::Balanced => "waits for a short time, then it is shed",
            Overload::Realtime => "is shed",
        };
        let (of_0, of_others) = (becomes(QoS::AtMostOnce), becomes(QoS::AtLeastOnce));
        let what = match of_0 == of_others {
            true => format!("what comes {of_0}"),
            false => format!("QoS 0 {of_0}; QoS 1 {of_others}, and QoS 2"),
        };
        Some(format!("outbox full ({} of {} {of}): {what}", grouped(count), grouped(most)))
    }

    /// Whether what waits in the store altogether, or for routes and sessions of the owner, is as
    /// much as may wait.
    fn is_storage_full(&self, RoomQuery { tenant, core, .. }: &RoomQuery<'_>) -> bool {
        let owner = || self.version.definition.owner();
        core.storage.queues_are_full()
            || (core.storage.queues_are_shared_out() && tenant.shares.of_user(owner()).are_queues_full())
    }

    /// Whether memory may hold more of the stored messages. The bounds apply to ready messages,
    /// with those `besides` the mailbox. Messages that stand aside have bounds of their own, so
    /// that others find room.
    fn has_memory_for(&self, (messages_max, bytes_max): (usize, usize), besides: Amount) -> bool {
        let (ready, ready_bytes) = self.mailbox.ready();
        let (all, all_bytes) = self.mailbox.waiting();
        all - ready < ROUTE_ASIDE_MESSAGES_MAX
            && all_bytes - ready_bytes < ROUTE_ASIDE_BYTES_MAX
            && ready as u64 + besides.messages < messages_max as u64
            && ready_bytes as u64 + besides.bytes < bytes_max as u64
    }

    /// Takes what is in memory and on the disk into the mailbox.
    fn take_fresh(&mut self) {
        let posts = self.outbox.take_fresh();
        if !posts.is_empty() {
            self.mailbox.page_in(posts.into_iter());
            self.call_all();
        }
    }

    /// Returns when a waiting publisher checks again; `None` if it need not wait.
    fn waits_until(&mut self, asking: &RoomQuery<'_>) -> Option<Time> {
        if self.is_closed || !self.is_full(asking) {
            self.outbox.full_since = None;
            return None;
        }
        if self.outbox.full_since.is_none() {
            self.status.deliveries.full_times += 1;
            self.outbox.is_full_anew = true;
        }
        let since = *self.outbox.full_since.get_or_insert(asking.now);
        match self.version.buffering.overload(asking.qos) {
            Overload::Lossless => Some(asking.now.plus(LOOK_AGAIN)),
            Overload::Balanced => {
                Some(since.plus(self.version.buffering.patience)).filter(|until| *until > asking.now)
            }
            Overload::Realtime => None,
        }
    }
}

/// For the threads that route.
impl RouteRunner {
    /// Whether messages for it wait in the store.
    pub(crate) fn is_stored(&self) -> bool {
        self.shared.lock().is_stored()
    }

    /// Session of its outbox.
    pub(crate) fn outbox_session(&self) -> Option<SessionId> {
        self.shared.lock().outbox.session()
    }

    /// Number and bytes of the messages in its outbox, including those on their way.
    pub fn outbox_waiting(&self) -> Amount {
        self.shared.lock().outbox.waiting()
    }

    /// Gives it the outbox of a session, with what waits there.
    pub(crate) fn open_outbox(&self, session: SessionId, waiting: Waiting, next: MessageId) {
        let mut shared = self.shared.lock();
        shared.outbox.open(session, waiting, next);
        shared.status.messages_came(waiting.messages.into());
        drop(shared);
        self.outbox_called.notify_one();
    }

    /// Whether a message has to wait until there is room; when to look again.
    pub(crate) fn waits_until(&self, asking: &RoomQuery<'_>) -> Option<Time> {
        let mut shared = self.shared.lock();
        let until = shared.waits_until(asking);
        self.tell_full(shared);
        until
    }

    /// Tells that the outbox has become full: at its topic, and in the log the first time, the
    /// second, the fourth and so on.
    fn tell_full(&self, mut shared: MutexGuard<'_, SharedRoute>) {
        if !std::mem::take(&mut shared.outbox.is_full_anew) {
            return;
        }
        let (times, told) = (shared.status.deliveries.full_times, shared.fullness());
        let version = Arc::clone(&shared.version);
        drop(shared);
        self.stands.notify_one();
        if let Some(told) = told.filter(|_| times.is_power_of_two()) {
            warn!(target: "routes", route = &**version.definition.name(), count = times, "{told}");
        }
    }

    /// That no more may wait for it, and what becomes of what comes, where that is so.
    pub(crate) fn fullness(&self) -> Option<String> {
        self.shared.lock().fullness()
    }

    /// Most bytes that may wait for it, by `BUFFER_MAX_BYTES`.
    pub fn outbox_bytes_max(&self) -> u64 {
        self.shared.lock().version.buffering.bytes_max
    }

    /// As [`RouteRunner::waits_until`], and wakes the task of `cx` when there is room.
    pub(crate) fn poll_room(&self, asking: &RoomQuery<'_>, cx: &Context<'_>) -> Poll<()> {
        let mut shared = self.shared.lock();
        if shared.waits_until(asking).is_none() {
            return Poll::Ready(());
        }
        shared.outbox.wake_when_roomy(cx.waker());
        self.tell_full(shared);
        Poll::Pending
    }

    /// PostPlace for a message of so many bytes that is here now. One whose publisher was to wait
    /// and could not, a run, is shed where there is none.
    pub(crate) fn place(self: &Arc<Self>, asking: &RoomQuery<'_>, bytes: usize) -> PostPlace {
        let mut shared = self.shared.lock();
        match shared.outbox.session() {
            _ if shared.is_closed => PostPlace::Nowhere,
            Some(session) if shared.is_stored() => match shared.is_full(asking) {
                true => PostPlace::Full(shared.outbox.waiting().bytes),
                false => PostPlace::Store(session),
            },
            Some(_) | None => {
                let kept = if shared.is_away() { None } else { shared.mailbox.admit(bytes) };
                PostPlace::Memory(kept.map(|kept| KeptPlace::new(self, kept)))
            }
        }
    }

    /// Notes that the batch of a thread has messages for it, all with numbers above `floor`.
    pub(crate) fn batch_begins(&self, floor: MessageId) {
        self.shared.lock().outbox.batch_begins(floor);
    }

    /// Counts a message that is in the batch of a thread; `post` makes of it what a route that
    /// keeps up need not read back.
    pub(crate) fn enters(
        &self,
        stored: (MessageId, u64),
        post: impl FnOnce(&mut FreshBytes) -> BufferedMessage,
    ) {
        let mut shared = self.shared.lock();
        shared.status.messages_came(1);
        let mut fresh = shared.outbox.fresh();
        fresh.add(Amount { messages: 1, bytes: stored.1 });
        let has_room = shared.has_memory_for((ROUTE_FRESH_MESSAGES, ROUTE_FRESH_BYTES), fresh)
            && shared.mailbox.holds_besides(fresh.bytes);
        shared.outbox.enters(stored, has_room, post);
    }

    /// Notes what became of such a batch.
    pub(crate) fn batch_ended(&self, floor: MessageId, last: MessageId, is_stored: bool) {
        self.shared.lock().outbox.batch_ended(floor, last, is_stored);
        self.outbox_called.notify_one();
    }

    /// The wall clock's time of a moment in lifetime milliseconds.
    pub(crate) fn wall_of(&self, lifetime_ms: u64) -> u64 {
        self.clock.wall_of(lifetime_ms)
    }
}

/// For the one that tends the outbox, and for drivers.
impl RouteRunner {
    /// Takes what is in memory and on the disk into the mailbox.
    pub(crate) fn take_fresh(&self) {
        self.shared.lock().take_fresh();
    }

    /// Part of the queue that is to be read now: when less is in memory than guests may get in two
    /// calls.
    pub(crate) fn begin_reading(&self) -> Option<OutboxStretch> {
        let mut shared = self.shared.lock();
        // Fresh messages do not count: they may wait for what is read.
        if !shared.has_memory_for((ROUTE_READ_AHEAD_MESSAGES, ROUTE_READ_AHEAD_BYTES), Amount::default()) {
            return None;
        }
        // With no ready message in memory, it reads in any case.
        if shared.mailbox.ready().0 > 0 && !shared.mailbox.holds_besides(ROUTE_SLICE_BYTES) {
            return None;
        }
        if shared.outbox.read_again_at.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        shared.outbox.read_again_at = None;
        shared.outbox.begin_reading()
    }

    /// Takes what was read of a stretch into the mailbox.
    pub(crate) fn has_read(&self, stretch: OutboxStretch, slice: &QueueSlice) -> ReadBack {
        let below = slice.deliveries.iter().filter(|delivery| delivery.message.id < stretch.before);
        let (mut posts, mut read, mut unreadable) = (Vec::new(), Amount::default(), Vec::new());
        for delivery in below {
            let bytes = stored_post::size(delivery);
            read.messages += 1;
            read.bytes += bytes;
            let id = delivery.message.id;
            let stored = &delivery.message;
            let wall_of = |at_ms| self.clock.wall_of(at_ms);
            match stored_post::message(delivery, &stored.properties, stretch.session, wall_of) {
                Some((to, message, hops)) => posts.push(RouteMessage {
                    to,
                    waits_since_ms: stored.published_at_ms,
                    message: Arc::new(message),
                    hops,
                    sequence: id.0,
                    ripe_at: None,
                    panics: 0,
                    retries: None,
                    stored_bytes: Some(bytes),
                    order_hash: None,
                }),
                None => unreadable.push((id, bytes)),
            }
        }
        let damaged = u64::from(slice.damaged) + unreadable.len() as u64;
        {
            let mut shared = self.shared.lock();
            if shared.is_closed {
                return ReadBack { damaged: 0 };
            }
            let is_end = slice.is_last;
            shared.outbox.has_read(stretch, read, (slice.last, is_end));
            unreadable.into_iter().for_each(|(id, bytes)| shared.outbox.is_done(id, bytes));
            shared.mailbox.page_in(posts.into_iter());
            shared.call_all();
        }
        self.outbox_called.notify_one();
        ReadBack { damaged }
    }

    /// Notes that a stretch could not be read; it is tried again after a while.
    pub(crate) fn has_not_read(&self) {
        self.shared.lock().outbox.has_not_read(Instant::now() + READ_AGAIN);
        self.outbox_called.notify_one();
    }

    /// Notes that messages are done: they leave the outbox, and whoever waits for room looks for
    /// it.
    pub(crate) fn leave_outbox(&self, posts: &[RouteMessage]) {
        if posts.is_empty() {
            return;
        }
        let wakers = {
            let mut shared = self.shared.lock();
            for post in posts {
                if let Some(bytes) = post.stored_bytes {
                    shared.outbox.is_done(MessageId(post.sequence), bytes);
                }
            }
            shared.outbox.take_waiting()
        };
        wakers.into_iter().for_each(Waker::wake);
        self.outbox_called.notify_one();
    }

    /// Notes that a message which is going to be done leaves its outbox in the batch of its dead
    /// letter; the session of the outbox.
    pub(crate) fn leaves_as_dead_letter(&self, message: MessageId) -> Option<SessionId> {
        let mut shared = self.shared.lock();
        let session = shared.outbox.session()?;
        shared.outbox.is_buried(message);
        Some(session)
    }

    /// Takes the numbers of messages that are done and still in the store, with the session in
    /// whose queue they are.
    pub(crate) fn take_done(&self) -> Option<(SessionId, Vec<MessageId>)> {
        let mut shared = self.shared.lock();
        let session = shared.outbox.session()?;
        let done = std::mem::take(&mut shared.outbox.done);
        (!done.is_empty()).then_some((session, done))
    }

    /// Settles batches in doubt, because the store works; whether any are left for later.
    pub(crate) fn settle_doubts(&self, works: bool) -> bool {
        let mut shared = self.shared.lock();
        if works && shared.outbox.is_in_doubt() {
            shared.outbox.settle_doubts();
        }
        shared.outbox.is_in_doubt()
    }

    /// Takes the messages that have waited for too long.
    pub(crate) fn take_expired(&self) -> Vec<RouteMessage> {
        let now_ms = self.clock.lifetime_ms();
        let mut shared = self.shared.lock();
        let ttl_ms = shared.version.buffering.ttl_ms;
        let oldest = ttl_ms.and_then(|ttl_ms| now_ms.checked_sub(ttl_ms));
        oldest.map_or_else(Vec::new, |oldest_ms| shared.mailbox.take_older(oldest_ms))
    }

    /// Time until the first message has waited for too long, or until what could not be read is
    /// read again.
    pub(crate) fn due_in(&self) -> Option<Duration> {
        let now_ms = self.clock.lifetime_ms();
        let shared = self.shared.lock();
        let expiry = shared.version.buffering.ttl_ms.zip(shared.mailbox.oldest_ms());
        let expiry = expiry.map(|(ttl_ms, oldest_ms)| {
            Duration::from_millis(oldest_ms.saturating_add(ttl_ms).saturating_sub(now_ms).saturating_add(1))
        });
        let again = shared.outbox.read_again_at.map(|at| at.saturating_duration_since(Instant::now()));
        expiry.into_iter().chain(again).min()
    }

    /// Facts for the status beside the standing.
    pub fn runner_facts(&self) -> RunnerFacts {
        let dead = self.dead_letters.figures();
        let (linger, oldest) = {
            let shared = self.shared.lock();
            (shared.mailbox.linger(), shared.mailbox.unfinished_since_ms_of_each())
        };
        let now_ms = self.clock.lifetime_ms();
        let linger = SignedDuration::try_from(linger).unwrap_or(SignedDuration::MAX);
        let wait = |(event, since_ms): (_, u64)| {
            let age = i64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(i64::MAX);
            (event, SignedDuration::from_millis(age).saturating_sub(linger))
        };
        let waits = oldest.into_iter().map(wait).collect();
        let waits_to_publish =
            self.ingest_waits.long_wait().map(|why| format!("what it brings waits: {why}"));
        let full = self.fullness();
        let (waiting, oldest_ms) = (self.waiting(), self.oldest_age_ms());
        let version = self.version();
        RunnerFacts {
            volatile: version.buffering.volatile(),
            refused_by_policy: version.refused_by_policy(),
            waiting,
            oldest_ms,
            waits_to_publish,
            dead_letters: dead.waiting.messages,
            dead_letters_dropped: dead.dropped,
            waits,
            full,
        }
    }

    /// For how long the oldest message has waited, as far as any was read.
    pub fn oldest_age_ms(&self) -> Option<u64> {
        let oldest_ms = self.shared.lock().mailbox.unfinished_since_ms();
        oldest_ms.map(|since_ms| self.clock.lifetime_ms().saturating_sub(since_ms))
    }
}

/// Digits of a number in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const _: () = assert!(
    ROUTE_READ_AHEAD_BYTES <= ROUTE_MAILBOX_BYTES_MAX && ROUTE_FRESH_BYTES <= ROUTE_MAILBOX_BYTES_MAX
);
