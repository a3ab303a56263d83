//! Fresh posts of an outbox: messages at its end that are in memory since they entered, so that a
//! route which keeps up reads nothing back.
//!
//! They are one range of the queue. The store is read first for messages below its first number. So
//! a route that has fallen behind keeps up again, even if the queue is never empty:
//!
//! ```text
//! read │ gap: to be read │ fresh │ missed: the next gap
//!                        └ from
//! ```
//!
//! Threads of Clients note them, and a thread of routes makes posts of them. Memory that one thread
//! allocates and another frees costs both more than the copy.
//!
//! Invariant: all messages with a number from `from` on, and below the first missed one, are here
//! until they are taken. None is taken before the gap is read.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use lotmq_changes::MessageId;
use lotmq_host::OwnedMessage;

use super::mailbox::{Addressee, RouteMessage};
use super::outbox::Amount;
use crate::limits::ROUTE_FRESH_CHUNK_BYTES;

/// Message that is noted for a route.
#[derive(Debug)]
pub(crate) struct BufferedMessage {
    pub(crate) to: Addressee,
    /// Its payload and properties lie among those of others.
    pub(crate) message: OwnedMessage,
    /// Since when it has waited, in lifetime milliseconds.
    pub(crate) waits_since_ms: u64,
    /// Number of guest runs that led to it.
    pub(crate) hops: u8,
    pub(crate) sequence: u64,
    /// Bytes that it counts for in the outbox.
    pub(crate) stored_bytes: u64,
}

impl BufferedMessage {
    fn amount(&self) -> Amount {
        Amount { messages: 1, bytes: self.stored_bytes }
    }

    /// The post, whose bytes are its own.
    fn into_post(self) -> RouteMessage {
        let payload = FreshBytes::own(self.message.payload);
        let mut extras = self.message.extras;
        if let Some(extras) = &mut extras {
            extras.properties = FreshBytes::own(std::mem::take(&mut extras.properties));
        }
        RouteMessage {
            to: self.to,
            message: Arc::new(OwnedMessage { payload, extras, ..self.message }),
            waits_since_ms: self.waits_since_ms,
            hops: self.hops,
            sequence: self.sequence,
            ripe_at: None,
            panics: 0,
            retries: None,
            stored_bytes: Some(self.stored_bytes),
            order_hash: None,
        }
    }
}

/// Memory of the payloads and properties of messages that come one after the other.
#[derive(Debug, Default)]
pub(crate) struct FreshBytes(BytesMut);

impl FreshBytes {
    /// A copy.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.len() >= ROUTE_FRESH_CHUNK_BYTES {
            return Bytes::copy_from_slice(bytes);
        }
        if self.0.capacity() < bytes.len() {
            self.0 = BytesMut::with_capacity(ROUTE_FRESH_CHUNK_BYTES);
        }
        self.0.extend_from_slice(bytes);
        self.0.split().freeze()
    }

    /// The same bytes in memory of their own, where a [`copy`](Self::copy) has them among others.
    fn own(bytes: Bytes) -> Bytes {
        if bytes.len() >= ROUTE_FRESH_CHUNK_BYTES { bytes } else { Bytes::copy_from_slice(&bytes) }
    }
}

/// Messages in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct MemoryBuffer {
    posts: VecDeque<BufferedMessage>,
    bytes: FreshBytes,
    amount: Amount,
    /// Number at which the stretch begins; `None` where there is none.
    from: Option<MessageId>,
    /// Messages that have entered below it and were not read.
    gap: Amount,
    /// Whether something behind the messages was missed.
    has_missed: bool,
}

impl MemoryBuffer {
    /// Number and bytes of the messages, as they count in the outbox.
    pub(super) fn amount(&self) -> Amount {
        self.amount
    }

    /// Begins a stretch, where there is none, behind what has entered and was not read; `highest`
    /// is the highest number of those that have entered.
    pub(super) fn begin(&mut self, unread: Amount, highest: MessageId) {
        if self.from.is_none() {
            let is_first = unread.messages == 0;
            let behind = MessageId(highest.0.saturating_add(1));
            self.from = Some(if is_first { MessageId(0) } else { behind });
            self.gap = unread;
        }
    }

    /// Takes notice of a message that enters; `post` makes of it what is kept, where there is room
    /// for that.
    pub(super) fn enters(
        &mut self,
        (id, bytes): (MessageId, u64),
        has_room: bool,
        post: impl FnOnce(&mut FreshBytes) -> BufferedMessage,
    ) {
        match self.from {
            Some(from) if id < from => self.gap.add(Amount { messages: 1, bytes }),
            Some(_) if has_room && !self.has_missed => {
                let post = post(&mut self.bytes);
                self.keep(post);
            }
            Some(_) => self.misses(id.0),
            None => {}
        }
    }

