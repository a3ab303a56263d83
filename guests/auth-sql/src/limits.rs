//! Bounds of the guest. Costs of hashes fit into the time of a call, 1 s of CPU, on a slow machine.

use core::ops::RangeInclusive;

/// Seconds for a login, unless `timeout_seconds` is set. The broker gives a login 5 s.
pub(crate) const TIMEOUT_SECONDS: u64 = 3;

/// Range of `timeout_seconds`.
pub(crate) const TIMEOUT_RANGE: RangeInclusive<u64> = 1..=4;

/// Bytes of a password that is checked. The time of a check grows with them.
pub(crate) const PASSWORD_BYTES_MAX: usize = 512;

/// Bytes of a stored hash, and of a salt.
pub(crate) const HASH_BYTES_MAX: usize = 1_024;

/// Cost of a bcrypt hash: the logarithm of its rounds.
pub(crate) const BCRYPT_COST: RangeInclusive<u32> = 4..=12;

/// Memory of an argon2 hash in KiB. An instance has 64 MiB.
pub(crate) const ARGON2_KIB_MAX: u32 = 24 * 1_024;

/// Memory of an argon2 hash times its passes, in KiB: bounds its time.
pub(crate) const ARGON2_WORK_KIB_MAX: u32 = 96 * 1_024;

/// Iterations of PBKDF2 with SHA-256 or SHA-512.
pub(crate) const PBKDF2_ROUNDS: RangeInclusive<u32> = 1..=600_000;

/// Bytes of a key of PBKDF2; the largest is that of its hash function.
pub(crate) const PBKDF2_KEY_BYTES_MIN: usize = 16;

/// Rounds of sha512-crypt. Its default is 5,000.
pub(crate) const SHA_CRYPT_ROUNDS: RangeInclusive<u32> = 1_000..=100_000;

/// Bytes of one message of the server.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1_024;

/// Rows of an answer, such as groups or grants.
pub(crate) const ROWS_MAX: usize = 1_000;

/// Bytes of an answer.
pub(crate) const ANSWER_BYTES_MAX: usize = 1_024 * 1_024;

/// Characters of an error of the server that are logged.
pub(crate) const ERROR_CHARACTERS_MAX: usize = 300;
