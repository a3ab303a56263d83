//! Log lines about connections that come to nothing: one line each, with the cause.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_test_support::{Authority, Broker, WAIT_MAX, eventually};

use crate::options;

fn started() -> (Broker, Authority) {
    let authority = Authority::new();
    let signed = authority.server("broker");
    let broker = options()
        .variable("LOTMQ_TLS_CERTIFICATE", signed.certificate.to_str().unwrap())
        .variable("LOTMQ_TLS_KEY", signed.key.to_str().unwrap())
        .variable("LOTMQ_LISTENER_MQTTS_PORT", "0")
        .variable("LOTMQ_LISTENER_MQTTS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_WSS_PORT", "off")
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .start();
    (broker, authority)
}

/// Sends bytes and waits for the end of the connection.
fn send(port: u16, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.write_all(bytes).unwrap();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn upgrade(path: &str, subprotocol: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    )
}

fn lines(broker: &Broker) -> Vec<String> {
    broker.log().all().into_iter().filter(|line| line.contains("handshake refused")).collect()
}

#[test]
fn each_refused_handshake_leaves_a_line_with_its_cause() {
    let (broker, _authority) = started();
    let (mqtt, mqtts, ws) = (broker.address().port(), broker.port_of("mqtts"), broker.port_of("ws"));
    let client_hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03";
    let rows: [(&str, u16, &[u8], &str); 10] = [
        ("ws", ws, &upgrade("/other", "mqtt").into_bytes(), "MQTT is at /mqtt"),
        ("ws", ws, &upgrade("/mqtt", "chat").into_bytes(), "must offer mqtt"),
        ("ws", ws, b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab", "not a request of HTTP"),
        ("mqtts", mqtts, b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02ab", "this is not TLS"),
        ("mqtt", mqtt, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "this is HTTP"),
        ("mqtt", mqtt, b"POST /api HTTP/1.1\r\nHost: localhost\r\n\r\n", "this is HTTP"),
        ("mqtt", mqtt, client_hello, "this is TLS"),
        ("mqtt", mqtt, b"\x10\x0e\x00\x04MQTT\x84\x02\x00\x3c\x00\x02ab", "protocol level 132"),
        ("mqtt", mqtt, b"\x30\x03\x00\x01t", "PUBLISH is not expected here"),
        ("mqtt", mqtt, b"\x10\x0e\x00\x04MQTX\x04\x02\x00\x3c\x00\x02ab", "protocol name is not MQTT"),
    ];
    for (count, (listener, port, bytes, cause)) in rows.into_iter().enumerate() {
        send(port, bytes);
        let all = eventually("the line", || Some(lines(&broker)).filter(|lines| lines.len() > count));
        assert_eq!(all.len(), count + 1, "one line each:\n{}", all.join("\n"));
        let line = &all[count];
        assert!(line.contains("INFO") && line.contains(cause), "{line}");
        assert!(line.contains("127.0.0.1:") && line.contains(&format!("listener=\"{listener}\"")), "{line}");
    }
}

#[test]
fn a_flood_of_refused_handshakes_does_not_fill_the_log() {
    let (broker, _authority) = started();
    for _ in 0..200 {
        send(broker.address().port(), b"GET / HTTP/1.1\r\n\r\n");
    }
    broker.wait_for_metric("lotmq_protocol_errors_total", 200.0);
    eventually("ten lines", || (lines(&broker).len() >= 10).then_some(()));
    let told = lines(&broker).len();
    // Ten in ten seconds; a slow machine sees more than one such period.
    assert!((10..=60).contains(&told), "{told} lines");
}
