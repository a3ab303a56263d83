//! `kill -9` and restart: what was promised is there, with its identifiers.

use crate::bytes::{self, BOTH, four, publish, publish_with, pubrel};
use crate::{Broker, Connect, Peer, V4, V5, broker};

/// [MQTT-4.4.0-1], [3.1.1: MQTT-4.4.0-1, MQTT-4.1.0-1], [MQTT-3.1.2-23]
#[test]
fn sessions_come_back_with_identifiers_in_both_directions() {
    for version in BOTH {
        let mut broker = broker();
        let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
        reader.subscribe("t", 2);
        let mut writer = Peer::clean(&broker, V4, "writer");
        for (n, qos) in [(1, 2), (2, 1), (3, 2), (4, 1)] {
            writer.publish(qos, "t", &n.to_string());
            assert_eq!(reader.next(), format!("PUBLISH t q{qos} #{n}: {n}"));
        }
        reader.send(&bytes::pubrec(1));
        reader.expect(&["PUBREL 1 00"]);
        reader.send(&bytes::puback(2));
        // A QoS 2 message of the Client between PUBREC and PUBREL, and one behind PUBCOMP.
        for id in [7, 8] {
            reader.send(&publish(version, 2, "up", id, "in"));
            assert!(reader.next().starts_with(&format!("PUBREC {id} ")));
        }
        reader.send(&pubrel(8));
        reader.expect(&["PUBCOMP 8 00"]);
        broker.kill();
        broker.start_again();
        let mut watcher = Peer::clean(&broker, V4, "watcher");
        watcher.subscribe("up", 0);
        let mut writer = Peer::clean(&broker, V4, "writer");
        writer.publish(1, "t", "5"); // the subscription is there before the Client is
        let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
        assert!(reader.present());
        let mut lines: Vec<String> = (0..4).map(|_| reader.next()).collect();
        let pubrel_at = lines.iter().position(|line| line == "PUBREL 1 00").expect("PUBREL, not PUBLISH");
        lines.remove(pubrel_at);
        assert_eq!(lines[..2], ["PUBLISH t q2 #3 dup: 3", "PUBLISH t q1 #4 dup: 4"]);
        assert!(lines[2].ends_with(": 5") && !lines[2].contains("dup"), "{}", lines[2]);
        for id in [1, 2, 3, 4] {
            assert!(!lines[2].contains(&format!("#{id}:")) || id == 2, "{}: an identifier in use", lines[2]);
        }
        // A repeated one is not delivered again [MQTT-4.3.3-10]; behind PUBCOMP it is new.
        reader.send(&publish_with(version, 12, "up", 7, &[], "repeat"));
        reader.send(&publish(version, 2, "up", 8, "new"));
        for id in [7, 8] {
            assert!(reader.next().starts_with(&format!("PUBREC {id} ")));
        }
        for id in [7, 8] {
            reader.send(&pubrel(id));
            assert_eq!(reader.next(), format!("PUBCOMP {id} 00"));
        }
        watcher.expect_only(&["PUBLISH up q0: new"]);
    }
}

/// Whether a Client has sent PUBREC for a QoS 2 message with identifier 1 before the broker is
/// killed, and what comes when its session is resumed.
const UNFINISHED: [(bool, &str); 2] = [(false, "PUBLISH t q2 #1 dup retain: old"), (true, "PUBREL 1 00")];

/// [MQTT-4.4.0-1], [MQTT-2.2.1-4], [3.1.1: MQTT-4.4.0-1, MQTT-2.3.1-4]: a new message with the
/// identifier of an exchange that is open would be taken for a repetition, and lost.
#[test]
fn the_identifier_of_a_retained_message_stays_in_use() {
    for (version, (is_received, resumed)) in BOTH.into_iter().flat_map(|it| UNFINISHED.map(|of| (it, of))) {
        let mut broker = broker();
        Peer::clean(&broker, V5, "writer").publish_with(5, "t", &[], "old");
        let connect = Connect::kept(version, "reader");
        let mut reader = Peer::join(&broker, &connect);
        reader.subscribe("t", 2);
        reader.expect(&["PUBLISH t q2 #1 retain: old"]);
        if is_received {
            reader.send(&bytes::pubrec(1));
            reader.expect(&["PUBREL 1 00"]);
        }
        broker.kill();
        broker.start_again();
        Peer::clean(&broker, V5, "writer").publish(2, "t", "new");
        finish_two(&broker, &connect, [resumed, "PUBLISH t q2 #2: new"]);
    }
}

