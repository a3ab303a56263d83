//! One shard of the last values: entries by topic, live ones in the order in which they were
//! written.
//!
//! Plain data behind the caller's lock; every operation says how the sums change.

use hashbrown::HashTable;

use super::keeper::{KeptSum, KeptValue, ValueKeeper};
use crate::definition::Owner;
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
    kind: EntryKind,
}

/// Kind of an entry.
enum EntryKind {
    /// A live one, with the number of the write, which ascends over all shards.
    Live(u64),
    /// Value that a program of this user keeps.
    Value(Option<Owner>),
    /// Last error of a definition of this user.
    Error(Option<Owner>),
}

impl EntryKind {
    /// Of a kept one, whose it is.
    fn keeper(&self) -> Option<ValueKeeper<'_>> {
        let (sum, user) = match self {
            EntryKind::Live(_) => return None,
            EntryKind::Value(user) => (KeptSum::Values, user),
            EntryKind::Error(user) => (KeptSum::Errors, user),
        };
        Some(ValueKeeper { sum, user: user.as_ref() })
    }

    fn kept_by(keeper: ValueKeeper<'_>) -> EntryKind {
        let user = keeper.user.cloned();
        match keeper.sum {
            KeptSum::Values => EntryKind::Value(user),
            KeptSum::Errors => EntryKind::Error(user),
        }
    }
}

impl Entry {
    fn cost(&self) -> u64 {
        Shard::cost(&self.topic, self.payload.len())
    }

    fn kept(&self) -> Option<KeptValue<'_>> {
        self.kind.keeper().map(|keeper| KeptValue { payload: &self.payload, keeper })
    }
}

/// How the sums of the cache change.
#[derive(Default)]
pub(super) struct Change {
    pub(super) topics: i64,
    pub(super) bytes: i64,
    pub(super) keep_topics: i64,
    pub(super) keep_bytes: i64,
    /// Kind of a kept entry that was removed or replaced.
    gone: Option<EntryKind>,
}

impl Change {
    /// Returns the owner of a removed kept value, and the bytes that it counted.
    pub(super) fn gone(&self) -> Option<(ValueKeeper<'_>, u64)> {
        Some((self.gone.as_ref()?.keeper()?, self.keep_bytes.unsigned_abs()))
    }

    fn add(&mut self, entry: &Entry, sign: i64) {
        let bytes = sign * i64::try_from(entry.cost()).unwrap_or(i64::MAX);
        let (topics_sum, bytes_sum) = match entry.kind {
            EntryKind::Live(_) => (&mut self.topics, &mut self.bytes),
            EntryKind::Value(_) | EntryKind::Error(_) => (&mut self.keep_topics, &mut self.keep_bytes),
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

    pub(super) fn get_kept(&self, hash: u64, topic: &str) -> Option<KeptValue<'_>> {
        self.entries.get(self.find(hash, topic)?).kept()
    }

    /// Returns the owner of a kept value, and the bytes that it counts.
    pub(super) fn keeper(&self, hash: u64, topic: &str) -> Option<(ValueKeeper<'_>, u64)> {
        let entry = self.entries.get(self.find(hash, topic)?);
        entry.kind.keeper().map(|keeper| (keeper, entry.cost()))
    }

    pub(super) fn is_kept(&self, hash: u64, topic: &str) -> bool {
        self.get_kept(hash, topic).is_some()
    }

    /// Returns topics and values of the kept entries.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&str, KeptValue<'_>)> {
        let entries = self.entries.numbers().map(|slot| self.entries.get(slot));
        entries.filter_map(|entry| Some((&*entry.topic, entry.kept()?)))
    }

    /// The topics of all values, live and kept, in no order.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        self.entries.numbers().map(|slot| &*self.entries.get(slot).topic)
    }

    /// Write number of the oldest live entry; `u64::MAX` for none.
    pub(super) fn oldest_write(&self) -> u64 {
        self.entries.front().map_or(u64::MAX, |slot| match self.entries.get(slot).kind {
            EntryKind::Live(write) => write,
            EntryKind::Value(_) | EntryKind::Error(_) => u64::MAX,
        })
    }

    pub(super) fn put_live(&mut self, hash: u64, topic: &str, payload: &[u8], write: u64) -> Change {
        let (slot, mut change) = self.put(hash, topic, payload);
        let entry = self.entries.get_mut(slot);
        let former = std::mem::replace(&mut entry.kind, EntryKind::Live(write));
        change.gone = (change.keep_topics < 0).then_some(former);
        change.add(entry, 1);
        self.entries.link_back(slot);
        change
    }

    pub(super) fn put_kept(
        &mut self,
        hash: u64,
        topic: &str,
        payload: &[u8],
        keeper: ValueKeeper<'_>,
    ) -> Change {
        let (slot, mut change) = self.put(hash, topic, payload);
        let entry = self.entries.get_mut(slot);
        if entry.kind.keeper() != Some(keeper) {
            entry.kind = EntryKind::kept_by(keeper);
        }
        change.add(entry, 1);
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
        let entry = self.entries.remove(slot);
        change.add(&entry, -1);
        change.gone = (change.keep_topics < 0).then_some(entry.kind);
        change
    }

    pub(super) fn remove_kept(&mut self, hash: u64, topic: &str) -> Change {
        if self.is_kept(hash, topic) { self.remove(hash, topic) } else { Change::default() }
    }

    /// Removes the oldest live entry; one whose topic is held becomes the newest instead, as if it
    /// had been written by this number.
    pub(super) fn evict_oldest(&mut self, is_held: impl Fn(&str) -> bool, write: u64) -> Change {
        match self.entries.front() {
            Some(slot) if is_held(&self.entries.get(slot).topic) => {
                self.entries.get_mut(slot).kind = EntryKind::Live(write);
                self.entries.link_back(slot);
                Change::default()
            }
            Some(slot) => self.remove_slot(slot),
            None => Change::default(),
        }
    }

    pub(super) fn retain_live(&mut self, is_cached: impl Fn(&str) -> bool) -> Change {
        let goes = |entry: &Entry| entry.kind.keeper().is_none() && !is_cached(&entry.topic);
        let slots: Vec<u32> = self.entries.numbers().filter(|slot| goes(self.entries.get(*slot))).collect();
        let mut sum = Change::default();
        for slot in slots {
            let change = self.remove_slot(slot);
            sum.topics += change.topics;
            sum.bytes += change.bytes;
        }
        sum
    }

    /// Writes the payload into a new or present entry, whose kind the caller says before it counts.
    /// Reuses the present one's memory unless that is far too large.
    fn put(&mut self, hash: u64, topic: &str, payload: &[u8]) -> (u32, Change) {
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
        (slot, change)
    }

    fn insert_empty(&mut self, hash: u64, topic: &str) -> u32 {
        let entry = Entry { topic: topic.into(), payload: Vec::new(), hash, kind: EntryKind::Live(0) };
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
