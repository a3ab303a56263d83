//! Takers in a lane of a mailbox that back off after a failure, and their messages that stand aside
//! meanwhile.
//!
//! An event whose table is missing must not delay the others, so it is retried after pauses of its
//! own. Messages of others with a key that stands aside queue behind it, so that messages of one
//! key stay in order.
//!
//! Invariants: once the lane has settled, messages that stand aside are in the order of their
//! sequence numbers. At most [`EVENT_STATUSES_MAX`] takers back off at a time.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Instant;

use super::post::{Addressee, PostKey, RouteMessage};
use crate::limits::EVENT_STATUSES_MAX;
use crate::routes::pause::Pause;

/// Takers of a lane that back off.
#[derive(Debug, Default)]
pub(super) struct Backoffs {
    of: BTreeMap<Addressee, TakerBackoff>,
    held_back: VecDeque<RouteMessage>,
    /// Bytes of them.
    bytes: usize,
    /// Their keys, and those of some that have stood there since the lane has settled last.
    keys: HashSet<PostKey<Box<str>>>,
}

/// Rest of an event, a mapping or a table.
#[derive(Debug)]
struct TakerBackoff {
    /// Its end; `None` when it is over and nothing has passed yet.
    until: Option<Instant>,
    pauses: Pause,
    /// Most messages with which it is tried again, so that one which breaks the connection comes to
    /// be alone.
    trial: usize,
}

impl Backoffs {
    /// Whether nothing rests, and all that rested has passed.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Numbers of messages that stand aside and of their bytes.
    pub(super) fn held_back(&self) -> (usize, usize) {
        (self.held_back.len(), self.bytes)
    }

    /// Messages that stand aside.
    pub(super) fn posts(&self) -> impl Iterator<Item = &RouteMessage> {
        self.held_back.iter()
    }

    /// Whether a message has to stand aside: what takes it rests, or one of its key stands there.
    pub(super) fn concerns(&self, post: &RouteMessage) -> bool {
        if self.of.is_empty() {
            return false;
        }
        let rests = self.of.get(&post.to).is_some_and(|rest| rest.until.is_some());
        rests || (!self.keys.is_empty() && self.keys.contains(&post.owned_key()))
    }

    /// Puts a message aside, behind the others; whether all before it have lower numbers.
    pub(super) fn hold_back(&mut self, post: RouteMessage) -> bool {
        let is_last = self.held_back.back().is_none_or(|last| last.sequence < post.sequence);
        self.bytes += post.bytes();
        self.keys.insert(post.owned_key());
        self.held_back.push_back(post);
        is_last
    }

    /// Takes all that stands aside.
    pub(super) fn take_held_back(&mut self) -> VecDeque<RouteMessage> {
        self.bytes = 0;
        self.keys.clear();
        std::mem::take(&mut self.held_back)
    }

    /// Takes the first message that stands aside.
    pub(super) fn take_first(&mut self) -> Option<RouteMessage> {
        let post = self.held_back.pop_front()?;
        self.bytes -= post.bytes();
        Some(post)
    }

    /// Takes the messages from the front that have waited since before this time, in lifetime
    /// milliseconds.
    pub(super) fn take_older(&mut self, since_ms: u64) -> Vec<RouteMessage> {
        let older = self.held_back.iter().take_while(|post| post.waits_since_ms < since_ms).count();
        let taken: Vec<RouteMessage> = self.held_back.drain(..older).collect();
        self.bytes -= taken.iter().map(RouteMessage::bytes).sum::<usize>();
        taken
    }

    /// Lets something rest with which so many messages have failed; false where too many rest.
    pub(super) fn begin(&mut self, to: Addressee, messages: usize, pauses: Pause) -> bool {
        if self.of.len() >= EVENT_STATUSES_MAX && !self.of.contains_key(&to) {
            return false;
        }
        let trial = (messages / 2).max(1);
        let rest = self.of.entry(to).or_insert_with(|| TakerBackoff { until: None, pauses, trial });
        rest.until = Some(Instant::now() + rest.pauses.next());
        rest.trial = trial;
        true
    }

    /// When the next rest is over; `None` where there is none.
    pub(super) fn over_at(&self) -> Option<Instant> {
        self.of.values().filter_map(|rest| rest.until).min()
    }

    /// Ends the time of all rests: what rests is tried again.
    pub(super) fn end_pauses(&mut self) {
        let now = Instant::now();
        self.of.values_mut().for_each(|rest| rest.until = rest.until.map(|_| now));
    }

    /// Ends the rests whose time is over.
    pub(super) fn wake(&mut self) {
        let now = Instant::now();
        for rest in self.of.values_mut() {
            rest.until = rest.until.filter(|until| *until > now);
        }
    }

    /// Most messages with which something is tried that has rested.
    pub(super) fn trial_of(&self, to: &Addressee) -> Option<usize> {
        self.of.get(to).map(|rest| rest.trial)
    }

    /// Forgets that something has rested; whether it has.
    pub(super) fn end(&mut self, to: &Addressee) -> bool {
        self.of.remove(to).is_some()
    }

    /// Forgets all that has rested.
    pub(super) fn end_all(&mut self) {
        self.of.clear();
    }
}

#[cfg(test)]
mod tests;