/// The same of the `$SYS` tree, of which nothing is stored for those who are not there.
#[test]
fn the_identifier_of_a_message_of_the_broker_stays_in_use() {
    let mut broker = broker();
    let connect = Connect::kept(V5, "reader").user("root", "coreflux");
    let mut reader = Peer::join(&broker, &connect);
    reader.subscribe("t", 2);
    reader.subscribe("$SYS/Coreflux/Command/Output", 2);
    let mut root = Peer::root(&broker, V5, "asks");
    root.publish(1, "$SYS/Coreflux/Command", "-setEnv SITE=north");
    let reply = reader.next();
    assert!(reply.starts_with("PUBLISH $SYS/Coreflux/Command/Output q2 #1: "), "{reply}");
    broker.kill();
    broker.start_again();
    Peer::clean(&broker, V5, "writer").publish(2, "t", "new");
    finish_two(&broker, &connect, [&reply.replace("#1:", "#1 dup:"), "PUBLISH t q2 #2: new"]);
}

/// A retained message for a new subscription is a message of its own, even if the session has got
/// the original. Its end is not that of the first [MQTT-4.4.0-1].
#[test]
fn a_retained_message_that_comes_again_ends_no_open_exchange() {
    let mut broker = broker();
    let connect = Connect::kept(V5, "reader");
    let mut reader = Peer::join(&broker, &connect);
    reader.subscribe("t", 2);
    reader.subscribe("n", 2);
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.publish_with(5, "t", &[], "old");
    reader.expect(&["PUBLISH t q2 #1: old"]);
    reader.subscribe("t", 1);
    reader.expect(&["PUBLISH t q1 #2 retain: old"]);
    reader.send(&bytes::puback(2));
    reader.expect_only(&[]);
    // The barrier is acknowledged, so everything before it is stored.
    writer.publish_with(3, "barrier", &[], "x");
    broker.kill();
    broker.start_again();
    Peer::clean(&broker, V5, "writer").publish(2, "n", "new");
    finish_two(&broker, &connect, ["PUBLISH t q2 #1 dup: old", "PUBLISH n q2 #2: new"]);
}

/// Resumes a session that has a QoS 2 exchange open, and another message behind it: both are
/// finished, and nothing is left.
#[track_caller]
fn finish_two(broker: &Broker, connect: &Connect, expected: [&str; 2]) {
    let mut reader = Peer::join(broker, connect);
    assert!(reader.present());
    reader.expect(&expected);
    for (id, line) in [1, 2].into_iter().zip(expected) {
        if line.starts_with("PUBLISH") {
            reader.send(&bytes::pubrec(id));
            reader.expect(&[&format!("PUBREL {id} 00")]);
        }
        reader.send(&bytes::pubcomp(id));
    }
    reader.expect_only(&[]);
    reader.vanish();
    Peer::join(broker, connect).expect_only(&[]);
}

/// A copy is stored before it is known whether the Client takes a packet of its size.
#[test]
fn a_retained_message_that_is_too_large_is_not_kept_for_later() {
    let mut broker = broker();
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.publish_with(5, "t", &[], "x".repeat(100));
    let connect = Connect::kept(V5, "reader");
    let mut reader = Peer::join(&broker, &connect.clone().property(&four(0x27, 60)));
    reader.subscribe("t", 2);
    reader.expect_only(&[]);
    // The barrier is acknowledged, so everything before it is stored.
    writer.publish_with(3, "barrier", &[], "x");
    broker.kill();
    broker.start_again();
    let mut reader = Peer::join(&broker, &connect);
    assert!(reader.present());
    Peer::clean(&broker, V5, "writer").publish(2, "t", "new");
    reader.expect_only(&["PUBLISH t q2 #1: new"]);
}

