//! Bounds of what a connection keeps and takes.

/// Most bytes of a server packet, which is at most one row: the largest packet without parts.
pub(crate) const PACKET_BYTES_MAX: usize = 0xff_ff_ff - 1;

/// Bytes of a packet of a login: what is longer is no login, but perhaps another protocol.
pub(crate) const LOGIN_BYTES_MAX: usize = 64 * 1024;

/// Parameters of one statement: what the protocol can number.
pub(crate) const PARAMETERS_MAX: usize = 65_535;

/// Columns of a result: what a server's table can have at most, and joins of some.
pub(crate) const COLUMNS_MAX: u64 = 16_384;

/// Rows of one insert. The largest power of two below what a batch has; more gain nothing.
pub(crate) const ROWS_MAX: usize = 1_024;

/// Seconds to wait for a reply after the time at which the server itself ends a statement.
pub(crate) const GRACE_S: u64 = 5;

/// Steps of a login: no method has more than four.
pub(crate) const LOGIN_STEPS_MAX: usize = 16;
