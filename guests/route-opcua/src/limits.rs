//! Bounds of OPC UA, with the reason of each.

/// Bytes of a chunk that we accept and request: the value of most servers, and the maximum of some
/// transport headers.
pub(crate) const CHUNK_BYTES: usize = 65_535;

/// Least bytes of a chunk that a server may agree to, OPC UA part 6 §7.1.2.3.
pub(crate) const CHUNK_BYTES_MIN: usize = 8_192;

/// Bytes of a message of the server: an array of a million floats is half of it.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Chunks of a message of the server: as many as those bytes are.
pub(crate) const CHUNKS_MAX: usize = 256;

/// Elements of an array of the server.
pub(crate) const ARRAY_LENGTH_MAX: usize = 1_000_000;

/// Most bytes that security adds to a chunk: a certificate, padding and signatures of 4,096-bit
/// keys, and longer encrypted blocks.
pub(crate) const SECURITY_BYTES: usize = 16_384;

/// Requested lifetime of a security token, in milliseconds. It is renewed after three quarters of
/// the granted lifetime.
pub(crate) const TOKEN_LIFETIME_MS: u32 = 3_600_000;

/// Milliseconds without a request after which the server may end the session, unless a period is
/// longer.
pub(crate) const SESSION_TIMEOUT_MS: u64 = 60_000;

/// Default nodes per request, which every server accepts.
pub(crate) const NODES: usize = 500;

/// Values that the server keeps of an item between two messages.
pub(crate) const ITEM_QUEUE: u32 = 10;

/// Publish requests of a subscription that wait at the server: one more than it uses, so that it
/// never waits for us.
pub(crate) const PUBLISH_REQUESTS_PER_SUBSCRIPTION: usize = 2;

/// Most of those of a session.
pub(crate) const PUBLISH_REQUESTS_MAX: usize = 20;

/// Subscriptions of a session, one for each period; routes with more periods poll.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 16;

/// Least and longest time between two signs of life of a subscription, in milliseconds.
pub(crate) const SIGN_OF_LIFE_MS: (u64, u64) = (1_000, 10_000);

/// Bytes of a certificate, a key or a list of certificates.
pub(crate) const CERTIFICATE_BYTES_MAX: usize = 65_536;

/// Certificates of a folder that are read.
pub(crate) const CERTIFICATES_MAX: usize = 100;

/// References of a node that are looked at for a browse name.
pub(crate) const REFERENCES_MAX: usize = 100_000;

/// Supertypes of a data type until a built-in one must have come.
pub(crate) const SUPERTYPES_MAX: usize = 20;

/// Bytes of a nonce of the server, OPC UA part 4 §5.6.2.
pub(crate) const NONCE_BYTES_MIN: usize = 32;

/// Bits of the key that is made where there is none: what every policy takes.
pub(crate) const KEY_BITS: u32 = 2_048;
