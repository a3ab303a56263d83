//! Retained messages (checklist 5).

use crate::bytes::{self, BOTH, field, publish_with, retain, two};
use crate::{Connect, Peer, V4, V5, broker};

/// RETAIN as the options byte says it: Retain As Published, Retain Handling 1 and 2.
const AS_PUBLISHED: u8 = 0x08;
const IF_NEW: u8 = 0x10;
const NEVER: u8 = 0x20;

/// [MQTT-3.3.1-5, -6, -7, -8, -12], [3.1.1: MQTT-3.3.1-5, -6, -7, -8, -9, -10, -11, -12]
#[test]
fn retained_messages_are_set_replaced_and_cleared() {
    let broker = broker();
    for version in BOTH {
        let mut live = Peer::clean(&broker, version, "live");
        live.subscribe("r/#", 1);
        let mut writer = Peer::clean(&broker, version, "writer");
        let late = |expected: &[&str]| {
            let mut late = Peer::clean(&broker, version, "late");
            late.subscribe("r/#", 2);
            late.expect_only(expected);
        };
        writer.publish_with(1, "r", &[], "parent"); // QoS 0 is stored, too
        late(&["PUBLISH r q0 retain: parent"]); // r/# includes r
        writer.publish_with(3, "r", &[], "");
        late(&[]);
        writer.publish_with(3, "r/1", &[], "one");
        late(&["PUBLISH r/1 q1 #1 retain: one"]);
        writer.publish_with(5, "r/1", &[], "two"); // replaces, QoS included [MQTT-3.3.1-5]
        late(&["PUBLISH r/1 q2 #1 retain: two"]);
        writer.publish_with(2, "r/1", &[], ""); // RETAIN 0 leaves the store alone [MQTT-3.3.1-8]
        writer.publish_with(2, "r/1", &[], "live only");
        late(&["PUBLISH r/1 q2 #1 retain: two"]);
        writer.publish_with(1, "r/1", &[], "zero"); // QoS 0 discards what was there [3.1.1: MQTT-3.3.1-7]
        late(&["PUBLISH r/1 q0 retain: zero"]);
        writer.publish_with(3, "r/1", &[], ""); // deletes [MQTT-3.3.1-6]
        late(&[]);
        // To established subscriptions RETAIN goes out as 0 [MQTT-3.3.1-12]; the empty one is
        // delivered.
        live.expect_only(&[
            "PUBLISH r q0: parent",
            "PUBLISH r q1 #1: ",
            "PUBLISH r/1 q1 #2: one",
            "PUBLISH r/1 q1 #3: two",
            "PUBLISH r/1 q1 #4: ",
            "PUBLISH r/1 q1 #5: live only",
            "PUBLISH r/1 q0: zero",
            "PUBLISH r/1 q1 #6: ",
        ]);
    }
}

/// [MQTT-3.8.4-4], [3.1.1: MQTT-3.8.4-3, MQTT-3.3.1-6]. Retained messages outlive the sessions of
/// those who sent and got them [3.1.1: MQTT-3.1.2-7].
#[test]
fn a_repeated_subscription_gets_them_again_and_resuming_does_not() {
    let broker = broker();
    for version in BOTH {
        let mut writer = Peer::clean(&broker, version, "writer");
        writer.publish_with(3, "r", &[], "x");
        let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
        for _ in 0..2 {
            reader.subscribe("r", 0); // [3.1.1: MQTT-3.8.4-3]
            reader.expect_only(&["PUBLISH r q0 retain: x"]);
        }
        reader.leave();
        let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
        reader.expect_only(&[]);
        reader.leave();
        Peer::clean(&broker, version, "reader").leave();
    }
}

