//! CONNECT and CONNACK (checklist 2 and 3).

use crate::bytes::{self, BOTH, connect, field, four, properties, publish, subscribe, two, user_property};
use crate::{Broker, Connect, Peer, V4, V5, broker};

/// Each field is found where it belongs [MQTT-3.1.3-1], [3.1.1: MQTT-3.1.3-1]: the Will comes out
/// as it went in [MQTT-3.1.2-7, -9], [3.1.1: MQTT-3.1.2-9], and the user is the one who may
/// subscribe to all of `$SYS`. User Properties keep their order [MQTT-3.1.3-10].
#[test]
fn all_fields_of_connect_are_accepted() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("will/t", 2);
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
                .will_property(&four(0x18, 0))
                .will_property(&[0x01, 1])
                .will_property(
                    &[vec![0x03], field("text"), vec![0x08], field("r/t"), vec![0x09], field("x")].concat(),
                )
                .will_property(&user_property("w", "x"))
                .will_property(&user_property("v", "y"))
                .will_property(&user_property("w", "z"))
        } else {
            connect
        };
        let mut peer = Peer::join(&broker, &connect);
        peer.subscribe("$SYS/nobody/publishes/this", 0);
        peer.vanish();
        let line = watcher.next();
        let properties =
            "[utf8 1] [type text] [response r/t] [correlation x] [user w=x] [user v=y] [user w=z]";
        let id = if version == V5 { 2 } else { 1 };
        let expected = if version == V5 { format!(" {properties}: bye") } else { ": bye".to_owned() };
        assert_eq!(line, format!("PUBLISH will/t q2 #{id}{expected}"));
    }
}

/// [MQTT-3.1.3-5], [3.1.1: MQTT-3.1.3-5]; strings of all characters but U+0000
/// [MQTT-1.5.4-1, -2, -3], [3.1.1: MQTT-1.5.3-1, -2, -3].
#[test]
fn identifiers_are_bytes_of_any_legal_length() {
    let broker = broker();
    let long = "x".repeat(65_535);
    for id in [
        "a",
        "0123456789abcdefghijklm",
        "nopqrstuvwxyzABCDEFGHIJ",
        "KLMNOPQRSTUVWXYZ",
        "ä/+#$ ☃ \u{FEFF}\u{A0}\u{FFFD}\u{10FFFD}",
        &long,
    ] {
        for version in BOTH {
            let mut first = Peer::clean(&broker, version, id);
            first.subscribe("t", 0);
            first.publish(0, "t", "x");
            assert!(first.next().ends_with(": x"));
            first.leave();
        }
    }
}

/// Connects without an identifier to a session that stays, and leaves; the identifier that was
/// assigned.
fn assigned(broker: &Broker) -> String {
    let mut peer = Peer::open(broker, V5);
    // Clean Start 0 is fine in 5.0.
    peer.send(&Connect::kept(V5, "").bytes());
    let packet = peer.packet().unwrap();
    assert_eq!(packet.body()[..2], [0, 0], "a new session");
    let body = packet.body().to_vec();
    let at = body.windows(5).position(|window| window == b"auto-").expect("an assigned identifier");
    assert_eq!(body[at - 3..at], [0x12, 0, 37]);
    peer.leave();
    String::from_utf8(body[at..at + 37].to_vec()).unwrap()
}

/// [MQTT-3.1.3-6, -7], [MQTT-3.2.2-16], [3.1.1: MQTT-3.1.3-6]
#[test]
fn empty_identifier_is_assigned_and_unique() {
    let mut broker = broker();
    let mut ids: Vec<String> = (0..3).map(|_| assigned(&broker)).collect();
    broker.kill();
    broker.start_again();
    ids.extend((0..3).map(|_| assigned(&broker)));
    for id in &ids {
        // The identifier is the Client's own from now on. With it the Client finds its session,
        // also after a restart.
        let mut peer = Peer::join(&broker, &Connect::kept(V5, id));
        assert!(peer.present(), "{id}");
        peer.expect_only(&[]);
        peer.leave();
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    let peers: Vec<Peer> = (0..3).map(|_| Peer::clean(&broker, V4, "")).collect();
    for mut peer in peers {
        peer.expect_only(&[]);
    }
}

#[test]
fn password_without_user_name_is_legal_in_5() {
    let broker = broker();
    let mut peer = Peer::open(&broker, V5);
    peer.send(&connect("MQTT", 5, 0x42, &[properties(&[]), field("c"), field("p")].concat()));
    // §3.1.2.9; not malformed: whether it is enough to come in is another question.
    let line = peer.next();
    assert!(["CONNACK 0 00", "CONNACK 0 86", "CONNACK 0 87"].contains(&line.as_str()), "{line}");
}

/// CONNACK comes first [MQTT-3.2.0-1], [3.1.1: MQTT-3.2.0-1], and once [MQTT-3.2.0-2].
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

/// [MQTT-3.1.3-2], [3.1.1: MQTT-3.1.3-2, MQTT-3.1.4-2, -3], [MQTT-3.1.4-3, -4]
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
