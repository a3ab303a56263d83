//! Effect of each packet of a Client.
//!
//! The connection's owner calls this packet by packet, with the packet's bytes in the turn's arena.
//! An `Err` closes the connection.

pub(crate) mod accept;
pub mod acknowledge;
mod authenticate;
mod banned;
mod bearer;
mod bounds;
pub mod connect;
mod discouraged;
mod exchange;
mod login;
mod member_steps;
pub mod phase;
pub mod publish;
pub(crate) mod reauthenticate;
pub mod request;
pub mod subscribe;
pub mod topic_alias;

use std::num::NonZeroU16;
use std::sync::Arc;

use lotmq_codec::{
    AckType, Disconnect, FixedHeader, PacketId, PacketType, ReasonCode, decode_ping, encode_pingresp,
};

use crate::arena::Span;
use crate::connection::Connection;
use crate::protocol::phase::{Open, Unfinished};
use crate::protocol::topic_alias::TopicAliases;
use crate::reason::close::CloseReason;
use crate::reason::violation::Violation;
use crate::turn::Turn;

impl Open {
    /// Acknowledges a packet at once.
    pub(crate) fn acknowledge(
        &self,
        turn: &mut Turn,
        connection: &Connection,
        ack_type: AckType,
        packet_id: PacketId,
        reason: ReasonCode,
    ) {
        self.client.acknowledge(turn, connection, self.version, ack_type, packet_id, reason);
    }
}

/// Handles one packet.
pub(crate) fn handle(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
    header: FixedHeader,
    packet: Span,
) -> Result<(), CloseReason> {
    let body = packet.slice(usize::from(header.header_len), header.remaining_len as usize);
    let packet_type = header.check_from_client(open.version)?;
    if changes_session(packet_type) {
        open.feeds_store = open.client.is_durable();
    }
    match packet_type {
        PacketType::Publish => publish::handle(connection, open, turn, header, packet, body),
        PacketType::Puback => acknowledge::handle(connection, open, turn, AckType::Puback, body),
        PacketType::Pubrec => acknowledge::handle(connection, open, turn, AckType::Pubrec, body),
        PacketType::Pubrel => acknowledge::handle(connection, open, turn, AckType::Pubrel, body),
        PacketType::Pubcomp => acknowledge::handle(connection, open, turn, AckType::Pubcomp, body),
        PacketType::Subscribe => subscribe::subscribe(connection, open, turn, body),
        PacketType::Unsubscribe => subscribe::unsubscribe(connection, open, turn, body),
        PacketType::Pingreq => {
            decode_ping(turn.arena.get(body))?;
            turn.control(&open.client, connection, encode_pingresp);
            Ok(())
        }
        PacketType::Disconnect => Err(disconnect(open, turn, body)),
        PacketType::Auth => reauthenticate::handle(connection, open, turn, body),
        // A second CONNECT [MQTT-3.1.0-2], packets only a server sends.
        unexpected @ (PacketType::Connect
        | PacketType::Connack
        | PacketType::Suback
        | PacketType::Unsuback
        | PacketType::Pingresp) => Err(Violation::Unexpected(unexpected).into()),
    }
}

/// Whether a packet changes what is stored of a session, or waits for what is: the disk has to keep
/// up with those, as with messages.
const fn changes_session(packet_type: PacketType) -> bool {
    match packet_type {
        PacketType::Puback
        | PacketType::Pubrec
        | PacketType::Pubrel
        | PacketType::Pubcomp
        | PacketType::Subscribe
        | PacketType::Unsubscribe => true,
        PacketType::Publish
        | PacketType::Connect
        | PacketType::Connack
        | PacketType::Suback
        | PacketType::Unsuback
        | PacketType::Pingreq
        | PacketType::Pingresp
        | PacketType::Disconnect
        | PacketType::Auth => false,
    }
}

fn disconnect(open: &Open, turn: &Turn, body: Span) -> CloseReason {
    let disconnect = match Disconnect::decode(turn.arena.get(body), open.version) {
        Ok(disconnect) => disconnect,
        Err(error) => return error.into(),
    };
    let maximum = turn.core.settings.session_expiry_max_of(&open.client.identity());
    let interval = disconnect.properties.session_expiry_interval();
    match open.client.change_expiry(interval, maximum) {
        Ok(()) => CloseReason::Disconnected(disconnect.reason),
        Err(_) => Violation::SessionExpiryRaised.into(),
    }
}

/// Goes on with the packet that is unfinished, if one is.
pub(crate) fn finish(
    connection: &Arc<Connection>,
    open: &mut Open,
    turn: &mut Turn,
) -> Result<(), CloseReason> {
    match open.unfinished.take().map(|unfinished| *unfinished) {
        Some(Unfinished::Subscribe(it)) => it.go_on(connection, open, turn),
        Some(Unfinished::Unsubscribe(it)) => it.go_on(connection, open, turn),
        Some(Unfinished::Asking(it)) => {
            publish::ask_on(open, turn, it);
            Ok(())
        }
        Some(repeated @ (Unfinished::Asked(_) | Unfinished::HeldBack)) => {
            open.unfinished = Some(Box::new(repeated));
            Ok(())
        }
        Some(Unfinished::Publish(it)) => {
            publish::go_on(open, turn, it);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Hands the rest of a message whose publisher's connection ends to the thread: it was accepted, so
/// all of its receivers get it.
pub(crate) fn publish_rest(open: &mut Open, turn: &mut Turn) {
    if let Some(Unfinished::Publish(rest)) = open.unfinished.take().map(|unfinished| *unfinished) {
        rest.leave(turn, &open.client.tenant, Some(&open.client));
    }
}

/// Resolves the Topic Alias of a PUBLISH, before anything else looks at its topic.
pub(crate) fn resolve_alias(
    connection: &Connection,
    open: &mut Open,
    turn: &mut Turn,
    topic: Span,
    alias: Option<NonZeroU16>,
) -> Result<Span, CloseReason> {
    let Some(alias) = alias else { return Ok(topic) };
    let limits = &connection.listener.limits;
    let new = || Box::new(TopicAliases::new(limits.topic_alias_maximum, limits.topic_alias_bytes));
    let aliases = open.aliases.get_or_insert_with(new);
    if !topic.is_empty() {
        aliases.set(alias, turn.arena.text(topic)).map_err(Violation::from)?;
        return Ok(topic);
    }
    let known = aliases.get(alias).map_err(Violation::from)?;
    let known = known.ok_or(Violation::AliasUnknown { alias: alias.get() })?;
    let (topic, ()) = turn.arena.encode(|out| out.extend_from_slice(known.as_bytes()));
    Ok(topic)
}
