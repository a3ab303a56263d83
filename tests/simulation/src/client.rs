//! A Client that does all that the standard asks of it, and judges what it gets.
//!
//! It keeps its session state over connections as the broker does, sends again after a reconnect, and remembers everything that was handed to
//! its application.

use std::collections::{BTreeMap, BTreeSet};

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::{
    Ack, AckType, Connect, ForwardProperties, PacketId, Properties, PropertyBuf, PropertyId, PropertyPlace,
    PropertyValue, ProtocolVersion, Publish, PublishHead, QoS, ReasonCode, ServerPacket, SubscribeFilter,
    SubscriptionOptions, Will, encode_ack, encode_connect, encode_disconnect_from_client, encode_publish,
    encode_subscribe, encode_unsubscribe, fixed_header,
};

use crate::broker::{ConnectionId, RECEIVE_MAXIMUM};
use crate::model::{Checked, ensure, filter_matches};

/// When a Client hands a QoS 2 message to its application: both are allowed (§4.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    AtPublish,
    AtPubrel,
}

/// What CONNECT says.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    pub(crate) version: ProtocolVersion,
    pub(crate) clean: bool,
    /// Session Expiry Interval in seconds; means nothing before 5.0.
    pub(crate) expiry: u32,
    pub(crate) keep_alive: u16,
    pub(crate) receive_maximum: u16,
    pub(crate) will: Option<WillOf>,
}

#[derive(Debug, Clone)]
pub(crate) struct WillOf {
    pub(crate) topic: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) delay: u32,
}

/// A message as an application got it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Got {
    pub(crate) qos: QoS,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// Who published a message, at which QoS, and its place among all of that publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) publisher: u8,
    pub(crate) qos: QoS,
    pub(crate) sequence: u32,
}

/// Publishers from here on do not count properly.
pub(crate) const RUDE_PUBLISHER: u8 = 200;

impl Tag {
    pub(crate) fn payload(self, filler: usize) -> Vec<u8> {
        let mut payload = vec![self.publisher, self.qos.bits()];
        payload.extend(self.sequence.to_be_bytes());
        payload.resize(payload.len() + filler, b'.');
        payload
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first()?;
        let (qos, rest) = rest.split_first()?;
        let sequence = u32::from_be_bytes(*rest.first_chunk()?);
        Some(Self { publisher: *publisher, qos: QoS::from_bits(*qos)?, sequence })
    }
}

/// What a Client publishes.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) topic: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expiry: Option<u32>,
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug)]
struct Sent {
    packet_id: PacketId,
    message: Outgoing,
    /// PUBREC has come.
    is_received: bool,
    /// PUBLISH went out on this connection.
    counts: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) number: u8,
    pub(crate) method: Method,
    /// The connection, until the Client notices that it is gone.
    pub(crate) connection: Option<ConnectionId>,
    /// CONNACK has come.
    pub(crate) is_open: bool,
    pub(crate) hello: Option<Hello>,
    /// Asks for a clean start until one was confirmed.
    pub(crate) must_be_clean: bool,
    partial: Vec<u8>,
    /// Which of the broker's sessions of this Client its state belongs to.
    pub(crate) generation: Option<u64>,
    sent: Vec<Sent>,
    /// Open QoS 2 exchanges from the broker.
    open: BTreeMap<PacketId, Got>,
    /// PUBLISH packets of this connection that are not finished.
    unfinished: BTreeSet<PacketId>,
    next_packet_id: PacketId,
    filters: BTreeSet<String>,
    pub(crate) got: Vec<Got>,
    /// The newest live message by publisher, topic and the two QoS.
    newest: BTreeMap<(u8, String, QoS, QoS), u32>,
    next_sequence: u32,
    pub(crate) seen: Seen,
}

/// How often a Client met what a run should bring.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) resumed: usize,
    pub(crate) repeated: usize,
    pub(crate) retained: usize,
    pub(crate) handed_over: [usize; 3],
}

impl Client {
    pub(crate) fn new(number: u8, method: Method) -> Self {
        Self {
            id: format!("c{number}"),
            number,
            method,
            connection: None,
            is_open: false,
            hello: None,
            must_be_clean: false,
            partial: Vec::new(),
            generation: None,
            sent: Vec::new(),
            open: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            next_packet_id: PacketId::MIN,
            filters: BTreeSet::new(),
            got: Vec::new(),
            newest: BTreeMap::new(),
            next_sequence: 0,
            seen: Seen::default(),
        }
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        self.hello.as_ref().map_or(ProtocolVersion::V5, |hello| hello.version)
    }

