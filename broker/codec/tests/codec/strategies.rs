//! Random legal packets, made with our encoders from random fields.

use lotmq_codec::*;
use proptest::prelude::*;
use proptest::sample::Index;
use std::num::NonZeroU32;

/// Seed of one property: its index, a number, and two texts.
type Seed = (Index, u32, String, String);

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z/$ ]{0,8}",
        prop::collection::vec(any::<char>().prop_filter("no U+0000", |c| *c != '\0'), 0..6)
            .prop_map(|chars| chars.into_iter().collect()),
    ]
}

pub(crate) fn topic() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("t{}", text.replace(['+', '#'], "/")))
}

/// Valid as a filter, since the oracles judge filters at once.
fn filter() -> impl Strategy<Value = String> {
    prop_oneof![topic(), Just("#".to_owned()), topic().prop_map(|topic| format!("+/{topic}/#"))]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..8), prop::collection::vec(any::<u8>(), 120..140)]
}

pub(crate) fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

pub(crate) fn properties(place: PropertyPlace) -> impl Strategy<Value = PropertyBuf> {
    prop::collection::vec((any::<Index>(), any::<u32>(), text(), text()), 0..6)
        .prop_map(move |seeds| property_buf(place, &seeds))
}

fn property_buf(place: PropertyPlace, seeds: &[Seed]) -> PropertyBuf {
    let allowed: Vec<PropertyId> =
        PropertyId::ALL.iter().copied().filter(|id| id.allowed_in(place)).collect();
    let mut list = PropertyBuf::new();
    for (index, number, text, other) in seeds {
        let id = *index.get(&allowed);
        if list.properties().contains(id) && !id.may_repeat_in(place) {
            continue;
        }
        list.push(id, value(id, *number, text, other)).unwrap();
    }
    let has = |id| list.properties().contains(id);
    let needs_method = has(PropertyId::AuthenticationData) || place == PropertyPlace::Auth;
    if needs_method && !has(PropertyId::AuthenticationMethod) {
        list.push(PropertyId::AuthenticationMethod, PropertyValue::Utf8("method")).unwrap();
    }
    list
}

/// A legal value; the types of §2.2.2.2 Table 2-4, written down a second time.
fn value<'a>(id: PropertyId, number: u32, text: &'a str, other: &'a str) -> PropertyValue<'a> {
    match id.value() {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => PropertyValue::Byte((number % 2) as u8),
        0x13 | 0x21 | 0x22 | 0x23 => PropertyValue::TwoByte((number as u16).max(1)),
        0x02 | 0x11 | 0x18 | 0x27 => PropertyValue::FourByte(number.max(1)),
        0x0B => PropertyValue::VarInt((number >> 4 >> (number % 28)).max(1)),
        0x09 | 0x16 => PropertyValue::Binary(text.as_bytes()),
        0x08 => {
            PropertyValue::Utf8(if text.is_empty() || text.contains(['+', '#']) { "reply" } else { text })
        }
        0x26 => PropertyValue::Utf8Pair(text, other),
        _ => PropertyValue::Utf8(text),
    }
}

/// The owned fields of a CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct ConnectFields {
    pub(crate) version: ProtocolVersion,
    clean_start: bool,
    keep_alive: u16,
    properties: PropertyBuf,
    client_id: String,
    will: Option<(QoS, bool, PropertyBuf, String, Vec<u8>)>,
    user_name: Option<String>,
    password: Option<String>,
}

impl ConnectFields {
    pub(crate) fn connect(&self) -> Connect<'_> {
        let of_version = |list| if self.version.has_properties() { list } else { Properties::EMPTY };
        Connect {
            version: self.version,
            clean_start: self.clean_start || (self.client_id.is_empty() && !self.version.has_properties()),
            keep_alive: self.keep_alive,
            properties: of_version(self.properties.properties()),
            client_id: &self.client_id,
            will: self.will.as_ref().map(|(qos, retain, properties, topic, payload)| Will {
                qos: *qos,
                retain: *retain,
                properties: of_version(properties.properties()),
                topic,
                payload,
            }),
            user_name: self.user_name.as_deref(),
            // Both oracles reject a password without user name, which 5.0 allows; the module
            // `legal` tests it.
            password: self.password.as_deref().filter(|_| self.user_name.is_some()).map(str::as_bytes),
        }
    }
}

