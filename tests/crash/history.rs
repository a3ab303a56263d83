//! Messages that a subscriber has received from each publisher.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers that were seen; those below `all_below` are not listed.
#[derive(Debug, Default)]
struct Seen {
    all_below: u64,
    others: BTreeSet<u64>,
    highest: Option<u64>,
}

/// Messages by publisher.
#[derive(Debug, Default)]
pub(crate) struct History(BTreeMap<String, Seen>);

/// Whether a message is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    First,
    /// The first time, and after a later one of the same publisher.
    OutOfOrder,
    Again,
}

impl History {
    pub(crate) fn note(&mut self, publisher: &str, number: u64) -> Arrival {
        let seen = match self.0.get_mut(publisher) {
            Some(seen) => seen,
            None => self.0.entry(publisher.to_owned()).or_default(),
        };
        if number < seen.all_below || !seen.others.insert(number) {
            return Arrival::Again;
        }
        while seen.others.remove(&seen.all_below) {
            seen.all_below += 1;
        }
        let is_late = seen.highest.is_some_and(|highest| highest > number);
        seen.highest = seen.highest.max(Some(number));
        if is_late { Arrival::OutOfOrder } else { Arrival::First }
    }

    /// The first number below `end` that was not seen.
    pub(crate) fn missing(&self, publisher: &str, end: u64) -> Option<u64> {
        let all_below = self.0.get(publisher).map_or(0, |seen| seen.all_below);
        (all_below < end).then_some(all_below)
    }
}
