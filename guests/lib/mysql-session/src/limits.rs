//! Bounds of what a connection keeps and takes.

/// Most bytes of a server packet, which is at most one row: the largest packet without parts.
pub const PACKET_BYTES_MAX: usize = 0xff_ff_ff - 1;

/// Bytes of a packet of a login: what is longer is no login, but perhaps another protocol.
pub(crate) const LOGIN_BYTES_MAX: usize = 64 * 1024;

/// Columns of a result: what a server's table can have at most, and joins of some.
pub(crate) const COLUMNS_MAX: u64 = 16_384;

/// Statements that are prepared at a time.
pub(crate) const PREPARED_MAX: usize = 128;

/// Steps of a login: no method has more than four.
pub(crate) const LOGIN_STEPS_MAX: usize = 16;
