//! Networks that may connect to a listener: `allow_from` and `deny_from`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_client::{Client, ConnectOptions, Endpoint};
use lotmq_test_support::{Authority, Broker, BrokerOptions, QuicOptions, QuicTunnel, WAIT_MAX};

use crate::options;

/// CONNECT of 3.1.1 with the identifier `ab`.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab";

/// Bytes that the broker answers to `bytes`, at most those of a CONNACK.
fn answer(broker: &Broker, port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect((broker.address().ip(), port)).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    // A connection that is closed at once may refuse further bytes.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.take(4).read_to_end(&mut answer);
    answer
}

fn with_tls(authority: &Authority) -> BrokerOptions {
    let signed = authority.server("broker");
    options()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .variable("LOTMQ_LISTENER_QUIC_PORT", "0")
        .variable("LOTMQ_LISTENER_QUIC_BIND", "127.0.0.1")
}

#[test]
fn listener_serves_only_the_networks_that_it_allows() {
    for (allowed, denied, is_served) in [
        ("127.0.0.0/8", "10.0.0.0/8", true),
        ("10.0.0.0/8, 127.0.0.1", "", true),
        ("10.0.0.0/8", "", false),
        ("127.0.0.0/8", "127.0.0.1", false),
        ("", "127.0.0.0/8", false),
    ] {
        let mut options = options().variable("LOTMQ_LOG_DEBUG", "true");
        for (key, value) in [("ALLOW_FROM", allowed), ("DENY_FROM", denied)] {
            if !value.is_empty() {
                options = options.variable(&format!("LOTMQ_LISTENER_MQTT_{key}"), value);
            }
        }
        let broker = options.start();
        let expected: &[u8] = if is_served { &[0x20, 2, 0, 0] } else { b"" };
        assert_eq!(answer(&broker, broker.address().port(), CONNECT), expected, "{allowed}; {denied}");
        if !is_served {
            broker.log().expect("allow_from and deny_from of the listener keep its address out");
            assert_eq!(broker.metric("lotmq_addresses_refused_total"), Some(1.0));
            assert_eq!(broker.metric("lotmq_connections"), Some(0.0));
        }
    }
}

#[test]
fn denied_address_is_refused_before_tls_and_on_no_other_listener() {
    let authority = Authority::new();
    let broker = with_tls(&authority)
        .variable("LOTMQ_LISTENER_MQTTS_DENY_FROM", "127.0.0.0/8")
        .variable("LOTMQ_LISTENER_QUIC_ALLOW_FROM", "10.0.0.0/8")
        .start();
    assert!(answer(&broker, broker.port_of("mqtts"), b"\x16\x03\x01").is_empty());
    let endpoint = Endpoint::tcp("127.0.0.1", broker.port_of("mqtts")).tls(&authority.context());
    assert!(Client::connect_at(&endpoint, &ConnectOptions::v5("denied")).is_err());
    let tunnel = QuicTunnel::new(broker.port_of("quic"), &QuicOptions::new(&authority.file()));
    assert!(Client::connect(tunnel.address(), &ConnectOptions::v5("denied")).is_err());
    broker.wait_for_metric("lotmq_addresses_refused_total", 3.0);
    assert_eq!(broker.metric("lotmq_tls_handshakes_total"), Some(0.0));
    broker.connect(&ConnectOptions::v5("plain")).disconnect().unwrap();
}

#[test]
fn address_in_the_proxy_header_decides_behind_a_proxy() {
    let broker = options()
        .variable("LOTMQ_LISTENER_MQTT_PROXY_PROTOCOL", "true")
        .variable("LOTMQ_LISTENER_MQTT_ALLOW_FROM", "192.0.2.0/24")
        .variable("LOTMQ_LISTENER_MQTT_DENY_FROM", "192.0.2.66")
        .variable("LOTMQ_ANONYMOUS", "true")
        .start();
    let mut refused = 0.0;
    for (header, is_served) in [
        ("PROXY TCP4 192.0.2.7 10.0.0.2 4711 1883\r\n", true),
        ("PROXY TCP4 192.0.2.66 10.0.0.2 4711 1883\r\n", false),
        ("PROXY TCP4 127.0.0.1 10.0.0.2 4711 1883\r\n", false),
        ("PROXY UNKNOWN\r\n", false),
    ] {
        let bytes = [header.as_bytes(), CONNECT].concat();
        let expected: &[u8] = if is_served { &[0x20, 2, 0, 0] } else { b"" };
        assert_eq!(answer(&broker, broker.address().port(), &bytes), expected, "{header}");
        refused += if is_served { 0.0 } else { 1.0 };
        broker.wait_for_metric("lotmq_addresses_refused_total", refused);
    }
}
