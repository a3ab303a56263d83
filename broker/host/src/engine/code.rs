//! Memory mappings of compiled code, shared out between the owners of definitions.
//!
//! Linux lets a process have some number of memory mappings: `vm.max_map_count`, 65,530 by default.
//! Each compiled program takes up to [`MAPPINGS_PER_PROGRAM`] of them. A process without a free
//! mapping gets no memory for anything large, and a failed allocation ends it. So the engine gives
//! code only what the pool and a reserve for the broker leave.
//!
//! Not here: mappings of instances, which the pool reserves (`pool`).

use super::EngineOptions;
use crate::{
    LoadError,
    limits::{CODE_MAPPINGS_MIN, MAPPINGS_PER_PROGRAM},
    memory::shares,
};
use lotmq_shares::{AccountShares, HeldShare, NoShare};
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

/// Part of the mappings of code by which replacements may exceed them, one in so many: the former
/// version gives its own back.
const REPLACED_BEYOND_PART: u64 = 16;

/// Account for which compiled code counts, and what it is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeAccount {
    /// Number of who pays for it, see [`payer`](lotmq_shares::payer); 0 for nobody.
    pub payer: u64,
    /// Bound that it is held to.
    pub bound: CodeBound,
}

/// Bound on the compiled code of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeBound {
    /// Three quarters of what all others leave.
    Share,
    /// The sum alone: of administrators, and of what was there before a restart.
    Sum,
    /// The sum and a little more: of a program that takes the place of another one of the same
    /// owner.
    Replacement,
    /// None: of the broker's own parts.
    None,
}

impl CodeAccount {
    /// Account of the broker's own parts.
    pub const BROKER: CodeAccount = CodeAccount { payer: 0, bound: CodeBound::None };
}

/// Mappings that the code of one program has; dropping it gives them back.
pub(crate) type CodeShare = Arc<HeldShare>;

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

/// Takes mappings for one program.
///
/// # Errors
/// [`LoadError::NoCodeMappings`].
pub(super) fn take(all: &Arc<AccountShares>, account: CodeAccount) -> Result<CodeShare, LoadError> {
    let CodeAccount { payer, bound } = account;
    let held = match bound {
        CodeBound::Share => all.hold(payer, MAPPINGS_PER_PROGRAM),
        CodeBound::Sum => all.hold_of_all(payer, MAPPINGS_PER_PROGRAM),
        CodeBound::Replacement => {
            let beyond = all.max() / REPLACED_BEYOND_PART + MAPPINGS_PER_PROGRAM;
            if all.used() <= all.max().saturating_add(beyond) {
                Ok(all.hold_anyway(payer, MAPPINGS_PER_PROGRAM))
            } else {
                all.hold_of_all(payer, MAPPINGS_PER_PROGRAM)
            }
        }
        CodeBound::None => Ok(all.hold_anyway(payer, MAPPINGS_PER_PROGRAM)),
    };
    let refused = |no_share| {
        let (max, is_of_owner) = match no_share {
            NoShare::Owner { max } => (max, true),
            NoShare::All { max } => (max, false),
        };
        let used = if is_of_owner { all.used_by(&payer) } else { all.used() };
        LoadError::NoCodeMappings { used, max, is_of_owner }
    };
    held.map(Arc::new).map_err(refused)
}

/// The sum of which the code of all programs has shares, where the pool takes `pool` of the
/// mappings of the process.
pub(super) fn sum(options: &EngineOptions, pool: u64) -> Arc<AccountShares> {
    let derived = || of_code(options.mappings.unwrap_or_else(of_process), pool).max(CODE_MAPPINGS_MIN);
    shares(options.code_mappings_max.unwrap_or_else(derived))
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

    #[test]
    fn one_owner_has_a_part_and_others_go_on() {
        const PROGRAMS: u64 = 16;
        let all = shares(PROGRAMS * MAPPINGS_PER_PROGRAM);
        let code = |payer, bound| take(&all, CodeAccount { payer, bound });
        let mut kept: Vec<_> = (0..12).map(|_| code(1, CodeBound::Share).unwrap()).collect();
        let refused = LoadError::NoCodeMappings { used: 36, max: 36, is_of_owner: true };
        assert_eq!(code(1, CodeBound::Share).unwrap_err(), refused);
        kept.push(code(1, CodeBound::Replacement).unwrap());
        kept.push(code(2, CodeBound::Share).unwrap());
        kept.extend((0..2).map(|_| code(3, CodeBound::Sum).unwrap()));
        let refused = LoadError::NoCodeMappings { used: 48, max: 48, is_of_owner: false };
        assert_eq!(code(3, CodeBound::Sum).unwrap_err(), refused);
        kept.push(code(2, CodeBound::Replacement).unwrap());
        kept.push(take(&all, CodeAccount::BROKER).unwrap());
        kept.push(code(2, CodeBound::Replacement).unwrap());
        assert!(code(2, CodeBound::Replacement).is_err(), "that many are replaced at once by nobody");
        kept.clear();
        assert_eq!(all.used(), 0);
    }
}
