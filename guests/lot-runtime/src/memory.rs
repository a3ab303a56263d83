//! Allocator whose memory is freed as a whole when a run ends.
//!
//! There are two parts. Allocations before the first run last: the program's constants and its
//! compiled patterns. Allocations of a run, with the host's arguments, lie in sequence, and
//! [`end_run`] frees them. Until then only the latest block can be freed. When the initial memory
//! is full, the memory grows by whole pages.
//!
//! Invariant: within one chunk, lasting memory never lies after the start of a run's memory, so
//! `end_run` cannot free it.

#![allow(unsafe_code, reason = "an allocator")]
#![allow(static_mut_refs, reason = "the module has one thread")]

use std::alloc::{GlobalAlloc, Layout};

use crate::limits::{GROWTH_BYTES_MIN, RUN_CHUNKS_MAX};
use crate::pages::{self, PAGE};

/// A stretch of memory of which `start..next` is taken.
#[derive(Clone, Copy)]
struct Chunk {
    start: usize,
    next: usize,
    end: usize,
}

impl Chunk {
    const NONE: Chunk = Chunk { start: 0, next: 0, end: 0 };

    fn take(&mut self, layout: Layout) -> Option<usize> {
        let address = (self.next + layout.align() - 1) & !(layout.align() - 1);
        let next = address.checked_add(layout.size())?;
        if next > self.end {
            return None;
        }
        self.next = next;
        Some(address)
    }
}

struct Memory {
    /// Whether the program is being set up or a pattern is at work: what is taken lasts.
    lasting: bool,
    /// Chunk for lasting memory.
    kept: Chunk,
    /// Chunk for the memory of the run.
    run: Chunk,
    /// All chunks of the run's memory, of which `run` is number `current`.
    chunks: [Chunk; RUN_CHUNKS_MAX],
    count: usize,
    current: usize,
    /// Number of the chunk, and the address in it, where the memory of the next run begins.
    first: (usize, usize),
}

static mut MEMORY: Memory = Memory {
    lasting: true,
    kept: Chunk::NONE,
    run: Chunk::NONE,
    chunks: [Chunk::NONE; RUN_CHUNKS_MAX],
    count: 0,
    current: 0,
    first: (0, 0),
};

impl Memory {
    fn allocate(&mut self, layout: Layout) -> usize {
        if self.lasting { self.allocate_lasting(layout) } else { self.allocate_for_run(layout) }
    }

    fn allocate_lasting(&mut self, layout: Layout) -> usize {
        if self.kept.end == 0 {
            self.kept = initial();
        }
        if let Some(address) = self.kept.take(layout) {
            return address;
        }
        let Some(fresh) = grow(layout.size() + layout.align()) else { return 0 };
        if fresh.start == self.kept.end {
            self.kept.end = fresh.end;
        } else {
            self.kept = fresh;
        }
        self.kept.take(layout).unwrap_or(0)
    }

    fn allocate_for_run(&mut self, layout: Layout) -> usize {
        if let Some(address) = self.run.take(layout) {
            return address;
        }
        while self.current + 1 < self.count {
            self.current += 1;
            self.run = self.chunks[self.current];
            if let Some(address) = self.run.take(layout) {
                return address;
            }
        }
        let Some(fresh) = grow((layout.size() + layout.align()).max(self.run.end - self.run.start)) else {
            return 0;
        };
        self.add(fresh);
        self.run.take(layout).unwrap_or(0)
    }

    /// Adds memory behind the last chunk of the run's, which is the current one.
    fn add(&mut self, fresh: Chunk) {
        if self.count > 0 && fresh.start == self.run.end {
            self.run.end = fresh.end;
            self.chunks[self.current].end = fresh.end;
        } else if self.count < RUN_CHUNKS_MAX {
            self.chunks[self.count] = fresh;
            self.current = self.count;
            self.count += 1;
            self.run = fresh;
        }
    }

    fn end_run(&mut self) {
        self.current = self.first.0;
        self.run = Chunk { next: self.first.1, ..self.chunks[self.current] };
    }

    /// The chunk that blocks are taken from at present.
    fn active(&mut self) -> &mut Chunk {
        if self.lasting { &mut self.kept } else { &mut self.run }
    }
}

/// Returns the memory between the module's data and the end of its initial memory.
fn initial() -> Chunk {
    let (start, end) = pages::initial();
    Chunk { start, next: start, end }
}

fn grow(bytes: usize) -> Option<Chunk> {
    let count = bytes.max(GROWTH_BYTES_MIN).div_ceil(PAGE);
    let start = pages::grow(count)? * PAGE;
    // The last page of a full memory ends at 2^32, which no address reaches.
    Some(Chunk { start, next: start, end: start.saturating_add(count * PAGE) })
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: blocks never overlap. `Chunk::take` only moves forward, back over the latest block, or,
// at the end of a run, over blocks without references. The module has one thread.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference into MEMORY outlives a call.
        unsafe { MEMORY.allocate(layout) as *mut u8 }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: one thread, and the reference ends with this call.
        let chunk = unsafe { MEMORY.active() };
        let address = block as usize;
        if address + layout.size() == chunk.next && address >= chunk.start {
            chunk.next = address;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: one thread, and the reference ends with this call.
        let chunk = unsafe { MEMORY.active() };
        let address = block as usize;
        let is_latest = address + layout.size() == chunk.next && address >= chunk.start;
        if is_latest && address + size <= chunk.end {
            chunk.next = address + size;
            // Not `block`, which may be known to go no further than it did.
            return address as *mut u8;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: `size` is not 0 and the alignment is that of an existing block; the new block
        // does not overlap the old.
        unsafe {
            let fresh = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !fresh.is_null() {
                std::ptr::copy_nonoverlapping(block, fresh, layout.size());
            }
            fresh
        }
    }
}

/// Ends the set-up: what is taken from now on belongs to a run.
pub(crate) fn begin_runs() {
    // SAFETY: one thread.
    let memory = unsafe { &mut MEMORY };
    if memory.kept.end == 0 {
        memory.kept = initial();
    }
    let start = (memory.kept.next + 15) & !15;
    memory.chunks[0] = Chunk { start, next: start, end: memory.kept.end };
    memory.count = 1;
    // An address that no growth continues: the next lasting block gets memory of its own.
    memory.kept = Chunk { start: 1, next: 1, end: 1 };
    memory.lasting = false;
    end_batch();
}

/// Keeps all memory since the end of the last run until the batch ends.
pub(crate) fn begin_run_of_batch() {
    // SAFETY: one thread.
    let memory = unsafe { &mut MEMORY };
    memory.first = (memory.current, memory.run.next);
}

/// Gives back what was taken for the batch, and what its last run took.
pub(crate) fn end_batch() {
    // SAFETY: one thread.
    let memory = unsafe { &mut MEMORY };
    memory.first = (0, memory.chunks[0].start);
    memory.end_run();
}

/// Gives back what the run took.
pub(crate) fn end_run() {
    // SAFETY: one thread.
    unsafe { MEMORY.end_run() }
}

/// Calls `work` so that what it takes outlives the run.
pub(crate) fn lastingly<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: one thread; the reference is not held over `work`.
    let before = unsafe { std::mem::replace(&mut MEMORY.lasting, true) };
    let result = work();
    // SAFETY: as above.
    unsafe { MEMORY.lasting = before };
    result
}
