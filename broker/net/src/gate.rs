//! Gates of the broker and of listeners: how many connections are open, in all, of each user and
//! from each address, and how fast new ones come.
//!
//! Invariant: the table of addresses has at most [`ADDRESSES_MAX`] rows. Not here: who asks
//! (`admission`).

mod spare;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;
use lotmq_session::Time;
use lotmq_shares::AccountShares;
use parking_lot::Mutex;

use self::spare::Spares;
use super::limits::{ADDRESSES_MAX, PLACES_SHARED_MIN};
use lotmq_core::connection::place_claim::PlaceClaim;
use lotmq_core::limits::USER_PART;
use lotmq_core::limits::{Bucket, Limit};
use lotmq_core::shares::Share;

/// Gate of the broker, or of a listener: connections that are open, and the rate of new ones.
#[derive(Debug)]
pub(crate) struct Gate {
    open: AtomicU32,
    /// Open connections on which somebody has logged in, by whose they are.
    holders: Arc<AccountShares>,
    /// Those of them without a user that come from other machines, by their address.
    strangers: Arc<AccountShares>,
    rate: Mutex<Bucket>,
    /// Connections beyond the bound.
    pub(super) spares: Spares,
}

impl Default for Gate {
    fn default() -> Self {
        let shares = || AccountShares::new(u64::MAX, USER_PART);
        Self {
            open: AtomicU32::default(),
            holders: shares(),
            strangers: shares(),
            rate: Mutex::default(),
            spares: Spares::default(),
        }
    }
}

impl Gate {
    /// Admits a connection, of `open_max` and `spare` further ones. True when it is one of the
    /// latter.
    pub(super) fn enter(&self, open_max: u32, spare: u32, per_sec: u32, now: Time) -> Result<bool, Limit> {
        // Counted first, so that two threads cannot both take the last place.
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let limit = if open >= open_max.saturating_add(spare) {
            Limit::Connections
        } else if per_sec > 0 && !self.rate.lock().take(per_sec, now) {
            Limit::ConnectionsPerSec
        } else {
            return Ok(open >= open_max);
        };
        self.open.fetch_sub(1, Ordering::Relaxed);
        Err(limit)
    }

    /// Counts an admitted connection, of `open_max`, for the user who has logged in on it. Fails if
    /// the user then exceeds the share that others leave, or `per_user`, of which 0 is no limit.
    pub(super) fn give(&self, open_max: u32, per_user: u32, claim: &PlaceClaim<'_>) -> Result<(), Limit> {
        self.holders.set_max(open_max.into());
        let account = claim.share.account();
        self.holders.put_back(account, 1);
        let is_crowd = claim.share.stranger().is_some_and(|address| {
            // An address has of what all without a user have as much as they have of all.
            let (numerator, denominator) = USER_PART;
            self.strangers.set_max(u64::from(open_max) * numerator / denominator);
            self.strangers.put_back(address, 1);
            self.strangers.is_beyond(&address)
        });
        let is_beyond_share = open_max >= PLACES_SHARED_MIN && (is_crowd || self.holders.is_beyond(&account));
        let has_too_many = || {
            let is_user = per_user > 0 && !claim.share.is_anonymous();
            is_user && self.holders.used_by(&account) > per_user.into()
        };
        let limit = if is_beyond_share {
            Limit::Connections
        } else if has_too_many() {
            Limit::ConnectionsPerUser
        } else {
            return Ok(());
        };
        if (claim.takes_over)() || (claim.is_administrator)() {
            return Ok(());
        }
        self.take_back(&claim.share);
        Err(limit)
    }

    /// Counts a connection for nobody any more.
    pub(super) fn take_back(&self, holder: &Share) {
        self.holders.give_back(holder.account(), 1);
        if let Some(address) = holder.stranger() {
            self.strangers.give_back(address, 1);
        }
    }

    /// Gives the place of a connection back.
    pub(super) fn leave(&self, holder: Option<&Share>) {
        holder.into_iter().for_each(|holder| self.take_back(holder));
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }
}

