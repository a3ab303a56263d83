//! States of bridges: `$SYS/broker/connection/<client id>/state`, retained, `1` while a bridge is
//! connected and `0` when it is not.
//!
//! mosquitto sets a Will of `0` there and publishes `1` when it is connected. Only the Client that
//! the topic names may do so. If several users have a Client of that name, it is the one whose
//! state is there, as long as it has a session. Rules are asked as for all else (built-in rule
//! `AllowPublishBridgeState`). The states are in memory only
//! ([`BridgeStates`](crate::system_state::BridgeStates)).

use crate::managed::Managing as _;
use lotmq_core::tenant::client::Client;
use lotmq_core::tenant::session_key::SessionKey;
use lotmq_core::turn::Turn;

/// Handles a state that a Client has published, which is `0`, `1` or empty; anything else has no
/// effect, nor has that of another user's bridge.
pub(crate) fn note_state(turn: &mut Turn, client: &Client, topic: &str, payload: &[u8]) {
    let tenant = &client.tenant;
    let state = match payload {
        [state @ (b'0' | b'1')] => Some(*state),
        [] => None,
        _ => return,
    };
    let bridges = &tenant.managed().bridges;
    if let Some(owner) = bridges.user_of(topic).filter(|owner| Some(owner) != client.user()) {
        let key = SessionKey { client_id: &client.client_id, user: Some(&owner), member: None };
        if tenant.sessions.lock().get(key).is_some() {
            return;
        }
    }
    let forgotten = bridges.set(topic, client.owner(), state);
    super::publish(turn, tenant, topic, payload, true);
    if let Some(forgotten) = forgotten {
        super::publish(turn, tenant, &forgotten, &[], true);
    }
}
