//! A list of values with numbers that stay: removed ones leave a gap that the next one fills.
//!
//! Four bytes name a value where a pointer would take eight, and a gap costs no allocation.

use std::num::NonZeroU32;

/// Number of a value in [`Slots`]: its position and 1, so that an `Option` of it takes 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SlotId(NonZeroU32);

impl SlotId {
    /// The number that the first value gets.
    pub(crate) const FIRST: Self = Self(NonZeroU32::MIN);

    fn at(position: usize) -> Self {
        let number = u32::try_from(position + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("2^32 entries do not fit into memory"))
    }

    fn position(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Values by number. `get` of a number that is not in use is a bug of this crate and panics.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    entries: Vec<Option<T>>,
    gaps: Vec<SlotId>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), gaps: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.gaps.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> SlotId {
        if let Some(gap) = self.gaps.pop() {
            self.entries[gap.position()] = Some(value);
            return gap;
        }
        if self.entries.len() == self.entries.capacity() {
            // A quarter instead of the double: 100,000 subscriptions would reserve 5 MB that they may never use.
            self.entries.reserve_exact(self.entries.len() / 4 + 4);
        }
        self.entries.push(Some(value));
        SlotId::at(self.entries.len() - 1)
    }

    pub(crate) fn remove(&mut self, id: SlotId) {
        debug_assert!(self.entries[id.position()].is_some(), "slot is in use");
        self.entries[id.position()] = None;
        self.gaps.push(id);
    }

    pub(crate) fn get(&self, id: SlotId) -> &T {
        self.entries[id.position()].as_ref().expect("whoever holds a slot's number keeps it in use")
    }

    pub(crate) fn get_mut(&mut self, id: SlotId) -> &mut T {
        self.entries[id.position()].as_mut().expect("whoever holds a slot's number keeps it in use")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Option<T>>() + self.gaps.capacity() * size_of::<SlotId>()
    }
}
