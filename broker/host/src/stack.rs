//! How much native stack the thread that runs guests has left.
//!
//! Each nested call enters another guest on the same stack, and the engine bounds only one entry at
//! a time. An overflow would end the process, so a call that might not fit is refused instead.
//! Distances between addresses of locals are exact enough for that.

use crate::limits::{GUEST_STACK_BYTES, HOST_STACK_BYTES, THREAD_STACK_BYTES_ASSUMED};
use std::cell::Cell;

thread_local! {
    static BASE: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// Says how large the stack of this thread is, in bytes; call it at the thread's start.
///
/// Without it a thread counts as one of 2 MiB, on which deep nesting of calls is refused early.
pub fn register_stack(bytes: usize) {
    BASE.set(Some((address(), bytes)));
}

/// Whether one more guest may be entered here.
pub(crate) fn has_room() -> bool {
    let (base, bytes) = BASE.get().unwrap_or_else(|| {
        let assumed = (address(), THREAD_STACK_BYTES_ASSUMED - HOST_STACK_BYTES);
        BASE.set(Some(assumed));
        assumed
    });
    base.abs_diff(address()) + GUEST_STACK_BYTES + HOST_STACK_BYTES <= bytes
}

#[inline(never)]
fn address() -> usize {
    let local = 0_u8;
    (&raw const local).addr()
}
