//! Fair sharing between owners, by two ideas.
//!
//! - **A share of a sum.** [`AccountShares`] is a sum, such as of memory. One account has at most a
//!   part of the rest that all others leave. [`HeldShare`] is the amount of one holder. [`Usage`]
//!   and [`OwnerUsage`] count amounts for code that has a lock or bounds of its own.
//! - **Round robin.** [`FairTurns`] gives turns to keys. [`OwnerTurns`] gives them to tenants, and
//!   to the owners within a tenant.
//!
//! [`OwnerKey`] names an owner in both. A mechanism beside them says in its module why it stays.
//!
//! # Quotas of tenants
//! A tenant's quota is an `AccountShares` of that tenant, whose sum is the quota. To bound all
//! tenants together, it gets a parent: an `AccountShares` whose accounts are tenants. Then each
//! change passes on to the parent, and a refusal of either one changes neither. Code that calls
//! [`hold`](AccountShares::hold), or [grows](HeldShare::grow) a share, stays as it is: a caller
//! gets the sum from its maker, who chooses that of the tenant.

mod quota_key;
mod turns;
mod usage;

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub use quota_key::{OwnerKey, QUOTA_KEY_MASK, external_account, is_external_account, quota_key};
pub use turns::{FairTurns, OwnerTurns, WaitingLine};
pub use usage::{OwnerUsage, QuotaLevels, Usage};

/// A sum that is shared out between accounts. One has at most a part of what all others leave, so
/// that nobody keeps all others out, nor do several together: each has less than the one before.
/// Accounts are told apart by a number or, where that is to hold beyond a restart, by another key.
#[derive(Debug)]
pub struct AccountShares<K = u64> {
    used: Mutex<Usage<K>>,
    max: AtomicU64,
    /// Numerator and denominator of the part of what others leave that one account may have.
    part: (u64, u64),
    refused: AtomicU64,
}

/// Why an account got no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoShare {
    /// It has what all others leave to it.
    Owner {
        /// How much that is.
        max: u64,
    },
    /// All together have what there is.
    All {
        /// How much that is.
        max: u64,
    },
}

/// Amounts by which bounds are greater than usual.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beyond {
    /// Amount for the sum.
    pub sum: u64,
    /// Amount for the part of the account; [`u64::MAX`] holds it to the sum alone.
    pub share: u64,
}

/// Part of a sum that an account holds; it may grow and shrink. Dropping it gives it back.
#[derive(Debug)]
pub struct HeldShare<K: Copy + Eq + Hash = u64> {
    of: Arc<AccountShares<K>>,
    account: K,
    amount: u64,
}

impl<K: Copy + Eq + Hash> HeldShare<K> {
    /// Returns the account that holds the share.
    pub fn account(&self) -> K {
        self.account
    }

    /// Returns the amount that is held.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Returns the sum of which this is a share.
    pub fn sum(&self) -> &Arc<AccountShares<K>> {
        &self.of
    }

    /// Takes more for the account.
    ///
    /// # Errors
    /// [`NoShare`]; the amount is as before.
    pub fn grow(&mut self, more: u64) -> Result<(), NoShare> {
        self.of.take(self.account, more)?;
        self.amount += more;
        Ok(())
    }

    /// Takes more for the account, however much it has already.
    pub fn grow_anyway(&mut self, more: u64) {
        self.of.put_back(self.account, more);
        self.amount += more;
    }

    /// Gives back some of the amount.
    pub fn shrink(&mut self, less: u64) {
        self.of.give_back(self.account, less);
        self.amount -= less;
    }
}

impl<K: Copy + Eq + Hash> Drop for HeldShare<K> {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.of.give_back(self.account, self.amount);
        }
    }
}

impl<K: Copy + Eq + Hash> AccountShares<K> {
    /// Returns a share of nothing yet, which [grows](HeldShare::grow) later.
    pub fn hold_nothing(self: &Arc<Self>, account: K) -> HeldShare<K> {
        HeldShare { of: Arc::clone(self), account, amount: 0 }
    }

    /// Takes more for an account, until what this gives is dropped.
    ///
    /// # Errors
    /// [`NoShare`].
    pub fn hold(self: &Arc<Self>, account: K, amount: u64) -> Result<HeldShare<K>, NoShare> {
        self.hold_beyond(account, amount, Beyond::default())
    }