/// The replay stops while the window is full; what changed meanwhile has gone out live
/// \[MQTT-4.6.0-6\].
#[test]
fn a_retained_message_that_waits_does_not_follow_its_successor() {
    let broker = broker();
    for version in BOTH {
        let mut writer = Peer::clean(&broker, version, "writer");
        for topic in ["r/1", "r/2", "r/3", "r/4"] {
            writer.publish_with(3, topic, &[], "old");
        }
        let narrow = Connect::new(V5, "reader").property(&two(0x21, 1));
        let mut reader = Peer::join(&broker, &narrow);
        reader.subscribe("r/#", 1);
        reader.expect(&["PUBLISH r/1 q1 #1 retain: old"]);
        writer.publish_with(3, "r/2", &[], "new");
        writer.publish_with(3, "r/3", &[], ""); // clears
        reader.send(&bytes::puback(1));
        reader.expect(&["PUBLISH r/2 q1 #2: new"]);
        reader.send(&bytes::puback(2));
        reader.expect(&["PUBLISH r/3 q1 #3: "]);
        reader.send(&bytes::puback(3));
        reader.expect(&["PUBLISH r/4 q1 #4 retain: old"]);
        reader.send(&bytes::puback(4));
        reader.expect_only(&[]);
        for topic in ["r/1", "r/2", "r/4"] {
            writer.publish_with(3, topic, &[], "");
        }
    }
}

/// [MQTT-3.3.1-9, -10, -11]
#[test]
fn retain_handling_is_judged_by_the_session() {
    let broker = broker();
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.publish_with(3, "r", &[], "x");
    let mut reader = Peer::join(&broker, &Connect::kept(V5, "reader"));
    let replay = ["PUBLISH r q0 retain: x"];
    // [MQTT-3.3.1-9, -10, -11]
    for (handling, expected) in
        [(NEVER, &[][..]), (IF_NEW, &[]), (0, &replay), (IF_NEW, &[]), (0, &replay), (NEVER, &[])]
    {
        reader.subscribe_with("r", handling, &[]);
        reader.expect_only(expected);
    }
    reader.leave();
    let mut reader = Peer::join(&broker, &Connect::kept(V5, "reader"));
    reader.subscribe_with("r", IF_NEW, &[]); // existed in the session
    reader.expect_only(&[]);
    reader.send(&bytes::unsubscribe(V5, 1, &["r"]));
    reader.expect(&["UNSUBACK 1 00"]);
    reader.subscribe_with("r", IF_NEW, &[]);
    reader.expect_only(&replay);
}

#[test]
fn retain_as_published_keeps_the_flag() {
    let broker = broker();
    let mut reader = Peer::clean(&broker, V5, "reader");
    reader.subscribe_with("r/#", 1 | AS_PUBLISHED, &[]);
    let mut plain = Peer::clean(&broker, V5, "plain");
    plain.subscribe("r/#", 1);
    let mut writer = Peer::clean(&broker, V4, "writer");
    writer.publish_with(3, "r/1", &[], "a");
    writer.publish_with(2, "r/1", &[], "b");
    writer.publish_with(1, "r/1", &[], "c");
    reader.expect_only(&["PUBLISH r/1 q1 #1 retain: a", "PUBLISH r/1 q1 #2: b", "PUBLISH r/1 q0 retain: c"]); // [MQTT-3.3.1-13]
    plain.expect_only(&["PUBLISH r/1 q1 #1: a", "PUBLISH r/1 q1 #2: b", "PUBLISH r/1 q0: c"]);
}

/// [3.1.1: MQTT-3.3.1-9]: the option is of 5.0, and so is the session that has it. A client that
/// resumes the session with 3.1.1 does not know of it.
#[test]
fn retain_as_published_is_not_for_3_1_1() {
    let broker = broker();
    let mut reader = Peer::join(&broker, &Connect::kept(V5, "reader"));
    reader.subscribe_with("r/#", AS_PUBLISHED, &[]);
    reader.leave();
    let mut reader = Peer::join(&broker, &Connect::kept(V4, "reader"));
    let mut writer = Peer::clean(&broker, V4, "writer");
    writer.publish_with(3, "r/1", &[], "a");
    writer.publish_with(1, "r/1", &[], "b");
    reader.expect_only(&["PUBLISH r/1 q0: a", "PUBLISH r/1 q0: b"]);
    reader.leave();
    let mut reader = Peer::join(&broker, &Connect::kept(V5, "reader"));
    writer.publish_with(1, "r/1", &[], "c");
    reader.expect(&["PUBLISH r/1 q0 retain: c"]);
}

