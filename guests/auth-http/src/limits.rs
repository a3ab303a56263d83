//! Bounds of the guest.

use core::ops::RangeInclusive;

/// Seconds for a request, unless `timeout_seconds` is set. The broker gives a login 5 s.
pub(crate) const TIMEOUT_SECONDS: u64 = 3;

/// Range of `timeout_seconds`.
pub(crate) const TIMEOUT_RANGE: RangeInclusive<u64> = 1..=4;

/// Bytes of a request's path with its query. Servers refuse longer ones.
pub(crate) const TARGET_BYTES_MAX: usize = 8_192;

/// Bytes of a response's body.
pub(crate) const RESPONSE_BYTES_MAX: u64 = 64 * 1_024;

/// Header fields of a request.
pub(crate) const HEADERS_MAX: usize = 32;

/// Depth of a body in JSON.
pub(crate) const BODY_DEPTH_MAX: usize = 8;

/// Range of `cache_seconds`; 0 turns the cache off.
pub(crate) const CACHE_SECONDS: RangeInclusive<u64> = 0..=86_400;

/// Largest default of `cache_deny_seconds`.
pub(crate) const CACHE_DENY_SECONDS: u64 = 5;

/// Entries of the cache, unless `cache_entries` is set. Denials have as many of their own.
pub(crate) const CACHE_ENTRIES: u64 = 10_000;

/// Range of `cache_entries`.
pub(crate) const CACHE_ENTRIES_RANGE: RangeInclusive<u64> = 1..=100_000;

/// Bytes of allowed answers in the cache, and of denied ones. An instance has 64 MiB.
pub(crate) const CACHE_BYTES_MAX: usize = 12 * 1_024 * 1_024;

/// Bytes that an entry of the cache is counted with, besides its texts.
pub(crate) const ENTRY_BYTES: usize = 256;
