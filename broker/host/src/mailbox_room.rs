//! Room of a mailbox in the sum of all mailboxes. Waiting bytes beyond a free part count in the
//! sum. One owner has at most a part of the rest that others leave.
//!
//! It is taken and given back in steps, so that a definition which keeps up needs no check.

use std::sync::Arc;

use lotmq_shares::{AccountShares, HeldShare, quota_key};

use crate::limits::{MAILBOX_ROOM_FREE, MAILBOX_ROOM_STEP};

/// Room of one mailbox.
#[derive(Debug)]
pub struct MailboxRoom {
    held: HeldShare,
    /// Whether there was not much more when the last step was taken or given back.
    was_scarce: bool,
}

impl MailboxRoom {
    /// None yet, for a definition that acts for this account.
    pub(crate) fn new(account: u64, all: &Arc<AccountShares>) -> Self {
        Self { held: all.hold_nothing(quota_key(account)), was_scarce: false }
    }

    /// Acts for another account from now on. Room that is taken stays with the former account until
    /// it is given back.
    pub(crate) fn acts_for(&mut self, account: u64) {
        let account = quota_key(account);
        if self.held.amount() == 0 && self.held.account() != account {
            self.held = self.held.sum().hold_nothing(account);
        }
    }

    /// Whether so many bytes may wait.
    pub fn holds(&mut self, bytes: usize) -> bool {
        let (wanted, held) = (steps(bytes), self.held.amount());
        if wanted <= held {
            return true;
        }
        let is_taken = self.held.grow(wanted - held).is_ok();
        self.was_scarce = self.is_scarce();
        is_taken
    }

    /// Whether it has some of the sum and there is not much more. It asks all others, so that this
    /// is not for each message: see [`was_scarce`](Self::was_scarce).
    pub(crate) fn is_scarce(&self) -> bool {
        self.held.amount() > 0 && self.held.sum().is_scarce_for(self.held.account())
    }

    /// Returns the result of [`is_scarce`](Self::is_scarce) at the last change of the share. It is
    /// exact enough for a mailbox that needs no further step.
    pub(crate) fn was_scarce(&self) -> bool {
        self.was_scarce
    }

    /// Gives back what so many bytes that still wait have no need of, but for a step, which the
    /// next may need.
    pub fn shrinks(&mut self, bytes: usize) {
        let held = self.held.amount();
        if held == 0 {
            return;
        }
        let kept = if bytes == 0 { 0 } else { steps(bytes) + MAILBOX_ROOM_STEP };
        if kept < held {
            self.held.shrink(held - kept);
            self.was_scarce = self.is_scarce();
        }
    }
}

/// Returns the bytes that a mailbox of this size takes from the sum, rounded up to whole steps.
fn steps(bytes: usize) -> u64 {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    bytes.saturating_sub(MAILBOX_ROOM_FREE).div_ceil(MAILBOX_ROOM_STEP).saturating_mul(MAILBOX_ROOM_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::shares;

    #[test]
    fn mailbox_room_is_acquired_and_released_in_steps() {
        let all = shares(4 * MAILBOX_ROOM_STEP);
        let (step, free) = (MAILBOX_ROOM_STEP as usize, MAILBOX_ROOM_FREE as usize);
        let mut one = MailboxRoom::new(1, &all);
        assert!(one.holds(free));
        assert_eq!(all.used(), 0);
        assert!(one.holds(free + 1) && one.holds(free + 3 * step));
        assert_eq!(all.used(), 3 * MAILBOX_ROOM_STEP);
        assert!(!one.holds(free + 3 * step + 1), "an owner has three quarters");
        let mut other = MailboxRoom::new(2, &all);
        assert!(
            other.holds(free) && !other.holds(free + 1),
            "three quarters of what is left are less than a step"
        );
        assert!(one.is_scarce() && !other.is_scarce(), "who has nothing need not wait");
        assert!(one.was_scarce() && !other.was_scarce());
        one.shrinks(free + step);
        assert_eq!(all.used(), 2 * MAILBOX_ROOM_STEP);
        assert!(other.holds(free + 1));
        drop(other);
        one.shrinks(0);
        assert!(!one.was_scarce());
        assert_eq!(all.used(), 0);
    }
}
