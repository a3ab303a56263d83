//! Bounds of what a connection keeps and takes.

/// Bytes of one value of an answer. An answer has at most 1 MiB, and a character takes two bytes
/// here.
pub(crate) const VALUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of one statement with its values, of which an instance has several copies on their way.
pub(crate) const STATEMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of a requested packet, as in Microsoft's own clients. With TLS, a packet of 16 KiB or more
/// would not fit into a record.
pub(crate) const PACKET_BYTES: u32 = 8_000;

/// Bytes of a packet before the login.
pub(crate) const LOGIN_PACKET_BYTES: usize = 4_096;

/// Most packets of a server's answer to a login; a longer answer is invalid.
pub(crate) const LOGIN_PACKETS_MAX: usize = 64;

/// Parameters of one statement: 2,100 of a call, of which `sp_executesql` has two itself.
pub(crate) const PARAMETERS_MAX: usize = 2_098;

/// Most rows after one `VALUES`. SQL Server allows 1,000; statements have a power of two, so that
/// few plans are made.
pub(crate) const ROWS_MAX: usize = 512;

/// Bytes of the values of one statement of several rows. More gain nothing.
pub(crate) const ROWS_BYTES_MAX: usize = 1024 * 1024;

/// Columns of a result: what a query can have at most.
pub(crate) const COLUMNS_MAX: u16 = 4_096;

/// Milliseconds for which is waited until the server has given up a statement.
pub(crate) const GRACE_MS: u64 = 5_000;

/// Characters of a text in a login.
pub(crate) const LOGIN_CHARACTERS_MAX: usize = 128;
