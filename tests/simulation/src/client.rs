//! A Client that does all that the standard asks of it, and judges what it gets.
//!
//! It keeps its session state over connections as the broker does, sends again after a reconnect,
//! and tells of everything that happens to it as [`Event`]s, which the book of promises judges.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::{
    Ack, AckType, Connect, ForwardProperties, PacketId, Properties, PropertyBuf, PropertyId, PropertyPlace,
    PropertyValue, ProtocolVersion, Publish, PublishHead, QoS, ReasonCode, ServerPacket, SubscribeFilter,
    SubscriptionOptions, Will, encode_ack, encode_connect, encode_disconnect_from_client, encode_publish,
    encode_subscribe, encode_unsubscribe, fixed_header,
};

use crate::checked::{Checked, ensure, shown};
use crate::machine::ConnectionId;
use crate::matching::{filter_matches, unshared};

/// Most messages of QoS 1 and 2 that a Client has under way.
const IN_FLIGHT_MAX: usize = 8;

/// When a Client hands a QoS 2 message to its application: both are allowed (§4.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    AtPublish,
    AtPubrel,
}

/// Content of a CONNECT packet.
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
    /// Tells it from all other messages.
    pub(crate) tag: Tag,
    pub(crate) topic: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) delay: u32,
}

/// A message as an application got it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Got {
    pub(crate) qos: QoS,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// A message's place in the book of promises.
pub(crate) type MessageId = usize;

impl fmt::Debug for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] at QoS {}", self.topic, shown(&self.payload).trim_end(), self.qos.bits())
    }
}

/// Identity of a message: its publisher, its QoS, and its place among all of that publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) publisher: u8,
    pub(crate) qos: QoS,
    pub(crate) sequence: u32,
}

/// From here on publishers are Wills, those of the Clients in their order: they were made long
/// before they are published.
pub(crate) const WILLS: u8 = 100;

/// From here on publishers are messages with a delay, of the Clients in their order: they come when
/// they are due.
const DELAYED: u8 = 120;

/// From here on publishers are definitions, in their order: their numbers are those of what has
/// triggered them, with its publisher in the first byte.
pub(crate) const EFFECTS: u8 = 140;

/// Publishers from here on do not count properly.
pub(crate) const RUDE_PUBLISHER: u8 = 200;

/// Bits of a sequence that count the messages of a connection; those in front of them number the
/// connection, and for definitions the publisher of the cause.
const MESSAGE_BITS: u32 = 14;
const CONNECTION_BITS: u32 = 24 - MESSAGE_BITS;

/// Publishers of a message: its own, the one of what has triggered it, and the latter's connection,
/// as runs are in order for one connection: they wait on its thread, and those of the next one, on
/// another thread, may begin before them.
type Publishers = (u8, u8, u32);

/// Messages that come in order: their publishers, topic, and the two QoS.
type OrderedLine = (Publishers, String, QoS, QoS);

impl Tag {
    pub(crate) fn payload(self, filler: usize) -> Vec<u8> {
        let mut payload = vec![self.publisher, self.qos.bits()];
        payload.extend(self.sequence.to_be_bytes());
        payload.resize(payload.len() + filler, b'.');
        payload
    }

    /// Returns the publisher of the message. For an effect of a definition, this includes the
    /// publisher of its cause.
    fn publishers(self) -> Publishers {
        if !self.is_of_definition() {
            return (self.publisher, 0, 0);
        }
        let [first, ..] = self.sequence.to_be_bytes();
        (self.publisher, first, self.sequence >> MESSAGE_BITS & ((1 << CONNECTION_BITS) - 1))
    }

    pub(crate) fn is_of_definition(self) -> bool {
        (EFFECTS..RUDE_PUBLISHER).contains(&self.publisher)
    }

