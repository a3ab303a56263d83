//! Home of connections: a thread that serves Clients, as its turn and other threads see it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

/// Thread that serves Clients.
pub struct Home {
    /// Number among such threads.
    pub number: u16,
    /// Number of its connections, with those that are on their way to it.
    pub connections: AtomicUsize,
    /// Its longest turn.
    pub longest_turn: LongestTurn,
    waits_for_commit: AtomicBool,
}

impl Home {
    /// Thread with this number among those that serve Clients.
    pub fn new(number: u16) -> Self {
        Self {
            number,
            connections: AtomicUsize::new(0),
            longest_turn: LongestTurn::default(),
            waits_for_commit: AtomicBool::new(false),
        }
    }

    /// Sets whether the thread wants to be told of commits.
    pub(crate) fn wait_for_commit(&self, waits: bool) {
        self.waits_for_commit.store(waits, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// Whether the thread wants to be told of commits; asked after a commit.
    pub fn waits_for_commit(&self) -> bool {
        // Pairs with the one in `wait_for_commit`: either the thread sees the commit, or this sees
        // that it waits.
        fence(Ordering::SeqCst);
        self.waits_for_commit.load(Ordering::Acquire)
    }
}

/// Longest turn of a shard since it started.
#[derive(Debug, Default)]
pub struct LongestTurn(AtomicU64);

impl LongestTurn {
    /// Notes how long a turn took.
    pub fn note(&self, took: Duration) {
        self.0.fetch_max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Duration of the longest turn, in seconds.
    pub fn seconds(&self) -> f64 {
        Duration::from_micros(self.0.load(Ordering::Relaxed)).as_secs_f64()
    }
}
