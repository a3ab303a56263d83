//! Mailbox of one route: messages for its events, and rows to be stored, in the order in which they came.
//!
//! Invariants: never more messages or bytes than the bounds say, but for what is put back; the order is that of the sequence numbers. Policy when full: the arriving
//! message is refused, counted and told. What waits survives a replacement of the route; of a restart what was promised (`promised`), which each message holds as
//! long as it waits or is on its way.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lot_facts::{RouteBlock, RouteFacts, Taker};
use lotmq_host::OwnedMessage;

use crate::limits::{
    ROUTE_BATCH_BYTES_MAX, ROUTE_BATCH_MAX, ROUTE_MAILBOX_BYTES_MAX, ROUTE_MAILBOX_MESSAGES_MAX,
};

/// Message on its way to the far side.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) to: Addressee,
    pub(crate) message: Arc<OwnedMessage>,
    /// Number of guest runs that led to it.
    pub(crate) hops: u8,
    /// Sequence number, which stays the same after a retry.
    pub(crate) sequence: u64,
    /// When it goes in a batch that is not full; `None` at once.
    pub(in crate::guests) ripe_at: Option<Instant>,
    /// How often the driver ended by a panic when it worked on this message alone.
    pub(in crate::guests) panics: u8,
}

/// Part of the route that takes a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Addressee {
    /// The event of this name.
    Event(Arc<str>),
    /// The mapping of this name, which has no tags.
    Mapping(Arc<str>),
    /// The tag of this name in the mapping of the first: the message is its value.
    Tag(Arc<str>, Arc<str>),
    /// The table of this name, at the far side: the message is a row of it.
    Table(Arc<str>),
}

impl From<Taker<'_>> for Addressee {
    fn from(taker: Taker<'_>) -> Self {
        match taker {
            Taker::Event(name) => Self::Event(name.into()),
            Taker::Mapping(name) => Self::Mapping(name.into()),
            Taker::Tag { mapping, tag } => Self::Tag(mapping.into(), tag.into()),
        }
    }
}

impl Addressee {
    /// What the definition says of it; nothing of a table, and of what is there no more.
    pub(in crate::guests) fn block<'a>(&self, said: &'a RouteFacts) -> Option<&'a RouteBlock> {
        match self {
            Self::Event(name) => said.event(name),
            Self::Mapping(name) => said.mapping(name),
            Self::Tag(mapping, name) => said.mapping(mapping)?.tags.iter().find(|tag| tag.name == **name),
            Self::Table(_) => None,
        }
    }
}

/// Bounds of the batches that a guest gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::guests) struct Batches {
    /// Most messages.
    pub(in crate::guests) messages: usize,
    /// Most bytes, with 64 for each message, unless the first alone has more.
    pub(in crate::guests) bytes: usize,
    /// Time for which the first message waits until the batch is full.
    pub(in crate::guests) linger: Duration,
}

impl Default for Batches {
    fn default() -> Self {
        Self { messages: ROUTE_BATCH_MAX, bytes: ROUTE_BATCH_BYTES_MAX, linger: Duration::ZERO }
    }
}

/// Mailbox of a route.
#[derive(Debug)]
pub(crate) struct Mailbox {
    posts: VecDeque<Post>,
    bytes: usize,
    next_sequence: u64,
    /// Most messages: `OVERLOAD_CAPACITY` of the route, or the broker's own bound.
    posts_max: usize,
    batches: Batches,
    /// Sequence numbers at which a new batch begins: bounds of the parts of one that was refused, until it is found what cannot pass. They hold however often a
    /// part is tried.
    cuts: BTreeSet<u64>,
}