    /// Whether messages of this publisher come in the order of their numbers.
    pub(crate) fn is_ordered(self) -> bool {
        self.publisher < WILLS || (self.is_of_definition() && self.publishers().1 < WILLS)
    }

    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first()?;
        let (qos, rest) = rest.split_first()?;
        let sequence = u32::from_be_bytes(*rest.first_chunk()?);
        Some(Self { publisher: *publisher, qos: QoS::from_bits(*qos)?, sequence })
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, topic, qos, retain, expiry, payload } = self;
        let (qos, payload) = (qos.bits(), shown(payload));
        write!(f, "#{id} {topic} [{}] at QoS {qos}, retain {retain}, {expiry:?}", payload.trim_end())
    }
}

/// Message that a Client publishes.
#[derive(Clone)]
pub(crate) struct Outgoing {
    /// In the book of promises.
    pub(crate) id: MessageId,
    pub(crate) topic: &'static str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expiry: Option<u32>,
    pub(crate) payload: Vec<u8>,
}

/// Event that happened to a Client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// CONNACK has come and was a welcome. The Client's state belongs to this generation of its
    /// sessions; a new one has just begun where it was not there.
    Opened { is_present: bool },
    /// CONNACK has come and was none.
    Refused(ReasonCode),
    /// The broker has said DISCONNECT.
    Dismissed(ReasonCode),
    /// A message was acknowledged by PUBACK or PUBREC, or refused; `is_repeated`: it was sent more
    /// than once.
    Acknowledged { message: MessageId, refusal: Option<ReasonCode>, is_repeated: bool },
    /// SUBACK has come: for each filter whether it was granted.
    Subscribed(Vec<(&'static str, bool)>),
    /// UNSUBACK has come: for each filter whether it was done.
    Unsubscribed(Vec<(&'static str, bool)>),
    /// PUBREL has come: the message was not to be sent again from then on.
    Released,
    /// The application has got a message, which `has_just_come` for the first time.
    Got { got: Got, retain: bool, dup: bool, has_just_come: bool },
}

/// Request with a SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug)]
struct Asked {
    packet_id: PacketId,
    filters: Vec<&'static str>,
}

#[derive(Debug)]
struct Sent {
    packet_id: PacketId,
    message: Outgoing,
    /// PUBREC has come.
    is_received: bool,
    /// PUBLISH went out on this connection.
    counts: bool,
    /// PUBLISH went out more than once.
    is_repeated: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) number: u8,
    pub(crate) method: Method,
    /// The connection, until the Client notices that it is gone.
    pub(crate) connection: Option<ConnectionId>,
    /// The one that it had last.
    pub(crate) last_connection: Option<ConnectionId>,
    /// CONNACK has come.
    pub(crate) is_open: bool,
    pub(crate) hello: Option<Hello>,
    /// Its session has state that it does not know.
    pub(crate) has_foreign_state: bool,
    /// The disk has failed: what was refused may come again.
    pub(crate) may_be_refused: bool,
    /// If there is a session, it may be another one than that of its state: of a CONNECT whose
    /// answer it never got.
    pub(crate) is_in_doubt: bool,
    /// Asks for a clean start until one was confirmed.
    pub(crate) must_be_clean: bool,
    partial: Vec<u8>,
    sent: Vec<Sent>,
    /// SUBSCRIBE and UNSUBSCRIBE of this connection without an answer.
    asked: Vec<Asked>,
    /// Open QoS 2 exchanges from the broker.
    open: BTreeMap<PacketId, (Got, bool)>,
    /// PUBLISH packets of this connection that are not finished.
    unfinished: BTreeSet<PacketId>,
    next_packet_id: PacketId,
    next_asked: u16,
    filters: BTreeSet<&'static str>,
    /// The newest live message by publisher, topic and the two QoS.
    newest: BTreeMap<OrderedLine, u32>,
    /// Received messages that a crash may bring once more: of runs of definitions, and at QoS 0 and
    /// 1.
    repeatable: BTreeSet<(OrderedLine, u32)>,
    next_sequence: u32,
    pub(crate) seen: Seen,
}

/// How often a Client met what a run should bring.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) resumed: usize,
    pub(crate) repeated: usize,
    pub(crate) retained: usize,
    pub(crate) refused: usize,
    pub(crate) handed_over: [usize; 3],
}

/// Result of bytes that have come to a Client.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Bytes that it answers.
    pub(crate) answers: Vec<u8>,
    /// Events that happened to it.
    pub(crate) events: Vec<Event>,
}

