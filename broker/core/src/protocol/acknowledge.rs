//! PUBACK, PUBREC, PUBREL and PUBCOMP from a Client.

use std::sync::Arc;

use lotmq_changes::Op;
use lotmq_codec::{Ack, AckType, PacketId, ReasonCode};
use lotmq_session::{AckRefusal, PubrecOutcome, PubrelOutcome};

use crate::arena::Span;
use crate::connection::Connection;
use crate::fault::{Fault, is_planted};
use crate::limits::EXCHANGES_COUNTED_EACH;
use crate::protocol::phase::Open;
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;
use crate::tenant::client::{Queued, stored_packet_id};
use crate::turn::Turn;
use crate::turn::release::Release;

pub(super) fn handle(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    ack_type: AckType,
    body: Span,
) -> Result<(), CloseReason> {
    let ack = Ack::decode(ack_type, turn.arena.get(body), open.version)?;
    let (packet_id, reason) = (ack.packet_id, ack.reason);
    let taken = match ack_type {
        AckType::Puback => delivered(connection, open, turn, packet_id),
        AckType::Pubrec => received(connection, open, turn, packet_id, reason),
        AckType::Pubrel => {
            released(connection, open, turn, packet_id);
            Ok(())
        }
        AckType::Pubcomp => completed(connection, open, turn, packet_id),
    };
    match taken {
        Err(AckRefusal::Unexpected { packet_id }) => {
            Err(Violation::AcknowledgementOutOfTurn { ack_type, packet_id }.into())
        }
        // One for something unknown may be the echo of an exchange that a reconnect has ended: it
        // changes nothing.
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Handles PUBACK: the message is done, its place in the window is free for the next.
fn delivered(
    connection: &Connection,
    open: &Open,
    turn: &mut Turn,
    packet_id: PacketId,
) -> Result<(), AckRefusal> {
    let outcome = open.client.session_on(connection, |session| session.handle_puback(packet_id));
    let Some(acked) = outcome.transpose()? else { return Ok(()) };
    open.client.message_done(acked.message.as_ref(), turn);
    open.client.send_waiting(turn);
    Ok(())
}

/// Handles PUBREC: from now on only PUBREL is sent; a reason of 0x80 and above ends the exchange
/// \[MQTT-4.3.3-4\].
fn received(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    packet_id: PacketId,
    reason: ReasonCode,
) -> Result<(), AckRefusal> {
    let outcome =
        open.client.exchange_on(connection, turn, |session| session.handle_pubrec(packet_id, reason));
    match outcome {
        Some(Ok(PubrecOutcome::SendPubrel { message })) => {
            send_pubrel(connection, open, turn, packet_id, message.as_ref());
        }
        Some(Ok(PubrecOutcome::Finished(acked))) => {
            open.client.message_done(acked.message.as_ref(), turn);
            open.client.send_waiting(turn);
        }
        // Behind a refusal there is no PUBREL, known identifier or not [MQTT-4.3.3-4].
        Some(Err(AckRefusal::PacketIdNotFound { .. })) if !reason.is_failure() => {
            open.client.not_found(turn, connection, AckType::Pubrel, packet_id);
        }
        Some(Err(refusal)) => return Err(refusal),
        None => {}
    }
    Ok(())
}

/// Sends PUBREL, which lets the Client forget the identifier: after that the message must never be
/// sent again, not after a crash either.
fn send_pubrel(
    connection: &Arc<Connection>,
    open: &Open,
    turn: &mut Turn,
    packet_id: PacketId,
    message: Option<&Queued>,
) {
    let client = &open.client;
    if !client.is_durable() {
        open.acknowledge(turn, connection, AckType::Pubrel, packet_id, ReasonCode::Success);
        return;
    }
    if let Some(message) = message.and_then(Queued::stored_id) {
        let (session, packet_id) = (client.stored_id(), stored_packet_id(packet_id));
        turn.batch.push(Op::PubrecReceived { session, message, packet_id });
    }
    turn.when_all_committed(Release::Acknowledge {
        client: Arc::clone(client),
        connection: Arc::clone(connection),
        ack_type: AckType::Pubrel,
        packet_id,
        reason: ReasonCode::Success,
    });
}

/// Handles PUBCOMP: the identifier is free.
fn completed(
    connection: &Connection,
    open: &Open,
    turn: &mut Turn,
    packet_id: PacketId,
) -> Result<(), AckRefusal> {
    let outcome = open.client.exchange_on(connection, turn, |session| session.handle_pubcomp(packet_id));
    if outcome.transpose()?.is_none() {
        return Ok(());
    }
    if open.client.is_durable() {
        let (session, packet_id) = (open.client.stored_id(), stored_packet_id(packet_id));
        turn.batch.push(Op::PubcompReceived { session, packet_id });
    }
    open.client.send_waiting(turn);
    Ok(())
}

/// Handles PUBREL: the identifier may be used again when that is durable.
fn released(connection: &Arc<Connection>, open: &Open, turn: &mut Turn, packet_id: PacketId) {
    let outcome = open.client.exchange_on(connection, turn, |session| {
        let outcome = match is_planted(Fault::PubrelIgnored) {
            true => PubrelOutcome::Released,
            false => session.handle_pubrel(packet_id),
        };
        (outcome, session.open_exchanges())
    });
    let Some((outcome, exchanges)) = outcome else { return };
    if outcome == PubrelOutcome::Released && (exchanges + 1).is_multiple_of(EXCHANGES_COUNTED_EACH) {
        // Less than before is always taken.
        let _ = open.client.count_exchanges(&turn.core);
    }
    let reason = match outcome {
        PubrelOutcome::Released => ReasonCode::Success,
        PubrelOutcome::Unknown => ReasonCode::PacketIdentifierNotFound,
    };
    if !open.client.is_durable() {
        match outcome {
            PubrelOutcome::Released => {
                open.acknowledge(turn, connection, AckType::Pubcomp, packet_id, reason);
            }
            PubrelOutcome::Unknown => {
                open.client.not_found(turn, connection, AckType::Pubcomp, packet_id);
            }
        }
        return;
    }
    if outcome == PubrelOutcome::Released {
        let session = open.client.stored_id();
        turn.batch.push(Op::Qos2Released { session, packet_id: stored_packet_id(packet_id) });
    }
    // A repeated one promises the same, and the first may still be on its way to the disk.
    turn.when_all_committed(Release::Acknowledge {
        client: Arc::clone(&open.client),
        connection: Arc::clone(connection),
        ack_type: AckType::Pubcomp,
        packet_id,
        reason,
    });
}
