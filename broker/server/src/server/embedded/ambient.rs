//! Clocks and chance of guests in an embedded broker: virtual time, and numbers that are the same
//! each time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use lotmq_core::clock::Clock as _;
use lotmq_host::Ambient;

use super::time::VirtualTime;

/// Seeds of the random numbers of the owner's thread and of the executor's.
const SEEDS: (u64, u64) = (1, 2);

/// Clocks and chance of guests, as the owner lets time pass.
pub(super) struct VirtualAmbient {
    time: VirtualTime,
    owner: ThreadId,
    /// Each thread has numbers of its own: what one of them does beside the other comes in no
    /// order.
    of_owner: AtomicU64,
    of_executor: AtomicU64,
}

impl VirtualAmbient {
    /// Those by this clock; the calling thread is the owner.
    pub(super) fn new(time: VirtualTime) -> Self {
        let (of_owner, of_executor) = (AtomicU64::new(SEEDS.0), AtomicU64::new(SEEDS.1));
        Self { time, owner: thread::current().id(), of_owner, of_executor }
    }
}

impl Ambient for VirtualAmbient {
    fn wall(&self) -> Duration {
        self.time.wall()
    }

    fn monotonic(&self) -> Duration {
        self.time.elapsed()
    }

    /// SplitMix64, after Steele, Lea and Flood.
    fn random(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let is_owner = thread::current().id() == self.owner;
        let state = if is_owner { &self.of_owner } else { &self.of_executor };
        let mut number = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }

    /// Time stands still while somebody sleeps.
    fn sleep(&self, _: Duration) {}

    fn waited(&self, time: Duration) {
        self.time.was_waited_for(time);
    }
}
