//! The one Client of an embedded broker: it publishes what arrives from outside, and is subscribed to everything that definitions publish.
//!
//! It speaks MQTT 5.0 over a connection within the process, so that a message takes the way of any other: through CONNECT and the rules, a subscription with
//! No Local and Retain As Published, the session and its acknowledgements.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Waker};

use lotmq_auth::AnonymousLogin;
use lotmq_codec::{
    Ack, AckType, Connect, ForwardProperties, PacketId, Properties, ProtocolVersion, Publish, PublishHead,
    QoS, ReasonCode, RetainHandling, ServerPacket, SubscribeFilter, SubscriptionOptions, encode_ack,
    encode_connect, encode_pingreq, encode_publish, encode_subscribe, fixed_header,
};
use lotmq_config::Config;
use lotmq_core::connection::refused::Refusals;
use lotmq_core::connection::{Connection, ListenerTerms};
use lotmq_core::owner::in_memory::{InMemory, Wire};
use lotmq_core::owner::open::OpenConnections;
use lotmq_core::owner::step;
use lotmq_core::turn::Turn;
use lotmq_host::Qos;
use parking_lot::Mutex;

use super::EmbeddedError;
use crate::guests::witness::Published;
use crate::management::broker::Broker;
use crate::process::this_turn;

/// What definitions see as the Client that published what came from outside.
const CLIENT_ID: &str = "lotmq-run";

/// Largest packet that MQTT knows.
const PACKET_BYTES_MAX: u32 = 268_435_460;

const VERSION: ProtocolVersion = ProtocolVersion::V5;

/// Client of an embedded broker, with its end of the connection.
pub(super) struct LocalClient {
    open: OpenConnections<InMemory>,
    connection: Arc<Connection>,
    wire: Arc<Mutex<Wire>>,
    /// A packet that has not come whole.
    partial: Vec<u8>,
    /// Answers that are waited for.
    waiting: usize,
    refused: Option<ReasonCode>,
    /// What has come and nobody has taken.
    pub(super) received: VecDeque<Published>,
}

impl LocalClient {
    /// Connects and subscribes. The calling thread's turn is that of the first shard.
    ///
    /// # Errors
    /// [`EmbeddedError::Disconnected`] when the broker refuses that.
    pub(super) fn connect(broker: &Arc<Broker>, config: &Config) -> Result<Self, EmbeddedError> {
        let terms = Arc::new(ListenerTerms {
            name: "embedded",
            core: Arc::clone(&broker.core),
            limits: config.limits.for_all(),
            reached: broker.limits.add("embedded"),
            anonymous: AnonymousLogin::FromEverywhere,
            refusals: Refusals::default(),
        });
        let home = &broker.net.shards[0].home;
        home.connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut open = OpenConnections::new();
        let place = open.reserve();
        let wire = Arc::new(Mutex::new(Wire::default()));
        wire.lock().has_room(usize::MAX);
        let first_look = broker.clock.now().plus(terms.connect_timeout());
        let transport = InMemory::new(&wire, &broker.tenants.default_tenant());
        let connection = Arc::new(Connection::new(1, (home.number, place), terms, transport));
        this_turn::with(|turn| open.enter(&connection, first_look, turn));
        let mut client = Self {
            open,
            connection,
            wire,
            partial: Vec::new(),
            waiting: 0,
            refused: None,
            received: VecDeque::new(),
        };
        client.send(&connect());
        client.send(&subscribe());
        client.waiting = 2;
        client.take_turns()?;
        Ok(client)
    }

    /// Publishes a message with QoS 0. It has reached everybody after [`LocalClient::take_turns`].
    pub(super) fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        properties: Properties<'_>,
    ) -> Result<(), EmbeddedError> {
        let head = PublishHead {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
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

    fn send(&self, packets: &[u8]) {
        self.wire.lock().arrive(packets);
    }

    /// Takes turns of the thread until nothing is left to be done in them.
    ///
    /// # Errors
    /// [`EmbeddedError::Disconnected`] when the broker has closed the connection.
    pub(super) fn take_turns(&mut self) -> Result<(), EmbeddedError> {
        let mut looks = Vec::new();
        loop {
            let is_due = this_turn::with(|turn| self.take_turn(turn, &mut looks));
            looks.drain(..).for_each(Waker::wake);
            let has_heard = self.receive()?;
            if !is_due && !has_heard && self.waiting == 0 && self.wire.lock().is_read() {
                return Ok(());
            }
        }
    }

    /// Takes one; whether another one is due.
    fn take_turn(&mut self, turn: &mut Turn, looks: &mut Vec<Waker>) -> bool {
        turn.tick();
        // It is driven in each turn, whether somebody has woken it or not.
        let mut cx = Context::from_waker(Waker::noop());
        if step::drive::<InMemory>(&self.connection, turn, &mut cx).is_ready() {
            return false;
        }
        turn.flush();
        let now = turn.core.clock.elapsed();
        let next = self.open.begin_turn(turn, now);
        looks.extend(next.look);
        next.is_due
    }

    /// Ends the connection, which knows the Client that knows it.
    pub(super) fn leave(&mut self) {
        self.wire.lock().end();
        while !this_turn::with(|turn| {
            let mut cx = Context::from_waker(Waker::noop());
            step::drive::<InMemory>(&self.connection, turn, &mut cx).is_ready()
        }) {
            this_turn::with(Turn::flush);
        }
        this_turn::with(Turn::flush);
    }

    /// Lets the thread notice that time has passed.
    pub(super) fn time_passed(&self, broker: &Broker) {
        this_turn::with(|turn| self.open.time_passed(turn, &broker.tenants.all()));
    }

    /// Takes and answers what has come; whether that is anything.
    fn receive(&mut self) -> Result<bool, EmbeddedError> {
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
        if is_closed {
            let reason = self.refused.map_or("the connection was closed", ReasonCode::text);
            return Err(disconnected(reason.to_owned()));
        }
        Ok(has_any)
    }

    fn handle(&mut self, packet: &ServerPacket<'_>) {
        match packet {
            ServerPacket::Publish(publish) => self.got(publish),
            ServerPacket::Ack(ack) if ack.ack_type == AckType::Pubrel => {
                self.send(&acknowledgement(AckType::Pubcomp, ack.packet_id));
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

fn connect() -> Vec<u8> {
    let mut packet = Vec::new();
    let connect = Connect {
        version: VERSION,
        clean_start: true,
        keep_alive: 0,
        properties: Properties::EMPTY,
        client_id: CLIENT_ID,
        will: None,
        user_name: None,
        password: None,
    };
    encode_connect(&mut packet, &connect).expect("the fields are legal");
    packet
}

/// To everything, what it publishes itself and what is retained left out.
fn subscribe() -> Vec<u8> {
    let mut packet = Vec::new();
    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let filters = [SubscribeFilter { filter: "#", options }];
    encode_subscribe(&mut packet, VERSION, PacketId::MIN, Properties::EMPTY, &filters)
        .expect("the filter is legal");
    packet
}

fn acknowledgement(ack_type: AckType, packet_id: PacketId) -> Vec<u8> {
    let mut packet = Vec::new();
    let ack = Ack { ack_type, packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
    encode_ack(&mut packet, VERSION, &ack).expect("success is legal");
    packet
}
