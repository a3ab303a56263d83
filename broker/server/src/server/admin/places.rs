//! Places for connections to the health port. A new one always gets one: when all are taken, that of the address with the most of them ends which
//! has been idle longest.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::HTTP_CONNECTIONS_MAX;

/// Places of the port.
#[derive(Default)]
pub(super) struct Places(Mutex<State>);

#[derive(Default)]
struct State {
    /// Number of places; unbounded where it is not set.
    places_max: Option<usize>,
    next_number: u64,
    holders: Vec<Holder>,
}

struct Holder {
    number: u64,
    address: IpAddr,
    active_at: Instant,
    end: Arc<Notify>,
}

/// Place of one connection; dropping it gives it back.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    /// Signal that another connection needs the place.
    pub(super) end: Arc<Notify>,
}

impl Places {
    /// So many places.
    pub(super) fn new(places_max: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { places_max: Some(places_max), ..State::default() })))
    }

    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Place {
        let mut state = self.0.lock();
        if state.holders.len() >= state.places_max.unwrap_or(HTTP_CONNECTIONS_MAX) {
            state.end_one();
        }
        let number = state.next_number;
        state.next_number += 1;
        let end = Arc::new(Notify::new());
        state.holders.push(Holder { number, address, active_at: Instant::now(), end: Arc::clone(&end) });
        Place { places: Arc::clone(self), number, end }
    }
}

impl State {
    /// Ends the connection that has to give way. Cost: O(places²) at most, where all are taken.
    fn end_one(&mut self) {
        let connections = |address| self.holders.iter().filter(|other| other.address == address).count();
        let most = self.holders.iter().map(|holder| connections(holder.address)).max();
        let of_busiest = |holder: &&Holder| Some(connections(holder.address)) == most;
        let idlest = self.holders.iter().filter(of_busiest).min_by_key(|holder| holder.active_at);
        let Some(number) = idlest.map(|holder| holder.number) else { return };
        self.remove(number).into_iter().for_each(|holder| holder.end.notify_one());
    }

    fn remove(&mut self, number: u64) -> Option<Holder> {
        let at = self.holders.iter().position(|holder| holder.number == number)?;
        Some(self.holders.swap_remove(at))
    }
}

impl Place {
    /// Notes a request. True when places are scarce, so that the connection ends with its answer.
    pub(super) fn is_asked(&self) -> bool {
        let mut state = self.places.0.lock();
        let is_scarce = state.holders.len() > state.places_max.unwrap_or(HTTP_CONNECTIONS_MAX) / 2;
        if let Some(holder) = state.holders.iter_mut().find(|holder| holder.number == self.number) {
            holder.active_at = Instant::now();
        }
        is_scarce
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idlest_of_the_busiest_address_makes_room() {
        let places = Arc::new(Places::default());
        let (crowd, alone) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let probe = places.take(alone);
        let held: Vec<Place> = (1..HTTP_CONNECTIONS_MAX).map(|_| places.take(crowd)).collect();
        assert!(held[0].is_asked(), "places are scarce");
        let _new = places.take(crowd);
        let left = |place: &Place| places.0.lock().holders.iter().any(|holder| holder.number == place.number);
        assert!(left(&probe) && left(&held[0]) && !left(&held[1]), "the second was idle longest");
        assert_eq!(places.0.lock().holders.len(), HTTP_CONNECTIONS_MAX);
        drop(held);
        assert_eq!(places.0.lock().holders.len(), 2);
        assert!(!probe.is_asked());
    }
}
