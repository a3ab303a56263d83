//! PUBLISH through the broker: QoS in both directions, properties, order (checklist 5).

use std::time::Instant;

use crate::bytes::{self, BOTH, field, four, publish, publish_with, pubrel, two, user_property};
use crate::{Connect, Peer, V4, V5, broker};

/// [MQTT-3.8.4-8], [3.1.1: MQTT-3.8.4-6]. PUBLISH begins with the topic [MQTT-3.3.2-1],
/// [3.1.1: MQTT-3.3.2-1], has one of three QoS [MQTT-3.3.1-4], [3.1.1: MQTT-3.3.1-4], DUP 0 at
/// first [MQTT-3.3.1-2, MQTT-4.3.1-1, MQTT-4.3.2-2, MQTT-4.3.3-2],
/// [3.1.1: MQTT-3.3.1-2, MQTT-4.3.1-1], and an identifier that is not 0 above QoS 0 only
/// [MQTT-2.2.1-2, -4], [3.1.1: MQTT-2.3.1-4, -5]. Each QoS is granted [MQTT-3.2.2-10] and answered
/// as it asks for [MQTT-3.3.4-1], [3.1.1: MQTT-3.3.4-1]: PUBREC by PUBREL [MQTT-4.3.3-4].
#[test]
fn delivered_at_the_lower_of_both_qos_and_never_upgraded() {
    let broker = broker();
    for from in BOTH {
        for to in BOTH {
            for published in 0..=2_u8 {
                for granted in 0..=2_u8 {
                    let mut reader = Peer::clean(&broker, to, "reader");
                    reader.subscribe("t", granted);
                    let mut writer = Peer::clean(&broker, from, "writer");
                    writer.publish(published, "t", "x");
                    let qos = published.min(granted); // [MQTT-3.8.4-8]
                    let id = if qos > 0 { " #1" } else { "" };
                    assert_eq!(reader.next(), format!("PUBLISH t q{qos}{id}: x"));
                    match qos {
                        0 => {}
                        1 => reader.send(&bytes::puback(1)),
                        _ => {
                            reader.send(&bytes::pubrec(1));
                            assert_eq!(reader.next(), "PUBREL 1 00");
                            reader.send(&bytes::pubcomp(1));
                        }
                    }
                    reader.expect_only(&[]);
                }
            }
        }
    }
}

/// [MQTT-3.3.1-3], [3.1.1: MQTT-3.3.1-3]
#[test]
fn dup_of_the_publisher_is_not_copied() {
    let broker = broker();
    for version in BOTH {
        let mut peer = Peer::clean(&broker, version, "dup");
        peer.subscribe("t", 2);
        peer.send(&publish_with(version, 8 | 2, "t", 5, &[], "x")); // [MQTT-3.3.1-3]
        let mut lines = [peer.next(), peer.next()];
        lines.sort();
        assert_eq!(lines, ["PUBACK 5 00", "PUBLISH t q1 #1: x"]);
    }
}

/// [MQTT-4.3.3-8, -10, -11, -12], [3.1.1: MQTT-4.3.3-2]
#[test]
fn a_repeated_qos_2_publish_is_delivered_once_until_pubrel() {
    let broker = broker();
    for version in BOTH {
        for kept in [false, true] {
            let mut reader = Peer::clean(&broker, version, "reader");
            reader.subscribe("t", 0);
            let connect =
                if kept { Connect::kept(version, "writer") } else { Connect::new(version, "writer") };
            let mut writer = Peer::join(&broker, &connect);
            // With and without DUP, any number of times [MQTT-4.3.3-10].
            for flags in [4, 12, 4, 12] {
                writer.send(&publish_with(version, flags, "t", 7, &[], "once"));
            }
            writer.expect(&["PUBREC 7 00", "PUBREC 7 00", "PUBREC 7 00", "PUBREC 7 00"]);
            writer.send(&pubrel(7));
            writer.expect(&["PUBCOMP 7 00"]);
            // After PUBCOMP it is a new message, DUP or not [MQTT-4.3.3-12].
            writer.send(&publish_with(version, 12, "t", 7, &[], "new"));
            writer.expect(&["PUBREC 7 00"]);
            reader.expect_only(&["PUBLISH t q0: once", "PUBLISH t q0: new"]);
            writer.send(&pubrel(7));
            writer.expect(&["PUBCOMP 7 00"]);
            writer.leave();
        }
    }
}

