//! The identifiers of stored things, and the [`Ticket`] that stands for a batch on its way to the disk.

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
/// Taken from [`Store::next_session_id`](crate::Store::next_session_id). The top 16 bits are the node's number, so that
/// stale references die by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A message's number; it grows from message to message, also across restarts.
///
/// Taken from [`Store::next_message_id`](crate::Store::next_message_id). The queue of a session is ordered by it. Retained
/// messages use the same numbers as their version: the higher one was written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u64);

/// The place of an appended batch in the order of all batches of this process; the first is 1.
///
/// A ticket is settled when a [`Committed`](crate::Committed) at or beyond it has been reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

impl Ticket {
    /// The number, for logs and for a watermark kept in an atomic.
    pub fn number(self) -> u64 {
        self.0
    }
}
