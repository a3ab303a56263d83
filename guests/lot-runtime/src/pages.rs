//! Linear memory of the module: the start of its free part, and its growth.
//!
//! On another machine with addresses of 32 bits, a block of the system replaces it, so that Miri
//! can run the `unsafe` code (`tests/program.rs`).

/// Bytes of a page of WebAssembly.
pub(crate) const PAGE: usize = 64 * 1024;

#[cfg(target_arch = "wasm32")]
mod imp {
    #![allow(unsafe_code, reason = "a symbol of the linker")]

    use core::arch::wasm32;

    use super::PAGE;

    /// Returns the range between the module's data and the end of its initial memory.
    pub(crate) fn initial() -> (usize, usize) {
        unsafe extern "C" {
            static __heap_base: u8;
        }
        let start = &raw const __heap_base as usize;
        (start, wasm32::memory_size(0) * PAGE)
    }

    /// Number of the first of so many new pages.
    pub(crate) fn grow(pages: usize) -> Option<usize> {
        let before = wasm32::memory_grow(0, pages);
        (before != usize::MAX).then_some(before)
    }

    /// Ends the program.
    pub(crate) fn trap() -> ! {
        wasm32::unreachable()
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    #![allow(unsafe_code, reason = "a block of the system's allocator")]

    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

    use super::PAGE;

    /// Pages at the start, as `build.rs` has it.
    const PAGES_INITIAL: usize = 4;
    /// Pages at most.
    const PAGES_MAX: usize = 256;

    /// Address of the first page.
    static FIRST: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
    /// The first page that is not there yet, counted from address 0.
    static END: AtomicUsize = AtomicUsize::new(0);

    pub(crate) fn initial() -> (usize, usize) {
        let Ok(layout) = Layout::from_size_align(PAGES_MAX * PAGE, PAGE) else { trap() };
        // SAFETY: the layout has a size.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            trap();
        }
        FIRST.store(block, Relaxed);
        let first = block.expose_provenance();
        END.store(first / PAGE + PAGES_INITIAL, Relaxed);
        (first, first + PAGES_INITIAL * PAGE)
    }

    pub(crate) fn grow(pages: usize) -> Option<usize> {
        let before = END.load(Relaxed);
        let end = before.checked_add(pages)?;
        (end <= FIRST.load(Relaxed).addr() / PAGE + PAGES_MAX).then(|| END.store(end, Relaxed))?;
        Some(before)
    }

    pub(crate) fn trap() -> ! {
        std::process::abort()
    }
}

pub(crate) use imp::{grow, initial, trap};
