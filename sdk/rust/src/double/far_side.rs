//! Double of the interface `far-side`: records for its test that a route reported the other side as
//! away.

use std::cell::Cell;

thread_local!(static IS_AWAY: Cell<bool> = const { Cell::new(false) });

/// Takes the recorded report.
pub(super) fn take() -> bool {
    IS_AWAY.take()
}

pub fn away() {
    IS_AWAY.set(true);
}
