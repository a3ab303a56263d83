//! Shares of guests: of memory what one instance may have, all those of one owner, and all of them together; of the stacks for instances on fibers, and of sockets.
//!
//! One owner has at most [`OWNER_PART`] of what all others leave, so that nobody's guests keep those of all others out, nor those of several together:
//! each has less than the one before. What instances were granted is given back when they are dropped.
//!
//! Asked by the engine before each growth, the first one at instantiation included.

use crate::limits::{OWNER_PART, TABLE_ELEMENTS_MAX};
use lotmq_shares::{AccountShares, NoShare, payer};
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// Whose memory that of rules counts as, which is not bounded in sum.
pub(crate) const OF_RULES: u64 = u64::MAX;

/// A sum that all instances of an engine share: of memory, in bytes, or of stacks.
pub(crate) fn shares(max: u64) -> Arc<AccountShares> {
    AccountShares::new(max, OWNER_PART)
}

/// The two sums of sockets of guests.
#[derive(Clone, Debug)]
pub(crate) struct SocketSums {
    /// Connections that they have accepted by listeners of their own.
    pub(crate) accepted: Arc<AccountShares>,
    /// Sockets that they have opened.
    pub(crate) opened: Arc<AccountShares>,
}

/// Why a guest got no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has what one instance may have.
    Own,
    /// Those of its owner have what all others leave to them.
    Owner { max: u64 },
    /// All guests together have what they may have.
    All { max: u64 },
}

impl From<NoShare> for Refusal {
    fn from(reason: NoShare) -> Self {
        match reason {
            NoShare::Owner { max } => Refusal::Owner { max },
            NoShare::All { max } => Refusal::All { max },
        }
    }
}

/// Stack of one instance on a fiber.
pub(crate) struct StackShare {
    account: u64,
    all: Arc<AccountShares>,
}

impl StackShare {
    /// For an instance that acts for this account.
    pub(crate) fn take(account: u64, all: &Arc<AccountShares>) -> Result<Self, Refusal> {
        all.take(account, 1)?;
        Ok(Self { account, all: Arc::clone(all) })
    }
}

impl Drop for StackShare {
    fn drop(&mut self) {
        self.all.give_back(self.account, 1);
    }
}

/// Bounds memory and tables of one store.
pub(crate) struct Memory {
    used: usize,
    max: usize,
    account: u64,
    all: Arc<AccountShares>,
    refused: Option<Refusal>,
}

impl Memory {
    /// For an instance that acts for this account: it counts for who pays for that.
    pub(crate) fn new(bytes_max: usize, account: u64, all: &Arc<AccountShares>) -> Self {
        Memory { used: 0, max: bytes_max, account: payer(account), all: Arc::clone(all), refused: None }
    }

    /// Payer of the account for which it acts: key of all of its shares.
    pub(crate) fn account(&self) -> u64 {
        self.account
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
        } else if let Err(reason) = self.all.take(self.account, more as u64) {
            self.refused = Some(reason.into());
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
        self.all.give_back(self.account, self.used as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_for_one_and_for_all_and_given_back() {
        let all = shares(100);
        let mut one = Memory::new(60, 1, &all);
        let mut other = Memory::new(60, 2, &all);
        assert!(one.memory_growing(0, 60, None).unwrap());
        assert!(!one.memory_growing(60, 61, None).unwrap());
        assert_eq!((one.refused(), all.used(), all.refused()), (Some(Refusal::Own), 60, 0));
        assert!(other.memory_growing(0, 30, None).unwrap());
        assert!(!other.memory_growing(30, 41, None).unwrap());
        assert_eq!((other.refused(), all.refused()), (Some(Refusal::All { max: 100 }), 1));
        drop(one);
        other.begin();
        assert!(other.memory_growing(30, 60, None).unwrap());
        assert_eq!((other.refused(), all.used()), (None, 60));
        drop(other);
        assert_eq!(all.used(), 0);
    }

    /// However many instances the guests of some owners have, those of the next one find room.
    #[test]
    fn nobodys_guests_have_all_of_the_memory() {
        let all = shares(100 << 10);
        let mut kept = Vec::new();
        let mut filled = Vec::new();
        for account in 1..=3 {
            let before = all.used();
            loop {
                let mut memory = Memory::new(1 << 20, account, &all);
                if !memory.memory_growing(0, 256, None).unwrap() {
                    assert!(matches!(memory.refused(), Some(Refusal::Owner { .. })));
                    break;
                }
                kept.push(memory);
            }
            filled.push((all.used() - before) >> 10);
        }
        assert_eq!(filled, [75, 18, 4]);
        let mut next = Memory::new(1 << 20, 0, &all);
        assert!(next.memory_growing(0, 1 << 10, None).unwrap());
        kept.clear();
        drop(next);
        let mut again = Memory::new(1 << 20, 1, &all);
        assert!(again.memory_growing(0, 75 << 10, None).unwrap(), "it was given back");
    }
    #[test]
    fn nobodys_routes_have_all_of_the_stacks() {
        let stacks = shares(8);
        let mut kept: Vec<_> = (0..6).map(|_| StackShare::take(1, &stacks).unwrap()).collect();
        assert_eq!(StackShare::take(1, &stacks).err(), Some(Refusal::Owner { max: 6 }));
        kept.push(StackShare::take(2, &stacks).unwrap());
        kept.clear();
        assert_eq!(stacks.used(), 0);
    }
}
