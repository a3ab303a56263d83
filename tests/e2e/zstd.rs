//! The zstd stream transport: `docs/zstd-transport.md`, paragraph by paragraph.

use std::io::Read as _;

use lotmq_client::{
    Client, ConnectOptions, Connection, Endpoint, Packet, PropertyId, PropertyValue, ProtocolVersion,
    Publication, QoS, Will,
};
use lotmq_codec::{ServerPacket, encode_pingreq, fixed_header};
use lotmq_test_support::{Authority, Broker, BrokerOptions, Program, WAIT_MAX};
use lotmq_zstd::{Decoder, Encoder, Offer};

use crate::{LOTMQ, options};

fn with_zstd() -> BrokerOptions {
    options().variable("LOTMQ_LISTENER_MQTT_ZSTD_CLIENTS", "10")
}

fn zstd(client_id: &str) -> ConnectOptions {
    ConnectOptions::v5(client_id).zstd()
}

/// A connection with the transport granted, whose bytes a test makes itself.
fn granted(broker: &Broker, options: &ConnectOptions) -> Connection {
    let mut connection = Connection::open(broker.address(), ProtocolVersion::V5, WAIT_MAX).unwrap();
    connection.send(&connect(options)).unwrap();
    let answer = connection.receive(WAIT_MAX).unwrap().unwrap();
    let offer = Some(Offer { flush_ms: options.flush_ms });
    assert_eq!(offer_of(&answer), offer);
    connection
}

fn connect(options: &ConnectOptions) -> Vec<u8> {
    let mut packet = Vec::new();
    options.encode(&mut packet).unwrap();
    packet
}

fn offer_of(connack: &Packet) -> Option<Offer> {
    let ServerPacket::Connack(connack) = connack.decode().unwrap() else { panic!("{connack:?}") };
    Offer::read(connack.properties.user_properties())
}

fn pings(count: usize) -> Vec<u8> {
    let mut ping = Vec::new();
    encode_pingreq(&mut ping);
    ping.repeat(count)
}

#[test]
fn messages_of_every_size_and_qos_cross_the_stream() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let broker = with_zstd()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_MQTTS_ZSTD_CLIENTS", "10")
        // So that some bytes are left to the owner of a connection by another thread.
        .variable("LOTMQ_BROKER_PLACEMENT", "spread")
        .start();
    let plain_endpoint = Endpoint::tcp("127.0.0.1", broker.address().port());
    let secure = Endpoint::tcp("127.0.0.1", broker.port_of("mqtts")).tls(&authority.context());
    let mut plain = broker.connect(&ConnectOptions::v5("plain"));
    plain.subscribe_to("to/plain", QoS::ExactlyOnce).unwrap();
    for (endpoint, flush_ms) in [(&plain_endpoint, 0), (&plain_endpoint, 5), (&secure, 0), (&secure, 5)] {
        let mut packed = Client::connect_at(endpoint, &zstd("packed").flush_ms(flush_ms)).unwrap();
        assert!(packed.has_zstd());
        packed.subscribe_to("to/packed", QoS::ExactlyOnce).unwrap();
        for len in [0, 1, 100, 65_535, 65_536, 200_000, 3_000_000] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                // Compresses well, then hardly.
                let payload: Vec<u8> = match qos {
                    QoS::AtLeastOnce => (0..len).map(|at| (at * at % 251 * 7 + at / 256) as u8).collect(),
                    QoS::AtMostOnce | QoS::ExactlyOnce => vec![b'x'; len],
                };
                let what = format!("{endpoint} {flush_ms} {len} {qos:?}");
                packed.publish(&Publication::new("to/plain", payload.clone()).qos(qos)).unwrap();
                packed.connection().flush().unwrap();
                assert!(plain.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{what}");
                plain.publish(&Publication::new("to/packed", payload.clone()).qos(qos)).unwrap();
                assert!(packed.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{what}");
            }
        }
        packed.disconnect().unwrap();
    }
    assert_eq!(broker.metric("lotmq_zstd_connections_total"), Some(4.0));
    assert_eq!(broker.metric("lotmq_zstd_failures_total"), Some(0.0));
}

