//! Bytes that owners have on their way to the disk: with the store, in the order of the tickets.
//!
//! Not `lotmq_shares::AccountShares`: nothing is refused here. A commit ends each wait, so owners
//! have even shares. Not here: what of the turn under way will be such bytes (`turn::fed`).

use std::collections::VecDeque;
use std::sync::Arc;

use lotmq_changes::Ticket;

use crate::shares::Share;

/// Bytes that are with the store, in the order of the tickets.
#[derive(Default)]
pub struct Feeding(VecDeque<(Ticket, Arc<Share>, usize)>);

impl Feeding {
    /// Adds bytes that have been handed to the store for the owner of a share.
    pub(crate) fn feed(&mut self, ticket: Ticket, share: Arc<Share>, bytes: usize) {
        share.feeds(bytes);
        self.0.push_back((ticket, share, bytes));
    }

    /// Whether no bytes are on their way.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over what others have fed.
    pub(crate) fn take_over(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// Removes bytes whose tickets are settled.
    pub(crate) fn take_settled(&mut self, is_settled: impl Fn(Ticket) -> bool) {
        while let Some((_, share, bytes)) = self.0.pop_front_if(|(ticket, ..)| is_settled(*ticket)) {
            share.has_fed(bytes);
        }
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.take_settled(|_| true);
    }
}
