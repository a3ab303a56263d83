//! Slots with stable numbers, in a doubly linked order: the bones of both caches of this crate.
//!
//! A slot holds a value whether it is linked or not; only linked slots have a place in the order.
//! Invariants: every linked slot is reached exactly once from the front; numbers of removed slots
//! are used again.

/// End of the list, and the links of an unlinked slot.
const NONE: u32 = u32::MAX;

/// A slab whose slots can be put in an order from front (oldest) to back (newest). All operations
/// are O(1).
#[derive(Debug)]
pub(crate) struct LinkedSlab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    front: u32,
    back: u32,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    is_linked: bool,
    before: u32,
    after: u32,
}

impl<T> LinkedSlab<T> {
    /// An empty slab.
    pub(crate) fn new() -> LinkedSlab<T> {
        LinkedSlab { slots: Vec::new(), free: Vec::new(), front: NONE, back: NONE }
    }

    /// Puts a value into a slot that is not linked yet.
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let slot = Slot { value: Some(value), is_linked: false, before: NONE, after: NONE };
        if let Some(number) = self.free.pop() {
            self.slots[number as usize] = slot;
            return number;
        }
        let number = u32::try_from(self.slots.len()).expect("bounded far below 2^32 by its users");
        self.slots.push(slot);
        number
    }

    /// Removes a slot, linked or not.
    pub(crate) fn remove(&mut self, number: u32) -> T {
        self.unlink(number);
        self.free.push(number);
        self.slots[number as usize].value.take().expect("the slot is in use")
    }

    /// The value in a slot.
    pub(crate) fn get(&self, number: u32) -> &T {
        self.slots[number as usize].value.as_ref().expect("the slot is in use")
    }

    /// The value in a slot, to be changed.
    pub(crate) fn get_mut(&mut self, number: u32) -> &mut T {
        self.slots[number as usize].value.as_mut().expect("the slot is in use")
    }

    /// The slot at the front of the order.
    pub(crate) fn front(&self) -> Option<u32> {
        (self.front != NONE).then_some(self.front)
    }

    /// Makes the slot the last in the order, wherever it was.
    pub(crate) fn link_back(&mut self, number: u32) {
        self.unlink(number);
        let last = self.back;
        let slot = &mut self.slots[number as usize];
        (slot.is_linked, slot.before, slot.after) = (true, last, NONE);
        match last {
            NONE => self.front = number,
            _ => self.slots[last as usize].after = number,
        }
        self.back = number;
    }

    /// Takes the slot out of the order; its value stays.
    pub(crate) fn unlink(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        if !slot.is_linked {
            return;
        }
        let (before, after) = (slot.before, slot.after);
        (slot.is_linked, slot.before, slot.after) = (false, NONE, NONE);
        match before {
            NONE => self.front = after,
            _ => self.slots[before as usize].after = after,
        }
        match after {
            NONE => self.back = before,
            _ => self.slots[after as usize].before = before,
        }
    }

    /// The numbers of all slots in use, linked or not.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().zip(0u32..).filter(|(slot, _)| slot.value.is_some()).map(|(_, number)| number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(slab: &LinkedSlab<u8>) -> Vec<u32> {
        let mut numbers = Vec::new();
        let mut at = slab.front;
        while at != NONE {
            numbers.push(at);
            at = slab.slots[at as usize].after;
        }
        numbers
    }

    proptest! {
        #[test]
        fn order_is_that_of_a_vec(steps in prop::collection::vec((0u8..4, 0usize..8), 0..100)) {
            let mut slab = LinkedSlab::new();
            let (mut used, mut model): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
            for (step, at) in steps {
                let Some(number) = used.get(at).copied() else {
                    used.push(slab.insert(1));
                    continue;
                };
                match step {
                    0 => { slab.unlink(number); model.retain(|n| *n != number); }
                    1 => { slab.remove(number); model.retain(|n| *n != number); used.retain(|n| *n != number); }
                    _ => { slab.link_back(number); model.retain(|n| *n != number); model.push(number); }
                }
                prop_assert_eq!(&order(&slab), &model);
                let mut numbers: Vec<u32> = slab.numbers().collect();
                numbers.sort_unstable();
                let mut expected = used.clone();
                expected.sort_unstable();
                prop_assert_eq!(numbers, expected);
            }
        }
    }
}
