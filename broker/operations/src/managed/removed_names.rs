//! Names of removed users, which rest: a new user of such a name would get what rules, definitions
//! and people still give to it. Only `root` gives such a name again before its time has passed.
//!
//! Invariants: a name rests in the same batch that removes its user, so that it rests after a
//! crash, too; at most [`REMOVED_NAMES_MAX`] rest, the oldest go first. No user gets the name of
//! one whose sessions are still ending.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lotmq_changes::{Batch, Op, SettingRow, TenantId};
use parking_lot::{Condvar, Mutex};

use crate::limits::{REMOVED_NAMES_MAX, REMOVED_NAMES_OF_OTHERS_MAX};

/// Prefix of the names of settings that hold resting names; their value is the time of the removal.
const SETTING: &str = "users.removed/";

/// Names of removed users.
#[derive(Default)]
pub struct RemovedNames {
    /// Resting names, with the time of the removal in milliseconds since 1970.
    resting: Mutex<BTreeMap<Box<str>, u64>>,
    /// Names of those whose sessions are ending: as many as commands run at once.
    leaving: Mutex<BTreeSet<Box<str>>>,
    has_left: Condvar,
}

/// Name of a removed user whose sessions end until this is dropped.
pub(crate) struct LeavingName<'a> {
    names: &'a RemovedNames,
    name: Box<str>,
}

impl Drop for LeavingName<'_> {
    fn drop(&mut self) {
        self.names.leaving.lock().remove(&self.name);
        self.names.has_left.notify_all();
    }
}

impl RemovedNames {
    /// Restores the resting names of a tenant, at a start.
    pub fn restore(&self, tenant: TenantId, settings: &[SettingRow]) {
        let own = settings.iter().filter(|row| row.tenant == tenant);
        let names = own.filter_map(|row| {
            let name = row.name.strip_prefix(SETTING)?;
            // One that cannot be read rests from the beginning of time, which is over, or until it
            // is looked at.
            Some((name.into(), row.value.parse().unwrap_or_default()))
        });
        self.resting.lock().extend(names);
    }

    /// Applies a setting that another process has stored, or removed where there is no value.
    pub(crate) fn apply(&self, setting: &str, value: Option<&str>) {
        let Some(name) = setting.strip_prefix(SETTING) else { return };
        match value {
            Some(at_ms) => drop(self.resting.lock().insert(name.into(), at_ms.parse().unwrap_or_default())),
            None => drop(self.resting.lock().remove(name)),
        }
    }

    /// Notes that the sessions of a removed user end from now on.
    pub(crate) fn leaves(&self, name: &str) -> LeavingName<'_> {
        self.leaving.lock().insert(name.into());
        LeavingName { names: self, name: name.into() }
    }

    /// Takes the lock under which users are removed, when no session of a removed one of this name
    /// is left.
    pub(crate) fn lock_when_left<G>(&self, name: &str, lock: impl Fn() -> G) -> G {
        loop {
            let mut leaving = self.leaving.lock();
            while leaving.contains(name) {
                self.has_left.wait(&mut leaving);
            }
            drop(leaving);
            let guard = lock();
            if !self.leaving.lock().contains(name) {
                return guard;
            }
        }
    }

    /// Time at which a resting name was given up; it rests for `rest`.
    pub(crate) fn resting_since(&self, name: &str, rest: Duration, now_ms: u64) -> Option<u64> {
        let removed_at = *self.resting.lock().get(name)?;
        let is_over = Duration::from_millis(now_ms.saturating_sub(removed_at)) >= rest;
        (!is_over).then_some(removed_at)
    }

    /// Whether a user who is no administrator may let another name rest. They must not push out
    /// resting names, because they could then give these names away.
    pub(crate) fn have_room_for_others(&self, (now_ms, rest): (u64, Duration)) -> bool {
        let rests = |at: &u64| Duration::from_millis(now_ms.saturating_sub(*at)) < rest;
        self.resting.lock().values().filter(|at| rests(at)).count() < REMOVED_NAMES_OF_OTHERS_MAX
    }

    /// Lets a name rest from now on, and makes room: names whose time is over are dropped, and the
    /// oldest where there are too many.
    pub(crate) fn put(
        &self,
        batch: &mut Batch,
        tenant: TenantId,
        name: &str,
        (now_ms, rest): (u64, Duration),
    ) {
        let mut names = self.resting.lock();
        names.insert(name.into(), now_ms);
        store(batch, tenant, name, now_ms);
        let is_over = |at: u64| Duration::from_millis(now_ms.saturating_sub(at)) >= rest;
        let mut gone: Vec<Box<str>> =
            names.iter().filter(|(_, at)| is_over(**at)).map(|(name, _)| name.clone()).collect();
        if names.len() - gone.len() > REMOVED_NAMES_MAX {
            gone.extend(names.iter().min_by_key(|(_, at)| **at).map(|(name, _)| name.clone()));
        }
        for name in gone {
            names.remove(&name);
            delete(batch, tenant, &name);
        }
    }

    /// Ends the rest of a name that is given again.
    pub(crate) fn end(&self, batch: &mut Batch, tenant: TenantId, name: &str) {
        if self.resting.lock().remove(name).is_some() {
            delete(batch, tenant, name);
        }
    }
}

