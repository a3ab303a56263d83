//! Memory that is kept for one connection besides its buffer, as it counts among that of all:
//! topics of the aliases that were set towards its Client, and messages that wait in a session
//! which ends with the connection. Others rest in the store.
//!
//! If all connections together keep too much of the former, each has an even share, as for unsent
//! output ([`Unfinished`](crate::limits::unfinished::Unfinished)). Of the latter each user has a
//! part, and the clients of a user have even shares of it
//! ([`OwnedSum`](crate::shares::owned_sum::OwnedSum)).

use crate::shared::Core;
use crate::shares::Share;

/// Steps in which bytes are counted.
const STEP_BYTES: u32 = 1 << 10;

/// Counted memory of one connection.
#[derive(Debug, Default)]
pub struct Kept {
    alias_bytes: u32,
    queued_bytes: u32,
    /// Bytes of messages that wait for time alone. They do not count: their receivers are about to
    /// get them.
    postponed_bytes: u32,
}

impl Kept {
    /// Sets the bytes of the topics of aliases.
    pub fn aliases(&mut self, bytes: u32, core: &Core) {
        if bytes != self.alias_bytes {
            core.alias_bytes.change(self.alias_bytes, bytes, core.settings.limits.all_alias_bytes);
            self.alias_bytes = bytes;
        }
    }

    /// Whether the topics of aliases may take more.
    pub(crate) fn may_set_aliases(&self, core: &Core) -> bool {
        u64::from(self.alias_bytes) < core.alias_bytes.share(core.settings.limits.all_alias_bytes)
    }

    /// Sets the bytes of messages that wait in memory for a Client whose owner has this share.
    pub(crate) fn queue(&mut self, bytes: u64, share: &Share, core: &Core) {
        let bytes = bytes.saturating_sub(self.postponed_bytes.into());
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX) & !(STEP_BYTES - 1);
        if bytes != self.queued_bytes {
            core.queued_bytes.change(share.queued(), self.queued_bytes, bytes);
            self.queued_bytes = bytes;
        }
    }

    /// Counts a message that waits for time alone.
    pub(crate) fn postpone(&mut self, bytes: u64) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.postponed_bytes = self.postponed_bytes.saturating_add(bytes);
    }

    /// Ends the count of messages that wait for time alone.
    pub(crate) fn nothing_is_postponed(&mut self) {
        self.postponed_bytes = 0;
    }

    /// Bytes of messages that wait for time alone.
    pub(crate) fn postponed_bytes(&self) -> u64 {
        self.postponed_bytes.into()
    }

    /// Takes the connection's bytes off the sums, because it ends.
    pub fn end(&mut self, share: &Share, core: &Core) {
        self.aliases(0, core);
        self.queue(0, share, core);
    }
}

/// Whether so many bytes may wait in memory for one session of this owner.
pub(crate) fn may_queue(core: &Core, share: &Share, bytes: u64) -> bool {
    bytes <= core.queued_bytes.share(share.queued(), core.settings.limits.all_queue_bytes)
}