#[test]
fn qos_2_identifiers_survive_a_reconnect() {
    let broker = broker();
    for version in BOTH {
        let mut reader = Peer::clean(&broker, version, "reader");
        reader.subscribe("t", 0);
        let mut writer = Peer::join(&broker, &Connect::kept(version, "writer"));
        writer.send(&publish(version, 2, "t", 7, "once"));
        writer.expect(&["PUBREC 7 00"]);
        writer.vanish();
        let mut writer = Peer::join(&broker, &Connect::kept(version, "writer"));
        assert!(writer.present());
        writer.send(&publish_with(version, 12, "t", 7, &[], "once"));
        writer.expect(&["PUBREC 7 00"]);
        writer.send(&pubrel(7));
        writer.expect(&["PUBCOMP 7 00"]);
        reader.expect_only(&["PUBLISH t q0: once"]);
        writer.leave();
        Peer::clean(&broker, version, "writer").leave();
    }
}

/// [MQTT-4.3.2-4, -5], [3.1.1: MQTT-4.3.2-2]
#[test]
fn after_puback_the_identifier_is_a_new_message() {
    let broker = broker();
    let mut reader = Peer::clean(&broker, V4, "reader");
    reader.subscribe("t", 0);
    let mut writer = Peer::clean(&broker, V4, "writer");
    for text in ["a", "b"] {
        writer.send(&publish_with(V4, 8 | 2, "t", 1, &[], text)); // [MQTT-4.3.2-5]
        writer.expect(&["PUBACK 1 00"]);
    }
    reader.expect_only(&["PUBLISH t q0: a", "PUBLISH t q0: b"]);
}

#[test]
fn a_refused_pubrec_ends_the_exchange() {
    let broker = broker();
    let mut reader = Peer::join(&broker, &Connect::kept(V5, "reader").property(&two(0x21, 1)));
    reader.subscribe("t", 2);
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.publish(2, "t", "a");
    writer.publish(2, "t", "b");
    reader.expect(&["PUBLISH t q2 #1: a"]);
    reader.send(&bytes::packet(0x50, &[0, 1, 0x97])); // [MQTT-4.3.3-4]: no PUBREL
    reader.expect(&["PUBLISH t q2 #2: b"]);
    reader.send(&bytes::packet(0x50, &[0, 2, 0x80]));
    reader.expect_only(&[]);
    reader.vanish();
    let mut again = Peer::join(&broker, &Connect::kept(V5, "reader")); // [MQTT-4.4.0-2]
    again.expect_only(&[]);
}

/// Strings of properties are UTF-8 on both ways [MQTT-1.5.7-1, MQTT-3.3.2-13, -14, -19].
#[test]
fn properties_are_forwarded_unaltered_on_every_path() {
    let broker = broker();
    let sent = [
        vec![1, 1],
        [vec![3], field("text/plain")].concat(),
        [vec![8], field("answer/here")].concat(),
        [vec![9], field("c0rr")].concat(),
        user_property("b", "1"),
        user_property("a", "2"),
        user_property("b", "1"),
    ]
    .concat();
    // [MQTT-3.3.2-4, -15, -16, -17, -18, -20]
    let expected = "[utf8 1] [type text/plain] [response answer/here] [correlation c0rr] [user b=1] [user a=2] [user b=1]";
    let mut live = Peer::clean(&broker, V5, "live");
    live.subscribe("p/#", 0);
    let mut away = Peer::join(&broker, &Connect::kept(V5, "away"));
    away.subscribe("p/#", 1);
    away.subscribe("$share/g/p/#", 1);
    away.leave();
    let mut old = Peer::clean(&broker, V4, "old");
    old.subscribe("p/#", 0);
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.publish_with(0b0011, "p/1", &sent, "x");
    live.expect(&[&format!("PUBLISH p/1 q0 {expected}: x")]);
    old.expect_only(&["PUBLISH p/1 q0: x"]); // no properties to 3.1.1
    let mut away = Peer::join(&broker, &Connect::kept(V5, "away"));
    away.expect(&[&format!("PUBLISH p/1 q1 #1 {expected}: x"), &format!("PUBLISH p/1 q1 #2 {expected}: x")]);
    let mut late = Peer::clean(&broker, V5, "late");
    late.subscribe("p/1", 0);
    late.expect(&[&format!("PUBLISH p/1 q0 retain {expected}: x")]);
}

