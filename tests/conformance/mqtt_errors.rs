//! Violations of a rule close the connection: with the reason in 5.0, without a word in 3.1.1
//! (checklist 12).

use crate::bytes::{self, field, four, packet, properties, publish_with, subscribe_with, two, user_property};
use crate::{Connect, Peer, V4, V5, broker};

/// Violation: its name, the packet in 3.1.1 and in 5.0 (empty if it does not exist), the reason in
/// 5.0.
type Row = (&'static str, Vec<u8>, Vec<u8>, u8);

fn violations() -> Vec<Row> {
    let sub = |version, filters: &[(&str, u8)]| subscribe_with(version, 1, &[], filters);
    vec![
        (
            "second CONNECT: violates [MQTT-3.1.0-2], [3.1.1: MQTT-3.1.0-2]",
            Connect::new(V4, "x").bytes(),
            Connect::new(V5, "x").bytes(),
            0x82,
        ),
        ("packet type 0", vec![0x00, 0], vec![0x00, 0], 0x81),
        (
            "packet type 15 in 3.1.1, AUTH without method in 5.0: violates [MQTT-4.12.0-7]",
            vec![0xF0, 0],
            vec![0xF0, 0],
            0x82,
        ),
        ("CONNACK", vec![0x20, 2, 0, 0], vec![0x20, 3, 0, 0, 0], 0x82),
        ("SUBACK", vec![0x90, 3, 0, 1, 0], vec![0x90, 4, 0, 1, 0, 0], 0x82),
        ("UNSUBACK", vec![0xB0, 2, 0, 1], vec![0xB0, 4, 0, 1, 0, 0], 0x82),
        ("PINGRESP", vec![0xD0, 0], vec![0xD0, 0], 0x82),
        (
            "flags of PINGREQ: violates [MQTT-2.1.3-1], [3.1.1: MQTT-2.2.2-1, -2]",
            vec![0xC1, 0],
            vec![0xC1, 0],
            0x81,
        ),
        ("flags of PUBACK", vec![0x41, 2, 0, 1], vec![0x41, 2, 0, 1], 0x81),
        ("flags of PUBREC", vec![0x51, 2, 0, 1], vec![0x51, 2, 0, 1], 0x81),
        (
            "flags of PUBREL: violates [MQTT-3.6.1-1], [3.1.1: MQTT-3.6.1-1]",
            vec![0x60, 2, 0, 1],
            vec![0x60, 2, 0, 1],
            0x81,
        ),
        ("flags of PUBCOMP", vec![0x72, 2, 0, 1], vec![0x72, 2, 0, 1], 0x81),
        (
            "flags of SUBSCRIBE: violates [MQTT-3.8.1-1], [3.1.1: MQTT-3.8.1-1]",
            vec![0x80, 6, 0, 1, 0, 1, b'a', 0],
            vec![0x80, 7, 0, 1, 0, 0, 1, b'a', 0],
            0x81,
        ),
        (
            "flags of UNSUBSCRIBE: violates [MQTT-3.10.1-1], [3.1.1: MQTT-3.10.1-1]",
            vec![0xA0, 5, 0, 1, 0, 1, b'a'],
            vec![0xA0, 6, 0, 1, 0, 0, 1, b'a'],
            0x81,
        ),
        (
            "flags of DISCONNECT: violates [MQTT-3.14.1-1], [3.1.1: MQTT-3.14.1-1]",
            vec![0xE1, 0],
            vec![0xE1, 0],
            0x81,
        ),
        (
            "a fifth length byte",
            vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
            0x81,
        ),
        (
            "QoS 3: violates [MQTT-3.3.1-4], [3.1.1: MQTT-3.3.1-4]",
            publish_with(V4, 6, "t", 1, &[], ""),
            publish_with(V5, 6, "t", 1, &[], ""),
            0x81,
        ),
        (
            "DUP with QoS 0: violates [MQTT-3.3.1-2, MQTT-4.3.1-1], [3.1.1: MQTT-3.3.1-2, MQTT-4.3.1-1]",
            publish_with(V4, 8, "t", 0, &[], ""),
            publish_with(V5, 8, "t", 0, &[], ""),
            0x81,
        ),
        (
            "packet identifier 0 in PUBLISH: violates [MQTT-2.2.1-3], [3.1.1: MQTT-2.3.1-1]",
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
            "empty topic: violates [MQTT-4.7.3-1], [3.1.1: MQTT-4.7.3-1]",
            publish_with(V4, 0, "", 0, &[], ""),
            publish_with(V5, 0, "", 0, &[], ""),
            0x82,
        ),
        (
            "wildcard in a topic: violates [MQTT-3.3.2-2, MQTT-4.7.0-1], [3.1.1: MQTT-3.3.2-2, MQTT-4.7.1-1]",
            publish_with(V4, 0, "a/+", 0, &[], ""),
            publish_with(V5, 0, "a/+", 0, &[], ""),
            0x90,
        ),
        (
            "# in a topic: violates [MQTT-3.3.2-2]",
            publish_with(V4, 2, "a#", 1, &[], ""),
            publish_with(V5, 2, "a#", 1, &[], ""),
            0x90,
        ),
        (
            "U+0000 in a topic: violates [MQTT-1.5.4-2, MQTT-4.7.3-2], [3.1.1: MQTT-1.5.3-2, MQTT-4.7.3-2]",
            publish_with(V4, 0, "a\0", 0, &[], ""),
            publish_with(V5, 0, "a\0", 0, &[], ""),
            0x81,
        ),
        (
            "broken UTF-8: violates [MQTT-1.5.4-1, MQTT-3.3.2-1], [3.1.1: MQTT-1.5.3-1, MQTT-3.3.2-1]",
            packet(0x30, &field(b"\xC0\xAF")),
            packet(0x30, &[field(b"\xC0\xAF"), vec![0]].concat()),
            0x81,
        ),
        ("topic longer than the packet", vec![0x30, 3, 0, 9, b'a'], vec![0x30, 3, 0, 9, b'a'], 0x81),
        (
            "no filter in SUBSCRIBE: violates [MQTT-3.8.3-2], [3.1.1: MQTT-3.8.3-3]",
            sub(V4, &[]),
            sub(V5, &[]),
            0x82,
        ),
        (
            "no filter in UNSUBSCRIBE: violates [MQTT-3.10.3-2], [3.1.1: MQTT-3.10.3-2]",
            bytes::unsubscribe(V4, 1, &[]),
            bytes::unsubscribe(V5, 1, &[]),
            0x82,
        ),
        ("QoS 3 asked for: violates [3.1.1: MQTT-3-8.3-4]", sub(V4, &[("t", 3)]), sub(V5, &[("t", 3)]), 0x82),
        (
            "reserved option bits: violates [MQTT-3.8.3-5], [3.1.1: MQTT-3-8.3-4]",
            sub(V4, &[("t", 0x04)]),
            sub(V5, &[("t", 0x40)]),
            0x81,
        ),
        ("Retain Handling 3", vec![], sub(V5, &[("t", 0x30)]), 0x82),
        (
            "No Local with a shared subscription: violates [MQTT-3.8.3-4]",
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
            "Subscription Identifier in PUBLISH: violates [MQTT-3.3.4-6]",
            vec![],
            publish_with(V5, 0, "t", 0, &[0x0B, 1], ""),
            0x82,
        ),
        (
            "Topic Alias 0: violates [MQTT-3.3.2-8]",
            vec![],
            publish_with(V5, 0, "t", 0, &two(0x23, 0), ""),
            0x94,
        ),
        (
            "Topic Alias above the maximum: violates [MQTT-3.3.2-9, MQTT-3.2.2-17]",
            vec![],
            publish_with(V5, 0, "t", 0, &two(0x23, 65_535), ""),
            0x94,
        ),
        ("unknown Topic Alias", vec![], publish_with(V5, 0, "", 0, &two(0x23, 1), ""), 0x82),
        ("Payload Format Indicator 2", vec![], publish_with(V5, 0, "t", 0, &[1, 2], ""), 0x82),
        (
            "wildcard in Response Topic: violates [MQTT-3.3.2-14]",
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
            "DISCONNECT with a body in 3.1.1, of an unknown reason in 5.0: violates [MQTT-3.14.2-1]",
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
        ("a length longer than it needs to be: violates [MQTT-1.5.5-1]", vec![], vec![0xC0, 0x80, 0], 0x81),
        ("flags of AUTH: violates [MQTT-3.15.1-1]", vec![], vec![0xF1, 0], 0x81),
        (
            "re-authentication without a method in CONNECT: violates [MQTT-4.12.1-1]; it fails [MQTT-4.12.1-2]",
            vec![],
            packet(0xF0, &[vec![0x19], properties(&[vec![0x15], field("X")].concat())].concat()),
            0x82,
        ),
        ("a reason that AUTH has not: violates [MQTT-3.15.2-1]", vec![], packet(0xF0, &[0x80, 0]), 0x82),
        ("a reason that PUBACK has not: violates [MQTT-3.4.2-1]", vec![], vec![0x40, 3, 0, 1, 0x92], 0x82),
        ("a reason that PUBREC has not: violates [MQTT-3.5.2-1]", vec![], vec![0x50, 3, 0, 1, 3], 0x82),
        ("a reason that PUBREL has not: violates [MQTT-3.6.2-1]", vec![], vec![0x62, 3, 0, 1, 0x80], 0x82),
        ("a reason that PUBCOMP has not: violates [MQTT-3.7.2-1]", vec![], vec![0x70, 3, 0, 1, 0x10], 0x82),
        ("no property length: violates [MQTT-2.2.2-1]", vec![], packet(0x30, &field("t")), 0x81),
        (
            "a filter that is not UTF-8: violates [MQTT-3.8.3-1], [3.1.1: MQTT-3.8.3-1]",
            packet(0x82, &[vec![0, 1], field(b"\xFF"), vec![0]].concat()),
            packet(0x82, &[vec![0, 1, 0], field(b"\xFF"), vec![0]].concat()),
            0x81,
        ),
        (
            "the same in UNSUBSCRIBE: violates [MQTT-3.10.3-1], [3.1.1: MQTT-3.10.3-1]",
            packet(0xA2, &[vec![0, 1], field(b"\xFF")].concat()),
            packet(0xA2, &[vec![0, 1, 0], field(b"\xFF")].concat()),
            0x81,
        ),
        (
            "a Response Topic that is not UTF-8: violates [MQTT-3.3.2-13]",
            vec![],
            publish_with(V5, 0, "t", 0, &[vec![8], field(b"\xFF")].concat(), ""),
            0x81,
        ),
        (
            "a Content Type that is not UTF-8: violates [MQTT-3.3.2-19]",
            vec![],
            publish_with(V5, 0, "t", 0, &[vec![3], field(b"\xFF")].concat(), ""),
            0x81,
        ),
        (
            "a User Property that is not UTF-8: violates [MQTT-1.5.7-1]",
            vec![],
            publish_with(V5, 0, "t", 0, &[vec![0x26], field("k"), field(b"\xFF")].concat(), ""),
            0x81,
        ),
    ]
}

/// A DISCONNECT of 0x80 or more with one of its reasons, and then the end
/// [MQTT-4.13.1-1, MQTT-4.13.2-1, MQTT-3.14.2-1, MQTT-3.14.4-1, -2]; before 5.0 the end alone
/// [3.1.1: MQTT-4.8.0-1, MQTT-2.2.2-2]. The broker looks at flags
/// [MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-3.14.1-1],
/// [3.1.1: MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1, MQTT-3.14.1-1], at options
/// [MQTT-3.8.3-5], [3.1.1: MQTT-3-8.3-4], and for a
/// second CONNECT [MQTT-3.1.0-2], [3.1.1: MQTT-3.1.0-2]. Each row violates [MQTT-4.13.1-1],
/// [3.1.1: MQTT-4.8.0-1].
#[test]
fn malformed_packets_and_protocol_errors_close() {
    let broker = broker();
    let mut wrong = Vec::new();
    for (what, v4, v5, reason) in violations() {
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
