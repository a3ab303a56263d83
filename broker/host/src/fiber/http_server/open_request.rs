//! Counts of a request while it is open.
//!
//! Invariant: each request that has come ends once, by an answer or without one, even if its task
//! is dropped.

use super::answer::{ServedAnswer, bytes_of};
use crate::fiber::{
    http::Reporter,
    http_event::{HttpEvent, ServedEvent},
};
use hyper::Method;

/// A request that is open, until it is answered or dropped.
pub(super) struct OpenRequest<'a> {
    reporter: &'a Reporter,
    /// Whether the answer goes without its body.
    is_head: bool,
    /// Whether the guest has got it.
    is_handed_over: bool,
    received: u64,
    has_answer: bool,
}

impl<'a> OpenRequest<'a> {
    /// A request that has come.
    pub(super) fn came(reporter: &'a Reporter, method: &Method) -> Self {
        reporter.note(HttpEvent::Served(ServedEvent::Came));
        let is_head = method == Method::HEAD;
        OpenRequest { reporter, is_head, is_handed_over: false, received: 0, has_answer: false }
    }

    /// Counts bytes of its body.
    pub(super) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// The guest may answer it from now on.
    pub(super) fn handed_over(&mut self) {
        self.is_handed_over = true;
    }

    /// It has its answer.
    pub(super) fn answered(mut self, answer: &ServedAnswer) {
        self.has_answer = true;
        let sent = if self.is_head { 0 } else { bytes_of(answer) };
        self.reporter.note(HttpEvent::Served(ServedEvent::Answered {
            status: answer.status().as_u16(),
            is_refused: !self.is_handed_over,
            received: self.received,
            sent,
        }));
    }
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        if !self.has_answer {
            self.reporter.note(HttpEvent::Served(ServedEvent::Left { received: self.received }));
        }
    }
}
