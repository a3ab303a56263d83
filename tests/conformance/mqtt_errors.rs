//! What breaks a rule closes the connection: with its reason in 5.0, without a word in 3.1.1 (checklist 12).

use crate::bytes::{self, field, four, packet, publish_with, subscribe_with, two, user_property};
use crate::{Connect, Peer, V4, V5, broker};

#[test]
fn malformed_packets_and_protocol_errors_close() {
    let broker = broker();
    let sub = |version, filters: &[(&str, u8)]| subscribe_with(version, 1, &[], filters);
    // What is wrong, the packet in 3.1.1 and in 5.0 (empty where it does not exist), the reason in 5.0.
    let rows: Vec<(&str, Vec<u8>, Vec<u8>, u8)> = vec![
        ("second CONNECT [MQTT-3.1.0-2]", Connect::new(V4, "x").bytes(), Connect::new(V5, "x").bytes(), 0x82),
        ("packet type 0", vec![0x00, 0], vec![0x00, 0], 0x81),
        (
            "packet type 15 in 3.1.1, AUTH without method in 5.0 [MQTT-4.12.0-7]",
            vec![0xF0, 0],
            vec![0xF0, 0],
            0x82,
        ),
        ("CONNACK", vec![0x20, 2, 0, 0], vec![0x20, 3, 0, 0, 0], 0x82),
        ("SUBACK", vec![0x90, 3, 0, 1, 0], vec![0x90, 4, 0, 1, 0, 0], 0x82),
        ("UNSUBACK", vec![0xB0, 2, 0, 1], vec![0xB0, 4, 0, 1, 0, 0], 0x82),
        ("PINGRESP", vec![0xD0, 0], vec![0xD0, 0], 0x82),
        ("flags of PINGREQ [MQTT-2.1.3-1]", vec![0xC1, 0], vec![0xC1, 0], 0x81),
        ("flags of PUBACK", vec![0x41, 2, 0, 1], vec![0x41, 2, 0, 1], 0x81),
        ("flags of PUBREC", vec![0x51, 2, 0, 1], vec![0x51, 2, 0, 1], 0x81),
        ("flags of PUBREL [3.1.1: MQTT-3.6.1-1]", vec![0x60, 2, 0, 1], vec![0x60, 2, 0, 1], 0x81),
        ("flags of PUBCOMP", vec![0x72, 2, 0, 1], vec![0x72, 2, 0, 1], 0x81),
        (
            "flags of SUBSCRIBE [MQTT-3.8.1-1]",
            vec![0x80, 6, 0, 1, 0, 1, b'a', 0],
            vec![0x80, 7, 0, 1, 0, 0, 1, b'a', 0],
            0x81,
        ),
        (
            "flags of UNSUBSCRIBE [MQTT-3.10.1-1]",
            vec![0xA0, 5, 0, 1, 0, 1, b'a'],
            vec![0xA0, 6, 0, 1, 0, 0, 1, b'a'],
            0x81,
        ),
        ("flags of DISCONNECT [MQTT-3.14.1-1]", vec![0xE1, 0], vec![0xE1, 0], 0x81),
        (
            "a fifth length byte [MQTT-1.5.5-1]",
            vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            0x81,
        ),
        (
            "QoS 3 [MQTT-3.3.1-4]",
            publish_with(V4, 6, "t", 1, &[], ""),
            publish_with(V5, 6, "t", 1, &[], ""),
            0x81,
        ),
        (
            "DUP with QoS 0 [MQTT-3.3.1-2]",
            publish_with(V4, 8, "t", 0, &[], ""),
            publish_with(V5, 8, "t", 0, &[], ""),
            0x81,
        ),
        (
            "packet identifier 0 in PUBLISH [MQTT-2.2.1-3]",
            publish_with(V4, 2, "t", 0, &[], ""),
            publish_with(V5, 2, "t", 0, &[], ""),
            0x82,
        ),
        (
            "packet identifier 0 in SUBSCRIBE",
            subscribe_with(V4, 0, &[], &[("t", 0)]),
            subscribe_with(V5, 0, &[], &[("t", 0)]),
            0x82,
        ),
        (
            "empty topic [MQTT-4.7.3-1]",
            publish_with(V4, 0, "", 0, &[], ""),
            publish_with(V5, 0, "", 0, &[], ""),
            0x82,
        ),
        (
            "wildcard in a topic [MQTT-3.3.2-2]",
            publish_with(V4, 0, "a/+", 0, &[], ""),
            publish_with(V5, 0, "a/+", 0, &[], ""),
            0x90,
        ),
        (
            "# in a topic [MQTT-3.3.2-2]",
            publish_with(V4, 2, "a#", 1, &[], ""),
            publish_with(V5, 2, "a#", 1, &[], ""),
            0x90,
        ),
        (
            "U+0000 in a topic [MQTT-1.5.4-2]",
            publish_with(V4, 0, "a\0", 0, &[], ""),
            publish_with(V5, 0, "a\0", 0, &[], ""),
            0x81,
        ),
        (
            "broken UTF-8 [MQTT-1.5.4-1]",
            packet(0x30, &field(b"\xC0\xAF")),
            packet(0x30, &[field(b"\xC0\xAF"), vec![0]].concat()),
            0x81,
        ),
        ("topic longer than the packet", vec![0x30, 3, 0, 9, b'a'], vec![0x30, 3, 0, 9, b'a'], 0x81),
        ("no filter in SUBSCRIBE [MQTT-3.8.3-2]", sub(V4, &[]), sub(V5, &[]), 0x82),
        (
            "no filter in UNSUBSCRIBE [MQTT-3.10.3-2]",
            bytes::unsubscribe(V4, 1, &[]),
            bytes::unsubscribe(V5, 1, &[]),
            0x82,
        ),
        ("QoS 3 asked for [MQTT-3.8.3-5]", sub(V4, &[("t", 3)]), sub(V5, &[("t", 3)]), 0x82),
        ("reserved option bits [MQTT-3.8.3-5]", sub(V4, &[("t", 0x04)]), sub(V5, &[("t", 0x40)]), 0x81),
        ("Retain Handling 3", vec![], sub(V5, &[("t", 0x30)]), 0x82),
        (
            "No Local with a shared subscription [MQTT-3.8.3-4]",
            vec![],
            sub(V5, &[("$share/g/t", 0x04)]),
            0x82,
        ),
        ("Subscription Identifier 0", vec![], subscribe_with(V5, 1, &[0x0B, 0], &[("t", 0)]), 0x82),
        (
            "Subscription Identifier twice",
            vec![],
            subscribe_with(V5, 1, &[0x0B, 1, 0x0B, 2], &[("t", 0)]),
            0x82,
        ),
        (
            "Subscription Identifier in PUBLISH [MQTT-3.3.4-6]",
            vec![],
            publish_with(V5, 0, "t", 0, &[0x0B, 1], ""),
            0x82,
        ),
        ("Topic Alias 0 [MQTT-3.3.2-8]", vec![], publish_with(V5, 0, "t", 0, &two(0x23, 0), ""), 0x94),
        (
            "Topic Alias above the maximum [MQTT-3.3.2-9]",
            vec![],
            publish_with(V5, 0, "t", 0, &two(0x23, 65_535), ""),
            0x94,
        ),
        ("unknown Topic Alias", vec![], publish_with(V5, 0, "", 0, &two(0x23, 1), ""), 0x82),
        ("Payload Format Indicator 2", vec![], publish_with(V5, 0, "t", 0, &[1, 2], ""), 0x82),
        (
            "wildcard in Response Topic [MQTT-3.3.2-14]",
            vec![],
            publish_with(V5, 0, "t", 0, &[vec![8], field("a/#")].concat(), ""),
            0x82,
        ),
        ("unknown property", vec![], publish_with(V5, 0, "t", 0, &[0x7E, 0], ""), 0x81),
        ("a property of another packet", vec![], publish_with(V5, 0, "t", 0, &four(0x11, 1), ""), 0x81),
        (
            "a property twice",
            vec![],
            publish_with(V5, 0, "t", 0, &[four(2, 1), four(2, 1)].concat(), ""),
            0x82,
        ),
        (
            "User Property cut off",
            vec![],
            publish_with(V5, 0, "t", 0, &user_property("a", "b")[..5], ""),
            0x81,
        ),
        ("property length beyond the packet", vec![], packet(0x30, &[field("t"), vec![9]].concat()), 0x81),
        ("PUBACK of length 1", vec![0x40, 1, 0], vec![0x40, 1, 0], 0x81),
        ("PUBACK with bytes left over", vec![0x40, 3, 0, 1, 0], vec![0x40, 5, 0, 1, 0, 0, 0], 0x81),
        ("PINGREQ with a body", vec![0xC0, 1, 0], vec![0xC0, 1, 0], 0x81),
        (
            "DISCONNECT with a body in 3.1.1, of an unknown reason in 5.0",
            vec![0xE0, 1, 0],
            vec![0xE0, 1, 0x7F],
            0x82,
        ),
        (
            "Session Expiry raised from 0 (§3.14.2.2.2)",
            vec![],
            packet(0xE0, &[vec![0, 5], four(0x11, 10)].concat()),
            0x82,
        ),
        (
            "Topic Name of 300 levels",
            publish_with(V4, 0, &"a/".repeat(300), 0, &[], ""),
            publish_with(V5, 0, &"a/".repeat(300), 0, &[], ""),
            0x90,
        ),
    ];
    let mut wrong = Vec::new();
    for (what, v4, v5, reason) in rows {
        for (version, sent) in [(V4, v4), (V5, v5)] {
            if sent.is_empty() {
                continue;
            }
            let mut peer = Peer::clean(&broker, version, "wrong");
            peer.send(&sent);
            let expected = if version == V5 { vec![format!("DISCONNECT {reason:02X}")] } else { vec![] };
            let told = peer.until_closed();
            if told != expected {
                wrong.push(format!("{what}, {version:?}: {told:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Peer::clean(&broker, V5, "healthy").expect_only(&[]);
}

#[test]
fn too_large_a_packet_is_refused_at_its_header() {
    let broker = broker();
    for (version, told) in [(V4, &[][..]), (V5, &["DISCONNECT 95"][..])] {
        for header in [[0x30, 0xFF, 0xFF, 0xFF, 0x7F], [0x82, 0x80, 0x80, 0x80, 0x08]] {
            let mut peer = Peer::clean(&broker, version, "large");
            peer.send(&header); // not one byte of the body
            assert_eq!(peer.until_closed(), told);
        }
    }
    // One that is allowed exactly, and one that has a byte more.
    let body = (16 << 20) - 5;
    for (more, told) in [(0, "PINGRESP"), (1, "DISCONNECT 95")] {
        let mut peer = Peer::clean(&broker, V5, "exact");
        let sent = publish_with(V5, 0, "t", 0, &[], vec![b'x'; body + more - 4]);
        peer.try_send(&sent);
        peer.try_send(&bytes::PINGREQ);
        assert_eq!(peer.next(), told, "{} bytes", sent.len());
    }
}

#[test]
fn deep_topics_are_refused_in_the_acknowledgement_where_there_is_one() {
    let broker = broker();
    let deep = "a/".repeat(300);
    let mut peer = Peer::clean(&broker, V5, "deep");
    peer.send(&publish_with(V5, 2, &deep, 1, &[], ""));
    peer.send(&publish_with(V5, 4, &deep, 2, &[], ""));
    peer.expect_only(&["PUBACK 1 90", "PUBREC 2 90"]);
    let ok = "a/".repeat(150); // at least 128 levels
    peer.subscribe("#", 0);
    peer.publish(0, &ok, "x");
    peer.expect_only(&[&format!("PUBLISH {ok} q0: x")]);
}

#[test]
fn unknown_identifiers_do_not_close() {
    let broker = broker();
    for (version, code) in [(V4, "00"), (V5, "92")] {
        let mut peer = Peer::clean(&broker, version, "ids");
        for sent in [bytes::puback(9), bytes::pubcomp(9), bytes::pubrel(9), bytes::pubrec(9)] {
            peer.send(&sent);
        }
        // [MQTT-3.7.4] PUBREL gets PUBCOMP, PUBREC gets PUBREL; the others nothing.
        peer.expect_only(&[&format!("PUBCOMP 9 {code}"), &format!("PUBREL 9 {code}")]);
    }
}
