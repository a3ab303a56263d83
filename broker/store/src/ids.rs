//! The identifiers of stored things, where they come from, and the [`Ticket`] that stands for a batch on its way to the disk.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A tenant's number, the first part of every key.
///
/// Numbers are given by the `tenants` table and never reused; `default` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TenantId(pub u32);

impl TenantId {
    /// The tenant of a broker that has no others; its name is `default`.
    pub const DEFAULT: Self = Self(0);
}

/// A session's number, never reused: a clean start or a new session of the same Client gets another one.
///
/// Taken from [`Ids::next_session`]. The top 16 bits are the node's number, so that
/// stale references die by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A message's number; it grows from message to message, also across restarts.
///
/// Taken from [`Ids::next_message`]. The queue of a session is ordered by it. Retained
/// messages use the same numbers as their version: the higher one was written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u64);

/// Numbers for new messages and sessions. Each is given once, by whoever makes batches, and is part of the batch: what applies one gives none.
#[derive(Debug)]
pub struct Ids {
    message: AtomicU64,
    session: AtomicU64,
}

impl Ids {
    /// Those from these on, which nobody has used.
    pub fn starting_at(message: MessageId, session: SessionId) -> Self {
        Self { message: AtomicU64::new(message.0), session: AtomicU64::new(session.0) }
    }

    /// A message number, higher than all before.
    pub fn next_message(&self) -> MessageId {
        MessageId(self.message.fetch_add(1, Relaxed))
    }

    /// A session number that was never used.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.session.fetch_add(1, Relaxed))
    }
}

/// The place of an appended batch in the order of all batches of this process; the first is 1.
///
/// A ticket is settled when a [`Committed`](crate::Committed) at or beyond it has been reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// The place `number` in the order of batches, which begins with 1; for implementations of the log other than [`Store`](crate::Store).
    pub fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// The number, for logs and for a watermark kept in an atomic.
    pub fn number(self) -> u64 {
        self.0
    }
}
