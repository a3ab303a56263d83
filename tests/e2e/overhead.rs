//! Rates count what carries no packet: frames of WebSocket, frames and blocks of zstd. A client
//! that sends them is not read from beyond its rate.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_client::{ConnectOptions, Connection, ProtocolVersion};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX, eventually};

use crate::options;

/// CONNECT of 3.1.1 with the identifier `ab`, which keeps the connection alive for ever.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02ab";

const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/// Each rate by itself.
const RATES: [(&str, &str, &str); 2] =
    [("BYTES_PER_SEC", "20000", "bytes_per_sec"), ("MESSAGES_PER_SEC", "100", "messages_per_sec")];

fn broker(rate: (&str, &str)) -> BrokerOptions {
    options()
        .variable("LOTMQ_LISTENER_WS_PORT", "0")
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .variable("LOTMQ_LISTENER_MQTT_ZSTD_CLIENTS", "10")
        .variable(&format!("LOTMQ_LIMITS_{}", rate.0), rate.1)
}

/// A masked frame of WebSocket with this first byte; the mask is zero.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

fn websocket(broker: &Broker) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port_of("ws"))).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.write_all(UPGRADE).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream.write_all(&frame(0x82, CONNECT)).unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    stream
}

fn zstd(broker: &Broker) -> TcpStream {
    let mut connection = Connection::open(broker.address(), ProtocolVersion::V5, WAIT_MAX).unwrap();
    let mut packet = Vec::new();
    ConnectOptions::v5("packed").zstd().keep_alive(0).encode(&mut packet).unwrap();
    connection.send(&packet).unwrap();
    connection.receive(WAIT_MAX).unwrap().unwrap();
    connection.stream().try_clone().unwrap()
}

/// Sends the same bytes again and again until the broker has paused reading because of a limit.
fn is_paused(broker: &Broker, mut stream: TcpStream, bytes: &[u8], limit: &str, listener: &str) {
    let name = format!("lotmq_limit_reached_total{{limit=\"{limit}\",listener=\"{listener}\"}}");
    // At least a read of the broker at once.
    let many = bytes.repeat((64 << 10) / bytes.len() + 1);
    stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    eventually(&format!("{limit} of {listener}"), || {
        for _ in 0..20 {
            // Once it does not read, nothing more is taken.
            sent += stream.write(&many[sent % many.len()..]).unwrap_or(0);
        }
        (broker.metric(&name)? >= 1.0).then_some(())
    });
}

#[test]
fn frames_of_websocket_without_payload_are_counted() {
    for (variable, value, limit) in RATES {
        for bytes in [
            frame(0x89, b""),
            frame(0x89, &[7; 100]),
            frame(0x8A, b""),
            frame(0x82, b""),
            [frame(0x02, b""), frame(0x00, b""), frame(0x80, b"")].concat(),
        ] {
            let broker = broker((variable, value)).start();
            is_paused(&broker, websocket(&broker), &bytes, limit, "ws");
        }
    }
}

#[test]
fn zstd_input_that_becomes_nothing_is_counted() {
    // A frame without content, and a frame that is skipped (RFC 8878, 3.1.1 and 3.1.2).
    let empty = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x00, 0x01, 0x00, 0x00];
    let skipped = [&[0x50, 0x2A, 0x4D, 0x18, 0x00, 0x04, 0x00, 0x00][..], &[0; 0x400]].concat();
    for (variable, value, limit) in RATES {
        for bytes in [&empty[..], &skipped] {
            let broker = broker((variable, value)).start();
            is_paused(&broker, zstd(&broker), bytes, limit, "mqtt");
        }
    }
}
