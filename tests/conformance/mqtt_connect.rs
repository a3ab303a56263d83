//! CONNECT and CONNACK (checklist 2 and 3).

use crate::bytes::{self, BOTH, field, four, packet, properties, publish, subscribe, two, user_property};
use crate::{Connect, Peer, V4, V5, broker};

/// A CONNECT body: protocol name, level, flags, no keep alive, and the rest.
fn raw(name: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = field(name);
    body.extend([level, flags, 0, 0]);
    body.extend_from_slice(rest);
    packet(0x10, &body)
}

#[test]
fn connect_is_refused_with_the_code_of_its_version() {
    let broker = broker();
    let id = field("c");
    let v5 = |list: &[u8], rest: &[u8]| [properties(list), rest.to_vec()].concat();
    let will = [field("t"), field("w")].concat();
    let rows: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("another packet first [MQTT-3.1.0-1]", bytes::PINGREQ.to_vec(), &[]),
        ("another name [MQTT-3.1.2-1]", raw("MQTX", 4, 2, &id), &[]),
        ("a name in other letters [MQTT-3.1.2-1]", raw("mqtt", 4, 2, &id), &[]),
        ("unknown level [3.1.1: MQTT-3.1.2-2]", raw("MQTT", 6, 2, &id), &["CONNACK 0 01"]),
        ("reserved flag [MQTT-3.1.2-3]", raw("MQTT", 4, 3, &id), &[]),
        ("reserved flag in 5.0 [MQTT-3.1.2-3]", raw("MQTT", 5, 3, &v5(&[], &id)), &["CONNACK 0 81"]),
        ("Will QoS 3 [MQTT-3.1.2-12]", raw("MQTT", 4, 0x1E, &[id.clone(), will].concat()), &[]),
        ("Will QoS without Will [MQTT-3.1.2-11]", raw("MQTT", 4, 0x0A, &id), &[]),
        ("Will Retain without Will [MQTT-3.1.2-13]", raw("MQTT", 4, 0x22, &id), &[]),
        (
            "password without user name [3.1.1: MQTT-3.1.2-22]",
            raw("MQTT", 4, 0x42, &[id.clone(), field("p")].concat()),
            &[],
        ),
        (
            "no identifier, session kept [3.1.1: MQTT-3.1.3-8]",
            raw("MQTT", 4, 0, &field("")),
            &["CONNACK 0 02"],
        ),
        ("U+0000 in the identifier [MQTT-1.5.4-2]", raw("MQTT", 4, 2, &field("a\0b")), &[]),
        ("U+0000 in the identifier, 5.0", raw("MQTT", 5, 2, &v5(&[], &field("a\0b"))), &["CONNACK 0 81"]),
        ("a surrogate [MQTT-1.5.4-1]", raw("MQTT", 4, 2, &field(b"\xED\xA0\x80")), &[]),
        ("bytes left over", raw("MQTT", 4, 2, &[id.clone(), vec![0]].concat()), &[]),
        ("identifier cut off", raw("MQTT", 4, 2, &[0, 9, b'c']), &[]),
        (
            "unsupported authentication [MQTT-4.12.0-1]",
            raw("MQTT", 5, 2, &v5(&[vec![0x15], field("X")].concat(), &id)),
            &["CONNACK 0 8C"],
        ),
        (
            "data without method",
            raw("MQTT", 5, 2, &v5(&[vec![0x16], field("X")].concat(), &id)),
            &["CONNACK 0 82"],
        ),
        ("Receive Maximum 0", raw("MQTT", 5, 2, &v5(&two(0x21, 0), &id)), &["CONNACK 0 82"]),
        ("Maximum Packet Size 0", raw("MQTT", 5, 2, &v5(&four(0x27, 0), &id)), &["CONNACK 0 82"]),
        (
            "a property twice",
            raw("MQTT", 5, 2, &v5(&[four(0x11, 1), four(0x11, 1)].concat(), &id)),
            &["CONNACK 0 82"],
        ),
        ("a property of PUBLISH", raw("MQTT", 5, 2, &v5(&two(0x23, 1), &id)), &["CONNACK 0 81"]),
        ("wrong password, 3.1.1", Connect::new(V4, "c").user("root", "no").bytes(), &["CONNACK 0 04"]),
        ("wrong password, 5.0", Connect::new(V5, "c").user("root", "no").bytes(), &["CONNACK 0 86"]),
        ("Will to a wildcard, 3.1.1", Connect::new(V4, "c").will("a/#", "", 0, false).bytes(), &[]),
        (
            "Will to a wildcard, 5.0",
            Connect::new(V5, "c").will("a/#", "", 0, false).bytes(),
            &["CONNACK 0 90"],
        ),
    ];
    let mut wrong = Vec::new();
    for (what, sent, expected) in rows {
        let mut peer = Peer::open(&broker, V5);
        // What follows a refused CONNECT is not processed [MQTT-3.1.4-6].
        peer.try_send(&[sent, publish(V4, 0, "refused", 0, "x")].concat());
        let told = peer.until_closed();
        if told != expected {
            wrong.push(format!("{what}: {told:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn all_fields_of_connect_are_accepted() {
    let broker = broker();
    for version in BOTH {
        let connect = Connect::kept(version, "all")
            .keep_alive(60)
            .will("will/t", "bye", 2, true)
            .user("root", "coreflux");
        let connect = if version == V5 {
            connect
                .property(&two(0x21, 10))
                .property(&four(0x27, 100_000))
                .property(&two(0x22, 5))
                .property(&[0x19, 1, 0x17, 0])
                .property(&user_property("a", "b"))
                .property(&user_property("a", "c"))
                .will_property(&four(0x18, 5))
                .will_property(&four(0x02, 50))
                .will_property(&[0x01, 1])
                .will_property(
                    &[vec![0x03], field("text"), vec![0x08], field("r/t"), vec![0x09], field("x")].concat(),
                )
                .will_property(&user_property("w", "x"))
        } else {
            connect
        };
        Peer::join(&broker, &connect).leave();
    }
}

#[test]
fn identifiers_are_bytes_of_any_legal_length() {
    let broker = broker();
    let long = "x".repeat(65_535);
    for id in ["a", "0123456789abcdefghijABC", "ä/+#$ ☃ \u{FEFF}", &long] {
        for version in BOTH {
            let mut first = Peer::clean(&broker, version, id);
            first.subscribe("t", 0);
            first.publish(0, "t", "x");
            assert!(first.next().ends_with(": x"));
            first.leave();
        }
    }
}

#[test]
fn empty_identifier_is_assigned_and_unique() {
    let broker = broker();
    // [MQTT-3.1.3-6], [MQTT-3.2.2-16]; Clean Start 0 is fine in 5.0.
    let ids: Vec<String> = (0..3)
        .map(|_| {
            let mut peer = Peer::open(&broker, V5);
            peer.send(&Connect::new(V5, "").clean(false).bytes());
            let packet = peer.packet().unwrap();
            let body = packet.body().to_vec();
            let at = body.windows(5).position(|window| window == b"auto-").expect("an assigned identifier");
            String::from_utf8(body[at..at + 37].to_vec()).unwrap()
        })
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    // [3.1.1: MQTT-3.1.3-6]
    let peers: Vec<Peer> = (0..3).map(|_| Peer::clean(&broker, V4, "")).collect();
    for mut peer in peers {
        peer.expect_only(&[]);
    }
}

#[test]
fn password_without_user_name_is_legal_in_5() {
    let broker = broker();
    let mut peer = Peer::open(&broker, V5);
    peer.send(&raw("MQTT", 5, 0x42, &[properties(&[]), field("c"), field("p")].concat()));
    // §3.1.2.9; not malformed: whether it is enough to come in is another question.
    let line = peer.next();
    assert!(["CONNACK 0 00", "CONNACK 0 86", "CONNACK 0 87"].contains(&line.as_str()), "{line}");
}

#[test]
fn packets_behind_connect_are_processed_before_connack_is_read() {
    let broker = broker();
    for version in BOTH {
        // With a session that is stored, and with a password that is checked on another thread.
        for connect in [
            Connect::new(version, "p1"),
            Connect::kept(version, &format!("p2 {version:?}")),
            Connect::new(version, "p3").user("root", "coreflux"),
            Connect::kept(version, &format!("p4 {version:?}")).user("root", "coreflux"),
        ] {
            let mut peer = Peer::open(&broker, version);
            let mut all = connect.bytes();
            all.extend(subscribe(version, 1, "t", 1));
            for n in 1..=20 {
                all.extend(publish(version, 0, "t", 0, &format!("m{n}")));
            }
            all.extend(bytes::PINGREQ);
            peer.send(&all);
            assert!(peer.next().starts_with("CONNACK 0 00"));
            let mut rest: Vec<String> = (0..22).map(|_| peer.next()).collect();
            let messages: Vec<String> = rest.extract_if(.., |line| line.starts_with("PUBLISH")).collect();
            let expected: Vec<String> = (1..=20).map(|n| format!("PUBLISH t q0: m{n}")).collect();
            assert_eq!(messages, expected);
            rest.sort();
            assert_eq!(rest, ["PINGRESP", "SUBACK 1 01"]);
        }
    }
}

#[test]
fn connack_announces_what_differs_from_the_defaults() {
    let broker = broker();
    let mut peer = Peer::open(&broker, V5);
    peer.send(&Connect::new(V5, "c").property(&four(0x11, u32::MAX)).bytes());
    let packet = peer.packet().unwrap();
    let lotmq = packet.decode().unwrap();
    let text = format!("{lotmq:?}");
    assert!(text.contains("reason: Success"), "{text}");
    let body = packet.body();
    let has = |wanted: &[u8]| body.windows(wanted.len()).any(|window| window == wanted);
    assert!(has(&four(0x11, 30 * 24 * 3600)), "the session expiry that is granted, §3.2.2.3.2: {body:X?}");
    assert!(has(&four(0x27, 16 << 20)), "Maximum Packet Size: {body:X?}");
    assert!(body.contains(&0x21) && body.contains(&0x22), "Receive and Topic Alias Maximum: {body:X?}");
}

#[test]
fn a_connack_that_the_client_cannot_take_is_not_sent() {
    let broker = broker();
    let mut peer = Peer::open(&broker, V5);
    peer.send(&Connect::new(V5, "c").property(&four(0x27, 8)).bytes()); // [MQTT-3.1.2-24]
    assert_eq!(peer.until_closed(), [""; 0]);
}

#[test]
fn takeover_closes_the_old_connection_and_its_late_end_harms_nothing() {
    let broker = broker();
    for version in BOTH {
        for old_version in BOTH {
            let mut old = Peer::join(&broker, &Connect::kept(old_version, "same"));
            old.subscribe("t", 1);
            let mut new = Peer::join(&broker, &Connect::kept(version, "same"));
            assert!(new.present(), "the session moves [MQTT-3.2.2-3]");
            let told: &[&str] = if old_version == V5 { &["DISCONNECT 8E"] } else { &[] };
            assert_eq!(old.until_closed(), told, "[MQTT-3.1.4-3]");
            Peer::clean(&broker, V4, "writer").publish(1, "t", "still here");
            assert_eq!(new.next(), "PUBLISH t q1 #1: still here");
            new.send(&bytes::puback(1));
            // A clean start takes over, too, and gets nothing of the old session [MQTT-3.1.2-4].
            let mut clean = Peer::clean(&broker, version, "same");
            assert!(!clean.present());
            assert_eq!(new.until_closed().len(), usize::from(version == V5));
            clean.publish(0, "t", "nobody");
            clean.expect_only(&[]);
            clean.leave();
        }
    }
}
