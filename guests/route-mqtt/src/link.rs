//! Client side of one connection to another broker: bytes and time in, events and bytes out.
//!
//! In: [`Link::receive`], then [`Link::next_event`] until there is none. Out: [`Link::output`].
//! Unacknowledged messages are in the broker's window until [`Event::Settled`].
//!
//! QoS 2 exchanges of a kept session outlive the connection. After a crash, our state may be older
//! than the broker's. So a resumed session first releases all identifiers not known to be in use.
//! Without that, the broker would drop a new message with such an identifier. A received message is
//! a repeat only if it has DUP and is the same.
//!
//! Invariants: a packet identifier is in use at most once. Unfinished messages of QoS 1 and 2 never
//! exceed the broker's limit.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use lotmq_codec::{
    Ack, AckType, Connack, Connect, Disconnect, EncodeError, FixedHeader, ForwardProperties, PacketId,
    PacketType, Properties, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, Publish, PublishHead,
    QoS, ReasonCode, ServerPacket, SubscribeFilter, encode_ack, encode_connect,
    encode_disconnect_from_client, encode_pingreq, encode_publish, encode_subscribe, encode_unsubscribe,
    fixed_header,
};

use crate::config::FarConfig;
use crate::limits::{
    MESSAGE_ID_MAX, OUTPUT_BYTES_MAX, PACKET_BYTES_MAX, PIECE_BYTES, RECEIVE_MAXIMUM, WINDOW_MAX,
    WINDOW_V3_MAX,
};
use crate::message::{self, Passing};
use crate::window::Window;

/// First identifier of a SUBSCRIBE or UNSUBSCRIBE, from which they go down.
const ASKING_ID_FIRST: PacketId = PacketId::new(u16::MAX).expect("it is not 0");

/// Bit of the protocol level for bridges. Brokers that know it send nothing back and keep RETAIN.
const BRIDGE_BIT: u8 = 0x80;

/// User Property by which the zstd stream is asked for and granted, `docs/zstd-transport.md`.
const ZSTD: (&str, &str) = ("lotmq-zstd", "1");

/// How a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dialect {
    pub(crate) version: ProtocolVersion,
    /// Whether it marks itself as a bridge, before 5.0.
    pub(crate) says_bridge: bool,
}

/// Limits that the broker reported.
#[derive(Debug)]
struct Limits {
    window: usize,
    packet_bytes: usize,
    qos: u8,
    takes_retained: bool,
    numbers_subscriptions: bool,
    keep_alive_ms: u64,
}

/// Owner of a message, which learns when it is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Owner {
    /// The host, which knows it as the delivery of this sequence number.
    Delivery(u64),
    /// The origin, by its token in the [`Inbox`](crate::inbox::Inbox).
    Forward(u64),
    /// Nobody: it is retained here, and stays so.
    Retained,
}

/// A message of QoS 1 or 2 that is not acknowledged yet.
#[derive(Debug)]
struct Unfinished {
    /// `None` of what a former connection has left, whose message has not come again.
    owner: Option<Owner>,
    qos: u8,
    /// Whether the broker has it, and the identifier is being released.
    is_released: bool,
    fingerprint: u64,
}

/// Event on a connection.
#[derive(Debug)]
pub(crate) enum Event {
    /// The broker has taken the connection.
    Connected(Granted),
    /// It has not, for this reason.
    Refused(ReasonCode),
    /// A message.
    Message(Inbound),
    /// A message that is larger than what is taken; its bytes are left out.
    TooLarge { topic: String, bytes: usize, receipt: Option<Receipt> },
    /// A message of ours is done, or was refused.
    Settled { owner: Owner, refusal: Option<ReasonCode> },
    /// Result for the filter of a SUBSCRIBE.
    Subscribed { id: u16, code: ReasonCode },
    /// Any other sign of life.
    Alive,
    /// The broker ends the connection, for this reason.
    Ended(ReasonCode),
}

/// Content of the CONNACK of an accepted connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Granted {
    /// Whether the session was kept.
    pub(crate) session_present: bool,
    /// Whether everything behind it is a zstd stream.
    pub(crate) zstd: bool,
}

/// A message that was received.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) message: Passing<'static>,
    /// Subscription Identifiers that it came by.
    pub(crate) subscriptions: Vec<u32>,
    /// Receipt to acknowledge; `None` for QoS 0.
    pub(crate) receipt: Option<Receipt>,
}

