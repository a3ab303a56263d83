//! Errors since the program last looked, as bits of one word.
//!
//! Helpers know neither the line nor the host, so they cannot report errors. They raise a bit here.
//! The compiled program tests the word after each statement that can raise one, and reports it with
//! line and column.

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

/// Returns the address of the word, so that compiled programs can test it without a call.
#[cfg(target_pointer_width = "32")]
pub(crate) fn address() -> usize {
    PENDING.as_ptr() as usize
}
