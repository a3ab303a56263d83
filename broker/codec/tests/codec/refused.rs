//! Illegal packets: each is rejected with the precise error, and the reason code for the peer.

use lotmq_codec::limits::PACKET_BYTES_MAX;
use lotmq_codec::*;

use crate::hex;

const V3: ProtocolVersion = ProtocolVersion::V3_1_1;
const V5: ProtocolVersion = ProtocolVersion::V5;

fn malformed(error: DecodeError) -> (DecodeError, ReasonCode) {
    (error, ReasonCode::MalformedPacket)
}

fn protocol(error: DecodeError) -> (DecodeError, ReasonCode) {
    (error, ReasonCode::ProtocolError)
}

fn not_allowed(id: PropertyId, place: PropertyPlace) -> (DecodeError, ReasonCode) {
    malformed(DecodeError::PropertyNotAllowed { id, place })
}

type Row = (&'static str, ProtocolVersion, u8, &'static str, (DecodeError, ReasonCode));

fn check(rows: &[Row], decode: impl Fn(&FixedHeader, &[u8], ProtocolVersion) -> Option<DecodeError>) {
    for &(what, version, first_byte, body, (error, reason)) in rows {
        let bytes = hex::packet(first_byte, body);
        let header = fixed_header(&bytes, PACKET_BYTES_MAX).unwrap().unwrap();
        let body = &bytes[usize::from(header.header_len)..];
        assert_eq!(decode(&header, body, version), Some(error), "{what}");
        assert_eq!(ReasonCode::from(error), reason, "{what}");
        fuzz_packet(&bytes);
    }
}

fn check_client(rows: &[Row]) {
    check(rows, |header, body, version| ClientPacket::decode(header, body, version).err());
}

fn check_server(rows: &[Row]) {
    check(rows, |header, body, version| ServerPacket::decode(header, body, version).err());
}

#[test]
fn fixed_headers() {
    let flags = |packet_type, flags| Err(FrameError::FlagsInvalid { packet_type, flags });
    for (what, bytes, expected) in [
        ("nothing yet", "", Ok(None)),
        ("no length yet", "30", Ok(None)),
        ("three length bytes, a fourth follows", "30 FFFFFF", Ok(None)),
        ("a fifth length byte is announced (§1.5.5)", "30 FFFFFF80", Err(FrameError::LengthMalformed)),
        ("and there", "30 FFFFFFFF01", Err(FrameError::LengthMalformed)),
        ("type 0 (§2.1.2)", "00", Err(FrameError::TypeIllegal { first_byte: 0 })),
        ("type 0 with flags", "0F 00", Err(FrameError::TypeIllegal { first_byte: 0x0F })),
        ("CONNECT [MQTT-2.1.3-1]", "11", flags(PacketType::Connect, 1)),
        ("PUBACK", "42", flags(PacketType::Puback, 2)),
        ("PUBREC", "51", flags(PacketType::Pubrec, 1)),
        ("PUBREL [MQTT-3.6.1-1]", "60", flags(PacketType::Pubrel, 0)),
        ("PUBREL with RETAIN", "6B", flags(PacketType::Pubrel, 0x0B)),
        ("PUBACK with DUP", "48", flags(PacketType::Puback, 8)),
        ("PUBCOMP", "78", flags(PacketType::Pubcomp, 8)),
        ("SUBSCRIBE [MQTT-3.8.1-1]", "80", flags(PacketType::Subscribe, 0)),
        ("UNSUBSCRIBE [MQTT-3.10.1-1]", "A3", flags(PacketType::Unsubscribe, 3)),
        ("PINGREQ", "C1", flags(PacketType::Pingreq, 1)),
        ("DISCONNECT [MQTT-3.14.1-1]", "E1", flags(PacketType::Disconnect, 1)),
        ("AUTH [MQTT-3.15.1-1]", "F1", flags(PacketType::Auth, 1)),
        ("PUBLISH QoS 3 [MQTT-3.3.1-4]", "36", flags(PacketType::Publish, 6)),
        ("PUBLISH DUP at QoS 0 [MQTT-3.3.1-2]", "38", flags(PacketType::Publish, 8)),
        ("PUBLISH DUP at QoS 0 with RETAIN", "39", flags(PacketType::Publish, 9)),
        ("one byte above the limit", "30 64", Err(FrameError::TooLarge { len: 102, limit: 101 })),
        (
            "the largest that there is",
            "30 FFFFFF7F",
            Err(FrameError::TooLarge { len: 268_435_460, limit: 101 }),
        ),
    ] {
        assert_eq!(fixed_header(&hex::bytes(bytes), 101), expected, "{what}");
    }
    assert_eq!(ReasonCode::from(FrameError::TooLarge { len: 2, limit: 1 }), ReasonCode::PacketTooLarge);
    assert_eq!(ReasonCode::from(FrameError::LengthMalformed), ReasonCode::MalformedPacket);
}

