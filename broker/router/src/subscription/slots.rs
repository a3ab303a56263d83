//! A list of values with numbers that stay: removed ones leave a gap that the next one fills.
//!
//! Four bytes name a value where a pointer would take eight, and a gap costs no allocation. The
//! list is in segments, so that it grows without being copied as a whole.

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

/// Values of a full segment: those of subscribers are 40 KiB.
const SEGMENT_VALUES: usize = 1_024;

/// Values by number. `get` of a number that is not in use is a bug of this crate and panics.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    /// All are full but the last.
    segments: Vec<Vec<Option<T>>>,
    gaps: Vec<SlotId>,
    /// Values, gaps included.
    entries: usize,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { segments: Vec::new(), gaps: Vec::new(), entries: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries - self.gaps.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> SlotId {
        if let Some(gap) = self.gaps.pop() {
            *self.entry(gap) = Some(value);
            return gap;
        }
        let segment = self.segment_with_room();
        if segment.len() == segment.capacity() {
            // A quarter instead of the double: a tenant of few subscriptions reserves few more.
            let room = SEGMENT_VALUES - segment.len();
            segment.reserve_exact((segment.len() / 4 + 4).min(room));
        }
        segment.push(Some(value));
        self.entries += 1;
        SlotId::at(self.entries - 1)
    }

    pub(crate) fn remove(&mut self, id: SlotId) {
        let entry = self.entry(id);
        debug_assert!(entry.is_some(), "slot is in use");
        *entry = None;
        self.gaps.push(id);
    }

    pub(crate) fn get(&self, id: SlotId) -> &T {
        let entry = &self.segments[id.position() / SEGMENT_VALUES][id.position() % SEGMENT_VALUES];
        entry.as_ref().expect("whoever holds a slot's number keeps it in use")
    }

    pub(crate) fn get_mut(&mut self, id: SlotId) -> &mut T {
        self.entry(id).as_mut().expect("whoever holds a slot's number keeps it in use")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flatten().flatten()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let values: usize =
            self.segments.iter().map(|segment| segment.capacity() * size_of::<Option<T>>()).sum();
        let lists = self.segments.capacity() * size_of::<Vec<Option<T>>>();
        values + lists + self.gaps.capacity() * size_of::<SlotId>()
    }

    fn entry(&mut self, id: SlotId) -> &mut Option<T> {
        &mut self.segments[id.position() / SEGMENT_VALUES][id.position() % SEGMENT_VALUES]
    }

    /// The last segment, a new one if it is full. Only the first grows bit by bit.
    fn segment_with_room(&mut self) -> &mut Vec<Option<T>> {
        let number = self.entries / SEGMENT_VALUES;
        if number == self.segments.len() {
            let capacity = if number == 0 { 0 } else { SEGMENT_VALUES };
            self.segments.push(Vec::with_capacity(capacity));
        }
        &mut self.segments[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_where_they_are_and_gaps_are_filled() {
        let mut slots = Slots::new();
        let ids: Vec<SlotId> = (0..3 * SEGMENT_VALUES + 1).map(|number| slots.insert(number)).collect();
        assert_eq!(ids[0], SlotId::FIRST);
        assert!(ids.iter().enumerate().all(|(number, id)| *slots.get(*id) == number));
        let place = slots.get(ids[1]) as *const usize;
        slots.remove(ids[SEGMENT_VALUES]);
        assert_eq!(slots.len(), 3 * SEGMENT_VALUES);
        assert_eq!(slots.insert(7), ids[SEGMENT_VALUES]);
        for number in 0..10 * SEGMENT_VALUES {
            slots.insert(number);
        }
        assert_eq!(slots.get(ids[1]) as *const usize, place, "nothing was copied");
        assert_eq!((slots.len(), slots.iter().count()), (13 * SEGMENT_VALUES + 1, 13 * SEGMENT_VALUES + 1));
    }
}
