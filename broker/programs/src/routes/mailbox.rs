//! Mailbox of one route: messages for its events, and rows to be stored, in a lane for each
//! instance of its guest.
//!
//! ```text
//! post ─▶ lane of its key ─▶ take(lane) ─▶ batch ─┬▶ done(lane, first messages)
//!                ▲                                └▶ put_back(lane, last messages)
//!                └────────────────────────────────────┘
//! ```
//!
//! The key is the topic, the text of `ORDER_KEY`, or the table. Messages with the same key must not
//! overtake each other. While a message of a key is not done, all further ones of it go to its
//! lane. Otherwise the next one goes to the emptiest lane whose instance is connected. So two
//! instances never work on the same key. Within a lane, an event, mapping or table that has failed
//! backs off, and the messages of others pass ([`backoff`]).
//!
//! Invariants:
//! - A full mailbox takes only messages that are put back or were admitted before.
//! - Each message is in one lane, waiting or taken, until it is done. All of a key share a lane.
//! - A lane keeps ready messages in the order of their sequence numbers, which may have gaps. The
//!   same holds for messages that stand aside.
//! - The number of lanes and the key change only while nothing is taken. Lanes finish in any order.
//!
//! A full mailbox rejects, counts and reports the arriving message. Waiting messages survive a
//! replacement of the route. A restart keeps promised ones (`durable_triggers`): each message holds
//! its promise as long as it waits or is on its way. Messages in memory count in the sum of all
//! mailboxes ([`MailboxRoom`]). Of stored messages, only as many come here as find room there.

mod backoff;
mod lane;
mod order_key;
mod post;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lotmq_host::{MailboxRoom, OwnedMessage};

use crate::limits::{ROUTE_MAILBOX_BYTES_MAX, ROUTE_MAILBOX_MESSAGES_MAX};
use lane::Lane;
use post::{size, size_of};

pub use lane::{BatchDue, PutBack};
pub(crate) use order_key::OrderKey;
pub use post::{Addressee, RouteMessage};
pub(crate) use post::{Batches, Retries, Takers};

/// Mailbox of a route.
#[derive(Debug)]
pub(crate) struct Mailbox {
    lanes: Vec<Lane>,
    /// Number of lanes that there are to be.
    lanes_wanted: usize,
    /// Rule for the key of a message; `None` for its topic.
    order: Option<OrderKey>,
    /// Rule that applies after the next distribution.
    order_wanted: Option<OrderKey>,
    /// Lanes whose instances are connected.
    open: BTreeSet<usize>,
    /// Keys of messages that are not done, by their hashes: two of the same hash only go the same
    /// way. Empty while there is one lane.
    keys: HashMap<u64, KeyInUse>,
    hasher: RandomState,
    next_sequence: u64,
    /// Most messages that are not in the store.
    posts_max: usize,
    /// Most bytes of them.
    bytes_max: usize,
    /// Messages that were admitted and are on their way, and their bytes.
    admitted: (usize, usize),
    batches: Batches,
    /// Room among the mailboxes of all guests, for what waits in memory alone.
    room: Option<MailboxRoom>,
}

/// Lane of a key, and the number of messages because of which it is that one.
#[derive(Debug)]
struct KeyInUse {
    lane: usize,
    posts: usize,
}

/// Bound that a full mailbox or outbox has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) count: u64,
    pub(crate) most: u64,
    /// Its unit, for people.
    pub(crate) of: &'static str,
}

impl Mailbox {
    /// Mailbox with one lane.
    pub(crate) fn new() -> Self {
        Self {
            lanes: vec![Lane::default()],
            lanes_wanted: 1,
            order: None,
            order_wanted: None,
            open: BTreeSet::new(),
            keys: HashMap::new(),
            hasher: RandomState::new(),
            next_sequence: 1,
            posts_max: ROUTE_MAILBOX_MESSAGES_MAX,
            bytes_max: ROUTE_MAILBOX_BYTES_MAX,
            admitted: (0, 0),
            batches: Batches::default(),
            room: None,
        }
    }