pub(crate) fn connect(version: ProtocolVersion) -> impl Strategy<Value = ConnectFields> {
    let will = (qos(), any::<bool>(), properties(PropertyPlace::Will), topic(), bytes());
    let flags = (any::<bool>(), any::<u16>());
    let options = (prop::option::of(will), prop::option::of(text()), prop::option::of(text()));
    (flags, properties(PropertyPlace::Connect), text(), options).prop_map(
        move |((clean_start, keep_alive), properties, client_id, (will, user_name, password))| {
            ConnectFields {
                version,
                clean_start,
                keep_alive,
                properties,
                client_id,
                will,
                user_name,
                password,
            }
        },
    )
}

/// The owned fields of a PUBLISH.
#[derive(Debug, Clone)]
pub(crate) struct PublishFields {
    dup: bool,
    qos: QoS,
    retain: bool,
    topic: String,
    packet_id: PacketId,
    properties: PropertyBuf,
    subscription_ids: Vec<NonZeroU32>,
    pub(crate) payload: Vec<u8>,
}

impl PublishFields {
    pub(crate) fn head(&self) -> PublishHead<'_> {
        let received = self.properties.properties();
        PublishHead {
            dup: self.dup && self.qos != QoS::AtMostOnce,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: (self.qos != QoS::AtMostOnce).then_some(self.packet_id),
            properties: ForwardProperties {
                topic_alias: received.topic_alias(),
                subscription_ids: &self.subscription_ids,
                ..ForwardProperties::unaltered(received)
            },
            payload_len: self.payload.len(),
        }
    }
}

pub(crate) fn publish(place: PropertyPlace) -> impl Strategy<Value = PublishFields> {
    let ids = if place == PropertyPlace::PublishFromServer { 3 } else { 0 };
    let ids =
        prop::collection::vec((1..=268_435_455u32).prop_map(|id| NonZeroU32::new(id).unwrap()), 0..=ids);
    let flags = (any::<bool>(), qos(), any::<bool>());
    (flags, topic(), packet_id(), properties(place), ids, bytes()).prop_map(
        |((dup, qos, retain), topic, packet_id, properties, subscription_ids, payload)| PublishFields {
            dup,
            qos,
            retain,
            topic,
            packet_id,
            properties,
            subscription_ids,
            payload,
        },
    )
}

pub(crate) fn filters(version: ProtocolVersion) -> impl Strategy<Value = Vec<(String, SubscriptionOptions)>> {
    let options = (qos(), any::<bool>(), any::<bool>(), 0..3u8).prop_map(
        move |(qos, no_local, published, handling)| {
            let mut options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
            if version.has_properties() {
                options.no_local = no_local;
                options.retain_as_published = published;
                options.retain_handling =
                    [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]
                        [usize::from(handling)];
            }
            options
        },
    );
    prop::collection::vec((filter(), options), 1..4)
}

fn reason(packet_type: PacketType) -> impl Strategy<Value = ReasonCode> {
    let codes: Vec<ReasonCode> =
        ReasonCode::ALL.iter().copied().filter(|code| code.allowed_in(packet_type)).collect();
    prop::sample::select(codes)
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out).expect("the fields are legal");
    out
}

fn ack(version: ProtocolVersion) -> impl Strategy<Value = Vec<u8>> {
    let types = [
        (AckType::Puback, PropertyPlace::Puback),
        (AckType::Pubrec, PropertyPlace::Pubrec),
        (AckType::Pubrel, PropertyPlace::Pubrel),
        (AckType::Pubcomp, PropertyPlace::Pubcomp),
    ];
    prop::sample::select(types.to_vec()).prop_flat_map(move |(ack_type, place)| {
        (packet_id(), reason(ack_type.packet_type()), properties(place)).prop_map(
            move |(packet_id, reason, list)| {
                let ack = Ack { ack_type, packet_id, reason, properties: list.properties() };
                encoded(|out| encode_ack(out, version, &ack))
            },
        )
    })
}

fn publish_packet(version: ProtocolVersion, place: PropertyPlace) -> impl Strategy<Value = Vec<u8>> {
    publish(place).prop_map(move |fields| {
        encoded(|out| encode_publish(out, version, &fields.head(), &fields.payload).map(drop))
    })
}