/// Addresses that connections of a listener come from; empty while nothing is bounded per address.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<u64, Row>,
    /// Time of the last sweep of rows.
    swept_at: Option<Time>,
}

#[derive(Debug, Default)]
struct Row {
    open: u32,
    rate: Bucket,
}

impl Addresses {
    /// Counts a connection from `address`. With `open_max` it is to leave again. False when there
    /// is no room to count it, so that it is let in without.
    pub(super) fn enter(&self, address: u64, open_max: u32, per_sec: u32, now: Time) -> Result<bool, Limit> {
        let table = &mut *self.0.lock();
        if !table.rows.contains_key(&address) && !table.has_room(now) {
            return Ok(false);
        }
        let row = table.rows.entry(address).or_default();
        if open_max > 0 && row.open >= open_max {
            return Err(Limit::ConnectionsPerAddress);
        }
        if !row.rate.take(per_sec, now) {
            return Err(Limit::ConnectionsPerSecPerAddress);
        }
        if open_max > 0 {
            row.open += 1;
        }
        Ok(true)
    }

    pub(super) fn leave(&self, address: u64) {
        let table = &mut *self.0.lock();
        if let Some(row) = table.rows.get_mut(&address) {
            row.open -= 1;
            // A row with a rate stays until the table is full: the next connection must find it.
            if row.open == 0 && row.rate.is_idle(Time::from_millis(0)) {
                table.rows.remove(&address);
            }
        }
    }
}

impl Table {
    /// Whether there is room for one more row. Removes rows without information, at most once a
    /// second.
    fn has_room(&mut self, now: Time) -> bool {
        if self.rows.len() < ADDRESSES_MAX {
            return true;
        }
        let is_due = self.swept_at.is_none_or(|at| now.as_millis() >= at.as_millis() + 1000);
        if is_due {
            self.swept_at = Some(now);
            self.rows.retain(|_, row| row.open > 0 || !row.rate.is_idle(now));
        }
        self.rows.len() < ADDRESSES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lotmq_core::shares::address_key;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn addresses_are_counted_by_customer() {
        let key = |text: &str| address_key(text.parse().unwrap());
        for (one, other, is_same) in [
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(key(one) == key(other), is_same, "{one} {other}");
            assert!(key(one) != 0 && key(other) != 0);
        }
    }

    #[test]
    fn a_full_table_throws_out_what_it_need_not_know() {
        let addresses = Addresses::default();
        let count = ADDRESSES_MAX as u64;
        for address in 1..=count {
            assert_eq!(addresses.enter(address, 9, 1, at(0)), Ok(true));
        }
        addresses.leave(1);
        addresses.leave(2);
        assert_eq!(addresses.enter(count + 1, 9, 1, at(500)), Ok(false), "their rate must still be known");
        assert_eq!(addresses.enter(1, 9, 1, at(500)), Err(Limit::ConnectionsPerSecPerAddress));
        assert_eq!(addresses.enter(count + 1, 9, 1, at(1000)), Ok(false), "swept only once a second");
        assert_eq!(addresses.enter(count + 1, 9, 1, at(1500)), Ok(true));
        assert_eq!(addresses.enter(count + 2, 9, 1, at(1500)), Ok(true));
        assert_eq!(addresses.enter(count + 3, 9, 1, at(1500)), Ok(false));
        assert_eq!(addresses.0.lock().rows.len(), ADDRESSES_MAX);
    }

    #[test]
    fn one_address_takes_so_many_places_and_gives_them_back() {
        let addresses = Addresses::default();
        assert_eq!(addresses.enter(7, 2, 0, at(0)), Ok(true));
        assert_eq!(addresses.enter(7, 2, 0, at(0)), Ok(true));
        assert_eq!(addresses.enter(7, 2, 0, at(0)), Err(Limit::ConnectionsPerAddress));
        assert_eq!(addresses.enter(8, 2, 0, at(0)), Ok(true));
        addresses.leave(7);
        assert_eq!(addresses.enter(7, 2, 0, at(0)), Ok(true));
        [7, 7, 8].into_iter().for_each(|address| addresses.leave(address));
        assert!(addresses.0.lock().rows.is_empty());
    }
}
