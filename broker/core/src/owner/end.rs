//! End of a connection, carried out by its owner: tells the peer and those who watch, detaches the
//! Client, closes the transport.
//!
//! Not here: the reasons, and what the peer is told of them (`reason::close`).

use std::fmt::Display;
use std::sync::Arc;

use tracing::debug;

use crate::client::session_end;
use crate::connection::{Connection, ListenerTerms};
use crate::owner::source::Source;
use crate::protocol;
use crate::protocol::phase::Phase;
use crate::reason::close::{CloseReason, TransportFailure};
use crate::turn::Turn;

/// Logs the end of a connection of `peer` that failed before there was a Client; `failure` is the
/// explanation of a layer below MQTT. Skips clients that leave by themselves, reach a limit or are
/// refused by CONNACK: other code logs these, or no log line is needed.
pub fn before_client(
    reason: &CloseReason,
    listener: &ListenerTerms,
    peer: &dyn Display,
    failure: Option<String>,
) {
    let is_told_here = match reason {
        CloseReason::Protocol(_) => true,
        CloseReason::Transport(failure) => *failure != TransportFailure::HandshakeTimeout,
        CloseReason::Disconnected(_)
        | CloseReason::PeerClosed
        | CloseReason::NetworkError
        | CloseReason::ConnectTimeout
        | CloseReason::Refused
        | CloseReason::KeepAliveTimeout
        | CloseReason::TakenOver
        | CloseReason::Limit(_)
        | CloseReason::Administrative
        | CloseReason::Revoked(_)
        | CloseReason::PasswordChanged
        | CloseReason::CertificateExpired
        | CloseReason::LoginExpired
        | CloseReason::CertificateUntrusted
        | CloseReason::StoreFailed(_)
        | CloseReason::QueueFull
        | CloseReason::OutOfMemory
        | CloseReason::InternalError
        | CloseReason::ServerShutdown => false,
    };
    if is_told_here {
        listener.refused(peer, (reason.word(), &failure.unwrap_or_else(|| reason.words())));
    } else {
        debug!(%peer, reason = reason.word(), "connection closed before a client");
    }
}

/// Ends a connection as its owner: tells the peer, detaches the Client, closes the transport.
pub(super) fn end(
    connection: &Arc<Connection>,
    source: &impl Source,
    phase: Phase,
    reason: CloseReason,
    turn: &mut Turn,
) {
    reason.count(&turn.core);
    if let Some(limit) = reason.limit() {
        connection.listener.limit_reached(limit, &connection.peer());
    }
    let failure = source.failure();
    if let Phase::Open(mut open) = phase {
        protocol::publish_rest(&mut open, turn);
        turn.tell(|hooks, turn| hooks.disconnects(turn, &open.client, connection, &reason, failure));
        // The Client's output of this turn, including replies to pipelined packets, leaves before
        // the socket closes. Its messages leave before the session may end, because another thread
        // would not see them then.
        if turn.may_hold_for(&open.client) || turn.has_message_of(&open.client) {
            turn.flush();
        }
        open.client.tell(connection, &reason);
        session_end::detach(&open.client, connection, &reason, turn);
        turn.tell(|hooks, turn| hooks.disconnected(turn, &open.client, connection, &reason));
    } else {
        before_client(&reason, &connection.listener, &connection.peer(), failure);
    }
    // Dropping the last Arc closes the descriptor, which is cheaper when nobody else has one.
    source.close(&reason, Arc::strong_count(connection) > 1);
    turn.connection_left(connection);
    connection.heard_out(|| false);
}