    /// The Client's connection is gone, as it sees it.
    pub(crate) fn leave(&mut self) {
        (self.connection, self.is_open) = (None, false);
        self.partial.clear();
        self.unfinished.clear();
        self.sent.iter_mut().for_each(|sent| sent.counts = false);
    }

    /// Whether nothing of its own messages is unfinished.
    pub(crate) fn is_idle(&self) -> bool {
        self.sent.is_empty() && self.open.is_empty()
    }

    /// Starts a connection; returns CONNECT.
    pub(crate) fn connect(&mut self, connection: ConnectionId, mut hello: Hello) -> Vec<u8> {
        self.leave();
        self.must_be_clean |= hello.clean;
        hello.clean = self.must_be_clean;
        self.connection = Some(connection);
        let packet = encode_hello(&self.id, self.number, &hello);
        self.hello = Some(hello);
        packet
    }

    /// The next tag of this publisher.
    pub(crate) fn tag(&mut self, qos: QoS) -> Tag {
        self.next_sequence += 1;
        Tag { publisher: self.number, qos, sequence: self.next_sequence }
    }

    /// PUBLISH, if the broker's Receive Maximum allows it.
    pub(crate) fn publish(&mut self, message: Outgoing) -> Option<Vec<u8>> {
        if message.qos == QoS::AtMostOnce {
            return Some(encode_message(self.version(), &message, None, false));
        }
        let counted = self.sent.iter().filter(|sent| sent.counts).count();
        if counted >= usize::from(RECEIVE_MAXIMUM) {
            return None;
        }
        let packet_id = self.free_packet_id();
        let packet = encode_message(self.version(), &message, Some(packet_id), false);
        self.sent.push(Sent { packet_id, message, is_received: false, counts: true });
        Some(packet)
    }

    fn free_packet_id(&mut self) -> PacketId {
        loop {
            let packet_id = self.next_packet_id;
            // A small range, so that identifiers are used again soon.
            self.next_packet_id = if packet_id.get() >= 20 { PacketId::MIN } else { packet_id.next() };
            if self.sent.iter().all(|sent| sent.packet_id != packet_id) {
                return packet_id;
            }
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        filter: &str,
        options: SubscriptionOptions,
        identifier: Option<u32>,
    ) -> Vec<u8> {
        self.filters.insert(filter.to_owned());
        let mut properties = PropertyBuf::new();
        if let Some(identifier) = identifier.filter(|_| self.version().has_properties()) {
            properties
                .push(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(identifier))
                .expect("identifiers are small and not 0");
        }
        let packet_id = PacketId::new(1000).expect("1000 is not 0");
        let filters = [SubscribeFilter { filter, options }];
        let mut packet = Vec::new();
        encode_subscribe(&mut packet, self.version(), packet_id, properties.properties(), &filters)
            .expect("the filters are legal");
        packet
    }

    pub(crate) fn unsubscribe(&self, filter: &str) -> Vec<u8> {
        let packet_id = PacketId::new(1001).expect("1001 is not 0");
        let mut packet = Vec::new();
        encode_unsubscribe(&mut packet, self.version(), packet_id, Properties::EMPTY, &[filter])
            .expect("the filters are legal");
        packet
    }

    /// DISCONNECT; before 5.0 it says nothing else.
    pub(crate) fn disconnect(&mut self, reason: ReasonCode, expiry: Option<u32>) -> Vec<u8> {
        let mut properties = PropertyBuf::new();
        if let Some(expiry) = expiry.filter(|_| self.version().has_properties()) {
            properties
                .push(PropertyId::SessionExpiryInterval, PropertyValue::FourByte(expiry))
                .expect("every interval is legal");
        }
        let disconnect = lotmq_codec::Disconnect { reason, properties: properties.properties() };
        let mut packet = Vec::new();
        encode_disconnect_from_client(&mut packet, self.version(), &disconnect)
            .expect("the reason is a Client's");
        self.leave();
        packet
    }

    /// Bytes have come; `generation` is that of the session which CONNACK is about. Returns what the Client answers.
    ///
    /// # Errors
    /// What the broker did wrong.
    pub(crate) fn receive(&mut self, bytes: &[u8], generation: Option<u64>) -> Checked<Vec<u8>> {
        self.partial.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.partial);
        let mut rest = &all[..];
        let mut answers = Vec::new();
        while let Some(header) = fixed_header(rest, PACKET_BYTES_MAX).map_err(|error| error.to_string())?
            && header.packet_len() <= rest.len()
        {
            let (packet, later) = rest.split_at(header.packet_len());
            rest = later;
            let packet =
                ServerPacket::decode(&header, &packet[usize::from(header.header_len)..], self.version())
                    .map_err(|error| format!("{packet:02X?}: {error}"))?;
            self.handle(&packet, generation, &mut answers).map_err(|why| format!("{}: {why}", self.id))?;
        }
        self.partial = rest.to_vec();
        Ok(answers)
    }

