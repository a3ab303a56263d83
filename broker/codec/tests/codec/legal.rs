//! Legal packets: accepted, and encoded again to the same bytes or to a shorter form with the same
//! meaning.

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::*;

use crate::hex;

const V3: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn from_client(bytes: &[u8], version: ProtocolVersion) -> Result<ClientPacket<'_>, DecodeError> {
    let header = fixed_header(bytes, PACKET_BYTES_MAX)?.expect("a whole header");
    ClientPacket::decode(&header, &bytes[usize::from(header.header_len)..header.packet_len()], version)
}

fn from_server(bytes: &[u8], version: ProtocolVersion) -> Result<ServerPacket<'_>, DecodeError> {
    let header = fixed_header(bytes, PACKET_BYTES_MAX)?.expect("a whole header");
    ServerPacket::decode(&header, &bytes[usize::from(header.header_len)..header.packet_len()], version)
}

#[test]
fn client_packets_are_accepted() {
    for (what, version, first_byte, body) in [
        ("3.1 CONNECT", ProtocolVersion::V3_1, 0x10, "0006 'MQIsdp' 03 02 003C 0001 'c'"),
        (
            "3.1 left the lowest flag unchecked",
            ProtocolVersion::V3_1,
            0x10,
            "0006 'MQIsdp' 03 03 003C 0001 'c'",
        ),
        ("3.1 PUBREL, sent again", ProtocolVersion::V3_1, 0x6A, "0001"),
        ("3.1 SUBSCRIBE, sent again", ProtocolVersion::V3_1, 0x8A, "0001 0001 'a' 00"),
        ("3.1 UNSUBSCRIBE, sent again", ProtocolVersion::V3_1, 0xAA, "0001 0001 'a'"),
        ("CONNECT, empty id, clean session [3.1.1: MQTT-3.1.3-6]", V3, 0x10, "0004 'MQTT' 04 02 0000 0000"),
        (
            "CONNECT with all fields",
            V3,
            0x10,
            "0004 'MQTT' 04 F6 FFFF 0001 'c' 0001 't' 0002 FF00 0001 'u' 0002 00FF",
        ),
        ("user name without password", V3, 0x10, "0004 'MQTT' 04 82 0000 0000 0000"),
        ("CONNECT, empty id, clean start 0 [MQTT-3.1.3-6]", V5, 0x10, "0004 'MQTT' 05 00 0000 00 0000"),
        ("password without user name (§3.1.2.9)", V5, 0x10, "0004 'MQTT' 05 42 0000 00 0001 'c' 0001 'p'"),
        ("empty will payload", V5, 0x10, "0004 'MQTT' 05 06 0000 00 0000 00 0001 't' 0000"),
        (
            "will with properties",
            V5,
            0x10,
            "0004 'MQTT' 05 2E 0000 05 11 FFFFFFFF 0000 05 18 0000000A 0001 't' 0000",
        ),
        ("authentication data with method", V5, 0x10, "0004 'MQTT' 05 02 0000 07 15 0001 'm' 16 0000 0000"),
        ("PUBLISH", V3, 0x30, "0001 't'"),
        ("a level may be empty (§4.7.1.1)", V3, 0x31, "0001 '/' 00FF"),
        ("byte order mark stays [MQTT-1.5.4-3]", V3, 0x30, "0004 EFBBBF 't'"),
        ("U+FFFF is a non-character and allowed", V3, 0x30, "0003 EFBFBF"),
        ("U+10FFFF", V3, 0x30, "0004 F48FBFBF"),
        ("QoS 2, DUP, RETAIN", V3, 0x3D, "0001 't' FFFF 'x'"),
        ("QoS 1", V5, 0x32, "0001 't' 0001 00 'x'"),
        ("alias alone [MQTT-3.3.2-8]", V5, 0x30, "0000 03 23 0001 'x'"),
        (
            "all properties of PUBLISH",
            V5,
            0x30,
            "0001 't' 19 01 01 02 00000001 03 0000 08 0001 'r' 09 0000 23 FFFF 26 0000 0000",
        ),
        (
            "user properties repeat [MQTT-3.3.2-18]",
            V5,
            0x30,
            "0001 't' 0E 26 0001 'a' 0001 'b' 26 0001 'a' 0001 'b'",
        ),
        ("PUBACK", V3, 0x40, "0001"),
        ("PUBACK of length 2 (§3.4.2.1)", V5, 0x40, "0001"),
        ("PUBACK of length 3", V5, 0x40, "0001 87"),
        ("PUBREC with reason string", V5, 0x50, "0001 80 04 1F 0001 'r'"),
        ("PUBREL", V5, 0x62, "0001 92"),
        ("PUBCOMP", V5, 0x70, "FFFF"),
        ("SUBSCRIBE", V3, 0x82, "0001 0001 '#' 02 0001 'a' 00"),
        ("a filter is not judged here", V3, 0x82, "0001 0000 00"),
        ("all options", V5, 0x82, "0001 00 0001 'a' 2E"),
        ("subscription identifier", V5, 0x82, "0001 05 0B FFFFFF7F 0001 'a' 00"),
        ("shared without no local", V5, 0x82, "0001 00 000A '$share/g/a' 02"),
        ("UNSUBSCRIBE", V3, 0xA2, "0001 0001 'a' 0001 'b'"),
        ("UNSUBSCRIBE", V5, 0xA2, "0001 00 0001 'a'"),
        ("PINGREQ", V3, 0xC0, ""),
        ("DISCONNECT", V3, 0xE0, ""),
        ("DISCONNECT of length 0", V5, 0xE0, ""),
        ("DISCONNECT of length 1", V5, 0xE0, "04"),
        ("DISCONNECT with session expiry", V5, 0xE0, "00 05 11 00000000"),
        ("AUTH of length 0 (§3.15.2.1)", V5, 0xF0, ""),
        ("AUTH", V5, 0xF0, "18 04 15 0001 'm'"),
    ] {
        let bytes = hex::packet(first_byte, body);
        assert!(from_client(&bytes, version).is_ok(), "{what}: {:?}", from_client(&bytes, version));
        fuzz_packet(&bytes);
    }
}

