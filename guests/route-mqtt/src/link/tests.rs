//! Tests of links against packets of a broker that are written here.

use lotmq_codec::{ClientPacket, encode_connack, encode_suback};

use super::*;

const OWNER: Owner = Owner::Delivery(7);

fn far(version: Option<ProtocolVersion>) -> FarConfig {
    FarConfig {
        place: "far:1883".to_owned(),
        endpoint: "destination",
        client_id: "bridge".to_owned(),
        username: None,
        password: None,
        keep_alive: 60,
        clean_session: true,
        version,
        wants_zstd: false,
    }
}

/// A link whose broker has taken the connection, with these properties.
fn connected(version: ProtocolVersion, said: &[(PropertyId, PropertyValue<'_>)]) -> Link {
    let mut link = Link::new(Dialect { version, says_bridge: false }, 0);
    link.connect(&far(Some(version)), "bridge", true).unwrap();
    sent(&mut link);
    let mut properties = PropertyBuf::new();
    for (id, value) in said {
        properties.push(*id, *value).unwrap();
    }
    let mut bytes = Vec::new();
    let connack =
        Connack { session_present: false, reason: ReasonCode::Success, properties: properties.properties() };
    encode_connack(&mut bytes, version, &connack).unwrap();
    link.receive(&bytes, 0);
    assert!(matches!(
        link.next_event().unwrap(),
        Some(Event::Connected(Granted { session_present: false, zstd: false }))
    ));
    link
}

/// Takes what the link sends, as short words.
fn sent(link: &mut Link) -> Vec<String> {
    let mut words = Vec::new();
    while !link.output.is_empty() {
        let header = fixed_header(&link.output, u32::MAX).unwrap().unwrap();
        let packet: Vec<u8> = link.output.drain(..header.packet_len()).collect();
        let body = &packet[usize::from(header.header_len)..];
        words.push(match ClientPacket::decode(&header, body, link.dialect.version) {
            Ok(ClientPacket::Publish(it)) => {
                let dup = if it.dup { " dup" } else { "" };
                format!("{} {} {:?}{dup}", it.topic, it.qos.bits(), it.packet_id.map(PacketId::get))
            }
            Ok(ClientPacket::Ack(it)) => format!("{:?} {}", it.ack_type, it.packet_id),
            Ok(ClientPacket::Pingreq) => "ping".to_owned(),
            Ok(other) => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        });
    }
    words
}

fn ack(link: &mut Link, ack_type: AckType, id: u16, reason: ReasonCode) -> Option<Event> {
    let mut bytes = Vec::new();
    let packet_id = PacketId::new(id).unwrap();
    let ack = Ack { ack_type, packet_id, reason, properties: Properties::EMPTY };
    encode_ack(&mut bytes, link.dialect.version, &ack).unwrap();
    link.receive(&bytes, 0);
    link.next_event().unwrap()
}

fn message(qos: u8) -> Passing<'static> {
    Passing { topic: "t".into(), payload: b"x".into(), qos, ..Passing::default() }
}

fn incoming(link: &mut Link, (qos, dup): (QoS, bool), id: u16, payload: &[u8]) {
    let mut bytes = Vec::new();
    let head = PublishHead {
        dup,
        qos,
        retain: false,
        topic: "t",
        packet_id: PacketId::new(id),
        properties: ForwardProperties::default(),
        payload_len: payload.len(),
    };
    encode_publish(&mut bytes, link.dialect.version, &head, payload).unwrap();
    for piece in bytes.chunks(PIECE_BYTES) {
        link.receive(piece, 0);
        if link.input.len() > 2 * PIECE_BYTES {
            return;
        }
    }
}

#[test]
fn no_more_is_on_its_way_than_the_broker_takes() {
    let mut link = connected(ProtocolVersion::V5, &[(PropertyId::ReceiveMaximum, PropertyValue::TwoByte(2))]);
    assert_eq!(link.publish(&message(1), OWNER, || 0), Ok(Some(1)));
    assert_eq!(link.publish(&message(1), OWNER, || 0), Ok(Some(2)));
    assert_eq!(link.publish(&message(1), OWNER, || 0), Err(Unsendable::NoRoom));
    assert_eq!(sent(&mut link), ["t 1 Some(1)", "t 1 Some(2)"]);
    let settled = ack(&mut link, AckType::Puback, 2, ReasonCode::Success);
    assert!(matches!(settled, Some(Event::Settled { owner: OWNER, refusal: None })));
    assert_eq!(link.publish(&message(0), OWNER, || 0), Ok(None));
    assert_eq!(link.publish(&message(1), OWNER, || 0), Ok(Some(3)));
    let refused = ack(&mut link, AckType::Puback, 1, ReasonCode::NotAuthorized);
    assert!(matches!(
        refused,
        Some(Event::Settled { owner: OWNER, refusal: Some(ReasonCode::NotAuthorized) })
    ));
}

#[test]
fn what_the_broker_does_not_take_is_not_sent() {
    let said = [
        (PropertyId::MaximumPacketSize, PropertyValue::FourByte(20)),
        (PropertyId::MaximumQos, PropertyValue::Byte(0)),
        (PropertyId::RetainAvailable, PropertyValue::Byte(0)),
    ];
    let mut link = connected(ProtocolVersion::V5, &said);
    assert_eq!(link.publish(&Passing { retain: true, ..message(1) }, OWNER, || 0), Ok(None));
    assert_eq!(sent(&mut link), ["t 0 None"]);
    let refused = link.publish(&Passing { payload: vec![0; 20].into(), ..message(1) }, OWNER, || 0);
    let reason = "a packet of 26 bytes is larger than the 20 that the broker takes".to_owned();
    assert_eq!(refused, Err(Unsendable::Never(reason)));
    assert!(link.output.is_empty());
}

#[test]
fn what_is_sent_in_pieces_goes_once_and_in_order() {
    let mut link = connected(ProtocolVersion::V5, &[]);
    let (mut expected, mut gone) = (Vec::new(), Vec::new());
    for round in 0..400_u16 {
        while link.has_room() {
            let (before, payload) = (link.output.len(), vec![round as u8; 1_000]);
            link.publish(&Passing { payload: payload.into(), ..message(0) }, OWNER, || 0).unwrap();
            expected.extend_from_slice(&link.output[before..]);
        }
        assert!(link.output.len() <= 2 * OUTPUT_BYTES_MAX + 2_000, "{}", link.output.len());
        let piece = &link.output()[..7_919];
        gone.extend_from_slice(piece);
        link.was_sent(7_919, 0);
    }
    while !link.output().is_empty() {
        gone.extend_from_slice(link.output());
        link.was_sent(link.output().len(), 0);
    }
    assert!(gone == expected && link.output.is_empty() && link.sent == 0);
}

#[test]
fn exactly_once_goes_on_over_connections() {
    let mut link = connected(ProtocolVersion::V3_1_1, &[]);
    for fingerprint in [11, 12, 13] {
        link.publish(&message(2), OWNER, || fingerprint).unwrap();
    }
    sent(&mut link);
    // The broker has the first, which must not be sent again.
    assert!(ack(&mut link, AckType::Pubrec, 1, ReasonCode::Success).is_none());
    assert_eq!(sent(&mut link), ["Pubrel 1"]);
    let exchanges = link.exchanges();
    let expected = [(11, 1, true), (12, 2, false), (13, 3, false)];
    assert_eq!(
        exchanges.sent,
        expected.map(|(fingerprint, id, is_released)| SentExchange { fingerprint, id, is_released })
    );

    let mut link = connected(ProtocolVersion::V3_1_1, &[]);
    link.resume(exchanges, false);
    assert_eq!(link.publish(&message(2), OWNER, || 11), Ok(Some(1)));
    assert_eq!(link.publish(&message(2), OWNER, || 12), Ok(Some(2)));
    assert_eq!(sent(&mut link), ["Pubrel 1", "t 2 Some(2) dup"]);
    // A new message has an identifier of its own, and ends what does not come again.
    assert_eq!(link.publish(&message(2), OWNER, || 99), Ok(Some(4)));
    assert_eq!(sent(&mut link), ["Pubrel 3", "t 2 Some(4)"]);
    assert!(ack(&mut link, AckType::Pubcomp, 2, ReasonCode::Success).is_none(), "it is not released");
    assert!(ack(&mut link, AckType::Pubrec, 2, ReasonCode::Success).is_none());
    for id in [1, 2] {
        let settled = ack(&mut link, AckType::Pubcomp, id, ReasonCode::Success);
        assert!(matches!(settled, Some(Event::Settled { refusal: None, .. })), "{id}");
    }
}

#[test]
fn identifiers_that_a_broker_may_have_are_released_before_they_are_used() {
    let mut link = connected(ProtocolVersion::V5, &[]);
    let known = SentExchange { fingerprint: 11, id: 7, is_released: false };
    link.resume(Exchanges { sent: vec![known], ..Exchanges::default() }, true);
    let released = sent(&mut link);
    assert_eq!((released.len(), &*released[0]), (usize::from(MESSAGE_ID_MAX) - 1, "Pubrel 1"));
    assert!(!released.contains(&"Pubrel 7".to_owned()));
    let asked = link.subscribe(SubscribeFilter { filter: "a", options: Default::default() }, 1).unwrap();
    assert!(asked > MESSAGE_ID_MAX, "{asked}");
    sent(&mut link);
    for id in (1..=MESSAGE_ID_MAX).filter(|id| *id != 7) {
        assert_eq!(link.publish(&message(2), OWNER, || 11), Err(Unsendable::NoRoom));
        assert!(ack(&mut link, AckType::Pubcomp, id, ReasonCode::PacketIdentifierNotFound).is_none());
    }
    assert_eq!(link.publish(&message(2), OWNER, || 11), Ok(Some(7)));
    for round in 0..=u64::from(MESSAGE_ID_MAX) {
        let id = link.publish(&message(2), OWNER, || round + 100).unwrap().unwrap();
        assert!(id != 7 && id <= MESSAGE_ID_MAX);
        ack(&mut link, AckType::Pubrec, id, ReasonCode::Success);
        assert!(ack(&mut link, AckType::Pubcomp, id, ReasonCode::Success).is_some());
        sent(&mut link);
    }
    link.tick(0, 5_000).unwrap();
    assert!(link.tick(5_000, 5_000).is_err(), "one is not answered");
}

#[test]
fn a_message_of_exactly_once_comes_once() {
    let (first, again) = ((QoS::ExactlyOnce, false), (QoS::ExactlyOnce, true));
    let mut link = connected(ProtocolVersion::V5, &[]);
    incoming(&mut link, first, 5, b"x");
    let Some(Event::Message(inbound)) = link.next_event().unwrap() else { panic!("no message") };
    // The same again before it is acknowledged, and behind that.
    incoming(&mut link, again, 5, b"x");
    assert!(link.next_event().unwrap().is_none());
    link.acknowledge(inbound.receipt.unwrap());
    incoming(&mut link, again, 5, b"x");
    assert!(link.next_event().unwrap().is_none());
    assert_eq!(sent(&mut link), ["Pubrec 5", "Pubrec 5"]);
    assert_eq!(link.exchanges().received.keys().collect::<Vec<_>>(), [&5]);
    assert!(ack(&mut link, AckType::Pubrel, 5, ReasonCode::Success).is_none());
    assert_eq!(sent(&mut link), ["Pubcomp 5"]);
    incoming(&mut link, first, 5, b"x");
    assert!(matches!(link.next_event().unwrap(), Some(Event::Message(_))));
}

#[test]
fn what_is_known_of_exchanges_may_be_old() {
    let mut before = connected(ProtocolVersion::V5, &[]);
    incoming(&mut before, (QoS::ExactlyOnce, false), 5, b"x");
    let Some(Event::Message(inbound)) = before.next_event().unwrap() else { panic!("no message") };
    before.acknowledge(inbound.receipt.unwrap());
    let old = before.exchanges();
    // The identifier was released since, and the broker has used it again.
    for (dup, payload) in [(false, b"x"), (false, b"y"), (true, b"y")] {
        let mut link = connected(ProtocolVersion::V5, &[]);
        link.resume(old.clone(), false);
        incoming(&mut link, (QoS::ExactlyOnce, dup), 5, payload);
        assert!(matches!(link.next_event().unwrap(), Some(Event::Message(_))), "{dup} {payload:?}");
    }
    let mut link = connected(ProtocolVersion::V5, &[]);
    link.resume(old, false);
    incoming(&mut link, (QoS::ExactlyOnce, true), 5, b"x");
    assert!(link.next_event().unwrap().is_none());
    assert_eq!(sent(&mut link), ["Pubrec 5"]);
}

#[test]
fn a_message_that_is_too_large_is_left_out_and_the_next_comes() {
    let mut link = connected(ProtocolVersion::V3_1_1, &[]);
    let mut bytes = Vec::new();
    let payload = vec![0; PACKET_BYTES_MAX as usize];
    let head = PublishHead {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: "large",
        packet_id: PacketId::new(9),
        properties: ForwardProperties::default(),
        payload_len: payload.len(),
    };
    encode_publish(&mut bytes, ProtocolVersion::V3_1_1, &head, &payload).unwrap();
    encode_pingreq(&mut bytes);
    let pingreq = bytes.len() - 2;
    bytes[pingreq] = PacketType::Pingresp.first_byte();
    let mut events = Vec::new();
    for piece in bytes.chunks(PIECE_BYTES) {
        link.receive(piece, 0);
        assert!(link.input.len() <= 2 * PIECE_BYTES);
        events.extend(link.next_event().unwrap());
    }
    let [Event::TooLarge { topic, receipt, .. }, Event::Alive] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&**topic, *receipt), ("large", Some(Receipt { id: 9, qos: 1 })));
}

