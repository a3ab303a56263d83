//! Bounds of what is taken from a server and kept of it.

/// Most bytes of a result row; a longer one is left out. An answer has room for 1 MiB of JSON, and
/// bytes take twice their number as text.
pub(crate) const ROW_BYTES_MAX: usize = 4 << 20;

/// Bytes of any other message of a server: a description of 1,600 columns has about 130 KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Milliseconds beyond `QUERY_TIMEOUT` in which the server may report by itself that a statement
/// took too long.
pub(crate) const GRACE_MS: u64 = 5_000;

/// Characters of an error of the server that are shown.
pub(crate) const ERROR_CHARACTERS_MAX: usize = 1_000;

/// Bytes of the name of a column: what PostgreSQL has, which cuts longer ones.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// Types of parameters whose arrays are remembered; with more of them all are asked for again.
pub(crate) const TYPES_MAX: usize = 1_024;

/// Nesting of an array that is shown as one: PostgreSQL has at most 6 dimensions.
pub(crate) const DIMENSIONS_MAX: usize = 6;
