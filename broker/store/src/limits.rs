//! The bounds of the store. Figures come from the measurements in `docs/decisions` and the store's
//! prototype.

use std::time::Duration;

/// Largest value of one log chunk, in bytes: sixteen redb pages less the row's own overhead.
///
/// redb rounds a value beyond one page up to a power of two pages and writes all of it; fitted
/// chunks cost 1.6 bytes per payload byte instead of 2.
pub(crate) const CHUNK_BYTES_MAX: usize = chunk_class(4);

/// Chunk sizes are `4096 * 2^k - 16` bytes; this is the class `k`.
pub(crate) const fn chunk_class(k: u32) -> usize {
    (4096 << k) - 16
}

/// Most entries in a page of table `queues`: about 2.5 KB, so that it fits a page of redb. In unit
/// tests a few.
pub(crate) const PAGE_ENTRIES_MAX: usize = if cfg!(test) { 4 } else { 256 };

/// Least entries of a long queue that are written out at once. In unit tests a few.
pub(crate) const PAGED_OUT_MIN: usize = if cfg!(test) { 3 } else { 2000 };

/// Size of one row of table `payloads`, in bytes, fitted to pages like a chunk (the key is 8 bytes
/// longer).
pub(crate) const PAYLOAD_PART_BYTES_MAX: usize = 16 * 4096 - 24;

/// Bytes of a component in one row of table `components`, fitted to pages likewise: key, checksum
/// and lengths take up to 65 bytes beside them.
pub(crate) const COMPONENT_PART_BYTES: usize = 16 * 4096 - 96;

/// Least free space at the first start, in bytes. Below it [`Store::open`](crate::Store::open)
/// refuses before it touches a file.
pub(crate) const FREE_BYTES_AT_START_MIN: u64 = 16 * 1024 * 1024;

/// The same where there is a store already, which has to be opened for somebody to make room in it;
/// also what must be free before a disk that was full is asked again.
pub(crate) const FREE_BYTES_MIN: u64 = 1024 * 1024;

/// Files up to this size, in bytes, are checked page by page at every open; larger ones only after
/// a crash.
///
/// redb verifies its checksums only in such a check (0.7 s per GiB), not when it reads.
pub(crate) const CHECK_AT_OPEN_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Least time between two looks at whether the file is still the one that its path names.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// The same while nothing is written to the file, so that nothing can be lost by it.
pub(crate) const LOOK_PAUSE_IDLE: Duration = Duration::from_secs(5);

/// How long a thread of the store is at one group, or at one slice of a queue, before it counts as
/// standing still.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long somebody who reads in a snapshot keeps a failing store from being opened again, which
/// would end the snapshot.
pub(crate) const SNAPSHOT_HOLD_MAX: Duration = Duration::from_secs(30);

/// The same after holds that were too short, each of which is followed by one of twice that: a
/// backup of this length is got in any case.
pub(crate) const SNAPSHOT_HOLDS_MAX: Duration = Duration::from_secs(240);

/// Session numbers are reserved on disk in steps of this many, so that giving one out costs no
/// write.
pub(crate) const SESSION_IDS_RESERVED: u64 = 1024;

/// Names remembered of what was just deleted, so that a late write cannot bring it back.
pub(crate) const RECENTLY_DELETED_MAX: usize = 65_536;

/// Failed ticket ranges remembered for [`Store::wait`](crate::Store::wait); older tickets count as
/// failed.
pub(crate) const FAILED_RANGES_MAX: usize = 1024;

/// Places in the file that are remembered as written and not synced; with more, all between the
/// first and the last counts as one.
///
/// Pages of a group have some hundred; each takes 16 bytes.
pub(crate) const UNSYNCED_PLACES_MAX: usize = 16_384;

/// Dead chunks dropped per group at most.
pub(crate) const CHUNKS_DROPPED_PER_GROUP_MAX: usize = 4096;

/// A commit faster than this is not waited for: there is no half group worth joining.
pub(crate) const LINGER_COMMIT_MIN: Duration = Duration::from_micros(800);

/// Range of the pause after a slow commit, a quarter of the mean commit time.
pub(crate) const LINGER_RANGE: (Duration, Duration) =
    (Duration::from_micros(200), Duration::from_micros(500));

/// The tunable bounds of a store. The defaults suit every machine; tests use small ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most log records in one commit. Default 8,192; at least 1 batch is always taken.
    pub group_records_max: usize,
    /// Most bytes in one commit. Default 1 MiB: its sync still takes 0.3 ms; 32,000 records took
    /// 15-42 ms.
    pub group_bytes_max: usize,
    /// Most bytes appended and not yet committed. Default 64 MiB; beyond it
    /// [`append`](crate::Store::append) refuses. One batch larger than this is accepted when
    /// nothing else waits.
    pub waiting_bytes_max: usize,
    /// The log is compacted when it holds more than twice its living bytes and this many more.
    /// Default 1 MiB.
    pub log_slack_bytes: u64,
    /// Least bytes of old log that a group may look through for living records. Default 256 KiB; a
    /// larger group may look through twice its own size, so that the log cannot outgrow the
    /// cleaning.
    pub relocate_bytes_per_group: u64,
    /// Most deliveries whose entries (some 100 bytes each) are in memory, beyond those of the group
    /// that is being committed. Default 100,000.
    pub entries_in_memory_max: usize,
    /// Most bytes of log that are read record by record at a start, beyond those of a group.
    /// Default 32 MiB, which takes some 0.05 s; each session is written once while so much comes.
    pub replay_bytes_max: u64,
    /// After two failures in a row groups fail at once for this long, or four times as long as the
    /// attempt took; then comes the next. Default 500 ms.
    pub reopen_pause: Duration,
    /// How long somebody waits for a snapshot, which the writer gives between two commits. Default
    /// 20 s.
    pub snapshot_wait: Duration,
    /// How long a group waits for more before it is committed; it does not wait when it is full.
    /// Default zero.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            group_records_max: 8192,
            group_bytes_max: 1024 * 1024,
            waiting_bytes_max: 64 * 1024 * 1024,
            log_slack_bytes: 1024 * 1024,
            relocate_bytes_per_group: 256 * 1024,
            entries_in_memory_max: 100_000,
            replay_bytes_max: 32 * 1024 * 1024,
            reopen_pause: Duration::from_millis(500),
            snapshot_wait: Duration::from_secs(20),
            linger: Duration::ZERO,
        }
    }
}

/// Bytes of the cache of what is done to a closed store.
pub(crate) const OFFLINE_CACHE_BYTES: usize = 32 << 20;