#[test]
fn server_packets_are_accepted() {
    for (what, version, first_byte, body) in [
        ("CONNACK", V3, 0x20, "0100"),
        ("refused", V3, 0x20, "0005"),
        ("CONNACK", V5, 0x20, "00 00 00"),
        ("topic alias maximum", V5, 0x20, "01 00 03 22 000A"),
        ("refused with a reason string", V5, 0x20, "00 87 04 1F 0001 'n'"),
        ("subscription identifiers repeat [MQTT-3.3.4-3]", V5, 0x30, "0001 't' 04 0B 01 0B 02"),
        ("SUBACK", V3, 0x90, "0001 00 01 02 80"),
        ("SUBACK", V5, 0x90, "0001 00 02 8F"),
        ("UNSUBACK without payload", V3, 0xB0, "0001"),
        ("UNSUBACK", V5, 0xB0, "0001 00 00 11"),
        ("PINGRESP", V3, 0xD0, ""),
        ("DISCONNECT with server reference", V5, 0xE0, "9C 04 1C 0001 's'"),
    ] {
        let bytes = hex::packet(first_byte, body);
        assert!(from_server(&bytes, version).is_ok(), "{what}: {:?}", from_server(&bytes, version));
        fuzz_packet(&bytes);
    }
}

#[test]
fn connect_says_everything() {
    let bytes = hex::packet(
        0x10,
        "0004 'MQTT' 05 EE 003C 08 11 0000000A 21 0014 0002 'id' 05 18 00000005 0001 't' 0002 FF00 0001 'u' 0001 'p'",
    );
    let ClientPacket::Connect(connect) = from_client(&bytes, V5).unwrap() else { panic!() };
    assert_eq!((connect.version, connect.clean_start, connect.keep_alive), (V5, true, 60));
    assert_eq!((connect.client_id, connect.user_name, connect.password), ("id", Some("u"), Some(&b"p"[..])));
    assert_eq!(connect.properties.session_expiry_interval(), Some(10));
    assert_eq!(connect.properties.receive_maximum().get(), 20);
    assert_eq!(connect.properties.maximum_packet_size(), None);
    let will = connect.will.unwrap();
    assert_eq!(
        (will.qos, will.retain, will.topic, will.payload),
        (QoS::AtLeastOnce, true, "t", &b"\xFF\x00"[..])
    );
    assert_eq!(will.properties.will_delay_interval(), 5);
}

#[test]
fn publish_names_the_places_of_its_parts() {
    let bytes = hex::packet(0x3A, "0003 'a/b' 1234 05 02 0000000A 'payload'");
    let ClientPacket::Publish(publish) = from_client(&bytes, V5).unwrap() else { panic!() };
    assert_eq!(publish.packet_id_offset, Some(5));
    assert_eq!(publish.properties_range, 8..13);
    assert_eq!((publish.payload_offset, publish.payload), (13, &b"payload"[..]));

    let bytes = hex::packet(0x30, "0003 'a/b' 'payload'");
    let ClientPacket::Publish(publish) = from_client(&bytes, V3).unwrap() else { panic!() };
    assert_eq!((publish.packet_id_offset, publish.properties_range, publish.payload_offset), (None, 5..5, 5));
}

