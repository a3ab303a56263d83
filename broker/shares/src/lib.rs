//! What is shared out between accounts: [`AccountShares`] of a sum, such as of memory, and [`FairTurns`] of those who wait.

mod turns;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub use turns::{FairTurns, WaitingLine};

/// A sum that is shared out between accounts. One has at most a part of what all others leave, so that nobody keeps all others out, nor do several together: each has less
/// than the one before.
#[derive(Debug)]
pub struct AccountShares {
    used: Mutex<Used>,
    max: u64,
    /// Numerator and denominator of the part of what others leave that one account may have.
    part: (u64, u64),
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Used {
    all: u64,
    /// Of whom some is, by account.
    of: HashMap<u64, u64>,
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

impl AccountShares {
    /// A sum of `max`, of which one account may have `part` (numerator and denominator) of what others leave.
    pub fn new(max: u64, part: (u64, u64)) -> Arc<Self> {
        Arc::new(AccountShares { used: Mutex::default(), max, part, refused: AtomicU64::new(0) })
    }

    /// What is taken.
    pub fn used(&self) -> u64 {
        self.used.lock().all
    }

    /// How often more was asked for than there may be.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether more than half is taken of all, or of what this account may have.
    pub fn is_scarce_for(&self, account: u64) -> bool {
        let used = self.used.lock();
        let own = used.of.get(&account).copied().unwrap_or_default();
        used.all > self.max / 2 || own > self.part(&used, own) / 2
    }

    /// What an account may have that has `own`.
    fn part(&self, used: &Used, own: u64) -> u64 {
        let (numerator, denominator) = self.part;
        let left = self.max.saturating_sub(used.all - own);
        left / denominator * numerator + left % denominator * numerator / denominator
    }

    /// Takes more for an account.
    ///
    /// # Errors
    /// [`NoShare`].
    pub fn take(&self, account: u64, amount: u64) -> Result<(), NoShare> {
        let mut used = self.used.lock();
        let own = used.of.get(&account).copied().unwrap_or_default();
        let own_max = self.part(&used, own);
        let refusal = if used.all.saturating_add(amount) > self.max {
            NoShare::All { max: self.max }
        } else if own + amount > own_max {
            NoShare::Owner { max: own_max }
        } else {
            used.all += amount;
            used.of.insert(account, own + amount);
            return Ok(());
        };
        drop(used);
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(refusal)
    }

    /// Gives back what was taken for an account.
    pub fn give_back(&self, account: u64, amount: u64) {
        let mut used = self.used.lock();
        used.all -= amount;
        let own = used.of.get(&account).map_or(0, |own| own - amount);
        if own > 0 {
            used.of.insert(account, own);
        } else {
            used.of.remove(&account);
        }
    }
}
