//! Counters of limits that were reached, by listener; with a log line about each, at most once a
//! second.
//!
//! Touched only when a limit is reached, never on the way of a message that keeps to all of them.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lotmq_session::Time;
use parking_lot::RwLock;
use tracing::warn;

use super::{LIMITS, Limit};
use crate::counter::Counter;

/// Milliseconds between two log lines about one limit of one listener.
const LOG_PERIOD_MS: u64 = 1000;

/// Counters of one listener, or of none.
#[derive(Debug)]
pub struct Reached {
    /// Name of the listener; empty for none.
    listener: &'static str,
    cells: Vec<Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    count: Counter,
    /// Time of the last log line; 0 for never.
    told_at_ms: AtomicU64,
    /// Count at that time.
    told: AtomicU64,
}

impl Reached {
    fn new(listener: &'static str) -> Self {
        Self { listener, cells: LIMITS.iter().map(|_| Cell::default()).collect() }
    }

    /// Counts that a limit was reached, without a log line.
    pub fn count(&self, limit: Limit) {
        self.cells[limit as usize].count.add(1);
    }

    /// Sets the count of a limit that somebody else counts.
    pub fn set(&self, limit: Limit, count: u64) {
        let counted = &self.cells[limit as usize].count;
        counted.add(count.saturating_sub(counted.get()));
    }

    /// Counts that a limit was reached by `who`, a peer or a Client, and logs it at most once a
    /// second.
    pub fn note(&self, limit: Limit, who: &dyn Display, now: Time) {
        let cell = &self.cells[limit as usize];
        cell.count.add(1);
        let now_ms = now.as_millis() + 1;
        let told_at = cell.told_at_ms.load(Ordering::Relaxed);
        let is_due = told_at == 0 || now_ms >= told_at + LOG_PERIOD_MS;
        // Only one of several threads writes the line.
        let order = Ordering::Relaxed;
        if is_due && cell.told_at_ms.compare_exchange(told_at, now_ms, order, order).is_ok() {
            let count = cell.count.get();
            let suppressed = count.saturating_sub(cell.told.swap(count, order)).saturating_sub(1);
            warn!(listener = self.listener, limit = limit.name(), peer = %who, suppressed, "limit reached");
        }
    }
}

/// The counters of all listeners.
#[derive(Debug)]
pub struct LimitsReached {
    /// Counters without a listener: for sessions whose Client is away, and for tenants.
    pub elsewhere: Reached,
    listeners: RwLock<Vec<Arc<Reached>>>,
}

impl Default for LimitsReached {
    fn default() -> Self {
        Self { elsewhere: Reached::new(""), listeners: RwLock::default() }
    }
}

impl LimitsReached {
    /// Counters for a listener.
    pub fn add(&self, listener: &'static str) -> Arc<Reached> {
        let reached = Arc::new(Reached::new(listener));
        self.listeners.write().push(Arc::clone(&reached));
        reached
    }

    /// Calls `show` with limit, listener (empty for none) and count of each counter; without a
    /// listener only those that are not zero.
    pub fn visit(&self, mut show: impl FnMut(Limit, &str, u64)) {
        let listeners = self.listeners.read();
        for row in LIMITS {
            for reached in std::iter::once(&self.elsewhere).chain(listeners.iter().map(|reached| &**reached))
            {
                let count = reached.cells[row.limit as usize].count.get();
                let belongs = reached.listener.is_empty() == row.scope.is_whole_broker();
                if belongs || count > 0 {
                    show(row.limit, reached.listener, count);
                }
            }
        }
    }
}
