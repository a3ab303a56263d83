//! Bounds of the guest.

/// Bytes of a reply, so that a server cannot take all memory.
pub(crate) const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of commands that go before their replies are read.
pub(crate) const PIPELINE_BYTES: usize = 256 * 1024;

/// Milliseconds to connect, and to wait for each answer while a connection is opened.
pub(crate) const OPEN_MS: u32 = 15_000;

/// Seconds until a server that has not answered is away, where `TIMEOUT` does not say it.
pub(crate) const TIMEOUT_SECONDS: u64 = 10;

/// Bytes of a published result (routes reference §4.1).
pub(crate) const RESULT_BYTES_MAX: usize = 1024 * 1024;