/// A legal packet of a Client.
pub(crate) fn client_packet(version: ProtocolVersion) -> BoxedStrategy<Vec<u8>> {
    let subscribe = (packet_id(), properties(PropertyPlace::Subscribe), filters(version)).prop_map(
        move |(packet_id, list, filters)| {
            let filters: Vec<_> = filters
                .iter()
                .map(|(filter, options)| SubscribeFilter { filter, options: *options })
                .collect();
            encoded(|out| encode_subscribe(out, version, packet_id, list.properties(), &filters))
        },
    );
    let unsubscribe =
        (packet_id(), properties(PropertyPlace::Unsubscribe), prop::collection::vec(filter(), 1..4))
            .prop_map(move |(packet_id, list, filters)| {
                let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
                encoded(|out| encode_unsubscribe(out, version, packet_id, list.properties(), &filters))
            });
    let disconnect = (reason(PacketType::Disconnect), properties(PropertyPlace::DisconnectFromClient))
        .prop_map(move |(reason, list)| {
            let disconnect = Disconnect { reason, properties: list.properties() };
            encoded(|out| encode_disconnect_from_client(out, version, &disconnect))
        });
    let common = prop_oneof![
        3 => connect(version).prop_map(|fields| encoded(|out| encode_connect(out, &fields.connect()))),
        3 => publish_packet(version, PropertyPlace::PublishFromClient),
        2 => ack(version),
        2 => subscribe,
        1 => unsubscribe,
        1 => disconnect,
        1 => Just(vec![0xC0, 0]),
    ];
    if version.has_properties() { prop_oneof![12 => common, 1 => auth()].boxed() } else { common.boxed() }
}

fn auth() -> impl Strategy<Value = Vec<u8>> {
    (reason(PacketType::Auth), properties(PropertyPlace::Auth)).prop_map(|(reason, list)| {
        encoded(|out| encode_auth(out, ProtocolVersion::V5, &Auth { reason, properties: list.properties() }))
    })
}

/// A legal packet of a server.
pub(crate) fn server_packet(version: ProtocolVersion) -> BoxedStrategy<Vec<u8>> {
    let return_codes =
        move |code: &ReasonCode| version.has_properties() || code.connect_return_code().is_some();
    let connack = (any::<bool>(), reason(PacketType::Connack), properties(PropertyPlace::Connack))
        .prop_filter("3.1.1 has six codes", move |(_, reason, _)| return_codes(reason))
        .prop_map(move |(session_present, reason, list)| {
            let connack = Connack { session_present, reason, properties: list.properties() };
            encoded(|out| encode_connack(out, version, &connack))
        });
    let suback = (
        packet_id(),
        properties(PropertyPlace::Suback),
        prop::collection::vec(reason(PacketType::Suback), 1..4),
    )
        .prop_map(move |(packet_id, list, codes)| {
            encoded(|out| encode_suback(out, version, packet_id, list.properties(), &codes))
        });
    let unsuback = (
        packet_id(),
        properties(PropertyPlace::Unsuback),
        prop::collection::vec(reason(PacketType::Unsuback), 1..4),
    )
        .prop_map(move |(packet_id, list, codes)| {
            encoded(|out| encode_unsuback(out, version, packet_id, list.properties(), &codes))
        });
    let common = prop_oneof![
        2 => connack,
        3 => publish_packet(version, PropertyPlace::PublishFromServer),
        2 => ack(version),
        2 => suback,
        1 => unsuback,
        1 => Just(vec![0xD0, 0]),
    ];
    if !version.has_properties() {
        return common.boxed();
    }
    let disconnect = (reason(PacketType::Disconnect), properties(PropertyPlace::DisconnectFromServer))
        .prop_map(move |(reason, list)| {
            encoded(|out| {
                encode_disconnect(out, version, &Disconnect { reason, properties: list.properties() })
            })
        });
    prop_oneof![11 => common, 1 => disconnect, 1 => auth()].boxed()
}

/// A packet with a few bytes changed, its length kept right where possible.
pub(crate) fn damaged(packet: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![3 => 0u8..64, 1 => any::<u8>()];
    (packet, prop::collection::vec((any::<Index>(), value), 0..3)).prop_map(|(mut packet, changes)| {
        for (index, value) in changes {
            let index = index.index(packet.len());
            packet[index] = value;
        }
        packet
    })
}
