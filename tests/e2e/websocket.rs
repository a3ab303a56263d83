//! MQTT over WebSocket: our own client, frames by hand, and paho.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_client::{Client, ConnectOptions, Endpoint, Publication, QoS};
use lotmq_test_support::{
    Authority, Broker, BrokerOptions, Program, WAIT_MAX, python_with_paho, python_with_websockets,
};

use crate::options;

const DEFLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/websockets_deflate.py");
const PAHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/paho_websocket.py");

/// CONNECT of 3.1.1 with the identifier `ab`.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";

/// A whole request.
const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

fn with_websocket() -> BrokerOptions {
    options().variable("LOTMQ_LISTENER_WS_PORT", "0").variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
}

fn endpoint(broker: &Broker) -> Endpoint {
    Endpoint::tcp("127.0.0.1", broker.port_of("ws"))
}

fn connect(endpoint: &Endpoint, client_id: &str) -> Client {
    Client::connect_at(endpoint, &ConnectOptions::v5(client_id)).unwrap()
}

/// A connection whose frames a test makes itself.
struct Raw(TcpStream);

impl Raw {
    /// Sends a request with these fields for MQTT at `path`; the answer's head is returned with it.
    fn request(broker: &Broker, path: &str, fields: &str) -> (Self, String) {
        Self::request_to(broker, "localhost", path, fields)
    }

    /// The same under this name of the broker.
    fn request_to(broker: &Broker, host: &str, path: &str, fields: &str) -> (Self, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", broker.port_of("ws"))).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        (Self(stream), String::from_utf8(head).unwrap())
    }

    fn open(broker: &Broker) -> Self {
        let (raw, head) = Self::request(broker, "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    /// Sends a masked frame with this first byte.
    fn send(&mut self, first: u8, payload: &[u8]) {
        self.0.write_all(&frame(first, payload)).unwrap();
    }

    /// Reads a short frame.
    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        assert!(head[1] < 126, "short and not masked");
        let mut payload = vec![0; head[1].into()];
        self.0.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too: what we sent behind it was not read.
        let _ = self.0.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

#[test]
fn messages_of_every_size_and_qos_cross_every_kind_of_websocket() {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let broker = with_websocket()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_WSS_PORT", "0")
        .variable("LOTMQ_LISTENER_WSS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "off")
        // So that some bytes are left to the owner of a connection by another thread.
        .variable("LOTMQ_BROKER_PLACEMENT", "spread")
        .start();
    let secure = || Endpoint::tcp("127.0.0.1", broker.port_of("wss")).tls(&authority.context());
    let mut plain = broker.connect(&ConnectOptions::v5("plain"));
    plain.subscribe_to("to/plain", QoS::ExactlyOnce).unwrap();
    for (name, endpoint) in [
        ("ws", endpoint(&broker).websocket("/mqtt")),
        ("compressed", endpoint(&broker).compressed_websocket("/")),
        ("wss", secure().websocket("/")),
        ("compressed-wss", secure().compressed_websocket("/mqtt")),
    ] {
        let mut framed = connect(&endpoint, name);
        framed.subscribe_to("to/framed", QoS::ExactlyOnce).unwrap();
        for len in [0, 1, 100, 125, 126, 65_535, 65_536, 200_000, 3_000_000] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                // Compresses well, then hardly.
                let payload: Vec<u8> = match qos {
                    QoS::AtLeastOnce => (0..len).map(|at| (at * at % 251 * 7 + at / 256) as u8).collect(),
                    QoS::AtMostOnce | QoS::ExactlyOnce => vec![b'x'; len],
                };
                framed.publish(&Publication::new("to/plain", payload.clone()).qos(qos)).unwrap();
                assert!(plain.receive(WAIT_MAX).unwrap().unwrap().payload == payload, "{name} {len} {qos:?}");
                plain.publish(&Publication::new("to/framed", payload.clone()).qos(qos)).unwrap();
                assert!(
                    framed.receive(WAIT_MAX).unwrap().unwrap().payload == payload,
                    "{name} {len} {qos:?}"
                );
            }
        }
        framed.disconnect().unwrap();
    }
    assert_eq!(broker.metric("lotmq_websocket_upgrades_total"), Some(4.0));
    assert_eq!(broker.metric("lotmq_websocket_compressed_total"), Some(2.0));
    assert_eq!(broker.metric("lotmq_websocket_failures_total"), Some(0.0));
}

/// [MQTT-6.0.0-1, -2], [3.1.1: MQTT-6.0.0-1, -2].
#[test]
fn packets_may_be_split_over_frames_and_share_them() {
    let broker = with_websocket().start();
    let mut raw = Raw::open(&broker);
    raw.send(0x02, &CONNECT[..3]);
    raw.send(0x89, b"in between");
    raw.send(0x00, &CONNECT[3..9]);
    raw.send(0x00, b"");
    // The rest of CONNECT, then SUBSCRIBE to `t` and half of a PINGREQ.
    let mut rest = CONNECT[9..].to_vec();
    rest.extend_from_slice(b"\x82\x06\x00\x01\x00\x01t\x00\xc0");
    raw.send(0x80, &rest);
    raw.send(0x82, b"\x00\x30\x04\x00\x01tx");
    assert_eq!(raw.receive(), (0x8a, b"in between".to_vec()));
    let mut answers = Vec::new();
    while answers.len() < 4 + 5 + 2 + 6 {
        let (first, payload) = raw.receive();
        assert_eq!(first, 0x82, "one binary message");
        answers.extend(payload);
    }
    assert_eq!(answers, b"\x20\x02\x00\x00\x90\x03\x00\x01\x00\xd0\x00\x30\x04\x00\x01tx");
}

#[test]
fn frames_may_come_byte_by_byte_and_right_behind_the_request() {
    let broker = with_websocket().start();
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port_of("ws"))).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let mut bytes = REQUEST.to_vec();
    bytes.extend(frame(0x82, CONNECT));
    stream.set_nodelay(true).unwrap();
    for piece in bytes.chunks(1) {
        stream.write_all(piece).unwrap();
    }
    let mut answer = Vec::new();
    while !answer.ends_with(&[&[0x82, 4][..], CONNACK].concat()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
}

#[test]
fn a_refusal_is_answered_behind_the_handshake() {
    let broker = with_websocket().variable("LOTMQ_ANONYMOUS", "false").start();
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port_of("ws"))).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let mut bytes = REQUEST.to_vec();
    bytes.extend(frame(0x89, b"ping"));
    bytes.extend(frame(0x82, CONNECT));
    stream.write_all(&bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let expected = b"\r\n\r\n\x8a\x04ping\x82\x04\x20\x02\x00\x05\x88\x02\x03\xf0";
    assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(expected), "{answer:?}");
}