#[test]
fn message_expiry_is_reduced_and_ends_messages_that_wait() {
    let broker = broker();
    for version in BOTH {
        let mut away = Peer::join(&broker, &Connect::kept(version, "away"));
        away.subscribe("e/#", 1);
        away.leave();
        let mut writer = Peer::clean(&broker, V5, "writer");
        writer.publish_with(0b0011, "e/short", &four(2, 1), "gone"); // [MQTT-3.3.2-5]
        writer.publish_with(0b0011, "e/long", &four(2, 1000), "stays");
        writer.publish_with(0b0011, "e/ever", &[], "ever");
        let published = Instant::now();
        // Rest of the interval, rounded up [MQTT-3.3.2-6]: by now the message has waited for this
        // long at least.
        let at_most = || (1000.0 - published.elapsed().as_secs_f64()).ceil();
        let left = |line: &str| -> f64 {
            line.split("[expiry ").nth(1).unwrap().split(']').next().unwrap().parse().unwrap()
        };
        // The retained copy tells when the short one is over.
        lotmq_test_support::eventually("the short message expires", || {
            let mut watcher = Peer::clean(&broker, V5, "watcher");
            watcher.subscribe("e/short", 0);
            watcher.send(&bytes::PINGREQ);
            (watcher.next() == "PINGRESP").then_some(())
        });
        let limit = at_most();
        let mut back = Peer::join(&broker, &Connect::kept(version, "away"));
        let long = back.next();
        if version == V5 {
            assert!((900.0..=limit).contains(&left(&long)), "at most {limit}: {long}");
        }
        assert!(long.starts_with("PUBLISH e/long q1 #") && long.ends_with(": stays"), "{long}");
        assert!(back.next().ends_with(": ever"));
        back.expect_only(&[]);
        let limit = at_most();
        let mut late = Peer::clean(&broker, version, "late");
        late.subscribe("e/#", 0);
        let mut lines = [late.next(), late.next()];
        lines.sort();
        assert!(
            lines[0].starts_with("PUBLISH e/ever") && lines[1].starts_with("PUBLISH e/long"),
            "{lines:?}"
        );
        // A retained message has lived meanwhile as well.
        assert!(version == V4 || (900.0..=limit).contains(&left(&lines[1])), "at most {limit}: {lines:?}");
        late.expect_only(&[]);
        drop(back);
        Peer::clean(&broker, version, "away").leave();
        for topic in ["e/short", "e/long", "e/ever"] {
            writer.publish_with(0b0011, topic, &[], "");
        }
    }
}

/// 0 would be "never" for receivers that are brokers.
#[test]
fn the_last_second_of_a_message_is_not_0() {
    let broker = broker();
    let mut writer = Peer::clean(&broker, V5, "writer");
    // On a machine that is busy it may expire before it is read.
    let line = lotmq_test_support::eventually("a message comes in its last second", || {
        writer.publish_with(0b0011, "e/one", &four(2, 1), "x");
        let mut reader = Peer::clean(&broker, V5, "reader");
        reader.subscribe("e/one", 0);
        reader.send(&bytes::PINGREQ);
        Some(reader.next()).filter(|line| line != "PINGRESP")
    });
    assert_eq!(line, "PUBLISH e/one q0 retain [expiry 1]: x");
}

