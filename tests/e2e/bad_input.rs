//! Malformed input that a stranger, or a broken device, may send to the port.

use std::io::Write as _;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Connection, ProtocolVersion, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::broker;

/// A CONNECT of 3.1.1 and of 5.0, client identifier `x`.
const CONNECTS: [(ProtocolVersion, &[u8]); 2] = [
    (ProtocolVersion::V3_1_1, b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01x"),
    (ProtocolVersion::V5, b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01x"),
];

/// The first byte of DISCONNECT and its reason, as 5.0 tells it.
const TOO_LARGE: &[u8] = &[0xE0, 0x95];
const MALFORMED: &[u8] = &[0xE0, 0x81];

fn open(broker: &Broker, version: ProtocolVersion) -> Connection {
    Connection::open(broker.address(), version, WAIT_MAX).unwrap()
}

/// A connection whose CONNECT was accepted.
fn connected(broker: &Broker, version: ProtocolVersion, connect: &[u8]) -> Connection {
    let mut connection = open(broker, version);
    connection.send(connect).unwrap();
    assert!(connection.receive(WAIT_MAX).unwrap().is_some(), "CONNACK");
    connection
}

/// In 5.0 the reason comes first; before, the connection just closes.
fn assert_refused(mut connection: Connection, version: ProtocolVersion, reason: &[u8]) {
    if version == ProtocolVersion::V5 {
        let packet = connection.receive(WAIT_MAX).unwrap().expect("DISCONNECT");
        assert_eq!([packet.bytes()[0], packet.bytes()[2]], reason, "{:?}", packet.bytes());
    }
    assert!(connection.wait_closed(WAIT_MAX).unwrap(), "the connection closes");
}

/// Still serves others.
fn assert_alive(broker: &Broker) {
    let mut client = broker.client("alive");
    client.subscribe_to("alive", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("alive", "yes")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "yes");
}

#[test]
fn garbage_is_closed_and_counted() {
    let broker = broker();
    let samples: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", // A TLS ClientHello.
        b"\x30\x05\0\x01thi",                        // PUBLISH before CONNECT.
        b"\x10\x0c\0\x04HTTP\x04\x02\0\x3c\0\0",     // CONNECT of something else.
    ];
    for (at, sample) in samples.iter().enumerate() {
        let mut connection = open(&broker, ProtocolVersion::V3_1_1);
        connection.send(sample).unwrap();
        assert!(connection.wait_closed(WAIT_MAX).unwrap(), "{sample:?}");
        let counted = eventually("the count", || {
            // A CONNECT of something else is a refused one, everything else an error.
            let errors = broker.metric("lotmq_protocol_errors_total")?;
            let refused = broker.metric("lotmq_connects_refused_total")?;
            Some(errors + refused).filter(|count| *count > at as f64)
        });
        assert_eq!(counted, (at + 1) as f64);
    }
    assert_alive(&broker);
}

#[test]
fn the_largest_length_is_refused_at_the_header_and_takes_no_memory() {
    let broker = broker();
    assert_alive(&broker);
    let before = broker.resident_bytes();
    for (version, connect) in CONNECTS {
        for round in 0..20 {
            let mut connection = connected(&broker, version, connect);
            // PUBLISH of 268 435 455 bytes, of which only the header comes.
            connection.send(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]).unwrap();
            assert_refused(connection, version, TOO_LARGE);
            assert!(broker.resident_bytes() < before + (16 << 20), "round {round}");
        }
    }
    assert_alive(&broker);
}

#[test]
fn a_connect_of_the_largest_length_is_refused_at_the_header() {
    let broker = broker();
    let before = broker.resident_bytes();
    for _ in 0..20 {
        let mut connection = open(&broker, ProtocolVersion::V3_1_1);
        connection.send(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]).unwrap();
        assert!(connection.wait_closed(WAIT_MAX).unwrap());
    }
    assert!(broker.resident_bytes() < before + (16 << 20));
    assert_alive(&broker);
}