#[test]
fn connack_absences_mean_the_defaults() {
    let bytes = hex::packet(0x20, "00 00 00");
    let ServerPacket::Connack(connack) = from_server(&bytes, V5).unwrap() else { panic!() };
    let absent = connack.properties;
    assert_eq!(absent.receive_maximum().get(), 65_535); // §3.2.2.3.3
    assert_eq!(absent.maximum_qos(), QoS::ExactlyOnce); // §3.2.2.3.4
    assert!(absent.retain_available() && absent.wildcard_subscription_available());
    assert!(absent.subscription_identifier_available() && absent.shared_subscription_available());
    assert_eq!((absent.topic_alias_maximum(), absent.server_keep_alive()), (0, None));
    assert!(absent.request_problem_information() && !absent.request_response_information());
}

#[test]
fn head_strips_what_belongs_to_another_hop() {
    let received = hex::packet(0x30, "0001 't' 0F 23 0007 02 0000000A 26 0001 'a' 0001 'b' 'hi'");
    let ClientPacket::Publish(publish) = from_client(&received, V5).unwrap() else { panic!() };
    let ids = [1, 128].map(|id| std::num::NonZeroU32::new(id).unwrap());
    let head = |properties| PublishHead {
        dup: true,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: publish.topic,
        packet_id: PacketId::new(0x0102),
        properties,
        payload_len: 2,
    };
    for (properties, expected) in [
        (ForwardProperties::unaltered(publish.properties), "0C 02 0000000A 26 0001 'a' 0001 'b'"),
        (
            ForwardProperties { message_expiry: Some(3), ..ForwardProperties::unaltered(publish.properties) },
            "0C 02 00000003 26 0001 'a' 0001 'b'", // [MQTT-3.3.2-6]
        ),
        (
            ForwardProperties { subscription_ids: &ids, ..ForwardProperties::unaltered(publish.properties) },
            "11 0B 01 0B 8001 02 0000000A 26 0001 'a' 0001 'b'", // [MQTT-3.3.4-3]
        ),
        (
            ForwardProperties {
                topic_alias: std::num::NonZeroU16::new(9),
                ..ForwardProperties::unaltered(Properties::EMPTY)
            },
            "03 23 0009",
        ),
    ] {
        let expected = hex::packet(0x3A, &format!("0001 't' 0102 {expected} 'hi'"));
        let mut out = vec![0xAA];
        let layout = encode_publish_head(&mut out, V5, &head(properties)).unwrap();
        assert_eq!(out.len() - 1, layout.len);
        assert_eq!(out[1..], expected[..expected.len() - 2]);
        let offset = 1 + layout.packet_id_offset.unwrap();
        assert_eq!(out[offset..offset + 2], [1, 2]);

        let mut older = Vec::new();
        encode_publish(&mut older, V3, &head(properties), b"hi").unwrap();
        assert_eq!(older, hex::packet(0x3A, "0001 't' 0102 'hi'"), "3.1.1 gets no properties");
    }
}

#[test]
fn will_delay_does_not_go_into_the_publish() {
    let bytes =
        hex::packet(0x10, "0004 'MQTT' 05 06 0000 00 0001 'c' 09 18 00000005 03 0001 'x' 0001 't' 0002 'hi'");
    let ClientPacket::Connect(connect) = from_client(&bytes, V5).unwrap() else { panic!() };
    let will = connect.will.unwrap();
    let stored = PropertyBuf::from(will.properties);
    assert_eq!(Properties::from_raw(will.properties.raw(), PropertyPlace::Will), Ok(stored.properties()));
    let head = PublishHead {
        dup: false,
        qos: will.qos,
        retain: will.retain,
        topic: will.topic,
        packet_id: None,
        properties: ForwardProperties::unaltered(stored.properties()),
        payload_len: 0,
    };
    let mut out = Vec::new();
    encode_publish(&mut out, V5, &head, will.payload).unwrap();
    assert_eq!(out, hex::packet(0x30, "0001 't' 04 03 0001 'x' 'hi'"));
}

#[test]
fn too_large_acknowledgements_lose_their_diagnostics() {
    let mut list = PropertyBuf::new();
    list.push(PropertyId::ReasonString, PropertyValue::Utf8("because")).unwrap();
    list.push(PropertyId::ServerKeepAlive, PropertyValue::TwoByte(10)).unwrap();
    for (limit, expected) in [
        (18, Ok(18)),
        (17, Ok(8)), // [MQTT-3.2.2-19]
        (8, Ok(8)),
        (7, Err(EncodeError::PacketTooLarge { len: 8 })),
    ] {
        let mut out = Vec::new();
        let result = encode_within(&mut out, limit, list.properties(), |out, properties| {
            encode_connack(
                out,
                V5,
                &Connack { session_present: false, reason: ReasonCode::Success, properties },
            )
        });
        assert_eq!(result.map(|()| out.len()), expected, "limit {limit}");
        assert!(result.is_ok() || out.is_empty());
    }
}

