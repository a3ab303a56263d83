//! Kept states of bridges, of which a Client without rights can fill few: one user has at most a
//! part of what others leave, all Clients without a user another one, and of who has more the
//! oldest goes. A state is of the user whose bridge has set it, as long as that has a session; who
//! has no user does not keep others from it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use lotmq_definitions::Owner;
use lotmq_shares::share_of;
use parking_lot::Mutex;

use lotmq_core::limits::USER_PART;

/// Most bridges of a tenant whose states are kept; a plant has some dozen.
const BRIDGES_MAX: usize = 1_000;

/// States of one tenant's bridges.
#[derive(Default)]
pub(crate) struct BridgeStates(Mutex<States>);

#[derive(Default)]
struct States {
    /// By topic.
    all: BTreeMap<Arc<str>, State>,
    changes: u64,
}

struct State {
    /// As it is published.
    state: u8,
    /// Number of the change.
    change: u64,
    owner: Option<Owner>,
}

impl BridgeStates {
    /// Topic and payload of the first state behind a topic, in the order of topics, that is wanted.
    pub(crate) fn next(
        &self,
        after: Option<&str>,
        wants: impl Fn(&str) -> bool,
    ) -> Option<(Arc<str>, [u8; 1])> {
        let states = self.0.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = states.all.range::<str, _>((from, Bound::Unbounded));
        let (topic, State { state, .. }) = behind.find(|(topic, _)| wants(topic))?;
        Some((Arc::clone(topic), [*state]))
    }

    /// User whose bridge has set a state; `None` where there is none, or none of a user.
    pub(crate) fn user_of(&self, topic: &str) -> Option<Arc<str>> {
        self.0.lock().all.get(topic)?.owner.as_ref().map(|owner| Arc::clone(&owner.name))
    }

    /// Sets a state for a bridge of this owner; `None` removes it. Returns the topic whose state
    /// had to be dropped for it.
    pub(crate) fn set(&self, topic: &str, owner: Option<Owner>, state: Option<u8>) -> Option<Arc<str>> {
        let States { all, changes } = &mut *self.0.lock();
        *changes += 1;
        let Some(state) = state else {
            all.remove(topic);
            return None;
        };
        let quota_key = owner.as_ref().map(Owner::quota_key);
        let is_same = |of: &State| of.owner.as_ref().map(Owner::quota_key) == quota_key;
        let set = State { state, change: *changes, owner };
        if all.insert(topic.into(), set).is_some_and(|before| is_same(&before)) {
            return None;
        }
        let own = all.values().filter(|of| is_same(of)).count();
        let others = (all.len() - own) as u64;
        let is_beyond = own as u64 > share_of(BRIDGES_MAX as u64, others, USER_PART).max(1);
        if !is_beyond && all.len() <= BRIDGES_MAX {
            return None;
        }
        let candidates = all.iter().filter(|(_, of)| !is_beyond || is_same(of));
        let oldest = candidates.min_by_key(|(_, of)| of.change).map(|(topic, _)| Arc::clone(topic))?;
        all.remove(&oldest);
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, account: u64) -> Option<Owner> {
        Some(Owner { name: name.into(), account })
    }

    #[test]
    fn the_oldest_state_of_who_has_his_part_goes() {
        const PART: usize = BRIDGES_MAX / 4 * 3;
        let states = BridgeStates::default();
        assert_eq!(states.set("bob", user("bob", 1), Some(b'1')), None);
        let part = (BRIDGES_MAX - 1) * 3 / 4;
        for n in 0..part {
            assert_eq!(states.set(&n.to_string(), None, Some(b'1')), None);
        }
        assert_eq!(states.set("0", None, Some(b'0')), None, "it is there already, and now the newest");
        assert_eq!(states.set("new", None, Some(b'1')).as_deref(), Some("1"));
        assert_eq!(states.set("2", None, None), None);
        // Two users of one user manager, who count as one.
        let eve = |n: usize| user(["eve", "ada"][n % 2], 2);
        let of_users = (0..PART).filter_map(|n| states.set(&format!("eve {n}"), eve(n), Some(b'1')));
        assert!(of_users.last().is_some_and(|topic| topic.starts_with("eve")), "hers alone");
        assert_eq!((states.user_of("bob"), states.user_of("0")), (Some("bob".into()), None));
        let mut found = Vec::new();
        while let Some((topic, _)) =
            states.next(found.last().map(|topic: &Arc<str>| &**topic), |topic| topic != "3")
        {
            found.push(topic);
        }
        assert!(found.is_sorted() && found.len() < BRIDGES_MAX);
        assert!(["0", "bob", "new"].into_iter().all(|topic| found.iter().any(|it| **it == *topic)));
    }
}