fn store(batch: &mut Batch, tenant: TenantId, name: &str, at_ms: u64) {
    let row = SettingRow { tenant, name: format!("{SETTING}{name}"), value: at_ms.to_string() };
    batch.push(Op::PutSetting(&row));
}

fn delete(batch: &mut Batch, tenant: TenantId, name: &str) {
    batch.push(Op::DeleteSetting { tenant, name: &format!("{SETTING}{name}") });
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(100);

    #[test]
    fn a_name_rests_for_its_time_and_in_bounded_number() {
        let names = RemovedNames::default();
        let mut batch = Batch::new();
        names.put(&mut batch, TenantId::DEFAULT, "bob", (1_000, REST));
        assert_eq!(names.resting_since("bob", REST, 100_999), Some(1_000));
        assert_eq!(names.resting_since("bob", REST, 101_000), None);
        assert_eq!(names.resting_since("ann", REST, 1_000), None);
        names.end(&mut batch, TenantId::DEFAULT, "bob");
        assert_eq!(names.resting_since("bob", REST, 1_001), None);
        for number in 0..=REMOVED_NAMES_MAX as u64 {
            if number % 2_500 == 0 {
                let has_room = number < REMOVED_NAMES_OF_OTHERS_MAX as u64;
                assert_eq!(names.have_room_for_others((2_000 + number, REST)), has_room, "{number}");
            }
            names.put(&mut batch, TenantId::DEFAULT, &format!("user {number}"), (2_000 + number, REST));
        }
        assert_eq!(names.resting_since("user 0", REST, 2_000), None);
        assert_eq!(names.resting_since("user 1", REST, 2_001), Some(2_001));
        assert!(names.have_room_for_others((107_000, REST)), "those whose time is over count for nothing");
    }

    #[test]
    fn a_name_is_given_when_its_user_has_left() {
        let names = RemovedNames::default();
        let changes = Mutex::new(());
        let bob = names.leaves("bob");
        drop(names.lock_when_left("ann", || changes.lock()));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| drop(names.lock_when_left("bob", || changes.lock())));
            drop(changes.lock());
            assert!(!waits.is_finished());
            drop(bob);
        });
        assert!(names.leaving.lock().is_empty());
    }

    #[test]
    fn names_are_put_back_for_their_tenant() {
        let row = |tenant, name: &str| SettingRow {
            tenant: TenantId(tenant),
            name: name.into(),
            value: "7".into(),
        };
        let names = RemovedNames::default();
        names
            .restore(TenantId(1), &[row(1, "users.removed/a/b"), row(2, "users.removed/c"), row(1, "other")]);
        assert_eq!(names.resting_since("a/b", REST, 8), Some(7));
        assert_eq!(names.resting_since("c", REST, 8), None);
    }
}