#[test]
fn refused_connect_is_answered_in_its_own_version() {
    for (what, body, expected) in [
        ("unknown level [3.1.1: MQTT-3.1.2-2]", "0004 'MQTT' 06 02 0000 0000", Some("00 01")),
        ("bridge bit of mosquitto", "0004 'MQTT' 84 02 0000 0000", Some("00 01")),
        ("empty id, clean session 0 [3.1.1: MQTT-3.1.3-8]", "0004 'MQTT' 04 00 0000 0000", Some("00 02")),
        ("malformed in 3.1.1: only close", "0004 'MQTT' 04 03 0000 0000", None),
        ("malformed in 5.0", "0004 'MQTT' 05 03 0000 00 0000", Some("00 81 00")),
        ("will topic in 5.0", "0004 'MQTT' 05 06 0000 00 0000 00 0001 '#' 0000", Some("00 90 00")),
        ("not MQTT", "0004 'HTTP' 04 02 0000 0000", None),
        ("too short for a name", "00", None),
    ] {
        let body = hex::bytes(body);
        let error = Connect::decode(&body).unwrap_err();
        let mut out = Vec::new();
        let answered = encode_connect_refusal(&mut out, &body, error);
        assert_eq!(answered.then_some(out), expected.map(|body| hex::packet(0x20, body)), "{what}");
    }
}

#[test]
fn encoders_refuse_what_cannot_be_said() {
    let mut out = vec![1, 2, 3];
    let long = "x".repeat(65_536);
    let head = PublishHead {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "t",
        packet_id: None,
        properties: ForwardProperties::default(),
        payload_len: 0,
    };
    let id = PacketId::MIN;
    for (expected, result) in [
        (
            EncodeError::PacketIdMismatch, // [MQTT-2.2.1-2]
            encode_publish_head(&mut out, V3, &PublishHead { packet_id: Some(id), ..head }).map(drop),
        ),
        (
            EncodeError::TopicNameInvalid,
            encode_publish_head(&mut out, V3, &PublishHead { topic: "+", ..head }).map(drop),
        ),
        (
            EncodeError::TopicNameInvalid,
            encode_publish_head(&mut out, V5, &PublishHead { topic: "", ..head }).map(drop),
        ),
        (
            EncodeError::StringContainsNul,
            encode_publish_head(&mut out, V5, &PublishHead { topic: "a\0", ..head }).map(drop),
        ),
        (
            EncodeError::FieldTooLong { len: 65_536, limit: 65_535 },
            encode_publish_head(&mut out, V3, &PublishHead { topic: &long, ..head }).map(drop),
        ),
        (
            EncodeError::PacketTooLarge { len: 268_435_456 },
            encode_publish_head(&mut out, V3, &PublishHead { payload_len: 268_435_453, ..head }).map(drop),
        ),
        (
            EncodeError::NotInVersion { packet_type: PacketType::Disconnect },
            encode_disconnect(&mut out, V3, &Disconnect::with_reason(ReasonCode::SessionTakenOver)),
        ),
        (
            EncodeError::NotInVersion { packet_type: PacketType::Connack }, // [3.1.1: MQTT-3.2.2-6]
            encode_connack(&mut out, V3, &Connack::refusal(ReasonCode::ProtocolError)),
        ),
        (EncodeError::NoTopicFilter, encode_suback(&mut out, V3, id, Properties::EMPTY, &[])),
        (EncodeError::NoTopicFilter, encode_subscribe(&mut out, V3, id, Properties::EMPTY, &[])),
        (EncodeError::NoTopicFilter, encode_unsubscribe(&mut out, V3, id, Properties::EMPTY, &[])),
    ] {
        assert_eq!(result, Err(expected));
    }
    let mut list = PropertyBuf::new();
    list.push(PropertyId::SessionExpiryInterval, PropertyValue::FourByte(1)).unwrap();
    let disconnect = Disconnect { reason: ReasonCode::Success, properties: list.properties() };
    let refused = EncodeError::PropertyNotAllowed {
        id: PropertyId::SessionExpiryInterval,
        place: PropertyPlace::DisconnectFromServer,
    };
    assert_eq!(encode_disconnect(&mut out, V5, &disconnect), Err(refused)); // [MQTT-3.14.2-2]
    assert_eq!(out, [1, 2, 3], "nothing stays of a refused packet");
}
