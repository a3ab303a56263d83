//! Bounds of S7 communication.

/// Bytes of a PDU that we ask for; the PLC answers with what it can, often 240.
pub(crate) const PDU_BYTES: u16 = 960;

/// Least bytes of a PDU that a PLC may answer with: no type of PLC has fewer.
pub(crate) const PDU_BYTES_MIN: u16 = 112;

/// Items of one request: no PLC takes more.
pub(crate) const ITEMS_MAX: usize = 20;

/// Most bytes between two tags that one item reads and drops. A separate item takes 12 bytes in the
/// request and 4 in the reply.
pub(crate) const GAP: u32 = 8;

/// Bytes of one frame that is taken: above every PDU that we ask for.
pub(crate) const FRAME_BYTES_MAX: usize = 2_048;

/// Milliseconds after which a request is not retried, even with retries left: a third of the time
/// limit of a host call.
pub(crate) const TRIES_MS_MAX: u32 = 20_000;
