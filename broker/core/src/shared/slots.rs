//! Slots of living sessions in the tables of threads: small numbers that are used again when a
//! session has ended, so that the tables stay short.

use parking_lot::Mutex;

/// Allocator of slots.
#[derive(Debug, Default)]
pub struct Slots(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u32,
    free: Vec<u32>,
}

impl Slots {
    /// Takes a free slot.
    pub fn take(&self) -> u32 {
        let mut state = self.0.lock();
        if let Some(slot) = state.free.pop() {
            return slot;
        }
        state.next += 1;
        state.next - 1
    }

    /// Frees a slot.
    pub(crate) fn give_back(&self, slot: u32) {
        self.0.lock().free.push(slot);
    }
}
