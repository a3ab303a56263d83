//! The open connections of one shard, and when each is looked at next.
//!
//! A connection has one place here from its start to its end and at most one timer, and takes both away when it ends. Were they left to run
//! out, clients that come and go would fill the memory with what is kept for their Keep Alive, hours of it.
//!
//! Not here: what is done with a connection whose time has come (`shard`).

use std::sync::{Arc, Weak};

use lotmq_session::{Time, TimerHandle, TimerWheel};

use super::connection::Connection;
use super::shard::TICK;

/// See the module's documentation.
pub(crate) struct OpenConnections {
    places: Vec<Place>,
    free: Vec<u32>,
    deadlines: TimerWheel<u32>,
}

/// What is known of one connection. Free places have neither.
#[derive(Default)]
struct Place {
    connection: Weak<Connection>,
    timer: Option<TimerHandle>,
}

impl OpenConnections {
    pub(crate) fn new(now: Time) -> Self {
        Self { places: Vec::new(), free: Vec::new(), deadlines: TimerWheel::new(TICK, now) }
    }

    /// A place for a connection that is about to be made.
    pub(crate) fn reserve(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            if self.places.len() == self.places.capacity() {
                // A quarter instead of the double, as all lists with an entry for each connection.
                self.places.reserve_exact(self.places.len() / 4 + 4);
            }
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("a process has fewer descriptors than 2^32")
        })
    }

    /// Gives a place back, when its connection has ended or was never made.
    pub(crate) fn release(&mut self, place: u32) {
        let left = std::mem::take(&mut self.places[place as usize]);
        if let Some(timer) = left.timer {
            self.deadlines.cancel(timer);
        }
        self.free.push(place);
    }

    /// Puts a connection into the place that was reserved for it.
    pub(crate) fn enter(&mut self, connection: &Arc<Connection>) {
        self.places[connection.place as usize].connection = Arc::downgrade(connection);
    }

    /// The connection in a place, if it is open still.
    pub(crate) fn get(&self, place: u32) -> Option<Arc<Connection>> {
        self.places.get(place as usize)?.connection.upgrade()
    }

    /// Looks after a connection at `at`, and no more at the time that was set before: it comes out of [`OpenConnections::overdue`] then.
    pub(crate) fn watch(&mut self, connection: &Connection, at: Time) {
        let place = &mut self.places[connection.place as usize];
        if let Some(timer) = place.timer.replace(self.deadlines.insert(at, connection.place)) {
            self.deadlines.cancel(timer);
        }
    }

    /// The connections whose time has come; they are not watched any more.
    pub(crate) fn overdue(&mut self, now: Time) -> Vec<Arc<Connection>> {
        let mut due = Vec::new();
        let Self { places, deadlines, .. } = self;
        deadlines.advance(now, |place| {
            let place = &mut places[place as usize];
            place.timer = None;
            due.extend(place.connection.upgrade());
        });
        due
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.places.iter().filter_map(|place| place.connection.upgrade()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.places.len()
    }
}
