//! Lane of a mailbox: what waits for one instance of the guest, and what that instance has taken.
//!
//! Invariants: what waits is in the order of its sequence numbers; one batch at most is taken at a time, and it was in front of what waits.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::post::{Addressee, Batches, Post};

/// When something can be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::guests) enum BatchDue {
    /// Not before something comes.
    Never,
    /// When the first message has waited long enough for its batch to fill.
    At(Instant),
    Now,
}

/// Message that an instance has taken.
#[derive(Clone, Debug)]
struct TakenPost {
    to: Addressee,
    sequence: u64,
    bytes: usize,
    /// Lifetime milliseconds.
    waits_since_ms: u64,
}

/// Lane of one instance.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) posts: VecDeque<Post>,
    /// Bytes of them.
    pub(super) bytes: usize,
    /// Messages that were taken and are neither done nor back.
    taken: VecDeque<TakenPost>,
    /// Sequence numbers at which a new batch begins: bounds of the parts of one that was refused, until it is found what cannot pass. They hold however often a
    /// part is tried.
    pub(super) cuts: BTreeSet<u64>,
    /// Sequence number of the first message of those with which the connection ended last.
    lost: Option<u64>,
}

impl Lane {
    /// Number of messages that wait or are taken.
    pub(super) fn load(&self) -> usize {
        self.posts.len() + self.taken.len()
    }

    pub(super) fn has_taken(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Number of the messages that are not done, with their bytes.
    pub(super) fn unfinished(&self) -> (usize, usize) {
        (self.load(), self.bytes + self.taken.iter().map(|taken| taken.bytes).sum::<usize>())
    }

    /// Since when the first message that is not done has waited, in lifetime milliseconds.
    pub(super) fn unfinished_since_ms(&self) -> Option<u64> {
        let waiting = self.posts.front().map(|post| post.waits_since_ms);
        waiting.into_iter().chain(self.taken.front().map(|taken| taken.waits_since_ms)).min()
    }

    /// Messages that are not done, by what takes them, with when they came in lifetime milliseconds: of each the oldest first.
    pub(super) fn unfinished_waits(&self) -> impl Iterator<Item = (&Addressee, u64)> {
        let taken = self.taken.iter().map(|taken| (&taken.to, taken.waits_since_ms));
        taken.chain(self.posts.iter().map(|post| (&post.to, post.waits_since_ms)))
    }

    /// Sequence number of the first message that waits.
    pub(super) fn first(&self) -> Option<u64> {
        self.posts.front().map(|post| post.sequence)
    }

    /// Sequence number of the first message that is not done.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.first().into_iter().chain(self.taken.front().map(|taken| taken.sequence)).min()
    }

    pub(super) fn push(&mut self, post: Post) {
        self.bytes += post.bytes();
        self.posts.push_back(post);
    }

    /// Whether no message before the last has a number above this.
    pub(super) fn is_last(&self, sequence: u64) -> bool {
        self.posts.iter().rev().nth(1).is_none_or(|before| before.sequence < sequence)
    }

    /// When the next batch is due. What comes again and parts of what was refused do not wait for a batch to fill.
    pub(super) fn due(&self, batches: &Batches) -> BatchDue {
        let Some(first) = self.posts.front() else { return BatchDue::Never };
        let is_full = self.posts.len() >= batches.messages || self.bytes >= batches.bytes;
        let is_part = self.cuts.last().is_some_and(|cut| *cut > first.sequence);
        let waits = |at: &Instant| !is_full && !is_part && !batches.linger.is_zero() && *at > Instant::now();
        first.ripe_at.filter(waits).map_or(BatchDue::Now, BatchDue::At)
    }

