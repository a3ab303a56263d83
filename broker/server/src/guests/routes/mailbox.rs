//! Mailbox of one route: messages for its events, and rows to be stored, in the order in which they came.
//!
//! Invariant: never more messages or bytes than the bounds say. Policy when full: the arriving message is refused, counted and told; what
//! waits survives a replacement of the route, not a restart. An outbox on disk comes with store-and-forward (routes reference §3.5).

use std::collections::VecDeque;
use std::sync::Arc;

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
}

/// Part of the route that takes a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Addressee {
    /// The event of this name.
    Event(Arc<str>),
    /// The table of this name, at the far side: the message is a row of it.
    Table(Arc<str>),
}

/// Mailbox of a route.
#[derive(Debug)]
pub(crate) struct Mailbox {
    posts: VecDeque<Post>,
    bytes: usize,
    next_sequence: u64,
    /// Most messages: `OVERLOAD_CAPACITY` of the route, or the broker's own bound.
    posts_max: usize,
    /// Sizes of the next batches: parts of one that was refused, until it is found what cannot pass.
    parts: VecDeque<usize>,
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
            parts: VecDeque::new(),
        }
    }

    /// Sets how many messages may wait; those that wait already stay.
    pub(crate) fn bound(&mut self, capacity: Option<usize>) {
        self.posts_max = capacity.unwrap_or(ROUTE_MAILBOX_MESSAGES_MAX).min(ROUTE_MAILBOX_MESSAGES_MAX);
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
        self.posts.push_back(Post { to, message, hops, sequence });
        Ok(())
    }

    /// Sequence number of the first waiting message.
    pub(super) fn first_sequence(&self) -> Option<u64> {
        self.posts.front().map(|post| post.sequence)
    }

    /// Sequence number that the next message gets.
    pub(super) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Takes the next messages with a sequence number below `before`; empty when none waits.
    pub(crate) fn take(&mut self, before: u64) -> Vec<Post> {
        let batch_max = self.parts.front().copied().unwrap_or(ROUTE_BATCH_MAX);
        let mut bytes = 0;
        let fits = |post: &&Post| {
            let is_first = bytes == 0;
            bytes += size(&post.message);
            post.sequence < before && (is_first || bytes <= ROUTE_BATCH_BYTES_MAX)
        };
        let fitting = self.posts.iter().take(batch_max).take_while(fits).count();
        let batch: Vec<Post> = self.posts.drain(..fitting).collect();
        self.bytes -= batch.iter().map(|post| size(&post.message)).sum::<usize>();
        if let Some(part) = self.parts.front_mut() {
            *part -= batch.len();
            if *part == 0 || self.posts.is_empty() {
                self.parts.pop_front();
            }
        }
        batch
    }

    /// Puts messages that were taken back to the front; they are not refused.
    pub(crate) fn put_back(&mut self, batch: Vec<Post>) {
        for post in batch.into_iter().rev() {
            self.bytes += size(&post.message);
            self.posts.push_front(post);
        }
    }

    /// Puts messages that were refused together back to the front, to be taken by halves: after some twenty calls it is known which of a thousand cannot pass.
    pub(crate) fn put_back_halved(&mut self, batch: Vec<Post>) {
        let half = batch.len() / 2;
        for part in [batch.len() - half, half] {
            if part > 0 {
                self.parts.push_front(part);
            }
        }
        self.put_back(batch);
    }

    /// Drops all messages; returns their number.
    pub(crate) fn clear(&mut self) -> usize {
        self.bytes = 0;
        self.parts.clear();
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
                    _ if batch.iter().any(|post| post.sequence == bad + 1) => mailbox.put_back_halved(batch),
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
        mailbox.put_back_halved(batch[1..3].to_vec());
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
