//! Slabs of one slot size, with a list of those that have free slots.

use std::alloc::{GlobalAlloc as _, Layout, System};
use std::ptr::NonNull;

/// Bytes of a slab, and its alignment.
const SLAB_BYTES: usize = 64 * 1024;

const SLAB_LAYOUT: Layout = match Layout::from_size_align(SLAB_BYTES, SLAB_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two is an alignment"),
};

/// Header of a slab, in its first slot.
struct Slab {
    previous: Option<NonNull<Slab>>,
    next: Option<NonNull<Slab>>,
    /// First slot of those that were given back.
    free: Option<NonNull<FreeSlot>>,
    /// Number of slots that were handed out at some time. The others were never touched.
    begun: usize,
    /// Number of slots in use.
    used: usize,
}

/// Slot that was given back, with the next one.
struct FreeSlot {
    next: Option<NonNull<FreeSlot>>,
}

/// Slabs of one slot size.
#[derive(Debug)]
pub(crate) struct Slabs {
    /// Bytes of a slot.
    slot: usize,
    /// First slab with free slots.
    first: Option<NonNull<Slab>>,
    /// Number of slabs.
    #[cfg(test)]
    pub(crate) count: usize,
}

// SAFETY: the pointers are to memory that belongs to no thread.
unsafe impl Send for Slabs {}

impl Slabs {
    /// Slabs with slots of so many bytes, of which there are none yet.
    pub(crate) const fn new(slot: usize) -> Self {
        assert!(slot >= size_of::<Slab>() && slot.is_power_of_two());
        Self {
            slot,
            first: None,
            #[cfg(test)]
            count: 0,
        }
    }

    /// Takes a slot; `None` if the system has no memory for a slab.
    pub(crate) fn take(&mut self) -> Option<NonNull<u8>> {
        let slots = SLAB_BYTES / self.slot - 1;
        let mut at = match self.first {
            Some(first) => first,
            None => self.add()?,
        };
        // SAFETY: slabs of the list are alive, and `&mut self` is the only access to them. Slot
        // `begun` lies in the slab: one in the list has free slots, and those that were given back
        // go first.
        let (slot, is_full) = unsafe {
            let slab = at.as_mut();
            let slot = match slab.free {
                Some(free) => {
                    slab.free = free.as_ref().next;
                    free.cast()
                }
                None => {
                    slab.begun += 1;
                    at.cast::<u8>().add(slab.begun * self.slot)
                }
            };
            slab.used += 1;
            (slot, slab.used == slots)
        };
        if is_full {
            self.unlink(at);
        }
        Some(slot)
    }

    /// Gives a slot back.
    ///
    /// # Safety
    /// It was taken from these slabs and is used by nobody.
    // SAFETY: the section above is the contract of the caller.
    pub(crate) unsafe fn give_back(&mut self, slot: NonNull<u8>) {
        let slots = SLAB_BYTES / self.slot - 1;
        let offset = slot.addr().get() % SLAB_BYTES;
        let free = slot.cast::<FreeSlot>();
        // SAFETY: a slot lies in a slab that begins at a multiple of its size, and that is alive
        // for as long as a slot of it is used. The slot is nobody's, and long enough.
        let (mut at, was_full, is_unused) = unsafe {
            let mut at = slot.sub(offset).cast::<Slab>();
            let slab = at.as_mut();
            let was_full = slab.used == slots;
            free.write(FreeSlot { next: slab.free });
            slab.free = Some(free);
            slab.used -= 1;
            (at, was_full, slab.used == 0)
        };
        if was_full {
            self.link(at);
        }
        // SAFETY: as above.
        let is_alone = unsafe { at.as_mut().previous.is_none() && at.as_mut().next.is_none() };
        if is_unused && !is_alone {
            self.unlink(at);
            #[cfg(test)]
            {
                self.count -= 1;
            }
            // SAFETY: it was allocated with this layout, no slot of it is used, and the list has
            // forgotten it.
            unsafe { System.dealloc(at.as_ptr().cast(), SLAB_LAYOUT) };
        }
    }

    /// Adds a slab of the system's memory.
    fn add(&mut self) -> Option<NonNull<Slab>> {
        // SAFETY: the layout is not empty.
        let at = NonNull::new(unsafe { System.alloc(SLAB_LAYOUT) })?.cast::<Slab>();
        // SAFETY: the memory is new, aligned, and longer than a header.
        unsafe { at.write(Slab { previous: None, next: None, free: None, begun: 0, used: 0 }) };
        #[cfg(test)]
        {
            self.count += 1;
        }
        self.link(at);
        Some(at)
    }

    /// Enters a slab with free slots into the list.
    fn link(&mut self, mut at: NonNull<Slab>) {
        // SAFETY: slabs of the list are alive, `at` is not among them, and `&mut self` is the only
        // access to them.
        unsafe {
            if let Some(first) = &mut self.first {
                first.as_mut().previous = Some(at);
            }
            at.as_mut().previous = None;
            at.as_mut().next = self.first.replace(at);
        }
    }

    /// Takes a slab off the list.
    fn unlink(&mut self, mut at: NonNull<Slab>) {
        // SAFETY: slabs of the list are alive, `at` is one of them, and `&mut self` is the only
        // access to them.
        unsafe {
            let (previous, next) = (at.as_mut().previous.take(), at.as_mut().next.take());
            match previous {
                Some(mut previous) => previous.as_mut().next = next,
                None => self.first = next,
            }
            if let Some(mut next) = next {
                next.as_mut().previous = previous;
            }
        }
    }
}
