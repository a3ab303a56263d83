//! Row of a session in the store, with its Will.

use std::sync::Arc;

use lotmq_auth::Peer;
use lotmq_changes::{Op, PeerRow, SessionRow, WillRow};
use lotmq_session::{SessionExpiry, Time, WillState};

use crate::tenant::client::{Client, ClientState};
use crate::tenant::will::WillMessage;
use crate::turn::Turn;

/// Row of a session as it is now.
pub fn row(client: &Client, state: &ClientState) -> SessionRow {
    let will = match &state.will {
        WillState::None => None,
        WillState::Armed { will, .. } | WillState::Delayed { will, .. } => Some(will_row(will)),
    };
    SessionRow {
        tenant: client.tenant.id,
        id: client.stored_id(),
        client_id: client.client_id.as_ref().into(),
        user: client.user_name().map(Into::into),
        protocol_level: state.session.version().level(),
        expiry_interval_s: (state.expiry != SessionExpiry::NEVER).then_some(state.expiry.seconds()),
        disconnected_at_ms: state.left_at.get().map(Time::as_millis),
        will,
        peer: peer_row(state.identity.peer),
        principal: state.identity.principal.to_stored().map(Into::into),
    }
}

pub(super) fn peer_row(peer: Peer) -> PeerRow {
    match peer {
        Peer::Tcp(address) => PeerRow::Tcp(address),
        Peer::Proxied(address) => PeerRow::Proxied(address),
        Peer::Unix => PeerRow::Unix,
        Peer::Guest | Peer::Unknown => PeerRow::Unknown,
    }
}

fn will_row(will: &WillMessage) -> WillRow {
    WillRow {
        topic: will.topic.as_ref().into(),
        properties: bytes::Bytes::copy_from_slice(&will.properties),
        payload: bytes::Bytes::copy_from_slice(&will.payload),
        qos: will.qos.bits(),
        retain: will.retain,
        delay_interval_s: will.delay_seconds,
    }
}

/// Stores that its Client has left the session, and when.
pub fn store(client: &Arc<Client>, turn: &mut Turn) {
    let state = client.state.lock();
    // It may have ended meanwhile, or belong to another connection, which has stored it.
    if state.is_over || state.link.is_some() {
        return;
    }
    turn.changes(client);
    let row = row(client, &state);
    drop(state);
    turn.batch.push(Op::PutSession(&row));
    turn.call_flusher();
}
