//! Which new connections are let in: so many at once and per second, of the broker, of a listener, of an address.
//!
//! Asked before anything is read, and again for the address that a PROXY header tells. Who is not let in is closed without a word.
//!
//! Invariants: what a [`Place`] took is given back exactly once, at the latest when it is dropped; the table of addresses has at most
//! [`ADDRESSES_MAX`] rows. Not here: what becomes of the socket (`listener`).

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use hashbrown::HashMap;
use lotmq_session::Time;
use parking_lot::Mutex;

use super::listener::Listener;
use super::peer::Peer;
use crate::limits::{ADDRESSES_MAX, Bucket, Limit};

/// Connections that are open, and the rate of new ones: of the broker, or of a listener.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicU32,
    rate: Mutex<Bucket>,
}

impl Gate {
    fn enter(&self, open_max: u32, per_sec: u32, now: Time) -> Result<(), Limit> {
        // Counted first, so that two threads cannot both take the last place.
        let limit = if self.open.fetch_add(1, Ordering::Relaxed) >= open_max {
            Limit::Connections
        } else if per_sec > 0 && !self.rate.lock().take(per_sec, now) {
            Limit::ConnectionsPerSec
        } else {
            return Ok(());
        };
        self.leave();
        Err(limit)
    }

    fn leave(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }
}

/// What is known of the addresses that connections of a listener come from; empty while nothing is bounded per address.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<u64, Row>,
    /// When rows were thrown out last.
    swept_at: Option<Time>,
}

#[derive(Debug, Default)]
struct Row {
    open: u32,
    rate: Bucket,
}

impl Addresses {
    /// Counts a connection from `address`. False when there is no room to count it, so that it is let in without.
    fn enter(&self, address: u64, open_max: u32, per_sec: u32, now: Time) -> Result<bool, Limit> {
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
        row.open += 1;
        Ok(true)
    }

    fn leave(&self, address: u64) {
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
    /// Whether there is room for one more row. Throws out those of which there is nothing to know, at most once a second.
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

/// As addresses are counted: IPv6 by the first 64 bits, which one customer has for himself.
fn key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // Of IPv6, nothing begins with 32 bits of zero but the loopback.
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => 1,
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

/// The place of a connection at its listener, and what it counts for.
pub(crate) struct Place {
    listener: Arc<Listener>,
    /// Its address as it is counted; 0 while it is not.
    address: AtomicU64,
    /// Until CONNECT has come.
    is_half_open: AtomicBool,
    /// What has come of a CONNECT that is not whole, in bytes.
    held_bytes: AtomicU32,
    /// Until it has ended.
    is_open: AtomicBool,
}

impl Place {
    /// A place for a new connection of `listener`.
    ///
    /// # Errors
    /// The limit that keeps it out; nothing is taken then.
    pub(crate) fn take(listener: &Arc<Listener>, peer: Peer) -> Result<Self, Limit> {
        let place = Self {
            listener: Arc::clone(listener),
            address: AtomicU64::new(0),
            is_half_open: AtomicBool::new(true),
            held_bytes: AtomicU32::new(0),
            is_open: AtomicBool::new(false),
        };
        if listener.half_open.fetch_add(1, Ordering::Relaxed) >= listener.limits.half_open {
            return Err(Limit::HalfOpen);
        }
        let now = listener.broker.clock.now();
        let (own, all) = (&listener.limits, &listener.broker.config.limits);
        listener.gate.enter(own.connections, own.connections_per_sec, now)?;
        if let Err(limit) = listener.broker.gate.enter(all.connections, all.connections_per_sec, now) {
            listener.gate.leave();
            return Err(limit);
        }
        place.is_open.store(true, Ordering::Relaxed);
        if let Peer::Tcp(address) = peer
            && !listener.proxy_protocol
        {
            place.count_address(address.ip(), now)?;
        }
        Ok(place)
    }

    /// Counts the connection for the address that it comes from.
    ///
    /// # Errors
    /// The limit that keeps it out.
    pub(crate) fn count_address(&self, address: IpAddr, now: Time) -> Result<(), Limit> {
        let limits = &self.listener.limits;
        let (open_max, per_sec) = (limits.connections_per_address, limits.connections_per_sec_per_address);
        if open_max == 0 && per_sec == 0 {
            return Ok(());
        }
        let key = key(address);
        if self.listener.addresses.enter(key, open_max, per_sec, now)? {
            self.address.store(key, Ordering::Relaxed);
        } else {
            self.listener.reached.note(Limit::ConnectionsPerAddress, &address, now);
        }
        Ok(())
    }

    /// So many bytes are kept of a CONNECT that is not whole.
    ///
    /// # Errors
    /// [`Limit::HalfOpenBytes`] when those of all connections are more than the listener allows.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Limit> {
        let held = u32::try_from(bytes).unwrap_or(u32::MAX);
        let before = self.held_bytes.swap(held, Ordering::Relaxed);
        let all = &self.listener.half_open_bytes;
        all.fetch_add(u64::from(held), Ordering::Relaxed);
        all.fetch_sub(u64::from(before), Ordering::Relaxed);
        if held > before && all.load(Ordering::Relaxed) > self.listener.limits.half_open_bytes {
            return Err(Limit::HalfOpenBytes);
        }
        Ok(())
    }

    /// CONNECT has come.
    pub(crate) fn connect_came(&self) {
        let held = u64::from(self.held_bytes.swap(0, Ordering::Relaxed));
        self.listener.half_open_bytes.fetch_sub(held, Ordering::Relaxed);
        if self.is_half_open.swap(false, Ordering::Relaxed) {
            self.listener.half_open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The connection has ended: others may have its place.
    pub(crate) fn leave(&self) {
        self.connect_came();
        if self.is_open.swap(false, Ordering::Relaxed) {
            self.listener.gate.leave();
            self.listener.broker.gate.leave();
        }
        let address = self.address.swap(0, Ordering::Relaxed);
        if address != 0 {
            self.listener.addresses.leave(address);
        }
    }
}

impl Deref for Place {
    type Target = Arc<Listener>;

    fn deref(&self) -> &Arc<Listener> {
        &self.listener
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn addresses_are_counted_by_customer() {
        let key = |text: &str| key(text.parse().unwrap());
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
            assert_eq!(addresses.enter(address, 0, 1, at(0)), Ok(true));
        }
        addresses.leave(1);
        addresses.leave(2);
        assert_eq!(addresses.enter(count + 1, 0, 1, at(500)), Ok(false), "their rate must still be known");
        assert_eq!(addresses.enter(1, 0, 1, at(500)), Err(Limit::ConnectionsPerSecPerAddress));
        assert_eq!(addresses.enter(count + 1, 0, 1, at(1000)), Ok(false), "swept only once a second");
        assert_eq!(addresses.enter(count + 1, 0, 1, at(1500)), Ok(true));
        assert_eq!(addresses.enter(count + 2, 0, 1, at(1500)), Ok(true));
        assert_eq!(addresses.enter(count + 3, 0, 1, at(1500)), Ok(false));
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
