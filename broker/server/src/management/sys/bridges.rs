//! States of bridges: `$SYS/broker/connection/<client id>/state`, retained, `1` while a bridge is connected and `0` when it is not.
//!
//! mosquitto sets a Will of `0` there and publishes `1` when it is connected. Only the Client that the topic names may; whether it may is asked like all
//! else (built-in rule `AllowPublishBridgeState`). The states are in memory only, and what a Client without rights can fill with them is bounded: the
//! oldest goes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::management::managed::Managing as _;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;

/// Most bridges of a tenant whose states are kept; a plant has some dozen.
const BRIDGES_MAX: usize = 1_000;

/// States of one tenant's bridges, the newest at the end.
#[derive(Default)]
pub(crate) struct BridgeStates(Mutex<VecDeque<(Box<str>, u8)>>);

impl BridgeStates {
    /// Topics and payloads of all states.
    pub(super) fn all(&self) -> Vec<(Box<str>, [u8; 1])> {
        self.0.lock().iter().map(|(topic, state)| (topic.clone(), [*state])).collect()
    }

    /// Sets a state; `None` removes it. Returns the topic whose state had to be dropped for it.
    fn set(&self, topic: &str, state: Option<u8>) -> Option<Box<str>> {
        let mut states = self.0.lock();
        states.retain(|(known, _)| **known != *topic);
        states.extend(state.map(|state| (topic.into(), state)));
        if states.len() > BRIDGES_MAX { states.pop_front().map(|(topic, _)| topic) } else { None }
    }
}

/// Handles a state, which is `0`, `1` or empty; anything else has no effect.
pub(crate) fn note_state(turn: &mut Turn, tenant: &Arc<Tenant>, topic: &str, payload: &[u8]) {
    let state = match payload {
        [state @ (b'0' | b'1')] => Some(*state),
        [] => None,
        _ => return,
    };
    let forgotten = tenant.managed().bridges.set(topic, state);
    super::publish(turn, tenant, topic, payload, true);
    if let Some(forgotten) = forgotten {
        super::publish(turn, tenant, &forgotten, &[], true);
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
