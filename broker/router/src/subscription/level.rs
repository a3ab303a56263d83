//! Interned topic levels: each different text between two slashes is kept once and known by a
//! number.
//!
//! `sensors` in 100,000 filters costs its bytes once; comparing levels is comparing numbers.

use super::slots::{SlotId, Slots};
use crate::parted_table::PartedTable;
use hashbrown::DefaultHashBuilder;
use smallvec::SmallVec;
use std::hash::BuildHasher;
use std::num::NonZeroU32;

/// Number of a level's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LevelId(SlotId);

/// Text of a level with the number of nodes that bear it. Most levels fit in 16 bytes and need no
/// allocation.
#[derive(Debug)]
struct Level {
    text: SmallVec<[u8; 16]>,
    nodes: NonZeroU32,
}

/// All level texts in use.
#[derive(Debug)]
pub(crate) struct Levels {
    by_id: Slots<Level>,
    by_text: PartedTable<SlotId>,
    hasher: DefaultHashBuilder,
}

impl Levels {
    pub(crate) fn new() -> Self {
        Self { by_id: Slots::new(), by_text: PartedTable::new(), hasher: DefaultHashBuilder::default() }
    }

    /// The number of `text`, if some node bears it.
    pub(crate) fn find(&self, text: &str) -> Option<LevelId> {
        let hash = self.hasher.hash_one(text.as_bytes());
        let is_same = |id: &SlotId| self.by_id.get(*id).text.as_slice() == text.as_bytes();
        self.by_text.find(hash, is_same).map(|id| LevelId(*id))
    }

    /// The number of `text` for one more node; give it back with [`release`](Self::release).
    pub(crate) fn acquire(&mut self, text: &str) -> LevelId {
        if let Some(id) = self.find(text) {
            let nodes = &mut self.by_id.get_mut(id.0).nodes;
            *nodes = nodes.saturating_add(1);
            return id;
        }
        let slot =
            self.by_id.insert(Level { text: SmallVec::from_slice(text.as_bytes()), nodes: NonZeroU32::MIN });
        let (by_id, hasher) = (&self.by_id, &self.hasher);
        let rehash = |id: &SlotId| hasher.hash_one(by_id.get(*id).text.as_slice());
        self.by_text.insert_unique(hasher.hash_one(text.as_bytes()), slot, rehash);
        LevelId(slot)
    }

    /// Says that one node less bears this level; the last one frees its text.
    pub(crate) fn release(&mut self, id: LevelId) {
        let LevelId(slot) = id;
        let level = self.by_id.get_mut(slot);
        if let Some(others) = NonZeroU32::new(level.nodes.get() - 1) {
            level.nodes = others;
            return;
        }
        let hash = self.hasher.hash_one(level.text.as_slice());
        self.by_text.remove(hash, |other| *other == slot);
        self.by_id.remove(slot);
    }

    /// Number of nodes that bear each level, summed up.
    pub(crate) fn nodes(&self) -> usize {
        self.by_id.iter().map(|level| level.nodes.get() as usize).sum()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let spilled: usize = self.by_id.iter().filter(|l| l.text.spilled()).map(|l| l.text.capacity()).sum();
        self.by_id.memory_bytes() + self.by_text.allocation_size() + spilled
    }
}
