//! The bounds of batches and log records.

/// Largest message body (topic, properties, payload) that is kept inside a log record, in bytes.
///
/// Longer ones go to table `payloads` in parts: a record never spans chunks, and moving it never
/// copies the payload.
pub(crate) const BODY_INLINE_BYTES_MAX: usize = 32 * 1024;

/// Most bytes for which a batch makes room at its first record, because the one before it had as
/// many.
pub(crate) const BATCH_ROOM_BYTES_MAX: usize = 64 * 1024;

/// Bytes of deliveries after which a list is continued in the next record.
pub const DELIVERIES_BYTES_MAX: u16 = 16 * 1024;

/// Snapshots that a reader may lose before it gives up. A failing store is opened again twice a
/// second.
pub(crate) const SNAPSHOTS_LOST_MAX: u32 = 3;
