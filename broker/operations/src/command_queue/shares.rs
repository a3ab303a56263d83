//! Shares of the places and threads for commands: of one tenant, and of one user, so that neither
//! leaves none to others.
//!
//! A share is a [usage](OwnerUsage) with fixed bounds: a command counts in several amounts at once,
//! and a single command of any size is always taken.

use lotmq_shares::{OwnerKey, OwnerUsage, QuotaLevels};

use super::work::{Load, OF_ALL, OF_TENANT, OF_USER, Threads};
use crate::limits::{COMMAND_BYTES_WAITING_MAX, COMMANDS_WAITING_MAX, OWN_PASSWORDS_WAITING_MAX};

/// Parts of all places for commands that wait: one user takes one of them at most, one tenant all
/// but one.
const PARTS: usize = 4;

/// Room that a command takes while it waits or runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandRoom {
    pub(super) bytes: usize,
    /// Whether it sets its user's own password. Everybody may do that, in a few places of its own.
    pub(super) is_own_password: bool,
}

/// Resources that commands use: places, bytes, threads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct CommandUse {
    waiting: usize,
    own_passwords: usize,
    bytes: usize,
    threads: Threads,
}

impl CommandUse {
    /// Whether there is room for one more command, in so many parts of what there is. A single
    /// command of any size that a packet holds is always taken.
    fn has_room(&self, room: CommandRoom, parts: usize) -> bool {
        let part = |max: usize| max / PARTS * parts;
        let has_place = self.waiting < part(COMMANDS_WAITING_MAX)
            && (!room.is_own_password || self.own_passwords < part(OWN_PASSWORDS_WAITING_MAX));
        has_place && (self.waiting == 0 || self.bytes + room.bytes <= part(COMMAND_BYTES_WAITING_MAX))
    }
}

/// Shares of all, of each tenant and of each user.
#[derive(Debug, Default)]
pub(super) struct CommandShares(OwnerUsage<CommandUse>);

impl CommandShares {
    /// Number of commands that wait or run.
    pub(super) fn waiting(&self) -> usize {
        self.0.all().waiting
    }

    /// Whether there is room for one more command.
    pub(super) fn have(&self, room: CommandRoom, key: OwnerKey) -> bool {
        let QuotaLevels { owner, tenant, all } = self.0.of(key);
        all.has_room(room, PARTS) && tenant.has_room(room, PARTS - 1) && owner.has_room(room, 1)
    }

    /// Returns which commands of an owner may begin, by their load.
    pub(super) fn admission(&self, key: OwnerKey) -> impl Fn(Load) -> bool + use<> {
        let QuotaLevels { owner, tenant, all } = self.0.of(key);
        move |load| {
            all.threads.admit(load, &OF_ALL)
                && tenant.threads.admit(load, &OF_TENANT)
                && owner.threads.admit(load, &OF_USER)
        }
    }

    /// Counts a command that waits from now on.
    pub(super) fn enter(&mut self, key: OwnerKey, room: CommandRoom) {
        self.0.change(key, |used| {
            used.waiting += 1;
            used.own_passwords += usize::from(room.is_own_password);
            used.bytes += room.bytes;
        });
    }

    /// Counts a command that begins.
    pub(super) fn begins(&mut self, key: OwnerKey, load: Load) {
        self.0.change(key, |used| used.threads.begins(load));
    }

    /// Counts a command out that has ended.
    pub(super) fn ends(&mut self, key: OwnerKey, load: Load, room: CommandRoom) {
        self.0.change(key, |used| {
            used.threads.ends(load);
            used.waiting -= 1;
            used.own_passwords -= usize::from(room.is_own_password);
            used.bytes -= room.bytes;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_queue::work::Work;

    #[test]
    fn one_user_and_one_tenant_leave_places_to_others() {
        for (is_own_password, places) in [(false, COMMANDS_WAITING_MAX), (true, OWN_PASSWORDS_WAITING_MAX)] {
            let mut shares = CommandShares::default();
            let mut fill = |tenant: u32, quota_key: u64, bytes: usize| {
                let (key, room) = (OwnerKey { tenant, quota_key }, CommandRoom { bytes, is_own_password });
                let mut count = 0;
                while shares.have(room, key) {
                    shares.enter(key, room);
                    count += 1;
                }
                count
            };
            assert_eq!([1, 2, 3].map(|user| fill(1, user, 1)), [places / 4; 3]);
            assert_eq!(fill(1, 4, 1), 0, "the tenant has all but one part");
            assert_eq!(fill(2, 1, 20 << 20), 1, "a single one of any size");
        }
    }

    #[test]
    fn user_without_commands_has_no_entry() {
        let [user, other] = [1, 2].map(|quota_key| OwnerKey { tenant: 1, quota_key });
        let mut shares = CommandShares::default();
        let load = Load::new(Work::Waits, 0);
        let room = CommandRoom { bytes: 10, is_own_password: false };
        for _ in 0..OF_USER_WAITING {
            shares.enter(user, room);
            assert!(shares.admission(user)(load));
            shares.begins(user, load);
        }
        assert!(!shares.admission(user)(load) && shares.admission(other)(load));
        (0..OF_USER_WAITING).for_each(|_| shares.ends(user, load, room));
        assert!(shares.0.is_empty());
        assert_eq!((shares.waiting(), shares.0.all().bytes), (0, 0));
    }

    /// Half of the threads that may wait.
    const OF_USER_WAITING: usize = crate::limits::COMMAND_THREADS_WAITING_MAX / 2;
}
