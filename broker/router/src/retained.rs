//! The retained index: the retained message of each Topic Name, and which of them a new
//! subscription gets.
//!
//! Changed by PUBLISH with RETAIN 1, read at SUBSCRIBE. One sorted map; a scan jumps from one
//! possible match to the next, so `+/status` does not look at what lies below `a/data/…`, and a
//! scan can stop anywhere and go on later from the topic where it stopped, whatever has changed
//! meanwhile.
//!
//! Invariants: at most one value per topic \[MQTT-3.3.1-5\]; a scan returns topics in ascending
//! byte order, each at most once, and those that stay in the index throughout exactly once. Not
//! here: expiry, empty payloads (the caller calls `remove` \[MQTT-3.3.1-6\]), Retain Handling.

mod jump;

use self::jump::{Jump, Jumper};
use crate::limits::RETAINED_STEPS_PER_ENTRY;
use crate::topic::filter_has_wildcard;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Retained values by Topic Name.
///
/// ```
/// use lotmq_router::RetainedIndex;
///
/// let mut retained = RetainedIndex::new();
/// retained.insert("a/temperature", 21);
/// retained.insert("b/temperature", 23);
/// let slice = retained.scan("+/temperature", None, 1);
/// assert_eq!(slice.entries[0].1, &21);
/// let slice = retained.scan("+/temperature", slice.resume_after.as_deref(), 1);
/// assert_eq!(slice.entries[0].1, &23);
/// ```
#[derive(Debug)]
pub struct RetainedIndex<V> {
    values: BTreeMap<Arc<str>, V>,
}

/// Part of what a filter matches; see [`RetainedIndex::scan`].
#[derive(Debug, PartialEq, Eq)]
pub struct RetainedSlice<'a, V> {
    /// Matching topics with their values, in ascending byte order. May be empty although there is
    /// more to come.
    pub entries: Vec<(&'a Arc<str>, &'a V)>,
    /// Value of `after` for the next slice; `None` after the last one.
    pub resume_after: Option<Arc<str>>,
}

impl<V> Default for RetainedIndex<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> RetainedIndex<V> {
    /// An index without messages.
    pub const fn new() -> Self {
        Self { values: BTreeMap::new() }
    }

    /// Number of topics with a value.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Says whether no topic has a value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Keeps `value` for `topic`, a valid Topic Name; returns the value that it replaces.
    ///
    /// Pass an `Arc<str>` to share the text with the message. A replaced value leaves the first
    /// text in place.
    pub fn insert<T: AsRef<str> + Into<Arc<str>>>(&mut self, topic: T, value: V) -> Option<V> {
        match self.values.get_mut(topic.as_ref()) {
            Some(kept) => Some(std::mem::replace(kept, value)),
            None => self.values.insert(topic.into(), value),
        }
    }

    /// Forgets the value of `topic` and returns it.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        self.values.remove(topic)
    }

    /// The value of exactly this topic.
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.values.get(topic)
    }

    /// The value of exactly this topic, to be changed in place.
    pub fn get_mut(&mut self, topic: &str) -> Option<&mut V> {
        self.values.get_mut(topic)
    }

    /// All topics with their values, in ascending byte order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &V)> {
        self.values.iter()
    }

    /// Calls `each` for every topic that `filter` matches, in ascending byte order.
    ///
    /// May be long: [`scan`](Self::scan) does the same in slices.
    pub fn matching(&self, filter: &str, mut each: impl FnMut(&str, &V)) {
        let mut after: Option<Arc<str>> = None;
        loop {
            let slice = self.scan(filter, after.as_deref(), 1024);
            slice.entries.iter().for_each(|(topic, value)| each(topic, value));
            match slice.resume_after {
                Some(topic) => after = Some(topic),
                None => return,
            }
        }
    }

    /// The next topics that `filter` matches, at most `limit` (0 counts as 1), behind the topic
    /// `after`.
    ///
    /// Looks at no more than `limit` × [`RETAINED_STEPS_PER_ENTRY`] stored topics, so a slice may
    /// come back short or empty with [`resume_after`](RetainedSlice::resume_after) set. `filter` is
    /// a valid one without `$share/` prefix; filters that start with a wildcard do not match names
    /// that start with `$` \[MQTT-4.7.2-1\].
    pub fn scan(&self, filter: &str, after: Option<&str>, limit: usize) -> RetainedSlice<'_, V> {
        if !filter_has_wildcard(filter) {
            let found = self
                .values
                .get_key_value(filter)
                .filter(|(topic, _)| after.is_none_or(|after| after < topic.as_ref()));
            return RetainedSlice { entries: found.into_iter().collect(), resume_after: None };
        }
        self.scan_wildcard(&Jumper::new(filter), after, limit.max(1))
    }

    /// Finds topics in their order, also those whose first level begins with `$`, at most `limit`,
    /// behind `after`.
    pub fn all(&self, after: Option<&str>, limit: usize) -> RetainedSlice<'_, V> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let stored = self.values.range::<str, _>((from, Bound::Unbounded));
        let entries: Vec<_> = stored.take(limit.max(1)).collect();
        let is_full = entries.len() == limit.max(1);
        let resume_after = entries.last().filter(|_| is_full).map(|(topic, _)| Arc::clone(topic));
        RetainedSlice { entries, resume_after }
    }

    fn scan_wildcard(&self, jumper: &Jumper<'_>, after: Option<&str>, limit: usize) -> RetainedSlice<'_, V> {
        let mut entries = Vec::new();
        let first = jumper.first();
        let from = match after {
            Some(after) if after >= first => Bound::Excluded(after),
            Some(_) | None => Bound::Included(first),
        };
        let mut stored = self.values.range::<str, _>((from, Bound::Unbounded));
        let mut wanted = String::new();
        let mut last = None;
        for _ in 0..limit.saturating_mul(RETAINED_STEPS_PER_ENTRY) {
            let Some((topic, value)) = stored.next() else { return RetainedSlice::last(entries) };
            last = Some(topic);
            match jumper.judge(topic, &mut wanted) {
                Jump::Matches => entries.push((topic, value)),
                Jump::Next => {}
                // The next stored topic is often far enough already; looking is cheaper than a
                // descent of the map.
                Jump::To if stored.clone().next().is_some_and(|(next, _)| **next < *wanted) => {
                    stored =
                        self.values.range::<str, _>((Bound::Included(wanted.as_str()), Bound::Unbounded));
                }
                Jump::To => {}
                Jump::End => return RetainedSlice::last(entries),
            }
            if entries.len() == limit {
                break;
            }
        }
        RetainedSlice { entries, resume_after: last.cloned() }
    }
}

impl<'a, V> RetainedSlice<'a, V> {
    fn last(entries: Vec<(&'a Arc<str>, &'a V)>) -> Self {
        Self { entries, resume_after: None }
    }
}

#[cfg(test)]
mod tests;
