//! Bounds of this crate: name, unit, default and why this number.

use std::time::Duration;

/// Most definitions of one tenant. The reference gives an added tenant 1,000 (quota `Definitions`);
/// this is the broker's own bound, at about 2 KB each without their guests.
pub const DEFINITIONS_MAX: usize = 100_000;

/// Share of one owner who is no administrator: three quarters of the rest that others leave.
pub const DEFINITIONS_PART: (u64, u64) = (3, 4);

/// Most topics whose payload an `ON CHANGE` remembers per Action; the longest unused goes first.
/// LoT reference §7.2. 48 bytes each.
pub const CHANGE_TOPICS_MAX: usize = 100_000;

/// Longest topic in bytes that `ON SILENCE` hears of and `ON WINDOW` has a window of; what comes on
/// a longer one is refused with an error. They are remembered by their names, which no device has
/// as long.
pub const WATCHED_TOPIC_BYTES_MAX: usize = 1 << 10;

/// Bytes of all topics and windows that the definitions of a tenant watch.
pub const WATCHED_BYTES_MAX: u64 = 128 << 20;

/// Share of one owner in these bytes: three quarters of the rest that others leave.
pub const WATCHED_PART: (u64, u64) = (3, 4);

/// Bytes that a topic watched for silence takes beside its name.
pub(crate) const SILENCE_TOPIC_BYTES: u64 = 160;

/// Bytes that a topic with a window takes beside its name.
pub(crate) const WINDOW_TOPIC_BYTES: u64 = 200;

/// Bytes that a step of a window takes.
pub(crate) const WINDOW_PANE_BYTES: u64 = 72;

/// Most topics that an Action with `ON SILENCE` hears of; those that are silent do not count, and
/// what comes on others is refused with an error. About 150 bytes and the topic each.
pub const SILENCE_TOPICS_MAX: usize = 10_000;

/// Topics that were heard before their silence had lasted long enough, to put the deadline of which
/// off takes as long as to tell one silence.
pub(crate) const HEARD_PER_SILENCE: usize = 16;

/// Most topics that an Action with `ON WINDOW` has windows of; what comes on others is refused with
/// an error. A topic without a message in its window is forgotten.
pub const WINDOW_TOPICS_MAX: usize = 1_000;

/// Most steps of all windows of an Action: with more than 100 steps a window, there are as many
/// fewer topics. 72 bytes each, in memory and among the kept values.
pub const WINDOW_PANES_MAX: usize = 100_000;

/// Longest payload that is read for a window; a longer one has no number.
pub const WINDOW_PAYLOAD_BYTES_MAX: usize = 256 << 10;

/// Most windows of an Action that have closed and wait to be told, because its mailbox is full; the
/// oldest gives way, with an error.
pub const WINDOWS_WAITING_MAX: usize = 2_000;

/// How often what the windows of an Action hold is kept, so that it survives a crash; when the
/// broker stops, all of it is.
pub const WINDOW_SAVE_PERIOD: Duration = Duration::from_secs(1);

/// How much of it is kept at once; the rest waits for the next time. A flash card with 100 MiB to
/// write a day would last for an hour at most otherwise.
pub const WINDOW_SAVE_BYTES: usize = 64 << 10;

/// Most topics in the last-value cache of a tenant, KEEP entries not counted. LoT reference §6.
pub const CACHE_TOPICS_MAX: usize = 1_000_000;

/// Most bytes in the last-value cache of a tenant: topics, payloads and [`CACHE_ENTRY_BYTES`] each,
/// KEEP entries not counted. LoT reference §6.
pub const CACHE_BYTES_MAX: u64 = 256 << 20;

/// Values of the cache whose names rules compute that one write passes over while it looks for
/// another one to go: some 20 µs.
pub(crate) const SPARED_PER_WRITE: u64 = 64;

/// Bytes of a write for which it passes over one more of them, so that long values do not outrun
/// it.
pub(crate) const SPARED_BYTES: u64 = 64;

/// Part of the bounds of the cache, one in so many, by which it may exceed them before such values
/// go as well.
pub(crate) const SPARED_BEYOND_PART: u64 = 8;

/// Bytes of a cache entry beside its topic and payload: slot, hash table, allocator. Measured with
/// a million entries of 31 bytes, which took 170 each, and 8 more for the owner.
pub const CACHE_ENTRY_BYTES: u64 = 144;

/// Most topics with a value that programs of a tenant keep: those of `KEEP TOPIC`, states, windows.
/// They are never evicted, so a guest that keeps without end is refused here.
pub const KEEP_TOPICS_MAX: usize = 1_000_000;

/// Most bytes of what programs of a tenant keep, counted as for [`CACHE_BYTES_MAX`].
pub const KEEP_BYTES_MAX: u64 = 256 << 20;

/// Share of one user in these bounds and in those of the last errors: three quarters of the rest
/// that others leave.
pub const KEEP_PART: (u64, u64) = (3, 4);

/// Steps in which a user's share of these bytes is counted: a counter or a reading of some digits
/// more asks nobody for room.
pub(crate) const KEEP_STEP_BYTES: u64 = 64;

/// Most last errors of definitions of a tenant that are kept for after a restart: one of each
/// definition.
pub const KEPT_ERRORS_MAX: u64 = DEFINITIONS_MAX as u64;

/// Most bytes of them, counted as for [`CACHE_BYTES_MAX`]; what programs keep has none of these.
/// Ten thousand of the longest, and most have some hundred bytes.
pub const KEPT_ERROR_BYTES_MAX: u64 = 64 << 20;

/// Shards of the last-value cache, each with its own lock. More than the cores of the machines we
/// measure on.
pub(crate) const CACHE_SHARDS: usize = 32;

/// Shortest interval of `ON EVERY`. LoT reference §7.3.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// A calendar run that is later than this is skipped: the clock was set or the machine slept, and
/// what was missed is not run later (LoT reference §7.4).
pub const CALENDAR_LATE_MAX: Duration = Duration::from_secs(120);

/// Longest wait while a calendar timer is armed, so that a clock that was set is noticed.
pub const CALENDAR_CHECK: Duration = Duration::from_secs(60);

/// A wall clock that fell behind the monotonic one by more than this was set back; less is slewing,
/// at most 0.5 ms per second.
pub(crate) const CLOCK_STEP_MIN: Duration = Duration::from_secs(1);

/// How long `-actionTrace` arms a trace. Commands reference §4.
pub const TRACE_ARMED: Duration = Duration::from_secs(300);

/// Longest payload text in an error record or trace, in bytes; the rest is cut.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = 4096;

/// Longest message text in an error record, in bytes; the rest is cut.
pub(crate) const RECORD_MESSAGE_BYTES_MAX: usize = 1024;

/// Most lines of one definition in the log within a second; others are counted. Enough to follow a
/// handful of messages, little enough for a flood.
pub(crate) const LOG_LINES_PER_SECOND_MAX: u32 = 50;
