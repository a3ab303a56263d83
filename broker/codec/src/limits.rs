//! The bounds that the wire format itself sets. They are facts of the standards, not settings.

/// Most bytes that a variable byte integer may take; a fifth is malformed (§1.5.5).
pub const VAR_INT_BYTES_MAX: usize = 4;

/// Largest variable byte integer, and so the largest Remaining Length: 268,435,455 bytes, 4 times 7
/// bits (§1.5.5, Table 1-1).
pub const VAR_INT_MAX: u32 = 268_435_455;

/// Largest whole packet in bytes: first byte, 4 length bytes and the largest Remaining Length.
pub const PACKET_BYTES_MAX: u32 = 268_435_460;

/// Largest string or binary field in bytes: its length field has 16 bits (§1.5.4, §1.5.6).
pub const FIELD_BYTES_MAX: usize = 65_535;
