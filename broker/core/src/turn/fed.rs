//! Bytes that owners have on their way to the disk, so that those who have too much wait and nobody
//! else does.
//!
//! Counted is what Clients of shards and definitions publish that must be stored, for the owner of
//! the session or of the definition (`shares`), from when it is handed to the store until its batch
//! is settled. While more than half of what may wait does, owners rest who have more than an even
//! share of that half; above three quarters all do, so that what waits is bounded however many they
//! are.
//!
//! The shares themselves are in `shares::feeding`. Not here: what is read from whom (`connection`),
//! and what rests for nobody: acknowledgements, ends of sessions, what definitions of nobody
//! publish.

use std::sync::Arc;

use lotmq_changes::Ticket;
use lotmq_definitions::Owner;

use crate::shares::feeding::Feeding;
use crate::shares::{Share, Shares};
use crate::tenant::Tenant;
use crate::tenant::client::Client;
use crate::tenant::publication::Publication;

/// Bytes published on one thread that are on their way to the disk.
#[derive(Default)]
pub(crate) struct Fed {
    /// Bytes of this turn, by feeder.
    turn: Vec<(Feeder, usize)>,
    waiting: Feeding,
}

/// Publisher of such bytes.
enum Feeder {
    Client(Arc<Client>),
    /// A definition of this user of a tenant.
    User(Arc<Shares>, Owner),
}

impl Feeder {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Client(this), Self::Client(that)) => Arc::ptr_eq(this, that),
            (Self::User(of, this), Self::User(there, that)) => Arc::ptr_eq(of, there) && this == that,
            (Self::Client(_), Self::User(..)) | (Self::User(..), Self::Client(_)) => false,
        }
    }

    fn share(&self) -> Arc<Share> {
        match self {
            Self::Client(client) => client.share(),
            Self::User(shares, owner) => shares.of_user(Some(owner)),
        }
    }
}

impl Fed {
    /// Counts bytes in the batch of this turn for their publisher; `is_of_shard`: the thread of the
    /// turn serves Clients.
    pub(crate) fn count(
        &mut self,
        tenant: &Tenant,
        publication: &Publication<'_>,
        (bytes, is_of_shard): (usize, bool),
    ) {
        match (publication.source, publication.owner) {
            (Some(client), _) if is_of_shard => self.add(Feeder::Client(Arc::clone(client)), bytes),
            (None, Some(owner)) => {
                self.add(Feeder::User(Arc::clone(&tenant.shares), owner.clone()), bytes);
            }
            (Some(_), _) | (None, None) => {}
        }
    }

    fn add(&mut self, feeder: Feeder, bytes: usize) {
        match self.turn.last_mut() {
            Some((last, sum)) if last.is(&feeder) => *sum += bytes,
            _ => self.turn.push((feeder, bytes)),
        }
    }

    /// Notes that the bytes of this turn have been handed to the store.
    pub(crate) fn handed_over(&mut self, ticket: Ticket) {
        for (feeder, bytes) in self.turn.drain(..) {
            let share = feeder.share();
            self.waiting.feed(ticket, share, bytes);
        }
    }

    /// Notes that the bytes of this turn are not stored.
    pub(crate) fn refused(&mut self) {
        self.turn.clear();
    }

    /// Removes bytes whose tickets are settled.
    pub(crate) fn take_settled(&mut self, is_settled: impl Fn(Ticket) -> bool) {
        self.waiting.take_settled(is_settled);
    }

    /// Whether no bytes are on their way to the disk.
    pub(crate) fn is_empty(&self) -> bool {
        self.turn.is_empty() && self.waiting.is_empty()
    }

    /// Leaves waiting bytes to threads that look at them now and then.
    pub(crate) fn leave(&mut self, feeding: &mut Feeding) {
        feeding.take_over(&mut self.waiting);
    }
}
