//! Timers of one shard: when each connection is checked next.
//!
//! A connection has at most one timer, which is taken away when it ends. Were they left to run out,
//! clients that come and go would fill the memory with what is kept for their Keep Alive, hours of
//! it.
//!
//! Not here: what is done with a connection whose time has come (`shard`).

use std::time::Duration;

use lotmq_session::{Time, TimerHandle, TimerWheel};

/// Period at which the timers of a thread are looked at, and its clock at least.
pub const TICK: Duration = Duration::from_millis(250);

/// Timers, by the places of the connections.
pub(crate) struct Timers {
    handles: Vec<Option<TimerHandle>>,
    deadlines: TimerWheel<u32>,
}

impl Timers {
    pub(crate) fn new(now: Time) -> Self {
        Self { handles: Vec::new(), deadlines: TimerWheel::new(TICK, now) }
    }

    /// Sets the timer of the connection in a place to `at`, in place of an earlier one: it comes
    /// out of [`Timers::overdue`] then.
    pub(crate) fn watch(&mut self, place: u32, at: Time) {
        let handle = self.handle(place);
        let before = std::mem::take(handle);
        if let Some(before) = before {
            self.deadlines.cancel(before);
        }
        let timer = self.deadlines.insert(at, place);
        *self.handle(place) = Some(timer);
    }

    /// Cancels the timer of a connection that has ended.
    pub(crate) fn cancel(&mut self, place: u32) {
        if let Some(timer) = self.handle(place).take() {
            self.deadlines.cancel(timer);
        }
    }

    /// Time at which a timer runs out, or an earlier one; `None` without timers.
    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.deadlines.next_timeout()
    }

    fn handle(&mut self, place: u32) -> &mut Option<TimerHandle> {
        let place = place as usize;
        if place >= self.handles.len() {
            if place >= self.handles.capacity() {
                // A quarter instead of the double, as all lists with an entry for each connection.
                self.handles.reserve_exact(place - self.handles.len() + place / 4 + 4);
            }
            self.handles.resize(place + 1, None);
        }
        &mut self.handles[place]
    }

    /// Takes the places of the connections whose timers have run out.
    pub(crate) fn overdue(&mut self, now: Time) -> Vec<u32> {
        let mut due = Vec::new();
        let Self { handles, deadlines } = self;
        deadlines.advance(now, |place| {
            handles[place as usize] = None;
            due.push(place);
        });
        due
    }
}
