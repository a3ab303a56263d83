//! The thread that serves Clients, as its turn and other threads see it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use super::turn_time::LongestTurn;

/// See the module's documentation.
pub(crate) struct Home {
    /// Its place among the others.
    pub(crate) number: u16,
    /// Its connections, with those that are on their way to it.
    pub(crate) connections: AtomicUsize,
    pub(crate) longest_turn: LongestTurn,
    waits_for_commit: AtomicBool,
}

impl Home {
    pub(crate) fn new(number: u16) -> Self {
        Self {
            number,
            connections: AtomicUsize::new(0),
            longest_turn: LongestTurn::default(),
            waits_for_commit: AtomicBool::new(false),
        }
    }

    /// Says whether the thread wants to hear of commits.
    pub(crate) fn wait_for_commit(&self, waits: bool) {
        self.waits_for_commit.store(waits, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// Whether it does; asked behind a commit.
    pub(crate) fn waits_for_commit(&self) -> bool {
        // Pairs with the one in `wait_for_commit`: either the thread sees the commit, or this sees that it waits.
        fence(Ordering::SeqCst);
        self.waits_for_commit.load(Ordering::Acquire)
    }
}
