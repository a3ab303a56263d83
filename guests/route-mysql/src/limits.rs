//! Bounds of what a route sends and waits for.

/// Parameters of one statement: what the protocol can number.
pub(crate) const PARAMETERS_MAX: usize = 65_535;

/// Rows of one insert. The largest power of two below what a batch has; more gain nothing.
pub(crate) const ROWS_MAX: usize = 1_024;

/// Seconds to wait for a reply after the time at which the server itself ends a statement.
pub(crate) const GRACE_S: u64 = 5;
