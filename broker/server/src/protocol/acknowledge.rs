//! PUBACK, PUBREC, PUBREL and PUBCOMP from a Client.

use std::sync::Arc;

use lotmq_codec::{Ack, AckType, PacketId, ReasonCode};
use lotmq_session::{AckRefusal, PubrecOutcome, PubrelOutcome};
use lotmq_store::Op;

use super::Open;
use crate::client::{Queued, stored_packet_id};
use crate::close::CloseReason;
use crate::net::arena::Span;
use crate::net::connection::Connection;
use crate::net::turn::Turn;
use crate::release::Release;

pub(super) fn handle(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    ack_type: AckType,
    body: Span,
) -> Result<(), CloseReason> {
    let ack = Ack::decode(ack_type, turn.arena.get(body), open.version)?;
    let (packet_id, reason) = (ack.packet_id, ack.reason);
    match ack_type {
        AckType::Puback => delivered(open, turn, packet_id),
        AckType::Pubrec => received(open, turn, packet_id, reason),
        AckType::Pubrel => released(connection, open, turn, packet_id),
        AckType::Pubcomp => completed(open, turn, packet_id),
    }
    Ok(())
}

/// PUBACK: the message is done, its place in the window is free for the next.
fn delivered(open: &Open, turn: &mut Turn, packet_id: PacketId) {
    let outcome = open.client.state.lock().session.handle_puback(packet_id);
    // One for something unknown may be the echo of an exchange that a reconnect has ended: it changes nothing.
    let Ok(acked) = outcome else { return };
    open.client.message_done(acked.message.as_ref(), turn);
    open.client.send_waiting(turn);
}

/// PUBREC: from now on only PUBREL is sent; a reason of 0x80 and above ends the exchange \[MQTT-4.3.3-4\].
fn received(open: &Open, turn: &mut Turn, packet_id: PacketId, reason: ReasonCode) {
    let outcome = open.client.state.lock().session.handle_pubrec(packet_id, reason);
    match outcome {
        Ok(PubrecOutcome::SendPubrel { message }) => {
            if open.client.is_durable()
                && let Some(message) = message.as_ref().and_then(Queued::stored_id)
            {
                let (session, packet_id) = (open.client.stored_id(), stored_packet_id(packet_id));
                turn.batch.push(Op::PubrecReceived { session, message, packet_id });
            }
            open.acknowledge(turn, AckType::Pubrel, packet_id, ReasonCode::Success);
        }
        Ok(PubrecOutcome::Finished(acked)) => {
            open.client.message_done(acked.message.as_ref(), turn);
            open.client.send_waiting(turn);
        }
        Err(AckRefusal::PacketIdNotFound { .. }) => {
            open.acknowledge(turn, AckType::Pubrel, packet_id, ReasonCode::PacketIdentifierNotFound);
        }
        Err(_) => {}
    }
}

/// PUBCOMP: the identifier is free.
fn completed(open: &Open, turn: &mut Turn, packet_id: PacketId) {
    let outcome = open.client.state.lock().session.handle_pubcomp(packet_id);
    if outcome.is_err() {
        return;
    }
    if open.client.is_durable() {
        let (session, packet_id) = (open.client.stored_id(), stored_packet_id(packet_id));
        turn.batch.push(Op::PubcompReceived { session, packet_id });
    }
    open.client.send_waiting(turn);
}

/// PUBREL: the identifier may be used again when that is durable.
fn released(connection: &Arc<Connection>, open: &Open, turn: &mut Turn, packet_id: PacketId) {
    let outcome = open.client.state.lock().session.handle_pubrel(packet_id);
    let reason = match outcome {
        PubrelOutcome::Released => ReasonCode::Success,
        PubrelOutcome::Unknown => ReasonCode::PacketIdentifierNotFound,
    };
    if outcome == PubrelOutcome::Unknown || !open.client.is_durable() {
        open.acknowledge(turn, AckType::Pubcomp, packet_id, reason);
        return;
    }
    let session = open.client.stored_id();
    turn.batch.push(Op::Qos2Released { session, packet_id: stored_packet_id(packet_id) });
    turn.when_committed(Release::Acknowledge {
        client: Arc::clone(&open.client),
        connection: Arc::clone(connection),
        ack_type: AckType::Pubcomp,
        packet_id,
        reason,
    });
}
