//! Bounds of the guest.

/// Bytes of one frame of the NATS server.
pub(crate) const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Seconds to connect, and to wait for an answer, unless `timeout_seconds` is set. Logins wait
/// meanwhile, and the broker gives them 5 s.
pub(crate) const TIMEOUT_SECONDS: u64 = 3;

/// Seconds between two attempts to connect, unless `retry_seconds` is set. As in the broker of
/// Oktopus.
pub(crate) const RETRY_SECONDS: u64 = 5;

/// Seconds after which the whole bucket is read again, unless `reread_seconds` is set. It finds
/// keys that expired, which older servers do not report.
pub(crate) const REREAD_SECONDS: u64 = 300;

/// Milliseconds between two heartbeats of an idle watch.
pub(crate) const HEARTBEAT_MS: u64 = 2_000;

/// Milliseconds of silence after which the server counts as away: three heartbeats.
pub(crate) const SILENCE_MS: u64 = 3 * HEARTBEAT_MS;

/// Milliseconds for one reading of the bucket.
pub(crate) const SNAPSHOT_MS: u64 = 20_000;

/// Milliseconds for which the guest waits for its first reading before it takes logins.
pub(crate) const FIRST_READING_MS: u64 = 5_000;

/// Bytes of keys and values in memory, each with [`ENTRY_BYTES`] added. About 50,000 devices.
pub(crate) const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that an entry is counted with, besides its key and value.
pub(crate) const ENTRY_BYTES: usize = 160;

/// Bytes of a value. A longer one verifies nothing.
pub(crate) const VALUE_BYTES_MAX: usize = 1024;

/// Bytes of a user name, and of an endpoint identifier. TR-369 has at most 128.
pub(crate) const NAME_BYTES_MAX: usize = 512;

/// Bytes of a password that is checked.
pub(crate) const PASSWORD_BYTES_MAX: usize = 4096;

/// Connections that are remembered, for their status.
pub(crate) const CONNECTIONS_MAX: usize = 100_000;

/// Memory of an argon2 hash in KiB. An instance has 64 MiB.
pub(crate) const ARGON2_KIB_MAX: u32 = 24 * 1024;

/// Memory of an argon2 hash times its passes, in KiB: bounds its time.
pub(crate) const ARGON2_WORK_KIB_MAX: u32 = 96 * 1024;

/// Rounds of a SCRAM verifier, from RFC 7677 §4 up to what fits into the time of a call.
pub(crate) const SCRAM_ROUNDS: core::ops::RangeInclusive<u32> = 4_096..=100_000;
