//! Charge for a large message that clients wait for, among the bytes of all that wait.
//!
//! However many outputs share the memory of a message, it counts once: from when the first of them
//! keeps it until the last has written it. Not here: the own bytes of an output, which its
//! connection counts (`tenant::link`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::limits::unfinished::Unfinished;

/// Bytes of a large message, or of a part of one, that outputs share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) bytes: Bytes,
    charge: Arc<Charge>,
}

#[derive(Debug)]
struct Charge {
    all: Arc<Unfinished>,
    bytes: usize,
    is_noted: AtomicBool,
}

impl Shared {
    /// Bytes that nobody waits for yet. `all`: those that wait for all clients.
    pub(crate) fn new(bytes: Bytes, all: &Arc<Unfinished>) -> Self {
        let charge = Charge { all: Arc::clone(all), bytes: bytes.len(), is_noted: AtomicBool::new(false) };
        Self { bytes, charge: Arc::new(charge) }
    }

    /// A part of them, which keeps the memory of all.
    pub(crate) fn part(&self, from: usize, to: usize) -> Self {
        Self { bytes: self.bytes.slice(from..to), charge: Arc::clone(&self.charge) }
    }

    /// Notes that an output keeps them.
    pub(crate) fn keep(&self) {
        if !self.charge.is_noted.swap(true, Ordering::Relaxed) {
            self.charge.all.add(self.charge.bytes as u64);
        }
    }

    /// Whether an output keeps them, so that another one that does needs no more memory.
    pub(crate) fn is_kept(&self) -> bool {
        self.charge.is_noted.load(Ordering::Relaxed)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if *self.is_noted.get_mut() {
            self.all.remove(self.bytes as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_once_while_anybody_keeps_it() {
        let all = Arc::new(Unfinished::default());
        let message = Shared::new(Bytes::from(vec![7; 1_000]), &all);
        let parts = [message.part(0, 10), message.part(500, 1_000)];
        assert!(!message.is_kept());
        assert_eq!(all.bytes(), 0, "nobody waits for it");
        parts.iter().for_each(Shared::keep);
        assert!(message.is_kept());
        assert_eq!(all.bytes(), 1_000);
        let [first, second] = parts;
        drop((message, second));
        assert_eq!(all.bytes(), 1_000, "a part of it keeps it all");
        drop(first);
        assert_eq!(all.bytes(), 0);
        drop(Shared::new(Bytes::from_static(b"kept by nobody"), &all));
        assert_eq!(all.bytes(), 0);
    }
}
