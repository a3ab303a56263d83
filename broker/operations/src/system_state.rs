//! State of the `$SYS` tree: values that it keeps between rounds, of the process and of each
//! tenant. [`sys`](super::sys) computes the published topics from it.

mod bridges;
mod listing;
mod load;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

pub(crate) use bridges::BridgeStates;
use listing::Listings;
pub(crate) use load::{Loads, dropped};

/// Handle of the thread of the `$SYS` tree for others, and what it keeps from round to round.
#[derive(Default)]
pub struct Sys {
    state: Mutex<State>,
    changed: Condvar,
    /// Number of changes of accounts; sessions are looked through after each.
    pub(crate) users_generation: AtomicU64,
    started: Started,
    /// Processor time over the last interval, in tenths of a percent of one core.
    pub(crate) cpu_permille: AtomicU64,
    pub(crate) loads: Mutex<Loads>,
    pub(crate) listings: Listings,
}

/// Time at which the broker started.
struct Started(Instant);

impl Default for Started {
    fn default() -> Self {
        Self(Instant::now())
    }
}

#[derive(Default)]
struct State {
    wants_refresh: bool,
    is_called: bool,
    is_stopping: bool,
}

impl Sys {
    /// Makes the thread publish all figures now.
    pub(crate) fn refresh(&self) {
        self.state.lock().wants_refresh = true;
        self.changed.notify_one();
    }

    /// Ends the thread's sleep, or its next one.
    pub fn call(&self) {
        self.state.lock().is_called = true;
        self.changed.notify_one();
    }

    /// Notes that accounts have changed: sessions of removed users and old passwords have to end.
    /// The thread is called, so that they end at once.
    pub fn users_changed(&self) {
        self.users_generation.fetch_add(1, Ordering::AcqRel);
        self.call();
    }

    /// Time since the start of the broker.
    pub fn uptime(&self) -> Duration {
        self.started.0.elapsed()
    }

    /// Processor time of the process over the last interval, in percent of one core.
    pub(crate) fn cpu_percent(&self) -> f64 {
        self.cpu_permille.load(Ordering::Relaxed) as f64 / 10.0
    }

    /// Looks at the rates.
    pub(crate) fn loads<R>(&self, look: impl FnOnce(&Loads) -> R) -> R {
        look(&self.loads.lock())
    }

    /// Ends the thread of the `$SYS` tree.
    pub fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// Sleeps for so long, or until the thread is called; `None` when it is time to stop, else
    /// whether a refresh is wanted.
    pub(crate) fn sleep(&self, period: Duration) -> Option<bool> {
        let mut state = self.state.lock();
        if !state.wants_refresh && !state.is_stopping && !state.is_called {
            self.changed.wait_for(&mut state, period);
        }
        state.is_called = false;
        (!state.is_stopping).then(|| std::mem::take(&mut state.wants_refresh))
    }
}

/// Figures of a tenant as last counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) connected: AtomicUsize,
    pub(crate) maximum: AtomicUsize,
    pub(crate) inflight: AtomicU64,
}
