//! The bound of chains.

/// Most certificates of issuers that a peer may show with its own; usual are one or two. All ways through them are tried: 200,000 with five times twelve of
/// one name, 64 at most with four.
pub const ISSUERS_MAX: usize = 4;
