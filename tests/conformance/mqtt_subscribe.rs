//! SUBSCRIBE, UNSUBSCRIBE and filters (checklist 6 and 7).

use crate::bytes::{self, BOTH, publish, subscribe, subscribe_with, unsubscribe};
use crate::{Connect, Peer, V4, V5, broker};

const NO_LOCAL: u8 = 0x04;

/// Topics that come are names [MQTT-3.3.2-2, MQTT-4.7.0-1, MQTT-4.7.3-1, -2],
/// [3.1.1: MQTT-3.3.2-2, MQTT-4.7.1-1, MQTT-4.7.3-1, -2] that match the filter [MQTT-3.3.2-3],
/// [3.1.1: MQTT-3.3.2-3], byte for byte [MQTT-4.7.3-4], [3.1.1: MQTT-4.7.3-4]. Wildcards are
/// supported [3.1.1: MQTT-3.8.3-2].
#[test]
fn filters_match_as_the_standard_says() {
    let broker = broker();
    let topics = ["a", "a/", "a/b", "a/b/c", "/a", "/", "a//b", "b", "$a/b", "a/$b", "A", "ä"];
    let rows: [(&str, &[&str]); 18] = [
        ("#", &["a", "a/", "a/b", "a/b/c", "/a", "/", "a//b", "b", "a/$b", "A", "ä"]), // [MQTT-4.7.2-1]
        ("+", &["a", "b", "A", "ä"]),
        ("a/#", &["a", "a/", "a/b", "a/b/c", "a//b", "a/$b"]), // the parent, too
        ("a/+", &["a/", "a/b", "a/$b"]),
        ("+/+", &["a/", "a/b", "/a", "/", "a/$b"]),
        ("/+", &["/a", "/"]),
        ("+/b", &["a/b"]),
        ("a/+/b", &["a//b"]),
        ("a//b", &["a//b"]),
        ("a/b", &["a/b"]),
        ("a", &["a"]),
        ("A", &["A"]), // no case folding [MQTT-4.7.3-4]
        ("/", &["/"]),
        ("a/", &["a/"]),
        ("$a/#", &["$a/b"]),
        ("$a/+", &["$a/b"]),
        ("+/#", &["a", "a/", "a/b", "a/b/c", "/a", "/", "a//b", "b", "a/$b", "A", "ä"]),
        ("ä", &["ä"]),
    ];
    let mut writer = Peer::root(&broker, V4, "writer");
    for (filter, expected) in rows {
        let mut reader = Peer::root(&broker, V4, "reader");
        reader.subscribe(filter, 0);
        for topic in topics {
            writer.send(&publish(V4, 0, topic, 0, "x"));
        }
        writer.expect_only(&[]);
        let lines: Vec<String> = expected.iter().map(|topic| format!("PUBLISH {topic} q0: x")).collect();
        reader.expect_only(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// [MQTT-3.8.4-1, -2, -5, -6, -7, MQTT-3.9.3-1, -2],
/// [3.1.1: MQTT-3.8.4-1, -2, -4, -5, MQTT-3.9.3-1, -2], [MQTT-2.2.1-6], [3.1.1: MQTT-2.3.1-7]. The
/// filters are wrong: violates [MQTT-4.7.1-1, -2, MQTT-4.7.3-1, MQTT-4.8.2-1, -2],
/// [3.1.1: MQTT-4.7.1-2, -3, MQTT-4.7.3-1].
#[test]
fn one_suback_with_one_code_a_filter() {
    let broker = broker();
    for (version, invalid) in [(V4, "80"), (V5, "8F")] {
        let mut peer = Peer::clean(&broker, version, "codes");
        // One bad filter does not fail the others [MQTT-3.8.4-6].
        let filters = [
            ("ok", 2),
            ("a/#/b", 0),
            ("b+", 0),
            ("ok/+", 1),
            ("$share//x", 0),
            ("$share/g", 0),
            ("$share/+/x", 0),
            ("zero", 0),
            ("", 0),
            ("a/b#", 0),
            ("a/+b", 0),
        ];
        peer.send(&subscribe_with(version, 77, &[], &filters));
        let i = invalid;
        peer.expect(&[&format!("SUBACK 77 02 {i} {i} 01 {i} {i} {i} 00 {i} {i} {i}")]);
        peer.publish(0, "ok/1", "x");
        peer.expect_only(&["PUBLISH ok/1 q0: x"]);
    }
}

/// [MQTT-3.8.4-3], [3.1.1: MQTT-3.8.4-3]
#[test]
fn an_identical_filter_replaces_the_subscription_completely() {
    let broker = broker();
    let mut reader = Peer::clean(&broker, V5, "reader");
    let mut writer = Peer::clean(&broker, V5, "writer");
    reader.subscribe_with("t", 2, &[0x0B, 7]);
    writer.publish(2, "t", "a");
    reader.expect(&["PUBLISH t q2 #1 [sub 7]: a"]);
    reader.subscribe_with("t", 0, &[0x0B, 9]); // [MQTT-3.8.4-3]
    writer.publish(2, "t", "b");
    reader.expect(&["PUBLISH t q0 [sub 9]: b"]);
    reader.subscribe_with("t", 1, &[]);
    writer.publish(2, "t", "c");
    reader.expect(&["PUBLISH t q1 #2: c"]);
    // Twice in one packet: the last one counts.
    reader.send(&subscribe_with(V5, 5, &[], &[("t", 1), ("t", 0)]));
    reader.expect(&["SUBACK 5 01 00"]);
    writer.publish(2, "t", "d");
    reader.expect_only(&["PUBLISH t q0: d"]);
}

/// [MQTT-3.3.4-2, -3, -4], [3.1.1: MQTT-3.3.5-1]
#[test]
fn overlapping_subscriptions_give_one_copy() {
    let broker = broker();
    for version in BOTH {
        let mut reader = Peer::clean(&broker, version, "reader");
        reader.subscribe("o/#", 0);
        reader.subscribe("o/+", 2);
        reader.subscribe("o/1", 1);
        let mut writer = Peer::clean(&broker, version, "writer");
        writer.publish(2, "o/1", "x");
        writer.publish(0, "o/1", "y");
        reader.expect_only(&["PUBLISH o/1 q2 #1: x", "PUBLISH o/1 q0: y"]); // the highest QoS [MQTT-3.3.4-2]
    }
    let mut reader = Peer::clean(&broker, V5, "reader");
    for (filter, identifier) in [("o/#", 1), ("o/+", 2), ("o/1", 3), ("other", 4)] {
        reader.subscribe_with(filter, 0, &[0x0B, identifier]);
    }
    let mut writer = Peer::clean(&broker, V4, "writer");
    writer.publish(0, "o/1", "x");
    let line = reader.next(); // all identifiers, in no defined order [MQTT-3.3.4-3, -4]
    for wanted in ["[sub 1]", "[sub 2]", "[sub 3]"] {
        assert!(line.contains(wanted), "{line}");
    }
    assert!(!line.contains("[sub 4]"), "{line}");
    // The largest identifier, four bytes long.
    reader.subscribe_with("big", 0, &[0x0B, 0xFF, 0xFF, 0xFF, 0x7F]);
    writer.publish(0, "big", &"p".repeat(5000));
    reader.expect_only(&["PUBLISH big q0 [sub 268435455]: 5000 bytes"]);
}

#[test]
fn no_local_keeps_a_clients_own_messages_away() {
    let broker = broker();
    let mut peer = Peer::clean(&broker, V5, "both");
    peer.subscribe_with("n/#", 1 | NO_LOCAL, &[0x0B, 1]);
    let mut other = Peer::clean(&broker, V5, "other");
    peer.publish(1, "n/1", "own");
    other.publish(1, "n/1", "other's");
    peer.expect_only(&["PUBLISH n/1 q1 #1 [sub 1]: other's"]); // [MQTT-3.8.3-3]
    // Beside a subscription without it: that one alone decides about own messages.
    peer.subscribe_with("n/+", 0, &[0x0B, 2]);
    peer.publish(1, "n/1", "own");
    peer.expect(&["PUBLISH n/1 q0 [sub 2]: own"]);
    other.publish(1, "n/1", "other's");
    let line = peer.next();
    assert!(line.contains(" q1 ") && line.contains("[sub 1]") && line.contains("[sub 2]"), "{line}");
}

/// [MQTT-3.10.4-1, -2, -4, -5, -6, MQTT-3.11.3-1, -2], [3.1.1: MQTT-3.10.4-1, -2, -4, -5, -6]
#[test]
fn unsubscribe_compares_bytes_and_always_answers() {
    let broker = broker();
    for version in BOTH {
        let mut peer = Peer::clean(&broker, version, "peer");
        peer.subscribe("u/+", 0);
        peer.subscribe("u/1", 0);
        peer.send(&unsubscribe(version, 9, &["u/#", "u/1", "u/1", "never"]));
        let codes = if version == V5 { " 11 00 11 11" } else { "" }; // [MQTT-3.10.4-1, -4, -5]
        peer.expect(&[&format!("UNSUBACK 9{codes}")]);
        let mut writer = Peer::clean(&broker, version, "writer");
        writer.publish(1, "u/1", "x");
        peer.expect_only(&["PUBLISH u/1 q0: x"]); // by the other one
        peer.send(&unsubscribe(version, 10, &["u/+"]));
        peer.next();
        writer.publish(1, "u/1", "x");
        peer.expect_only(&[]); // [MQTT-3.10.4-2]
    }
}

/// A filter that is none gets 0x8F and harms no other; before 5.0 the connection ends with every
/// subscription as it was. Violates [MQTT-4.7.1-1, -2, MQTT-4.7.3-1, MQTT-4.8.2-1, -2],
/// [3.1.1: MQTT-4.7.1-2, -3, MQTT-4.7.3-1].
#[test]
fn unsubscribe_refuses_what_is_no_filter() {
    let broker = broker();
    for filter in ["", "a/#/b", "b+", "$share/g", "$share//a", "$share/+/a"] {
        let mut peer = Peer::clean(&broker, V5, "five");
        peer.subscribe("kept", 0);
        peer.subscribe("left", 0);
        peer.send(&unsubscribe(V5, 9, &["left", filter, "never"]));
        peer.expect(&["UNSUBACK 9 00 8F 11"]);
        peer.publish(0, "kept", "x");
        peer.publish(0, "left", "x");
        peer.expect_only(&["PUBLISH kept q0: x"]);
        let mut peer = Peer::join(&broker, &Connect::kept(V4, "three"));
        peer.subscribe("kept", 0);
        peer.send(&unsubscribe(V4, 9, &["kept", filter]));
        assert_eq!(peer.until_closed(), [""; 0], "{filter}");
        let mut peer = Peer::join(&broker, &Connect::kept(V4, "three"));
        peer.publish(0, "kept", "x");
        peer.expect_only(&["PUBLISH kept q0: x"]);
    }
}

/// [MQTT-3.10.4-3], [3.1.1: MQTT-3.10.4-3]
#[test]
fn messages_that_were_begun_are_finished_after_unsubscribe() {
    let broker = broker();
    for version in BOTH {
        let connect = Connect::kept(version, "reader");
        let mut reader = Peer::join(&broker, &connect);
        reader.subscribe("t", 2);
        let mut writer = Peer::clean(&broker, version, "writer");
        writer.publish(1, "t", "one");
        writer.publish(2, "t", "two");
        reader.expect(&["PUBLISH t q1 #1: one", "PUBLISH t q2 #2: two"]);
        reader.send(&unsubscribe(version, 9, &["t"]));
        reader.next();
        writer.publish(2, "t", "not begun");
        reader.vanish();
        let mut reader = Peer::join(&broker, &connect);
        reader.expect_only(&["PUBLISH t q1 #1 dup: one", "PUBLISH t q2 #2 dup: two"]);
        reader.send(&bytes::puback(1));
        reader.send(&bytes::pubrec(2));
        reader.expect(&["PUBREL 2 00"]);
        reader.send(&bytes::pubcomp(2));
        reader.expect_only(&[]);
        reader.leave();
        Peer::clean(&broker, version, "reader").leave();
    }
}

/// [MQTT-3.8.4-4], [3.1.1: MQTT-3.8.4-3]
#[test]
fn replacing_a_subscription_loses_no_message() {
    let broker = broker();
    for version in BOTH {
        let mut reader = Peer::clean(&broker, version, "reader");
        reader.subscribe("t", 1);
        let mut writer = Peer::clean(&broker, version, "writer");
        let thread = std::thread::spawn(move || {
            for n in 0..300_u16 {
                writer.send(&publish(writer.version, 1, "t", n + 1, &n.to_string()));
                while !writer.next().starts_with("PUBACK") {}
            }
        });
        let mut next = 0;
        while next < 300 {
            reader.send(&subscribe(version, 7, "t", 1));
            loop {
                let line = reader.next();
                if line == "SUBACK 7 01" {
                    break;
                }
                let (head, count) = line.split_once(": ").unwrap();
                assert_eq!(count, next.to_string(), "{line}");
                reader.send(&bytes::puback(head.split('#').nth(1).unwrap().parse().unwrap()));
                next += 1;
            }
        }
        thread.join().unwrap();
    }
}

/// [MQTT-4.7.3-3], [3.1.1: MQTT-4.7.3-3]
#[test]
fn topics_and_filters_may_have_65535_bytes() {
    let broker = broker();
    let topic = format!("{}/ä", "x".repeat(65_532));
    assert_eq!(topic.len(), 65_535);
    for version in BOTH {
        for filter in [topic.as_str(), "+/ä"] {
            let mut peer = Peer::clean(&broker, version, "long");
            peer.subscribe(filter, 1);
            peer.publish(1, &topic, "x");
            peer.expect_only(&[&format!("PUBLISH {topic} q1 #1: x")]);
        }
    }
}

#[test]
fn the_tree_of_the_broker_is_not_seen_by_wildcards() {
    let broker = broker();
    let mut peer = Peer::clean(&broker, V4, "peer");
    peer.subscribe("#", 0);
    peer.subscribe("+/broker/#", 0);
    peer.expect_only(&[]);
}

#[test]
fn subscriptions_that_come_and_go_lose_nothing_for_others() {
    let broker = broker();
    let mut steady = Peer::clean(&broker, V4, "steady");
    steady.subscribe("s/#", 0);
    let churn: Vec<_> = (0..3)
        .map(|n| {
            let mut peer = Peer::clean(&broker, BOTH[n % 2], &format!("churn{n}"));
            std::thread::spawn(move || {
                for round in 0..300_u16 {
                    let filter = format!("s/{}", round % 7);
                    peer.send(&subscribe(peer.version, 1, &filter, 0));
                    while !peer.next().starts_with("SUBACK 1") {}
                    // A message that is published behind SUBACK arrives, on whatever thread.
                    peer.send(&publish(peer.version, 0, &filter, 0, &format!("{n} {round}")));
                    while !peer.next().ends_with(&format!(": {n} {round}")) {}
                    peer.send(&unsubscribe(peer.version, 2, &[&filter]));
                    while !peer.next().starts_with("UNSUBACK 2") {}
                }
            })
        })
        .collect();
    churn.into_iter().for_each(|thread| thread.join().unwrap());
    let mut next = [0; 3];
    for _ in 0..900 {
        let line = steady.next();
        let (_, text) = line.split_once(": ").unwrap();
        let (n, round) = text.split_once(' ').unwrap();
        let n: usize = n.parse().unwrap();
        assert_eq!(round.parse(), Ok(next[n]));
        next[n] += 1;
    }
    steady.expect_only(&[]);
}

#[test]
fn a_session_has_ten_thousand_subscriptions_and_may_replace_the_last() {
    let broker = broker();
    let mut peer = Peer::join(&broker, &Connect::new(V5, "many"));
    for part in 0..100 {
        let filters: Vec<String> = (0..100).map(|n| format!("m/{part}/{n}")).collect();
        let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (filter.as_str(), 0)).collect();
        peer.send(&subscribe_with(V5, 1, &[], &filters));
        assert_eq!(peer.next(), format!("SUBACK 1{}", " 00".repeat(100)));
    }
    peer.send(&subscribe_with(V5, 1, &[], &[("one/more", 0), ("m/0/0", 1)]));
    peer.expect(&["SUBACK 1 97 01"]);
    peer.publish(0, "m/99/99", "x");
    peer.expect_only(&["PUBLISH m/99/99 q0: x"]);
    peer.send(&bytes::DISCONNECT);
}
