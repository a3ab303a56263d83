//! Shares of guests in memory, pool places, fiber stacks and sockets. Memory is bounded for one
//! instance, for all instances of one owner, and for all together.
//!
//! One owner may use at most [`OWNER_PART`] of the rest that all others leave. So no owner, and no
//! group of owners, can keep the others out: each further owner gets less. Dropping an instance
//! gives its share back.
//!
//! The engine asks before each growth, the first one at instantiation included.

use crate::limits::{MEMORIES_MAX, OWNER_PART, RULE_INSTANCES_PART, TABLE_ELEMENTS_MAX, TABLES_MAX};
use lotmq_shares::{AccountShares, HeldShare, NoShare, quota_key};
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// Most places of one instance in the pool: itself, memories and tables of its component.
const PLACES_MAX: usize = 1 + MEMORIES_MAX as usize + TABLES_MAX as usize;

/// Account for the memory of rules, which has no bound in sum.
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
    /// Those of its owner have used up the rest that all others leave.
    Owner { max: u64 },
    /// All guests together have used up their bound.
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

/// Places of a pool: how many instances, memories and tables there may be at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolPlaces {
    pub(crate) instances: u32,
    pub(crate) memories: u32,
    pub(crate) tables: u32,
}

/// Sums that all instances of an engine share.
#[derive(Clone, Debug)]
pub(crate) struct GuestSums {
    /// Linear memory, in bytes.
    pub(crate) bytes: Arc<AccountShares>,
    instances: Arc<AccountShares>,
    memories: Arc<AccountShares>,
    tables: Arc<AccountShares>,
    /// Whether they are held to the bytes alone: those of rules.
    is_of_rules: bool,
}

impl GuestSums {
    /// Sums of instances in a pool, with this much linear memory. Some of the pool is left to
    /// rules.
    pub(crate) fn new(bytes_max: u64, places: PoolPlaces) -> Self {
        let part = |count: u32| shares((count - count / RULE_INSTANCES_PART).into());
        GuestSums {
            bytes: shares(bytes_max),
            instances: part(places.instances),
            memories: part(places.memories),
            tables: part(places.tables),
            is_of_rules: false,
        }
    }

    /// Sums of the instances of rules in the same pool: they may have all that is left of it, and
    /// any memory.
    pub(crate) fn of_rules(&self) -> Self {
        GuestSums { bytes: shares(u64::MAX), is_of_rules: true, ..self.clone() }
    }

    /// How often there was no instance, memory or table left for an instance.
    pub(crate) fn instances_refused(&self) -> u64 {
        self.instances.refused() + self.memories.refused() + self.tables.refused()
    }

    /// Whether nobody gets another instance, because all places of one sort are taken.
    pub(crate) fn is_full(&self) -> bool {
        // An instance has several memories and tables.
        let is_taken = |all: &AccountShares, each: u32| all.used() + u64::from(each) > all.max();
        is_taken(&self.instances, 1)
            || is_taken(&self.memories, MEMORIES_MAX)
            || is_taken(&self.tables, TABLES_MAX)
    }

    /// Takes a place in the pool.
    fn take(
        &self,
        account: u64,
        (all, what): (&Arc<AccountShares>, &'static str),
    ) -> Result<HeldShare, NoPoolPlace> {
        if self.is_of_rules {
            return Ok(all.hold_anyway(account, 1));
        }
        all.hold(account, 1).map_err(|reason| NoPoolPlace { what, reason })
    }
}

/// Error: the pool has no place for an instance of this owner.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no instance is free: {}", explained(*reason, what))]
pub(crate) struct NoPoolPlace {
    what: &'static str,
    reason: NoShare,
}

fn explained(reason: NoShare, what: &str) -> String {
    match reason {
        NoShare::Owner { max } => {
            format!("the guests of its owner have {max} {what}, their part of what all have")
        }
        NoShare::All { max } => format!("all guests together have {max} {what}"),
    }
}

/// Bounds memory and tables of one store, and counts its places in the pool.
pub(crate) struct Memory {
    bytes: HeldShare,
    max: usize,
    all: GuestSums,
    places: Vec<HeldShare>,
    refused: Option<Refusal>,
}

impl Memory {
    /// For an instance that acts for this account: it counts for who pays for that.
    ///
    /// # Errors
    /// When the pool has no place for it.
    pub(crate) fn new(bytes_max: usize, account: u64, all: &GuestSums) -> Result<Self, NoPoolPlace> {
        let account = quota_key(account);
        let place = all.take(account, (&all.instances, "instances"))?;
        let (bytes, places) = (all.bytes.hold_nothing(account), vec![place]);
        Ok(Memory { bytes, max: bytes_max, all: all.clone(), places, refused: None })
    }

    /// Payer of the account for which it acts: key of all of its shares.
    pub(crate) fn account(&self) -> u64 {
        self.bytes.account()
    }

    /// A run begins.
    pub(crate) fn begin(&mut self) {
        self.refused = None;
    }