#[test]
fn fixed_header_says_where_the_packet_ends() {
    for (bytes, header_len, packet_len, is_shortest) in [
        ("30 00", 2, 2, true),
        ("30 7F", 2, 129, true),
        ("30 8001", 3, 131, true),
        ("30 FFFFFF7F", 5, 268_435_460, true),
        ("30 8000", 3, 3, false), // [MQTT-1.5.5-1]
        ("30 FF00", 3, 130, false),
    ] {
        let header = fixed_header(&hex::bytes(bytes), PACKET_BYTES_MAX).unwrap().unwrap();
        assert_eq!((header.header_len, header.packet_len()), (header_len, packet_len), "{bytes}");
        assert_eq!(header.length_is_shortest(), is_shortest, "{bytes}");
        assert_eq!(header.check_from_client(V3), Ok(PacketType::Publish));
        assert_eq!(header.check_from_client(V5).is_ok(), is_shortest);
    }
}

#[test]
fn packets_of_the_other_side() {
    let from_client = |packet_type| protocol(FrameError::NotFromClient { packet_type }.into());
    let from_server = |packet_type| protocol(FrameError::NotFromServer { packet_type }.into());
    check_client(&[
        ("CONNACK", V5, 0x20, "00 00 00", from_client(PacketType::Connack)),
        ("SUBACK", V3, 0x90, "0001 00", from_client(PacketType::Suback)),
        ("UNSUBACK", V3, 0xB0, "0001", from_client(PacketType::Unsuback)),
        ("PINGRESP", V3, 0xD0, "", from_client(PacketType::Pingresp)),
        ("AUTH in 3.1.1", V3, 0xF0, "", from_client(PacketType::Auth)),
    ]);
    check_server(&[
        ("CONNECT", V3, 0x10, "0004 'MQTT' 04 02 0000 0000", from_server(PacketType::Connect)),
        ("SUBSCRIBE", V3, 0x82, "0001 0001 'a' 00", from_server(PacketType::Subscribe)),
        ("UNSUBSCRIBE", V3, 0xA2, "0001 0001 'a'", from_server(PacketType::Unsubscribe)),
        ("PINGREQ", V5, 0xC0, "", from_server(PacketType::Pingreq)),
        ("DISCONNECT in 3.1.1", V3, 0xE0, "", from_server(PacketType::Disconnect)),
        ("AUTH in 3.1.1", V3, 0xF0, "", from_server(PacketType::Auth)),
    ]);
}

#[test]
fn dup_is_for_publish_alone_since_3_1_1() {
    let flags = |packet_type| malformed(FrameError::FlagsInvalid { packet_type, flags: 0x0A }.into());
    check_client(&[
        ("PUBREL [MQTT-3.6.1-1]", V3, 0x6A, "0001", flags(PacketType::Pubrel)),
        ("SUBSCRIBE [MQTT-3.8.1-1]", V3, 0x8A, "0001 0001 'a' 00", flags(PacketType::Subscribe)),
        ("UNSUBSCRIBE [MQTT-3.10.1-1]", V5, 0xAA, "0001 00 0001 'a'", flags(PacketType::Unsubscribe)),
    ]);
    check_server(&[("PUBREL", V5, 0x6A, "0001", flags(PacketType::Pubrel))]);
}

