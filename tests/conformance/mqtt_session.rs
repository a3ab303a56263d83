//! Sessions: what stays when the connection is gone (checklist 8).

use crate::bytes::{self, BOTH, four, two};
use crate::{Connect, Peer, V4, V5, broker};

/// [MQTT-3.1.2-4, -5, -6], [MQTT-3.2.2-2, -3], [3.1.1: MQTT-3.1.2-4, -6, MQTT-3.2.2-1, -2, -3]
#[test]
fn session_present_says_whether_state_was_resumed() {
    let broker = broker();
    for old in BOTH {
        for new in BOTH {
            let id = &format!("{old:?}{new:?}");
            assert!(!Peer::join(&broker, &Connect::kept(old, id)).present(), "there was none [MQTT-3.2.2-3]");
            let mut resumed = Peer::join(&broker, &Connect::kept(new, id));
            assert!(resumed.present(), "sessions pass between versions, {id}");
            resumed.subscribe("t", 1);
            resumed.leave();
            assert!(!Peer::clean(&broker, new, id).present(), "[MQTT-3.2.2-2]");
            // The clean one has ended the old session and, in 3.1.1 by itself, is gone, too
            // [3.1.1: MQTT-3.1.2-6].
            let mut fresh = Peer::join(&broker, &Connect::kept(new, id));
            assert!(!fresh.present());
            fresh.publish(1, "t", "nobody");
            fresh.expect_only(&[]);
        }
    }
    // 5.0: a clean start says nothing about the future [MQTT-3.1.2-4].
    Peer::join(&broker, &Connect::kept(V5, "future").clean(true)).leave();
    assert!(Peer::join(&broker, &Connect::new(V5, "future").clean(false)).present());
    // That connection named no expiry: 0, the last connection's value counts [MQTT-3.1.2-23].
    assert!(!Peer::join(&broker, &Connect::kept(V5, "future")).present());
}

/// [MQTT-4.5.0-1], [3.1.1: MQTT-4.5.0-1, MQTT-3.1.2-5]; the session was kept [MQTT-3.1.2-23],
/// [3.1.1: MQTT-4.1.0-1].
#[test]
fn messages_wait_in_order_with_their_options() {
    let broker = broker();
    for version in BOTH {
        let mut away = Peer::join(&broker, &Connect::kept(version, "away"));
        let topic = format!("t{version:?}/1");
        away.subscribe(&format!("t{version:?}/+"), 2);
        if version == V5 {
            away.subscribe_with(&topic, 1 | 8, &[0x0B, 5]);
        }
        away.leave();
        let mut writer = Peer::clean(&broker, V4, "writer");
        for n in 1..=6 {
            writer.publish_with(n % 3 * 2 + 1, &topic, &[], n.to_string()); // QoS 1, 2, 0 … with RETAIN
        }
        let mut back = Peer::join(&broker, &Connect::kept(version, "away"));
        let flags = if version == V5 { " retain [sub 5]" } else { "" };
        // QoS 0 is not kept; options survive [MQTT-4.5.0-1].
        for (id, (n, qos)) in [(1, 1), (2, 2), (4, 1), (5, 2)].into_iter().enumerate() {
            assert_eq!(back.next(), format!("PUBLISH {topic} q{qos} #{}{flags}: {n}", id + 1));
        }
        back.expect_only(&[]);
        back.leave();
        Peer::clean(&broker, version, "away").leave();
    }
}

/// [MQTT-4.4.0-1], [3.1.1: MQTT-4.4.0-1] with DUP [MQTT-3.3.1-1], [3.1.1: MQTT-3.3.1-1] and in
/// order [3.1.1: MQTT-4.6.0-6]: what is unacknowledged [MQTT-4.3.2-3, MQTT-4.3.3-3, -5],
/// [3.1.1: MQTT-4.3.2-1], and no PUBLISH behind PUBREL [MQTT-4.3.3-6], [3.1.1: MQTT-4.3.3-1].
#[test]
fn unfinished_messages_come_again_at_every_step() {
    let broker = broker();
    for version in BOTH {
        let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
        reader.subscribe("t", 2);
        let mut writer = Peer::clean(&broker, version, "writer");
        for (n, qos) in [(1, 1), (2, 2), (3, 2), (4, 1), (5, 2)] {
            writer.publish(qos, "t", &n.to_string());
            assert_eq!(reader.next(), format!("PUBLISH t q{qos} #{n}: {n}"));
        }
        reader.send(&bytes::pubrec(3));
        reader.expect(&["PUBREL 3 00"]);
        reader.send(&bytes::puback(4));
        reader.expect_only(&[]);
        reader.vanish();
        writer.publish(1, "t", "6");
        for _ in 0..2 {
            // Same identifiers, original order, DUP; PUBREL where PUBREC has come; then what waited
            // [MQTT-4.4.0-1], [MQTT-4.6.0-1].
            let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
            let mut lines: Vec<String> = (0..5).map(|_| reader.next()).collect();
            let pubrel = lines.iter().position(|line| line == "PUBREL 3 00").expect("PUBREL is sent again");
            lines.remove(pubrel);
            let sixth = lines.pop().unwrap();
            assert_eq!(lines, ["PUBLISH t q1 #1 dup: 1", "PUBLISH t q2 #2 dup: 2", "PUBLISH t q2 #5 dup: 5"]);
            assert!(sixth.starts_with("PUBLISH t q1 #6") && sixth.ends_with(": 6"), "{sixth}");
            reader.expect_only(&[]);
            reader.vanish();
        }
        let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
        (0..5).for_each(|_| drop(reader.next()));
        for id in [1, 6] {
            reader.send(&bytes::puback(id));
        }
        for id in [2, 5] {
            reader.send(&bytes::pubrec(id));
            assert_eq!(reader.next(), format!("PUBREL {id} 00"));
        }
        // A repeated PUBREC gets PUBREL again.
        reader.send(&bytes::pubrec(2));
        reader.expect(&["PUBREL 2 00"]);
        for id in [2, 3, 5] {
            reader.send(&bytes::pubcomp(id));
        }
        reader.expect_only(&[]);
        reader.vanish();
        Peer::join(&broker, &Connect::kept(version, "reader")).expect_only(&[]);
        Peer::clean(&broker, version, "reader").leave();
    }
}