    fn handle(
        &mut self,
        packet: &ServerPacket<'_>,
        generation: Option<u64>,
        answers: &mut Vec<u8>,
    ) -> Checked {
        match packet {
            ServerPacket::Connack(connack) => self.opened(connack.session_present, generation, answers),
            packet if !self.is_open => Err(format!("{packet:?} before CONNACK, [MQTT-3.2.0-1]")),
            ServerPacket::Publish(publish) => self.got(publish, answers),
            ServerPacket::Ack(ack) => {
                self.acknowledged(ack, answers);
                Ok(())
            }
            ServerPacket::Suback(_) | ServerPacket::Unsuback(_) | ServerPacket::Pingresp => Ok(()),
            ServerPacket::Disconnect(_) | ServerPacket::Auth(_) => Err(format!("unexpected {packet:?}")),
        }
    }

    fn opened(&mut self, session_present: bool, generation: Option<u64>, answers: &mut Vec<u8>) -> Checked {
        ensure!(!self.is_open, "a second CONNACK");
        ensure!(!(session_present && self.must_be_clean), "a session after a clean start, [MQTT-3.2.2-2]");
        // 3.1 does not say; its Clients hope.
        let session_present = session_present
            || (self.version() == ProtocolVersion::V3_1
                && self.generation == generation
                && !self.must_be_clean);
        let goes_on = session_present && self.generation == generation;
        ensure!(session_present || self.generation != generation, "the session was there and is denied");
        self.is_open = true;
        self.must_be_clean = false;
        if goes_on {
            self.seen.resumed += 1;
        } else {
            self.begin_anew(generation);
        }
        let version = self.version();
        for sent in &mut self.sent {
            let packet = if sent.is_received {
                ack(version, AckType::Pubrel, sent.packet_id)
            } else {
                sent.counts = true;
                encode_message(version, &sent.message, Some(sent.packet_id), true)
            };
            answers.extend(packet);
        }
        Ok(())
    }

    /// The broker has another session for this Client than the one that the Client's state belongs to.
    fn begin_anew(&mut self, generation: Option<u64>) {
        self.generation = generation;
        self.sent.clear();
        self.open.clear();
        self.filters.clear();
        self.got.clear();
        self.newest.clear();
    }

    fn got(&mut self, publish: &Publish<'_>, answers: &mut Vec<u8>) -> Checked {
        let matches = |filter: &String| {
            let shared = filter.strip_prefix("$share/").and_then(|shared| shared.split_once('/'));
            filter_matches(shared.map_or(filter, |(_, filter)| filter), publish.topic)
        };
        ensure!(self.filters.iter().any(matches), "{} matches none of {:?}", publish.topic, self.filters);
        self.seen.repeated += usize::from(publish.dup);
        self.seen.retained += usize::from(publish.retain);
        let (topic, payload) = (publish.topic.to_owned(), publish.payload.to_vec());
        let got = Got { qos: publish.qos, topic, payload };
        let Some(packet_id) = publish.packet_id else { return self.hand_over(got, publish.retain, false) };
        self.unfinished.insert(packet_id);
        let receive_maximum = self.hello.as_ref().map_or(u16::MAX, |hello| hello.receive_maximum);
        let is_kept = !self.version().has_properties() || self.unfinished.len() <= receive_maximum.into();
        ensure!(
            is_kept,
            "{} messages in flight, at most {receive_maximum}, [MQTT-3.3.4-9]",
            self.unfinished.len()
        );
        if publish.qos == QoS::AtLeastOnce {
            self.unfinished.remove(&packet_id);
            self.hand_over(got, publish.retain, publish.dup)?;
            answers.extend(ack(self.version(), AckType::Puback, packet_id));
            return Ok(());
        }
        let known = self.open.insert(packet_id, got.clone());
        ensure!(known.as_ref().is_none_or(|known| *known == got), "{packet_id} is {known:?} and now {got:?}");
        ensure!(known.is_none() || publish.dup, "{packet_id} came again without DUP, [MQTT-3.3.1-1]");
        if known.is_none() && self.method == Method::AtPublish {
            self.hand_over(got, publish.retain, false)?;
        }
        answers.extend(ack(self.version(), AckType::Pubrec, packet_id));
        Ok(())
    }