    /// Takes the next messages with a sequence number below `before`; empty when none waits.
    pub(super) fn take(&mut self, before: u64, batches: &Batches) -> Vec<Post> {
        let Some(first) = self.first() else { return Vec::new() };
        while self.cuts.first().is_some_and(|cut| *cut <= first) {
            self.cuts.pop_first();
        }
        let end = self.cuts.first().map_or(before, |cut| before.min(*cut));
        let mut bytes = 0;
        let fits = |post: &&Post| {
            let is_first = bytes == 0;
            bytes += post.bytes();
            post.sequence < end && (is_first || bytes <= batches.bytes)
        };
        let fitting = self.posts.iter().take(batches.messages).take_while(fits).count();
        let batch: Vec<Post> = self.posts.drain(..fitting).collect();
        self.bytes -= batch.iter().map(Post::bytes).sum::<usize>();
        self.taken.extend(batch.iter().map(|post| TakenPost {
            to: post.to.clone(),
            sequence: post.sequence,
            bytes: post.bytes(),
            waits_since_ms: post.waits_since_ms,
        }));
        batch
    }

    /// The first messages of the batch that was taken, up to this sequence number, are done.
    pub(super) fn done_up_to(&mut self, last: u64) {
        while self.taken.front().is_some_and(|taken| taken.sequence <= last) {
            self.taken.pop_front();
        }
    }

    /// Puts the last messages of the batch that was taken back; they are not refused.
    pub(super) fn put_back(&mut self, batch: VecDeque<Post>) {
        let (Some(first), Some(last)) = (batch.front(), batch.back().map(|post| post.sequence)) else {
            return;
        };
        while self.taken.back().is_some_and(|taken| taken.sequence >= first.sequence) {
            self.taken.pop_back();
        }
        let is_overtaken = self.posts.front().is_some_and(|post| post.sequence < last);
        for post in batch.into_iter().rev() {
            self.bytes += post.bytes();
            self.posts.push_front(Post { ripe_at: None, ..post });
        }
        if is_overtaken {
            self.sort();
        }
    }

    /// Puts messages that were refused together back, to be taken by halves: after some twenty calls it is known which of a thousand cannot pass.
    pub(super) fn put_back_halved(&mut self, batch: VecDeque<Post>) {
        let middle = batch.get(batch.len().div_ceil(2)).map(|post| post.sequence);
        let behind = batch.back().map(|post| post.sequence + 1);
        self.cuts.extend(middle.into_iter().chain(behind));
        self.put_back(batch);
    }

    /// Puts back messages with which the connection ended: whole the first time, as who knows a batch by what is in it has to have it again, and halved when it ends so
    /// again with the same in front.
    pub(super) fn put_back_lost(&mut self, batch: VecDeque<Post>) {
        let first = batch.front().map(|post| post.sequence);
        let is_again = first.is_some() && self.lost == first;
        self.lost = first;
        match is_again {
            true => self.put_back_halved(batch),
            false => self.put_back(batch),
        }
    }

    /// Takes the messages from the front that have waited since before this time, in lifetime milliseconds.
    pub(super) fn take_older(&mut self, since_ms: u64) -> Vec<Post> {
        let older = self.posts.iter().take_while(|post| post.waits_since_ms < since_ms).count();
        let taken: Vec<Post> = self.posts.drain(..older).collect();
        self.bytes -= taken.iter().map(Post::bytes).sum::<usize>();
        taken
    }

    /// Takes the first message that waits.
    pub(super) fn take_first(&mut self) -> Option<Post> {
        let post = self.posts.pop_front()?;
        self.bytes -= post.bytes();
        Some(post)
    }

    /// Sequence number of the first message that was taken.
    pub(super) fn first_taken(&self) -> Option<u64> {
        self.taken.front().map(|taken| taken.sequence)
    }

    /// Takes out all that waits.
    pub(super) fn empty(&mut self) -> VecDeque<Post> {
        self.bytes = 0;
        self.cuts.clear();
        std::mem::take(&mut self.posts)
    }

    /// Restores the order after messages of another lane have come.
    pub(super) fn sort(&mut self) {
        if !self.posts.iter().is_sorted_by_key(|post| post.sequence) {
            self.posts.make_contiguous().sort_by_key(|post| post.sequence);
        }
    }
}