#[test]
fn who_is_silent_is_asked_and_then_away() {
    let mut link =
        connected(ProtocolVersion::V5, &[(PropertyId::ServerKeepAlive, PropertyValue::TwoByte(20))]);
    assert_eq!(link.tick(14_999, 60_000), Ok(15_000));
    link.tick(15_000, 60_000).unwrap();
    assert_eq!(sent(&mut link), ["ping"]);
    link.receive(&[PacketType::Pingresp.first_byte(), 0], 16_000);
    assert!(matches!(link.next_event().unwrap(), Some(Event::Alive)));
    link.publish(&message(1), OWNER, || 0).unwrap();
    link.tick(20_000, 5_000).unwrap();
    assert_eq!(link.tick(25_000, 5_000), Err(Broken("it has not answered for 5 s".to_owned())));
}

#[test]
fn a_bridge_says_that_it_is_one_before_5_0() {
    for (version, level) in [(ProtocolVersion::V3_1_1, 0x84), (ProtocolVersion::V3_1, 0x83)] {
        let mut link = Link::new(Dialect { version, says_bridge: true }, 0);
        link.connect(&far(Some(version)), &"x".repeat(200), true).unwrap();
        let name = 3 + 2 + version.protocol_name().len();
        assert_eq!(link.output[name], level);
    }
}