#[test]
fn a_fifth_length_byte_is_malformed() {
    let broker = broker();
    for (version, connect) in CONNECTS {
        let mut connection = connected(&broker, version, connect);
        connection.send(&[0x30, 0x80, 0x80, 0x80, 0x80]).unwrap();
        assert_refused(connection, version, MALFORMED);
        // Before CONNECT nobody knows the version: it just closes.
        let mut stranger = open(&broker, version);
        stranger.send(&[0x10, 0xFF, 0xFF, 0xFF, 0xFF]).unwrap();
        assert!(stranger.wait_closed(WAIT_MAX).unwrap());
    }
    assert_alive(&broker);
}

#[test]
fn a_message_just_within_the_limit_passes_and_one_byte_more_does_not() {
    let broker = crate::options().variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "2048").start();
    let options = ConnectOptions::v5("sender");
    let mut client = broker.connect(&options);
    let announced = client.connack_properties().maximum_packet_size().map(std::num::NonZeroU32::get);
    assert_eq!(announced, Some(2048));
    // Fixed header 3, topic length 2, topic 1, packet identifier 2, property length 1.
    let fitting = vec![b'x'; 2048 - 9];
    let fits = client.publish(&Publication::new("t", fitting.clone()).qos(QoS::AtLeastOnce)).unwrap();
    assert!(!fits.is_failure());
    let larger = [fitting, b"x".to_vec()].concat();
    let kept_back = client.publish(&Publication::new("t", larger.clone()).qos(QoS::AtLeastOnce)).unwrap_err();
    assert_eq!(kept_back.to_string(), "the message makes a packet of 2049 bytes; the server takes 2048");

    // A client that does not care.
    let mut raw = open(&broker, ProtocolVersion::V5);
    let mut bytes = Vec::new();
    ConnectOptions::v5("raw").encode(&mut bytes).unwrap();
    bytes.extend_from_slice(b"\x32\xfe\x0f\0\x01t\0\x01\0");
    bytes.extend_from_slice(&larger);
    raw.send(&bytes).unwrap();
    let mut types = Vec::new();
    while let Ok(Some(packet)) = raw.receive(WAIT_MAX) {
        types.push((packet.bytes()[0], packet.body().first().copied()));
    }
    assert_eq!(types, [(0x20, Some(0)), (0xe0, Some(0x95))], "CONNACK, then DISCONNECT: packet too large");
    assert_alive(&broker);
}

#[test]
fn a_packet_that_comes_byte_by_byte_is_one_packet() {
    let broker = broker();
    let mut reader = broker.client("reader");
    reader.subscribe_to("t", QoS::AtMostOnce).unwrap();
    let connection = open(&broker, ProtocolVersion::V3_1_1);
    let mut stream = connection.stream();
    for byte in [CONNECTS[0].1, b"\x30\x05\0\x01thi"].concat() {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().text(), "hi");
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let broker = broker();
    let mut silent = open(&broker, ProtocolVersion::V3_1_1);
    let mut half = open(&broker, ProtocolVersion::V3_1_1);
    half.send(b"\x10\x0d\0\x04MQ").unwrap();
    for connection in [&mut silent, &mut half] {
        assert!(connection.wait_closed(Duration::from_secs(60)).unwrap());
    }
}

#[test]
fn unknown_protocol_level_is_rejected_and_closed() {
    let broker = broker();
    let mut connection = open(&broker, ProtocolVersion::V3_1_1);
    connection.send(b"\x10\x0d\0\x04MQTT\x09\x02\0\x3c\0\x01x").unwrap();
    let packet = connection.receive(WAIT_MAX).unwrap().expect("CONNACK");
    assert_eq!(packet.bytes(), [0x20, 2, 0, 1]);
    assert!(connection.wait_closed(WAIT_MAX).unwrap());
}

#[test]
fn wrong_password_is_refused_in_both_versions() {
    let broker = broker();
    for options in [ConnectOptions::new("x"), ConnectOptions::v5("x")] {
        let error = Client::connect(broker.address(), &options.user("root", "wrong")).unwrap_err();
        let text = error.to_string();
        let is_told = text.contains("not authorized") || text.contains("bad user name or password");
        assert!(text.starts_with("the server refused the connection: ") && is_told, "{text}");
    }
}
