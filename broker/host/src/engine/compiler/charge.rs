//! Memory of compile workers, charged to the owner of the compiled definition.
//!
//! Workers share the sum of the memory of instances, so that an owner who fills it with guests does
//! not get another part of it for a compiler. The first [`WORKER_MEMORY_FREE`] bytes are free.
//! Invariant: the charge is given back when the worker has ended.

use std::sync::Arc;

use lotmq_shares::{AccountShares, HeldShare, NoShare};

use crate::LoadError;
use crate::limits::WORKER_MEMORY_FREE;

/// Account of the memory of compile workers: they share the sum of the instances of all owners.
#[derive(Clone, Debug)]
pub struct WorkerMemory(Arc<AccountShares>);

/// Memory of one compile worker that an account is charged for; dropping it gives it back.
#[derive(Debug)]
pub struct WorkerCharge {
    held: HeldShare,
    is_bounded: bool,
}

impl WorkerMemory {
    pub(crate) fn new(all: &Arc<AccountShares>) -> Self {
        Self(Arc::clone(all))
    }

    /// Begins to charge an account, with nothing. It is held to its share if it `is_bounded`.
    pub fn charge(&self, account: u64, is_bounded: bool) -> WorkerCharge {
        WorkerCharge { held: self.0.hold_nothing(account), is_bounded }
    }
}

impl WorkerCharge {
    /// Charges the current memory of a worker, beyond [`WORKER_MEMORY_FREE`] bytes.
    ///
    /// # Errors
    /// [`LoadError::CompileQuota`] when the account may not have as much.
    pub fn set(&mut self, worker_bytes: u64) -> Result<(), LoadError> {
        let (bytes, held) = (worker_bytes.saturating_sub(WORKER_MEMORY_FREE), self.held.amount());
        if bytes <= held {
            self.held.shrink(held - bytes);
        } else if self.is_bounded {
            self.held.grow(bytes - held).map_err(|refused| {
                let is_of_owner = matches!(refused, NoShare::Owner { .. });
                LoadError::CompileQuota { mebibytes: worker_bytes >> 20, is_of_owner }
            })?;
        } else {
            self.held.grow_anyway(bytes - held);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::shares;

    const MIB: u64 = 1 << 20;

    #[test]
    fn worker_beyond_its_free_part_counts_for_its_owner_until_it_ends() {
        let all = shares(400 * MIB);
        let memory = WorkerMemory::new(&all);
        let mut charge = memory.charge(1, true);
        charge.set(WORKER_MEMORY_FREE).unwrap();
        assert_eq!(all.used(), 0);
        charge.set(WORKER_MEMORY_FREE + 300 * MIB).unwrap();
        assert_eq!(all.used_by(&1), 300 * MIB);
        let refused = charge.set(WORKER_MEMORY_FREE + 301 * MIB).unwrap_err();
        assert_eq!(refused, LoadError::CompileQuota { mebibytes: 813, is_of_owner: true });
        assert_eq!(refused.code(), "QUOTA_EXCEEDED");
        charge.set(WORKER_MEMORY_FREE + 100 * MIB).unwrap();
        assert_eq!(all.used_by(&1), 100 * MIB, "memory that the worker gives back is free again");

        let mut of_administrator = memory.charge(2, false);
        of_administrator.set(WORKER_MEMORY_FREE + 500 * MIB).unwrap();
        let refused = memory.charge(3, true).set(WORKER_MEMORY_FREE + MIB).unwrap_err();
        assert_eq!(refused, LoadError::CompileQuota { mebibytes: 513, is_of_owner: false });
        drop((charge, of_administrator));
        assert_eq!(all.used(), 0);
    }
}