    /// Keeps a message; of several threads they need not come in order.
    fn keep(&mut self, post: BufferedMessage) {
        self.amount.add(post.amount());
        let is_last = self.posts.back().is_none_or(|last| last.sequence < post.sequence);
        let place = if is_last {
            self.posts.len()
        } else {
            self.posts.partition_point(|other| other.sequence < post.sequence)
        };
        self.posts.insert(place, post);
    }

    /// Notes that a message is not kept: those behind it would overtake it, so they go.
    fn misses(&mut self, sequence: u64) {
        self.has_missed = true;
        while let Some(post) = self.posts.pop_back_if(|post| post.sequence > sequence) {
            self.amount.remove(post.amount());
        }
        self.end_if_empty();
    }

    /// Number at which reading from the store ends; `None` where it has no end here.
    pub(super) fn reading_ends(&self) -> Option<MessageId> {
        self.from.filter(|_| self.gap.messages > 0)
    }

    /// Whether messages are to be taken before more is read.
    pub(super) fn are_next(&self) -> bool {
        self.gap.messages == 0 && !self.posts.is_empty()
    }

    /// Notes that so much was read from the store.
    pub(super) fn has_read(&mut self, read: Amount) {
        self.gap.remove(read);
        self.end_if_empty();
    }

    /// Notes that the whole gap was read; gives what was counted there and has never come to the
    /// disk.
    pub(super) fn gap_is_read(&mut self) -> Amount {
        let never_came = std::mem::take(&mut self.gap);
        self.end_if_empty();
        never_came
    }

    /// Takes the messages with numbers below `before`, if nothing in front of them is to be read;
    /// with what they count for.
    pub(super) fn take_below(&mut self, before: u64) -> (Vec<RouteMessage>, Amount) {
        let mut amount = Amount::default();
        if self.gap.messages > 0 {
            return (Vec::new(), amount);
        }
        let count = self.posts.partition_point(|post| post.sequence < before);
        let taken = self.posts.drain(..count).inspect(|post| amount.add(post.amount()));
        let taken = taken.map(BufferedMessage::into_post).collect();
        self.amount.remove(amount);
        self.end_if_empty();
        (taken, amount)
    }

    /// Resets the range if it is empty and either messages were missed or nothing is to be read
    /// before it. The next message begins a new one.
    fn end_if_empty(&mut self) {
        if self.posts.is_empty() && (self.has_missed || self.gap.messages == 0) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_host::MessageExtras;

    #[test]
    fn messages_lie_one_behind_the_other_and_long_ones_apart() {
        let mut memory = FreshBytes::default();
        let (first, second) = (memory.copy(b"abc"), memory.copy(b"de"));
        assert_eq!((&first[..], &second[..]), (&b"abc"[..], &b"de"[..]));
        assert_eq!(first.as_ptr().wrapping_add(3), second.as_ptr(), "one piece");
        let long = memory.copy(&vec![7; ROUTE_FRESH_CHUNK_BYTES]);
        assert_eq!(FreshBytes::own(long.clone()).as_ptr(), long.as_ptr(), "it is its own");
        let third = memory.copy(b"f");
        assert_eq!(second.as_ptr().wrapping_add(2), third.as_ptr());
        let nearly = memory.copy(&vec![8; ROUTE_FRESH_CHUNK_BYTES - 1]);
        assert_eq!((nearly.len(), &third[..]), (ROUTE_FRESH_CHUNK_BYTES - 1, &b"f"[..]), "in the next piece");
    }

    #[test]
    fn a_post_keeps_no_memory_of_others() {
        let mut memory = FreshBytes::default();
        let message = OwnedMessage {
            extras: MessageExtras::of(None, memory.copy(b"p"), None),
            ..OwnedMessage::new("t", memory.copy(b"x"))
        };
        let (payload, properties) = (message.payload.as_ptr(), message.properties().as_ptr());
        let to = Addressee::Event("e".into());
        let post = BufferedMessage { to, message, waits_since_ms: 1, hops: 2, sequence: 3, stored_bytes: 4 }
            .into_post();
        assert_eq!((&post.message.payload[..], post.message.properties()), (&b"x"[..], &b"p"[..]));
        assert!(post.message.payload.as_ptr() != payload && post.message.properties().as_ptr() != properties);
        assert_eq!((post.waits_since_ms, post.hops, post.sequence, post.stored_bytes), (1, 2, 3, Some(4)));
    }
}
