//! Fresh posts of an outbox: messages at its end that are in memory since they entered, so that a route which keeps up reads nothing back.
//!
//! They are one stretch of the queue. What is below its first number is read from the store beforehand, so a route that has fallen behind keeps up again without a
//! moment in which nothing waits:
//!
//! ```text
//! read │ gap: to be read │ fresh │ missed: the next gap
//!                        └ from
//! ```
//!
//! Invariant: all that entered with a number from `from` on, and below the first that was missed, are here until they are taken; none is taken before the gap is read.

use std::collections::VecDeque;

use lotmq_store::MessageId;

use super::mailbox::Post;
use super::outbox::Amount;

/// Messages in the order of their numbers.
#[derive(Debug, Default)]
pub(in crate::guests) struct FreshPosts {
    posts: VecDeque<Post>,
    amount: Amount,
    /// Number at which the stretch begins; `None` where there is none.
    from: Option<MessageId>,
    /// What has entered below it and was not read.
    gap: Amount,
    /// Whether something behind the messages was missed.
    has_missed: bool,
}

impl FreshPosts {
    /// Number and bytes of the messages, as they count in the outbox.
    pub(super) fn amount(&self) -> Amount {
        self.amount
    }

    /// What a message counts for.
    pub(super) fn amount_of(post: &Post) -> Amount {
        Amount { messages: 1, bytes: post.stored_bytes.unwrap_or_default() }
    }

    /// Begins a stretch, where there is none, behind what has entered and was not read; `highest` is the highest number of those that have entered.
    pub(super) fn begin(&mut self, unread: Amount, highest: MessageId) {
        if self.from.is_none() {
            let is_first = unread.messages == 0;
            let behind = MessageId(highest.0.saturating_add(1));
            self.from = Some(if is_first { MessageId(0) } else { behind });
            self.gap = unread;
        }
    }

    /// Takes notice of a message that enters; `post` makes of it what is kept, where there is room for that.
    pub(super) fn enters(
        &mut self,
        (id, bytes): (MessageId, u64),
        has_room: bool,
        post: impl FnOnce() -> Post,
    ) {
        match self.from {
            Some(from) if id < from => self.gap.add(Amount { messages: 1, bytes }),
            Some(_) if has_room && !self.has_missed => self.keep(post()),
            Some(_) => self.misses(id.0),
            None => {}
        }
    }

    /// Keeps a message; of several threads they need not come in order.
    fn keep(&mut self, post: Post) {
        self.amount.add(Self::amount_of(&post));
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
            self.amount.remove(Self::amount_of(&post));
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

    /// Notes that the whole gap was read; gives what was counted there and has never come to the disk.
    pub(super) fn gap_is_read(&mut self) -> Amount {
        let never_came = std::mem::take(&mut self.gap);
        self.end_if_empty();
        never_came
    }

    /// Takes the messages with numbers below `before`, if nothing in front of them is to be read.
    pub(super) fn take_below(&mut self, before: u64) -> Vec<Post> {
        if self.gap.messages > 0 {
            return Vec::new();
        }
        let taken = self.posts.partition_point(|post| post.sequence < before);
        let taken: Vec<Post> = self.posts.drain(..taken).collect();
        taken.iter().for_each(|post| self.amount.remove(Self::amount_of(post)));
        self.end_if_empty();
        taken
    }

    /// Where nothing is kept and none may come, or nothing is to be read before it, the next message begins a stretch.
    fn end_if_empty(&mut self) {
        if self.posts.is_empty() && (self.has_missed || self.gap.messages == 0) {
            *self = Self::default();
        }
    }
}
