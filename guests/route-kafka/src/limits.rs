//! Bounds of the connector.

/// Bytes of the largest frame from a broker. With its copies it fits into the memory of an
/// instance, 64 MiB.
pub(crate) const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of the decompressed records of one batch. A larger batch is a compression bomb, or its
/// topic has larger messages than this broker allows.
pub(crate) const RECORDS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes per fetch from a broker, for all partitions that it leads, unless the first batch alone
/// has more.
pub(crate) const FETCH_BYTES_MAX: i32 = 2 * 1024 * 1024;

/// Bytes of one partition among them: what Kafka's own consumers ask for.
pub(crate) const FETCH_PARTITION_BYTES_MAX: i32 = 1024 * 1024;

/// Milliseconds for which a broker holds a fetch without records, as in Kafka's own consumers.
pub(crate) const FETCH_WAIT_MS: i32 = 500;

/// Messages that are published here in one call.
pub(crate) const ARRIVED_MAX: usize = 1_000;

/// Bytes of those messages, unless the first alone has more.
pub(crate) const ARRIVED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes of the records in one produced batch. Brokers accept 1,048,588 by default.
pub(crate) const BATCH_BYTES_MAX: usize = 900 * 1024;

/// Partitions of one topic: what a cluster of that many does not have is a mistake of the answer.
pub(crate) const PARTITIONS_MAX: usize = 100_000;

/// Bytes of one call of the host that reads or writes.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Most milliseconds for a connect: half of the time until a group coordinator drops a silent
/// member.
pub(crate) const CONNECT_MS: u64 = 15_000;

/// Most milliseconds of one delivery before it reports its progress to the host: a third of the
/// time limit of a call.
pub(crate) const DELIVER_MS: u64 = 20_000;

/// Milliseconds of retries for a partition that is not writable for now, within a delivery. Then
/// the host pauses.
pub(crate) const TRY_MS: u64 = 2_000;

/// Milliseconds between two tries of what the cluster cannot do for now.
pub(crate) const AGAIN_MS: u64 = 200;

/// Milliseconds after which what is known of the cluster is asked for anew, at most.
pub(crate) const METADATA_MS: u64 = 60_000;

/// Default milliseconds until the coordinator of a group drops a silent member.
pub(crate) const SESSION_MS: u64 = 30_000;

/// Most milliseconds of the same: the default limit of brokers.
pub(crate) const SESSION_MS_MAX: u64 = 1_800_000;

/// Milliseconds that the members of a group have to come back when it is divided anew.
pub(crate) const REBALANCE_MS: i32 = 60_000;

/// Most milliseconds between two heartbeats of a member: a tenth of its session, or a third if that
/// is less.
pub(crate) const HEARTBEAT_MS: u64 = 3_000;

/// Milliseconds to say goodbye to a group.
pub(crate) const LEAVE_MS: u64 = 2_000;

/// Milliseconds until messages are published again that could not be stored.
pub(crate) const STORE_AGAIN_MS: u64 = 500;

/// Headers of one record; further ones are left out.
pub(crate) const HEADERS_MAX: usize = 256;
