//! Bounds of figures: buckets of histograms, and how many listeners are told apart.

use std::time::Duration;

const fn micros(bound: u64) -> Duration {
    Duration::from_micros(bound)
}

const fn millis(bound: u64) -> Duration {
    Duration::from_millis(bound)
}

/// Bounds of the buckets of deliveries. A turn with one message takes some 50 us, one of a busy
/// shard a few milliseconds.
pub const DELIVERY_BOUNDS: &[Duration] = &[
    micros(50),
    micros(100),
    micros(250),
    micros(500),
    millis(1),
    micros(2_500),
    millis(5),
    millis(10),
    millis(25),
    millis(50),
    millis(100),
    millis(250),
    millis(1_000),
];

/// Bounds of the buckets of logins: some 100 us without a password or with one that is remembered,
/// some 50 ms with one that is hashed, and longer where others wait, too.
pub const LOGIN_BOUNDS: &[Duration] = &[
    micros(100),
    micros(500),
    millis(1),
    millis(5),
    millis(10),
    millis(25),
    millis(50),
    millis(100),
    millis(250),
    millis(500),
    millis(1_000),
    millis(5_000),
    millis(10_000),
];

/// Turns of a thread of which the first is measured: a look at the clock costs some 25 ns, which is
/// nothing against a turn and would still be something for a message.
pub(crate) const TURNS_PER_MEASURED: u32 = 8;

/// Listeners that are told apart; all beyond them are one. There is one for each transport.
pub(crate) const LISTENERS_FIGURED_MAX: usize = 8;
