//! Status of the takers of a route: its events, mappings, tags and tables, each apart. A success of
//! one proves nothing about another.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::mailbox::Addressee;
use crate::limits::EVENT_STATUSES_MAX;

/// Standings of the events of a route that anything has happened to.
#[derive(Clone, Debug, Default)]
pub(super) struct EventStatuses(BTreeMap<Addressee, OfEvent>);

#[derive(Clone, Debug, Default)]
struct OfEvent {
    last_success: Option<Timestamp>,
    trouble: Option<Trouble>,
}

/// Failure that affects an event: no message of the event has passed since it began.
#[derive(Clone, Debug)]
struct Trouble {
    reason: String,
    since: Timestamp,
    at: Timestamp,
}

/// For how long the oldest message of an event has waited.
pub(crate) type EventWait = (Addressee, SignedDuration);

impl EventStatuses {
    /// Notes that something of an event has passed. Of more events than are kept that is not known.
    pub(super) fn passed(&mut self, event: &Addressee, now: Timestamp) {
        if let Some(of) = self.of(event) {
            *of = OfEvent { last_success: Some(now), trouble: None };
        }
    }

    /// Notes that messages of an event did not pass.
    pub(super) fn failed(&mut self, event: &Addressee, reason: &str, now: Timestamp) {
        if let Some(of) = self.of(event) {
            let since = of.trouble.as_ref().map_or(now, |trouble| trouble.since);
            of.trouble = Some(Trouble { reason: reason.to_owned(), since, at: now });
        }
    }

    fn of(&mut self, event: &Addressee) -> Option<&mut OfEvent> {
        if self.0.len() >= EVENT_STATUSES_MAX && !self.0.contains_key(event) {
            return None;
        }
        Some(self.0.entry(event.clone()).or_default())
    }

    /// Whether anything has happened to another event.
    pub(super) fn knows_others(&self, event: &Addressee) -> bool {
        self.0.keys().any(|known| known != event)
    }

    /// Forgets what was in the way: there is another version.
    pub(super) fn begin_anew(&mut self) {
        self.0.values_mut().for_each(|of| of.trouble = None);
    }

    /// When something of an event passed last.
    pub(super) fn last_success(&self, event: &Addressee) -> Option<Timestamp> {
        self.0.get(event)?.last_success
    }

    /// Returns the newest failure among the events: the event, the reason and the time.
    pub(super) fn trouble(&self) -> Option<(&Addressee, &str, Timestamp)> {
        let troubles = self.0.iter().filter_map(|(event, of)| Some((event, of.trouble.as_ref()?)));
        let newest = troubles.max_by_key(|(_, trouble)| trouble.at);
        newest.map(|(event, trouble)| (event, &*trouble.reason, trouble.at))
    }

    /// Whether something waits of an event of which all that was tried has failed for longer than
    /// this.
    pub(super) fn fails_for(&self, waits: &[EventWait], time: SignedDuration, now: Timestamp) -> bool {
        let fails = |of: &OfEvent| {
            of.trouble.as_ref().is_some_and(|trouble| now.duration_since(trouble.since) > time)
        };
        waits.iter().any(|(event, _)| self.0.get(event).is_some_and(fails))
    }
}
