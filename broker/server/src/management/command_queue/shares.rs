//! Shares of the places and threads for commands: of one tenant, and of one user, so that neither
//! leaves none to others.
//!
//! Invariant: whoever has nothing waiting has no entry, so there are no more entries than commands.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;
use lotmq_auth::Identity;
use lotmq_core::tenant::Tenant;

use super::work::{Load, OF_ALL, OF_TENANT, OF_USER, Threads};
use crate::management::limits::{COMMAND_BYTES_WAITING_MAX, COMMANDS_WAITING_MAX, OWN_PASSWORDS_WAITING_MAX};

/// Parts of all places for commands that wait: one user takes one of them at most, one tenant all
/// but one.
const PARTS: usize = 4;

/// User whose share a command takes: who gave it, or whom that one counts for. `None` stands for
/// all who are not logged in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct QuotaKey {
    /// Number of the tenant.
    pub(super) tenant: u32,
    user: Option<Arc<str>>,
}

impl QuotaKey {
    pub(super) fn of(tenant: &Tenant, identity: &Identity) -> Self {
        let accountable = |name: &Arc<str>| {
            let account = tenant.users.account(name);
            account.map_or_else(|| Arc::clone(name), |account| Arc::clone(account.accountable()))
        };
        Self { tenant: tenant.number, user: identity.user.as_ref().map(accountable) }
    }

    #[cfg(test)]
    pub(super) fn named(tenant: u32, user: &str) -> Self {
        Self { tenant, user: Some(user.into()) }
    }
}

/// Room that a command takes while it waits or runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandRoom {
    pub(super) bytes: usize,
    /// Whether it sets its user's own password. Everybody may do that, in a few places of its own.
    pub(super) is_own_password: bool,
}

/// Resources that the commands of one payer use: places, bytes, threads.
#[derive(Debug, Default)]
struct Share {
    waiting: usize,
    own_passwords: usize,
    bytes: usize,
    threads: Threads,
}

impl Share {
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
pub(super) struct CommandShares {
    all: Share,
    tenants: HashMap<u32, Share>,
    users: HashMap<QuotaKey, Share>,
}

impl CommandShares {
    /// Number of commands that wait or run.
    pub(super) fn waiting(&self) -> usize {
        self.all.waiting
    }

    /// Whether there is room for one more command.
    pub(super) fn have(&self, room: CommandRoom, quota_key: &QuotaKey) -> bool {
        self.all.has_room(room, PARTS)
            && self.tenants.get(&quota_key.tenant).is_none_or(|share| share.has_room(room, PARTS - 1))
            && self.users.get(quota_key).is_none_or(|share| share.has_room(room, 1))
    }

    /// Returns which commands of a payer may begin, by their load.
    pub(super) fn admission(&self, quota_key: &QuotaKey) -> impl Fn(Load) -> bool + use<> {
        let threads = |share: Option<&Share>| share.map(|share| share.threads).unwrap_or_default();
        let (all, tenant) = (self.all.threads, threads(self.tenants.get(&quota_key.tenant)));
        let user = threads(self.users.get(quota_key));
        move |load| all.admit(load, &OF_ALL) && tenant.admit(load, &OF_TENANT) && user.admit(load, &OF_USER)
    }

    /// Counts a command that waits from now on.
    pub(super) fn enter(&mut self, quota_key: &QuotaKey, room: CommandRoom) {
        self.each(quota_key, |share| {
            share.waiting += 1;
            share.own_passwords += usize::from(room.is_own_password);
            share.bytes += room.bytes;
        });
    }

    /// Counts a command that begins.
    pub(super) fn begins(&mut self, quota_key: &QuotaKey, load: Load) {
        self.each(quota_key, |share| share.threads.begins(load));
    }

    /// Counts a command out that has ended.
    pub(super) fn ends(&mut self, quota_key: &QuotaKey, load: Load, room: CommandRoom) {
        self.each(quota_key, |share| {
            share.threads.ends(load);
            share.waiting -= 1;
            share.own_passwords -= usize::from(room.is_own_password);
            share.bytes -= room.bytes;
        });
        forget(&mut self.tenants, &quota_key.tenant);
        forget(&mut self.users, quota_key);
    }

    fn each(&mut self, quota_key: &QuotaKey, change: impl Fn(&mut Share)) {
        change(&mut self.all);
        change(self.tenants.entry(quota_key.tenant).or_default());
        change(self.users.entry(quota_key.clone()).or_default());
    }
}

fn forget<K: Hash + Eq>(shares: &mut HashMap<K, Share>, key: &K) {
    if shares.get(key).is_some_and(|share| share.waiting == 0) {
        shares.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::command_queue::work::Work;

    #[test]
    fn one_user_and_one_tenant_leave_places_to_others() {
        for (is_own_password, places) in [(false, COMMANDS_WAITING_MAX), (true, OWN_PASSWORDS_WAITING_MAX)] {
            let mut shares = CommandShares::default();
            let mut fill = |quota_key: &QuotaKey, bytes: usize| {
                let room = CommandRoom { bytes, is_own_password };
                let mut count = 0;
                while shares.have(room, quota_key) {
                    shares.enter(quota_key, room);
                    count += 1;
                }
                count
            };
            assert_eq!(fill(&QuotaKey::named(1, "a"), 1), places / 4);
            assert_eq!(fill(&QuotaKey::named(1, "b"), 1), places / 4);
            assert_eq!(fill(&QuotaKey::named(1, "c"), 1), places / 4);
            assert_eq!(fill(&QuotaKey::named(1, "d"), 1), 0, "the tenant has all but one part");
            assert_eq!(fill(&QuotaKey::named(2, "a"), 20 << 20), 1, "a single one of any size");
        }
    }

    #[test]
    fn user_without_commands_has_no_entry() {
        let (mut shares, user) = (CommandShares::default(), QuotaKey::named(1, "a"));
        let load = Load::new(Work::Waits, 0);
        let room = CommandRoom { bytes: 10, is_own_password: false };
        for _ in 0..OF_USER_WAITING {
            shares.enter(&user, room);
            assert!(shares.admission(&user)(load));
            shares.begins(&user, load);
        }
        assert!(!shares.admission(&user)(load) && shares.admission(&QuotaKey::named(1, "b"))(load));
        (0..OF_USER_WAITING).for_each(|_| shares.ends(&user, load, room));
        assert!(shares.tenants.is_empty() && shares.users.is_empty());
        assert_eq!((shares.waiting(), shares.all.bytes), (0, 0));
    }

    /// Half of the threads that may wait.
    const OF_USER_WAITING: usize = crate::management::limits::COMMAND_THREADS_WAITING_MAX / 2;
}