#[test]
fn violations_end_the_connection_with_their_code() {
    let broker = with_websocket().start();
    let unmasked = [&[0x82, CONNECT.len() as u8][..], CONNECT].concat();
    for (bytes, code) in [
        (frame(0x81, b"text"), 1003_u16), // violates [MQTT-6.0.0-1], violates [3.1.1: MQTT-6.0.0-1]
        (unmasked, 1002),
        (frame(0xc2, b"not agreed on"), 1002),
        (frame(0x80, b"continues nothing"), 1002),
    ] {
        let mut raw = Raw::open(&broker);
        raw.0.write_all(&bytes).unwrap();
        assert_eq!(raw.receive(), (0x88, code.to_be_bytes().to_vec()));
        raw.expect_end();
    }
    broker.wait_for_metric("lotmq_websocket_failures_total", 4.0);
    // Wrong MQTT inside of good frames is a violation of MQTT.
    let mut raw = Raw::open(&broker);
    raw.send(0x82, b"\xf0\x00");
    assert_eq!(raw.receive(), (0x88, 1002_u16.to_be_bytes().to_vec()));
    broker.wait_for_metric("lotmq_protocol_errors_total", 1.0);
}

#[test]
fn a_text_frame_in_the_middle_publishes_the_will() {
    let broker = with_websocket().start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("gone", QoS::AtMostOnce).unwrap();
    for (first, payload) in [(0x81, &b"text"[..]), (0x88, b"\x03\xe8")] {
        let mut raw = Raw::open(&broker);
        raw.send(0x82, b"\x10\x17\x00\x04MQTT\x04\x06\x00\x3c\x00\x02ab\x00\x04gone\x00\x01x");
        assert_eq!(raw.receive(), (0x82, CONNACK.to_vec()));
        raw.send(first, payload);
        assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "gone");
        assert_eq!(raw.receive().0, 0x88);
    }
}

