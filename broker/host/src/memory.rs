//! Memory of guests: what one instance may have, and all of them together.
//!
//! Asked by the engine before each growth, the first one at instantiation included. What an instance was granted is given back when it is dropped.

use crate::limits::TABLE_ELEMENTS_MAX;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use wasmtime::ResourceLimiter;

/// Memory of all instances of an engine.
#[derive(Debug)]
pub(crate) struct AllMemory {
    used: AtomicU64,
    max: u64,
    refused: AtomicU64,
}

impl AllMemory {
    pub(crate) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(AllMemory { used: AtomicU64::new(0), max: bytes_max, refused: AtomicU64::new(0) })
    }

    /// Bytes that instances have.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How often more was asked for than there may be.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let granted = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.max;
        if !granted {
            self.give_back(bytes);
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        granted
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Why a guest got no more memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has what one instance may have.
    Own,
    /// All guests together have what they may have.
    All { bytes_max: u64 },
}

/// Bounds memory and tables of one store.
pub(crate) struct Memory {
    used: usize,
    max: usize,
    all: Arc<AllMemory>,
    refused: Option<Refusal>,
}

impl Memory {
    pub(crate) fn new(bytes_max: usize, all: &Arc<AllMemory>) -> Self {
        Memory { used: 0, max: bytes_max, all: Arc::clone(all), refused: None }
    }

    /// A run begins.
    pub(crate) fn begin(&mut self) {
        self.refused = None;
    }

    /// Whether more was asked for than there may be.
    pub(crate) fn refused(&self) -> Option<Refusal> {
        self.refused
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let used = self.used.saturating_add(more);
        if used > self.max {
            self.refused = Some(Refusal::Own);
        } else if !self.all.take(more as u64) {
            self.refused = Some(Refusal::All { bytes_max: self.all.max });
        } else {
            self.used = used;
            return Ok(true);
        }
        Ok(false)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused.get_or_insert(Refusal::Own);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.all.give_back(self.used as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_for_one_and_for_all_and_given_back() {
        let all = AllMemory::new(100);
        let mut one = Memory::new(60, &all);
        let mut other = Memory::new(60, &all);
        assert!(one.memory_growing(0, 60, None).unwrap());
        assert!(!one.memory_growing(60, 61, None).unwrap());
        assert_eq!((one.refused(), all.used(), all.refused()), (Some(Refusal::Own), 60, 0));
        assert!(other.memory_growing(0, 40, None).unwrap());
        assert!(!other.memory_growing(40, 41, None).unwrap());
        assert_eq!((other.refused(), all.refused()), (Some(Refusal::All { bytes_max: 100 }), 1));
        drop(one);
        other.begin();
        assert!(other.memory_growing(40, 60, None).unwrap());
        assert_eq!((other.refused(), all.used()), (None, 60));
        drop(other);
        assert_eq!(all.used(), 0);
    }
}