    /// Has its part of this room from now on.
    pub(crate) fn share(&mut self, room: MailboxRoom) {
        self.room = Some(room);
    }

    /// Sets how many messages and bytes may wait in memory alone; those that wait already stay.
    pub(crate) fn bound(&mut self, posts: usize, bytes: usize) {
        (self.posts_max, self.bytes_max) = (posts, bytes);
    }

    /// Sets how large the next batches are, and how long they wait for that.
    pub(crate) fn batch_by(&mut self, batches: Batches) {
        self.batches = batches;
    }

    /// Time for which a message waits until its batch is full.
    pub(crate) fn linger(&self) -> Duration {
        self.batches.linger
    }

    /// Sets the number of lanes. Until nothing is taken any more they stay as they are, and nothing
    /// more can be taken.
    pub(crate) fn lanes_are(&mut self, lanes: usize) {
        self.lanes_wanted = lanes.max(1);
        self.distribute();
    }

    /// Sets what the key of a message is, of those that wait already as well; as
    /// [`lanes_are`](Self::lanes_are) does it.
    pub(crate) fn order_by(&mut self, order: Option<OrderKey>) {
        self.order_wanted = order;
        self.distribute();
    }

    /// Notes whether the instance of a lane is connected, of one to come as well.
    pub(crate) fn lane_is(&mut self, lane: usize, is_open: bool) {
        match is_open {
            true => self.open.insert(lane),
            false => self.open.remove(&lane),
        };
    }

