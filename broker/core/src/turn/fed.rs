//! What owners have on its way to the disk, so that those who have too much rest and nobody else does.
//!
//! Counted is what Clients of shards publish that must be stored, for the owner of their session (`shares`), from when it is handed to the store until its batch
//! is settled. While more than half of what may wait does, owners rest who have more than an even share of that half; above three quarters all do,
//! so that what waits is bounded however many they are.
//!
//! Not here: what is read from whom (`connection`), and what rests for nobody: acknowledgements, ends of sessions, what guests publish.

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_store::Ticket;

use crate::client::Client;
use crate::client::shares::Share;
use crate::turn::Turn;

/// What the Clients of one thread have on its way to the disk.
#[derive(Default)]
pub(crate) struct Fed {
    /// Of this turn, by Client.
    turn: Vec<(Arc<Client>, usize)>,
    /// With the store, in the order of the tickets.
    waiting: VecDeque<(Ticket, Arc<Share>, usize)>,
}

impl Fed {
    fn add(&mut self, client: &Arc<Client>, bytes: usize) {
        match self.turn.last_mut() {
            Some((last, sum)) if Arc::ptr_eq(last, client) => *sum += bytes,
            _ => self.turn.push((Arc::clone(client), bytes)),
        }
    }

    /// What was published in this turn has been handed to the store.
    pub(crate) fn handed_over(&mut self, ticket: Ticket) {
        for (client, bytes) in self.turn.drain(..) {
            let share = client.share();
            share.feeds(bytes);
            self.waiting.push_back((ticket, share, bytes));
        }
    }

    /// What was published in this turn is not stored.
    pub(crate) fn refused(&mut self) {
        self.turn.clear();
    }

    /// Takes off what is settled.
    pub(crate) fn take_settled(&mut self, is_settled: impl Fn(Ticket) -> bool) {
        while let Some((_, share, bytes)) = self.waiting.pop_front_if(|(ticket, ..)| is_settled(*ticket)) {
            share.has_fed(bytes);
        }
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.take_settled(|_| true);
    }
}

impl Turn {
    /// Notes for the Client that has published it what the batch has more than `before`.
    pub(crate) fn fed_by(&mut self, source: Option<&Arc<Client>>, before: usize) {
        if let Some(client) = source.filter(|_| self.is_of_shard()) {
            let bytes = self.batch.bytes().saturating_sub(before);
            if bytes > 0 {
                self.releases.fed.add(client, bytes);
            }
        }
    }

    /// Whether the disk has to catch up before more of this Client is stored.
    pub(crate) fn must_rest_for_store(&self, client: &Client) -> bool {
        let (store, more) = (&self.core.store, self.batch.bytes());
        self.is_backed_up()
            || (store.is_congested(more)
                && (store.is_nearly_full(more) || client.share().feeds_too_much(store.congested_bytes())))
    }
}
