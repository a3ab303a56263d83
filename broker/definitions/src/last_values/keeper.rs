//! Owner of a kept value, and the shares of owners in the sums of kept values.
//!
//! There is one sum for values that programs keep, and another one for the last errors of
//! definitions. So neither takes the room of the other. A user has at most [`KEEP_PART`] of the
//! rest that others leave in each sum. Shares are counted in steps of [`KEEP_STEP_BYTES`], so a
//! value that changes by some digits needs no check.
//!
//! Invariant: the share of a user is the size of the user's kept values, in steps.

use std::fmt;
use std::sync::Arc;

use lotmq_shares::{AccountShares, NoShare};

use super::CacheLimits;
use crate::definition::{Definition, Owner};
use crate::limits::{KEEP_PART, KEEP_STEP_BYTES, KEPT_ERROR_BYTES_MAX, KEPT_ERRORS_MAX};

/// Sum that a kept value counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptSum {
    /// Values that programs keep: `KEEP TOPIC`, states, windows.
    Values,
    /// Last errors of definitions, which the broker keeps.
    Errors,
}

/// User whose share a kept value counts in, and the sum that it is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueKeeper<'a> {
    /// The sum.
    pub sum: KeptSum,
    /// The user; `None` where nobody is known.
    pub user: Option<&'a Owner>,
}

impl<'a> ValueKeeper<'a> {
    /// Nobody, of what programs keep.
    pub const NOBODY: ValueKeeper<'static> = ValueKeeper { sum: KeptSum::Values, user: None };

    /// Owner of a definition that keeps something.
    pub fn of(definition: &'a Definition) -> Self {
        ValueKeeper { sum: KeptSum::Values, user: definition.owner() }
    }

    /// Key of the share; 0 without an owner.
    pub(super) fn payer(&self) -> u64 {
        self.user.map_or(0, Owner::payer)
    }

    /// Owner of a definition whose last error is kept.
    pub fn of_error(definition: &'a Definition) -> Self {
        ValueKeeper { sum: KeptSum::Errors, ..ValueKeeper::of(definition) }
    }
}

/// A kept value, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptValue<'a> {
    /// Its bytes.
    pub payload: &'a [u8],
    /// User whose share it counts in.
    pub keeper: ValueKeeper<'a>,
}

/// A `KEEP` beyond the tenant's bounds; the value before stays. A limit, not the guest's fault
/// alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepRefused {
    /// User whose share it was to count in.
    pub user: Option<Owner>,
    /// Unit that is used up: `topics` or `bytes`.
    pub unit: &'static str,
    /// The exceeded bound, of the user or of all.
    pub reason: NoShare,
}

impl fmt::Display for KeepRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        f.write_str("kept values are full: ")?;
        match (self.reason, &self.user) {
            (NoShare::All { max }, _) => write!(f, "all together have the {max} {unit} that there are")?,
            (NoShare::Owner { max }, Some(user)) => {
                let name = &user.name;
                write!(f, "those of user '{name}' have the {max} {unit} that others leave to him")?;
            }
            (NoShare::Owner { max }, None) => {
                write!(f, "those of nobody have the {max} {unit} that others leave to them")?;
            }
        }
        f.write_str("; -listKept shows them, -removeKept removes some")
    }
}

impl std::error::Error for KeepRefused {}

/// The two sums of kept values.
pub(super) struct KeptRooms {
    values: KeptRoom,
    errors: KeptRoom,
}

/// One sum of kept values: of topics, and of bytes.
struct KeptRoom {
    topics: Arc<AccountShares>,
    bytes: Arc<AccountShares>,
}

impl KeptRoom {
    fn new(topics_max: u64, bytes_max: u64) -> Self {
        Self {
            topics: AccountShares::new(topics_max, KEEP_PART),
            bytes: AccountShares::new(bytes_max, KEEP_PART),
        }
    }
}

impl KeptRooms {
    pub(super) fn new(limits: &CacheLimits) -> Self {
        let values = KeptRoom::new(limits.keep_topics_max as u64, limits.keep_bytes_max);
        Self { values, errors: KeptRoom::new(KEPT_ERRORS_MAX, KEPT_ERROR_BYTES_MAX) }
    }

    fn of(&self, sum: KeptSum) -> &KeptRoom {
        match sum {
            KeptSum::Values => &self.values,
            KeptSum::Errors => &self.errors,
        }
    }

    /// Takes room for a value of `bytes` in place of the one `before`, which may have another
    /// keeper.
    ///
    /// # Errors
    /// When there is none; then the former value keeps its room.
    pub(super) fn replace(
        &self,
        before: Option<(ValueKeeper<'_>, u64)>,
        (keeper, bytes): (ValueKeeper<'_>, u64),
    ) -> Result<(), KeepRefused> {
        let wanted = steps(bytes);
        let room = self.of(keeper.sum);
        let payer = keeper.payer();
        let refused = |unit: &'static str, reason| KeepRefused { user: keeper.user.cloned(), unit, reason };
        if let Some((_, bytes_before)) = before.filter(|(former, _)| *former == keeper) {
            let had = steps(bytes_before);
            if wanted < had {
                room.bytes.give_back(payer, had - wanted);
            } else if wanted > had {
                room.bytes.take(payer, wanted - had).map_err(|reason| refused("bytes", reason))?;
            }
            return Ok(());
        }
        if let Some((former, bytes)) = before {
            self.give_back(former, bytes);
        }
        let taken = room.topics.take(payer, 1).map_err(|reason| refused("topics", reason));
        let taken = taken.and_then(|()| {
            room.bytes.take(payer, wanted).map_err(|reason| {
                room.topics.give_back(payer, 1);
                refused("bytes", reason)
            })
        });
        if let (Err(_), Some((former, bytes))) = (&taken, before) {
            self.put_back(former, bytes);
        }
        taken
    }

    /// Takes room for a value that was there before a restart, or before one that found none.
    pub(super) fn put_back(&self, keeper: ValueKeeper<'_>, bytes: u64) {
        let room = self.of(keeper.sum);
        room.topics.put_back(keeper.payer(), 1);
        room.bytes.put_back(keeper.payer(), steps(bytes));
    }

    /// Gives back the room of a value that is gone.
    pub(super) fn give_back(&self, keeper: ValueKeeper<'_>, bytes: u64) {
        let room = self.of(keeper.sum);
        room.topics.give_back(keeper.payer(), 1);
        room.bytes.give_back(keeper.payer(), steps(bytes));
    }
}

/// Returns the bytes that a value takes from the sum, rounded up to whole steps.
fn steps(bytes: u64) -> u64 {
    bytes.next_multiple_of(KEEP_STEP_BYTES)
}
