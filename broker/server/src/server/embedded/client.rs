//! A Client of an embedded broker: it publishes what arrives from outside, or is subscribed to what
//! comes of that.
//!
//! It speaks MQTT 5.0 over a connection within the process, so that a message takes the way of any
//! other: through CONNECT and the rules, a subscription, the session and its acknowledgements. It
//! says without a password who it is, as one with a certificate does. Not here: whose turn it is
//! (`clients`).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use lotmq_auth::{AccountReference, Denier, Identity, Peer, Principal, Question, Scope};
use lotmq_codec::{
    Ack, AckType, Connect, EncodeError, ForwardProperties, PacketId, Properties, ProtocolVersion, Publish,
    PublishHead, QoS, ReasonCode, RetainHandling, ServerPacket, SubscribeFilter, SubscriptionOptions,
    encode_ack, encode_connect, encode_pingreq, encode_publish, encode_subscribe, fixed_header,
};
use lotmq_core::connection::Connection;
use lotmq_core::connection::peer::Certified;
use lotmq_core::owner::in_memory::Wire;
use lotmq_core::tenant::Tenant;
use lotmq_host::Qos;
use parking_lot::Mutex;

use super::EmbeddedError;
use lotmq_operations::denials;
use lotmq_programs::recorder::{Denial, Published};

/// Client Identifier of outside messages whose Client has no name, as definitions see it.
const CLIENT_ID: &str = "lotmq-run";

/// Largest packet that MQTT knows.
const PACKET_BYTES_MAX: u32 = 268_435_460;

const VERSION: ProtocolVersion = ProtocolVersion::V5;

/// Identity of a Client: what rules know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Its user; `None` for an anonymous one.
    pub user: Option<String>,
    /// Client Identifier.
    pub client_id: String,
    /// Address that it comes from; `None` for this machine's.
    pub address: Option<IpAddr>,
}

impl ClientIdentity {
    /// A Client of which this much is said: it is called as its user, where its identifier is not
    /// said, and `lotmq-run` where the user is not either.
    #[must_use]
    pub fn of(user: Option<String>, client_id: Option<String>, address: Option<IpAddr>) -> Self {
        let client_id = client_id.or_else(|| user.clone()).unwrap_or_else(|| CLIENT_ID.to_owned());
        Self { user, client_id, address }
    }

    /// That rules did not let it connect.
    pub(super) fn denial(&self, tenant: &Tenant) -> Denial {
        let user = self.user.as_deref();
        let principal = user.map(|user| Principal::of_reference(AccountReference::read(user)));
        let peer = Peer::Tcp(self.address.unwrap_or(Ipv4Addr::LOCALHOST.into()));
        let principal = principal.unwrap_or_else(Principal::anonymous);
        let mut identity = Identity::new(principal, Arc::from(&*self.client_id), peer);
        identity.protocol_version = Some(VERSION.level());
        let question = Question::operation(&identity, Scope::Connect);
        Denial {
            scope: Scope::Connect.name(),
            topic: None,
            user: self.user.clone(),
            client_id: self.client_id.clone(),
            by: denials::by(tenant, &tenant.permissions.denier(&question).unwrap_or(Denier::Nobody)),
        }
    }
}

/// Message that a Client publishes.
#[derive(Clone, Copy, Debug)]
pub struct Arriving<'a> {
    /// Topic Name.
    pub topic: &'a str,
    /// Payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// RETAIN.
    pub retain: bool,
    /// Properties of MQTT 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Arriving<'a> {
    /// A message with QoS 0, without RETAIN and properties.
    #[must_use]
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self { topic, payload, qos: QoS::AtMostOnce, retain: false, properties: Properties::EMPTY }
    }
}

/// Client of an embedded broker, with its end of the connection.
pub(super) struct LocalClient {
    pub(super) identity: ClientIdentity,
    pub(super) connection: Arc<Connection>,
    wire: Arc<Mutex<Wire>>,
    /// A packet that has not come whole.
    partial: Vec<u8>,
    /// Answers that are waited for.
    waiting: usize,
    last_packet_id: PacketId,
    /// Why the broker has refused or ended the connection.
    pub(super) refused: Option<ReasonCode>,
    /// The broker has closed the connection.
    pub(super) is_closed: bool,
    /// Received messages that nobody has taken.
    pub(super) received: VecDeque<Published>,
}

