//! CONNECT that breaks a rule: refused with the code of its version, closed, and nothing behind it
//! is looked at (checklist 2 and 3).

use crate::bytes::{self, BOTH, connect, field, four, packet, properties, publish, two};
use crate::{Connect, Peer, V4, V5, Version, broker};

/// Not UTF-8: half of a surrogate pair.
const SURROGATE: &[u8] = b"\xED\xA0\x80";

/// Flags and fields of a CONNECT of both versions; 5.0 gets empty property lists where they belong.
fn body(version: Version, flags: u8, fields: &[Vec<u8>]) -> Vec<u8> {
    let list = if version == V5 { properties(&[]) } else { Vec::new() };
    let has_will = flags & 4 != 0;
    let mut rest = list.clone();
    for (at, field) in fields.iter().enumerate() {
        if at == 1 && has_will {
            rest.extend(&list);
        }
        rest.extend(field);
    }
    rest
}

fn level(version: Version) -> u8 {
    if version == V5 { 5 } else { 4 }
}

/// A violation as both versions have it: what it is, flags and fields behind a correct beginning.
type Row = (&'static str, u8, Vec<Vec<u8>>);

/// Each is malformed: 0x81 in 5.0, closed without a word in 3.1.1.
fn malformed() -> Vec<Row> {
    let [id, topic, payload, user, password] = ["c", "will/t", "w", "u", "p"].map(field);
    vec![
        ("the reserved flag: violates [MQTT-3.1.2-3], [3.1.1: MQTT-3.1.2-3]", 0x03, vec![id.clone()]),
        (
            "Will QoS 3: violates [MQTT-3.1.2-12], [3.1.1: MQTT-3.1.2-14]",
            0x1E,
            vec![id.clone(), topic.clone(), payload.clone()],
        ),
        (
            "Will QoS without Will: violates [MQTT-3.1.2-11], [3.1.1: MQTT-3.1.2-11, -13]",
            0x0A,
            vec![id.clone()],
        ),
        (
            "Will Retain without Will: violates [MQTT-3.1.2-13], [3.1.1: MQTT-3.1.2-15]",
            0x22,
            vec![id.clone()],
        ),
        ("a Will without its fields: violates [MQTT-3.1.2-9], [3.1.1: MQTT-3.1.2-9]", 0x06, vec![id.clone()]),
        ("a Will without payload field", 0x06, vec![id.clone(), topic.clone()]),
        (
            "the fields of a Will without its flag: violates [3.1.1: MQTT-3.1.2-11]",
            0x02,
            vec![id.clone(), topic, payload.clone()],
        ),
        (
            "a user name without its flag: violates [MQTT-3.1.2-16], [3.1.1: MQTT-3.1.2-18]",
            0x02,
            vec![id.clone(), user.clone()],
        ),
        (
            "the flag without a user name: violates [MQTT-3.1.2-17], [3.1.1: MQTT-3.1.2-19]",
            0x82,
            vec![id.clone()],
        ),
        (
            "a password without its flag: violates [MQTT-3.1.2-18], [3.1.1: MQTT-3.1.2-20]",
            0x82,
            vec![id.clone(), user.clone(), password],
        ),
        (
            "the flag without a password: violates [MQTT-3.1.2-19], [3.1.1: MQTT-3.1.2-21]",
            0xC2,
            vec![id.clone(), user],
        ),
        ("no identifier field: violates [MQTT-3.1.3-3], [3.1.1: MQTT-3.1.3-3]", 0x02, vec![]),
        (
            "an identifier cut off: violates [MQTT-3.1.4-1], [3.1.1: MQTT-3.1.4-1]",
            0x02,
            vec![vec![0, 9, b'c']],
        ),
        ("bytes left over", 0x02, vec![id.clone(), vec![0]]),
        (
            "U+0000 in the identifier: violates [MQTT-1.5.4-2, MQTT-3.1.3-8], [3.1.1: MQTT-1.5.3-2]",
            0x02,
            vec![field("a\0b")],
        ),
        (
            "the identifier is not UTF-8: violates [MQTT-1.5.4-1, MQTT-3.1.3-4], [3.1.1: MQTT-1.5.3-1, MQTT-3.1.3-4]",
            0x02,
            vec![field(SURROGATE)],
        ),
        (
            "the Will Topic is not UTF-8: violates [MQTT-3.1.3-11], [3.1.1: MQTT-3.1.3-10]",
            0x06,
            vec![id.clone(), field(SURROGATE), payload],
        ),
        (
            "the user name is not UTF-8: violates [MQTT-3.1.3-12], [3.1.1: MQTT-3.1.3-11]",
            0x82,
            vec![id, field(SURROGATE)],
        ),
    ]
}

/// Its Remaining Length on two bytes where one is enough: only 5.0 forbids that.
#[test]
fn a_connect_of_5_0_has_the_shortest_length() {
    let broker = broker();
    for (version, answer) in [(V5, "CONNACK 0 81"), (V4, "CONNACK 0 00")] {
        let mut sent = Connect::new(version, "c").bytes();
        sent[1] |= 0x80;
        sent.insert(2, 0);
        let mut peer = Peer::open(&broker, version);
        peer.send(&sent);
        assert_eq!(peer.next(), answer, "violates [MQTT-1.5.5-1]");
    }
}

/// Returns packets that one version alone knows, or answers in its own way, with the answers.
fn others() -> Vec<(&'static str, Version, Vec<u8>, &'static [&'static str])> {
    let id = field("c");
    let v5 = |list: &[u8]| connect("MQTT", 5, 2, &[properties(list), id.clone()].concat());
    let method = [vec![0x15], field("X")].concat();
    vec![
        ("another name: violates [3.1.1: MQTT-3.1.2-1]", V4, connect("MQTX", 4, 2, &id), &[]),
        ("a name in other letters", V4, connect("mqtt", 4, 2, &id), &[]),
        (
            "another name: violates [MQTT-3.1.2-1]",
            V5,
            connect("MQTX", 5, 2, &body(V5, 2, std::slice::from_ref(&id))),
            &[],
        ),
        (
            "an unknown level: violates [3.1.1: MQTT-3.1.2-2]",
            V4,
            connect("MQTT", 6, 2, &id),
            &["CONNACK 0 01"],
        ),
        ("an unknown level: violates [MQTT-3.1.2-2]", V4, connect("MQTT", 0x7F, 2, &id), &["CONNACK 0 01"]),
        (
            "a password without user name: violates [3.1.1: MQTT-3.1.2-22]",
            V4,
            connect("MQTT", 4, 0x42, &[id.clone(), field("p")].concat()),
            &[],
        ),
        (
            "no identifier, session kept: violates [3.1.1: MQTT-3.1.3-7, -8, -9]",
            V4,
            connect("MQTT", 4, 0, &field("")),
            &["CONNACK 0 02"],
        ),
        ("wrong password", V4, Connect::new(V4, "c").user("root", "no").bytes(), &["CONNACK 0 04"]),
        (
            "wrong password: violates [MQTT-3.1.4-2]",
            V5,
            Connect::new(V5, "c").user("root", "no").bytes(),
            &["CONNACK 0 86"],
        ),
        // No return code of 3.1.1 fits [3.1.1: MQTT-3.2.2-6].
        ("Will to a wildcard", V4, Connect::new(V4, "c").will("a/#", "", 0, false).bytes(), &[]),
        (
            "Will to a wildcard",
            V5,
            Connect::new(V5, "c").will("a/#", "", 0, false).bytes(),
            &["CONNACK 0 90"],
        ),
        // The broker knows no method. It refuses a client that has one, and all that the client
        // sends before CONNACK.
        (
            "unknown method: violates [MQTT-4.12.0-1], [MQTT-3.1.2-30]; [MQTT-4.12.0-1, -4]",
            V5,
            v5(&method),
            &["CONNACK 0 8C"],
        ),
        ("unknown method with data", V5, v5(&[method, vec![0x16], field("X")].concat()), &["CONNACK 0 8C"]),
        ("data without method", V5, v5(&[vec![0x16], field("X")].concat()), &["CONNACK 0 82"]),
        ("Receive Maximum 0", V5, v5(&two(0x21, 0)), &["CONNACK 0 82"]),
        ("Maximum Packet Size 0", V5, v5(&four(0x27, 0)), &["CONNACK 0 82"]),
        ("Request Problem Information 2", V5, v5(&[0x17, 2]), &["CONNACK 0 82"]),
        ("Request Response Information 2", V5, v5(&[0x19, 2]), &["CONNACK 0 82"]),
        ("a property twice", V5, v5(&[four(0x11, 1), four(0x11, 1)].concat()), &["CONNACK 0 82"]),
        ("a property of PUBLISH", V5, v5(&two(0x23, 1)), &["CONNACK 0 81"]),
        (
            "a User Property that is not UTF-8: violates [MQTT-1.5.7-1]",
            V5,
            v5(&[vec![0x26], field(SURROGATE), field("v")].concat()),
            &["CONNACK 0 81"],
        ),
        ("no property length: violates [MQTT-2.2.2-1]", V5, connect("MQTT", 5, 2, &[]), &["CONNACK 0 81"]),
        (
            "a Will of the broker's own topics",
            V5,
            Connect::new(V5, "c").will("$SYS/x", "", 0, false).bytes(),
            &["CONNACK 0 90"],
        ),
    ]
}

/// A refusal has Session Present 0, one of the codes of CONNACK, and closes [MQTT-3.2.2-6, -7, -8],
/// [3.1.1: MQTT-3.2.2-4, -5, -6]; no DISCONNECT comes before an accepting CONNACK [MQTT-3.14.0-1].
/// The reserved flag is looked at [MQTT-3.1.2-3], [3.1.1: MQTT-3.1.2-3], the format
/// [MQTT-3.1.4-1, -2], [3.1.1: MQTT-3.1.4-1], the identifier [MQTT-3.1.3-8],
/// [3.1.1: MQTT-3.1.3-8, -9]; name and level [MQTT-3.1.2-1, -2], [3.1.1: MQTT-3.1.2-1, -2]. Behind
/// a refused CONNECT nothing is processed [MQTT-3.1.4-6], [3.1.1: MQTT-3.1.4-5]; each row tries, so
/// it violates [MQTT-3.1.4-6], [3.1.1: MQTT-3.1.4-5].
#[test]
fn connect_is_refused_with_the_code_of_its_version() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("refused/#", 0);
    watcher.subscribe("will/#", 0);
    let both = malformed().into_iter().flat_map(|(what, flags, fields)| {
        BOTH.map(|version| {
            let told: &[&str] = if version == V5 { &["CONNACK 0 81"] } else { &[] };
            let sent = connect("MQTT", level(version), flags, &body(version, flags, &fields));
            (what, version, sent, told)
        })
    });
    let mut wrong = Vec::new();
    for (what, version, sent, expected) in both.chain(others()) {
        let mut peer = Peer::open(&broker, version);
        peer.try_send(&[sent, publish(version, 0, "refused/t", 0, "x"), bytes::PINGREQ.to_vec()].concat());
        let told = peer.until_closed();
        if told != expected {
            wrong.push(format!("{what}, {version:?}: {told:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    watcher.expect_only(&[]);
}

/// Violates [MQTT-3.1.0-1], [3.1.1: MQTT-3.1.0-1]: closed without an answer. [MQTT-3.2.0-1],
/// [3.1.1: MQTT-3.2.0-1]
#[test]
fn another_packet_before_connect_closes_without_an_answer() {
    let broker = broker();
    for version in BOTH {
        for sent in [
            bytes::PINGREQ.to_vec(),
            bytes::DISCONNECT.to_vec(),
            publish(version, 1, "t", 1, "x"),
            bytes::subscribe(version, 1, "t", 0),
            packet(0xF0, &[]),
            // CONNECT with a flag that is reserved: violates [MQTT-2.1.3-1],
            // [3.1.1: MQTT-2.2.2-1, -2].
            packet(0x11, &Connect::new(version, "c").bytes()[2..]),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        ] {
            let mut peer = Peer::open(&broker, version);
            peer.try_send(&[sent, Connect::new(version, "late").bytes()].concat());
            assert_eq!(peer.until_closed(), [""; 0]);
        }
    }
}
