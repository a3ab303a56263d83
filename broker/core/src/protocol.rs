//! What each packet of a Client does.
//!
//! Called by the connection's owner, packet by packet, with the packet's bytes in the turn's arena. An `Err` closes the connection.

pub(crate) mod accept;
pub mod acknowledge;
mod authenticate;
mod bounds;
pub mod connect;
mod discouraged;
pub mod foreign;
mod login;
mod not_taken;
pub mod publish;
mod reauthenticate;
pub mod recipient;
pub mod request;
pub mod subscribe;
pub mod topic_alias;
pub mod violation;

use std::num::NonZeroU16;
use std::sync::Arc;

use lotmq_auth::Decide as _;
use lotmq_codec::{
    AckType, Disconnect, FixedHeader, PacketId, PacketType, ProtocolVersion, ReasonCode, decode_ping,
    encode_pingresp,
};
use lotmq_session::{KeepAlive, KeepAliveVerdict, Time};

use crate::client::Client;
use crate::connection::Connection;
use crate::connection::close::CloseReason;
use crate::limits::ClientRate;
use crate::protocol::topic_alias::TopicAliases;
use crate::protocol::violation::Violation;
use crate::routing::fan_out::Remainder;
use crate::routing::route::{Asking, Route};
use crate::turn::Turn;
use crate::turn::arena::Span;
use subscribe::{Subscribing, Unsubscribing};

pub use authenticate::Authenticating;
pub use connect::Certified;
pub(crate) use discouraged::Discouraged;
pub use login::{Login, Outcome};
pub use not_taken::NotTaken;
use reauthenticate::Authentication;

/// Phase of a connection.
pub enum Phase {
    /// Nothing or a part of CONNECT has come.
    New,
    /// CONNECT was read; an exchange of AUTH packets identifies the Client.
    Authenticating(Box<Authenticating>),
    /// CONNECT was read; its password is being checked, or its session cannot be had yet. Nothing is read meanwhile.
    LoggingIn(Login),
    /// CONNECT was accepted.
    Open(Open),
    /// Nothing is read any more.
    Closed,
}

/// State of a connection whose CONNECT was accepted, for its owner.
pub struct Open {
    /// Session of the connection.
    pub client: Arc<Client>,
    pub(crate) version: ProtocolVersion,
    /// Keep Alive: when its silence is too long.
    pub keep_alive: KeepAlive,
    /// Topic for which a PUBLISH was last allowed, and the generation of permissions. Most connections are of Clients that publish nothing.
    pub allowed: Option<Box<(String, u64)>>,
    /// Topic Aliases of the Client, once it used one.
    pub aliases: Option<Box<TopicAliases>>,
    /// Whether QoS 2 exchanges of the Client may be open: it began one on this connection, or its session came with some.
    pub(crate) has_exchanges: bool,
    /// Whether its last message had to be stored: it waits when the disk cannot keep up.
    pub feeds_store: bool,
    /// Whether its last message starts guests: it waits when they cannot keep up.
    pub feeds_guests: bool,
    /// Packet that there was no time to finish. Nothing else of the Client is handled until it is done.
    pub(crate) unfinished: Option<Box<Unfinished>>,
    pub(crate) rare: Option<Box<Rare>>,
}

/// State of a connection that few connections have, so it has memory of its own.
#[derive(Default)]
pub(crate) struct Rare {
    /// The Authentication Method of CONNECT, if it had one.
    pub(crate) authentication: Option<Authentication>,
    /// Rate limit of the Client, where there is one.
    pub(crate) rate: Option<ClientRate>,
    /// When the Client's certificate ends, if it has shown one.
    pub(crate) certificate_ends: Option<Time>,
}

impl Rare {
    /// The state, if there is any.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        let is_any = self.authentication.is_some() || self.rate.is_some() || self.certificate_ends.is_some();
        is_any.then(|| Box::new(self))
    }
}

impl Open {
    /// Whether a message for this topic was taken before, and no rule has changed since: then its text and its bounds are in order, too.
    pub(crate) fn has_published_to(&self, topic: &[u8]) -> bool {
        let Some((known, at)) = self.allowed.as_deref() else { return false };
        *at == self.client.tenant.permissions.generation() && known.as_bytes() == topic
    }

    /// Whether nothing else of the Client may be handled yet.
    pub(crate) fn has_unfinished(&self) -> bool {
        !matches!(self.unfinished.as_deref(), None | Some(Unfinished::Asked(_)))
    }

    /// Whether the packet that was begun last has to be handled once more, from its beginning.
    pub(crate) fn repeats_packet(&self) -> bool {
        matches!(self.unfinished.as_deref(), Some(Unfinished::Asking(_) | Unfinished::Asked(_)))
    }

    /// How fast the Client may send, where that is bounded.
    pub(crate) fn rate(&self) -> Option<&ClientRate> {
        self.rare.as_ref()?.rate.as_ref()
    }

    /// Rate limit of the Client, to count what it sends.
    pub(crate) fn rate_mut(&mut self) -> Option<&mut ClientRate> {
        self.rare.as_mut()?.rate.as_mut()
    }

    /// When the Client's certificate ends, if it has shown one.
    pub(crate) fn certificate_ends(&self) -> Option<Time> {
        self.rare.as_ref()?.certificate_ends
    }

    /// Next check of the connection: as its Keep Alive says, at the latest when its certificate ends.
    pub(crate) fn until_certificate_ends(&self, verdict: KeepAliveVerdict) -> KeepAliveVerdict {
        match (verdict, self.certificate_ends()) {
            (KeepAliveVerdict::AliveUntil(at), Some(end)) => KeepAliveVerdict::AliveUntil(at.min(end)),
            (KeepAliveVerdict::Off, Some(end)) => KeepAliveVerdict::AliveUntil(end),
            (verdict, _) => verdict,
        }
    }

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

/// A packet for which the time of a turn did not suffice.
pub enum Unfinished {
    /// A SUBSCRIBE with filters left.
    Subscribe(Subscribing),
    /// An UNSUBSCRIBE with filters left.
    Unsubscribe(Unsubscribing),
    /// A PUBLISH that waits until rules have been asked about its receivers. Its bytes stay in the input as they came.
    Asking(Box<Asking>),
    /// A PUBLISH whose route is known, or which waits until earlier messages have been delivered.
    Asked(Arc<Route>),
    /// A message with receivers left.
    Publish(Box<Remainder>),
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
    match header.check_from_client(open.version)? {
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
        Some(Unfinished::Asked(route)) => {
            open.unfinished = Some(Box::new(Unfinished::Asked(route)));
            Ok(())
        }
        Some(Unfinished::Publish(it)) => {
            publish::go_on(open, turn, it);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Hands the rest of a message whose publisher's connection ends to the thread: it was accepted, so all of its receivers get it.
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
