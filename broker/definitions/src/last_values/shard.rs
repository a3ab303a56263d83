//! One shard of the last values: entries by topic, live ones in the order in which they were written.
//!
//! Plain data behind the caller's lock; every operation says how the sums change.

use hashbrown::HashTable;

use crate::limits::CACHE_ENTRY_BYTES;
use crate::linked_slab::LinkedSlab;

/// Entries of the topics whose hash falls into this shard. Linked = live, unlinked = kept.
pub(super) struct Shard {
    by_topic: HashTable<u32>,
    entries: LinkedSlab<Entry>,
}

struct Entry {
    topic: Box<str>,
    payload: Vec<u8>,
    /// Hash of the topic, so that eviction and growth of the table need not hash again.
    hash: u64,
    /// Number of the write; ascends over all shards.
    write: u64,
    is_kept: bool,
}

/// How the sums of the cache change.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Change {
    pub(super) topics: i64,
    pub(super) bytes: i64,
    pub(super) keep_topics: i64,
    pub(super) keep_bytes: i64,
}

impl Change {
    fn add(&mut self, entry: &Entry, sign: i64) {
        let bytes = sign * i64::try_from(Shard::cost(&entry.topic, entry.payload.len())).unwrap_or(i64::MAX);
        let (topics_sum, bytes_sum) = if entry.is_kept {
            (&mut self.keep_topics, &mut self.keep_bytes)
        } else {
            (&mut self.topics, &mut self.bytes)
        };
        *topics_sum += sign;
        *bytes_sum += bytes;
    }
}

impl Shard {
    pub(super) fn new() -> Shard {
        Shard { by_topic: HashTable::new(), entries: LinkedSlab::new() }
    }

    /// Bytes that an entry counts.
    pub(super) fn cost(topic: &str, payload_len: usize) -> u64 {
        topic.len() as u64 + payload_len as u64 + CACHE_ENTRY_BYTES
    }

    pub(super) fn get(&self, hash: u64, topic: &str) -> Option<&[u8]> {
        self.find(hash, topic).map(|slot| self.entries.get(slot).payload.as_slice())
    }

    pub(super) fn get_kept(&self, hash: u64, topic: &str) -> Option<&[u8]> {
        let entry = self.entries.get(self.find(hash, topic)?);
        entry.is_kept.then_some(entry.payload.as_slice())
    }

    pub(super) fn is_kept(&self, hash: u64, topic: &str) -> bool {
        self.get_kept(hash, topic).is_some()
    }

    /// Topics and values of what is kept.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let entries = self.entries.numbers().map(|slot| self.entries.get(slot));
        entries.filter(|entry| entry.is_kept).map(|entry| (&*entry.topic, &*entry.payload))
    }

    /// The topics of all values, live and kept, in no order.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.entries.numbers().map(|slot| &*self.entries.get(slot).topic)
    }

    /// Write number of the oldest live entry; `u64::MAX` for none.
    pub(super) fn oldest_write(&self) -> u64 {
        self.entries.front().map_or(u64::MAX, |slot| self.entries.get(slot).write)
    }

    pub(super) fn put_live(&mut self, hash: u64, topic: &str, payload: &[u8], write: u64) -> Change {
        let (slot, change) = self.put(hash, topic, payload, false);
        self.entries.get_mut(slot).write = write;
        self.entries.link_back(slot);
        change
    }

    pub(super) fn put_kept(&mut self, hash: u64, topic: &str, payload: &[u8]) -> Change {
        let (slot, change) = self.put(hash, topic, payload, true);
        self.entries.unlink(slot);
        change
    }

    pub(super) fn remove(&mut self, hash: u64, topic: &str) -> Change {
        let Ok(found) = self.by_topic.find_entry(hash, |slot| &*self.entries.get(*slot).topic == topic)
        else {
            return Change::default();
        };
        let (slot, _) = found.remove();
        let mut change = Change::default();
        change.add(&self.entries.remove(slot), -1);
        change
    }

    pub(super) fn remove_kept(&mut self, hash: u64, topic: &str) -> Change {
        if self.is_kept(hash, topic) { self.remove(hash, topic) } else { Change::default() }
    }

    pub(super) fn evict_oldest(&mut self) -> Change {
        match self.entries.front() {
            Some(slot) => self.remove_slot(slot),
            None => Change::default(),
        }
    }

    pub(super) fn retain_live(&mut self, is_cached: impl Fn(&str) -> bool) -> Change {
        let goes = |entry: &Entry| !entry.is_kept && !is_cached(&entry.topic);
        let slots: Vec<u32> = self.entries.numbers().filter(|slot| goes(self.entries.get(*slot))).collect();
        let mut sum = Change::default();
        for slot in slots {
            let change = self.remove_slot(slot);
            sum.topics += change.topics;
            sum.bytes += change.bytes;
        }
        sum
    }

    /// Writes the payload into a new or present entry. Reuses the present one's memory unless that is far too large.
    fn put(&mut self, hash: u64, topic: &str, payload: &[u8], is_kept: bool) -> (u32, Change) {
        let mut change = Change::default();
        let slot = match self.find(hash, topic) {
            Some(slot) => {
                change.add(self.entries.get(slot), -1);
                slot
            }
            None => self.insert_empty(hash, topic),
        };
        let entry = self.entries.get_mut(slot);
        entry.payload.clear();
        if entry.payload.capacity() > 64 && entry.payload.capacity() / 4 > payload.len() {
            entry.payload = Vec::new();
        }
        entry.payload.reserve_exact(payload.len());
        entry.payload.extend_from_slice(payload);
        entry.is_kept = is_kept;
        change.add(entry, 1);
        (slot, change)
    }

    fn insert_empty(&mut self, hash: u64, topic: &str) -> u32 {
        let entry = Entry { topic: topic.into(), payload: Vec::new(), hash, write: 0, is_kept: false };
        let slot = self.entries.insert(entry);
        let entries = &self.entries;
        self.by_topic.insert_unique(hash, slot, |slot| entries.get(*slot).hash);
        slot
    }

    fn remove_slot(&mut self, slot: u32) -> Change {
        let entry = self.entries.remove(slot);
        if let Ok(found) = self.by_topic.find_entry(entry.hash, |known| *known == slot) {
            found.remove();
        }
        let mut change = Change::default();
        change.add(&entry, -1);
        change
    }

    fn find(&self, hash: u64, topic: &str) -> Option<u32> {
        self.by_topic.find(hash, |slot| &*self.entries.get(*slot).topic == topic).copied()
    }
}
