//! Bounds of chains, and of the files that they are in.

/// Most certificates of issuers that a peer may show with its own; usual are one or two. All ways
/// through them are tried: 200,000 with five times twelve of one name, 64 at most with four.
pub const ISSUERS_MAX: usize = 4;

/// Bytes of a file with certificates or a key: a chain has 10 KiB, the authorities of a whole
/// system 200 KiB.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 4 << 20;
