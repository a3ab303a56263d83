//! Shares of a shard's time, for work whose length Clients decide: the filters of a SUBSCRIBE, scans for retained messages, messages with many receivers.
//!
//! A connection that has such work takes a share, works until it is over, and gives it back. While the time of a turn lasts and nobody waits, everybody gets one
//! at once; after that they wait for one in the order in which they came, a few in each turn. So a thousand Clients with long work delay each other, and the
//! others on the shard by the time of one turn.
//!
//! Invariant: whoever waits here is called, and the shard's turns go on until nobody waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smallvec::SmallVec;

use super::connection::Connection;
use crate::clock::{Clock, Stretch};
use crate::limits::{LONG_WORK_SHARES, LONG_WORK_TIME_MAX};

/// The shares of one shard.
#[derive(Default)]
pub(crate) struct TimeShares {
    /// Connections that wait for a share, the first of them first.
    waiting: VecDeque<Arc<Connection>>,
    /// Numbers of those that have one in this turn.
    granted: SmallVec<[u32; LONG_WORK_SHARES]>,
    /// Time that shares have taken of this turn.
    spent: Duration,
}

/// Time for one connection.
pub(crate) struct Share {
    pub(crate) stretch: Stretch,
    began: Duration,
}

impl TimeShares {
    /// Time for this connection's work in this turn. Without any it waits for a share, and its owner is called when it has one.
    pub(crate) fn take(&mut self, connection: &Arc<Connection>, clock: &Clock) -> Option<Share> {
        let granted = self.granted.iter().position(|number| *number == connection.number);
        match granted {
            Some(at) => {
                self.granted.swap_remove(at);
            }
            None if self.waiting.is_empty() && self.spent < LONG_WORK_TIME_MAX => {}
            None => {
                self.wait(connection);
                return None;
            }
        }
        let time = LONG_WORK_TIME_MAX / LONG_WORK_SHARES as u32;
        Some(Share { stretch: clock.stretch(time), began: clock.elapsed() })
    }

    /// Time for the packets of one read, which need no share: less while others wait for theirs.
    pub(crate) fn time_of_a_read(&self) -> Duration {
        let time = LONG_WORK_TIME_MAX / LONG_WORK_SHARES as u32;
        if self.waiting.is_empty() { time } else { time / LONG_WORK_SHARES as u32 }
    }

    /// Ends a share, used up or not.
    pub(crate) fn give_back(&mut self, share: &Share, clock: &Clock) {
        self.spent += clock.elapsed().saturating_sub(share.began);
    }

    /// Puts a connection behind those that wait, unless it is one of them.
    pub(crate) fn wait(&mut self, connection: &Arc<Connection>) {
        if !connection.waits_for_time.swap(true, Ordering::Relaxed) {
            self.waiting.push_back(Arc::clone(connection));
        }
    }

    /// Whether somebody waits.
    pub(crate) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A turn has ended: the first of those that wait have shares of the next one.
    pub(crate) fn turn_ended(&mut self) {
        self.spent = Duration::ZERO;
        self.granted.clear();
        let first = self.waiting.len().min(LONG_WORK_SHARES);
        for connection in self.waiting.drain(..first) {
            connection.waits_for_time.store(false, Ordering::Relaxed);
            self.granted.push(connection.number);
            connection.call_owner();
        }
    }
}
