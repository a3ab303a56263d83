//! Batch of messages on their way to an instance of the guest of a route.
//!
//! Invariant: a message leaves the batch when it is done. If the work ends otherwise, by a panic or
//! the end of its task, the remaining messages wait again in their places. The mailbox learns of
//! both at the latest when the batch ends.

use std::collections::VecDeque;
use std::sync::Arc;

use super::mailbox::{PutBack, Retries, RouteMessage};
use super::runner::RouteRunner;

/// Batch that an instance has taken from the mailbox of its route.
pub struct PostBatch {
    route: Arc<RouteRunner>,
    instance: usize,
    posts: VecDeque<RouteMessage>,
    /// First messages of it, which are done.
    done: Vec<RouteMessage>,
}

impl PostBatch {
    pub(super) fn new(route: &Arc<RouteRunner>, instance: usize, posts: Vec<RouteMessage>) -> PostBatch {
        PostBatch { route: Arc::clone(route), instance, posts: posts.into(), done: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.posts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&RouteMessage> {
        self.posts.get(index)
    }

    pub(crate) fn first(&self) -> Option<&RouteMessage> {
        self.posts.front()
    }

    pub fn iter(&self) -> impl Iterator<Item = &RouteMessage> {
        self.posts.iter()
    }

    /// Takes the first message out, which is done.
    pub fn done(&mut self) -> Option<&RouteMessage> {
        self.done.extend(self.posts.pop_front());
        self.done.last()
    }

    /// Notes for the first message how often it was tried.
    pub(crate) fn note_retries(&mut self, retries: Retries) {
        if let Some(first) = self.posts.front_mut() {
            first.retries = Some(retries);
        }
    }

    /// Separates its messages by their takers, once it is put back.
    pub(crate) fn separate(&self) {
        self.route.separate(self.instance, &self.posts);
    }

    /// Puts the messages from `index` on back to the front of the mailbox.
    pub(crate) fn put_back_from(&mut self, index: usize) {
        let posts = self.posts.split_off(index.min(self.posts.len()));
        self.route.put_back(self.instance, posts, PutBack::InOrder);
    }

    /// Puts all messages back to the front of the mailbox. Returns whether their taker backs off.
    pub fn put_back(mut self, how: PutBack) -> bool {
        self.route.put_back(self.instance, std::mem::take(&mut self.posts), how)
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
            self.route.put_back(self.instance, posts, PutBack::Halved);
        } else {
            self.route.put_back(self.instance, posts, PutBack::InOrder);
        }
    }
}