    /// As [`hold`](Self::hold), within greater bounds.
    ///
    /// # Errors
    /// [`NoShare`].
    pub fn hold_beyond(
        self: &Arc<Self>,
        account: K,
        amount: u64,
        beyond: Beyond,
    ) -> Result<HeldShare<K>, NoShare> {
        self.take_beyond(account, amount, beyond)?;
        Ok(HeldShare { of: Arc::clone(self), account, amount })
    }

    /// As [`hold`](Self::hold), however much the account has already.
    pub fn hold_anyway(self: &Arc<Self>, account: K, amount: u64) -> HeldShare<K> {
        self.put_back(account, amount);
        HeldShare { of: Arc::clone(self), account, amount }
    }
}

/// Returns the quota of one account: a fraction (numerator and denominator) of the part of `max`
/// that the others leave.
pub fn share_of(max: u64, of_others: u64, (numerator, denominator): (u64, u64)) -> u64 {
    let left = max.saturating_sub(of_others);
    left / denominator * numerator + left % denominator * numerator / denominator
}

impl<K: Eq + Hash> AccountShares<K> {
    /// A sum of `max`, of which one account may have `part` (numerator and denominator) of what
    /// others leave.
    pub fn new(max: u64, part: (u64, u64)) -> Arc<Self> {
        let (max, refused) = (AtomicU64::new(max), AtomicU64::new(0));
        Arc::new(AccountShares { used: Mutex::default(), max, part, refused })
    }

    /// Has another sum from now on, which may be less than what is taken: then there is none until
    /// enough is given back.
    pub fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// The sum of which accounts have shares.
    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// Amount that an account has taken.
    pub fn used_by(&self, account: &K) -> u64 {
        self.used.lock().of(account)
    }

    /// Returns the sum of all shares.
    pub fn used(&self) -> u64 {
        self.used.lock().all()
    }

    /// How often more was asked for than there may be.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether more than half is taken of all, or of what this account may have.
    pub fn is_scarce_for(&self, account: K) -> bool {
        let used = self.used.lock();
        let own = used.of(&account);
        used.all() > self.max() / 2 || own > self.part(&used, own) / 2
    }

    /// Whether an account has more than its part, as it may where [`put_back`](Self::put_back) did
    /// not ask. One is never more.
    pub fn is_beyond(&self, account: &K) -> bool {
        let used = self.used.lock();
        let own = used.of(account);
        own > self.part(&used, own).max(1)
    }

    /// Returns the quota of an account that holds `own`.
    fn part(&self, used: &Usage<K>, own: u64) -> u64 {
        share_of(self.max(), used.all() - own, self.part)
    }

    /// Takes more for an account.
    ///
    /// # Errors
    /// [`NoShare`].
    pub fn take(&self, account: K, amount: u64) -> Result<(), NoShare> {
        self.take_beyond(account, amount, Beyond::default())
    }

    fn take_beyond(&self, account: K, amount: u64, beyond: Beyond) -> Result<(), NoShare> {
        let mut used = self.used.lock();
        let own = used.of(&account);
        let own_max = self.part(&used, own).saturating_add(beyond.share);
        let max = self.max().saturating_add(beyond.sum);
        let refusal = if used.all().saturating_add(amount) > max {
            NoShare::All { max }
        } else if own.saturating_add(amount) > own_max {
            NoShare::Owner { max: own_max }
        } else {
            add(&mut used, account, amount);
            return Ok(());
        };
        drop(used);
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(refusal)
    }

    /// Takes for an account what it had before, as after a restart, however much others have taken
    /// meanwhile.
    pub fn put_back(&self, account: K, amount: u64) {
        add(&mut self.used.lock(), account, amount);
    }

    /// Gives back what was taken for an account.
    pub fn give_back(&self, account: K, amount: u64) {
        self.used.lock().change(account, |used| *used -= amount);
    }
}

fn add<K: Eq + Hash>(used: &mut Usage<K>, account: K, amount: u64) {
    used.change(account, |used| *used = used.saturating_add(amount));
}
