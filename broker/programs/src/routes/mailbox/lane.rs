//! Lane of a mailbox: messages that wait for one instance of the guest or that it has taken.
//!
//! A taker that has failed backs off for a while ([`Backoffs`](super::backoff)). Its messages stand
//! aside, and those of other takers pass them.
//!
//! Invariants: ready messages and those that stand aside are each in the order of their sequence
//! numbers. No ready message has a key that stands aside. At most one batch is taken at a time, in
//! the order of its sequence numbers.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Instant;

use super::backoff::Backoffs;
use super::post::{Addressee, Batches, RouteMessage};
use crate::limits::{ROUTE_ALONE_ENDS, ROUTE_COMPANY_MESSAGES};
use crate::routes::pause::Pause;

/// When something can be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BatchDue {
    /// Not before something comes.
    Never,
    /// When the first message has waited long enough for its batch to fill.
    At(Instant),
    Now,
}

/// How messages that were not delivered come again.
#[derive(Debug, PartialEq)]
pub enum PutBack {
    /// In their order, with others.
    InOrder,
    /// By halves, because some of them cannot pass.
    Halved,
    /// One by one, because the guest broke at one of them.
    Singly,
    /// Whole the first time and by halves later, because the connection ended with them.
    Lost,
    /// After a back-off of their only taker, with these pauses. Messages of others pass meanwhile.
    Resting(Pause),
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
    /// Messages that are ready.
    posts: VecDeque<RouteMessage>,
    /// Bytes of them.
    bytes: usize,
    /// Takers that back off, with the messages that stand aside meanwhile.
    backoffs: Backoffs,
    /// Sequence number up to which each batch is of one event, mapping or table: messages of
    /// several have failed together, and it is to be found out whose fault that is.
    apart_to: u64,
    /// Messages that were taken and are neither done nor back.
    taken: VecDeque<TakenPost>,
    /// Sequence numbers at which a new batch begins: bounds of the parts of one that was refused,
    /// until it is found what cannot pass. They hold however often a part is tried.
    pub(super) cuts: BTreeSet<u64>,
    /// With what the connection ended last.
    lost: Option<Lost>,
}

/// Messages with which the connection has ended.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// Sequence number of the first of them.
    first: u64,
    /// How often in a row it ended with that one alone.
    alone: u32,
    /// Whether it goes, or went, with a few of those behind it.
    in_company: bool,
}

impl Lane {
    /// Number of messages that wait or are taken.
    pub(super) fn load(&self) -> usize {
        self.waiting().0 + self.taken.len()
    }

