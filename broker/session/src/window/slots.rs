//! Slots of a window: each message lies where the low bits of its Packet Identifier say, so an
//! acknowledgement finds it without a search.
//!
//! Slots come in pages, and a page has memory from its first message on: Identifiers go up, so a
//! burst needs a few pages at a time, of a size that each allocator has at hand. A window that
//! empties a thousand times a second would otherwise take and give back as much memory as it has
//! slots.
//!
//! Invariants: the number of slots is a power of two, or 0; an Identifier's slot holds at most one
//! message. Not here: which Identifiers are in use at once.

use super::Entry;
use lotmq_codec::PacketId;

/// Slots of a window that has messages: at least this many.
const SLOTS_MIN: usize = 8;

/// Slots at most: one for each identifier.
const SLOTS_MAX: usize = 65_536;

/// Slots of a page, where there are so many.
const PAGE_SLOTS: usize = 64;

/// Slots for which an empty window keeps places: 512 bytes. Memory it keeps for those of one page.
const SLOTS_KEPT: usize = 2048;

/// See the module's description.
#[derive(Debug, Clone)]
pub(super) struct SlotPages<M> {
    /// Those without a message so far are empty.
    pages: Vec<Page<M>>,
    count: usize,
    /// Pages that have memory.
    filled: usize,
}

type Page<M> = Box<[Option<Entry<M>>]>;

impl<M> SlotPages<M> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), count: 0, filled: 0 }
    }

    /// Number of slots.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether a message with this identifier would find its slot free.
    pub(super) fn is_free(&self, packet_id: PacketId) -> bool {
        let (page, at) = self.place(packet_id);
        self.count > 0 && self.pages[page].get(at).is_none_or(Option::is_none)
    }

    pub(super) fn get_mut(&mut self, packet_id: PacketId) -> Option<&mut Entry<M>> {
        let (page, at) = self.place(packet_id);
        let entry = self.pages.get_mut(page)?.get_mut(at)?.as_mut();
        entry.filter(|entry| entry.packet_id == packet_id)
    }

    pub(super) fn take(&mut self, packet_id: PacketId) -> Option<Entry<M>> {
        let (page, at) = self.place(packet_id);
        self.pages.get_mut(page)?.get_mut(at)?.take_if(|entry| entry.packet_id == packet_id)
    }

    /// Puts a message into its slot, which is free.
    pub(super) fn put(&mut self, entry: Entry<M>) {
        debug_assert!(self.is_free(entry.packet_id), "a slot holds one message");
        let (page, at) = self.place(entry.packet_id);
        let slots = self.count.min(PAGE_SLOTS);
        let page = &mut self.pages[page];
        if page.is_empty() {
            *page = std::iter::repeat_with(|| None).take(slots).collect();
            self.filled += 1;
        }
        page[at] = Some(entry);
    }

    /// Doubles the slots. Two messages that do not share a slot of the smaller number do not share
    /// one of the greater.
    pub(super) fn grow(&mut self) {
        let old = std::mem::take(&mut self.pages);
        self.count = (self.count * 2).clamp(SLOTS_MIN, SLOTS_MAX);
        self.filled = 0;
        self.pages.resize_with(self.count.div_ceil(PAGE_SLOTS), Page::default);
        old.into_iter().flat_map(Vec::from).flatten().for_each(|entry| self.put(entry));
    }

    /// Gives memory back that a burst needed. All slots are free; the last message had this
    /// identifier, and the next ones lie close behind it.
    pub(super) fn emptied(&mut self, last: PacketId) {
        if self.filled < 2 && self.count <= SLOTS_KEPT {
            return;
        }
        let (page, _) = self.place(last);
        let kept = std::mem::take(&mut self.pages[page]);
        self.count = self.count.min(SLOTS_KEPT);
        self.pages.iter_mut().for_each(|page| *page = Page::default());
        self.pages.truncate(self.count.div_ceil(PAGE_SLOTS));
        self.pages.shrink_to_fit();
        let (page, _) = self.place(last);
        self.pages[page] = kept;
        self.filled = 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<M>> {
        self.pages.iter().flat_map(|page| page.iter()).flatten()
    }

    /// All slots that have memory.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Option<Entry<M>>> {
        self.pages.iter_mut().flat_map(|page| page.iter_mut())
    }

    pub(super) fn check_invariants(&self) -> Result<(), &'static str> {
        if self.pages.iter().filter(|page| !page.is_empty()).count() != self.filled {
            return Err("filled is the number of pages that have memory");
        }
        let lies_there = |entry: &Entry<M>| {
            let (page, at) = self.place(entry.packet_id);
            self.pages[page][at].as_ref().is_some_and(|there| std::ptr::eq(there, entry))
        };
        if self.iter().all(lies_there) { Ok(()) } else { Err("a message lies where its identifier says") }
    }

    /// Page and place in it.
    fn place(&self, packet_id: PacketId) -> (usize, usize) {
        let at = usize::from(packet_id.get()) & self.count.saturating_sub(1);
        (at / PAGE_SLOTS, at % PAGE_SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable_state::InflightStep;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn message(number: u16) -> Entry<u16> {
        let (packet_id, step) = (id(number), InflightStep::AwaitsPuback);
        Entry { message: Some(number), sequence: 0, bytes: 1, packet_id, step, is_sent: true, has_left: true }
    }

    #[test]
    fn packet_slots_of_a_burst_are_freed_and_reused() {
        let mut slots = SlotPages::new();
        for messages in [1, 40, 700, 30_000, 900_u16] {
            for number in 1..=messages {
                while slots.count() < usize::from(messages) || !slots.is_free(id(number)) {
                    slots.grow();
                }
                slots.put(message(number));
            }
            slots.check_invariants().unwrap();
            assert_eq!(slots.iter().count(), usize::from(messages));
            assert!(
                slots.filled * PAGE_SLOTS <= usize::from(messages) + 2 * PAGE_SLOTS,
                "of pages that it needs"
            );
            for number in 1..=messages {
                assert_eq!(slots.take(id(number)).unwrap().message, Some(number));
                assert!(slots.take(id(number)).is_none() && slots.get_mut(id(number)).is_none());
            }
            slots.emptied(id(messages));
            slots.check_invariants().unwrap();
            assert!(slots.filled == 1 && slots.count() <= SLOTS_KEPT);
        }
        assert_eq!(slots.count(), SLOTS_KEPT, "places are kept");
        // One after the other, each page is left behind.
        for number in 1..=u16::MAX {
            slots.put(message(number));
            slots.take(id(number)).unwrap();
            slots.emptied(id(number));
            assert_eq!(slots.filled, 1);
        }
        slots.check_invariants().unwrap();
    }
}
