//! Permits of connections to the health port. A new one always gets one: when all are taken, that of the address with the most of them ends which
//! has been idle longest.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::HTTP_CONNECTIONS_MAX;

/// Permits of the port.
#[derive(Default)]
pub(super) struct Permits(Mutex<State>);

#[derive(Default)]
struct State {
    /// Number of permits; unbounded where it is not set.
    permits_max: Option<usize>,
    next_number: u64,
    holders: Vec<Holder>,
}

struct Holder {
    number: u64,
    address: IpAddr,
    active_at: Instant,
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

    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Permit {
        let mut state = self.0.lock();
        if state.holders.len() >= state.permits_max.unwrap_or(HTTP_CONNECTIONS_MAX) {
            state.end_one();
        }
        let number = state.next_number;
        state.next_number += 1;
        let end = Arc::new(Notify::new());
        state.holders.push(Holder { number, address, active_at: Instant::now(), end: Arc::clone(&end) });
        Permit { permits: Arc::clone(self), number, end }
    }
}

impl State {
    /// Ends the connection that has to give way. Cost: O(permits²) at most, where all are taken.
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

impl Permit {
    /// Notes a request. True when permits are scarce, so that the connection ends with its answer.
    pub(super) fn is_asked(&self) -> bool {
        let mut state = self.permits.0.lock();
        let is_scarce = state.holders.len() > state.permits_max.unwrap_or(HTTP_CONNECTIONS_MAX) / 2;
        if let Some(holder) = state.holders.iter_mut().find(|holder| holder.number == self.number) {
            holder.active_at = Instant::now();
        }
        is_scarce
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
        let left =
            |permit: &Permit| permits.0.lock().holders.iter().any(|holder| holder.number == permit.number);
        assert!(left(&probe) && left(&held[0]) && !left(&held[1]), "the second was idle longest");
        assert_eq!(permits.0.lock().holders.len(), HTTP_CONNECTIONS_MAX);
        drop(held);
        assert_eq!(permits.0.lock().holders.len(), 2);
        assert!(!probe.is_asked());
    }
}