#[test]
fn close_frames_are_answered_and_what_stands_before_them_counts() {
    let broker = with_websocket().start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("t", QoS::AtMostOnce).unwrap();
    let mut raw = Raw::open(&broker);
    let mut all = frame(0x82, CONNECT);
    all.extend(frame(0x82, b"\x30\x07\x00\x01tlast"));
    all.extend(frame(0x88, b"\x03\xe8"));
    raw.0.write_all(&all).unwrap();
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().payload, b"last");
    assert_eq!(raw.receive(), (0x82, CONNACK.to_vec()));
    assert_eq!(raw.receive(), (0x88, b"\x03\xe8".to_vec()));
    raw.expect_end();
}

#[test]
fn the_server_says_good_bye_when_it_stops() {
    let mut broker = with_websocket().start();
    let mut raw = Raw::open(&broker);
    raw.send(0x82, CONNECT);
    assert_eq!(raw.receive(), (0x82, CONNACK.to_vec()));
    assert!(broker.stop().success());
    assert_eq!(raw.receive(), (0x88, 1001_u16.to_be_bytes().to_vec()));
    raw.expect_end();
}

/// [MQTT-6.0.0-3, -4], [3.1.1: MQTT-6.0.0-3, -4].
#[test]
fn handshakes_are_judged_by_path_and_subprotocol() {
    let broker = with_websocket().start();
    for (path, fields, status) in [
        ("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n", "101"),
        ("/", "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\nOrigin: https://elsewhere.example\r\n", "101"),
        ("/mqtt?token=x", "sec-websocket-protocol: mqtt\r\n", "101"),
        ("/mqtt", "Sec-WebSocket-Protocol: MQTT\r\n", "400"), // it would have to be given what it has not asked for
        ("/mqtt", "", "400"), // violates [MQTT-6.0.0-3], violates [3.1.1: MQTT-6.0.0-3]
        ("/other", "Sec-WebSocket-Protocol: mqtt\r\n", "404"),
        ("/mqtt", "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 8\r\n", "101"),
    ] {
        let (_raw, head) = Raw::request(&broker, path, fields);
        assert_eq!(head.split(' ').nth(1), Some(status), "{path} {fields}: {head}");
        assert_eq!(head.contains("Sec-WebSocket-Protocol: mqtt\r\n"), status == "101", "{head}");
    }
    broker.wait_for_metric("lotmq_websocket_refused_total", 3.0);
}

/// Clients of 3.1, and old libraries of 3.1.1, offer nothing else. The version is that of CONNECT.
#[test]
fn the_subprotocol_of_mqtt_3_1_is_answered_by_itself() {
    let broker = with_websocket().start();
    let of_3_1 = b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x02ab";
    for connect in [&of_3_1[..], CONNECT] {
        let (mut raw, head) = Raw::request(&broker, "/mqtt", "Sec-WebSocket-Protocol: mqttv3.1\r\n");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("Sec-WebSocket-Protocol: mqttv3.1\r\n"), "{head}");
        raw.send(0x82, connect);
        assert_eq!(raw.receive(), (0x82, CONNACK.to_vec()));
    }
}

/// Paho's library for C handles the first packet of a frame and sleeps over the others.
#[test]
fn each_packet_that_is_sent_is_a_frame_of_its_own() {
    for placement in ["pack", "spread"] {
        let broker = with_websocket().variable("LOTMQ_BROKER_PLACEMENT", placement).start();
        let mut raw = Raw::open(&broker);
        raw.send(0x82, CONNECT);
        assert_eq!(raw.receive(), (0x82, CONNACK.to_vec()));
        raw.send(0x82, b"\x82\x06\x00\x01\x00\x01t\x00");
        assert_eq!(raw.receive(), (0x82, b"\x90\x03\x00\x01\x00".to_vec()));
        let mut publisher = broker.client("publisher");
        // In one write, so that they are routed in one turn.
        let burst: Vec<u8> = (0..100).flat_map(|n| [0x30, 4, 0, 1, b't', n]).collect();
        publisher.connection().send(&burst).unwrap();
        for n in 0..100 {
            assert_eq!(raw.receive(), (0x82, vec![0x30, 4, 0, 1, b't', n]), "{placement}");
        }
        // Its own as well: what comes back of packets that came in one frame.
        raw.send(0x82, &b"\xc0\x00\x30\x04\x00\x01tx\xc0\x00".repeat(9));
        for _ in 0..9 {
            for expected in [&b"\xd0\x00"[..], b"\x30\x04\x00\x01tx", b"\xd0\x00"] {
                assert_eq!(raw.receive(), (0x82, expected.to_vec()));
            }
        }
    }
}

