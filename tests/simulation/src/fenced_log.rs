//! Log of one owner of the sessions: the log that all owners share, until the next owner fences
//! this one.
//!
//! Everything that an owner has handed over before the fence is stored. Nothing is taken after it.
//! So a former owner that still runs changes nothing (`handover`).

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use lotmq_changes::{
    AuditEnds, AuditRecord, Batch, CommitErrorKind, CommitTimes, Log, LogMetrics, MessageId, OnSlice,
    QueueSlice, SessionId, SliceBounds, StoreError, TenantId, Ticket,
};
use lotmq_store::Store;

use crate::fault::{HandoverFault, planted_handover};

/// See the module's documentation.
pub(crate) struct FencedLog {
    store: Arc<Store>,
    is_fenced: AtomicBool,
}

impl FencedLog {
    pub(crate) fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store), is_fenced: AtomicBool::new(false) }
    }

    /// Takes nothing more of this owner.
    pub(crate) fn fence(&self) {
        self.is_fenced.store(planted_handover() != Some(HandoverFault::FenceIgnored), Relaxed);
    }

    fn is_fenced(&self) -> bool {
        self.is_fenced.load(Relaxed)
    }
}

impl Log for FencedLog {
    fn offer(&self, batch: Batch) -> Result<Ticket, (StoreError, Batch)> {
        if self.is_fenced() { Err((StoreError::Closed, batch)) } else { self.store.offer(batch) }
    }

    fn append(&self, batch: Batch) -> Result<Ticket, StoreError> {
        if self.is_fenced() { Err(StoreError::Closed) } else { self.store.append(batch) }
    }

    fn last_ticket(&self) -> Ticket {
        self.store.last_ticket()
    }

    fn settled(&self, ticket: Ticket) -> Option<Result<(), StoreError>> {
        self.store.settled(ticket)
    }

    fn has_lost(&self) -> bool {
        self.store.has_lost()
    }

    fn losses(&self) -> u64 {
        self.store.losses()
    }

    fn is_congested(&self, more: usize) -> bool {
        self.store.is_congested(more)
    }

    fn is_nearly_full(&self, more: usize) -> bool {
        self.store.is_nearly_full(more)
    }

    fn congested_bytes(&self) -> usize {
        self.store.congested_bytes()
    }

    fn accepted_bytes(&self) -> u64 {
        self.store.accepted_bytes()
    }

    fn failure(&self) -> Option<CommitErrorKind> {
        self.store.failure()
    }

    fn read_queue(
        &self,
        session: SessionId,
        after: MessageId,
        bounds: SliceBounds,
        reply: OnSlice,
    ) -> Result<(), StoreError> {
        self.store.read_queue(session, after, bounds, reply)
    }

    fn wait(&self, ticket: Ticket) -> Result<(), StoreError> {
        self.store.wait(ticket)
    }

    fn wait_for(&self, ticket: Ticket, patience: Duration) -> Result<(), StoreError> {
        self.store.wait_for(ticket, patience)
    }

    fn queue_slice(
        &self,
        session: SessionId,
        after: MessageId,
        messages_max: usize,
        bytes_max: u64,
    ) -> Result<QueueSlice, StoreError> {
        self.store.queue_slice(session, after, messages_max, bytes_max)
    }

    fn read_audit(
        &self,
        tenant: TenantId,
        numbers: RangeInclusive<u64>,
        visit: &mut dyn FnMut(AuditRecord) -> ControlFlow<()>,
    ) -> Result<u64, StoreError> {
        self.store.audit(tenant, numbers, visit)
    }

    fn audit_ends(
        &self,
        tenant: TenantId,
        numbers: RangeInclusive<u64>,
    ) -> Result<Option<AuditEnds>, StoreError> {
        self.store.audit_ends(tenant, numbers)
    }

    fn metrics(&self) -> LogMetrics {
        self.store.metrics()
    }

    fn commit_times(&self) -> CommitTimes {
        self.store.commit_times()
    }

    fn close(&self) {}
}