#[test]
fn strings() {
    for (what, text) in [
        ("lone continuation byte [MQTT-1.5.4-1]", "80"),
        ("missing continuation byte", "C3"),
        ("overlong slash", "C0AF"),
        ("overlong NUL", "C080"),
        ("three byte overlong", "E080AF"),
        ("U+D800", "EDA080"),
        ("U+DFFF", "EDBFBF"),
        ("above U+10FFFF", "F4908080"),
        ("five byte form", "F888808080"),
        ("0xFE", "FE"),
        ("0xFF", "FF"),
    ] {
        let text = format!("{:04X} {text}", hex::bytes(text).len());
        for (place, version, first_byte, body) in in_every_string(&text) {
            let result = decode_client(first_byte, &body, version);
            assert_eq!(result, Some(DecodeError::StringNotUtf8), "{what} in {place}");
        }
    }
    for (place, version, first_byte, body) in in_every_string("0003 'a' 00 'b'") {
        let result = decode_client(first_byte, &body, version);
        assert_eq!(result, Some(DecodeError::StringContainsNul), "[MQTT-1.5.4-2] in {place}");
    }
    assert_eq!(ReasonCode::from(DecodeError::StringNotUtf8), ReasonCode::MalformedPacket);
    assert_eq!(ReasonCode::from(DecodeError::StringContainsNul), ReasonCode::MalformedPacket);
}

/// A packet for every place where a Client sends a string.
fn in_every_string(text: &str) -> Vec<(&'static str, ProtocolVersion, u8, String)> {
    vec![
        ("client identifier", V3, 0x10, format!("0004 'MQTT' 04 02 0000 {text}")),
        ("will topic", V3, 0x10, format!("0004 'MQTT' 04 06 0000 0001 'c' {text} 0000")),
        ("user name", V3, 0x10, format!("0004 'MQTT' 04 82 0000 0001 'c' {text}")),
        ("topic name", V3, 0x30, text.to_owned()),
        ("subscribe filter", V3, 0x82, format!("0001 {text} 00")),
        ("second subscribe filter", V5, 0x82, format!("0001 00 0001 'a' 00 {text} 00")),
        ("unsubscribe filter", V3, 0xA2, format!("0001 {text}")),
        ("content type", V5, 0x30, with_properties("0001 't'", &format!("03 {text}"), "")),
        ("response topic", V5, 0x30, with_properties("0001 't'", &format!("08 {text}"), "")),
        (
            "user property name [MQTT-1.5.7-1]",
            V5,
            0x30,
            with_properties("0001 't'", &format!("26 {text} 0000"), ""),
        ),
        ("user property value", V5, 0x30, with_properties("0001 't'", &format!("26 0000 {text}"), "")),
        ("reason string", V5, 0x40, with_properties("0001 00", &format!("1F {text}"), "")),
        (
            "authentication method",
            V5,
            0x10,
            with_properties("0004 'MQTT' 05 02 0000", &format!("15 {text}"), "0000"),
        ),
        (
            "will content type",
            V5,
            0x10,
            with_properties("0004 'MQTT' 05 06 0000 00 0000", &format!("03 {text}"), "0001 't' 0000"),
        ),
    ]
}

fn with_properties(before: &str, properties: &str, after: &str) -> String {
    format!("{before} {:02X} {properties} {after}", hex::bytes(properties).len())
}

fn decode_client(first_byte: u8, body: &str, version: ProtocolVersion) -> Option<DecodeError> {
    let bytes = hex::packet(first_byte, body);
    let header = fixed_header(&bytes, PACKET_BYTES_MAX).unwrap().unwrap();
    ClientPacket::decode(&header, &bytes[usize::from(header.header_len)..], version).err()
}

