//! The identifiers of stored things, where they come from, and the [`Ticket`] that stands for a
//! batch on its way to the disk.
//!
//! Several nodes may write to a log, one after the other for each tenant or shard. Only the numbers
//! of sessions carry a node:
//!
//! - [`SessionId`]: the top 16 bits are the node that made the session. A node makes sessions
//!   without asking the others. A session keeps its number when another node takes it over.
//! - [`MessageId`] and [`MembershipId`]: no node. The number is an order: of a queue, and of the
//!   versions of a retained message. A node in the top bits would put the messages of one node
//!   before all those of another. So a new owner continues behind the numbers that the rows have
//!   ([`Ids::continue_at`]). Numbers are unique within the log of an owner. A log that keeps
//!   several shards in one file puts the shard in front of the number.
//! - [`TenantId`]: no node. One log has the rows of all tenants, and its owner numbers them.
//! - Numbers of the audit: no node. Each trail of a tenant is one chain without a gap, which its
//!   owner continues.
//! - [`Ticket`]: no node. It is a place in the order of one process, and never stored.

use std::num::NonZeroU16;
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

/// A session's number, never reused: a clean start or a new session of the same Client gets another
/// one.
///
/// Taken from [`Ids::next_session`]. The top 16 bits are the node's number, so that
/// stale references die by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl SessionId {
    /// Bits of the number below those of the node.
    const BITS: u32 = 48;

    /// Session of a number that was written; `None` for one that no node reaches. Numbers after it
    /// would become those of the next node.
    pub fn from_number(number: u64) -> Option<Self> {
        let count = number & ((1 << Self::BITS) - 1);
        (count <= 1 << (Self::BITS - 1)).then_some(Self(number))
    }
}

/// A message's number; it grows from message to message, also across restarts.
///
/// Taken from [`Ids::next_message`]. The queue of a session is ordered by it. Retained
/// messages use the same numbers as their version: the higher one was written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MessageId(pub u64);

/// Number of a session's membership in the group of a shared subscription, stored with each
/// delivery through that group.
///
/// A session that leaves a group and joins it again gets another number. It is the lower part of a
/// number of [`Ids::next_message`]: 47 bits, so that a delivery in memory has room for it without
/// becoming larger. It repeats after 10^14 messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MembershipId {
    /// With the highest bit set, which stands for "there is one" where the membership is optional.
    high: NonZeroU16,
    low: [u16; 2],
}

impl MembershipId {
    /// Bits of the number.
    const BITS: u32 = 47;
    /// Highest bit of the first part.
    const HIGHEST: u16 = 1 << 15;

    /// Membership that is named by a number of [`Ids::next_message`].
    pub fn numbered(id: MessageId) -> Self {
        Self::from_number(id.0 % (1 << Self::BITS)).expect("a remainder is below the divisor")
    }

    /// Membership of a number that was written; `None` for one that cannot be.
    pub fn from_number(number: u64) -> Option<Self> {
        if number >> Self::BITS > 0 {
            return None;
        }
        let part = |at: u32| u16::try_from(number >> at & 0xFFFF).ok();
        let high = NonZeroU16::new(part(32)? | Self::HIGHEST)?;
        Some(Self { high, low: [part(16)?, part(0)?] })
    }

    /// First number that it may have been taken from.
    pub fn earliest(self) -> MessageId {
        MessageId(self.number())
    }

    /// The number.
    pub fn number(self) -> u64 {
        let [middle, low] = self.low.map(u64::from);
        u64::from(self.high.get() & !Self::HIGHEST) << 32 | middle << 16 | low
    }
}

/// Numbers for new messages and sessions. Each is given once, by whoever makes batches, and is part
/// of the batch: what applies one gives none.
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

    /// Gives no message number below this one from now on, because another process has used them.
    pub fn continue_at(&self, message: MessageId) {
        self.message.fetch_max(message.0, Relaxed);
    }

    /// A session number that was never used.
    pub fn next_session(&self) -> SessionId {
        SessionId(self.session.fetch_add(1, Relaxed))
    }
}

/// The place of an appended batch in the order of all batches of this process; the first is 1.
///
/// A ticket is settled when a `Committed` of the store at or beyond it has been reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// The place `number` in the order of batches, which begins with 1; for implementations of the
    /// log other than the store.
    pub fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// The number, for logs and for a watermark kept in an atomic.
    pub fn number(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_number_at_the_end_of_its_node_is_refused() {
        for (number, is_taken) in [
            (1, true),
            (0xFFFF_0000_0000_0001, true),
            (1 << 47, true),
            ((1 << 47) + 1, false),
            (0x0001_FFFF_FFFF_FFFF, false),
            (u64::MAX, false),
        ] {
            assert_eq!(SessionId::from_number(number).is_some(), is_taken, "{number:x}");
        }
    }

    #[test]
    fn memberships_are_small_and_come_back_from_their_numbers() {
        assert_eq!(size_of::<Option<MembershipId>>(), 6);
        for (id, number) in [
            (0, 0),
            (1, 1),
            (0x1_0002_0003, 0x1_0002_0003),
            ((1 << 47) - 1, (1 << 47) - 1),
            (1 << 47, 0),
            (u64::MAX, (1 << 47) - 1),
        ] {
            let membership = MembershipId::numbered(MessageId(id));
            assert_eq!(membership.number(), number, "{id}");
            assert_eq!(MembershipId::from_number(number), Some(membership), "{id}");
        }
        assert_eq!(MembershipId::from_number(1 << 47), None);
    }
}
