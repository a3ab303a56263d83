//! Permits of connections to the health port. A new one always gets one: when all are taken, that
//! of the address with the most of them ends which has been idle longest.
//!
//! Not `lotmq_shares::AccountShares`: full permits are evicted, and no connection is refused.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use lotmq_process::limits::HTTP_CONNECTIONS_MAX;

/// Permits of the port.
#[derive(Default)]
pub(super) struct Permits(Mutex<State>);

/// Holders of permits, in the order in which they would have to give way.
///
/// Connections have numbers in the order in which they came, their activities in the order in which
/// they were.
#[derive(Default)]
struct State {
    /// Number of permits; [`HTTP_CONNECTIONS_MAX`] where it is not set.
    permits_max: Option<usize>,
    next_number: u64,
    next_activity: u64,
    holders: HashMap<u64, Holder>,
    /// Of each address that has a permit the numbers of its connections, by their last activity.
    crowds: BTreeMap<IpAddr, Crowd>,
    /// All of `crowds`; the last one has to give way.
    by_size: BTreeSet<(usize, Reverse<u64>, IpAddr)>,
}

type Crowd = BTreeMap<u64, u64>;

struct Holder {
    address: IpAddr,
    active_at: u64,
    end: Arc<Notify>,
}

/// Permit of one connection; dropping it gives it back.
pub(super) struct Permit {
    permits: Arc<Permits>,
    number: u64,
    /// Signal that another connection needs the permit.
    pub(super) end: Arc<Notify>,
}

impl Permits {
    /// So many permits.
    pub(super) fn new(permits_max: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { permits_max: Some(permits_max), ..State::default() })))
    }

    /// Cost, as that of all operations here: logarithmic in the permits.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Permit {
        let mut state = self.0.lock();
        if state.holders.len() >= state.permits_max() {
            state.end_one();
        }
        let (number, end) = (state.next_number, Arc::new(Notify::new()));
        state.next_number += 1;
        let active_at = state.next_activity();
        state.change(address, |crowd| crowd.insert(active_at, number));
        state.holders.insert(number, Holder { address, active_at, end: Arc::clone(&end) });
        Permit { permits: Arc::clone(self), number, end }
    }
}

impl State {
    fn permits_max(&self) -> usize {
        self.permits_max.unwrap_or(HTTP_CONNECTIONS_MAX)
    }

    fn next_activity(&mut self) -> u64 {
        self.next_activity += 1;
        self.next_activity
    }

    /// Ends the connection that has to give way.
    fn end_one(&mut self) {
        let Some((_, _, busiest)) = self.by_size.last() else { return };
        let idlest = self.crowds.get(busiest).and_then(Crowd::first_key_value);
        let Some((_, &number)) = idlest else { return };
        self.remove(number).into_iter().for_each(|holder| holder.end.notify_one());
    }

    fn remove(&mut self, number: u64) -> Option<Holder> {
        let holder = self.holders.remove(&number)?;
        self.change(holder.address, |crowd| crowd.remove(&holder.active_at));
        Some(holder)
    }

    fn note_activity(&mut self, number: u64) {
        let now = self.next_activity();
        let Some(holder) = self.holders.get_mut(&number) else { return };
        let (address, before) = (holder.address, std::mem::replace(&mut holder.active_at, now));
        self.change(address, |crowd| {
            crowd.remove(&before);
            crowd.insert(now, number)
        });
    }

    /// Changes the connections of an address, with its place among the others.
    fn change<R>(&mut self, address: IpAddr, change: impl FnOnce(&mut Crowd) -> R) {
        let place = |crowd: &Crowd| {
            crowd.first_key_value().map(|(&idlest, _)| (crowd.len(), Reverse(idlest), address))
        };
        let crowd = self.crowds.entry(address).or_default();
        place(crowd).inspect(|before| _ = self.by_size.remove(before));
        change(crowd);
        match place(crowd) {
            Some(after) => _ = self.by_size.insert(after),
            None => _ = self.crowds.remove(&address),
        }
    }
}

impl Permit {
    /// Notes a request. True when permits are scarce, so that the connection ends with its answer.
    pub(super) fn is_asked(&self) -> bool {
        let mut state = self.permits.0.lock();
        state.note_activity(self.number);
        state.holders.len() > state.permits_max() / 2
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.0.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_of_the_busiest_address_makes_room() {
        let permits = Arc::new(Permits::default());
        let (crowd, alone) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let probe = permits.take(alone);
        let held: Vec<Permit> = (1..HTTP_CONNECTIONS_MAX).map(|_| permits.take(crowd)).collect();
        assert!(held[0].is_asked(), "permits are scarce");
        let _new = permits.take(crowd);
        let left = |permit: &Permit| permits.0.lock().holders.contains_key(&permit.number);
        assert!(left(&probe) && left(&held[0]) && !left(&held[1]), "the second was idle longest");
        assert_eq!(permits.0.lock().holders.len(), HTTP_CONNECTIONS_MAX);
        drop(held);
        assert_eq!(permits.0.lock().holders.len(), 2);
        assert!(!probe.is_asked());
    }
    /// Each would look at all of them, for hours, if it were not found by its place.
    #[test]
    fn permit_to_evict_is_found_quickly_among_many() {
        let permits = Permits::new(20_000);
        let probe = permits.take(IpAddr::from([10, 255, 0, 1]));
        let crowd = |number: u16| {
            let [high, low] = (number / 2).to_be_bytes();
            permits.take(IpAddr::from([10, 0, high, low]))
        };
        let held: Vec<Permit> = (0..30_000).map(crowd).collect();
        let left = held.iter().filter(|permit| permits.0.lock().holders.contains_key(&permit.number));
        assert_eq!(left.count(), 19_999);
        assert!(permits.0.lock().holders.contains_key(&probe.number), "others have two");
        drop(held);
        let state = permits.0.lock();
        assert_eq!((state.holders.len(), state.crowds.len(), state.by_size.len()), (1, 1, 1));
    }
}
