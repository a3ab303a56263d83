//! Bounds of sums over all clients, in memory and on the disk.

/// Sessions whose clients are away that every message is stored for. They do not make a message
/// cost a multiple of what it does without them.
pub(crate) const OFFLINE_DELIVERIES_FREE: u32 = 16;

/// Milliseconds between two searches for expired retained messages, which are removed when there is
/// no room for others. A million of them takes some 0.2 s of the thread that does such work.
pub(crate) const RETAINED_SWEEP_MS: u64 = 10_000;

/// Open QoS 2 exchanges from a Client that are counted together in `tenant_session_bytes`; fewer
/// are free.
pub(crate) const EXCHANGES_COUNTED_EACH: usize = 64;

/// Bytes of them, in memory and in the store's index: 30 for each, measured with sessions of
/// 65,535.
pub(crate) const EXCHANGES_BYTES: u64 = 32 * EXCHANGES_COUNTED_EACH as u64;