impl Client {
    pub(crate) fn new(number: u8, method: Method) -> Self {
        Self {
            id: format!("c{number}"),
            number,
            method,
            connection: None,
            last_connection: None,
            is_open: false,
            hello: None,
            has_foreign_state: false,
            may_be_refused: false,
            is_in_doubt: false,
            must_be_clean: false,
            partial: Vec::new(),
            sent: Vec::new(),
            asked: Vec::new(),
            open: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            next_packet_id: PacketId::MIN,
            next_asked: 1000,
            filters: BTreeSet::new(),
            newest: BTreeMap::new(),
            repeatable: BTreeSet::new(),
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
        self.asked.clear();
        self.sent.iter_mut().for_each(|sent| sent.counts = false);
    }

    /// Whether nothing of its own is unfinished.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_open && self.sent.is_empty() && self.open.is_empty() && self.asked.is_empty()
    }

    /// Whether no packet has come in part.
    pub(crate) fn has_whole_packets(&self) -> bool {
        self.partial.is_empty()
    }

    /// Whether it sends a message again when it finds its session.
    pub(crate) fn sends_again(&self, message: MessageId) -> bool {
        self.sent.iter().any(|sent| sent.message.id == message)
    }

    /// Messages that are under way.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = MessageId> {
        self.sent.iter().map(|sent| sent.message.id)
    }

    /// Starts a connection; returns CONNECT.
    pub(crate) fn connect(&mut self, connection: ConnectionId, mut hello: Hello) -> Vec<u8> {
        self.leave();
        self.must_be_clean |= hello.clean;
        hello.clean = self.must_be_clean;
        (self.connection, self.last_connection) = (Some(connection), Some(connection));
        // As many Clients do, so that identifiers are used again soon.
        self.next_packet_id = PacketId::MIN;
        self.next_sequence = (self.next_sequence >> MESSAGE_BITS).wrapping_add(1) << MESSAGE_BITS;
        let packet = encode_hello(&self.id, &hello);
        self.hello = Some(hello);
        packet
    }

    /// The next tag of this publisher.
    pub(crate) fn tag(&mut self, qos: QoS) -> Tag {
        self.next_sequence += 1;
        assert!(
            self.next_sequence >> 24 == 0,
            "a run of fewer steps: a Client has connected more than 1,023 times"
        );
        Tag { publisher: self.number, qos, sequence: self.next_sequence }
    }

    /// The tag of a Will.
    pub(crate) fn will_tag(&mut self, qos: QoS) -> Tag {
        let tag = self.tag(qos);
        Tag { publisher: WILLS + tag.publisher, ..tag }
    }

    /// The tag of a message with a delay.
    pub(crate) fn delayed_tag(&mut self, qos: QoS) -> Tag {
        let tag = self.tag(qos);
        Tag { publisher: DELAYED + tag.publisher, ..tag }
    }

    /// PUBLISH, if not too much is under way.
    pub(crate) fn publish(&mut self, message: &Outgoing) -> Option<Vec<u8>> {
        if message.qos == QoS::AtMostOnce {
            return Some(encode_message(self.version(), message, None, false));
        }
        if self.sent.len() >= IN_FLIGHT_MAX {
            return None;
        }
        let packet_id = self.free_packet_id();
        let packet = encode_message(self.version(), message, Some(packet_id), false);
        let message = message.clone();
        self.sent.push(Sent { packet_id, message, is_received: false, counts: true, is_repeated: false });
        Some(packet)
    }

    /// PUBLISH once more for messages of QoS 2 without an answer, as a Client before 5.0 may send
    /// it at any time.
    pub(crate) fn repeat(&mut self) -> Vec<u8> {
        let version = self.version();
        let unanswered = self.sent.iter_mut().filter(|sent| !sent.is_received && sent.counts);
        let mut packets = Vec::new();
        for sent in unanswered.filter(|sent| sent.message.qos == QoS::ExactlyOnce) {
            sent.is_repeated = true;
            packets.extend(encode_message(version, &sent.message, Some(sent.packet_id), true));
        }
        packets
    }

    fn free_packet_id(&mut self) -> PacketId {
        loop {
            let packet_id = self.next_packet_id;
            // A small range, so that identifiers are used again soon.
            self.next_packet_id = if packet_id.get() >= 10 { PacketId::MIN } else { packet_id.next() };
            if self.sent.iter().all(|sent| sent.packet_id != packet_id) {
                return packet_id;
            }
        }
    }

    fn ask(&mut self, filters: Vec<&'static str>) -> PacketId {
        // No identifier that a message may have.
        self.next_asked = if self.next_asked < 60_000 { self.next_asked + 1 } else { 1000 };
        let packet_id = PacketId::new(self.next_asked).expect("it is 1000 at least");
        self.asked.push(Asked { packet_id, filters });
        packet_id
    }

    pub(crate) fn subscribe(
        &mut self,
        wanted: &[(&'static str, SubscriptionOptions)],
        identifier: Option<u32>,
    ) -> Vec<u8> {
        self.filters.extend(wanted.iter().map(|(filter, _)| *filter));
        let mut properties = PropertyBuf::new();
        if let Some(identifier) = identifier.filter(|_| self.version().has_properties()) {
            properties
                .push(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(identifier))
                .expect("identifiers are small and not 0");
        }
        let packet_id = self.ask(wanted.iter().map(|(filter, _)| *filter).collect());
        let filters: Vec<_> =
            wanted.iter().map(|&(filter, options)| SubscribeFilter { filter, options }).collect();
        let mut packet = Vec::new();
        encode_subscribe(&mut packet, self.version(), packet_id, properties.properties(), &filters)
            .expect("the filters are legal");
        packet
    }

    pub(crate) fn unsubscribe(&mut self, filters: &[&'static str]) -> Vec<u8> {
        let packet_id = self.ask(filters.to_vec());
        let mut packet = Vec::new();
        encode_unsubscribe(&mut packet, self.version(), packet_id, Properties::EMPTY, filters)
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

    /// Takes bytes that have come.
    ///
    /// # Errors
    /// The mistake of the broker.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Checked<Heard> {
        self.partial.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.partial);
        let mut rest = &all[..];
        let mut heard = Heard::default();
        while let Some(header) = fixed_header(rest, PACKET_BYTES_MAX).map_err(|error| error.to_string())?
            && header.packet_len() <= rest.len()
        {
            let (packet, later) = rest.split_at(header.packet_len());
            rest = later;
            let packet =
                ServerPacket::decode(&header, &packet[usize::from(header.header_len)..], self.version())
                    .map_err(|error| format!("{packet:02X?}: {error}"))?;
            self.handle(&packet, &mut heard).map_err(|why| format!("{}: {why}", self.id))?;
        }
        self.partial = rest.to_vec();
        Ok(heard)
    }

    fn handle(&mut self, packet: &ServerPacket<'_>, heard: &mut Heard) -> Checked {
        match packet {
            ServerPacket::Connack(connack) if connack.reason.is_failure() => {
                ensure!(!self.is_open, "a second CONNACK");
                self.seen.refused += 1;
                heard.events.push(Event::Refused(connack.reason));
                Ok(())
            }
            ServerPacket::Connack(connack) => self.opened(connack.session_present, heard),
            packet if !self.is_open => Err(format!("{packet:?} before CONNACK, [MQTT-3.2.0-1]")),
            ServerPacket::Publish(publish) => self.got(publish, heard),
            ServerPacket::Ack(ack) => {
                self.acknowledged(ack, heard);
                Ok(())
            }
            ServerPacket::Suback(suback) => {
                let filters = self.answered(suback.packet_id)?;
                ensure!(suback.codes().len() == filters.len(), "{suback:?} for {filters:?}");
                let granted = suback.codes().map(|code| !code.is_failure());
                heard.events.push(Event::Subscribed(filters.into_iter().zip(granted).collect()));
                Ok(())
            }
            ServerPacket::Unsuback(unsuback) => {
                let filters = self.answered(unsuback.packet_id)?;
                // Before 5.0 there are no codes: it is done.
                let done = unsuback.codes().map(|code| !code.is_failure()).chain(std::iter::repeat(true));
                heard.events.push(Event::Unsubscribed(filters.into_iter().zip(done).collect()));
                Ok(())
            }
            ServerPacket::Pingresp => Ok(()),
            ServerPacket::Disconnect(disconnect) => {
                heard.events.push(Event::Dismissed(disconnect.reason));
                Ok(())
            }
            ServerPacket::Auth(_) => Err(format!("unexpected {packet:?}")),
        }
    }

    fn answered(&mut self, packet_id: PacketId) -> Checked<Vec<&'static str>> {
        let asked = self.asked.iter().position(|asked| asked.packet_id == packet_id);
        let asked = asked.ok_or_else(|| format!("an answer to {packet_id}, which nobody asked"))?;
        Ok(self.asked.remove(asked).filters)
    }

    fn opened(&mut self, is_present: bool, heard: &mut Heard) -> Checked {
        ensure!(!self.is_open, "a second CONNACK");
        ensure!(!(is_present && self.must_be_clean), "a session after a clean start, [MQTT-3.2.2-2]");
        self.is_open = true;
        self.must_be_clean = false;
        heard.events.push(Event::Opened { is_present });
        if is_present {
            self.seen.resumed += 1;
            if self.is_in_doubt {
                self.sent.clear();
                self.open.clear();
                self.newest.clear();
                self.has_foreign_state = true;
            }
        } else {
            self.begin_anew();
        }
        let version = self.version();
        for sent in &mut self.sent {
            let packet = if sent.is_received {
                ack(version, AckType::Pubrel, sent.packet_id)
            } else {
                (sent.counts, sent.is_repeated) = (true, true);
                encode_message(version, &sent.message, Some(sent.packet_id), true)
            };
            heard.answers.extend(packet);
        }
        Ok(())
    }

    /// The broker has another session for this Client than the one that the Client's state belongs
    /// to.
    fn begin_anew(&mut self) {
        self.has_foreign_state = false;
        self.sent.clear();
        self.open.clear();
        self.filters.clear();
        self.newest.clear();
    }

    fn got(&mut self, publish: &Publish<'_>, heard: &mut Heard) -> Checked {
        let matches = |filter: &&'static str| filter_matches(unshared(filter), publish.topic);
        ensure!(self.filters.iter().any(matches), "{} matches none of {:?}", publish.topic, self.filters);
        self.seen.repeated += usize::from(publish.dup);
        self.seen.retained += usize::from(publish.retain);
        let (topic, payload) = (publish.topic.to_owned(), publish.payload.to_vec());
        let got = Got { qos: publish.qos, topic, payload };
        let retain = publish.retain;
        let Some(packet_id) = publish.packet_id else {
            return self.hand_over(got, (retain, false, true), heard);
        };
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
            self.hand_over(got, (retain, publish.dup, true), heard)?;
            heard.answers.extend(ack(self.version(), AckType::Puback, packet_id));
            return Ok(());
        }
        let known = self.open.insert(packet_id, (got.clone(), retain));
        let known = known.map(|(known, _)| known);
        ensure!(known.as_ref().is_none_or(|known| *known == got), "{packet_id} is {known:?} and now {got:?}");
        ensure!(known.is_none() || publish.dup, "{packet_id} came again without DUP, [MQTT-3.3.1-1]");
        if known.is_none() && self.method == Method::AtPublish {
            self.hand_over(got, (retain, false, !publish.dup), heard)?;
        }
        heard.answers.extend(ack(self.version(), AckType::Pubrec, packet_id));
        Ok(())
    }

    /// Gives a message to the application. Live messages of one publisher, topic and QoS come in
    /// order \[MQTT-4.6.0-6\].
    fn hand_over(
        &mut self,
        got: Got,
        (retain, dup, has_just_come): (bool, bool, bool),
        heard: &mut Heard,
    ) -> Checked {
        // A message that a publisher repeats at QoS 1 may be routed again, behind newer ones.
        let tag = Tag::read(&got.payload).filter(|tag| tag.is_ordered() && tag.qos != QoS::AtLeastOnce);
        // If the session of a group's member ends, another member gets its open messages, behind
        // newer ones.
        let is_of_group = |filter: &&'static str| {
            unshared(filter) != *filter && filter_matches(unshared(filter), &got.topic)
        };
        let is_ordered = !retain && !self.may_be_refused && !self.filters.iter().any(is_of_group);
        if let Some(tag) = tag.filter(|_| is_ordered) {
            let key = (tag.publishers(), got.topic.clone(), tag.qos, got.qos);
            // A run that begins again after a crash publishes again what it had, behind what newer
            // ones had. So does a publisher at QoS 2 whose message was not on the disk, when copies
            // of a lower QoS, to sessions that are not there either, had left.
            let may_come_again = tag.is_of_definition() || got.qos != QoS::ExactlyOnce;
            let is_again = may_come_again && !self.repeatable.insert((key.clone(), tag.sequence));
            // A message with DUP has no place in the order. It may have come before, to a
            // connection that was about to break.
            let newest = if dup { None } else { self.newest.insert(key, tag.sequence) };
            let is_next = newest.is_none_or(|newest| newest <= tag.sequence);
            ensure!(is_next || is_again, "{got:?} with {tag:?} after {newest:?}, [MQTT-4.6.0-6]");
        }
        self.keep(got, (retain, dup, has_just_come), heard);
        Ok(())
    }

    fn keep(&mut self, got: Got, (retain, dup, has_just_come): (bool, bool, bool), heard: &mut Heard) {
        self.seen.handed_over[usize::from(got.qos.bits())] += 1;
        heard.events.push(Event::Got { got, retain, dup, has_just_come });
    }

    fn acknowledged(&mut self, received: &Ack<'_>, heard: &mut Heard) {
        let packet_id = received.packet_id;
        match received.ack_type {
            AckType::Puback => self.is_answered(received, heard),
            // A second one, for PUBREL that was sent again, is nothing to a later message with that
            // identifier.
            AckType::Pubcomp => self.sent.retain(|sent| sent.packet_id != packet_id || !sent.is_received),
            AckType::Pubrec if received.reason.is_failure() => self.is_answered(received, heard),
            AckType::Pubrec => {
                let same = self.sent.iter_mut().filter(|sent| sent.packet_id == packet_id);
                same.for_each(|sent| {
                    sent.is_received = true;
                    let (message, is_repeated) = (sent.message.id, sent.is_repeated);
                    heard.events.push(Event::Acknowledged { message, refusal: None, is_repeated });
                });
                heard.answers.extend(ack(self.version(), AckType::Pubrel, packet_id));
            }
            AckType::Pubrel => {
                self.unfinished.remove(&packet_id);
                if let (Some((got, retain)), Method::AtPubrel) = (self.open.remove(&packet_id), self.method) {
                    self.keep(got, (retain, false, false), heard);
                }
                heard.events.push(Event::Released);
                heard.answers.extend(ack(self.version(), AckType::Pubcomp, packet_id));
            }
        }
    }

    /// A message is done with.
    fn is_answered(&mut self, ack: &Ack<'_>, heard: &mut Heard) {
        let refusal = ack.reason.is_failure().then_some(ack.reason);
        for sent in self.sent.extract_if(.., |sent| sent.packet_id == ack.packet_id) {
            let (message, is_repeated) = (sent.message.id, sent.is_repeated);
            heard.events.push(Event::Acknowledged { message, refusal, is_repeated });
        }
    }
}

fn ack(version: ProtocolVersion, ack_type: AckType, packet_id: PacketId) -> Vec<u8> {
    let mut packet = Vec::new();
    let ack = Ack { ack_type, packet_id, reason: ReasonCode::Success, properties: Properties::EMPTY };
    encode_ack(&mut packet, version, &ack).expect("success is legal in every version");
    packet
}

pub(crate) fn encode_hello(id: &str, hello: &Hello) -> Vec<u8> {
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
    let payload = hello.will.as_ref().map(|will| will.tag.payload(4)).unwrap_or_default();
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
