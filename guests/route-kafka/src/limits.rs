//! Bounds of the connector.

/// Bytes of the largest frame that is taken from a broker. With its copies it fits into the memory of an instance, 64 MiB.
pub(crate) const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of the records of one batch, decompressed: a frame that says more is a bomb, or of a topic whose messages are larger than any here.
pub(crate) const RECORDS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that a broker is asked for at once, of all partitions that it leads, unless the first batch alone has more.
pub(crate) const FETCH_BYTES_MAX: i32 = 2 * 1024 * 1024;

/// Bytes of one partition among them: what Kafka's own consumers ask for.
pub(crate) const FETCH_PARTITION_BYTES_MAX: i32 = 1024 * 1024;

/// Milliseconds for which a broker keeps a question for records that has no answer yet: what Kafka's own consumers say.
pub(crate) const FETCH_WAIT_MS: i32 = 500;

/// Messages that are published here in one call.
pub(crate) const ARRIVED_MAX: usize = 1_000;

/// Bytes of those messages, unless the first alone has more.
pub(crate) const ARRIVED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes of the records of one batch that is produced: brokers take 1,048,588 unless they are told otherwise.
pub(crate) const BATCH_BYTES_MAX: usize = 900 * 1024;

/// Partitions of one topic: what a cluster of that many does not have is a mistake of the answer.
pub(crate) const PARTITIONS_MAX: usize = 100_000;

/// Bytes of one call of the host that reads or writes.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Milliseconds to connect, at most: half of the time after which the coordinator of a group counts a silent member as gone.
pub(crate) const CONNECT_MS: u64 = 15_000;

/// Milliseconds of one delivery after which the host is told how far it has come, at most: a third of what a call may take.
pub(crate) const DELIVER_MS: u64 = 20_000;

/// Milliseconds for which a partition that cannot be written to for now is tried within a delivery, before the host pauses.
pub(crate) const TRY_MS: u64 = 2_000;

/// Milliseconds between two tries of what the cluster cannot do for now.
pub(crate) const AGAIN_MS: u64 = 200;

/// Milliseconds after which what is known of the cluster is asked for anew, at most.
pub(crate) const METADATA_MS: u64 = 60_000;

/// Milliseconds after which the coordinator of a group counts a silent member as gone, unless the definition says otherwise.
pub(crate) const SESSION_MS: u64 = 30_000;

/// The same at most: what brokers take unless they are told otherwise.
pub(crate) const SESSION_MS_MAX: u64 = 1_800_000;

/// Milliseconds that the members of a group have to come back when it is divided anew.
pub(crate) const REBALANCE_MS: i32 = 60_000;

/// Milliseconds between two signs of life of a member, at most: a tenth of what it has, and a third where that is less.
pub(crate) const HEARTBEAT_MS: u64 = 3_000;

/// Milliseconds to say goodbye to a group.
pub(crate) const LEAVE_MS: u64 = 2_000;

/// Milliseconds until messages are published again that could not be stored.
pub(crate) const STORE_AGAIN_MS: u64 = 500;

/// Headers of one record; further ones are left out.
pub(crate) const HEADERS_MAX: usize = 256;
