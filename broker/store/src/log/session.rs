//! Living deliveries of one session: entries in memory, and pages of entries on the disk.
//!
//! Invariant: no entry in memory lies within a page, so the store looks for a message in one place
//! only.

use std::collections::{BTreeMap, VecDeque};

use lotmq_changes::{MessageId, Waiting};

use crate::log::page::{Entry, Identifiers, PageInfo};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct LiveSession {
    /// In memory.
    pub(crate) entries: BTreeMap<MessageId, Entry>,
    /// On the disk, ascending.
    pub(crate) pages: VecDeque<PageInfo>,
    /// Rows whose entries are in memory: they go when the session is written next.
    pub(crate) stale: Vec<MessageId>,
    pub(crate) identifiers: Identifiers,
    /// Whether there is a row with identifiers.
    pub(crate) has_identifiers_row: bool,
    /// The first record that its rows know nothing of; `None` when they tell everything.
    pub(crate) dirty_since: Option<u64>,
    /// At replay: its rows say all about its records before this one.
    pub(crate) known_until: u64,
}

impl LiveSession {
    /// The page that a message would be in.
    pub(crate) fn page_of(&self, message: MessageId) -> Option<&PageInfo> {
        // New messages lie behind all pages.
        if self.pages.back().is_none_or(|page| page.last < message) {
            return None;
        }
        let after = self.pages.partition_point(|page| page.first <= message);
        self.pages.get(after.checked_sub(1)?).filter(|page| page.last >= message)
    }

    /// Takes a page off the list.
    pub(crate) fn take_page(&mut self, first: MessageId) -> Option<PageInfo> {
        let place = self.pages.binary_search_by_key(&first, |page| page.first).ok()?;
        self.pages.remove(place)
    }

    pub(crate) fn put_page(&mut self, page: PageInfo) {
        let place = self.pages.partition_point(|other| other.first < page.first);
        self.pages.insert(place, page);
    }

    /// First message of the page in front of this one.
    pub(crate) fn page_before(&self, message: MessageId) -> Option<PageInfo> {
        let place = self.pages.partition_point(|page| page.first < message);
        self.pages.get(place.checked_sub(1)?).copied()
    }

    /// Whether rows of it are on the disk.
    pub(crate) fn has_rows(&self) -> bool {
        self.has_identifiers_row || !self.pages.is_empty() || !self.stale.is_empty()
    }

    /// Returns the waiting messages, on the disk and in memory.
    pub(crate) fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::default();
        self.pages.iter().for_each(|page| waiting.add_all(page.waiting));
        self.entries.values().for_each(|entry| entry.count_in(&mut waiting));
        waiting
    }

    /// The record from which on its entries in memory were written.
    pub(crate) fn oldest_record(&self) -> Option<u64> {
        self.entries.values().map(|entry| entry.lsn.min(entry.head)).min()
    }
}