#[test]
fn queues_retained_messages_and_subscriptions_come_back() {
    let mut broker = broker();
    let mut away = Peer::join(&broker, &Connect::kept(V5, "away"));
    away.subscribe_with("t/+", 1 | 8, &[0x0B, 9]); // Retain As Published and an identifier
    away.subscribe_with("own", 1 | 4, &[]); // No Local
    away.subscribe("$share/g/s", 1);
    away.subscribe("left", 1);
    away.send(&bytes::unsubscribe(V5, 1, &["left"]));
    away.expect(&["UNSUBACK 1 00"]);
    away.leave();
    let mut writer = Peer::clean(&broker, V5, "writer");
    let property = bytes::user_property("k", "v");
    for n in 0..20 {
        writer.publish_with(0b0011, &format!("t/{n}"), &property, n.to_string());
    }
    writer.publish_with(0b0011, "t/3", &[], "");
    writer.publish_with(0b0011, "t/4", &four(2, 1000), "newer");
    writer.publish(1, "s", "shared");
    writer.publish(1, "left", "no");
    broker.kill();
    broker.start_again();
    let mut away = Peer::join(&broker, &Connect::kept(V5, "away"));
    for n in 0..20 {
        assert_eq!(away.next(), format!("PUBLISH t/{n} q1 #{} retain [sub 9] [user k=v]: {n}", n + 1));
    }
    let cleared = away.next();
    assert_eq!(cleared, "PUBLISH t/3 q1 #21 retain [sub 9]: ");
    let newer = away.next();
    // Less the whole seconds that it has waited, which may be none.
    let is_reduced = ["[expiry 9", "[expiry 1000]"].iter().any(|left| newer.contains(left));
    assert!(newer.starts_with("PUBLISH t/4 q1 #22 retain") && is_reduced, "{newer}");
    away.expect(&["PUBLISH s q1 #23: shared"]);
    away.publish(1, "own", "not to me");
    away.expect_only(&[]);
    let mut late = Peer::clean(&broker, V5, "late");
    late.subscribe("t/#", 0);
    late.send(&bytes::PINGREQ);
    let lines: Vec<String> =
        std::iter::from_fn(|| Some(late.next()).filter(|line| line != "PINGRESP")).collect();
    assert_eq!(lines.len(), 19);
    assert!(lines.iter().all(|line| !line.contains("t/3 ")));
    assert!(lines.iter().any(|line| line.starts_with("PUBLISH t/4 ") && line.ends_with(": newer")));
}

#[test]
fn a_clean_start_is_not_undone_by_a_crash() {
    let mut broker = broker();
    for version in BOTH {
        let mut kept = Peer::join(&broker, &Connect::kept(version, "kept"));
        kept.subscribe("t", 1);
        kept.leave();
        let mut clean = Peer::clean(&broker, version, "kept");
        clean.expect_only(&[]);
        broker.kill();
        broker.start_again();
        let mut kept = Peer::join(&broker, &Connect::kept(version, "kept"));
        assert!(!kept.present());
        kept.publish(1, "t", "nobody");
        kept.expect_only(&[]);
        kept.leave();
        Peer::clean(&broker, version, "kept").leave();
    }
}

#[test]
fn wills_of_those_who_were_connected_are_published_after_a_crash() {
    let mut broker = broker();
    let mut watcher = Peer::join(&broker, &Connect::kept(V4, "watcher"));
    watcher.subscribe("will/+", 1);
    let at_once = Peer::join(&broker, &Connect::kept(V4, "now").will("will/now", "n", 1, false));
    let delayed = Connect::kept(V5, "later").will("will/later", "l", 1, false).will_property(&four(0x18, 2));
    let delayed = Peer::join(&broker, &delayed.will_property(&four(0x02, 500)));
    let normal = Peer::join(&broker, &Connect::kept(V5, "normal").will("will/normal", "x", 1, false));
    normal.leave();
    // Nobody acknowledges DISCONNECT; what is acknowledged behind it shows that it is stored.
    Peer::clean(&broker, V4, "barrier").publish_with(0b0011, "barrier", &[], "x");
    broker.kill();
    drop((at_once, delayed));
    broker.start_again();
    let mut watcher = Peer::join(&broker, &Connect::kept(V5, "watcher"));
    let first = watcher.next();
    assert!(first.starts_with("PUBLISH will/now q1") && first.ends_with(": n"), "{first}");
    let second = watcher.next();
    assert!(second.starts_with("PUBLISH will/later q1") && second.contains("[expiry "), "{second}");
    watcher.expect_only(&[]);
}

#[test]
fn session_and_message_expiry_run_on_while_the_broker_is_down() {
    let mut broker = broker();
    let short = Connect::new(V5, "short").clean(false).property(&four(0x11, 1));
    Peer::join(&broker, &short).leave();
    let mut kept = Peer::join(&broker, &Connect::kept(V5, "kept"));
    kept.subscribe("t", 1);
    kept.leave();
    // Messages that are acknowledged from here on are stored behind it.
    lotmq_test_support::eventually("both are known to have left", || {
        (broker.metric("lotmq_connections") == Some(0.0)).then_some(())
    });
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.publish_with(0b0010, "t", &four(2, 1), "short");
    writer.publish_with(0b0010, "t", &four(2, 1000), "long");
    broker.kill();
    // The broker is down for longer than both intervals: time passes, nobody is there to be asked.
    std::thread::park_timeout(std::time::Duration::from_millis(2100));
    broker.start_again();
    let mut kept = Peer::join(&broker, &Connect::kept(V5, "kept"));
    let line = kept.next();
    assert!(line.ends_with(": long"), "{line}");
    kept.expect_only(&[]);
    lotmq_test_support::eventually("the session is found to have expired", || {
        let probe = Peer::join(&broker, &short.clone().property(&[]));
        let is_gone = !probe.present();
        probe.leave();
        is_gone.then_some(())
    });
}
