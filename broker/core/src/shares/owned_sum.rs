//! Sums of bytes that wait for clients: each owner has a part of what others leave, and their
//! clients have even shares of that part.
//!
//! Not `lotmq_shares::AccountShares`: each write to a socket changes the sum, by atomic additions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::part;
use crate::limits::unfinished::Unfinished;

/// Sum of bytes of one kind that wait for all clients, of which there is another one for those of
/// each owner.
///
/// An owner may have the bytes that [`part`] returns, or an even division between all owners and
/// one more, if that is more. Bytes that others hold beyond their parts, from before there were
/// more owners, do not reduce it.
#[derive(Debug, Default)]
pub struct OwnedSum {
    all: Arc<Unfinished>,
    /// Owners for whose clients anything waits.
    owners: AtomicU32,
}

impl OwnedSum {
    /// The sum over all owners; bytes that belong to none are added there.
    pub fn all(&self) -> &Arc<Unfinished> {
        &self.all
    }

    /// Notes that `now` bytes wait for a client of this owner instead of `before`.
    pub(crate) fn change(&self, owner: &Unfinished, before: u32, now: u32) {
        self.all.note(before, now);
        match owner.note(before, now) {
            (0, 1..) => self.owners.fetch_add(1, Ordering::Relaxed),
            (1.., 0) => self.owners.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }

    /// Bytes that an owner may have of `bytes_max`.
    pub(crate) fn part(&self, owner: &Unfinished, bytes_max: u64) -> u64 {
        let of_others = self.all.bytes().saturating_sub(owner.bytes());
        let newcomer = u32::from(owner.holders() == 0);
        let owners = u64::from(self.owners.load(Ordering::Relaxed)) + u64::from(newcomer);
        part(bytes_max, of_others).max(bytes_max / (owners + 1))
    }

    /// Whether an owner exceeds their part.
    pub(crate) fn is_beyond(&self, owner: &Unfinished, bytes_max: u64) -> bool {
        owner.bytes() > self.part(owner, bytes_max)
    }

    /// Bytes that may wait for one client of this owner: any number while the owner is within their
    /// part, then an even share of it.
    pub(crate) fn share(&self, owner: &Unfinished, bytes_max: u64) -> u64 {
        let part = self.part(owner, bytes_max);
        if owner.bytes() > part { part / u64::from(owner.holders().max(1)) } else { u64::MAX }
    }

    /// Bytes that may be added for a client of this owner for whom `held` wait: those that are left
    /// to the owner, or what the client lacks of an even share.
    pub(crate) fn room(&self, owner: &Unfinished, held: u64, bytes_max: u64) -> u64 {
        let part = self.part(owner, bytes_max);
        let even = part / u64::from(owner.holders().max(1));
        let left = bytes_max.saturating_sub(self.all.bytes()).min(part.saturating_sub(owner.bytes()));
        left.max(even.saturating_sub(held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 1000;

    #[test]
    fn clients_of_one_owner_take_nothing_off_those_of_others() {
        let sum = OwnedSum::default();
        let (eve, bob) = (Unfinished::default(), Unfinished::default());
        sum.change(&eve, 0, 700);
        assert_eq!((sum.share(&eve, MAX), sum.room(&eve, 700, MAX)), (u64::MAX, 50), "three quarters");
        sum.change(&eve, 700, 760);
        assert!(sum.is_beyond(&eve, MAX));
        assert_eq!(sum.share(&eve, MAX), 750, "all of it for the one client");
        // Each of her clients has something before there are more of them.
        for clients in 2..=100 {
            sum.change(&eve, 0, u32::try_from(sum.share(&eve, MAX)).unwrap().min(750 / clients));
        }
        assert!(sum.all.bytes() > 2 * MAX);
        assert_eq!(sum.share(&eve, MAX), 7, "750 for a hundred");
        assert_eq!((sum.share(&bob, MAX), sum.room(&bob, 0, MAX)), (u64::MAX, 333));
        sum.change(&bob, 0, 333);
        assert_eq!((sum.share(&bob, MAX), sum.room(&bob, 333, MAX)), (u64::MAX, 0));
        sum.change(&bob, 333, 334);
        assert_eq!((sum.share(&bob, MAX), sum.share(&eve, MAX)), (333, 5));
    }

    #[test]
    fn owner_without_bytes_is_not_counted() {
        let sum = OwnedSum::default();
        let owners: Vec<Unfinished> = (0..3).map(|_| Unfinished::default()).collect();
        owners.iter().for_each(|owner| sum.change(owner, 0, 400));
        assert_eq!(owners.iter().map(|owner| sum.share(owner, MAX)).collect::<Vec<_>>(), [250; 3]);
        sum.change(&owners[0], 400, 0);
        assert_eq!((sum.share(&owners[1], MAX), sum.all.bytes()), (u64::MAX, 800));
        owners[1..].iter().for_each(|owner| sum.change(owner, 400, 0));
        assert_eq!((sum.owners.into_inner(), sum.all.bytes()), (0, 0));
    }
}
