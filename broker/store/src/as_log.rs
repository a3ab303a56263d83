//! The store as the log of the broker.

use lotmq_changes::{
    Batch, CommitErrorKind, Log, MessageId, OnSlice, SessionId, SliceBounds, StoreError, Ticket,
};

use crate::store::Store;

impl Log for Store {
    fn offer(&self, batch: Batch) -> Result<Ticket, (StoreError, Batch)> {
        self.offer(batch)
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
}
