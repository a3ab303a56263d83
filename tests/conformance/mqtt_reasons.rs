//! Reason Strings: every refusal of a 5.0 Client's packet says in words what is wrong, to those who
//! want to hear it (checklist 12).

use crate::bytes::{self, four, packet, properties, publish, publish_with, subscribe_with, two, unsubscribe};
use crate::{Broker, Connect, Peer, V4, V5, broker, options};

/// Packets that are refused while the connection goes on, and what answers them.
fn refused(peer: &mut Peer) {
    let deep = "a/".repeat(220);
    let filters = [("a/#/b", 0), ("$share//x", 0), ("ok", 2), (&deep, 0), ("$SYS/#/x", 1), ("b/#/c", 1)];
    for (sent, answer) in [
        (subscribe_with(V5, 1, &[], &filters), "SUBACK 1 8F 8F 02 8F 8F 8F"),
        (subscribe_with(V5, 2, &[], &[("a+", 0)]), "SUBACK 2 8F"),
        (unsubscribe(V5, 3, &["never"]), "UNSUBACK 3 11"),
        (publish(V5, 1, "$SYS/forbidden", 4, "x"), "PUBACK 4 87"),
        (publish(V5, 2, "$SYS/forbidden", 5, "x"), "PUBREC 5 87"),
        (publish(V5, 1, &deep, 6, "x"), "PUBACK 6 90"),
        (bytes::pubrel(7), "PUBCOMP 7 92"),
        (bytes::pubrec(8), "PUBREL 8 92"),
    ] {
        peer.send(&sent);
        assert_eq!(peer.next(), answer);
    }
}

/// The whole CONNACK of a login with a wrong password.
fn refused_login(broker: &Broker, asked: &[u8]) -> Vec<u8> {
    let mut peer = Peer::open(broker, V5);
    peer.send(&Connect::new(V5, "c").user("root", "no").property(asked).bytes());
    peer.packet().unwrap().bytes().to_vec()
}

#[test]
fn refusals_say_what_is_wrong() {
    let broker = broker();
    for kept in [false, true] {
        let connect = if kept { Connect::kept(V5, "c") } else { Connect::new(V5, "c") };
        let mut peer = Peer::join(&broker, &connect);
        refused(&mut peer);
        assert_eq!(
            peer.reasons(),
            [
                "SUBACK 1 8F 8F 02 8F 8F 8F: filter 1: `#` is not the last whole level of the topic filter; \
                 filter 2: share name is empty; filter 4: topic has too many levels (limit topic_levels); \
                 filter 5: `#` is not the last whole level of the topic filter; and 1 more",
                "SUBACK 2 8F: `+` is not a whole level of the topic filter",
                "PUBACK 4 87: no permission to publish to this topic",
                "PUBREC 5 87: no permission to publish to this topic",
                "PUBACK 6 90: topic has too many levels (limit topic_levels)",
                "PUBCOMP 7 92: no exchange has this packet identifier",
                "PUBREL 8 92: no exchange has this packet identifier",
            ]
        );
        peer.leave();
    }
}

/// With Request Problem Information 0 only CONNACK and DISCONNECT have a Reason String, and User
/// Properties are in messages only [MQTT-3.1.2-29].
#[test]
fn request_problem_information_0_omits_reason_strings() {
    let broker = broker();
    let mut peer = Peer::join(&broker, &Connect::new(V5, "c").property(&[0x17, 0]));
    refused(&mut peer);
    assert_eq!(peer.reasons(), [""; 0]);
    // User Properties of a message are not the broker's.
    peer.publish_with(0, "ok", &bytes::user_property("k", "v"), "x");
    peer.expect_only(&["PUBLISH ok q0 [user k=v]: x"]);
    peer.send(&packet(0xF0, &[]));
    assert_eq!(peer.until_closed(), ["DISCONNECT 82"]);
    assert_eq!(peer.reasons(), ["DISCONNECT 82: AUTH is not expected here"]);
    let said = refused_login(&broker, &[0x17, 0]);
    assert_eq!(said, refused_login(&broker, &[]));
    assert!(said.ends_with(b"bad user name or password"), "{said:X?}");
}