/// Identifier and QoS of a message that is to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Receipt {
    pub(crate) id: u16,
    pub(crate) qos: u8,
}

/// The connection cannot go on; with the reason for people.
#[derive(Debug, PartialEq)]
pub(crate) struct Broken(pub(crate) String);

/// Why a message cannot be sent to this broker.
#[derive(Debug, PartialEq)]
pub(crate) enum Unsendable {
    /// More are unfinished than it takes; later.
    NoRoom,
    /// Never; with the reason for people.
    Never(String),
}

/// Exchange of QoS 2 with a message that was sent and is not finished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SentExchange {
    pub(crate) fingerprint: u64,
    pub(crate) id: u16,
    /// Whether the broker has the message, which must not be sent again.
    pub(crate) is_released: bool,
}

/// Part of a session that outlives its connections: exchanges of QoS 2.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exchanges {
    pub(crate) sent: Vec<SentExchange>,
    /// Identifiers and fingerprints of messages that were received and are not released.
    pub(crate) received: BTreeMap<u16, u32>,
}

/// Message of QoS 2 that was received and is not released.
#[derive(Debug)]
struct Received {
    fingerprint: u32,
    /// Whether it is acknowledged.
    is_acknowledged: bool,
}

#[derive(Debug)]
pub(crate) struct Link {
    dialect: Dialect,
    input: Vec<u8>,
    /// Bytes of `input` that are done.
    consumed: usize,
    /// Bytes of a message that are left out.
    skipped: usize,
    output: Vec<u8>,
    /// Bytes of `output` that were sent.
    sent: usize,
    /// Properties of the message that was sent last.
    properties: PropertyBuf,
    /// The bridges that they name, where there is nothing else: most messages have the same.
    plain: Option<Rc<str>>,
    /// Identifier of the next message.
    next_id: u16,
    /// Identifier of the next SUBSCRIBE or UNSUBSCRIBE.
    next_asking_id: PacketId,
    unfinished: Window<Unfinished>,
    /// Exchanges that the broker has of a former connection.
    former: Vec<SentExchange>,
    /// Identifiers whose release is unconfirmed, if the broker may have unknown exchanges.
    unreleased: BTreeSet<u16>,
    received: BTreeMap<u16, Received>,
    /// Whether exchanges of QoS 2 may be others than when they were asked for last.
    has_exchanged: bool,
    limits: Limits,
    sent_at: u64,
    /// Since when a sign of life is waited for.
    asked_at: Option<u64>,
    /// How many PINGREQ have no PINGRESP yet.
    pings: u32,
}

impl Link {
    pub(crate) fn new(dialect: Dialect, now: u64) -> Link {
        let window = if dialect.version == ProtocolVersion::V5 { WINDOW_MAX } else { WINDOW_V3_MAX };
        Link {
            dialect,
            input: Vec::new(),
            consumed: 0,
            skipped: 0,
            output: Vec::new(),
            sent: 0,
            properties: PropertyBuf::new(),
            plain: None,
            next_id: 1,
            next_asking_id: ASKING_ID_FIRST,
            unfinished: Window::default(),
            former: Vec::new(),
            unreleased: BTreeSet::new(),
            received: BTreeMap::new(),
            has_exchanged: true,
            limits: Limits {
                window,
                packet_bytes: usize::MAX,
                qos: 2,
                takes_retained: true,
                numbers_subscriptions: true,
                keep_alive_ms: 0,
            },
            sent_at: now,
            asked_at: None,
            pings: 0,
        }
    }

    pub(crate) fn is_v5(&self) -> bool {
        self.dialect.version == ProtocolVersion::V5
    }

    /// Whether the broker sends back what was published over this connection.
    pub(crate) fn echoes(&self) -> bool {
        !self.is_v5() && !self.dialect.says_bridge
    }

