//! Bounds of what all clients have together, in memory and on the disk.

/// Memory that guests may have where nothing is configured: one part in so many of the machine's.
pub(crate) const GUESTS_MEMORY_PART: u64 = 4;

/// The least and the most that this gives, in bytes: a thousand actions, and what nobody has needed yet.
pub(crate) const GUESTS_MEMORY_RANGE: std::ops::RangeInclusive<u64> = 256 << 20..=4 << 30;

/// Sums of memory that nobody has set are at most one part in so many of the machine's.
pub(crate) const SUM_MEMORY_PART: u64 = 8;

/// The least that this gives, in bytes.
pub(crate) const SUM_MEMORY_MIN: u64 = 32 << 20;

/// The least and the most that a session has in flight whose owner's sessions have too much, in bytes.
pub(crate) const HELD_BACK_BYTES: std::ops::RangeInclusive<u64> = 4 << 10..=64 << 10;

/// How often it is looked what all sessions have in flight, while the process has as much memory.
pub(crate) const IN_FLIGHT_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// Sessions whose clients are away that every message is stored for. They do not make a message cost a multiple of what it does without them.
pub(crate) const OFFLINE_DELIVERIES_FREE: u32 = 16;

/// How often it is looked how full the disk is.
pub(crate) const STORAGE_LOOK_PERIOD: std::time::Duration = std::time::Duration::from_millis(500);

/// Bytes that a stored byte may take of the disk: pages are powers of two, and a page is written anew before the old one is free.
pub(crate) const DISK_BYTES_PER_BYTE: u64 = 3;

/// More than is stored between two looks at the disk: 4 GB a second.
pub(crate) const STORED_BETWEEN_LOOKS_MAX: u64 = 2 << 30;

/// Milliseconds between two searches for expired retained messages, which are removed when there is no room for others. A million of them takes
/// some 0.2 s of the thread that does such work.
pub(crate) const RETAINED_SWEEP_MS: u64 = 10_000;
