//! Replay of retained messages for new subscriptions: found in the index step by step, and sent as
//! fast as the Client takes them.
//!
//! Kept with the session until all have been sent; `backlog` asks for them one by one. A filter may
//! match nothing of a million topics: looking for messages is work whose length the Client decides,
//! and stops when the time for it is over.
//!
//! A retained message may be under way to the Client already, behind older ones, in a turn that has
//! not ended. If the subscription was made before the message was retained, that turn alone
//! delivers it. Else the replay waits until that turn has ended, and sends it then. If rules are
//! asked about its receivers, a later turn delivers it, behind older ones, to all that were
//! subscribed by then.
//!
//! Invariant: a replay keeps no retained message in memory. However slowly a Client takes them,
//! messages that are replaced or cleared meanwhile are gone.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Weak};

use lotmq_auth::Identity;
use lotmq_codec::QoS;

use crate::clock::Stretch;
use crate::durable::changes::Stamp;
use crate::limits::{RETAINED_SCANNED_AT_ONCE, RETAINED_UNDER_WAY_MS};
use crate::message::Message;
use crate::shared::Core;
use crate::tenant::Tenant;
use crate::tenant::subscription::Options;
use crate::tenant::under_way::RoutedTurn;

/// A retained message of the `$SYS` tree that is still to be sent.
pub enum Pending {
    /// A finished message.
    Ready(Arc<Message>),
    /// A message that is made when its turn comes, unless its subject is gone by then.
    Made(Box<dyn FnOnce() -> Option<Arc<Message>> + Send>),
    /// Messages that are made one after the other when their turns come, until there are no more:
    /// what anybody may fill must not be copied for each Client.
    Each(Box<dyn FnMut() -> Option<Arc<Message>> + Send>),
}

impl Pending {
    /// The next message; `None` when its subject is gone, or there are no more. With it what is
    /// left.
    pub fn next(self) -> (Option<Arc<Message>>, Option<Self>) {
        match self {
            Self::Ready(message) => (Some(message), None),
            Self::Made(make) => (make(), None),
            Self::Each(mut make) => match make() {
                Some(message) => (Some(message), Some(Self::Each(make))),
                None => (None, None),
            },
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(message) => formatter.debug_tuple("Ready").field(message).finish(),
            Self::Made(_) => formatter.write_str("Made"),
            Self::Each(_) => formatter.write_str("Each"),
        }
    }
}

/// Replays for the new subscriptions of one session, by filter. One at a time is under way; a new
/// one may come before it.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "hardly a session has any: one word for it instead of three")]
pub struct Replays(Option<Box<BTreeMap<Box<str>, Box<Replay>>>>);

impl Replays {
    /// Whether no replay is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds a replay, in place of an earlier one for the same filter; so there are never more than
    /// subscriptions.
    pub(crate) fn add(&mut self, filter: Box<str>, replay: Box<Replay>) {
        self.0.get_or_insert_default().insert(filter, replay);
    }

    /// Adds the replays of a SUBSCRIBE, which were collected while there was time for it.
    pub(crate) fn append(&mut self, mut more: Self) {
        match (&mut self.0, &mut more.0) {
            (Some(all), Some(more)) => all.append(more),
            (None, _) => *self = more,
            (Some(_), None) => {}
        }
    }

    /// The connection has ended, and the session goes on: what was not sent on it follows on the
    /// next one.
    pub(crate) fn rest(&mut self) {
        self.0.iter_mut().flat_map(|all| all.values_mut()).for_each(|replay| replay.rest());
    }

    /// Ends the replay for this filter.
    pub(crate) fn end(&mut self, filter: &str) {
        self.take_out(|all| drop(all.remove(filter)));
    }

    /// Replay that is under way, with its filter.
    pub(crate) fn first(&mut self) -> Option<(&str, &mut Replay)> {
        let (filter, replay) = self.0.as_mut()?.iter_mut().next()?;
        Some((filter, replay))
    }

    /// Ends the replay that is under way.
    pub(crate) fn end_first(&mut self) {
        self.take_out(|all| drop(all.pop_first()));
    }

    /// Takes replays out. Without any, no memory is kept.
    fn take_out(&mut self, take: impl FnOnce(&mut BTreeMap<Box<str>, Box<Replay>>)) {
        let Some(all) = &mut self.0 else { return };
        take(all);
        if all.is_empty() {
            self.0 = None;
        }
    }
}

/// Replay for one new subscription: the retained messages still to be sent.
#[derive(Debug)]
pub struct Replay {
    pub(crate) options: Options,
    /// Generation of the tenant's subscriptions that has this one: messages that are routed on a
    /// route of it, or of a later one, come to the Client.
    since: u64,
    /// Time, in lifetime milliseconds, until which it waits for turns that have not ended; `None`
    /// before it waits for the first one.
    waits_until_ms: Option<u64>,
    /// Whether its first message has been looked for.
    has_begun: bool,
    /// Topic behind which the next slice begins.
    after: Option<Box<str>>,
    slice: Vec<Weak<Message>>,
    /// Number of messages of it that were looked at.
    done: usize,
    /// Topic of the message that was looked at last; empty before the first.
    position: String,
    /// Whether the slice was looked up in an earlier turn.
    has_waited: bool,
    is_scanned: bool,
    /// Messages of the `$SYS` tree that are left.
    system: VecDeque<Pending>,
}