#[test]
fn what_is_no_mqtt_ends_the_connection() {
    let mut link = connected(ProtocolVersion::V5, &[]);
    link.receive(b"HTTP/1.1 200 OK\r\n", 0);
    assert!(link.next_event().unwrap_err().0.starts_with("what it sends is no MQTT: "));
    let mut link = connected(ProtocolVersion::V5, &[]);
    link.receive(&[0x15, 3, 3, 0, 2, 2, 70], 0);
    assert!(link.next_event().unwrap_err().0.starts_with("a server of TLS answers there"));
    let mut link = connected(ProtocolVersion::V5, &[]);
    let mut bytes = Vec::new();
    let id = PacketId::new(3).unwrap();
    encode_suback(&mut bytes, ProtocolVersion::V5, id, Properties::EMPTY, &[ReasonCode::NotAuthorized])
        .unwrap();
    link.receive(&bytes, 0);
    let event = link.next_event().unwrap();
    assert!(matches!(event, Some(Event::Subscribed { id: 3, code: ReasonCode::NotAuthorized })), "{event:?}");
}

#[test]
fn what_comes_behind_a_granted_zstd_is_packed_and_taken_out() {
    let mut link = Link::new(Dialect { version: ProtocolVersion::V5, says_bridge: false }, 0);
    let wanting = FarConfig { wants_zstd: true, ..far(None) };
    link.connect(&wanting, "bridge", true).unwrap();
    let asked = b"\x26\0\x0alotmq-zstd\0\x011";
    assert!(link.output.windows(asked.len()).any(|part| part == asked));
    let mut properties = PropertyBuf::new();
    properties.push(PropertyId::UserProperty, PropertyValue::Utf8Pair("lotmq-zstd", "1")).unwrap();
    let connack =
        Connack { session_present: true, reason: ReasonCode::Success, properties: properties.properties() };
    let mut bytes = Vec::new();
    encode_connack(&mut bytes, ProtocolVersion::V5, &connack).unwrap();
    bytes.extend_from_slice(b"packed");
    link.receive(&bytes, 0);
    let granted = Granted { session_present: true, zstd: true };
    assert!(matches!(link.next_event().unwrap(), Some(Event::Connected(found)) if found == granted));
    assert_eq!(link.take_received(), b"packed");
    assert!(link.next_event().unwrap().is_none());
}
