//! Counters of a log, as `/metrics` and `$SYS` show them.

use std::time::Duration;

use lotmq_histogram::DurationCounts;

/// Bounds of the buckets of commits. A sync takes some 100 us on an NVMe disk, some 10 ms on a
/// spinning one, and up to a second on flash that erases.
pub const COMMIT_BOUNDS: &[Duration] = &[
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// How many buckets these are.
pub const COMMIT_BUCKETS: usize = COMMIT_BOUNDS.len() + 1;

/// Durations of commits, in the buckets of [`COMMIT_BOUNDS`].
pub type CommitTimes = DurationCounts<COMMIT_BUCKETS>;

/// A reading of all counters. Totals count from the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogMetrics {
    /// Groups written; one of which nothing was left to write is none.
    pub commits: u64,
    /// Groups that failed.
    pub commit_failures: u64,
    /// Batches committed.
    pub batches: u64,
    /// Log records committed, those that were moved not counted.
    pub records: u64,
    /// Row changes committed.
    pub rows: u64,
    /// Bytes of batches committed, but for what was over before it was written.
    pub bytes: u64,
    /// Records and rows of the last group.
    pub group_last: u64,
    /// Records and rows of the largest group.
    pub group_max: u64,
    /// Mean time of a commit, in microseconds, over about the last ten.
    pub commit_us: u64,
    /// Bytes appended and not committed.
    pub waiting_bytes: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Bytes of what is alive in the log.
    pub log_live_bytes: u64,
    /// Bytes of large messages, which are in a table of their own.
    pub payload_live_bytes: u64,
    /// Chunks of the log.
    pub log_chunks: u64,
    /// Messages that sessions must still get, each counted once for each of them.
    pub deliveries: u64,
    /// How many of them have their entries in memory; those of the others are in pages on the disk.
    pub entries_in_memory: u64,
    /// Entries written to pages.
    pub paged_out: u64,
    /// Messages that all their receivers acknowledged before they were written, and that never
    /// were.
    pub cancelled: u64,
    /// Slices of queues that were read.
    pub slices: u64,
    /// Deliveries that could not be read from the disk.
    pub damaged_deliveries: u64,
    /// Bytes of the log read to move what is alive in them.
    pub relocated_bytes: u64,
    /// Chunks that could not be read when they were to be moved.
    pub damaged_chunks: u64,
    /// How often the file was opened again after a failure.
    pub reopens: u64,
    /// How often a commit worked again after a failure.
    pub recoveries: u64,
    /// Batches that were refused and could not be stored later either, though what they say has
    /// happened.
    pub batches_lost: u64,
}

impl LogMetrics {
    /// Bytes of the messages that wait for sessions, each counted once, and of what is written down
    /// about them.
    pub fn live_bytes(&self) -> u64 {
        self.log_live_bytes.saturating_add(self.payload_live_bytes)
    }

    /// How often anything was damaged when it was read.
    pub fn damaged(&self) -> u64 {
        self.damaged_deliveries.saturating_add(self.damaged_chunks)
    }
}
