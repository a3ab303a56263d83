//! What went wrong since the program last looked.
//!
//! Helpers cannot report by themselves: they know neither the line nor the host. They raise a bit here; the compiled
//! program tests the word after each statement that can raise one and reports it with its line and column.

use std::sync::atomic::{AtomicU32, Ordering};

/// An operand of arithmetic that is no number was taken as 0 (OD-15).
pub const NOT_NUMERIC: u32 = 1;
/// A division by zero gave Null.
pub const DIVISION_BY_ZERO: u32 = 2;
/// A cast that failed gave the zero of its type.
pub const CAST_FAILED: u32 = 4;
/// A comparison of a number with something that is none was made as text.
pub const COMPARED_AS_TEXT: u32 = 8;

static PENDING: AtomicU32 = AtomicU32::new(0);

/// Raises some bits.
pub fn raise(bits: u32) {
    PENDING.store(PENDING.load(Ordering::Relaxed) | bits, Ordering::Relaxed);
}

/// The raised bits, which are cleared.
pub fn take() -> u32 {
    PENDING.swap(0, Ordering::Relaxed)
}

/// Where the word is, so that compiled programs can test it without a call.
#[cfg(target_pointer_width = "32")]
pub(crate) fn address() -> usize {
    PENDING.as_ptr() as usize
}
