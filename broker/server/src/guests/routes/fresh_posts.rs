//! Fresh posts of an outbox: messages at its end that are in memory since they entered, so that a route which keeps up reads nothing back.
//!
//! Invariant: while there are any, all are here that were not read and have a number below the first that was missed. Whoever keeps them takes none more until everything
//! that was missed is read.

use std::collections::VecDeque;

use super::mailbox::Post;
use super::outbox::Amount;

/// Messages in the order of their numbers.
#[derive(Debug, Default)]
pub(in crate::guests) struct FreshPosts {
    posts: VecDeque<Post>,
    amount: Amount,
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

    /// Keeps a message; of several threads they need not come in order.
    pub(super) fn keep(&mut self, post: Post) {
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
    pub(super) fn misses(&mut self, sequence: u64) {
        while let Some(post) = self.posts.pop_back_if(|post| post.sequence > sequence) {
            self.amount.remove(Self::amount_of(&post));
        }
    }

    /// Takes the messages with numbers below `before`.
    pub(super) fn take_below(&mut self, before: u64) -> Vec<Post> {
        let taken = self.posts.partition_point(|post| post.sequence < before);
        let taken: Vec<Post> = self.posts.drain(..taken).collect();
        taken.iter().for_each(|post| self.amount.remove(Self::amount_of(post)));
        taken
    }
}
