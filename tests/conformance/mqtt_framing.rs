//! TCP is a stream: packets split anywhere, and many in one write (checklist 1).

use crate::bytes::{self, BOTH, publish, publish_with, pubrel, subscribe};
use crate::{Connect, Peer, V4, V5, broker};

/// CONNECT to DISCONNECT with all that a Client may send without waiting, and what comes back.
fn conversation(version: crate::Version) -> (Vec<u8>, Vec<String>) {
    let mut sent = Connect::new(version, "framing").bytes();
    let mut expected = vec!["CONNACK 0 00".to_owned()];
    sent.extend(subscribe(version, 1, "f/+", 2));
    expected.push("SUBACK 1 02".to_owned());
    for n in 0..3 {
        sent.extend(publish(version, 0, "f/0", 0, &format!("zero {n}")));
        expected.push(format!("PUBLISH f/0 q0: zero {n}"));
    }
    sent.extend(publish(version, 1, "f/1", 7, "one"));
    expected.extend(["PUBLISH f/1 q1 #1: one".to_owned(), "PUBACK 7 00".to_owned()]);
    sent.extend(publish(version, 2, "f/2", 8, "two"));
    expected.extend(["PUBLISH f/2 q2 #2: two".to_owned(), "PUBREC 8 00".to_owned()]);
    sent.extend(pubrel(8));
    expected.push("PUBCOMP 8 00".to_owned());
    sent.extend(bytes::unsubscribe(version, 9, &["f/+"]));
    expected.push(if version == V4 { "UNSUBACK 9".to_owned() } else { "UNSUBACK 9 00".to_owned() });
    sent.extend(bytes::PINGREQ);
    expected.push("PINGRESP".to_owned());
    sent.extend(bytes::DISCONNECT);
    (sent, expected)
}

/// Acknowledgements may overtake messages, nothing else; so both are compared for themselves.
fn check(lines: Vec<String>, expected: &[String], what: &str) {
    let part = |lines: &[String], publishes: bool| -> Vec<String> {
        lines.iter().filter(|line| line.starts_with("PUBLISH") == publishes).cloned().collect()
    };
    assert_eq!(part(&lines, true), part(expected, true), "{what}");
    assert_eq!(part(&lines, false), part(expected, false), "{what}");
}

/// A stream of bytes and nothing else is needed [MQTT-4.2.0-1],
/// [3.1.1: MQTT-7.0.0-2, MQTT-7.1.1-1]: all packets of a Client, with the flags that are due
/// [MQTT-2.1.3-1], [3.1.1: MQTT-2.2.2-1, MQTT-2.3.1-1], are answered with their identifiers
/// [MQTT-2.2.1-5, -6], [3.1.1: MQTT-2.3.1-6, -7].
#[test]
fn packets_may_be_split_at_every_byte() {
    let broker = broker();
    for version in BOTH {
        let (sent, expected) = conversation(version);
        for at in 1..sent.len() {
            let mut peer = Peer::open(&broker, version);
            peer.send(&sent[..at]);
            // Another connection's round trip: the broker has seen the first part by itself.
            if at % 8 == 0 {
                Peer::clean(&broker, V4, "between").leave();
            }
            peer.send(&sent[at..]);
            check(peer.until_closed(), &expected, &format!("split at {at}"));
        }
    }
}

#[test]
fn packets_may_come_byte_by_byte_or_all_at_once() {
    let broker = broker();
    for version in BOTH {
        let (sent, expected) = conversation(version);
        let mut peer = Peer::open(&broker, version);
        sent.iter().for_each(|byte| peer.send(&[*byte]));
        check(peer.until_closed(), &expected, "byte by byte");
        let mut peer = Peer::open(&broker, version);
        peer.send(&sent);
        check(peer.until_closed(), &expected, "at once");
    }
}

#[test]
fn large_packets_and_small_ones_behind_them_arrive_whole() {
    let broker = broker();
    for version in BOTH {
        let mut reader = Peer::clean(&broker, version, "reader");
        reader.subscribe("big", 1);
        let mut writer = Peer::clean(&broker, version, "writer");
        for size in [65_000, 65_536, 70_000, 131_072, 300_001, 5 << 20] {
            let big: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let mut sent = publish_with(version, 2, "big", 1, &[], &big);
            sent.extend(publish(version, 1, "big", 2, "behind"));
            sent.extend(bytes::PINGREQ);
            let mut piece = sent.as_slice();
            let mut step = 1;
            while !piece.is_empty() {
                let (now, later) = piece.split_at(piece.len().min(step));
                writer.send(now);
                piece = later;
                step = (step * 3) % 90_001 + 1;
            }
            writer.expect(&["PUBACK 1 00", "PUBACK 2 00", "PINGRESP"]);
            let packet = reader.packet().unwrap();
            assert!(packet.body().ends_with(&big), "{size} bytes");
            let id = u16::from_be_bytes([packet.body()[5], packet.body()[6]]);
            reader.send(&bytes::puback(id));
            assert_eq!(reader.next(), format!("PUBLISH big q1 #{}: behind", id + 1));
            reader.send(&bytes::puback(id + 1));
        }
        writer.leave();
        reader.leave();
    }
}

#[test]
fn publish_sent_with_connect_survives_concurrent_connections() {
    let broker = broker();
    let mut reader = Peer::clean(&broker, V4, "reader");
    reader.subscribe("p/#", 0);
    // Many connections whose CONNECT and PUBLISH come in one write, at the same time: each turn
    // reads several of them.
    let mut peers: Vec<Peer> = (0..200).map(|_| Peer::open(&broker, V4)).collect();
    for (n, peer) in peers.iter_mut().enumerate() {
        let mut sent = Connect::new(V4, &format!("c{n}")).bytes();
        sent.extend(publish(V4, 0, &format!("p/{n}"), 0, &format!("from {n} {}", "x".repeat(n % 60))));
        peer.send(&sent);
    }
    let mut lines: Vec<String> = (0..200).map(|_| reader.next()).collect();
    let mut expected: Vec<String> =
        (0..200).map(|n| format!("PUBLISH p/{n} q0: from {n} {}", "x".repeat(n % 60))).collect();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
}

/// Byte for byte what the standard asks for: lengths of the fewest bytes [MQTT-1.5.5-1], no
/// properties as a length of zero [MQTT-2.2.2-1].
#[test]
fn packets_of_the_broker_are_encoded_as_short_as_they_can_be() {
    let broker = broker();
    for version in BOTH {
        let mut reader = Peer::clean(&broker, version, "reader");
        reader.subscribe("t", 0);
        for from in BOTH {
            let mut writer = Peer::clean(&broker, from, "writer");
            let head = 3 + usize::from(version == V5);
            for body in [head, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
                let payload = "x".repeat(body - head);
                writer.publish(0, "t", &payload);
                let expected = publish(version, 0, "t", 0, &payload);
                assert!(
                    reader.packet().unwrap().bytes() == expected,
                    "{body} bytes from {from:?} to {version:?}"
                );
            }
        }
        // A longer length is allowed before 5.0; it is not passed on.
        Peer::clean(&broker, V4, "writer").send(&[0x30, 0x83, 0x80, 0x80, 0, 0, 1, b't']);
        assert_eq!(reader.packet().unwrap().bytes(), publish(version, 0, "t", 0, ""));
    }
}