    /// Numbers of the messages that wait and of their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let (posts, bytes) = self.backoffs.held_back();
        (self.posts.len() + posts, self.bytes + bytes)
    }

    /// The same of those that are ready.
    pub(super) fn ready(&self) -> (usize, usize) {
        (self.posts.len(), self.bytes)
    }

    /// Messages that wait.
    pub(super) fn posts(&self) -> impl Iterator<Item = &RouteMessage> {
        self.posts.iter().chain(self.backoffs.posts())
    }

    pub(super) fn has_taken(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Number of the messages that are not done, with their bytes.
    pub(super) fn unfinished(&self) -> (usize, usize) {
        (self.load(), self.waiting().1 + self.taken.iter().map(|taken| taken.bytes).sum::<usize>())
    }

    /// Since when the first message that is not done has waited, in lifetime milliseconds.
    pub(super) fn unfinished_since_ms(&self) -> Option<u64> {
        self.oldest_ms().into_iter().chain(self.taken.front().map(|taken| taken.waits_since_ms)).min()
    }

    /// The same of the first that waits.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let firsts = self.posts.front().into_iter().chain(self.backoffs.posts().next());
        firsts.map(|post| post.waits_since_ms).min()
    }

    /// Messages that are not done, by what takes them, with when they came in lifetime
    /// milliseconds: of each the oldest first.
    pub(super) fn unfinished_waits(&self) -> impl Iterator<Item = (&Addressee, u64)> {
        let taken = self.taken.iter().map(|taken| (&taken.to, taken.waits_since_ms));
        taken.chain(self.posts().map(|post| (&post.to, post.waits_since_ms)))
    }

    /// Sequence number of the first message that is ready.
    pub(super) fn first_ready(&self) -> Option<u64> {
        self.posts.front().map(|post| post.sequence)
    }

    /// Sequence number of the first message that waits.
    pub(super) fn first(&self) -> Option<u64> {
        let aside = self.backoffs.posts().next().map(|post| post.sequence);
        self.first_ready().into_iter().chain(aside).min()
    }

    /// Sequence number of the first message that is not done.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.first().into_iter().chain(self.first_taken()).min()
    }

    /// Puts a message behind the others; whether all before it have lower numbers.
    pub(super) fn push(&mut self, post: RouteMessage) -> bool {
        if self.backoffs.concerns(&post) {
            return self.backoffs.hold_back(post);
        }
        let is_last = self.posts.back().is_none_or(|last| last.sequence < post.sequence);
        self.bytes += post.bytes();
        self.posts.push_back(post);
        is_last
    }

    /// When the next batch is due.
    pub(super) fn due(&self, batches: &Batches) -> BatchDue {
        match (self.ready_due(batches), self.backoffs.over_at()) {
            (BatchDue::Now, _) => BatchDue::Now,
            (due, None) => due,
            (_, Some(over_at)) if over_at <= Instant::now() => BatchDue::Now,
            (BatchDue::Never, Some(over_at)) => BatchDue::At(over_at),
            (BatchDue::At(at), Some(over_at)) => BatchDue::At(at.min(over_at)),
        }
    }

    /// Like [`due`](Self::due), for ready messages only. Retries and parts of a split batch do not
    /// wait for a full batch.
    fn ready_due(&self, batches: &Batches) -> BatchDue {
        let Some(first) = self.posts.front() else { return BatchDue::Never };
        let is_full = self.posts.len() >= batches.messages || self.bytes >= batches.bytes;
        let is_part = self.cuts.last().is_some_and(|cut| *cut > first.sequence);
        let waits = |at: &Instant| !is_full && !is_part && !batches.linger.is_zero() && *at > Instant::now();
        first.ripe_at.filter(waits).map_or(BatchDue::Now, BatchDue::At)
    }

    /// Takes the next messages with a sequence number below `before`; empty when none is ready.
    pub(super) fn take(&mut self, before: u64, batches: &Batches) -> Vec<RouteMessage> {
        if self.backoffs.over_at().is_some_and(|over_at| over_at <= Instant::now()) {
            self.backoffs.wake();
            self.settle();
        }
        let Some(first) = self.first_ready() else { return Vec::new() };
        while self.cuts.first().is_some_and(|cut| *cut <= first) {
            self.cuts.pop_first();
        }
        let end = self.cuts.first().map_or(before, |cut| before.min(*cut));
        let is_tried = self.posts.front().is_some_and(|post| self.backoffs.trial_of(&post.to).is_some());
        let batch = match is_tried || first <= self.apart_to {
            true => self.take_of_one(end, batches),
            false => self.take_first_ones(end, batches),
        };
        self.bytes -= batch.iter().map(RouteMessage::bytes).sum::<usize>();
        self.taken.extend(batch.iter().map(|post| TakenPost {
            to: post.to.clone(),
            sequence: post.sequence,
            bytes: post.bytes(),
            waits_since_ms: post.waits_since_ms,
        }));
        batch
    }

    /// Takes the first messages up to one for what has rested and is to be tried by itself.
    fn take_first_ones(&mut self, end: u64, batches: &Batches) -> Vec<RouteMessage> {
        let (mut bytes, rests) = (0, &self.backoffs);
        let first = self.first_ready();
        // One that goes in company does not fill the batch alone, however large it is.
        let has_company = self.lost.is_some_and(|lost| lost.in_company && Some(lost.first) == first);
        let fits = |post: &&RouteMessage| {
            let is_first = Some(post.sequence) == first;
            bytes += if is_first && has_company { 0 } else { post.bytes() };
            let is_tried = !rests.is_empty() && rests.trial_of(&post.to).is_some();
            post.sequence < end && (is_first || bytes <= batches.bytes) && !is_tried
        };
        let fitting = self.posts.iter().take(batches.messages).take_while(fits).count();
        self.posts.drain(..fitting).collect()
    }

    /// Takes messages of what the first one is for, past those of others with other keys.
    fn take_of_one(&mut self, end: u64, batches: &Batches) -> Vec<RouteMessage> {
        let Some(to) = self.posts.front().map(|post| post.to.clone()) else { return Vec::new() };
        let most = self.backoffs.trial_of(&to).map_or(batches.messages, |trial| trial.min(batches.messages));
        let (mut batch, mut bytes, mut passed) = (Vec::new(), 0, HashSet::new());
        let mut left = VecDeque::with_capacity(self.posts.len());
        while let Some(post) = self.posts.pop_front() {
            let fits = batch.is_empty() || bytes + post.bytes() <= batches.bytes;
            if batch.len() >= most || !fits || post.sequence >= end {
                left.push_back(post);
                break;
            }
            if post.to.goes_with(&to) && (passed.is_empty() || !passed.contains(&post.owned_key())) {
                bytes += post.bytes();
                batch.push(post);
            } else {
                passed.insert(post.owned_key());
                left.push_back(post);
            }
        }
        left.append(&mut self.posts);
        self.posts = left;
        batch
    }

    /// The first messages of the batch that was taken, up to this sequence number, are done.
    pub(super) fn done_up_to(&mut self, last: u64) {
        while self.taken.front().is_some_and(|taken| taken.sequence <= last) {
            self.taken.pop_front();
        }
    }

    /// Puts the last messages of the batch that was taken back. Returns whether their taker backs
    /// off.
    pub(super) fn put_back(&mut self, batch: VecDeque<RouteMessage>, how: PutBack) -> bool {
        match how {
            PutBack::InOrder => self.put_back_in_order(batch),
            PutBack::Halved => self.put_back_halved(batch),
            PutBack::Singly => self.put_back_singly(batch),
            PutBack::Lost => self.put_back_lost(batch),
            PutBack::Resting(pauses) => return self.put_back_resting(batch, pauses),
        }
        false
    }

    fn put_back_in_order(&mut self, batch: VecDeque<RouteMessage>) {
        let (Some(first), Some(last)) = (batch.front(), batch.back().map(|post| post.sequence)) else {
            return;
        };
        while self.taken.back().is_some_and(|taken| taken.sequence >= first.sequence) {
            self.taken.pop_back();
        }
        let is_overtaken = self.posts.front().is_some_and(|post| post.sequence < last);
        for post in batch.into_iter().rev() {
            self.bytes += post.bytes();
            self.posts.push_front(RouteMessage { ripe_at: None, ..post });
        }
        if is_overtaken || !self.backoffs.is_empty() {
            self.settle();
        }
    }

    /// Separates messages of several takers that have failed together.
    pub(super) fn separate(&mut self, batch: &VecDeque<RouteMessage>) {
        let last = batch.back().map_or(0, |post| post.sequence);
        self.apart_to = self.apart_to.max(last);
    }

    /// Puts back messages of one taker, which backs off. False if too many back off.
    fn put_back_resting(&mut self, batch: VecDeque<RouteMessage>, pauses: Pause) -> bool {
        let Some(to) = batch.front().map(|post| post.to.clone()) else { return false };
        let backs_off = self.backoffs.begin(to, batch.len(), pauses);
        self.put_back_in_order(batch);
        backs_off
    }

    /// Ends the back-off of a taker whose message has passed.
    pub(super) fn has_passed(&mut self, to: &Addressee) {
        if self.backoffs.end(to) {
            self.settle();
        }
    }

    /// Forgets what has failed so far: there is another version.
    pub(super) fn begin_anew(&mut self) {
        self.end_rests();
        self.posts.iter_mut().for_each(|post| post.retries = None);
    }

    /// Retries takers that back off at once.
    pub(super) fn end_pauses(&mut self) {
        self.backoffs.end_pauses();
    }

    /// Nothing rests any more.
    fn end_rests(&mut self) {
        self.apart_to = 0;
        self.backoffs.end_all();
        self.settle();
    }

    /// Puts messages that were refused together back, to be taken by halves: after some twenty
    /// calls it is known which of a thousand cannot pass.
    fn put_back_halved(&mut self, batch: VecDeque<RouteMessage>) {
        let middle = batch.get(batch.len().div_ceil(2)).map(|post| post.sequence);
        let behind = batch.back().map(|post| post.sequence + 1);
        self.cuts.extend(middle.into_iter().chain(behind));
        self.put_back_in_order(batch);
    }

    /// Puts messages at one of which the guest broke back, to be taken one by one: what comes
    /// before that one is done a second time, and no third.
    fn put_back_singly(&mut self, batch: VecDeque<RouteMessage>) {
        self.cuts.extend(batch.iter().map(|post| post.sequence + 1));
        self.put_back_in_order(batch);
    }

    /// Puts back messages with which the connection ended: whole the first time, as who knows a
    /// batch by what is in it has to have it again, and halved when it ends so again with the same
    /// in front. When that one was alone [`ROUTE_ALONE_ENDS`] times it comes once with a few of
    /// those behind it, by which the guest may find out whether it is to blame.
    fn put_back_lost(&mut self, batch: VecDeque<RouteMessage>) {
        let Some(first) = batch.front().map(|post| post.sequence) else { return };
        let before = self.lost.filter(|lost| lost.first == first);
        let is_alone = batch.len() == 1;
        let alone = before.filter(|lost| !lost.in_company).map_or(0, |lost| lost.alone) + u32::from(is_alone);
        self.lost = Some(Lost { first, alone, in_company: false });
        match before {
            // It was alone before, so that halves tell nothing more.
            Some(lost) if !is_alone && (lost.in_company || lost.alone > 0) => {
                self.cuts.insert(first + 1);
                self.put_back_in_order(batch);
            }
            Some(_) => self.put_back_halved(batch),
            None => self.put_back_in_order(batch),
        }
        if alone >= ROUTE_ALONE_ENDS && self.posts.len() > 1 && self.first_ready() == Some(first) {
            self.lost = Some(Lost { first, alone: 0, in_company: true });
            let behind = self.posts.get(1 + ROUTE_COMPANY_MESSAGES).map_or(u64::MAX, |post| post.sequence);
            self.cuts.retain(|cut| *cut >= behind);
            self.cuts.insert(behind);
        }
    }

    /// Takes the messages from the front that have waited since before this time, in lifetime
    /// milliseconds.
    pub(super) fn take_older(&mut self, since_ms: u64) -> Vec<RouteMessage> {
        let older = self.posts.iter().take_while(|post| post.waits_since_ms < since_ms).count();
        let mut taken: Vec<RouteMessage> = self.posts.drain(..older).collect();
        self.bytes -= taken.iter().map(RouteMessage::bytes).sum::<usize>();
        taken.extend(self.backoffs.take_older(since_ms));
        taken
    }

    /// Takes the first message that waits.
    pub(super) fn take_first(&mut self) -> Option<RouteMessage> {
        if self.first() != self.first_ready() {
            return self.backoffs.take_first();
        }
        let post = self.posts.pop_front()?;
        self.bytes -= post.bytes();
        Some(post)
    }

    /// Sequence number of the first message that was taken.
    pub(super) fn first_taken(&self) -> Option<u64> {
        self.taken.front().map(|taken| taken.sequence)
    }

    /// Takes out all that waits; nothing rests any more.
    pub(super) fn empty(&mut self) -> VecDeque<RouteMessage> {
        self.end_rests();
        self.bytes = 0;
        self.cuts.clear();
        std::mem::take(&mut self.posts)
    }

    /// Restores the order: after messages of another lane have come, and after something has begun
    /// or ceased to rest.
    pub(super) fn settle(&mut self) {
        let aside = self.backoffs.take_held_back();
        self.bytes += aside.iter().map(RouteMessage::bytes).sum::<usize>();
        self.posts.extend(aside);
        if !self.posts.iter().is_sorted_by_key(|post| post.sequence) {
            self.posts.make_contiguous().sort_by_key(|post| post.sequence);
        }
        if self.backoffs.is_empty() {
            return;
        }
        self.bytes = 0;
        for post in std::mem::take(&mut self.posts) {
            match self.backoffs.concerns(&post) {
                true => drop(self.backoffs.hold_back(post)),
                false => {
                    self.bytes += post.bytes();
                    self.posts.push_back(post);
                }
            }
        }
    }
}