#[test]
fn client_falls_back_to_plain_mqtt_without_zstd() {
    let works = |mut client: Client, what: &str| {
        assert!(!client.has_zstd(), "{what}");
        client.subscribe_to("t", QoS::AtLeastOnce).unwrap();
        client.publish(&Publication::new("t", "x").qos(QoS::AtLeastOnce)).unwrap();
        assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().payload, b"x", "{what}");
        client
    };
    let broker = options().start();
    works(broker.connect(&zstd("a")), "switched off, as by default");
    let broker = options()
        .variable("LOTMQ_LISTENER_MQTT_ZSTD_CLIENTS", "1")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .start();
    works(broker.connect(&zstd("a").version(ProtocolVersion::V3_1_1)), "a version without properties");
    let endpoint = Endpoint::tcp("127.0.0.1", broker.port_of("ws")).websocket("/mqtt");
    works(Client::connect_at(&endpoint, &zstd("a")).unwrap(), "WebSocket");
    let small = zstd("a").property(PropertyId::MaximumPacketSize, PropertyValue::FourByte(200));
    works(broker.connect(&small), "a client for small packets");
    let version = ConnectOptions::v5("a")
        .property(PropertyId::UserProperty, PropertyValue::Utf8Pair("lotmq-zstd", "2"));
    works(broker.connect(&version), "a version that nobody knows");
    let first = broker.connect(&zstd("first"));
    assert!(first.has_zstd());
    works(broker.connect(&zstd("second")), "all places taken");
    first.disconnect().unwrap();
    broker.wait_for_metric("lotmq_connections_closed_total", 1.0);
    // The place is free again, once the connection is closed.
    lotmq_test_support::eventually("a place", || broker.connect(&zstd("third")).has_zstd().then_some(()));
}

#[test]
fn data_between_connect_and_connack_ends_a_zstd_connection() {
    let broker = with_zstd().start();
    // The password is checked on another thread; meanwhile nothing is read.
    for (options, failures) in [(zstd("a"), 1.0), (zstd("a").user("root", "coreflux"), 2.0)] {
        let mut connection = Connection::open(broker.address(), ProtocolVersion::V5, WAIT_MAX).unwrap();
        connection.send(&[connect(&options), pings(1)].concat()).unwrap();
        assert!(connection.wait_closed(WAIT_MAX).unwrap());
        broker.wait_for_metric("lotmq_zstd_failures_total", failures);
    }
    // Without the transport it is allowed.
    let mut connection = Connection::open(broker.address(), ProtocolVersion::V5, WAIT_MAX).unwrap();
    connection.send(&[connect(&ConnectOptions::v5("a")), pings(1)].concat()).unwrap();
    assert!(
        connection.receive(WAIT_MAX).unwrap().is_some() && connection.receive(WAIT_MAX).unwrap().is_some()
    );
}

#[test]
fn a_damaged_stream_ends_the_connection_and_publishes_the_will() {
    let broker = with_zstd().start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("gone", QoS::AtMostOnce).unwrap();
    let mut half = Vec::new();
    Encoder::new().unwrap().encode([&pings(1)[..]], &mut half).unwrap();
    let last = half.len() - 1;
    half[last] ^= 0xff;
    // A frame that asks for a window of 128 KiB, in one block of one byte.
    let window = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0x00, 0x38], &[0x08, 0x00, 0x00, 0xc0]].concat();
    for (number, bytes) in
        [pings(20), half.repeat(3), window, b"GET / HTTP/1.1\r\n\r\n".to_vec()].iter().enumerate()
    {
        let mut options = zstd("broken");
        options.will = Some(Will::new("gone", "x"));
        let mut connection = granted(&broker, &options);
        connection.send(bytes).unwrap();
        assert!(connection.wait_closed(WAIT_MAX).unwrap(), "{number}");
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "gone", "{number}");
    }
    broker.wait_for_metric("lotmq_zstd_failures_total", 4.0);
    broker.log().expect("zstd-failed");
}

#[test]
fn malformed_packet_in_a_valid_zstd_stream_is_a_protocol_error() {
    let broker = with_zstd().start();
    let mut connection = granted(&broker, &zstd("a"));
    let mut wire = Vec::new();
    // A packet of two gigabytes, by its header.
    Encoder::new().unwrap().encode([&b"\x30\xff\xff\xff\x7f"[..]], &mut wire).unwrap();
    connection.send(&wire).unwrap();
    connection.start_zstd().unwrap();
    let told = connection.receive(WAIT_MAX).unwrap().unwrap();
    assert!(matches!(told.decode().unwrap(), ServerPacket::Disconnect(_)), "{told:?}");
    assert!(connection.wait_closed(WAIT_MAX).unwrap());
    broker.wait_for_metric("lotmq_protocol_errors_total", 1.0);
    assert_eq!(broker.metric("lotmq_zstd_failures_total"), Some(0.0));
}