impl LocalClient {
    /// A wire to a Client that says who it is, on which it sends CONNECT.
    ///
    /// # Errors
    /// [`EmbeddedError::ClientIdentifier`].
    pub(super) fn wire(identity: &ClientIdentity) -> Result<Arc<Mutex<Wire>>, EmbeddedError> {
        let certified = identity.user.as_deref().map(|user| Certified::User(user.into()));
        let mut wire = Wire::default();
        (wire.address, wire.certified) = (identity.address, certified);
        wire.has_room(usize::MAX);
        let client_id = &identity.client_id;
        let hello = connect(client_id).map_err(|error| EmbeddedError::ClientIdentifier {
            client_id: client_id.clone(),
            reason: error.to_string(),
        })?;
        wire.arrive(&hello);
        Ok(Arc::new(Mutex::new(wire)))
    }

    /// The Client at the other end of a wire on which CONNECT is sent.
    pub(super) fn new(identity: ClientIdentity, connection: Arc<Connection>, wire: Arc<Mutex<Wire>>) -> Self {
        Self {
            identity,
            connection,
            wire,
            partial: Vec::new(),
            waiting: 1,
            last_packet_id: PacketId::MIN,
            refused: None,
            is_closed: false,
            received: VecDeque::new(),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`EmbeddedError::Unencodable`].
    pub(super) fn publish(&mut self, message: &Arriving<'_>) -> Result<(), EmbeddedError> {
        let Arriving { topic, payload, qos, retain, properties } = *message;
        let head = PublishHead {
            dup: false,
            qos,
            retain,
            topic,
            packet_id: (qos != QoS::AtMostOnce).then(|| self.next_packet_id()),
            properties: ForwardProperties::unaltered(properties),
            payload_len: payload.len(),
        };
        let mut packets = Vec::new();
        encode_publish(&mut packets, VERSION, &head, payload).map_err(|error| {
            EmbeddedError::Unencodable { topic: topic.to_owned(), reason: error.to_string() }
        })?;
        // The answer to it says that what is in front of it was handled.
        encode_pingreq(&mut packets);
        self.waiting += 1;
        self.send(&packets);
        Ok(())
    }

    /// Asks for what a filter matches.
    ///
    /// # Errors
    /// [`EmbeddedError::Unencodable`].
    pub(super) fn subscribe(
        &mut self,
        filter: &str,
        options: SubscriptionOptions,
    ) -> Result<(), EmbeddedError> {
        let (packet_id, filters) = (self.next_packet_id(), [SubscribeFilter { filter, options }]);
        let mut packet = Vec::new();
        encode_subscribe(&mut packet, VERSION, packet_id, Properties::EMPTY, &filters).map_err(|error| {
            EmbeddedError::Unencodable { topic: filter.to_owned(), reason: error.to_string() }
        })?;
        self.waiting += 1;
        self.send(&packet);
        Ok(())
    }

    fn next_packet_id(&mut self) -> PacketId {
        self.last_packet_id = self.last_packet_id.next();
        self.last_packet_id
    }

    fn send(&self, packets: &[u8]) {
        self.wire.lock().arrive(packets);
    }

    /// Nothing more comes of it.
    pub(super) fn leave(&self) {
        self.wire.lock().end();
    }

    /// Whether it waits for nothing, and nothing of it waits.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_closed || (self.waiting == 0 && self.wire.lock().is_read())
    }

    /// The broker has ended the connection.
    pub(super) fn disconnected(&self) -> EmbeddedError {
        let reason = self.refused.map_or("the connection was closed", ReasonCode::text);
        EmbeddedError::Disconnected { reason: reason.to_owned() }
    }

