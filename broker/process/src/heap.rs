//! Heap: unused memory that it keeps is given back to the system when the process has grown by
//! much.
//!
//! Messages are made by the threads of clients and freed by the store's, while a few live on
//! between them; so the heap of each thread has holes, of which the C library gives none back by
//! itself. A flood of large retained messages left 2 GB of them.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::debug;

use super::usage;

/// Period at which the memory of the process is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// Time after a flood at which the heap gives memory back once more.
const PAUSE: Duration = Duration::from_secs(5);

/// Growth of the process, in bytes, that is worth a walk over all heaps.
const GROWTH_BYTES_MIN: u64 = 64 << 20;

/// Watch over the heap.
#[derive(Debug, Default)]
pub struct Heap(Mutex<Looked>);

#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    /// Memory of the process when the heap had given back what it could, in bytes.
    after: u64,
    /// Time at which it gives back once more what was in use the last time.
    again_at: Option<Instant>,
}

impl Heap {
    /// Looks how much memory the process has, if it is time. The heap gives back what it keeps when
    /// that has grown by [`GROWTH_BYTES_MIN`] and by a quarter, and once more some time later, when
    /// what made it grow may be over.
    pub fn look(&self) {
        let mut looked = self.0.lock();
        let now = Instant::now();
        if looked.at.is_some_and(|at| now - at < LOOK_PERIOD) {
            return;
        }
        looked.at = Some(now);
        let bytes = usage::memory().0;
        let has_grown = bytes > looked.after + GROWTH_BYTES_MIN.max(looked.after / 4);
        let is_again = looked.again_at.is_some_and(|at| now >= at);
        if !has_grown && !is_again {
            looked.after = looked.after.min(bytes);
            return;
        }
        lotmq_host::give_memory_back();
        looked.after = usage::memory().0;
        debug!(before = bytes, after = looked.after, took = ?now.elapsed(), "memory given back");
        // Once more for as long as there is something to be had.
        let is_worth_it = has_grown || bytes > looked.after + GROWTH_BYTES_MIN;
        looked.again_at = is_worth_it.then(|| now + PAUSE);
    }
}
