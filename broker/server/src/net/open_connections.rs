//! The open connections of the calling thread, a shard's.
//!
//! A connection has one place here from its start to its end. Not here: when each is looked at (`timers`).

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::connection::SocketConnection;

thread_local! {
    static OPEN: RefCell<OpenConnections> = const { RefCell::new(OpenConnections { places: Vec::new(), free: Vec::new() }) };
}

struct OpenConnections {
    /// Free ones have no connection.
    places: Vec<Weak<SocketConnection>>,
    free: Vec<u32>,
}

/// A place for a connection that is about to be made.
pub(super) fn reserve() -> u32 {
    OPEN.with_borrow_mut(|open| {
        let OpenConnections { places, free } = open;
        free.pop().unwrap_or_else(|| {
            if places.len() == places.capacity() {
                // A quarter instead of the double, as all lists with an entry for each connection.
                places.reserve_exact(places.len() / 4 + 4);
            }
            places.push(Weak::new());
            u32::try_from(places.len() - 1).expect("a process has fewer descriptors than 2^32")
        })
    })
}

/// Gives a place back, when its connection has ended or was never made.
pub(super) fn release(place: u32) {
    let left = OPEN.with_borrow_mut(|open| {
        open.free.push(place);
        std::mem::take(&mut open.places[place as usize])
    });
    drop(left);
}

/// Puts a connection into the place that was reserved for it.
pub(super) fn enter(connection: &Arc<SocketConnection>) {
    OPEN.with_borrow_mut(|open| open.places[connection.place as usize] = Arc::downgrade(connection));
}

/// The connection in a place, if it is open still.
pub(super) fn get(place: u32) -> Option<Arc<SocketConnection>> {
    OPEN.with_borrow(|open| open.places.get(place as usize)?.upgrade())
}

/// All of them.
pub(super) fn all() -> Vec<Arc<SocketConnection>> {
    OPEN.with_borrow(|open| open.places.iter().filter_map(Weak::upgrade).collect())
}

/// Whether there are none.
pub(super) fn are_none() -> bool {
    OPEN.with_borrow(|open| open.free.len() == open.places.len())
}