#[test]
fn exact_fill() {
    let trailing = |count| malformed(DecodeError::TrailingBytes { count });
    let truncated = malformed(DecodeError::Truncated);
    check_client(&[
        ("CONNECT without flags", V3, 0x10, "0004 'MQTT' 04", truncated),
        ("CONNECT without client identifier", V3, 0x10, "0004 'MQTT' 04 02 0000", truncated),
        ("client identifier overruns", V3, 0x10, "0004 'MQTT' 04 02 0000 0002 'c'", truncated),
        ("CONNECT with more than flags announce", V3, 0x10, "0004 'MQTT' 04 02 0000 0000 0000", trailing(2)),
        ("CONNECT with less [MQTT-3.1.3-1]", V3, 0x10, "0004 'MQTT' 04 C2 0000 0000 0001 'u'", truncated),
        ("PUBLISH without topic", V3, 0x30, "", truncated),
        ("topic overruns", V3, 0x30, "0003 'ab'", truncated),
        ("QoS 1 without packet identifier", V3, 0x32, "0001 't' 00", truncated),
        ("5.0 without property length [MQTT-2.2.2-1]", V5, 0x30, "0001 't'", truncated),
        ("property length overruns", V5, 0x30, "0001 't' 06 02 0000000A", truncated),
        ("property value overruns the list", V5, 0x30, "0001 't' 04 02 0000000A", truncated),
        ("string overruns the list", V5, 0x30, "0001 't' 04 03 0002 'ab'", truncated),
        ("property without value", V5, 0x30, "0001 't' 01 01", truncated),
        ("PUBACK of 1", V3, 0x40, "00", truncated),
        ("PUBACK of 3 in 3.1.1", V3, 0x40, "0001 00", trailing(1)),
        ("PUBREC of 3 in 3.1.1", V3, 0x50, "0001 00", trailing(1)),
        ("PUBREL of 3 in 3.1.1", V3, 0x62, "0001 00", trailing(1)),
        ("PUBCOMP of 4 in 3.1.1", V3, 0x70, "0001 0000", trailing(2)),
        ("PUBACK with bytes behind its properties", V5, 0x40, "0001 00 00 00", trailing(1)),
        ("SUBSCRIBE without options", V3, 0x82, "0001 0001 'a'", truncated),
        ("SUBSCRIBE with half a filter", V3, 0x82, "0001 0001 'a' 00 00", truncated),
        ("UNSUBSCRIBE with half a filter", V3, 0xA2, "0001 0001 'a' 0001", truncated),
        ("PINGREQ with a body", V3, 0xC0, "00", trailing(1)),
        ("DISCONNECT with a body in 3.1.1", V3, 0xE0, "00", trailing(1)),
        ("DISCONNECT with bytes behind its properties", V5, 0xE0, "00 00 00", trailing(1)),
        ("AUTH with a reason only (§3.15.2.1)", V5, 0xF0, "18", truncated),
    ]);
    check_server(&[
        ("CONNACK of 1", V3, 0x20, "00", truncated),
        ("CONNACK of 3 in 3.1.1", V3, 0x20, "00 00 00", trailing(1)),
        ("CONNACK without property length", V5, 0x20, "00 00", truncated),
        ("UNSUBACK with a code in 3.1.1", V3, 0xB0, "0001 00", trailing(1)),
        ("PINGRESP with a body", V3, 0xD0, "00", trailing(1)),
    ]);
}

#[test]
fn packet_identifier_zero() {
    let zero = protocol(DecodeError::PacketIdZero); // [MQTT-2.2.1-3]
    check_client(&[
        ("PUBLISH", V3, 0x32, "0001 't' 0000", zero),
        ("PUBLISH", V5, 0x34, "0001 't' 0000 00", zero),
        ("PUBACK", V3, 0x40, "0000", zero),
        ("PUBREC", V5, 0x50, "0000", zero),
        ("PUBREL", V3, 0x62, "0000", zero),
        ("PUBCOMP", V5, 0x70, "0000", zero),
        ("SUBSCRIBE", V3, 0x82, "0000 0001 'a' 00", zero),
        ("UNSUBSCRIBE", V3, 0xA2, "0000 0001 'a'", zero),
    ]);
}

