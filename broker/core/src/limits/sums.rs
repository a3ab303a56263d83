//! Bounds of sums over all clients, in memory and on the disk.

/// Sessions whose clients are away that every message is stored for. They do not make a message cost a multiple of what it does without them.
pub(crate) const OFFLINE_DELIVERIES_FREE: u32 = 16;

/// Milliseconds between two searches for expired retained messages, which are removed when there is no room for others. A million of them takes
/// some 0.2 s of the thread that does such work.
pub(crate) const RETAINED_SWEEP_MS: u64 = 10_000;
