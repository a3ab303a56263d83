//! Memory for unfinished packets, and for few bytes that expand: bounded for all connections
//! together.

use std::io::Write as _;
use std::net::TcpStream;

use lotmq_client::{
    Client, ClientError, ConnectOptions, Endpoint, PropertyId, PropertyValue, Publication, QoS, ReasonCode,
};
use lotmq_test_support::{Authority, Broker, BrokerOptions, WAIT_MAX};

use crate::options;

fn with_websocket() -> BrokerOptions {
    options().variable("LOTMQ_LISTENER_WS_PORT", "0").variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
}

fn wait_until_reached(broker: &Broker, limit: &str, listener: &str) {
    let name = format!("lotmq_limit_reached_total{{limit=\"{limit}\",listener=\"{listener}\"}}");
    broker.wait_for_metric(&name, 1.0);
}

fn is_quota(error: &ClientError) -> bool {
    matches!(error, ClientError::Disconnected { reason: ReasonCode::QuotaExceeded, .. })
}

/// A client that has sent so many bytes of a PUBLISH of 800,000.
fn half_a_packet(broker: &Broker, client_id: &str, sent: usize) -> Client {
    let mut client = broker.client(client_id);
    client.connection().send(&[0x30, 0x80, 0xea, 0x30]).unwrap();
    // It may be closed meanwhile.
    let _ = client.connection().send(&vec![0; sent]);
    client
}

#[test]
fn half_sent_packets_of_all_connections_are_bounded() {
    let broker = options().variable("LOTMQ_LIMITS_PARTIAL_BYTES", "2000000").start();
    let mut all: Vec<Client> =
        (0..4).map(|number| half_a_packet(&broker, &format!("half-{number}"), 700_000)).collect();
    wait_until_reached(&broker, "partial_bytes", "mqtt");
    // Those who send whole packets are not concerned.
    let mut other = broker.client("other");
    let publication = Publication::new("t", vec![b'x'; 300_000]).qos(QoS::AtLeastOnce);
    for _ in 0..10 {
        assert!(!other.publish(&publication).unwrap().is_failure());
    }
    let closed = all.iter_mut().filter_map(|client| client.connection().wait_closed(WAIT_MAX / 10).ok());
    assert!((1..4).contains(&closed.filter(|is_closed| *is_closed).count()), "not all have to go");
}

#[test]
fn connection_with_the_largest_partial_packet_is_closed_at_the_limit() {
    let broker = options().variable("LOTMQ_LIMITS_PARTIAL_BYTES", "1000000").start();
    let mut idle = half_a_packet(&broker, "idle", 790_000);
    // Less than an even share each, and together too much.
    let mut small: Vec<Client> =
        (0..3).map(|number| half_a_packet(&broker, &format!("small-{number}"), 100_000)).collect();
    assert!(idle.connection().wait_closed(WAIT_MAX).unwrap());
    wait_until_reached(&broker, "partial_bytes", "mqtt");
    for client in &mut small {
        assert!(!client.connection().wait_closed(WAIT_MAX / 100).unwrap(), "who has less than a share stays");
    }
    let reached = broker.metric("lotmq_limit_reached_total{limit=\"partial_bytes\",listener=\"mqtt\"}");
    assert_eq!(reached, Some(1.0));
}

#[test]
fn handshakes_that_do_not_end_count_before_connect() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let broker = with_websocket()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LIMITS_HALF_OPEN_BYTES", "15000")
        .start();
    let upgrade = format!("GET /mqtt HTTP/1.1\r\nCookie: {}", "x".repeat(10_000)).into_bytes();
    // A record of 16 KiB with a ClientHello that needs all of it.
    let mut hello = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03".to_vec();
    hello.resize(10_000, 7);
    for (listener, bytes) in [("ws", upgrade), ("mqtts", hello)] {
        let connect = || {
            let mut stream = TcpStream::connect(("127.0.0.1", broker.port_of(listener))).unwrap();
            let _ = stream.write_all(&bytes);
            stream
        };
        let _both = [connect(), connect()];
        wait_until_reached(&broker, "half_open_bytes", listener);
    }
}

/// Publishes to a topic of so many bytes, some 16 KiB at least, and gives it an alias; waits for an
/// answer to what follows.
fn give_alias(client: &mut Client, alias: u8, topic_bytes: u16) -> Result<(), ClientError> {
    let mut body = topic_bytes.to_be_bytes().to_vec();
    body.resize(2 + usize::from(topic_bytes), b't');
    body.extend([3, 0x23, 0, alias]);
    let [high, middle, low] = [body.len() >> 14, body.len() >> 7, body.len()].map(|bits| bits as u8 & 0x7f);
    let packet = [&[0x30, low | 0x80, middle | 0x80, high], &body[..]].concat();
    client.connection().send(&packet)?;
    client.ping()
}

#[test]
fn topics_of_aliases_are_bounded_for_one_and_for_all() {
    let broker = options().variable("LOTMQ_LIMITS_PARTIAL_BYTES", "150000").start();
    let mut first = broker.connect(&ConnectOptions::v5("first"));
    give_alias(&mut first, 1, 60_000).unwrap();
    // Replaced, not added.
    give_alias(&mut first, 1, 40_000).unwrap();
    give_alias(&mut first, 2, 25_000).unwrap();
    let refused = give_alias(&mut first, 3, 20_000).unwrap_err();
    assert!(is_quota(&refused), "{refused}");
    wait_until_reached(&broker, "topic_alias_bytes", "mqtt");
    let mut others: Vec<Client> =
        (0..3).map(|number| broker.connect(&ConnectOptions::v5(format!("c{number}")))).collect();
    let given: Vec<bool> = others.iter_mut().map(|client| give_alias(client, 1, 60_000).is_ok()).collect();
    assert!(given[0] && given[1], "there is room for two: {given:?}");
    wait_until_reached(&broker, "partial_bytes", "mqtt");
}