#[test]
fn connect() {
    let name = (DecodeError::ProtocolNameInvalid, ReasonCode::UnsupportedProtocolVersion);
    let level =
        |level| (DecodeError::ProtocolLevelUnsupported { level }, ReasonCode::UnsupportedProtocolVersion);
    let will_flags = malformed(DecodeError::WillFlagsWithoutWill);
    let will_topic = (DecodeError::WillTopicInvalid, ReasonCode::TopicNameInvalid);
    let client_id = (DecodeError::ClientIdEmpty, ReasonCode::ClientIdentifierNotValid);
    let password = malformed(DecodeError::PasswordWithoutUserName);
    check_client(&[
        ("other name [MQTT-3.1.2-1]", V3, 0x10, "0004 'mqtt' 04 02 0000 0000", name),
        ("name of 3.1 cut short", V3, 0x10, "0006 'MQIsd' 03 02 0000 0000", name),
        ("empty body", V3, 0x10, "", name),
        ("level 3 of MQTT [MQTT-3.1.2-2]", V3, 0x10, "0004 'MQTT' 03 02 0000 0000", level(3)),
        ("level 6", V3, 0x10, "0004 'MQTT' 06 02 0000 0000", level(6)),
        ("level 4 of MQIsdp", V3, 0x10, "0006 'MQIsdp' 04 02 0000 0000", level(4)),
        (
            "reserved flag [MQTT-3.1.2-3]",
            V3,
            0x10,
            "0004 'MQTT' 04 03 0000 0000",
            malformed(DecodeError::ConnectFlagReserved),
        ),
        ("will QoS without will [MQTT-3.1.2-11]", V3, 0x10, "0004 'MQTT' 04 0A 0000 0000", will_flags),
        ("will retain without will [MQTT-3.1.2-13]", V5, 0x10, "0004 'MQTT' 05 22 0000 00 0000", will_flags),
        (
            "will QoS 3 [MQTT-3.1.2-12]",
            V3,
            0x10,
            "0004 'MQTT' 04 1E 0000 0000 0001 't' 0000",
            malformed(DecodeError::WillQosInvalid),
        ),
        ("will topic empty", V3, 0x10, "0004 'MQTT' 04 06 0000 0000 0000 0000", will_topic),
        (
            "will topic with a wildcard",
            V5,
            0x10,
            "0004 'MQTT' 05 06 0000 00 0000 00 0003 'a/+' 0000",
            will_topic,
        ),
        (
            "password without user name [3.1.1: MQTT-3.1.2-22]",
            V3,
            0x10,
            "0004 'MQTT' 04 42 0000 0000 0001 'p'",
            password,
        ),
        ("the same in 3.1", V3, 0x10, "0006 'MQIsdp' 03 42 0000 0001 'c' 0001 'p'", password),
        (
            "empty id, clean session 0 [3.1.1: MQTT-3.1.3-8]",
            V3,
            0x10,
            "0004 'MQTT' 04 00 0000 0000",
            client_id,
        ),
        ("the same in 3.1", V3, 0x10, "0006 'MQIsdp' 03 00 0000 0000", client_id),
        (
            "authentication data without method (§3.1.2.11.10)",
            V5,
            0x10,
            "0004 'MQTT' 05 02 0000 03 16 0000 0000",
            protocol(DecodeError::AuthenticationMethodMissing),
        ),
    ]);
}