/// Words are left out where the packet would be too large with them [MQTT-3.1.2-24],
/// [MQTT-3.4.2-2], [MQTT-3.5.2-2], [MQTT-3.6.2-2], [MQTT-3.7.2-2], [MQTT-3.9.2-1], [MQTT-3.14.2-3].
#[test]
fn words_give_way_to_the_maximum_packet_size() {
    let broker = broker();
    // The refusal of "a+" has 5 bytes, a code, and with words 3 more for the property.
    let whole = 5 + 1 + 3 + "`+` is not a whole level of the topic filter".len();
    for (limit, has_words) in [(whole, true), (whole - 1, false)] {
        let connect = Connect::new(V5, "c").property(&four(0x27, u32::try_from(limit).unwrap()));
        let mut peer = Peer::join(&broker, &connect);
        peer.send(&subscribe_with(V5, 2, &[], &[("a+", 0)]));
        peer.expect_only(&["SUBACK 2 8F"]);
        assert_eq!(peer.reasons().len(), usize::from(has_words), "{limit}");
    }
    let mut peer = Peer::join(&broker, &Connect::new(V5, "c").property(&four(0x27, 25)));
    peer.send(&subscribe_with(V5, 2, &[], &[("a+", 0)]));
    peer.send(&publish(V5, 1, "$SYS/forbidden", 4, "x"));
    peer.send(&publish(V5, 2, "$SYS/forbidden", 5, "x"));
    peer.send(&bytes::pubrel(7));
    peer.send(&bytes::pubrec(8));
    peer.expect_only(&["SUBACK 2 8F", "PUBACK 4 87", "PUBREC 5 87", "PUBCOMP 7 92", "PUBREL 8 92"]);
    peer.send(&Connect::new(V5, "c").bytes());
    assert_eq!(peer.until_closed(), ["DISCONNECT 82"]);
    assert_eq!(peer.reasons(), [""; 0]);
}

/// DISCONNECT gives the reason in words, too.
#[test]
fn disconnect_says_why() {
    let broker = options().variable("LOTMQ_LIMITS_CONNECT_TIMEOUT_SEC", "600").start();
    let alias = |alias: u16, topic: &str| publish_with(V5, 0, topic, 0, &two(0x23, alias), "x");
    let raised = packet(0xE0, &[vec![0], properties(&four(0x11, 5))].concat());
    let many: Vec<u8> = (1..=1001).flat_map(|id| publish(V5, 2, "t", id, "x")).collect();
    for (sent, told) in [
        (Connect::new(V5, "c").bytes(), "DISCONNECT 82: CONNECT is not expected here"),
        (packet(0xF0, &[]), "DISCONNECT 82: AUTH is not expected here"),
        (alias(33, "t"), "DISCONNECT 94: topic alias 33 exceeds the topic alias maximum 32"),
        (alias(9, ""), "DISCONNECT 82: topic alias 9 was never set on this connection"),
        (raised, "DISCONNECT 82: session expiry interval was 0 in CONNECT and cannot be raised"),
        (
            publish(V5, 0, &"a/".repeat(300), 0, "x"),
            "DISCONNECT 90: topic has too many levels (limit topic_levels)",
        ),
        (publish(V5, 0, "a/+", 0, "x"), "DISCONNECT 90: topic name is empty or has a wildcard"),
        (many, "DISCONNECT 93: more than 1000 unacknowledged messages, the receive maximum"),
        (
            subscribe_with(V5, 1, &[], &[("$share/g/t", 4)]),
            "DISCONNECT 82: no local on a shared subscription",
        ),
        (
            vec![0x30, 0xFF, 0xFF, 0xFF, 0x7F],
            "DISCONNECT 95: packet of 268435460 bytes is above the maximum packet size of 16777216",
        ),
        (packet(0x36, &[0; 9]), "DISCONNECT 81: PUBLISH with invalid flags 0b0110"),
    ] {
        let mut peer = Peer::clean(&broker, V5, "c");
        peer.send(&sent);
        peer.until_closed();
        assert_eq!(peer.reasons(), [told]);
    }
    // Somebody else's doing.
    let mut old = Peer::clean(&broker, V5, "twin");
    let _new = Peer::clean(&broker, V5, "twin");
    assert_eq!(old.until_closed(), ["DISCONNECT 8E"]);
    assert_eq!(old.reasons(), ["DISCONNECT 8E: another connection came with this client identifier"]);
    let mut silent = Peer::join(&broker, &Connect::new(V5, "silent").keep_alive(1));
    silent.until_closed();
    assert_eq!(silent.reasons(), ["DISCONNECT 8D: nothing came for one and a half times the keep alive"]);
    // Before 5.0 there is no DISCONNECT of a server.
    let mut old = Peer::clean(&broker, V4, "old");
    old.send(&Connect::new(V4, "old").bytes());
    assert_eq!(old.until_closed(), [""; 0]);
}
