//! Time as it comes in: one reading of both clocks.

use std::time::Duration;

use jiff::Timestamp;

/// The present instant on both clocks, read together by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since an instant of the caller's choice, always the same one. Intervals run
    /// on it.
    pub elapsed: Duration,
    /// The wall clock. Calendars run on it; it may be set forwards and backwards.
    pub wall: Timestamp,
}