/// [MQTT-4.4.0-1]
#[test]
fn nothing_is_sent_again_without_a_reconnect() {
    let broker = broker();
    let mut reader = Peer::join(&broker, &Connect::kept(V5, "reader"));
    reader.subscribe("t", 1);
    Peer::clean(&broker, V4, "writer").publish(1, "t", "x");
    reader.expect(&["PUBLISH t q1 #1: x"]);
    reader.subscribe("u", 0);
    reader.expect_only(&[]);
}

/// [MQTT-4.1.0-1, -2], [3.1.1: MQTT-4.1.0-2]
#[test]
fn a_session_expires_after_its_interval() {
    let broker = broker();
    let short = Connect::new(V5, "short").clean(false).property(&four(0x11, 1));
    // Those who stay keep their sessions, however short they are.
    let stays = Connect::new(V5, "stays").property(&four(0x11, 1));
    let mut staying = [Peer::join(&broker, &stays), Peer::clean(&broker, V4, "stays, too")];
    staying.iter_mut().for_each(|peer| peer.subscribe("s", 0));
    let mut watcher = Peer::clean(&broker, V4, "watcher");
    watcher.subscribe("over", 0);
    // Its Will, delayed for longer, tells when the session has ended.
    let willing = short.clone().will("over", "now", 0, false).will_property(&four(0x18, 1000));
    let mut peer = Peer::join(&broker, &willing);
    peer.subscribe("t", 1);
    peer.vanish();
    watcher.expect(&["PUBLISH over q0: now"]);
    assert!(!Peer::join(&broker, &short).present());
    watcher.publish(0, "s", "x");
    staying.iter_mut().for_each(|peer| peer.expect_only(&["PUBLISH s q0: x"]));
}

#[test]
fn the_window_of_one_resumes_with_its_message_first() {
    let broker = broker();
    let connect = Connect::kept(V5, "one").property(&two(0x21, 1));
    let mut reader = Peer::join(&broker, &connect);
    reader.subscribe("t", 2);
    let mut writer = Peer::clean(&broker, V5, "writer");
    for n in 1..=3 {
        writer.publish(2, "t", &n.to_string());
    }
    reader.expect(&["PUBLISH t q2 #1: 1"]);
    reader.send(&bytes::pubrec(1));
    reader.expect(&["PUBREL 1 00"]);
    reader.vanish();
    let mut reader = Peer::join(&broker, &connect);
    reader.expect_only(&["PUBREL 1 00"]);
    reader.send(&bytes::pubcomp(1));
    reader.expect(&["PUBLISH t q2 #2: 2"]);
    reader.vanish();
    let mut reader = Peer::join(&broker, &connect);
    reader.expect_only(&["PUBLISH t q2 #2 dup: 2"]);
    reader.send(&bytes::pubrec(2));
    reader.expect(&["PUBREL 2 00"]);
    reader.send(&bytes::pubcomp(2));
    reader.expect(&["PUBLISH t q2 #3: 3"]);
}

/// [3.1.1: MQTT-3.1.2-6]
#[test]
fn a_session_that_ends_with_its_connection_keeps_nothing() {
    let broker = broker();
    for version in BOTH {
        let mut peer = Peer::clean(&broker, version, "c");
        peer.subscribe("t", 2);
        Peer::clean(&broker, V4, "writer").publish(2, "t", "x");
        assert!(peer.next().ends_with(": x"));
        peer.vanish();
        Peer::clean(&broker, V4, "writer").publish(2, "t", "y");
        let mut again = Peer::join(&broker, &Connect::kept(version, "c"));
        assert!(!again.present());
        again.expect_only(&[]);
        again.leave();
        Peer::clean(&broker, version, "c").leave();
    }
}
