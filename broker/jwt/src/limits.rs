//! Bounds of this crate: name, unit, default and why this number.

/// Longest token, in bytes. Tokens with hundreds of groups have some 8 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Largest JSON Web Key Set and largest file with keys, in bytes. A key of RSA 4096 has 1 KiB.
pub const KEY_SET_BYTES_MAX: usize = 256 << 10;

/// Most keys of one source. Verifying with all of them takes some 10 ms of a login thread.
pub const KEYS_MAX: usize = 100;

/// Shortest secret for HMAC, in bytes, as RFC 7518 §3.2 demands for HS256.
pub const SECRET_BYTES_MIN: usize = 32;

/// Smallest modulus of RSA, in bytes: 2048 bits, as RFC 7518 §3.3 demands.
pub const RSA_MODULUS_BYTES_MIN: usize = 256;

/// Largest modulus of RSA, in bytes: 8192 bits, which `ring` verifies at most.
pub const RSA_MODULUS_BYTES_MAX: usize = 1024;

/// Characters of a foreign text, such as a `kid`, that an error shows.
pub(crate) const SHOWN_CHARS_MAX: usize = 64;

/// Period at which files with keys are looked at: one `stat` each.
pub(crate) const FILE_CHECK_PERIOD: std::time::Duration = std::time::Duration::from_secs(2);

/// Pause after the first failed fetch. It doubles with each further failure up to the refresh time.
pub(crate) const FETCH_RETRY_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Bytes of the head of an HTTP response. The library needs at least 8 KiB.
pub(crate) const FETCH_HEAD_BYTES_MAX: usize = 16 << 10;

/// Header fields of an HTTP response.
pub(crate) const FETCH_HEADERS_MAX: usize = 64;