#[test]
fn publish() {
    let topic = (DecodeError::TopicNameInvalid, ReasonCode::TopicNameInvalid);
    let subscription_id = protocol(DecodeError::PropertyNotAllowed {
        id: PropertyId::SubscriptionIdentifier,
        place: PropertyPlace::PublishFromClient,
    });
    let response_topic = protocol(DecodeError::PropertyValueInvalid { id: PropertyId::ResponseTopic });
    check_client(&[
        ("+ [MQTT-3.3.2-2]", V3, 0x30, "0001 '+'", topic),
        ("# somewhere", V5, 0x30, "0003 'a#b' 00", topic),
        ("wildcard beside an alias", V5, 0x30, "0001 '#' 03 23 0001", topic),
        ("empty [3.1.1: MQTT-4.7.3-1]", V3, 0x30, "0000", topic),
        ("empty without alias (§3.3.2.1)", V5, 0x30, "0000 00", protocol(DecodeError::TopicNameMissing)),
        (
            "alias 0 [MQTT-3.3.2-8]",
            V5,
            0x30,
            "0001 't' 03 23 0000",
            (DecodeError::TopicAliasZero, ReasonCode::TopicAliasInvalid),
        ),
        ("subscription identifier [MQTT-3.3.4-6]", V5, 0x30, "0001 't' 02 0B 01", subscription_id),
        (
            "response topic with a wildcard [MQTT-3.3.2-14]",
            V5,
            0x30,
            "0001 't' 04 08 0001 '#'",
            response_topic,
        ),
        ("response topic empty [MQTT-4.7.3-1]", V5, 0x30, "0001 't' 03 08 0000", response_topic),
    ]);
    for first_byte in [0x36, 0x37, 0x38, 0x3E] {
        let flags = first_byte & 0x0F;
        let error = FrameError::FlagsInvalid { packet_type: PacketType::Publish, flags };
        assert_eq!(Publish::decode(first_byte, b"\0\x01t\0\x01", V3), Err(error.into()));
    }
}

#[test]
fn subscribe_and_unsubscribe() {
    let none = protocol(DecodeError::NoTopicFilter);
    let reserved = |options| malformed(DecodeError::SubscriptionOptionsReserved { options });
    let invalid = |options| protocol(DecodeError::SubscriptionOptionsInvalid { options });
    let zero = protocol(DecodeError::PropertyValueInvalid { id: PropertyId::SubscriptionIdentifier });
    check_client(&[
        ("no filter [3.1.1: MQTT-3.8.3-3]", V3, 0x82, "0001", none),
        ("no filter [MQTT-3.8.3-2]", V5, 0x82, "0001 00", none),
        ("no filter [MQTT-3.10.3-2]", V5, 0xA2, "0001 00", none),
        ("no filter [3.1.1: MQTT-3.10.3-2]", V3, 0xA2, "0001", none),
        ("QoS 3", V3, 0x82, "0001 0001 'a' 03", invalid(3)),
        ("no local in 3.1.1 [3.1.1: MQTT-3-8.3-4]", V3, 0x82, "0001 0001 'a' 04", reserved(4)),
        ("bit 7 in 3.1.1", V3, 0x82, "0001 0001 'a' 80", reserved(0x80)),
        ("in the second filter", V3, 0x82, "0001 0001 'a' 00 0001 'b' 03", invalid(3)),
        ("bit 6 [MQTT-3.8.3-5]", V5, 0x82, "0001 00 0001 'a' 40", reserved(0x40)),
        ("bit 7", V5, 0x82, "0001 00 0001 'a' 80", reserved(0x80)),
        ("QoS 3", V5, 0x82, "0001 00 0001 'a' 03", invalid(3)),
        ("retain handling 3", V5, 0x82, "0001 00 0001 'a' 30", invalid(0x30)),
        (
            "no local, shared [MQTT-3.8.3-4]",
            V5,
            0x82,
            "0001 00 000A '$share/g/a' 04",
            protocol(DecodeError::NoLocalOnSharedSubscription),
        ),
        ("subscription identifier 0", V5, 0x82, "0001 02 0B 00 0001 'a' 00", zero),
        (
            "a fifth byte (§1.5.5)",
            V5,
            0x82,
            "0001 06 0B 8080808001 0001 'a' 00",
            malformed(DecodeError::VarIntMalformed),
        ),
        (
            "longer than needed [MQTT-1.5.5-1]",
            V5,
            0x82,
            "0001 03 0B 8100 0001 'a' 00",
            malformed(DecodeError::VarIntMalformed),
        ),
        (
            "property length longer than needed",
            V5,
            0x82,
            "0001 8000 0001 'a' 00",
            malformed(DecodeError::VarIntMalformed),
        ),
    ]);
}

