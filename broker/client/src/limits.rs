//! Bounds of the client.

use std::time::Duration;

/// Most messages that wait in a [`Client`](crate::Client) to be received while it waits for
/// something else. Beyond it the call fails: a program that does not read has lost its purpose, and
/// dropping would hide that.
pub const INBOX_MESSAGES_MAX: usize = 1_000_000;

/// Most bytes of them, topics, payloads and properties together, beside one message that may be of
/// any size.
pub const INBOX_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Time for the TCP connection and CONNACK unless the options say otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for every other answer of the server unless the options say otherwise.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes asked of the socket at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Bytes that are collected before they are sent, whatever their time.
pub(crate) const COLLECTED_BYTES_MAX: usize = 64 * 1024;

/// Most sessions of TLS that are remembered for a client that resumes its own only. Each is used
/// once, and a server gives one or two at each handshake.
pub(crate) const OWN_SESSIONS_MAX: usize = 32;