    /// Begins with CONNECT.
    pub(crate) fn connect(&mut self, far: &FarConfig, client_id: &str, is_clean: bool) -> Result<(), Broken> {
        self.limits.keep_alive_ms = u64::from(far.keep_alive) * 1000;
        let mut properties = PropertyBuf::new();
        if self.is_v5() {
            let expiry = if is_clean { 0 } else { u32::MAX };
            let list = [
                (PropertyId::SessionExpiryInterval, PropertyValue::FourByte(expiry)),
                (PropertyId::ReceiveMaximum, PropertyValue::TwoByte(RECEIVE_MAXIMUM)),
                (PropertyId::MaximumPacketSize, PropertyValue::FourByte(PACKET_BYTES_MAX)),
            ];
            for (id, value) in list {
                properties.push(id, value).map_err(unencodable)?;
            }
            if far.wants_zstd {
                let (name, value) = ZSTD;
                let wanted = PropertyValue::Utf8Pair(name, value);
                properties.push(PropertyId::UserProperty, wanted).map_err(unencodable)?;
            }
        }
        let connect = Connect {
            version: self.dialect.version,
            clean_start: is_clean,
            keep_alive: far.keep_alive,
            properties: properties.properties(),
            client_id,
            will: None,
            user_name: far.username.as_deref(),
            password: far.password.as_deref().map(str::as_bytes),
        };
        let start = self.output.len();
        encode_connect(&mut self.output, &connect).map_err(unencodable)?;
        if self.dialect.says_bridge {
            // Behind the fixed header and the protocol's name, which has two bytes of length.
            let name = 2 + self.dialect.version.protocol_name().len();
            let header = self.output[start + 1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 2;
            if let Some(level) = self.output.get_mut(start + header + name) {
                *level |= BRIDGE_BIT;
            }
        }
        Ok(())
    }

    /// Resumes the exchanges of a kept session. If it sends QoS 2, first releases all unknown ones.
    pub(crate) fn resume(&mut self, exchanges: Exchanges, sends_twos: bool) {
        self.former = exchanges.sent;
        let received = |(id, fingerprint)| (id, Received { fingerprint, is_acknowledged: true });
        self.received = exchanges.received.into_iter().map(received).collect();
        self.has_exchanged = true;
        if sends_twos {
            let mut unreleased: BTreeSet<u16> = (1..=MESSAGE_ID_MAX).collect();
            self.former.iter().for_each(|it| _ = unreleased.remove(&it.id));
            unreleased.iter().for_each(|id| self.ack(AckType::Pubrel, *id, ReasonCode::Success));
            self.unreleased = unreleased;
        }
    }

    /// Returns the part of the session that outlives this connection.
    pub(crate) fn exchanges(&self) -> Exchanges {
        let twos = self.unfinished.iter().filter(|(_, it)| it.qos == 2).map(|(id, it)| {
            let Unfinished { is_released, fingerprint, .. } = *it;
            SentExchange { fingerprint, id, is_released }
        });
        let sent = twos.chain(self.former.iter().copied()).collect();
        let received = self.received.iter().filter(|(_, it)| it.is_acknowledged);
        Exchanges { sent, received: received.map(|(id, it)| (*id, it.fingerprint)).collect() }
    }

    /// The same, if it may have changed since this was called.
    pub(crate) fn changed_exchanges(&mut self) -> Option<Exchanges> {
        std::mem::take(&mut self.has_exchanged).then(|| self.exchanges())
    }

    /// Owners of the messages that the broker has not acknowledged.
    pub(crate) fn owners(&self) -> impl Iterator<Item = Owner> {
        self.unfinished.iter().filter_map(|(_, unfinished)| unfinished.owner)
    }

    /// Subscribes with `number` as Subscription Identifier if supported. Returns the packet
    /// identifier.
    pub(crate) fn subscribe(&mut self, filter: SubscribeFilter<'_>, number: u32) -> Result<u16, Broken> {
        let mut properties = PropertyBuf::new();
        if self.is_v5() && self.limits.numbers_subscriptions {
            properties
                .push(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(number))
                .map_err(unencodable)?;
        }
        let id = self.asking_id();
        encode_subscribe(&mut self.output, self.dialect.version, id, properties.properties(), &[filter])
            .map_err(unencodable)?;
        Ok(id.get())
    }

    pub(crate) fn unsubscribe(&mut self, filters: &[&str]) -> Result<(), Broken> {
        if filters.is_empty() {
            return Ok(());
        }
        let id = self.asking_id();
        encode_unsubscribe(&mut self.output, self.dialect.version, id, Properties::EMPTY, filters)
            .map_err(unencodable)
    }

    /// Whether a message more can be encoded now.
    pub(crate) fn has_room(&self) -> bool {
        let is_ready = self.unreleased.is_empty();
        is_ready
            && self.unfinished.len() < self.limits.window
            && self.output.len() - self.sent < OUTPUT_BYTES_MAX
    }

    /// Sends a message. Takes its fingerprint if its exchange must be recognized later. Returns its
    /// identifier if an acknowledgement will follow.
    pub(crate) fn publish(
        &mut self,
        message: &Passing<'_>,
        owner: Owner,
        fingerprint: impl FnOnce() -> u64,
    ) -> Result<Option<u16>, Unsendable> {
        if !self.has_room() {
            return Err(Unsendable::NoRoom);
        }
        let qos = message.qos.min(self.limits.qos);
        let fingerprint = if qos == 2 { fingerprint() } else { 0 };
        self.has_exchanged |= qos == 2;
        let (id, dup) = match qos {
            0 => (None, false),
            1 => (Some(self.free_id()), false),
            _ => match self.known_exchange(fingerprint) {
                Some(SentExchange { id, is_released: true, .. }) => {
                    let owner = Some(owner);
                    self.unfinished.insert(id, Unfinished { owner, qos, is_released: true, fingerprint });
                    return Ok(Some(id));
                }
                Some(SentExchange { id, is_released: false, .. }) => (PacketId::new(id), true),
                None => (Some(self.free_id()), false),
            },
        };
        let never = |error: EncodeError| Unsendable::Never(error.to_string());
        if self.is_v5() {
            self.encode_properties(message).map_err(never)?;
        }
        let head = PublishHead {
            dup,
            qos: QoS::from_bits(qos).unwrap_or_default(),
            retain: message.retain && self.limits.takes_retained,
            topic: &message.topic,
            packet_id: id,
            properties: ForwardProperties::unaltered(self.properties.properties()),
            payload_len: message.payload.len(),
        };
        let start = self.output.len();
        encode_publish(&mut self.output, self.dialect.version, &head, &message.payload).map_err(never)?;
        let bytes = self.output.len() - start;
        if bytes > self.limits.packet_bytes {
            self.output.truncate(start);
            let limit = self.limits.packet_bytes;
            return Err(Unsendable::Never(format!(
                "a packet of {bytes} bytes is larger than the {limit} that the broker takes"
            )));
        }
        let Some(id) = id else { return Ok(None) };
        self.former.retain(|former| former.id != id.get());
        let owner = Some(owner);
        self.unfinished.insert(id.get(), Unfinished { owner, qos, is_released: false, fingerprint });
        Ok(Some(id.get()))
    }

    /// Encodes the properties of a message, if they are others than those of the last.
    fn encode_properties(&mut self, message: &Passing<'_>) -> Result<(), EncodeError> {
        let plain = message.bridges.as_ref().filter(|_| message.is_plain());
        if plain.is_some() && plain == self.plain.as_ref() {
            return Ok(());
        }
        self.plain = None;
        self.properties.clear();
        message::encode(&message.properties, message.bridges.as_deref(), &mut self.properties)?;
        self.plain = plain.cloned();
        Ok(())
    }

    /// Returns the former exchange of a QoS 2 message and finishes it if the broker has it. Without
    /// one, releases all former exchanges, because messages repeat in order.
    fn known_exchange(&mut self, fingerprint: u64) -> Option<SentExchange> {
        if let Some(at) = self.former.iter().position(|former| former.fingerprint == fingerprint) {
            let known = self.former[at];
            if known.is_released {
                self.former.remove(at);
                self.release(known);
            }
            return Some(known);
        }
        for former in std::mem::take(&mut self.former) {
            self.release(former);
        }
        None
    }

    /// Lets the broker forget a message that it has.
    fn release(&mut self, SentExchange { fingerprint, id, .. }: SentExchange) {
        self.unfinished.insert(id, Unfinished { owner: None, qos: 2, is_released: true, fingerprint });
        self.ack(AckType::Pubrel, id, ReasonCode::Success);
    }

    /// Says that a message is here, and everything of it is done.
    pub(crate) fn acknowledge(&mut self, receipt: Receipt) {
        self.answer(receipt, ReasonCode::Success);
    }

    /// Says that a message is not wanted; before 5.0 it is acknowledged like any other.
    pub(crate) fn refuse(&mut self, receipt: Receipt, reason: ReasonCode) {
        self.answer(receipt, if self.is_v5() { reason } else { ReasonCode::Success });
    }

    fn answer(&mut self, Receipt { id, qos }: Receipt, reason: ReasonCode) {
        if qos < 2 {
            return self.ack(AckType::Puback, id, reason);
        }
        self.has_exchanged = true;
        if reason.is_failure() {
            self.received.remove(&id);
        } else if let Some(received) = self.received.get_mut(&id) {
            received.is_acknowledged = true;
        }
        self.ack(AckType::Pubrec, id, reason);
    }

    fn ack(&mut self, ack_type: AckType, id: u16, reason: ReasonCode) {
        let Some(packet_id) = PacketId::new(id) else { return };
        let ack = Ack { ack_type, packet_id, reason, properties: Properties::EMPTY };
        // Acknowledgements of these reasons, without properties, can be encoded in every version.
        let _ = encode_ack(&mut self.output, self.dialect.version, &ack);
    }

    pub(crate) fn disconnect(&mut self) {
        let goodbye = Disconnect::with_reason(ReasonCode::Success);
        // It is success, and can be.
        let _ = encode_disconnect_from_client(&mut self.output, self.dialect.version, &goodbye);
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&mut self, now: u64) {
        encode_pingreq(&mut self.output);
        self.asked_at.get_or_insert(now);
        self.pings += 1;
    }

    /// Whether the broker has not answered each PINGREQ.
    pub(crate) fn awaits_pong(&self) -> bool {
        self.pings > 0
    }

    /// Bytes that are to be sent.
    pub(crate) fn output(&self) -> &[u8] {
        let left = &self.output[self.sent..];
        &left[..left.len().min(PIECE_BYTES)]
    }

    /// Notes that so many of them were sent.
    pub(crate) fn was_sent(&mut self, bytes: usize, now: u64) {
        self.sent += bytes.min(self.output.len() - self.sent);
        // Moves the rest seldom.
        if self.sent == self.output.len() || self.sent >= OUTPUT_BYTES_MAX {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
        self.sent_at = now;
    }

    /// Does what is due: a sign of life in time. Gives when to ask again.
    pub(crate) fn tick(&mut self, now: u64, patience_ms: u64) -> Result<u64, Broken> {
        if !self.unfinished.is_empty() || !self.unreleased.is_empty() {
            self.asked_at.get_or_insert(now);
        }
        let silence = self.asked_at.map(|since| since.saturating_add(patience_ms));
        if silence.is_some_and(|end| now >= end) {
            return Err(Broken(format!("it has not answered for {} s", patience_ms / 1000)));
        }
        let keep_alive = match self.limits.keep_alive_ms {
            0 => u64::MAX,
            // Before the time is over, for what is on its way.
            ms => self.sent_at.saturating_add(ms - ms / 4),
        };
        if now < keep_alive {
            return Ok(keep_alive.min(silence.unwrap_or(u64::MAX)));
        }
        self.ping(now);
        self.sent_at = now;
        self.tick(now, patience_ms)
    }

    /// Takes bytes of the broker.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: u64) {
        if self.asked_at.is_some() {
            self.asked_at = Some(now);
        }
        let left_out = self.skipped.min(bytes.len());
        self.skipped -= left_out;
        self.input.drain(..self.consumed);
        self.consumed = 0;
        self.input.extend_from_slice(&bytes[left_out..]);
    }

    /// Takes out what was received and is not done, which is packed.
    pub(crate) fn take_received(&mut self) -> Vec<u8> {
        let left = self.input.split_off(self.consumed.min(self.input.len()));
        self.input.clear();
        self.consumed = 0;
        left
    }

    /// The next event of what was received.
    pub(crate) fn next_event(&mut self) -> Result<Option<Event>, Broken> {
        loop {
            let bytes = self.input.get(self.consumed..).unwrap_or_default();
            let Some(header) = fixed_header(bytes, u32::MAX).map_err(|error| no_mqtt(bytes, &error))? else {
                return Ok(None);
            };
            let length = header.packet_len();
            if length > PACKET_BYTES_MAX as usize {
                return self.too_large(&header);
            }
            let Some(packet) = bytes.get(usize::from(header.header_len)..length) else { return Ok(None) };
            let packet = ServerPacket::decode(&header, packet, self.dialect.version)
                .map_err(|error| no_mqtt(bytes, &error))?;
            let said = Said::of(packet);
            self.consumed += length;
            if let Some(event) = self.handle(said)? {
                return Ok(Some(event));
            }
        }
    }

    /// Skips a message that is too large, once its identifying part is there.
    fn too_large(&mut self, header: &FixedHeader) -> Result<Option<Event>, Broken> {
        let bytes = header.packet_len();
        if header.packet_type() != PacketType::Publish {
            return Err(Broken(format!("it sends a {} of {bytes} bytes", header.packet_type())));
        }
        let body = &self.input[self.consumed + usize::from(header.header_len)..];
        let Some([high, low]) = body.first_chunk() else { return Ok(None) };
        let topic_end = 2 + usize::from(u16::from_be_bytes([*high, *low]));
        let Some(id) = body.get(topic_end..topic_end + 2) else { return Ok(None) };
        let qos = header.first_byte >> 1 & 0b11;
        let topic = String::from_utf8_lossy(&body[2..topic_end]).into_owned();
        let id = u16::from_be_bytes([id[0], id[1]]);
        let receipt = (qos > 0).then_some(Receipt { id, qos });
        let there = self.input.len() - self.consumed;
        self.skipped = bytes - there.min(bytes);
        self.consumed += there.min(bytes);
        Ok(Some(Event::TooLarge { topic, bytes, receipt }))
    }

    fn handle(&mut self, said: Said) -> Result<Option<Event>, Broken> {
        if !matches!(said, Said::Message(..)) {
            self.asked_at = None;
        }
        Ok(match said {
            Said::Connected { granted, limits } => {
                self.limits.take(limits);
                Some(Event::Connected(granted))
            }
            Said::Refused(reason) => Some(Event::Refused(reason)),
            Said::Message(inbound, dup) => self.came(inbound, dup).map(Event::Message),
            Said::Ack(ack_type, id, reason) => self.acknowledged(ack_type, id, reason),
            Said::Subscribed(id, code) => Some(Event::Subscribed { id, code }),
            Said::Pong => {
                self.pings = self.pings.saturating_sub(1);
                Some(Event::Alive)
            }
            Said::Unsubscribed => Some(Event::Alive),
            Said::Ended(reason) => Some(Event::Ended(reason)),
            Said::Auth => return Err(Broken("it asks for an authentication that was not begun".to_owned())),
        })
    }

    /// Returns a message, unless it is a known one of QoS 2. Another with the same identifier is
    /// new: the broker knows that the former is released.
    fn came(&mut self, inbound: Inbound, dup: bool) -> Option<Inbound> {
        if let Some(Receipt { id, qos: 2 }) = inbound.receipt {
            #[allow(clippy::cast_possible_truncation, reason = "half of it tells as much")]
            let fingerprint = inbound.message.fingerprint(0) as u32;
            match self.received.get(&id) {
                Some(known) if dup && known.fingerprint == fingerprint => {
                    if known.is_acknowledged {
                        self.ack(AckType::Pubrec, id, ReasonCode::Success);
                    }
                    return None;
                }
                _ => self.received.insert(id, Received { fingerprint, is_acknowledged: false }),
            };
        }
        Some(inbound)
    }

    fn acknowledged(&mut self, ack_type: AckType, id: u16, reason: ReasonCode) -> Option<Event> {
        let refusal = reason.is_failure().then_some(reason);
        self.has_exchanged |= ack_type != AckType::Puback;
        match ack_type {
            AckType::Pubrel => {
                self.received.remove(&id);
                self.ack(AckType::Pubcomp, id, ReasonCode::Success);
                None
            }
            AckType::Pubrec if refusal.is_none() => {
                if let Some(unfinished) = self.unfinished.get_mut(id) {
                    unfinished.is_released = true;
                }
                self.ack(AckType::Pubrel, id, ReasonCode::Success);
                None
            }
            AckType::Puback | AckType::Pubrec => {
                let owner = self.unfinished.remove(id)?.owner?;
                Some(Event::Settled { owner, refusal })
            }
            AckType::Pubcomp if self.unreleased.remove(&id) => None,
            // That it did not know the identifier any more is no refusal.
            AckType::Pubcomp => {
                self.unfinished.get(id).filter(|it| it.is_released)?;
                let owner = self.unfinished.remove(id)?.owner?;
                Some(Event::Settled { owner, refusal: None })
            }
        }
    }

    /// An identifier for a message that is not in use.
    fn free_id(&mut self) -> PacketId {
        loop {
            let id = self.next_id;
            self.next_id = id % MESSAGE_ID_MAX + 1;
            let is_former = self.former.iter().any(|former| former.id == id);
            // The window is smaller than the number of identifiers.
            if !is_former && self.unfinished.get(id).is_none() {
                return PacketId::new(id).unwrap_or(PacketId::MIN);
            }
        }
    }

    /// An identifier for a SUBSCRIBE or UNSUBSCRIBE, which no message has.
    fn asking_id(&mut self) -> PacketId {
        let id = self.next_asking_id;
        let next = id.get() - 1;
        self.next_asking_id =
            PacketId::new(next).filter(|_| next > MESSAGE_ID_MAX).unwrap_or(ASKING_ID_FIRST);
        id
    }
}

impl Limits {
    /// Narrows them to the limits of the broker.
    fn take(&mut self, said: Limits) {
        self.window = self.window.min(said.window);
        self.packet_bytes = said.packet_bytes;
        self.qos = said.qos;
        self.takes_retained = said.takes_retained;
        self.numbers_subscriptions = said.numbers_subscriptions;
        if said.keep_alive_ms != u64::MAX {
            self.keep_alive_ms = said.keep_alive_ms;
        }
    }

