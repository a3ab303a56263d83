//! The store as the log of the broker, and as the archive of that log.

use std::io::Read;
use std::ops::{ControlFlow, RangeInclusive};
use std::time::Duration;

use lotmq_changes::{
    AuditEnds, AuditRecord, Batch, CommitErrorKind, CommitTimes, ImportError, Log, LogArchive, LogMetrics,
    LogSnapshot, MessageId, OnSlice, QueueSlice, SessionId, SliceBounds, StagedLog, StoreError, TenantId,
    Ticket,
};

use crate::store::Store;

impl Log for Store {
    fn offer(&self, batch: Batch) -> Result<Ticket, (StoreError, Batch)> {
        self.offer(batch)
    }

    fn append(&self, batch: Batch) -> Result<Ticket, StoreError> {
        self.append(batch)
    }

    fn last_ticket(&self) -> Ticket {
        self.last_ticket()
    }

    fn settled(&self, ticket: Ticket) -> Option<Result<(), StoreError>> {
        self.settled(ticket)
    }

    fn has_lost(&self) -> bool {
        self.has_lost()
    }

    fn losses(&self) -> u64 {
        self.losses()
    }

    fn is_congested(&self, more: usize) -> bool {
        self.is_congested(more)
    }

    fn is_nearly_full(&self, more: usize) -> bool {
        self.is_nearly_full(more)
    }

    fn congested_bytes(&self) -> usize {
        self.congested_bytes()
    }

    fn accepted_bytes(&self) -> u64 {
        self.accepted_bytes()
    }

    fn failure(&self) -> Option<CommitErrorKind> {
        self.failure()
    }

    fn read_queue(
        &self,
        session: SessionId,
        after: MessageId,
        bounds: SliceBounds,
        reply: OnSlice,
    ) -> Result<(), StoreError> {
        Store::read_queue(self, session, after, bounds, reply)
    }

    fn wait(&self, ticket: Ticket) -> Result<(), StoreError> {
        self.wait(ticket)
    }

    fn wait_for(&self, ticket: Ticket, patience: Duration) -> Result<(), StoreError> {
        self.wait_for(ticket, patience)
    }

    fn queue_slice(
        &self,
        session: SessionId,
        after: MessageId,
        messages_max: usize,
        bytes_max: u64,
    ) -> Result<QueueSlice, StoreError> {
        self.queue_slice(session, after, messages_max, bytes_max)
    }

    fn read_audit(
        &self,
        tenant: TenantId,
        numbers: RangeInclusive<u64>,
        visit: &mut dyn FnMut(AuditRecord) -> ControlFlow<()>,
    ) -> Result<u64, StoreError> {
        self.audit(tenant, numbers, visit)
    }

    fn audit_ends(
        &self,
        tenant: TenantId,
        numbers: RangeInclusive<u64>,
    ) -> Result<Option<AuditEnds>, StoreError> {
        self.audit_ends(tenant, numbers)
    }

    fn metrics(&self) -> LogMetrics {
        self.metrics()
    }

    fn commit_times(&self) -> CommitTimes {
        self.commit_times()
    }

    fn close(&self) {
        self.close();
    }
}

impl LogArchive for Store {
    fn snapshot(&self) -> Result<Box<dyn LogSnapshot>, StoreError> {
        Ok(Box::new(self.snapshot()?))
    }

    fn stage(&self, input: &mut dyn Read) -> Result<Box<dyn StagedLog>, ImportError> {
        Ok(Box::new(self.stage(input)?))
    }

    fn started_well(&self) -> std::io::Result<()> {
        self.started_well()
    }
}
