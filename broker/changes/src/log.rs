//! Log of durable changes, as all its writers use it: it takes batches, reports their progress, and
//! reads long queues and the audit back.
//!
//! A log takes [`Batch`]es. A batch is the changes of one turn, as bytes that mean the same to each
//! copy that applies them, at any time. Its maker gives every number in it (from
//! [`Ids`](crate::Ids), numbers of the audit from its trail). Every time is part of the stored
//! value. To apply a batch needs no clock, no counter and no random number, so copies that apply
//! the same batches in the same order are equal. Only encryption belongs to the copy: a batch has
//! values of secrets and records of the audit in plain text. Each log encrypts them with its own
//! key and nonce.
//!
//! An implementation promises:
//! - **Order.** Tickets grow in the order in which batches are taken, over all threads, and batches
//!   are applied in the order of their tickets.
//! - **Whole or not at all.** Nothing is seen of a part of a batch, not after a crash either.
//! - **Settled.** Tickets are settled in their order, and what became of one does not change: `Ok`
//!   when the batch is there after a crash of the process and, as the log is configured, after a
//!   loss of power. A batch that failed may be stored with a later one after all, until it is
//!   counted as [lost](Log::losses).
//! - **Nobody waits.** No call of the core waits for a disk or another machine. A caller asks for
//!   the outcome later; the owner of the threads wakes it when there is news.
//! - **Waiting has a name.** [`Log::wait`], [`Log::wait_for`], [`Log::commit`],
//!   [`Log::queue_slice`], [`Log::read_audit`], [`Log::audit_ends`] and [`Log::close`] block. They
//!   are for threads that serve no client: commands, housekeeping, start and stop.
//!
//! Asked how often: [`Log::offer`] once a turn; [`Log::settled`] once for each ticket that
//! something waits for, and for each client that has published with it; [`Log::is_congested`] once
//! for each read of a client that stores much, and for a packet that is to be retained;
//! [`Log::failure`] once a turn in which something is published, and for CONNECT and SUBSCRIBE;
//! [`Log::losses`] for a message of QoS 2. Slots of messages and sessions cost no call.
//!
//! Not here: snapshots and backups ([`LogArchive`](crate::LogArchive)), and how a log is opened.

use std::ops::{ControlFlow, RangeInclusive};
use std::time::Duration;

use crate::{
    AuditEnds, AuditRecord, Batch, CommitErrorKind, CommitTimes, LogMetrics, MessageId, OnSlice, QueueSlice,
    SessionId, SliceBounds, StoreError, TenantId, Ticket,
};

/// Log of durable changes.
pub trait Log: Send + Sync {
    /// Takes a batch, and says its place among all.
    ///
    /// # Errors
    /// [`StoreError::Full`] when too much waits, [`StoreError::Closed`] at the end; with the batch,
    /// of which nothing is stored.
    #[allow(
        clippy::result_large_err,
        reason = "the batch comes back as it went in, by value, and only when the log is full"
    )]
    fn offer(&self, batch: Batch) -> Result<Ticket, (StoreError, Batch)>;

    /// Takes a batch, however much waits already, and returns its ticket.
    ///
    /// For changes that are in force already and cannot be taken back. The log does not bound them.
    /// The caller must: it makes few changes, or waits for each before it makes the next.
    ///
    /// # Errors
    /// [`StoreError::Closed`] at the end: nothing of the batch is stored.
    fn append(&self, batch: Batch) -> Result<Ticket, StoreError>;

    /// Ticket of the batch that was taken last, from any thread: when it is settled, so are all
    /// before.
    fn last_ticket(&self) -> Ticket;

    /// Outcome of a batch; `None` while it is under way.
    ///
    /// # Errors
    /// [`StoreError::CommitFailed`] when it failed, [`StoreError::OutcomeForgotten`] when that was
    /// so long ago that it cannot be told.
    fn settled(&self, ticket: Ticket) -> Option<Result<(), StoreError>>;

    /// Whether failed batches were given up. As long as none were, a stored batch means that
    /// everything before it is stored, too.
    fn has_lost(&self) -> bool;

    /// Number of batches that were given up.
    fn losses(&self) -> u64;

    /// Whether the log's queue is more than half full, with `more` bytes that are about to be
    /// offered.
    fn is_congested(&self, more: usize) -> bool;

    /// Whether the log's queue is more than three quarters full, with `more` bytes.
    fn is_nearly_full(&self, more: usize) -> bool;

    /// Half of the capacity of the log's queue, in bytes.
    fn congested_bytes(&self) -> usize;

    /// Bytes of batches that were taken: stored, or on their way. One that failed does not count.
    fn accepted_bytes(&self) -> u64;

    /// Failure because of which nothing is stored at the moment; `None` once storing works again.
    fn failure(&self) -> Option<CommitErrorKind>;

    /// Reads the unsent messages of a session behind `after`, within these bounds.
    ///
    /// `reply` is called later, wherever the implementation reads, which must not be kept waiting.
    /// Everything is there that was settled before; what was offered later may be there or not.
    ///
    /// # Errors
    /// [`StoreError::Closed`]; `reply` is not called then.
    fn read_queue(
        &self,
        session: SessionId,
        after: MessageId,
        bounds: SliceBounds,
        reply: OnSlice,
    ) -> Result<(), StoreError>;

    /// Blocks until a ticket is settled.
    ///
    /// # Errors
    /// [`StoreError::CommitFailed`] when the batch failed, [`StoreError::Closed`] when the log
    /// ended first.
    fn wait(&self, ticket: Ticket) -> Result<(), StoreError>;

    /// Blocks until a ticket is settled, as long as the log settles something at least once in
    /// `patience`.
    ///
    /// # Errors
    /// Those of [`Log::wait`], and [`StoreError::Hangs`] after `patience` without progress. The
    /// outcome of the batch is unknown then.
    fn wait_for(&self, ticket: Ticket, patience: Duration) -> Result<(), StoreError>;

    /// Appends a batch and waits for it.
    ///
    /// # Errors
    /// Those of [`Log::append`] and [`Log::wait`].
    fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.wait(self.append(batch)?)
    }

    /// Reads the unsent messages of a session behind `after` and waits for them: at most so many
    /// messages and bytes, though one message at least.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::CommitFailed`] when the log cannot be read.
    fn queue_slice(
        &self,
        session: SessionId,
        after: MessageId,
        messages_max: usize,
        bytes_max: u64,
    ) -> Result<QueueSlice, StoreError>;

    /// Reads the audit records of a tenant with these numbers, oldest first, until `visit` breaks.
    /// Returns the number of damaged records, which are left out.
    ///
    /// Everything that was appended before is there.
    ///
    /// # Errors
    /// [`StoreError::Closed`], [`StoreError::CommitFailed`] when the log cannot be read.
    fn read_audit(
        &self,
        tenant: TenantId,
        numbers: RangeInclusive<u64>,
        visit: &mut dyn FnMut(AuditRecord) -> ControlFlow<()>,
    ) -> Result<u64, StoreError>;

    /// Returns the first and the last audit record of a tenant with these numbers; `None` when it
    /// has none.
    ///
    /// # Errors
    /// As [`Log::read_audit`].
    fn audit_ends(
        &self,
        tenant: TenantId,
        numbers: RangeInclusive<u64>,
    ) -> Result<Option<AuditEnds>, StoreError>;

    /// Counters of the log as they are now.
    fn metrics(&self) -> LogMetrics;

    /// Durations of commits so far.
    fn commit_times(&self) -> CommitTimes;

    /// Stores what waits and ends the log. Further calls do nothing.
    fn close(&self);
}
