//! Kept states of bridges, of which a Client without rights can fill few: the oldest goes.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Most bridges of a tenant whose states are kept; a plant has some dozen.
const BRIDGES_MAX: usize = 1_000;

/// States of one tenant's bridges, the newest at the end.
#[derive(Default)]
pub(crate) struct BridgeStates(Mutex<VecDeque<(Box<str>, u8)>>);

impl BridgeStates {
    /// Topics and payloads of all states.
    pub(crate) fn all(&self) -> Vec<(Box<str>, [u8; 1])> {
        self.0.lock().iter().map(|(topic, state)| (topic.clone(), [*state])).collect()
    }

    /// Sets a state; `None` removes it. Returns the topic whose state had to be dropped for it.
    pub(crate) fn set(&self, topic: &str, state: Option<u8>) -> Option<Box<str>> {
        let mut states = self.0.lock();
        states.retain(|(known, _)| **known != *topic);
        states.extend(state.map(|state| (topic.into(), state)));
        if states.len() > BRIDGES_MAX { states.pop_front().map(|(topic, _)| topic) } else { None }
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
        assert_eq!(states.all().len(), BRIDGES_MAX - 1);
    }
}