#[test]
fn reason_codes() {
    let invalid = |code, packet_type| protocol(DecodeError::ReasonCodeInvalid { code, packet_type });
    check_client(&[
        ("PUBACK", V5, 0x40, "0001 92", invalid(0x92, PacketType::Puback)),
        ("PUBREC, not assigned", V5, 0x50, "0001 03", invalid(3, PacketType::Pubrec)),
        ("PUBREL", V5, 0x62, "0001 80", invalid(0x80, PacketType::Pubrel)),
        ("PUBCOMP", V5, 0x70, "0001 10", invalid(0x10, PacketType::Pubcomp)),
        ("DISCONNECT", V5, 0xE0, "01", invalid(1, PacketType::Disconnect)),
        ("AUTH", V5, 0xF0, "80 00", invalid(0x80, PacketType::Auth)),
        (
            "AUTH without method (§3.15.2.2.2)",
            V5,
            0xF0,
            "18 00",
            protocol(DecodeError::AuthenticationMethodMissing),
        ),
    ]);
    check_server(&[
        ("CONNACK", V5, 0x20, "00 01 00", invalid(1, PacketType::Connack)),
        ("CONNACK in 3.1.1", V3, 0x20, "00 06", invalid(6, PacketType::Connack)),
        ("CONNACK flags", V3, 0x20, "02 00", malformed(DecodeError::ConnackFlagsInvalid { flags: 2 })),
        (
            "session present [MQTT-3.2.2-6]",
            V3,
            0x20,
            "01 05",
            malformed(DecodeError::ConnackFlagsInvalid { flags: 1 }),
        ),
        ("SUBACK", V5, 0x90, "0001 00 03", invalid(3, PacketType::Suback)),
        ("SUBACK in 3.1.1 [3.1.1: MQTT-3.9.3-2]", V3, 0x90, "0001 87", invalid(0x87, PacketType::Suback)),
        ("UNSUBACK", V5, 0xB0, "0001 00 01", invalid(1, PacketType::Unsuback)),
        ("SUBACK without codes", V3, 0x90, "0001", protocol(DecodeError::NoTopicFilter)),
    ]);
}

#[test]
fn properties_in_the_wrong_place() {
    check_client(&[
        (
            "unknown (§2.2.2.2)",
            V5,
            0x30,
            "0001 't' 02 04 00",
            malformed(DecodeError::PropertyUnknown { id: 4 }),
        ),
        (
            "unknown, two bytes",
            V5,
            0x30,
            "0001 't' 03 8101 00",
            malformed(DecodeError::PropertyUnknown { id: 0x81 }),
        ),
        (
            "server reference",
            V5,
            0xE0,
            "00 03 1C 0000",
            not_allowed(PropertyId::ServerReference, PropertyPlace::DisconnectFromClient),
        ),
        (
            "will delay beside the connection's",
            V5,
            0x10,
            "0004 'MQTT' 05 02 0000 05 18 00000000 0000",
            not_allowed(PropertyId::WillDelayInterval, PropertyPlace::Connect),
        ),
        (
            "session expiry in the will",
            V5,
            0x10,
            "0004 'MQTT' 05 06 0000 00 0000 05 11 00000000 0001 't' 0000",
            not_allowed(PropertyId::SessionExpiryInterval, PropertyPlace::Will),
        ),
        (
            "user property only",
            V5,
            0xA2,
            "0001 02 0B 01 0001 'a'",
            not_allowed(PropertyId::SubscriptionIdentifier, PropertyPlace::Unsubscribe),
        ),
    ]);
    check_server(&[(
        "session expiry [MQTT-3.14.2-2]",
        V5,
        0xE0,
        "00 05 11 00000000",
        not_allowed(PropertyId::SessionExpiryInterval, PropertyPlace::DisconnectFromServer),
    )]);
}

