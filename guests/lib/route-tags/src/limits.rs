//! Bounds of tags and of their polling, with the reason of each.

/// Shortest period of a mapping, in milliseconds: routes reference §5.1.
pub const PERIOD_MS_MIN: u64 = 10;

/// Period of a mapping without `EVERY`, in milliseconds: routes reference §5.1.
pub const PERIOD_MS: u64 = 1_000;

/// First pause of a tag whose address the device rejects, in milliseconds; it doubles. The device
/// may be loading a program.
pub const REFUSED_PAUSE_MS: u64 = 1_000;

/// Longest pause of such a tag, in milliseconds.
pub const REFUSED_PAUSE_MS_MAX: u64 = 60_000;

/// Tags that an error text names; it counts the others.
pub const TAGS_TOLD_MAX: usize = 3;

/// Tags that an answer about those without a value names; of all of them it has the number.
pub const FAILING_TAGS_MAX: usize = 10;

/// Bytes of a payload that is to be written: longer than any value of a device as text.
pub const PAYLOAD_BYTES_MAX: usize = 65_536;

/// Bytes that one read from a connection takes.
pub const READ_BYTES: u32 = 4_096;

/// Elements of an array: as many bits as one Modbus request has, the most of any protocol here.
pub const LENGTH_MAX: u64 = 2_000;