    /// Numbers of waiting messages and of their bytes, with 64 for each message.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        sum(self.lanes.iter().map(Lane::waiting))
    }

    /// The same of those that are ready: what takes them does not rest.
    pub(crate) fn ready(&self) -> (usize, usize) {
        sum(self.lanes.iter().map(Lane::ready))
    }

    /// The same of all messages that are not done, those with an instance as well.
    pub(crate) fn unfinished(&self) -> (usize, usize) {
        sum(self.lanes.iter().map(Lane::unfinished))
    }

    /// Since when the oldest message that is not done has waited, in lifetime milliseconds.
    pub(crate) fn unfinished_since_ms(&self) -> Option<u64> {
        self.lanes.iter().filter_map(Lane::unfinished_since_ms).min()
    }

    /// The same by what takes the messages.
    pub(crate) fn unfinished_since_ms_of_each(&self) -> BTreeMap<Addressee, u64> {
        let mut oldest: BTreeMap<Addressee, u64> = BTreeMap::new();
        for lane in &self.lanes {
            let mut last = None;
            // Messages of one event mostly follow each other.
            for (to, since_ms) in lane.unfinished_waits() {
                if last.replace(to) == Some(to) {
                    continue;
                }
                match oldest.get_mut(to) {
                    Some(known) => *known = since_ms.min(*known),
                    None => drop(oldest.insert(to.clone(), since_ms)),
                }
            }
        }
        oldest
    }

    /// When the next batch of a lane is due.
    pub(crate) fn due(&self, lane: usize) -> BatchDue {
        match self.lanes.get(lane) {
            Some(lane) if self.is_distributed() => lane.due(&self.batches),
            Some(_) | None => BatchDue::Never,
        }
    }

    /// Whether a message is ready in a lane that is before a sequence number.
    pub(crate) fn holds_before(&self, lane: usize, sequence: u64) -> bool {
        let lane = self.lanes.get(lane).filter(|_| self.is_distributed());
        lane.and_then(Lane::first_ready).is_some_and(|first| first < sequence)
    }

    /// Whether a message more is taken. The one that fills it is taken whole, as one that fills an
    /// outbox.
    pub(crate) fn has_room(&mut self) -> bool {
        let (posts, bytes) = self.occupied();
        let fits = posts < self.posts_max && bytes < self.bytes_max;
        fits && self.room.as_mut().is_none_or(|room| room.holds(bytes + 1))
    }

    /// Messages and bytes that wait, where that is as much as may, with the most of each.
    pub(crate) fn filled(&self) -> Option<Filled> {
        let (posts, bytes) = self.occupied();
        let (posts_max, bytes_max) = (self.posts_max, self.bytes_max);
        match (posts >= posts_max, bytes >= bytes_max) {
            (_, true) => Some(Filled { count: bytes as u64, most: bytes_max as u64, of: "bytes" }),
            (true, false) => Some(Filled { count: posts as u64, most: posts_max as u64, of: "messages" }),
            (false, false) => None,
        }
    }

    /// Number and bytes of waiting and admitted messages.
    fn occupied(&self) -> (usize, usize) {
        sum([self.waiting(), self.admitted].into_iter())
    }

    /// Keeps a place for a message of so many bytes that is on its way, if there is one: the bytes
    /// that it takes here.
    pub(crate) fn admit(&mut self, bytes: usize) -> Option<usize> {
        let kept = size_of(bytes);
        let has_room = self.has_room();
        if has_room {
            self.admitted = (self.admitted.0 + 1, self.admitted.1 + kept);
        }
        has_room.then_some(kept)
    }

    /// Ends what [`admit`](Self::admit) has kept: the message has come, or never will.
    pub(crate) fn is_not_admitted(&mut self, kept: usize) {
        self.admitted = (self.admitted.0 - 1, self.admitted.1 - kept);
    }

    /// Takes a message with its time of arrival in lifetime milliseconds; returns its lane. A
    /// caller that was not admitted asks for [room](Self::has_room) first.
    pub(crate) fn post(
        &mut self,
        to: Addressee,
        (message, waits_since_ms): (Arc<OwnedMessage>, u64),
        hops: u8,
    ) -> usize {
        let (_, bytes) = self.waiting();
        // The sum of all mailboxes is exceeded by the message that fills it.
        self.room.as_mut().map(|room| room.holds(bytes + size(&message)));
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let linger = self.batches.linger;
        let ripe_at = if linger.is_zero() { None } else { Some(Instant::now() + linger) };
        let post = RouteMessage {
            to,
            message,
            waits_since_ms,
            hops,
            sequence,
            ripe_at,
            panics: 0,
            retries: None,
            stored_bytes: None,
            order_hash: None,
        };
        self.put(post).0
    }

    /// Whether the sum of all mailboxes has room for so many bytes more than what waits here, of
    /// what is in the store as well.
    pub(crate) fn holds_besides(&mut self, bytes: u64) -> bool {
        let (_, waiting) = self.waiting();
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.room.as_mut().is_none_or(|room| room.holds(waiting.saturating_add(bytes)))
    }

    /// Numbers the next message that is posted with `sequence`, unless a higher number was in use.
    pub(crate) fn number_from(&mut self, sequence: u64) {
        self.next_sequence = self.next_sequence.max(sequence);
    }

    /// Puts messages that were read from the store to the places of their numbers; they are not
    /// refused.
    pub(crate) fn page_in(&mut self, posts: impl Iterator<Item = RouteMessage>) {
        let linger = self.batches.linger;
        let ripe_at = if linger.is_zero() { None } else { Some(Instant::now() + linger) };
        let mut is_sorted = true;
        for post in posts {
            self.next_sequence = self.next_sequence.max(post.sequence.saturating_add(1));
            is_sorted &= self.put(RouteMessage { ripe_at, ..post }).1;
        }
        // Messages in memory alone may have overtaken them.
        if !is_sorted {
            self.lanes.iter_mut().for_each(Lane::settle);
        }
    }

    /// Takes the messages in front of each lane that have waited since before this time, in
    /// lifetime milliseconds.
    pub(crate) fn take_older(&mut self, since_ms: u64) -> Vec<RouteMessage> {
        let taken: Vec<RouteMessage> =
            self.lanes.iter_mut().flat_map(|lane| lane.take_older(since_ms)).collect();
        if self.lanes.len() > 1 {
            for post in &taken {
                self.forget_key_of(post);
            }
        }
        taken
    }

    /// Takes the oldest messages that wait, `most` at most, with sequence numbers below `before`
    /// and that of the first which an instance has.
    pub(crate) fn take_oldest(&mut self, most: usize, before: u64) -> Vec<RouteMessage> {
        let end = self.lanes.iter().filter_map(Lane::first_taken).fold(before, u64::min);
        let mut taken = Vec::new();
        while taken.len() < most {
            let firsts = self.lanes.iter_mut().filter_map(|lane| Some((lane.first()?, lane)));
            let oldest = firsts.filter(|(first, _)| *first < end).min_by_key(|(first, _)| *first);
            let Some(post) = oldest.and_then(|(_, lane)| lane.take_first()) else { break };
            taken.push(post);
        }
        if self.lanes.len() > 1 {
            for post in &taken {
                self.forget_key_of(post);
            }
        }
        taken
    }

    /// Messages that wait.
    pub(crate) fn posts(&self) -> impl Iterator<Item = &RouteMessage> {
        self.lanes.iter().flat_map(Lane::posts)
    }

    /// Whether an instance has messages.
    pub(crate) fn has_taken(&self) -> bool {
        self.lanes.iter().any(Lane::has_taken)
    }

    /// Since when the oldest message has waited, in lifetime milliseconds.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.lanes.iter().filter_map(Lane::oldest_ms).min()
    }

    /// Puts a message behind the others of its lane, which this gives, and whether all there have
    /// lower numbers.
    fn put(&mut self, mut post: RouteMessage) -> (usize, bool) {
        post.order_hash = self.order.as_ref().map(|order| order.hash(&post.message.topic, &self.hasher));
        let lane = if self.lanes.len() == 1 { 0 } else { self.lane_of_key(&post) };
        let is_last = self.lanes[lane].push(post);
        (lane, is_last)
    }

    /// Lane of the key of a message, which counts from now on.
    fn lane_of_key(&mut self, post: &RouteMessage) -> usize {
        let key = self.hasher.hash_one(post.key());
        if let Some(in_use) = self.keys.get_mut(&key) {
            in_use.posts += 1;
            return in_use.lane;
        }
        let lane = self.emptiest();
        self.keys.insert(key, KeyInUse { lane, posts: 1 });
        lane
    }

    /// Lane that the first message of a key goes to.
    fn emptiest(&self) -> usize {
        let lanes = self.lanes.iter().enumerate();
        let best = lanes.min_by_key(|(index, lane)| (!self.open.contains(index), lane.load()));
        best.map_or(0, |(index, _)| index)
    }

    /// Sequence number of the first message that is not done.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.lanes.iter().filter_map(Lane::oldest).min()
    }

    /// Sequence number that the next message gets.
    #[cfg(test)]
    fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Takes the next messages of a lane with a sequence number below `before`; empty when none
    /// waits. All of them are to be [`done`](Self::done) or put back before the next are taken.
    pub(crate) fn take(&mut self, lane: usize, before: u64) -> Vec<RouteMessage> {
        let is_distributed = self.is_distributed();
        let taken = match self.lanes.get_mut(lane) {
            Some(lane) if is_distributed => lane.take(before, &self.batches),
            Some(_) | None => return Vec::new(),
        };
        self.room_shrinks();
        taken
    }

    /// Gives back what is not needed any more of the room of all.
    fn room_shrinks(&mut self) {
        let (_, bytes) = self.waiting();
        self.room.iter_mut().for_each(|room| room.shrinks(bytes));
    }

    /// The first messages of what was taken, these, are done.
    pub(crate) fn done(&mut self, lane: usize, posts: &[RouteMessage]) {
        let Some(last) = posts.last() else { return };
        self.lanes[lane].done_up_to(last.sequence);
        if self.lanes.len() > 1 {
            for post in posts {
                self.forget_key_of(post);
            }
        }
        self.distribute();
    }

    fn forget_key_of(&mut self, post: &RouteMessage) {
        let key = self.hasher.hash_one(post.key());
        if let Some(in_use) = self.keys.get_mut(&key) {
            in_use.posts -= 1;
            if in_use.posts == 0 {
                self.keys.remove(&key);
            }
        }
    }

    /// Puts the last messages of what was taken back to the front of their lane; they are not
    /// refused. Returns whether their taker backs off.
    pub(crate) fn put_back(&mut self, lane: usize, batch: VecDeque<RouteMessage>, how: PutBack) -> bool {
        if batch.is_empty() {
            return false;
        }
        let backs_off = self.lanes[lane].put_back(batch, how);
        self.distribute();
        backs_off
    }

    /// Separates messages that have failed together, and are going to be put back, by their takers.
    pub(crate) fn separate(&mut self, lane: usize, batch: &VecDeque<RouteMessage>) {
        self.lanes[lane].separate(batch);
    }

    /// Forgets what has failed so far: there is another version.
    pub(crate) fn begin_anew(&mut self) {
        self.lanes.iter_mut().for_each(Lane::begin_anew);
    }

    /// Retries takers that back off at once.
    pub(super) fn end_pauses(&mut self) {
        self.lanes.iter_mut().for_each(Lane::end_pauses);
    }

    /// Notes what has got something done.
    pub(crate) fn have_passed<'a>(&mut self, lane: usize, events: impl Iterator<Item = &'a Addressee>) {
        events.for_each(|to| self.lanes[lane].has_passed(to));
    }

    /// Hands what waits in a lane over to those that are open, because its own instance finds no
    /// way; false where none is, or while something of it is taken.
    pub(crate) fn hand_over(&mut self, from: usize) -> bool {
        let lanes = self.lanes.len();
        let is_other_open = self.open.iter().any(|lane| *lane != from && *lane < lanes);
        let Some(lane) = self.lanes.get_mut(from).filter(|lane| is_other_open && !lane.has_taken()) else {
            return false;
        };
        let posts = lane.empty();
        self.open.remove(&from);
        let has_any = !posts.is_empty();
        for post in &posts {
            self.forget_key_of(post);
        }
        for post in posts {
            self.put(post);
        }
        self.lanes.iter_mut().for_each(Lane::settle);
        has_any
    }

    /// Whether there are as many lanes as there are to be, and each message in that of its key.
    pub(crate) fn is_distributed(&self) -> bool {
        self.lanes.len() == self.lanes_wanted && self.order == self.order_wanted
    }

    /// Creates the wanted number of lanes if nothing is taken. Batches that were split are tried as
    /// a whole again.
    fn distribute(&mut self) {
        if self.is_distributed() || self.lanes.iter().any(Lane::has_taken) {
            return;
        }
        let mut posts: Vec<RouteMessage> = self.lanes.iter_mut().flat_map(Lane::empty).collect();
        posts.sort_by_key(|post| post.sequence);
        self.lanes.resize_with(self.lanes_wanted, Lane::default);
        self.order.clone_from(&self.order_wanted);
        self.keys.clear();
        for post in posts {
            self.put(post);
        }
    }

    /// Drops all messages that wait; returns their number.
    pub(crate) fn clear(&mut self) -> usize {
        self.keys.clear();
        let dropped = self.lanes.iter_mut().map(|lane| lane.empty().len()).sum();
        self.room_shrinks();
        dropped
    }
}

fn sum(figures: impl Iterator<Item = (usize, usize)>) -> (usize, usize) {
    figures.fold((0, 0), |(posts, bytes), (more_posts, more_bytes)| (posts + more_posts, bytes + more_bytes))
}

#[cfg(test)]
mod tests;
