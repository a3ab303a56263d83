//! Bounds of the guest.

/// Bytes of points that go with one request, beyond which no further one joins.
pub(crate) const WRITE_BYTES: usize = 1024 * 1024;

/// Bytes of a response.
pub(crate) const RESPONSE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of a published result (routes reference §4.1).
pub(crate) const RESULT_BYTES_MAX: usize = 1024 * 1024;

/// Characters of a reason that the server gives.
pub(crate) const REASON_CHARS_MAX: usize = 400;

/// Fields of one point that come of the members of a payload.
pub(crate) const MEMBERS_MAX: usize = 1_000;