#[test]
fn decompression_ratio_is_limited() {
    let broker = with_websocket()
        .variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "1000000")
        .variable("LOTMQ_LISTENER_MQTT_ZSTD_CLIENTS", "10")
        .start();
    let framed = Endpoint::tcp("127.0.0.1", broker.port_of("ws")).compressed_websocket("/mqtt");
    let mut options = ConnectOptions::v5("packed");
    options.zstd = true;
    let plain = Endpoint::tcp("127.0.0.1", broker.address().port());
    for (endpoint, options, listener) in
        [(framed, ConnectOptions::v5("framed"), "ws"), (plain, options, "mqtt")]
    {
        let mut client = Client::connect_at(&endpoint, &options).unwrap();
        let publication = Publication::new("t", vec![b'x'; 900_000]).qos(QoS::AtLeastOnce);
        assert!(!client.publish(&publication).unwrap().is_failure(), "one packet may be anything");
        let refused = (0..5).find_map(|_| client.publish(&publication).err()).expect("five may not");
        assert!(is_quota(&refused), "{listener}: {refused}");
        wait_until_reached(&broker, "inflate_ratio", listener);
    }
}

/// Each connection may expand one packet beyond the ratio, and those of one address two together.
#[test]
fn connections_of_one_address_share_what_may_expand() {
    let broker = with_websocket()
        .variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "1000000")
        .variable("LOTMQ_LISTENER_MQTT_ZSTD_CLIENTS", "10")
        .start();
    let framed = Endpoint::tcp("127.0.0.1", broker.port_of("ws")).compressed_websocket("/mqtt");
    let publication = Publication::new("t", vec![b'x'; 990_000]).qos(QoS::AtLeastOnce);
    let connected = (0..6).map(|number| {
        let mut client = Client::connect_at(&framed, &ConnectOptions::v5(format!("c{number}"))).unwrap();
        (client.publish(&publication).is_ok(), client)
    });
    let taken = connected.collect::<Vec<_>>();
    assert_eq!(taken.iter().filter(|(is_taken, _)| *is_taken).count(), 2);
    wait_until_reached(&broker, "inflate_ratio", "ws");
    // A connection that is closed gives nothing back.
    drop(taken);
    let mut again = Client::connect_at(&framed, &ConnectOptions::v5("again")).unwrap();
    assert!(is_quota(&again.publish(&publication).unwrap_err()));
    // Input that does not expand is free.
    let mut other = Client::connect_at(&framed, &ConnectOptions::v5("other")).unwrap();
    let small = Publication::new("t", vec![b'x'; 1_000]).qos(QoS::AtLeastOnce);
    assert!(!other.publish(&small).unwrap().is_failure());
}

#[test]
fn rates_count_what_was_compressed_as_it_is() {
    let broker = with_websocket().variable("LOTMQ_LISTENER_WS_BYTES_PER_SEC", "100000").start();
    let endpoint = Endpoint::tcp("127.0.0.1", broker.port_of("ws")).compressed_websocket("/mqtt");
    let mut client = Client::connect_at(&endpoint, &ConnectOptions::v5("framed")).unwrap();
    client.publish(&Publication::new("t", vec![b'x'; 250_000]).qos(QoS::AtLeastOnce)).unwrap();
    client.ping().unwrap();
    wait_until_reached(&broker, "bytes_per_sec", "ws");
}

/// Memory that a broker takes for the topics of aliases towards so many clients that allow them,
/// where all have `bytes_max` together.
fn taken_for_aliases(bytes_max: u64) -> (u64, f64) {
    const CLIENTS: usize = 150;
    const TOPICS: usize = 200;
    let broker =
        options().prepared().variable("LOTMQ_LIMITS_ALL_ALIAS_BYTES", &bytes_max.to_string()).start();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            let options = ConnectOptions::v5(format!("aliased-{number}"))
                .property(PropertyId::TopicAliasMaximum, PropertyValue::TwoByte(u16::MAX));
            let mut client = broker.connect(&options);
            client.subscribe_to("long/#", QoS::AtMostOnce).unwrap();
            client
        })
        .collect();
    let before = broker.resident_bytes();
    let mut publisher = broker.client("publisher");
    for _ in 0..3 {
        for topic in 0..TOPICS {
            publisher.publish(&Publication::new(format!("long/{topic}/{:480}", ""), "x")).unwrap();
        }
        publisher.ping().unwrap();
        for client in &mut clients {
            for topic in 0..TOPICS {
                let message = client.receive(WAIT_MAX).unwrap().expect("a message is missing");
                assert!(message.topic.starts_with(&format!("long/{topic}/")), "{}", message.topic);
            }
        }
    }
    let reached = broker.metric("lotmq_limit_reached_total{limit=\"all_alias_bytes\",listener=\"mqtt\"}");
    (broker.resident_bytes().saturating_sub(before), reached.unwrap_or_default())
}

#[test]
fn topics_of_aliases_towards_clients_are_bounded_in_sum() {
    let (unbounded, _) = taken_for_aliases(1 << 30);
    let (bounded, reached) = taken_for_aliases(1 << 20);
    assert!(reached >= 1.0, "{reached}");
    // 200 topics of 490 bytes for each of 150 clients are 15 MB.
    assert!(bounded + (8 << 20) < unbounded, "{bounded} bytes where {unbounded} are taken without a bound");
}