/// [MQTT-4.7.2-1], [3.1.1: MQTT-4.7.2-1]
#[test]
fn wildcards_do_not_show_what_starts_with_a_dollar() {
    let broker = broker();
    let mut writer = Peer::root(&broker, V4, "writer");
    for topic in ["$x/a", "a/$x", "a"] {
        writer.publish_with(3, topic, &[], topic);
    }
    for (filter, expected) in [
        ("#", &["PUBLISH a q0 retain: a", "PUBLISH a/$x q0 retain: a/$x"][..]), // [MQTT-4.7.2-1]
        ("+/a", &[]),
        ("+/#", &["PUBLISH a q0 retain: a", "PUBLISH a/$x q0 retain: a/$x"]),
        ("$x/#", &["PUBLISH $x/a q0 retain: $x/a"]),
        ("$x/+", &["PUBLISH $x/a q0 retain: $x/a"]),
        ("a/+", &["PUBLISH a/$x q0 retain: a/$x"]),
        ("$share/g/#", &[]), // shared subscriptions get none (§4.8.2)
    ] {
        let mut reader = Peer::root(&broker, V4, "reader");
        reader.subscribe(filter, 0);
        reader.send(&bytes::PINGREQ);
        let mut lines: Vec<String> =
            std::iter::from_fn(|| Some(reader.next()).filter(|line| line != "PINGRESP")).collect();
        lines.sort();
        assert_eq!(lines, expected, "{filter}");
    }
}

#[test]
fn many_retained_messages_arrive_whole_while_others_are_served() {
    let broker = broker();
    let mut writer = Peer::clean(&broker, V4, "writer");
    let payload = "z".repeat(2000);
    for n in 0..10_000 {
        writer.send(&publish_with(V4, 3, &format!("big/{n}"), 1 + n % 500, &[], format!("{n} {payload}")));
        if n % 500 == 499 {
            (0..500).for_each(|_| assert!(writer.next().starts_with("PUBACK")));
        }
    }
    for (version, qos) in [(V4, 0), (V5, 1), (V4, 2)] {
        let mut reader = Peer::clean(&broker, version, "reader");
        reader.subscribe("big/+", qos);
        // 20 MB wait for the reader, and nobody else does.
        let mut other = Peer::clean(&broker, V4, "other");
        (0..20).for_each(|_| other.expect_only(&[]));
        let qos = qos.min(1);
        let mut seen = vec![false; 10_000];
        for count in 0..10_000 {
            let line = reader.next();
            let (head, _) = line.split_once(':').unwrap();
            let n: usize = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            assert!(!std::mem::replace(&mut seen[n], true), "{n} twice, after {count}");
            assert!(head.ends_with("retain"), "{line}");
            if qos > 0 {
                let id: u16 = head.split('#').nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
                reader.send(&bytes::puback(id));
            }
        }
        reader.expect_only(&[]);
    }
    // The broker begins no further delivery after UNSUBSCRIBE [MQTT-3.10.4-2].
    let mut reader = Peer::clean(&broker, V4, "reader");
    reader.subscribe("big/+", 1);
    reader.send(&bytes::unsubscribe(V4, 5, &["big/+"]));
    let mut begun = 0;
    while reader.next() != "UNSUBACK 5" {
        begun += 1;
    }
    assert!(begun <= 1000, "{begun}: more than a window");
    reader.send(&bytes::PINGREQ);
    while reader.next() != "PINGRESP" {
        begun += 1;
    }
    assert!(begun <= 1000, "{begun}: more than a window");
}

/// [MQTT-3.1.2-15]
#[test]
fn a_will_and_a_binary_payload_are_retained_as_they_are() {
    let broker = broker();
    let will = Connect::new(V5, "willing").will("r/will", "gone", 1, true);
    Peer::join(&broker, &will.will_property(&[vec![3], field("t")].concat())).vanish();
    let mut writer = Peer::clean(&broker, V4, "writer");
    let payload: Vec<u8> = (0..=255).collect();
    writer.publish_with(3, "r/bin", &[], &payload);
    writer.send(&retain(V4, "r/last", 1, "x"));
    writer.expect(&["PUBACK 1 00"]);
    let mut reader = Peer::clean(&broker, V5, "reader");
    reader.subscribe("r/will", 0);
    reader.expect(&["PUBLISH r/will q0 retain [type t]: gone"]);
    reader.subscribe("r/bin", 0);
    assert!(reader.packet().unwrap().body().ends_with(&payload));
}
