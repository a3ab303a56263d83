//! Filters without wildcards: a hash table over whole filters.
//!
//! Most subscriptions to replies and commands are of this kind. One probe finds such a filter,
//! whereas a walk through the trie touches four cold cache lines per level (2.4 µs against 0.4 µs
//! among 100,000 filters of five levels), and a filter of many levels costs its bytes and nothing
//! more.

use super::slots::{SlotId, Slots};
use crate::parted_table::PartedTable;
use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;

#[derive(Debug)]
struct ExactFilter {
    filter: Box<str>,
    subscribers: SlotId,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct ExactFilters {
    by_id: Slots<ExactFilter>,
    by_filter: PartedTable<SlotId>,
    hasher: DefaultHashBuilder,
}

impl ExactFilters {
    pub(crate) fn new() -> Self {
        Self { by_id: Slots::new(), by_filter: PartedTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The subscribers of the filter that reads like `topic`.
    pub(crate) fn find(&self, topic: &str) -> Option<SlotId> {
        if self.by_filter.is_empty() {
            return None;
        }
        let is_same = |id: &SlotId| *self.by_id.get(*id).filter == *topic;
        let id = self.by_filter.find(self.hasher.hash_one(topic), is_same)?;
        Some(self.by_id.get(*id).subscribers)
    }

    /// Adds a filter that is not there yet.
    pub(crate) fn insert(&mut self, filter: &str, subscribers: SlotId) {
        debug_assert!(self.find(filter).is_none(), "a filter is there once");
        let id = self.by_id.insert(ExactFilter { filter: filter.into(), subscribers });
        let (by_id, hasher) = (&self.by_id, &self.hasher);
        self.by_filter
            .insert_unique(hasher.hash_one(filter), id, |id| hasher.hash_one(&*by_id.get(*id).filter));
    }

    pub(crate) fn remove(&mut self, filter: &str) {
        let is_same = |id: &SlotId| *self.by_id.get(*id).filter == *filter;
        if let Some(id) = self.by_filter.remove(self.hasher.hash_one(filter), is_same) {
            self.by_id.remove(id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let texts: usize = self.by_id.iter().map(|entry| entry.filter.len()).sum();
        self.by_id.memory_bytes() + self.by_filter.allocation_size() + texts
    }
}