    fn said_by(connack: &Connack<'_>) -> Limits {
        let properties = &connack.properties;
        let packet_bytes =
            properties.maximum_packet_size().and_then(|bytes| usize::try_from(bytes.get()).ok());
        Limits {
            window: usize::from(properties.receive_maximum().get()),
            packet_bytes: packet_bytes.unwrap_or(usize::MAX),
            qos: properties.maximum_qos().bits(),
            takes_retained: properties.retain_available(),
            numbers_subscriptions: properties.subscription_identifier_available(),
            keep_alive_ms: properties
                .server_keep_alive()
                .map_or(u64::MAX, |seconds| u64::from(seconds) * 1000),
        }
    }
}

/// A packet of the broker, without its bytes.
enum Said {
    Connected {
        granted: Granted,
        limits: Limits,
    },
    Refused(ReasonCode),
    /// A message, and whether it may have been sent before.
    Message(Inbound, bool),
    Ack(AckType, u16, ReasonCode),
    Subscribed(u16, ReasonCode),
    Unsubscribed,
    Pong,
    Ended(ReasonCode),
    Auth,
}

impl Said {
    fn of(packet: ServerPacket<'_>) -> Said {
        match packet {
            ServerPacket::Connack(connack) if connack.reason == ReasonCode::Success => Said::Connected {
                granted: Granted {
                    session_present: connack.session_present,
                    zstd: connack.properties.user_properties().any(|said| said == ZSTD),
                },
                limits: Limits::said_by(&connack),
            },
            ServerPacket::Connack(connack) => Said::Refused(connack.reason),
            ServerPacket::Publish(publish) => Said::Message(inbound(&publish), publish.dup),
            ServerPacket::Ack(ack) => Said::Ack(ack.ack_type, ack.packet_id.get(), ack.reason),
            // A SUBSCRIBE of ours has one filter.
            ServerPacket::Suback(suback) => Said::Subscribed(
                suback.packet_id.get(),
                suback.codes().next().unwrap_or(ReasonCode::UnspecifiedError),
            ),
            ServerPacket::Unsuback(_) => Said::Unsubscribed,
            ServerPacket::Pingresp => Said::Pong,
            ServerPacket::Disconnect(disconnect) => Said::Ended(disconnect.reason),
            ServerPacket::Auth(_) => Said::Auth,
        }
    }
}

fn inbound(publish: &Publish<'_>) -> Inbound {
    let qos = publish.qos.bits();
    let message = Passing {
        topic: publish.topic.to_owned().into(),
        payload: publish.payload.to_vec().into(),
        qos,
        retain: publish.retain,
        properties: Cow::Owned(message::received(publish.properties)),
        bridges: None,
    };
    let subscriptions =
        publish.properties.subscription_identifiers().map(std::num::NonZeroU32::get).collect();
    let receipt = publish.packet_id.map(|id| Receipt { id: id.get(), qos });
    Inbound { message, subscriptions, receipt }
}

fn unencodable(error: EncodeError) -> Broken {
    Broken(error.to_string())
}

/// Error for bytes that are no MQTT. TLS servers answer with an alert (RFC 8446 §6) or a handshake.
fn no_mqtt(bytes: &[u8], error: &dyn std::fmt::Display) -> Broken {
    Broken(match bytes {
        [0x15 | 0x16, 0x03, ..] => {
            "a server of TLS answers there, and this connection is without TLS: USE_TLS TRUE in its section"
                .to_owned()
        }
        _ => format!("what it sends is no MQTT: {error}"),
    })
}

#[cfg(test)]
mod tests;
