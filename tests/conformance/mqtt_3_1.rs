//! MQTT 3.1, `MQIsdp`: older devices speak it. Its packets are those of 3.1.1; only CONNECT
//! differs.

use crate::bytes::{self, connect, field, publish, publish_with, pubrel, subscribe, unsubscribe};
use crate::{Connect, Peer, V4, V5, broker};
use lotmq_test_support::Broker;

/// Connects with these flags; what CONNACK says.
fn open(broker: &Broker, flags: u8, rest: &[Vec<u8>]) -> (Peer, String) {
    let mut peer = Peer::open(broker, V4);
    peer.send(&connect("MQIsdp", 3, flags, &rest.concat()));
    let connack = peer.next();
    (peer, connack)
}

#[test]
fn devices_that_speak_3_1_are_served() {
    let broker = broker();
    let (mut peer, connack) = open(&broker, 2, &[field("old")]);
    assert_eq!(connack, "CONNACK 0 00");
    peer.send(&subscribe(V4, 1, "old/#", 2));
    peer.expect(&["SUBACK 1 02"]);
    let mut newer = Peer::clean(&broker, V5, "new");
    newer.subscribe("old/#", 2);
    for (qos, answers) in [(0, &[][..]), (1, &["PUBACK 5 00"]), (2, &["PUBREC 5 00", "PUBCOMP 5 00"])] {
        peer.send(&publish(V4, qos, "old/t", 5, "x"));
        let id = if qos > 0 { format!(" #{qos}") } else { String::new() };
        let copy = format!("PUBLISH old/t q{qos}{id}: x");
        let mut expected = vec![copy.as_str()];
        expected.extend(answers.first());
        let mut lines: Vec<String> = expected.iter().map(|_| peer.next()).collect();
        lines.sort_by_key(|line| !line.starts_with("PUBLISH"));
        assert_eq!(lines, expected);
        if qos == 2 {
            peer.send(&pubrel(5));
            peer.expect(&["PUBCOMP 5 00"]);
        }
        newer.expect(&[&copy]);
    }
    // Retained, and properties of 5.0 stay away.
    newer.publish_with(1, "old/r", &bytes::user_property("k", "v"), "kept");
    peer.expect(&["PUBLISH old/r q0: kept"]);
    peer.send(&unsubscribe(V4, 2, &["old/#"]));
    peer.expect(&["UNSUBACK 2"]);
    peer.send(&subscribe(V4, 3, "old/r", 0));
    peer.expect(&["SUBACK 3 00", "PUBLISH old/r q0 retain: kept"]);
    peer.expect_only(&[]);
    peer.send(&publish_with(V4, 8, "t", 0, &[], "")); // DUP with QoS 0
    assert_eq!(peer.until_closed(), [""; 0]);
}

#[test]
fn sessions_of_3_1_stay_and_pass_to_other_versions() {
    let broker = broker();
    let (mut peer, _) = open(&broker, 0, &[field("kept")]);
    peer.send(&subscribe(V4, 1, "t", 1));
    peer.expect(&["SUBACK 1 01"]);
    peer.leave();
    Peer::clean(&broker, V4, "writer").publish(1, "t", "waits");
    // 3.1 has no Session Present: that byte is reserved.
    let (mut peer, connack) = open(&broker, 0, &[field("kept")]);
    assert_eq!(connack, "CONNACK 0 00");
    peer.expect_only(&["PUBLISH t q1 #1: waits"]);
    peer.vanish();
    let mut peer = Peer::join(&broker, &Connect::kept(V5, "kept"));
    assert!(peer.present());
    peer.expect_only(&["PUBLISH t q1 #1 dup: waits"]);
}

#[test]
fn wills_users_and_refusals_of_3_1() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V4, "watcher");
    watcher.subscribe("will", 0);
    let (peer, connack) = open(&broker, 0x06, &[field("willing"), field("will"), field("gone")]);
    assert_eq!(connack, "CONNACK 0 00");
    peer.vanish();
    watcher.expect(&["PUBLISH will q0: gone"]);
    let password = |password| vec![field("user"), field("root"), field(password)];
    assert_eq!(open(&broker, 0xC2, &password("coreflux")).1, "CONNACK 0 00");
    for (flags, rest, told) in [
        (0xC2, password("no"), "CONNACK 0 04"),
        (0, vec![field("")], "CONNACK 0 02"),
        (0x42, vec![field("c"), field("p")], "closed"),
        (2, vec![field("a\0")], "closed"),
    ] {
        let (mut peer, connack) = open(&broker, flags, &rest);
        assert_eq!(connack, told);
        assert_eq!(peer.until_closed(), [""; 0]);
    }
    // Names and levels that do not belong together.
    for (name, level) in [("MQIsdp", 4), ("MQTT", 3), ("MQIsdp", 5)] {
        let mut peer = Peer::open(&broker, V4);
        peer.send(&connect(name, level, 2, &field("c")));
        assert_eq!(peer.until_closed(), ["CONNACK 0 01"], "{name} {level}");
    }
}