    /// Gives a message to the application. Live messages of one publisher, topic and QoS come in order \[MQTT-4.6.0-6\].
    fn hand_over(&mut self, got: Got, retain: bool, dup: bool) -> Checked {
        // What a publisher sends again at QoS 1 may be routed again, behind newer ones.
        let tag = Tag::read(&got.payload)
            .filter(|tag| tag.publisher < RUDE_PUBLISHER && tag.qos != QoS::AtLeastOnce);
        if let Some(tag) = tag.filter(|_| !retain && !dup) {
            let key = (tag.publisher, got.topic.clone(), tag.qos, got.qos);
            let newest = self.newest.insert(key, tag.sequence);
            let is_next = newest.is_none_or(|newest| newest <= tag.sequence);
            ensure!(is_next, "{got:?} with {tag:?} after {newest:?}, [MQTT-4.6.0-6]");
        }
        self.keep(got);
        Ok(())
    }

    fn keep(&mut self, got: Got) {
        self.seen.handed_over[usize::from(got.qos.bits())] += 1;
        self.got.push(got);
    }

    fn acknowledged(&mut self, received: &Ack<'_>, answers: &mut Vec<u8>) {
        let packet_id = received.packet_id;
        match received.ack_type {
            AckType::Puback | AckType::Pubcomp => self.sent.retain(|sent| sent.packet_id != packet_id),
            AckType::Pubrec if received.reason.is_failure() => {
                self.sent.retain(|sent| sent.packet_id != packet_id)
            }
            AckType::Pubrec => {
                let same = self.sent.iter_mut().filter(|sent| sent.packet_id == packet_id);
                same.for_each(|sent| sent.is_received = true);
                answers.extend(ack(self.version(), AckType::Pubrel, packet_id));
            }
            AckType::Pubrel => {
                self.unfinished.remove(&packet_id);
                if let (Some(got), Method::AtPubrel) = (self.open.remove(&packet_id), self.method) {
                    self.keep(got);
                }
                answers.extend(ack(self.version(), AckType::Pubcomp, packet_id));
            }
        }
    }
}

fn ack(version: ProtocolVersion, ack_type: AckType, packet_id: PacketId) -> Vec<u8> {
    let mut packet = Vec::new();
    let ack = Ack { ack_type, packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
    encode_ack(&mut packet, version, &ack).expect("success is legal in every version");
    packet
}

pub(crate) fn encode_hello(id: &str, number: u8, hello: &Hello) -> Vec<u8> {
    let mut properties = PropertyBuf::new();
    let mut will_properties = PropertyBuf::new();
    if hello.version.has_properties() {
        let mut push = |id, value| properties.push(id, value).map(drop).expect("the values are legal");
        push(PropertyId::SessionExpiryInterval, PropertyValue::FourByte(hello.expiry));
        push(PropertyId::ReceiveMaximum, PropertyValue::TwoByte(hello.receive_maximum));
        if let Some(will) = &hello.will {
            will_properties
                .push(PropertyId::WillDelayInterval, PropertyValue::FourByte(will.delay))
                .expect("every delay is legal");
        }
    }
    let payload = [number, b'w', b'i', b'l', b'l'];
    let connect = Connect {
        version: hello.version,
        clean_start: hello.clean,
        keep_alive: hello.keep_alive,
        properties: properties.properties(),
        client_id: id,
        will: hello.will.as_ref().map(|will| Will {
            qos: will.qos,
            retain: will.retain,
            properties: will_properties.properties(),
            topic: will.topic,
            payload: &payload,
        }),
        user_name: None,
        password: None,
    };
    let mut packet = Vec::new();
    encode_connect(&mut packet, &connect).expect("the fields are legal");
    packet
}

pub(crate) fn encode_message(
    version: ProtocolVersion,
    message: &Outgoing,
    packet_id: Option<PacketId>,
    dup: bool,
) -> Vec<u8> {
    let mut properties = PropertyBuf::new();
    if let Some(seconds) = message.expiry {
        properties
            .push(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds))
            .expect("every interval is legal");
    }
    let received = Properties::from_raw(properties.properties().raw(), PropertyPlace::PublishFromClient)
        .expect("a list of our own");
    let head = PublishHead {
        dup,
        qos: message.qos,
        retain: message.retain,
        topic: message.topic,
        packet_id,
        properties: ForwardProperties::unaltered(received),
        payload_len: message.payload.len(),
    };
    let mut packet = Vec::new();
    encode_publish(&mut packet, version, &head, &message.payload).expect("the fields are legal");
    packet
}
