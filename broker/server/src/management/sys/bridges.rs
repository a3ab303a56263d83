//! States of bridges: `$SYS/broker/connection/<client id>/state`, retained, `1` while a bridge is connected and `0` when it is not.
//!
//! mosquitto sets a Will of `0` there and publishes `1` when it is connected. Only the Client that the topic names may; whether it may is asked like all
//! else (built-in rule `AllowPublishBridgeState`). The states are in memory only
//! ([`BridgeStates`](crate::management::system_state::BridgeStates)).

use std::sync::Arc;

use crate::management::managed::Managing as _;
use lotmq_core::tenant::Tenant;
use lotmq_core::turn::Turn;

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
