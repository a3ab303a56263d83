//! Kept states of bridges, of which a Client without rights can fill few: the oldest goes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

/// Most bridges of a tenant whose states are kept; a plant has some dozen.
const BRIDGES_MAX: usize = 1_000;

/// States of one tenant's bridges.
#[derive(Default)]
pub(crate) struct BridgeStates(Mutex<States>);

#[derive(Default)]
struct States {
    /// By topic, with the number of the change.
    all: BTreeMap<Arc<str>, (u8, u64)>,
    changes: u64,
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
        let (topic, (state, _)) = behind.find(|(topic, _)| wants(topic))?;
        Some((Arc::clone(topic), [*state]))
    }

    /// Sets a state; `None` removes it. Returns the topic whose state had to be dropped for it.
    pub(crate) fn set(&self, topic: &str, state: Option<u8>) -> Option<Arc<str>> {
        let States { all, changes } = &mut *self.0.lock();
        *changes += 1;
        match state {
            Some(state) => all.insert(topic.into(), (state, *changes)),
            None => all.remove(topic),
        };
        if all.len() <= BRIDGES_MAX {
            return None;
        }
        let oldest = all.iter().min_by_key(|(_, (_, change))| *change).map(|(topic, _)| Arc::clone(topic))?;
        all.remove(&oldest);
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_state_goes() {
        let states = BridgeStates::default();
        for n in 0..BRIDGES_MAX {
            assert_eq!(states.set(&n.to_string(), Some(b'1')), None);
        }
        assert_eq!(states.set("0", Some(b'0')), None, "it is there already, and now the newest");
        assert_eq!(states.set("new", Some(b'1')).as_deref(), Some("1"));
        assert_eq!(states.set("2", None), None);
        let mut found = Vec::new();
        while let Some((topic, _)) =
            states.next(found.last().map(|topic: &Arc<str>| &**topic), |topic| topic != "3")
        {
            found.push(topic);
        }
        assert!(found.is_sorted());
        assert_eq!(found.len(), BRIDGES_MAX - 2);
    }
}
