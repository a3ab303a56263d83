//! Bounds of WebSocket.

/// Bytes of the head of an opening handshake, request or answer. Browsers send some 600; cookies of
/// a whole site come on top.
pub const HEAD_BYTES_MAX: usize = 16 << 10;

/// Header fields of a handshake.
pub const HEADERS_MAX: usize = 64;

/// Payload of a control frame in bytes. RFC 6455 §5.5.
pub const CONTROL_BYTES_MAX: usize = 125;

/// Longest header of a frame in bytes: two, a length of eight, a mask of four.
pub const HEADER_BYTES_MAX: usize = 14;

/// Bytes sent last to a peer that later messages may refer to. Most devices repeat themselves
/// within a few hundred bytes. A connection needs 8 KiB, instead of the 270 KiB of a compressor
/// with the largest window.
pub const HISTORY_BYTES: usize = 8 << 10;

/// A shorter message is not compressed: headers of deflate would eat what is gained.
pub const COMPRESSED_BYTES_MIN: usize = 24;
