//! Batch of messages on their way to an instance of the guest of a route.
//!
//! Invariant: a message leaves it when it is done. Whatever ends the work on it otherwise, a panic or the end of its task, what is left waits again, in its
//! place. The mailbox hears of both at the latest when the batch ends.

use std::collections::VecDeque;
use std::sync::Arc;

use super::mailbox::Post;
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

    /// Puts the messages from `index` on back to the front of the mailbox.
    pub(in crate::guests) fn put_back_from(&mut self, index: usize) {
        self.route.put_back(self.instance, self.posts.split_off(index.min(self.posts.len())));
    }

    /// Puts all messages back to the front of the mailbox, to be delivered by halves.
    pub(in crate::guests) fn put_back_halved(mut self) {
        self.route.put_back_halved(self.instance, std::mem::take(&mut self.posts));
    }

    /// Puts all messages back to the front of the mailbox, because the connection has ended with them; by halves when that happens again and again.
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