    /// Whether more was asked for than there may be.
    pub(crate) fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// Takes a place for a memory or table that is made. One that is empty may ask again as it
    /// grows, and has another one then: the bound of a component holds.
    fn take_place(
        &mut self,
        of: fn(&GuestSums) -> (&Arc<AccountShares>, &'static str),
    ) -> wasmtime::Result<()> {
        if self.places.len() < PLACES_MAX {
            let place = self.all.take(self.account(), of(&self.all))?;
            self.places.push(place);
        }
        Ok(())
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if current == 0 {
            self.take_place(|all| (&all.memories, "memories"))?;
        }
        let more = desired.saturating_sub(current) as u64;
        self.refused = if self.bytes.amount().saturating_add(more) > self.max as u64 {
            Some(Refusal::Own)
        } else if let Err(reason) = self.bytes.grow(more) {
            Some(reason.into())
        } else {
            return Ok(true);
        };
        Ok(false)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused.get_or_insert(Refusal::Own);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if current == 0 {
            self.take_place(|all| (&all.tables, "tables"))?;
        }
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums with so many bytes, in a pool with a thousand places for each of a few owners.
    fn sums(bytes_max: u64) -> GuestSums {
        GuestSums::new(bytes_max, places(100_000))
    }

    fn places(instances: u32) -> PoolPlaces {
        PoolPlaces { instances, memories: instances / 2 * 3, tables: instances * 2 }
    }

    #[test]
    fn memory_is_bounded_for_one_and_for_all_and_given_back() {
        let all = sums(100);
        let mut one = Memory::new(60, 1, &all).unwrap();
        let mut other = Memory::new(60, 2, &all).unwrap();
        assert!(one.memory_growing(0, 60, None).unwrap());
        assert!(!one.memory_growing(60, 61, None).unwrap());
        assert_eq!((one.refused(), all.bytes.used(), all.bytes.refused()), (Some(Refusal::Own), 60, 0));
        assert!(other.memory_growing(0, 30, None).unwrap());
        assert!(!other.memory_growing(30, 41, None).unwrap());
        assert_eq!((other.refused(), all.bytes.refused()), (Some(Refusal::All { max: 100 }), 1));
        drop(one);
        other.begin();
        assert!(other.memory_growing(30, 60, None).unwrap());
        assert_eq!((other.refused(), all.bytes.used()), (None, 60));
        drop(other);
        assert_eq!(all.bytes.used(), 0);
    }

    /// However many instances the guests of some owners have, those of the next one find room.
    #[test]
    fn nobodys_guests_have_all_of_the_memory() {
        let all = sums(100 << 10);
        let mut kept = Vec::new();
        let mut filled = Vec::new();
        for account in 1..=3 {
            let before = all.bytes.used();
            loop {
                let mut memory = Memory::new(1 << 20, account, &all).unwrap();
                if !memory.memory_growing(0, 256, None).unwrap() {
                    assert!(matches!(memory.refused(), Some(Refusal::Owner { .. })));
                    break;
                }
                kept.push(memory);
            }
            filled.push((all.bytes.used() - before) >> 10);
        }
        assert_eq!(filled, [75, 18, 4]);
        let mut next = Memory::new(1 << 20, 0, &all).unwrap();
        assert!(next.memory_growing(0, 1 << 10, None).unwrap());
        kept.clear();
        drop(next);
        let mut again = Memory::new(1 << 20, 1, &all).unwrap();
        assert!(again.memory_growing(0, 75 << 10, None).unwrap(), "it was given back");
    }
    #[test]
    fn nobodys_routes_have_all_of_the_stacks() {
        let stacks = shares(8);
        let mut kept: Vec<_> = (0..6).map(|_| stacks.hold(1, 1).unwrap()).collect();
        assert_eq!(stacks.hold(1, 1).err(), Some(NoShare::Owner { max: 6 }));
        kept.push(stacks.hold(2, 1).unwrap());
        kept.clear();
        assert_eq!(stacks.used(), 0);
    }

    /// Of a pool of 16, one is kept for rules.
    #[test]
    fn nobodys_guests_have_all_places_of_the_pool() {
        let all = GuestSums::new(u64::MAX, places(16));
        let new = |account| Memory::new(1 << 20, account, &all);
        let mut kept: Vec<_> = (0..11).map(|_| new(1).unwrap()).collect();
        let refused = new(1).err().unwrap().to_string();
        assert_eq!(
            refused,
            "no instance is free: the guests of its owner have 11 instances, their part of what all have"
        );
        kept.extend((0..3).map(|_| new(2).unwrap()));
        assert!(new(2).is_err());
        kept.truncate(10);
        let (mut tables, mut count) = (new(1).unwrap(), 0);
        while tables.table_growing(0, 1, None).is_ok() && count < TABLES_MAX {
            count += 1;
        }
        assert_eq!(count, 16, "an instance has as many as a component may have");
        let mut second = new(3).unwrap();
        let refused = (0..16).find_map(|_| second.table_growing(0, 1, None).err()).unwrap().to_string();
        assert!(refused.contains("tables, their part"), "{refused}");
        let rules: Vec<_> = (0..20).map(|_| Memory::new(1, OF_RULES, &all.of_rules()).unwrap()).collect();
        assert_eq!(all.instances.used(), 32);
        drop((kept, rules, tables, second));
        assert_eq!((all.instances.used(), all.tables.used()), (0, 0));
    }
}
