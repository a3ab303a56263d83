//! Bounds of the process and its machine: name, unit, default, and why this number.

/// Most file descriptors reserved for files, the health port and administrators.
pub const DESCRIPTORS_KEPT_MAX: u32 = 512;

/// Connections below which the start warns of the limit of open files. A limit below the usual
/// 1,024 is rarely set on purpose.
pub const FEW_CONNECTIONS: u32 = 100;

/// Compiled programs below which the log warns of the memory mappings when the broker starts: the
/// default of Linux has room for nearly ten thousand.
pub const FEW_PROGRAMS: u64 = 2_000;

/// Local connections beyond `connections`, until CONNECT shows whether they are administrators.
/// Half of them may be silent and give way to newcomers. The others are for administrators and for
/// connections about to close. Half as many beyond `half_open`.
pub const SPARE_CONNECTIONS_MAX: u32 = 16;

/// HTTP connections on the health port; a further one replaces an idle one. Tools need one each.
pub const HTTP_CONNECTIONS_MAX: usize = 256;

/// Time without a sign of life of a thread for housekeeping, `$SYS` figures, routes or password
/// checks, after which the health is bad. These threads may get little processor time.
pub const ROUND_SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Time that a health request waits for stalled threads: the whole process may have stood still.
pub const HEARTBEAT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Memory that guests may have where nothing is configured: one part in so many of the machine's.
pub const GUESTS_MEMORY_PART: u64 = 4;

/// Range of that memory in bytes: room for a thousand actions, and more than any broker has needed.
pub const GUESTS_MEMORY_RANGE: std::ops::RangeInclusive<u64> = 256 << 20..=4 << 30;

/// Sums of memory that nobody has set are at most one part in so many of the machine's.
pub const SUM_MEMORY_PART: u64 = 8;

/// Least bytes of such a sum.
pub const SUM_MEMORY_MIN: u64 = 32 << 20;

/// Disk bytes per stored byte: pages are powers of two, rewritten before the old one is free.
pub const DISK_BYTES_PER_BYTE: u64 = 3;
