//! Tuning of the C library's heap for memory that the engine, compilers, executors and password
//! checks free.
//!
//! A thousand instances leave some 12 MiB in a thread's heap when they are dropped. By default the
//! library gives such memory back only beyond a threshold. That threshold grows with every freed
//! large block, up to 64 MiB per thread. It is checked only when a large block is freed, because
//! small ones are not joined before. The same holds for the 19 MiB of a password check, and for the
//! memory of compiling the runtime and the shell.
#![allow(
    unsafe_code,
    reason = "the C library has no safe face for this; it saves a quarter of an idle definition's memory"
)]

use std::hint::black_box;

/// Free memory at the end of a heap that is kept, and size from which blocks are mapped by
/// themselves, in bytes. Below the rest of a thousand instances; far above the memory of one turn
/// of a shard.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: i32 = 4 * 1024 * 1024;

/// A block that the library counts as large.
const LARGE_BYTES: usize = 128 * 1024;

/// Lets no heap of a thread keep more than 4 MiB of free memory at its end.
#[cfg(target_env = "gnu")]
pub(crate) fn keep_little() {
    for option in [libc::M_TRIM_THRESHOLD, libc::M_MMAP_THRESHOLD] {
        // SAFETY: it sets a number, may be called at any time from any thread, and changes no block
        // that is in use.
        unsafe { libc::mallopt(option, KEPT_BYTES) };
    }
}

/// Other C libraries decide for themselves.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn keep_little() {}

/// Instances dropped at once that are worth a walk over all heaps, which nobody else can use
/// meanwhile.
const DROPPED_MANY: usize = 256;

/// Gives back what so many instances leave that this thread has dropped. The end of its heap alone
/// is little help after many of them: what lives longer, such as the pool's lists, lies between.
pub(crate) fn settle(dropped: usize) {
    drop(black_box(Vec::<u8>::with_capacity(LARGE_BYTES)));
    if dropped >= DROPPED_MANY {
        trim();
    }
}

/// Bytes of a binary whose compilation is worth the same: a usual definition has two thousand. One
/// of such bytes takes some thousand, and every thread that compiles would keep them.
const COMPILED_MANY: usize = 64 * 1024;

/// Gives back what compiling so many bytes has left.
pub(crate) fn settle_compiled(bytes: usize) {
    if bytes >= COMPILED_MANY {
        trim();
    }
}

/// Gives back to the system all memory of all heaps that holds nothing. Takes some milliseconds for
/// each 64 MiB, in which nobody else can use that heap.
#[cfg(target_env = "gnu")]
pub fn trim() {
    // SAFETY: it gives pages back that hold no block in use, and may be called at any time from any
    // thread.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries decide for themselves.
#[cfg(not(target_env = "gnu"))]
pub fn trim() {}