    /// Takes and answers what has come; whether that is anything.
    ///
    /// # Errors
    /// [`EmbeddedError::Disconnected`] where that is not MQTT.
    pub(super) fn receive(&mut self) -> Result<bool, EmbeddedError> {
        let (written, is_closed) = {
            let mut wire = self.wire.lock();
            wire.has_room(usize::MAX);
            (std::mem::take(&mut wire.written), wire.is_closed)
        };
        let disconnected = |reason: String| EmbeddedError::Disconnected { reason };
        let has_any = !written.is_empty();
        self.partial.extend_from_slice(&written);
        let all = std::mem::take(&mut self.partial);
        let mut rest = &all[..];
        while let Some(header) =
            fixed_header(rest, PACKET_BYTES_MAX).map_err(|error| disconnected(error.to_string()))?
            && header.packet_len() <= rest.len()
        {
            let (packet, later) = rest.split_at(header.packet_len());
            rest = later;
            let packet = ServerPacket::decode(&header, &packet[usize::from(header.header_len)..], VERSION)
                .map_err(|error| disconnected(error.to_string()))?;
            self.handle(&packet);
        }
        self.partial = rest.to_vec();
        self.is_closed |= is_closed;
        Ok(has_any)
    }

    fn handle(&mut self, packet: &ServerPacket<'_>) {
        match packet {
            ServerPacket::Publish(publish) => self.got(publish),
            ServerPacket::Ack(ack) if ack.ack_type == AckType::Pubrel => {
                self.send(&acknowledgement(AckType::Pubcomp, ack.packet_id));
            }
            ServerPacket::Ack(ack) if ack.ack_type == AckType::Pubrec && !ack.reason.is_failure() => {
                self.send(&acknowledgement(AckType::Pubrel, ack.packet_id));
            }
            ServerPacket::Ack(_) | ServerPacket::Unsuback(_) | ServerPacket::Auth(_) => {}
            ServerPacket::Connack(connack) if connack.reason.is_failure() => {
                self.refused = Some(connack.reason)
            }
            ServerPacket::Connack(_) | ServerPacket::Suback(_) | ServerPacket::Pingresp => {
                self.waiting = self.waiting.saturating_sub(1);
            }
            ServerPacket::Disconnect(disconnect) => self.refused = Some(disconnect.reason),
        }
    }

    fn got(&mut self, publish: &Publish<'_>) {
        let qos = match publish.qos {
            QoS::AtMostOnce => Qos::AtMostOnce,
            QoS::AtLeastOnce => Qos::AtLeastOnce,
            QoS::ExactlyOnce => Qos::ExactlyOnce,
        };
        self.received.push_back(Published {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos,
            retain: publish.retain,
            properties: publish.properties.raw().to_vec(),
        });
        let ack_type = match publish.qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => AckType::Puback,
            QoS::ExactlyOnce => AckType::Pubrec,
        };
        if let Some(packet_id) = publish.packet_id {
            self.send(&acknowledgement(ack_type, packet_id));
        }
    }
}

fn connect(client_id: &str) -> Result<Vec<u8>, EncodeError> {
    let mut packet = Vec::new();
    let connect = Connect {
        version: VERSION,
        clean_start: true,
        keep_alive: 0,
        properties: Properties::EMPTY,
        client_id,
        will: None,
        user_name: None,
        password: None,
    };
    encode_connect(&mut packet, &connect)?;
    Ok(packet)
}

/// To all that is published, as it is published, and to nothing that is retained.
pub(super) const EVERYTHING: SubscriptionOptions = SubscriptionOptions {
    qos: QoS::ExactlyOnce,
    no_local: false,
    retain_as_published: true,
    retain_handling: RetainHandling::DoNotSend,
};

/// To what is published and retained, as Clients are that say nothing else.
pub(super) const ORDINARY: SubscriptionOptions = SubscriptionOptions {
    qos: QoS::ExactlyOnce,
    no_local: false,
    retain_as_published: false,
    retain_handling: RetainHandling::Send,
};

fn acknowledgement(ack_type: AckType, packet_id: PacketId) -> Vec<u8> {
    let mut packet = Vec::new();
    let ack = Ack { ack_type, packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
    encode_ack(&mut packet, VERSION, &ack).expect("success is legal");
    packet
}