#[test]
fn a_bomb_holds_nobody_up() {
    let broker = with_zstd().start();
    let mut wire = Vec::new();
    Encoder::new().unwrap().encode([&pings(1 << 19)[..]; 16], &mut wire).unwrap();
    assert!(wire.len() < 8 << 10, "{} bytes are 16 MiB", wire.len());
    let mut bomber = granted(&broker, &zstd("bomber"));
    bomber.send(&wire).unwrap();
    // It does not read its answers; the others are served.
    let mut other = broker.client("other");
    other.subscribe_to("t", QoS::AtLeastOnce).unwrap();
    for _ in 0..100 {
        other.publish(&Publication::new("t", "x").qos(QoS::AtLeastOnce)).unwrap();
        assert!(other.receive(WAIT_MAX).unwrap().is_some());
    }
    // When it reads, it gets all of them.
    bomber.start_zstd().unwrap();
    for number in 0..16_u32 << 19 {
        assert!(bomber.receive(WAIT_MAX).unwrap().is_some(), "answer {number}");
        if number == 100_000 {
            break;
        }
    }
}

#[test]
fn a_server_that_may_collect_sends_many_messages_at_once() {
    const MESSAGES: usize = 50;
    let broker = with_zstd().start();
    let connection = granted(&broker, &zstd("reader").flush_ms(1000));
    let mut stream = connection.stream().try_clone().unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
    let mut wire = Vec::new();
    encoder.encode([&b"\x82\x0a\x00\x01\x00\x00\x04many\x01"[..]], &mut wire).unwrap();
    std::io::Write::write_all(&mut stream, &wire).unwrap();
    let (mut content, mut reads, mut packets) = (Vec::new(), 0, 0);
    let mut read = |packets: &mut usize, reads: &mut usize| {
        let (mut bytes, mut target) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let len = stream.read(&mut bytes).unwrap();
        assert!(len > 0, "the connection is open");
        let progress = decoder.decode(&bytes[..len], &mut target).unwrap();
        assert_eq!(progress.consumed, len);
        content.extend_from_slice(&target[..progress.produced]);
        while let Some(header) = fixed_header(&content, u32::MAX).unwrap()
            && content.len() >= header.packet_len()
        {
            content.drain(..header.packet_len());
            *packets += 1;
        }
        *reads += 1;
    };
    while packets < 1 {
        read(&mut packets, &mut reads);
    }
    let mut publisher = broker.client("publisher");
    for _ in 0..MESSAGES {
        publisher.publish(&Publication::new("many", "x").qos(QoS::AtLeastOnce)).unwrap();
    }
    (packets, reads) = (0, 0);
    while packets < MESSAGES {
        read(&mut packets, &mut reads);
    }
    assert!(reads < MESSAGES / 2, "{MESSAGES} messages came in {reads} reads");
}

#[test]
fn the_command_line_asks_for_it() {
    let broker = with_zstd().start();
    let port = broker.port();
    for (arguments, with_zstd) in
        [(&["--zstd"][..], true), (&["--zstd", "--flush-ms", "5"], true), (&[], false)]
    {
        let publish = ["pub", "-p", &port, "-t", "kept", "-m", "x", "-r", "-q", "1", "-d"];
        let run = Program::run(LOTMQ, &[&publish[..], arguments].concat()).unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
        assert_eq!(run.stderr.contains(", zstd"), with_zstd, "{}", run.stderr);
        let subscribe = ["sub", "-p", &port, "-t", "kept", "-C", "1"];
        let run = Program::run(LOTMQ, &[&subscribe[..], arguments].concat()).unwrap();
        assert_eq!((run.status.code(), run.stdout.trim()), (Some(0), "x"), "{}", run.stderr);
        let bench = ["bench", "fan-in", "-p", &port, "-n", "3", "-t", "0.2", "-q", "2", "-V", "5"];
        let run = Program::run(LOTMQ, &[&bench[..], arguments].concat()).unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    }
    assert_eq!(broker.metric("lotmq_zstd_connections_total"), Some(12.0));
}
