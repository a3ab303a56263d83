//! Spare connections: local ones that were admitted beyond the bound, to find out whether an
//! administrator connects.
//!
//! A flood of silent connections keeps nobody out. A newcomer is always let in, and the oldest
//! silent connection of the address with most gives way to it. A login under way gives way only to
//! a newcomer from an address with fewer of them.
//!
//! Not `lotmq_shares::AccountShares`: a full table refuses nobody who has fewer, and evicts
//! instead. Invariant: at most as many are here as may be. Not here: the total number
//! (`admission`), and the refusal of everybody but administrators.

use std::sync::Arc;

use parking_lot::Mutex;

use super::super::half_open::Waiting;

/// Spare connections of the broker.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Spare connections, the oldest first.
    all: Vec<Spare>,
}

#[derive(Debug)]
struct Spare {
    address: u64,
    waiting: Arc<Waiting>,
}

impl Spares {
    /// Admits one more, of `most`. False when none gives way to it.
    pub(crate) fn enter(&self, address: u64, waiting: &Arc<Waiting>, most: u32) -> bool {
        let mut table = self.0.lock();
        let giver = if table.all.len() < most as usize {
            None
        } else {
            let Some(at) = table.giver(address) else { return false };
            Some(table.all.remove(at))
        };
        table.all.push(Spare { address, waiting: Arc::clone(waiting) });
        drop(table);
        if let Some(giver) = giver {
            giver.waiting.make_way();
        }
        true
    }

    /// Removes a connection, which is an administrator's or has ended.
    pub(crate) fn leave(&self, waiting: &Arc<Waiting>) {
        self.0.lock().all.retain(|spare| !Arc::ptr_eq(&spare.waiting, waiting));
    }
}

impl Table {
    /// Index of the connection that gives way to a new one from `address`.
    fn giver(&self, address: u64) -> Option<usize> {
        let count = |address: u64| self.all.iter().filter(|spare| spare.address == address).count();
        let newcomers = count(address) + 1;
        let silent = |spare: &Spare| spare.waiting.is_silent();
        let may = |spare: &Spare| silent(spare) || count(spare.address) > newcomers;
        let candidates = self.all.iter().enumerate().filter(|(_, spare)| may(spare));
        // Of several such the first.
        let (at, _) = candidates.rev().max_by_key(|(_, spare)| (silent(spare), count(spare.address)))?;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::half_open::{HalfOpen, HalfOpenSource};
    use super::*;

    #[test]
    fn silent_connections_are_evicted_first_and_logins_only_for_smaller_sources() {
        let half_open = HalfOpen::default();
        let spares = Spares::default();
        let come = |address| {
            let waiting = half_open.enter(HalfOpenSource { listener: 0, address }, 100, 0).unwrap().waiting;
            let is_in = spares.enter(address, &waiting, 4);
            (waiting, is_in)
        };
        let came = |address| {
            let (waiting, is_in) = come(address);
            half_open.leave(&waiting);
            assert!(is_in);
            (waiting, is_in)
        };
        let login = came(1);
        let silent: Vec<_> = (0..3).map(|_| come(2)).collect();
        let another = come(1);
        assert!(silent[0].0.makes_way() && !login.0.makes_way());
        // Of the address with most, though one of another one is older; then of those with as many
        // the oldest.
        let third = come(3);
        assert!(silent[1].0.makes_way() && !silent[2].0.makes_way() && !another.0.makes_way());
        let _ = come(3);
        assert!(another.0.makes_way() && !silent[2].0.makes_way() && !third.0.makes_way());
        let _ = come(3);
        assert!(third.0.makes_way() && !silent[2].0.makes_way(), "its own, which say nothing, too");
        let all: Vec<_> = spares.0.lock().all.iter().map(|spare| Arc::clone(&spare.waiting)).collect();
        all.iter().for_each(|waiting| spares.leave(waiting));
        let logins: Vec<_> = (0..4).map(|_| came(5)).collect();
        assert!(!come(5).1, "its own do not give way");
        assert!(come(6).1);
        assert!(logins[0].0.makes_way() && !logins[1].0.makes_way());
    }
}
