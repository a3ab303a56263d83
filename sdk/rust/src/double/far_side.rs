//! Double of the interface `far-side`: what a route says of the other side is kept for its test.

use std::cell::Cell;

thread_local!(static IS_AWAY: Cell<bool> = const { Cell::new(false) });

/// Takes what was said.
pub(super) fn take() -> bool {
    IS_AWAY.take()
}

pub fn away() {
    IS_AWAY.set(true);
}
