//! Writes that a route may not publish, reported beside its other failures. Either can occur
//! without the other.

use jiff::{SignedDuration, Timestamp};

/// Time for which it counts that a route could not publish what it brought.
const COUNTS: SignedDuration = SignedDuration::from_mins(5);

/// Refusal of what a route wanted to publish: until something has passed for five minutes without
/// another one.
#[derive(Clone, Debug)]
pub(super) struct RefusedWrite {
    /// Denied topic, and the grant that allows it.
    what: String,
    since: Timestamp,
    /// When it has tried last.
    at: Timestamp,
}

impl RefusedWrite {
    pub(super) fn new(what: &str, now: Timestamp) -> Self {
        Self { what: what.to_owned(), since: now, at: now }
    }

    /// Notes that it has tried again.
    pub(super) fn is_still_so(&mut self, now: Timestamp) {
        self.at = now;
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// Whether it has tried lately.
    pub(super) fn counts(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) < COUNTS
    }

    /// This, or what else is wrong, where that began later and is not the same.
    pub(super) fn or_newer<'a>(&'a self, other: Option<(&'a str, Timestamp)>) -> (&'a str, Timestamp) {
        let newer = other.filter(|(text, at)| *at > self.since && !self.is_cause_of(text));
        newer.unwrap_or((&self.what, self.at))
    }

    /// This with what else is wrong, the newer one first.
    pub(super) fn joined_with(&self, other: Option<(String, Timestamp)>) -> String {
        match other.filter(|(text, _)| !self.is_cause_of(text)) {
            None => self.what.clone(),
            Some((text, at)) if at > self.since => format!("{text}; {}", self.what),
            Some((text, _)) => format!("{}; {text}", self.what),
        }
    }

    /// Whether an error says that it comes of this.
    fn is_cause_of(&self, text: &str) -> bool {
        text.contains(&self.what)
    }
}