/// Rights of programs on this machine are not for the web pages of a browser on it. Neither are
/// they for clients that a proxy on it passes on.
#[test]
fn only_programs_of_this_machine_are_local() {
    let broker = with_websocket().variable("LOTMQ_LISTENER_WS_ORIGINS", "http://localhost:3000").start();
    let port = broker.port_of("ws");
    // Without a user, then as `root` with the default password.
    let as_root = b"\x10\x1e\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02ab\x00\x04root\x00\x08coreflux";
    let rows = [
        ("localhost", String::new(), true),
        ("127.0.0.1:5000", String::new(), true),
        ("localhost", "Cookie: a=b\r\nsec-fetch-mode: websocket\r\nUser-Agent: x\r\n".to_owned(), true),
        ("localhost", "Origin: http://localhost:3000\r\n".to_owned(), true),
        (&format!("localhost:{port}"), format!("Origin: http://localhost:{port}\r\n"), true),
        ("localhost", "Origin: http://localhost:3001\r\n".to_owned(), false),
        ("localhost", "Origin: http://localhost:x@evil\r\n".to_owned(), false),
        ("localhost", "Origin: chrome-extension://abcdefgh\r\n".to_owned(), false),
        ("localhost", "Origin: file://\r\n".to_owned(), false),
        ("localhost", "Origin: https://evil.example\r\n".to_owned(), false),
        ("localhost", "Origin: null\r\n".to_owned(), false),
        ("localhost", "Origin: http://localhost:3000\r\nOrigin: http://localhost:3000\r\n".to_owned(), false),
        // A name that was made to lead here.
        ("localhost.evil.example:5000", "Origin: http://localhost.evil.example:5000\r\n".to_owned(), false),
        ("broker.example", String::new(), false),
        ("localhost\r\nHost: localhost", String::new(), false),
        ("localhost", "X-Forwarded-For: 8.8.8.8\r\n".to_owned(), false),
        ("localhost", "X-Real-IP: 127.0.0.1\r\n".to_owned(), false),
        ("localhost", "forwarded: for=127.0.0.1\r\n".to_owned(), false),
        ("localhost", "Via: 1.1 proxy\r\n".to_owned(), false),
        ("localhost", "CF-Connecting-IP: 8.8.8.8\r\n".to_owned(), false),
        ("localhost", "True-Client-IP: 8.8.8.8\r\n".to_owned(), false),
        ("localhost", "X-Whatever-My-Proxy-Adds: 1\r\n".to_owned(), false),
    ];
    for login in [CONNECT, as_root] {
        for (host, fields, is_local) in &rows {
            let fields = format!("Sec-WebSocket-Protocol: mqtt\r\n{fields}");
            let (mut raw, head) = Raw::request_to(&broker, host, "/mqtt", &fields);
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            raw.send(0x82, login);
            let (_, connack) = raw.receive();
            assert_eq!(connack[3], if *is_local { 0 } else { 5 }, "{host} {fields}");
        }
    }
    let said = broker.log().expect("of the handshake");
    assert!(said.contains("login refused"), "{said}");
}

