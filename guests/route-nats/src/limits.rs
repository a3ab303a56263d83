//! Bounds of the guest.

/// Bytes of one frame of the server.
pub(crate) const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of messages that go before their replies are read.
pub(crate) const PIPELINE_BYTES: usize = 256 * 1024;

/// Milliseconds to connect, and to wait for each answer while a connection is opened.
pub(crate) const OPEN_MS: u32 = 15_000;

/// Seconds until a server that has not answered is away, where `TIMEOUT` does not say it.
pub(crate) const TIMEOUT_SECONDS: u64 = 10;

/// User properties and headers of one message that are carried.
pub(crate) const HEADERS_MAX: usize = 256;
