//! Global allocator of the binary: slabs for allocations that are aligned to 128 bytes, the
//! system's allocator for everything else.
//!
//! tokio aligns each task and each registered socket to two cache lines, so every connection has
//! one of both. The C library carves an aligned block out of a larger one: 384 bytes take about
//! 660. Slots of a slab are aligned by their place and need no header.
//!
//! A slab is 64 KiB of memory of the system, aligned to its size. Its first slot is its header, so
//! the address of a slot tells its slab. All slots of a slab have one size. Slabs with free slots
//! are in a list. A slab without used slots goes back to the system, except for the last one of its
//! list.
//!
//! Invariant: the list and the headers of a size are touched under its lock only. The lock is that
//! of the standard library, which never allocates.
//!
//! Measured: see "Memory of a connection" in `docs/performance.md`.
#![allow(unsafe_code, reason = "an allocator hands out raw memory; GlobalAlloc is an unsafe trait")]

mod slab;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use slab::Slabs;

/// Alignment that slabs serve, in bytes.
const SLAB_ALIGN: usize = 128;

/// Global allocator with slabs of 128-byte and 256-byte slots.
#[derive(Debug)]
pub struct SlabAllocator {
    single: Mutex<Slabs>,
    double: Mutex<Slabs>,
}

impl SlabAllocator {
    /// Creates an allocator without slabs.
    pub const fn new() -> Self {
        Self { single: Mutex::new(Slabs::new(SLAB_ALIGN)), double: Mutex::new(Slabs::new(2 * SLAB_ALIGN)) }
    }

    /// Returns the slabs that serve a layout; `None` if the system's allocator does.
    #[inline]
    fn slabs(&self, layout: Layout) -> Option<&Mutex<Slabs>> {
        if layout.align() != SLAB_ALIGN {
            return None;
        }
        match layout.size() {
            1..=SLAB_ALIGN => Some(&self.single),
            size if size <= 2 * SLAB_ALIGN => Some(&self.double),
            _ => None,
        }
    }
}

impl Default for SlabAllocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a slot is handed out once until it is given back, is as long as the layout asks at least,
// and lies at a multiple of its size, which is a multiple of the alignment. All else is the
// system's allocator. Nothing here unwinds.
unsafe impl GlobalAlloc for SlabAllocator {
    #[inline]
    // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.slabs(layout) {
            // SAFETY: the caller's contract is that of the system's allocator.
            None => unsafe { System.alloc(layout) },
            Some(slabs) => take(slabs),
        }
    }

    #[inline]
    // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        match self.slabs(layout) {
            // SAFETY: a layout that slabs do not serve was allocated by the system.
            None => unsafe { System.dealloc(pointer, layout) },
            // SAFETY: the layout tells the slabs that the slot came from.
            Some(slabs) => unsafe { give_back(slabs, pointer) },
        }
    }

    #[inline]
    // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(slabs) = self.slabs(layout) else {
            // SAFETY: the caller's contract is that of the system's allocator.
            return unsafe { System.alloc_zeroed(layout) };
        };
        let slot = take(slabs);
        if !slot.is_null() {
            // SAFETY: a slot is as long as the layout at least, and nobody else has it.
            unsafe { slot.write_bytes(0, layout.size()) };
        }
        slot
    }

    #[inline]
    // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size, rounded up to the alignment, is no overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if self.slabs(layout).is_none() && self.slabs(wanted).is_none() {
            // SAFETY: the system allocated it, and serves the new layout as well.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        // SAFETY: both layouts are valid and not empty by the caller's contract; the blocks are two
        // different ones, and each is as long as its layout.
        unsafe {
            let moved = self.alloc(wanted);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(pointer, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
            moved
        }
    }
}

/// Takes a slot; null if the system has no memory.
fn take(slabs: &Mutex<Slabs>) -> *mut u8 {
    slabs.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(std::ptr::null_mut(), NonNull::as_ptr)
}

/// Gives a slot back.
///
/// # Safety
/// It was taken from these slabs and is used by nobody.
// SAFETY: the section above is the contract of the caller.
unsafe fn give_back(slabs: &Mutex<Slabs>, slot: *mut u8) {
    let Some(slot) = NonNull::new(slot) else { return };
    // SAFETY: the caller's contract.
    unsafe { slabs.lock().unwrap_or_else(PoisonError::into_inner).give_back(slot) };
}

#[cfg(test)]
mod tests;