/// Result of looking for the next message of a replay.
#[derive(Debug)]
pub enum Next {
    /// A message that the Client may have.
    Message {
        /// The message.
        message: Arc<Message>,
        /// Whether rules were asked about it, which may have taken long.
        was_asked: bool,
    },
    /// All have been sent.
    None,
    /// There was no time to look further.
    NoTime,
    /// Further ones may be under way in this turn, behind older ones.
    UnderWay(Stamp),
    /// The next one is to wait: it has no room.
    NoRoom,
}

impl Replay {
    pub(crate) fn new(options: Options, since: u64, system: VecDeque<Pending>) -> Self {
        let (has_begun, has_waited, is_scanned) = (false, false, false);
        let (waits_until_ms, after, slice, done, position) = (None, None, Vec::new(), 0, String::new());
        Self {
            options,
            since,
            waits_until_ms,
            has_begun,
            after,
            slice,
            done,
            position,
            has_waited,
            is_scanned,
            system,
        }
    }

    /// Restarts the rest for another connection behind the last topic that was looked at. Drops
    /// unsent messages of the `$SYS` tree, because they are out of date by then.
    fn rest(&mut self) {
        if self.done < self.slice.len() {
            self.after = (!self.position.is_empty()).then(|| self.position.as_str().into());
            self.is_scanned = false;
        }
        (self.slice, self.done) = (Vec::new(), 0);
        self.system = VecDeque::new();
    }

    /// Finds the next message for `filter`, the subscription of this replay. `has_room` says
    /// whether one of so many bytes may be sent that no session keeps; those of the `$SYS` tree
    /// always may.
    pub fn next(
        &mut self,
        filter: &str,
        tenant: &Tenant,
        identity: &Identity,
        now_ms: u64,
        (stretch, core): (&Stretch, &Core),
        has_room: &dyn Fn(usize) -> bool,
    ) -> Next {
        // The message, if the Client may get it.
        let allowed = |message: Arc<Message>| {
            let was_asked = tenant.permissions.delivers_to_all(message.topic()) != Some(true);
            let may_get = !was_asked || tenant.delivers(identity, message.topic()).authorization.is_allowed();
            may_get.then_some(Next::Message { message, was_asked })
        };
        self.has_begun = true;
        loop {
            if let Some(pending) = self.system.pop_front() {
                let (message, rest) = pending.next();
                rest.into_iter().for_each(|rest| self.system.push_front(rest));
                if let Some(next) = message.and_then(allowed) {
                    return next;
                }
            } else if let Some(found) = self.slice.get(self.done).map(Weak::upgrade) {
                let is_current = |message: &_| !self.has_waited || tenant.retains(message, now_ms);
                let current = found.filter(is_current);
                let is_at_most_once =
                    |message: &Message| message.qos.min(self.options.qos) == QoS::AtMostOnce;
                if current.as_ref().is_some_and(|it| is_at_most_once(it) && !has_room(it.size())) {
                    return Next::NoRoom;
                }
                self.done += 1;
                if let Some(message) = current {
                    self.position.clear();
                    self.position.push_str(message.topic());
                    if let Some(next) = allowed(message) {
                        return next;
                    }
                }
            } else if self.is_scanned {
                return Next::None;
            } else if let Err(turn) = self.scan(filter, tenant, now_ms, core) {
                return Next::UnderWay(turn);
            }
            if stretch.is_over(&*core.clock) {
                return Next::NoTime;
            }
        }
    }

    /// Whether its first message has been looked for: until then the subscription may have ended.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Leaves the rest to a later turn. A message that is replaced or cleared until then goes out
    /// live, and its predecessor must not follow it \[MQTT-4.6.0-6\].
    pub fn wait(&mut self) {
        self.has_waited = true;
    }

    /// Looks up the next slice.
    ///
    /// # Errors
    /// An unfinished turn that has a message of the slice, and was perhaps routed before the
    /// subscription was made. Those that are routed behind it do not hold it up, so it waits for
    /// one turn of each thread at most.
    fn scan(&mut self, filter: &str, tenant: &Tenant, now_ms: u64, core: &Core) -> Result<(), Stamp> {
        let retained = tenant.retained.read();
        let mut open = retained.under_way.open(&core.turns);
        let found = retained.scan(filter, self.after.as_deref(), RETAINED_SCANNED_AT_ONCE);
        // They lie all over the memory: looked at one right behind the other, many of them come at
        // once (replay is 1.4 × as fast with it and fewer looks at the clock).
        std::hint::black_box(found.entries.iter().fold(0, |all, (_, message)| all ^ message.first_byte()));
        let is_early = |routed: &&RoutedTurn| {
            routed.generation < self.since && found.entries.iter().any(|(_, kept)| kept.is_of(routed))
        };
        if let Some(early) = open.iter().find(is_early) {
            let until = self.waits_until_ms.get_or_insert(now_ms.saturating_add(RETAINED_UNDER_WAY_MS));
            if now_ms < *until {
                return Err(early.turn);
            }
            open.retain(|routed| routed.generation >= self.since);
        }
        let wanted = found.entries.iter().filter(|(topic, kept)| {
            let comes_live = kept.comes_later(self.since) || open.iter().any(|routed| kept.is_of(routed));
            !comes_live && !kept.is_expired(now_ms) && self.options.cover(topic)
        });
        self.has_waited = false;
        self.done = 0;
        self.slice.clear();
        self.slice.extend(wanted.map(|(_, message)| Arc::downgrade(message)));
        self.after = found.resume_after.as_deref().map(Into::into);
        self.is_scanned = found.resume_after.is_none();
        Ok(())
    }
}
