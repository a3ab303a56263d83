//! Compiled code: memory mappings and memory, shared out between the owners of definitions.
//!
//! Linux lets a process have some number of memory mappings: `vm.max_map_count`, 65,530 by default.
//! Each compiled program takes up to [`MAPPINGS_PER_PROGRAM`] of them. A process without a free
//! mapping gets no memory for anything large, and a failed allocation ends it. So the engine gives
//! code only what the pool and a reserve for the broker leave.
//!
//! Native code is up to fourteen times as large as its WebAssembly, and stays in memory while its
//! definition exists. Its bytes have a sum of their own.
//!
//! Not here: mappings of instances, which the pool reserves (`pool`), and equal code (`loaded`).

use super::EngineOptions;
use crate::{
    LoadError,
    limits::{CODE_MAPPINGS_MIN, MAPPINGS_PER_PROGRAM},
    memory::shares,
};
use lotmq_shares::{AccountShares, Beyond, HeldShare, NoShare};
use std::{fs, sync::Arc};

/// File in which Linux says how many memory mappings a process may have.
const MAX_MAP_COUNT: &str = "/proc/sys/vm/max_map_count";

/// Memory mappings of a process where the system does not say: the default of Linux.
const MAPPINGS_ASSUMED: u64 = 65_530;

/// Part of the mappings of the process that stays free for threads, heaps and large messages, one
/// in so many.
const RESERVE_PART: u64 = 8;

/// Most mappings that stay free.
const RESERVE_MAX: u64 = 65_536;

/// Part of a sum of code by which replacements may exceed it, one in so many: the former version
/// gives its own back.
const REPLACED_BEYOND_PART: u64 = 16;

/// Bound of the sum alone.
const OF_SUM: Beyond = Beyond { sum: 0, share: u64::MAX };

/// Account for which compiled code counts, and its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeAccount {
    /// Number of who pays for it, see [`quota_key`](lotmq_shares::quota_key); 0 for nobody.
    pub quota_key: u64,
    /// Bound that it is held to.
    pub bound: CodeBound,
}

/// Bound on the compiled code of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeBound {
    /// Three quarters of what all others leave.
    Share,
    /// The sum alone: for administrators, and for code that was there before a restart.
    Sum,
    /// That of a program, and a sixteenth of the sum more: it takes the place of another one of the
    /// same owner.
    Replacement {
        /// Whether the memory of the code is held to the share of its owner.
        has_share: bool,
    },
    /// None: of the broker's own parts.
    None,
}

impl CodeAccount {
    /// Account of the broker's own parts.
    pub const BROKER: CodeAccount = CodeAccount { quota_key: 0, bound: CodeBound::None };
}

/// Use of a sum of compiled code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeUse {
    /// Amount that is taken.
    pub used: u64,
    /// Amount that there may be.
    pub max: u64,
    /// How often more was asked for.
    pub refused: u64,
}

/// Sums of which the code of all programs has shares.
pub(super) struct CodeSums {
    pub(super) mappings: Arc<AccountShares>,
    pub(super) bytes: Arc<AccountShares>,
}

/// Mappings and memory that an owner has for one piece of code; dropping it gives them back.
#[derive(Debug)]
pub(super) struct HeldCode {
    _mappings: HeldShare,
    _bytes: HeldShare,
}

/// Memory mappings that a process may have.
pub(super) fn of_process() -> u64 {
    let text = fs::read_to_string(MAX_MAP_COUNT).ok();
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(MAPPINGS_ASSUMED)
}

/// Mappings for code, of those of a process whose pool takes `pool` of them.
pub(super) fn of_code(of_process: u64, pool: u64) -> u64 {
    let reserve = (of_process / RESERVE_PART).min(RESERVE_MAX);
    of_process.saturating_sub(pool + reserve)
}

impl CodeSums {
    /// Sums for an engine whose pool takes `pool` of the mappings of the process.
    pub(super) fn new(options: &EngineOptions, pool: u64) -> Self {
        let derived = || of_code(options.mappings.unwrap_or_else(of_process), pool).max(CODE_MAPPINGS_MIN);
        CodeSums {
            mappings: shares(options.code_mappings_max.unwrap_or_else(derived)),
            bytes: shares(options.code_bytes_max),
        }
    }

    /// Whether more than half of a sum is taken, or of what this payer may have of it.
    pub(super) fn are_scarce_for(&self, quota_key: u64) -> bool {
        self.mappings.is_scarce_for(quota_key) || self.bytes.is_scarce_for(quota_key)
    }

    /// Checks that the account may have any more code at all, so that nothing is compiled in vain.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn check(&self, account: CodeAccount) -> Result<(), LoadError> {
        self.take(account, rustix::param::page_size() as u64).map(drop)
    }

    /// Takes mappings and memory for the code of one program.
    ///
    /// # Errors
    /// [`LoadError::NoCodeMappings`], [`LoadError::NoCodeMemory`].
    pub(super) fn take(&self, account: CodeAccount, bytes: u64) -> Result<HeldCode, LoadError> {
        let mappings = take_mappings(&self.mappings, account)?;
        let bytes = take_bytes(&self.bytes, account, bytes)?;
        Ok(HeldCode { _mappings: mappings, _bytes: bytes })
    }
}