/// Error: the mailbox is full; with the number of messages that wait.
#[derive(Debug, PartialEq)]
pub(crate) struct Full(pub(crate) usize);

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self {
            posts: VecDeque::new(),
            bytes: 0,
            next_sequence: 1,
            posts_max: ROUTE_MAILBOX_MESSAGES_MAX,
            batches: Batches::default(),
            cuts: BTreeSet::new(),
        }
    }

    /// Sets how many messages may wait; those that wait already stay.
    pub(crate) fn bound(&mut self, capacity: Option<usize>) {
        self.posts_max = capacity.unwrap_or(ROUTE_MAILBOX_MESSAGES_MAX).min(ROUTE_MAILBOX_MESSAGES_MAX);
    }

    /// Sets how large the next batches are, and how long they wait for that.
    pub(in crate::guests) fn batch_by(&mut self, batches: Batches) {
        self.batches = batches;
    }

    /// Numbers of waiting messages and of their bytes, with 64 for each message.
    pub(in crate::guests) fn waiting(&self) -> (usize, usize) {
        (self.posts.len(), self.bytes)
    }

    /// When the next batch, which is not full yet, is due; `None` where it is due at once. What comes again, parts of what was refused and what somebody's question is
    /// behind do not wait.
    pub(in crate::guests) fn due_at(&self) -> Option<Instant> {
        let Batches { messages, bytes, linger } = self.batches;
        let first = self.posts.front()?;
        let is_full = self.posts.len() >= messages || self.bytes >= bytes;
        let is_part = self.cuts.last().is_some_and(|cut| *cut > first.sequence);
        first.ripe_at.filter(|at| !is_full && !is_part && !linger.is_zero() && *at > Instant::now())
    }

    /// Whether a small message more is taken.
    pub(crate) fn has_room(&self) -> bool {
        self.posts.len() < self.posts_max && self.bytes < ROUTE_MAILBOX_BYTES_MAX
    }

    pub(crate) fn post(&mut self, to: Addressee, message: Arc<OwnedMessage>, hops: u8) -> Result<(), Full> {
        let bytes = size(&message);
        let fits = self.posts.len() < self.posts_max
            && (self.posts.is_empty() || self.bytes + bytes <= ROUTE_MAILBOX_BYTES_MAX);
        if !fits {
            return Err(Full(self.posts.len()));
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.bytes += bytes;
        let linger = self.batches.linger;
        let ripe_at = if linger.is_zero() { None } else { Some(Instant::now() + linger) };
        self.posts.push_back(Post { to, message, hops, sequence, ripe_at, panics: 0 });
        Ok(())
    }

    /// Sequence number of the first waiting message.
    pub(in crate::guests) fn first_sequence(&self) -> Option<u64> {
        self.posts.front().map(|post| post.sequence)
    }

    /// Sequence number that the next message gets.
    pub(in crate::guests) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Takes the next messages with a sequence number below `before`; empty when none waits.
    pub(crate) fn take(&mut self, before: u64) -> Vec<Post> {
        let Some(first) = self.first_sequence() else { return Vec::new() };
        while self.cuts.first().is_some_and(|cut| *cut <= first) {
            self.cuts.pop_first();
        }
        let end = self.cuts.first().map_or(before, |cut| before.min(*cut));
        let mut bytes = 0;
        let fits = |post: &&Post| {
            let is_first = bytes == 0;
            bytes += size(&post.message);
            post.sequence < end && (is_first || bytes <= self.batches.bytes)
        };
        let fitting = self.posts.iter().take(self.batches.messages).take_while(fits).count();
        let batch: Vec<Post> = self.posts.drain(..fitting).collect();
        self.bytes -= batch.iter().map(|post| size(&post.message)).sum::<usize>();
        batch
    }

    /// Puts messages that were taken back to the front; they are not refused.
    pub(crate) fn put_back(&mut self, batch: VecDeque<Post>) {
        for post in batch.into_iter().rev() {
            self.bytes += size(&post.message);
            self.posts.push_front(Post { ripe_at: None, ..post });
        }
    }

    /// Puts messages that were refused together back to the front, to be taken by halves: after some twenty calls it is known which of a thousand cannot pass.
    pub(crate) fn put_back_halved(&mut self, batch: VecDeque<Post>) {
        let middle = batch.get(batch.len().div_ceil(2)).map(|post| post.sequence);
        let behind = batch.back().map(|post| post.sequence + 1);
        self.cuts.extend(middle.into_iter().chain(behind));
        self.put_back(batch);
    }

    /// Drops all messages; returns their number.
    pub(crate) fn clear(&mut self) -> usize {
        self.bytes = 0;
        self.cuts.clear();
        std::mem::take(&mut self.posts).len()
    }
}