#[test]
fn properties_repeated_or_out_of_range() {
    let repeated = |id| protocol(DecodeError::PropertyRepeated { id });
    let range = |id| protocol(DecodeError::PropertyValueInvalid { id });
    check_client(&[
        (
            "twice (§2.2.2.2)",
            V5,
            0x30,
            "0001 't' 04 01 00 01 00",
            repeated(PropertyId::PayloadFormatIndicator),
        ),
        ("twice", V5, 0xE0, "00 06 1F 0000 1F 0000", repeated(PropertyId::ReasonString)),
        (
            "twice in SUBSCRIBE",
            V5,
            0x82,
            "0001 04 0B 01 0B 02 0001 'a' 00",
            repeated(PropertyId::SubscriptionIdentifier),
        ),
        ("payload format 2", V5, 0x30, "0001 't' 02 01 02", range(PropertyId::PayloadFormatIndicator)),
        (
            "receive maximum 0 (§3.1.2.11.3)",
            V5,
            0x10,
            "0004 'MQTT' 05 02 0000 03 21 0000 0000",
            range(PropertyId::ReceiveMaximum),
        ),
        (
            "maximum packet size 0",
            V5,
            0x10,
            "0004 'MQTT' 05 02 0000 05 27 00000000 0000",
            range(PropertyId::MaximumPacketSize),
        ),
        (
            "request problem information 2",
            V5,
            0x10,
            "0004 'MQTT' 05 02 0000 02 17 02 0000",
            range(PropertyId::RequestProblemInformation),
        ),
        (
            "request response information 2",
            V5,
            0x10,
            "0004 'MQTT' 05 02 0000 02 19 02 0000",
            range(PropertyId::RequestResponseInformation),
        ),
    ]);
    check_server(&[(
        "maximum QoS 2 (§3.2.2.3.4)",
        V5,
        0x20,
        "00 00 02 24 02",
        range(PropertyId::MaximumQos),
    )]);
}

/// §2.2.2.2, Table 2-4, in the words of checklist §1, written down a second time.
#[test]
fn property_table_is_that_of_the_standard() {
    use PropertyPlace as Place;
    let rows: [(Place, &[u8]); 16] = [
        (Place::Connect, &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27]),
        (Place::Will, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26]),
        (
            Place::Connack,
            &[
                0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28,
                0x29, 0x2A,
            ],
        ),
        (Place::PublishFromClient, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26]),
        (Place::PublishFromServer, &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26]),
        (Place::Puback, &[0x1F, 0x26]),
        (Place::Pubrec, &[0x1F, 0x26]),
        (Place::Pubrel, &[0x1F, 0x26]),
        (Place::Pubcomp, &[0x1F, 0x26]),
        (Place::Subscribe, &[0x0B, 0x26]),
        (Place::Suback, &[0x1F, 0x26]),
        (Place::Unsubscribe, &[0x26]),
        (Place::Unsuback, &[0x1F, 0x26]),
        (Place::DisconnectFromClient, &[0x11, 0x1F, 0x26]),
        (Place::DisconnectFromServer, &[0x1C, 0x1F, 0x26]),
        (Place::Auth, &[0x15, 0x16, 0x1F, 0x26]),
    ];
    assert_eq!(PropertyId::ALL.len(), 27);
    for (place, expected) in rows {
        let allowed: Vec<u8> =
            PropertyId::ALL.iter().filter(|id| id.allowed_in(place)).map(|id| id.value()).collect();
        assert_eq!(allowed, expected, "{place}");
        for id in PropertyId::ALL {
            let repeats = *id == PropertyId::UserProperty
                || (*id == PropertyId::SubscriptionIdentifier && place == Place::PublishFromServer);
            assert_eq!(id.may_repeat_in(place), repeats, "{id} in {place}");
        }
    }
}