fn take_mappings(all: &Arc<AccountShares>, account: CodeAccount) -> Result<HeldShare, LoadError> {
    let CodeAccount { quota_key, bound } = account;
    let held = match bound {
        CodeBound::Share => all.hold(quota_key, MAPPINGS_PER_PROGRAM),
        CodeBound::Sum => all.hold_beyond(quota_key, MAPPINGS_PER_PROGRAM, OF_SUM),
        CodeBound::Replacement { .. } => {
            let beyond = all.max() / REPLACED_BEYOND_PART + MAPPINGS_PER_PROGRAM;
            if all.used() <= all.max().saturating_add(beyond) {
                Ok(all.hold_anyway(quota_key, MAPPINGS_PER_PROGRAM))
            } else {
                all.hold_beyond(quota_key, MAPPINGS_PER_PROGRAM, OF_SUM)
            }
        }
        CodeBound::None => Ok(all.hold_anyway(quota_key, MAPPINGS_PER_PROGRAM)),
    };
    held.map_err(|reason| {
        let (used, max, is_of_owner) = figures(all, quota_key, reason);
        LoadError::NoCodeMappings { used, max, is_of_owner }
    })
}

/// Programs differ in size. So a replacement is held to a bound, too: it may be the largest there
/// is.
fn take_bytes(all: &Arc<AccountShares>, account: CodeAccount, bytes: u64) -> Result<HeldShare, LoadError> {
    let CodeAccount { quota_key, bound } = account;
    let beyond = all.max() / REPLACED_BEYOND_PART;
    let held = match bound {
        CodeBound::Share => all.hold(quota_key, bytes),
        CodeBound::Sum => all.hold_beyond(quota_key, bytes, OF_SUM),
        CodeBound::Replacement { has_share: true } => {
            all.hold_beyond(quota_key, bytes, Beyond { sum: beyond, share: beyond })
        }
        CodeBound::Replacement { has_share: false } => {
            all.hold_beyond(quota_key, bytes, Beyond { sum: beyond, ..OF_SUM })
        }
        CodeBound::None => Ok(all.hold_anyway(quota_key, bytes)),
    };
    held.map_err(|reason| {
        let (used, max, is_of_owner) = figures(all, quota_key, reason);
        LoadError::NoCodeMemory { needed: bytes, used, max, is_of_owner }
    })
}

/// Amount that is taken, amount that there may be, and whether these are the owner's.
fn figures(all: &AccountShares, quota_key: u64, reason: NoShare) -> (u64, u64, bool) {
    match reason {
        NoShare::Owner { max } => (all.used_by(&quota_key), max, true),
        NoShare::All { max } => (all.used(), max, false),
    }
}

/// The use of a sum.
pub(super) fn use_of(all: &AccountShares) -> CodeUse {
    CodeUse { used: all.used(), max: all.max(), refused: all.refused() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_what_pool_and_reserve_leave() {
        for (of_process, pool, expected) in [
            (65_530, 28_110, 65_530 - 28_110 - 8_191),
            (1_048_576, 32_016, 1_048_576 - 32_016 - 65_536),
            (1_000, 900, 0),
        ] {
            assert_eq!(of_code(of_process, pool), expected, "{of_process}");
        }
        assert!(of_process() > 0);
    }

    const REPLACEMENT: CodeBound = CodeBound::Replacement { has_share: true };

    #[test]
    fn one_owner_has_a_part_and_others_go_on() {
        const PROGRAMS: u64 = 16;
        let all = shares(PROGRAMS * MAPPINGS_PER_PROGRAM);
        let code = |quota_key, bound| take_mappings(&all, CodeAccount { quota_key, bound });
        let mut kept: Vec<_> = (0..12).map(|_| code(1, CodeBound::Share).unwrap()).collect();
        let refused = LoadError::NoCodeMappings { used: 36, max: 36, is_of_owner: true };
        assert_eq!(code(1, CodeBound::Share).unwrap_err(), refused);
        kept.push(code(1, REPLACEMENT).unwrap());
        kept.push(code(2, CodeBound::Share).unwrap());
        kept.extend((0..2).map(|_| code(3, CodeBound::Sum).unwrap()));
        let refused = LoadError::NoCodeMappings { used: 48, max: 48, is_of_owner: false };
        assert_eq!(code(3, CodeBound::Sum).unwrap_err(), refused);
        kept.push(code(2, REPLACEMENT).unwrap());
        kept.push(take_mappings(&all, CodeAccount::BROKER).unwrap());
        kept.push(code(2, REPLACEMENT).unwrap());
        assert!(code(2, REPLACEMENT).is_err(), "that many are replaced at once by nobody");
        kept.clear();
        assert_eq!(all.used(), 0);
    }

    #[test]
    fn memory_of_a_replacement_is_bounded_as_well() {
        const KEPT_BY_OTHER: u64 = 60;
        let all = shares(160);
        let code = |quota_key, bound, bytes| take_bytes(&all, CodeAccount { quota_key, bound }, bytes);
        let other = code(2, CodeBound::Sum, KEPT_BY_OTHER).unwrap();
        let own = code(1, CodeBound::Share, 75).unwrap();
        for (bound, bytes, used, max, is_of_owner) in [
            (CodeBound::Share, 1, 75, 75, true),
            (REPLACEMENT, 11, 75, 85, true),
            (CodeBound::Sum, 26, 135, 160, false),
            (CodeBound::Replacement { has_share: false }, 36, 135, 170, false),
        ] {
            let refused = LoadError::NoCodeMemory { needed: bytes, used, max, is_of_owner };
            assert_eq!(code(1, bound, bytes).unwrap_err(), refused, "{bound:?}");
        }
        drop(code(1, REPLACEMENT, 10).unwrap());
        drop(code(1, CodeBound::Sum, 25).unwrap());
        drop(code(1, CodeBound::Replacement { has_share: false }, 35).unwrap());
        drop(code(1, CodeBound::None, 1_000).unwrap());
        drop((own, other));
        assert_eq!((all.used(), all.refused()), (0, 4));
    }
}