/// Rules that allow something to the address of this machine do not allow it to what only passes
/// through it.
#[test]
fn proxied_or_cross_origin_websocket_has_no_local_endpoint_in_rules() {
    let broker = with_websocket().variable("LOTMQ_ANONYMOUS", "true").start();
    broker.command_ok(
        "-addRule DEFINE RULE Here WITH PRIORITY 100 FOR Connect\n    IF ENDPOINT IS \"127.0.0.1\" THEN\n        ALLOW\n    ELSE\n        DENY",
    );
    for (fields, code) in [("", 0), ("Origin: https://evil.example\r\n", 5), ("Via: 1.1 proxy\r\n", 5)] {
        let fields = format!("Sec-WebSocket-Protocol: mqtt\r\n{fields}");
        let (mut raw, head) = Raw::request(&broker, "/mqtt", &fields);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw.send(0x82, CONNECT);
        assert_eq!(raw.receive().1[3], code, "{fields}");
    }
}

#[test]
fn compression_is_for_those_who_ask_up_to_a_bound() {
    let broker = with_websocket().variable("LOTMQ_LISTENER_WS_COMPRESSED_CLIENTS", "1").start();
    let fields = "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: permessage-deflate; \
                  server_no_context_takeover; client_max_window_bits; server_max_window_bits=10\r\n";
    let answer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; server_max_window_bits=10\r\n";
    let (first, head) = Raw::request(&broker, "/", fields);
    assert!(head.contains(answer), "{head}");
    let (_second, head) = Raw::request(&broker, "/", fields);
    assert!(!head.contains("Extensions"), "{head}");
    drop(first);
    // The place is free again.
    broker.wait_for_metric("lotmq_connections_closed_total", 1.0);
    let (_third, head) = Raw::request(&broker, "/", fields);
    assert!(head.contains(answer), "{head}");
}

#[test]
fn slow_handshakes_end() {
    let broker = with_websocket().variable("LOTMQ_LISTENER_WS_HANDSHAKE_TIMEOUT_SEC", "1").start();
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port_of("ws"))).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.write_all(b"GET /mqtt HTTP/1.1\r\nHost:").unwrap();
    let mut end = Vec::new();
    let _ = stream.read_to_end(&mut end);
    broker.wait_for_metric("lotmq_handshake_timeouts_total", 1.0);
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port_of("ws"))).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    // It may be refused before all of it is sent.
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nCookie: {}", "x".repeat(40_000)).as_bytes());
    broker.wait_for_metric("lotmq_websocket_refused_total", 1.0);
}

/// A client may send a few frames without MQTT before CONNECT, and is closed when it goes on.
#[test]
fn frames_without_mqtt_before_connect_are_bounded() {
    let broker = with_websocket().variable("LOTMQ_LIMITS_CONNECT_TIMEOUT_SEC", "600").start();
    for (first, payload) in [(0x89, &b""[..]), (0x8a, &[b'x'; 125]), (0x82, b"")] {
        let frames = frame(first, payload).repeat(8_000 / (6 + payload.len()));
        let mut few = Raw::open(&broker);
        few.0.write_all(&frames).unwrap();
        few.send(0x82, CONNECT);
        while few.receive() != (0x82, CONNACK.to_vec()) {}

        let mut many = Raw::open(&broker);
        // It is closed before all of it is sent.
        let _ = (0..300).try_for_each(|_| many.0.write_all(&frames));
        let _ = many.0.read_to_end(&mut Vec::new());
    }
    let reached = "lotmq_limit_reached_total{limit=\"connect_overhead_bytes\",listener=\"ws\"}";
    broker.wait_for_metric(reached, 3.0);
}

#[test]
fn paho_speaks_websocket() {
    let Some(python) = python_with_paho() else { return };
    let broker = with_websocket().start();
    let port = broker.port_of("ws").to_string();
    for path in ["/mqtt", "/"] {
        let finished = Program::run(&python, &[PAHO, &port, path]).unwrap();
        assert_eq!(finished.output().lines().last(), Some("done"), "{path}:\n{}", finished.stdout);
    }
}

#[test]
fn a_foreign_implementation_agrees_on_compression() {
    let Some(python) = python_with_websockets() else { return };
    let broker = with_websocket().start();
    let finished = Program::run(&python, &[DEFLATE, &broker.port_of("ws").to_string()]).unwrap();
    assert_eq!(finished.output().lines().last(), Some("done"), "{}", finished.stdout);
    assert_eq!(broker.metric("lotmq_websocket_compressed_total"), Some(6.0));
}