fn size(message: &OwnedMessage) -> usize {
    /// Bytes that a message takes besides its own.
    const OVERHEAD: usize = 64;
    message.bytes() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &[u8]) -> Arc<OwnedMessage> {
        Arc::new(OwnedMessage::new("t", payload.to_vec()))
    }

    fn event() -> Addressee {
        Addressee::Event("e".into())
    }

    fn sequences(batch: &[Post]) -> Vec<u64> {
        batch.iter().map(|post| post.sequence).collect()
    }

    #[test]
    fn who_cannot_pass_is_found_by_halves_and_the_order_is_kept() {
        for bad in [0, 1, 63, 500, 998, 999] {
            let mut mailbox = Mailbox::new();
            for _ in 0..1000 {
                mailbox.post(event(), message(b"x"), 0).unwrap();
            }
            let (mut passed, mut rejected, mut calls) = (Vec::new(), Vec::new(), 0);
            loop {
                let batch = mailbox.take(u64::MAX);
                if batch.is_empty() {
                    break;
                }
                calls += 1;
                match &batch[..] {
                    [post] if post.sequence == bad + 1 => rejected.push(post.sequence),
                    _ if batch.iter().any(|post| post.sequence == bad + 1) => {
                        mailbox.put_back_halved(batch.into())
                    }
                    _ => passed.extend(sequences(&batch)),
                }
            }
            assert_eq!((rejected, passed.len()), (vec![bad + 1], 999));
            assert!(passed.is_sorted());
            assert!(calls <= 1 + 2 * 10 + 1000 / ROUTE_BATCH_MAX, "{bad}: {calls} calls");
        }
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_one_message_always_fits() {
        let mut mailbox = Mailbox::new();
        let large = message(&vec![0; ROUTE_BATCH_BYTES_MAX + 1]);
        for message in [&message(b"x"), &large, &message(b"y"), &message(b"z")] {
            mailbox.post(event(), Arc::clone(message), 0).unwrap();
        }
        let taken: Vec<_> = std::iter::from_fn(|| Some(mailbox.take(u64::MAX)).filter(|it| !it.is_empty()))
            .map(|batch| sequences(&batch))
            .collect();
        assert_eq!(taken, [vec![1], vec![2], vec![3, 4]]);
    }

    #[test]
    fn what_was_taken_comes_again_in_its_order_and_alone_if_wanted() {
        let mut mailbox = Mailbox::new();
        for _ in 0..ROUTE_BATCH_MAX + 1 {
            mailbox.post(event(), message(b"x"), 0).unwrap();
        }
        let batch = mailbox.take(u64::MAX);
        assert_eq!(batch.len(), ROUTE_BATCH_MAX);
        mailbox.put_back_halved(batch[1..3].to_vec().into());
        assert_eq!(sequences(&mailbox.take(u64::MAX)), [2]);
        assert_eq!(sequences(&mailbox.take(u64::MAX)), [3]);
        assert_eq!(sequences(&mailbox.take(u64::MAX)), [ROUTE_BATCH_MAX as u64 + 1]);
        assert_eq!((mailbox.take(u64::MAX).len(), mailbox.bytes), (0, 0));

        let next = mailbox.next_sequence();
        for _ in 0..2 {
            mailbox.post(event(), message(b"x"), 0).unwrap();
        }
        assert_eq!(mailbox.first_sequence(), Some(next));
        assert_eq!(sequences(&mailbox.take(next + 1)), [next]);
        assert!(mailbox.take(next + 1).is_empty());
    }

    #[test]
    fn batches_are_as_large_as_the_route_says_and_wait_for_that() {
        let mut mailbox = Mailbox::new();
        mailbox.batch_by(Batches { messages: 3, bytes: 150, linger: Duration::from_secs(3600) });
        for payload in [&b"x"[..], b"x"] {
            mailbox.post(event(), message(payload), 0).unwrap();
        }
        assert!(mailbox.due_at().is_some(), "two are not three");
        mailbox.post(event(), message(b"x"), 0).unwrap();
        assert_eq!(mailbox.due_at(), None, "it is full");
        mailbox.post(event(), message(&[0; 200]), 0).unwrap();
        let batch = mailbox.take(u64::MAX);
        assert_eq!((sequences(&batch), mailbox.due_at()), (vec![1, 2], None), "the large one fills it");
        mailbox.put_back(batch[1..].to_vec().into());
        assert_eq!((sequences(&mailbox.take(u64::MAX)), mailbox.due_at()), (vec![2, 3], None));
        assert_eq!(sequences(&mailbox.take(u64::MAX)), [4]);
        mailbox.post(event(), message(b"x"), 0).unwrap();
        assert!(mailbox.due_at().is_some());
        mailbox.batch_by(Batches::default());
        assert_eq!(mailbox.due_at(), None, "the replacement does not wait");
    }

    #[test]
    fn a_part_that_is_tried_again_stays_that_part() {
        let mut mailbox = Mailbox::new();
        for _ in 0..8 {
            mailbox.post(event(), message(b"x"), 0).unwrap();
        }
        let batch = mailbox.take(u64::MAX);
        mailbox.put_back_halved(batch.into());
        for _ in 0..3 {
            let batch = mailbox.take(u64::MAX);
            assert_eq!(sequences(&batch), [1, 2, 3, 4]);
            mailbox.put_back(batch.into());
        }
        // The first two pass; what is left of the part comes without the other half.
        let batch = mailbox.take(u64::MAX);
        mailbox.put_back(batch[2..].to_vec().into());
        assert_eq!(sequences(&mailbox.take(u64::MAX)), [3, 4]);
        let batch = mailbox.take(u64::MAX);
        mailbox.put_back_halved(batch.into());
        assert_eq!(sequences(&mailbox.take(u64::MAX)), [5, 6]);
        assert_eq!(sequences(&mailbox.take(u64::MAX)), [7, 8]);
        for _ in 0..2 {
            mailbox.post(event(), message(b"x"), 0).unwrap();
        }
        assert_eq!(sequences(&mailbox.take(u64::MAX)), [9, 10]);
        assert!(mailbox.cuts.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut mailbox = Mailbox::new();
        mailbox.bound(Some(2));
        for _ in 0..2 {
            mailbox.post(event(), message(b"x"), 0).unwrap();
        }
        assert_eq!(mailbox.post(event(), message(b"x"), 0), Err(Full(2)));
        mailbox.bound(None);
        let large = message(&vec![0; ROUTE_MAILBOX_BYTES_MAX]);
        assert_eq!(mailbox.post(event(), Arc::clone(&large), 0), Err(Full(2)));
        mailbox.clear();
        assert_eq!(mailbox.post(event(), large, 0), Ok(()), "one always fits an empty mailbox");
    }
}
