//! Open connections of one thread by their places, with the work that ticks and the ends of turns
//! bring them.
//!
//! A connection has one place here from its start to its end. The thread calls
//! [`OpenConnections::time_passed`] after a tick and [`OpenConnections::begin_turn`] after a turn.
//! These wake the connections that have work due.
//!
//! Not here: what a connection does when it is woken (`step`).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lotmq_session::{KeepAliveVerdict, Time};

use crate::connection::Connection;
use crate::fault::{Fault, is_planted};
use crate::limits::LOGIN_CHECK;
use crate::owner::input::Input;
use crate::owner::source::Source;
use crate::protocol::phase::Phase;
use crate::reason::close::CloseReason;
use crate::tenant::Tenant;
use crate::turn::Turn;
use crate::turn::next::{self, Next};
use crate::turn::timers::TICK;

/// Open connections of one thread.
pub struct OpenConnections<T> {
    /// Connections by place; a free place has none.
    places: Vec<Weak<Connection<T>>>,
    free: Vec<u32>,
}

impl<T> Default for OpenConnections<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> OpenConnections<T> {
    /// Table without connections.
    pub const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Reserves a place for a connection that is about to be made.
    pub fn reserve(&mut self) -> u32 {
        let Self { places, free } = self;
        free.pop().unwrap_or_else(|| {
            if places.len() == places.capacity() {
                // A quarter instead of the double, as all lists with an entry for each connection.
                places.reserve_exact(places.len() / 4 + 4);
            }
            places.push(Weak::new());
            u32::try_from(places.len() - 1).expect("a process has fewer descriptors than 2^32")
        })
    }

    /// Gives a place back, when its connection has ended or was never made.
    pub fn release(&mut self, place: u32) {
        self.free.push(place);
        self.places[place as usize] = Weak::new();
    }

    /// Puts a connection into its reserved place; its first check is at that time.
    pub fn enter(&mut self, connection: &Arc<Connection<T>>, first_look: Time, turn: &mut Turn) {
        self.places[connection.place as usize] = Arc::downgrade(connection);
        turn.connection_came(connection.place, first_look);
        turn.figures().listener(connection.listener.number).opened.add(1);
    }

    /// Connection in a place, if it is still open.
    fn get(&self, place: u32) -> Option<Arc<Connection<T>>> {
        self.places.get(place as usize)?.upgrade()
    }

    /// All open connections.
    pub fn all(&self) -> Vec<Arc<Connection<T>>> {
        self.places.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether no connection is open.
    pub fn are_none(&self) -> bool {
        self.free.len() == self.places.len()
    }
}

impl<T: Source> OpenConnections<T> {
    /// Does the work of a tick: closes connections that have been silent for too long, wakes those
    /// whose throttling has ended. Call every [`TICK`].
    pub fn time_passed(&self, turn: &mut Turn, tenants: &[Arc<Tenant>]) {
        turn.tick();
        self.expire(turn);
        turn.wake_throttled();
        turn.wake_paused();
        let waiting = turn.time_shares.take_until_tick().into_iter();
        waiting.filter_map(|place| self.get(place)).for_each(|connection| connection.call_owner());
        turn.routes.drop_stale(tenants);
        turn.trim();
    }

    /// Closes connections that sent no CONNECT in time, or nothing for 1.5 times their Keep Alive.
    fn expire(&self, turn: &mut Turn) {
        let now = turn.now();
        for place in turn.timers.overdue(now) {
            let Some(connection) = self.get(place) else { continue };
            match check_alive(&connection, now) {
                Ok(KeepAliveVerdict::AliveUntil(deadline)) => turn.timers.watch(place, deadline),
                Ok(KeepAliveVerdict::Off) => {}
                Ok(KeepAliveVerdict::Expired) if is_planted(Fault::KeepAliveIgnored) => {}
                Ok(KeepAliveVerdict::Expired) => connection.request_close(CloseReason::KeepAliveTimeout),
                Err(reason) => connection.request_close(reason),
            }
        }
    }

    /// Begins the next turn after one that was flushed and has ended at this time, of any clock
    /// that is always the same.
    pub fn begin_turn(&self, turn: &mut Turn, ended: Duration) -> Next {
        next::begin(turn, ended, |place| {
            if let Some(connection) = self.get(place) {
                connection.call_owner();
            }
        })
    }
}

/// Judges a Client's silence when its deadline has passed.
///
/// # Errors
/// When there has been no CONNECT at all.
fn check_alive<T: Source>(connection: &Connection<T>, now: Time) -> Result<KeepAliveVerdict, CloseReason> {
    let input: &mut Input = &mut connection.transport.input().lock();
    let partial = u32::try_from(input.partial.len()).unwrap_or(u32::MAX);
    // Also of a Client that may not send at present: it may send all the time, above its rate.
    if let Phase::Open(open) = &input.phase
        && let Some(end) = open.login_ends().filter(|end| now >= end.at)
    {
        return Err(end.reason());
    }
    match &mut input.phase {
        // It is we who do not listen, unless that is so because the Client does not.
        Phase::Open(open)
            if (connection.is_cut.load(Ordering::Relaxed)
                || connection.has_to_wait.load(Ordering::Relaxed)
                || connection.is_paused.load(Ordering::Relaxed)
                || open.rate().is_some_and(|rate| rate.is_throttled()))
                && open.client.congested_by(connection).is_none() =>
        {
            Ok(KeepAliveVerdict::AliveUntil(now.plus(TICK)))
        }
        // Packets are dated by the last tick, so the last one may be younger than it says by one
        // tick.
        Phase::Open(open) => {
            let verdict = open.keep_alive.handle_timeout(now.minus(TICK), partial);
            Ok(open.until_login_ends(verdict))
        }
        Phase::Closed => Ok(KeepAliveVerdict::Off),
        // Many passwords wait to be checked, or the store takes nothing. A client that has left
        // meanwhile must not take a place of others.
        Phase::LoggingIn(_) => input
            .look_for_end(&connection.transport)
            .map(|()| KeepAliveVerdict::AliveUntil(now.plus(LOGIN_CHECK))),
        Phase::New { .. } | Phase::Authenticating(_) => {
            connection.transport.check_handshake(now).map(KeepAliveVerdict::AliveUntil)
        }
    }
}
