//! Usage of a resource by key ([`Usage`]), and by tenant and owner ([`OwnerUsage`]).

use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::OwnerKey;

/// Usage of a resource: the total, and the amount of each key.
///
/// It bounds nothing: it is for code that has a lock or a bound of its own.
/// [`AccountShares`](crate::AccountShares) is a usage with both. An amount may be any number, or a
/// struct of several. Invariant: a key without an amount has no entry.
#[derive(Debug)]
pub struct Usage<K, A = u64> {
    all: A,
    by_key: HashMap<K, A>,
}

impl<K, A: Default> Default for Usage<K, A> {
    fn default() -> Self {
        Self { all: A::default(), by_key: HashMap::new() }
    }
}

impl<K: Eq + Hash, A: Copy + Default + PartialEq> Usage<K, A> {
    /// Returns the total.
    pub fn all(&self) -> A {
        self.all
    }

    /// Returns the amount of a key.
    pub fn of(&self, key: &K) -> A {
        self.by_key.get(key).copied().unwrap_or_default()
    }

    /// Changes the amount of a key, and the total in the same way.
    pub fn change(&mut self, key: K, change: impl Fn(&mut A)) {
        change(&mut self.all);
        match self.by_key.entry(key) {
            Entry::Occupied(mut own) => {
                change(own.get_mut());
                if *own.get() == A::default() {
                    own.remove();
                }
            }
            Entry::Vacant(none) => {
                let mut own = A::default();
                change(&mut own);
                if own != A::default() {
                    none.insert(own);
                }
            }
        }
    }

    /// Whether no key has an amount.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// Values of the three levels of a resource: of an owner, of the tenant, and of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLevels<A> {
    /// Value of the owner.
    pub owner: A,
    /// Value of the owner's tenant.
    pub tenant: A,
    /// Value of all tenants together.
    pub all: A,
}

/// Usage of a resource in three levels: in all, by tenant, and by owner within a tenant.
#[derive(Debug)]
pub struct OwnerUsage<A = u64> {
    tenants: Usage<u32, A>,
    owners: Usage<OwnerKey, A>,
}

impl<A: Default> Default for OwnerUsage<A> {
    fn default() -> Self {
        Self { tenants: Usage::default(), owners: Usage::default() }
    }
}

impl<A: Copy + Default + PartialEq> OwnerUsage<A> {
    /// Returns the total.
    pub fn all(&self) -> A {
        self.tenants.all()
    }

    /// Returns the amounts of an owner, of its tenant, and of all.
    pub fn of(&self, owner: OwnerKey) -> QuotaLevels<A> {
        QuotaLevels { owner: self.owners.of(&owner), tenant: self.tenants.of(&owner.tenant), all: self.all() }
    }

    /// Changes the amount of an owner, and those of its tenant and of all in the same way.
    pub fn change(&mut self, owner: OwnerKey, change: impl Fn(&mut A)) {
        self.tenants.change(owner.tenant, &change);
        self.owners.change(owner, change);
    }

    /// Whether no owner has an amount.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_is_the_sum_and_a_key_without_an_amount_has_no_entry() {
        let mut usage = Usage::<&str>::default();
        usage.change("a", |amount| *amount += 0);
        assert!(usage.is_empty());
        usage.change("a", |amount| *amount += 3);
        usage.change("b", |amount| *amount += 4);
        assert_eq!((usage.all(), usage.of(&"a"), usage.of(&"b"), usage.of(&"c")), (7, 3, 4, 0));
        usage.change("a", |amount| *amount -= 3);
        usage.change("b", |amount| *amount -= 1);
        assert_eq!((usage.all(), usage.of(&"a"), usage.by_key.len()), (3, 0, 1));
    }
}
