//! Batch of messages on their way to an instance of the guest of a route.
//!
//! Invariant: a message leaves the batch when it is done. If the work ends otherwise, by a panic or
//! the end of its task, the remaining messages wait again in their places. The mailbox learns of
//! both at the latest when the batch ends.

use std::collections::VecDeque;
use std::sync::Arc;

use super::mailbox::{Addressee, Post, Retries};
use super::pause::Pause;
use super::runner::RouteRunner;

/// Batch that an instance has taken from the mailbox of its route.
pub(in crate::guests) struct PostBatch {
    route: Arc<RouteRunner>,
    instance: usize,
    posts: VecDeque<Post>,
    /// First messages of it, which are done.
    done: Vec<Post>,
}

impl PostBatch {
    pub(super) fn new(route: &Arc<RouteRunner>, instance: usize, posts: Vec<Post>) -> PostBatch {
        PostBatch { route: Arc::clone(route), instance, posts: posts.into(), done: Vec::new() }
    }

    pub(in crate::guests) fn len(&self) -> usize {
        self.posts.len()
    }

    pub(in crate::guests) fn is_empty(&self) -> bool {
        self.posts.is_empty()
    }

    pub(in crate::guests) fn get(&self, index: usize) -> Option<&Post> {
        self.posts.get(index)
    }

    pub(in crate::guests) fn first(&self) -> Option<&Post> {
        self.posts.front()
    }

    pub(in crate::guests) fn iter(&self) -> impl Iterator<Item = &Post> {
        self.posts.iter()
    }

    /// Takes the first message out, which is done.
    pub(in crate::guests) fn done(&mut self) -> Option<&Post> {
        self.done.extend(self.posts.pop_front());
        self.done.last()
    }

    /// Notes for the first message how often it was tried.
    pub(in crate::guests) fn note_retries(&mut self, retries: Retries) {
        if let Some(first) = self.posts.front_mut() {
            first.retries = Some(retries);
        }
    }

    /// Returns the taker of all messages; `None` if there are several takers.
    pub(in crate::guests) fn for_one(&self) -> Option<&Addressee> {
        let to = &self.posts.front()?.to;
        self.posts.iter().all(|post| post.to == *to).then_some(to)
    }

    /// Has it taken apart by what takes its messages, once it is put back.
    pub(in crate::guests) fn part(&self) {
        self.route.part(self.instance, &self.posts);
    }

    /// Puts all messages back; what they are for rests for the next of these pauses, and other
    /// messages pass. False where so much rests that it does not.
    pub(in crate::guests) fn put_back_resting(mut self, pauses: impl FnOnce() -> Pause) -> bool {
        self.route.put_back_resting(self.instance, std::mem::take(&mut self.posts), pauses)
    }

    /// Puts the messages from `index` on back to the front of the mailbox.
    pub(in crate::guests) fn put_back_from(&mut self, index: usize) {
        self.route.put_back(self.instance, self.posts.split_off(index.min(self.posts.len())));
    }

    /// Puts all messages back to the front of the mailbox, to be delivered by halves.
    pub(in crate::guests) fn put_back_halved(mut self) {
        self.route.put_back_halved(self.instance, std::mem::take(&mut self.posts));
    }

    /// Puts all messages back to the front of the mailbox, to be delivered one by one.
    pub(in crate::guests) fn put_back_singly(mut self) {
        self.route.put_back_singly(self.instance, std::mem::take(&mut self.posts));
    }

    /// Puts all messages back to the front of the mailbox, because the connection has ended with
    /// them; by halves when that happens again and again.
    pub(in crate::guests) fn put_back_lost(mut self) {
        self.route.put_back_lost(self.instance, std::mem::take(&mut self.posts));
    }
}

impl Drop for PostBatch {
    fn drop(&mut self) {
        self.route.done(self.instance, &self.done);
        let mut posts = std::mem::take(&mut self.posts);
        if posts.is_empty() {
        } else if std::thread::panicking() {
            // It may be one of them at which it panics, then the others are to pass.
            if let [post] = posts.make_contiguous() {
                post.panics = post.panics.saturating_add(1);
            }
            self.route.put_back_halved(self.instance, posts);
        } else {
            self.route.put_back(self.instance, posts);
        }
    }
}