/// The largest alias that was announced is taken like the first [MQTT-3.3.2-12].
#[test]
fn topic_aliases_are_resolved_per_connection() {
    let broker = broker();
    let mut reader = Peer::clean(&broker, V5, "reader");
    reader.subscribe("a/#", 0);
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.publish_with(0, "a/one", &two(0x23, 1), "1");
    writer.publish_with(0, "", &two(0x23, 1), "2");
    writer.publish_with(0, "a/two", &two(0x23, 1), "3"); // replaced
    writer.publish_with(1, "", &two(0x23, 1), "4"); // resolved before it is stored
    writer.publish_with(0, "a/three", &two(0x23, 32), "5"); // the announced maximum
    writer.publish_with(0, "", &two(0x23, 32), "x".repeat(3000));
    reader.expect(&[
        "PUBLISH a/one q0: 1",
        "PUBLISH a/one q0: 2",
        "PUBLISH a/two q0: 3",
        "PUBLISH a/two q0: 4",
        "PUBLISH a/three q0: 5",
        "PUBLISH a/three q0: 3000 bytes",
    ]);
    let mut late = Peer::clean(&broker, V5, "late");
    late.subscribe("a/two", 0);
    late.expect(&["PUBLISH a/two q0 retain: 4"]);
    writer.leave();
    let mut writer = Peer::clean(&broker, V5, "writer"); // [MQTT-3.3.2-7]
    writer.send(&publish_with(V5, 0, "", 0, &two(0x23, 1), "no"));
    assert_eq!(writer.until_closed(), ["DISCONNECT 82"]);
}

/// With reasons that the packets have [MQTT-3.4.2-1, MQTT-3.5.2-1].
#[test]
fn v5_acknowledgement_reports_no_matching_subscribers() {
    let broker = broker();
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.send(&publish(V5, 1, "nobody", 1, "x"));
    writer.send(&publish(V5, 2, "nobody", 2, "x"));
    writer.expect(&["PUBACK 1 10", "PUBREC 2 10"]);
}

/// [MQTT-4.6.0-5, -6], [3.1.1: MQTT-4.6.0-5, -6]; every matching subscription gets every message
/// [MQTT-4.5.0-1], [3.1.1: MQTT-4.5.0-1].
#[test]
fn order_holds_per_publisher_topic_and_qos() {
    let broker = broker();
    let mut readers: Vec<Peer> = (0..50)
        .map(|n| {
            let version = BOTH[n % 2];
            let mut reader = Peer::clean(&broker, version, &format!("r{n}"));
            reader.subscribe("o/#", 1);
            reader
        })
        .collect();
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let mut writer = Peer::clean(&broker, BOTH[n % 2], &format!("w{n}"));
            std::thread::spawn(move || {
                for count in 0..200_u16 {
                    let bytes = publish(writer.version, 1, &format!("o/{n}"), count + 1, &count.to_string());
                    writer.send(&bytes);
                }
                for _ in 0..200 {
                    assert!(writer.next().starts_with("PUBACK"));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    for reader in &mut readers {
        let mut next = [0; 4];
        for id in 1..=800_u16 {
            let line = reader.next();
            let (topic, count) = line.split_once(": ").unwrap();
            let writer = usize::from(topic.as_bytes()["PUBLISH o/".len()] - b'0');
            assert_eq!(count, next[writer].to_string(), "{line}");
            assert!(topic.ends_with(&format!("#{id}")), "{line}");
            next[writer] += 1;
            reader.send(&bytes::puback(id));
        }
        reader.expect_only(&[]);
    }
}

#[test]
fn client_receives_its_own_message_when_subscribed() {
    let broker = broker();
    for version in BOTH {
        let mut peer = Peer::clean(&broker, version, "self");
        peer.subscribe("t", 0);
        peer.publish(0, "t", "");
        peer.publish(0, "t", "x");
        peer.expect_only(&["PUBLISH t q0: ", "PUBLISH t q0: x"]);
    }
}
