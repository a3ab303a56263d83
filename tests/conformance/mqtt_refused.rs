//! Packets that the broker refuses or answers without closing: topics that are too deep, unknown
//! identifiers, too large a packet.

use crate::bytes::{self, publish_with};
use crate::{Connect, Peer, V4, V5, broker, options};

/// Violates [MQTT-3.2.2-15].
#[test]
fn too_large_a_packet_is_refused_at_its_header() {
    let broker = broker();
    for (version, told) in [(V4, &[][..]), (V5, &["DISCONNECT 95"][..])] {
        for header in [[0x30, 0xFF, 0xFF, 0xFF, 0x7F], [0x82, 0x80, 0x80, 0x80, 0x08]] {
            let mut peer = Peer::clean(&broker, version, "large");
            peer.send(&header); // not one byte of the body
            assert_eq!(peer.until_closed(), told);
        }
    }
    // One that is allowed exactly, and one that has a byte more.
    let body = (16 << 20) - 5;
    for (more, told) in [(0, "PINGRESP"), (1, "DISCONNECT 95")] {
        let mut peer = Peer::clean(&broker, V5, "exact");
        let sent = publish_with(V5, 0, "t", 0, &[], vec![b'x'; body + more - 4]);
        peer.try_send(&sent);
        peer.try_send(&bytes::PINGREQ);
        assert_eq!(peer.next(), told, "{} bytes", sent.len());
    }
}

#[test]
fn deep_topics_are_refused_in_the_acknowledgement_where_there_is_one() {
    let broker = broker();
    let deep = "a/".repeat(300);
    let mut peer = Peer::clean(&broker, V5, "deep");
    peer.send(&publish_with(V5, 2, &deep, 1, &[], ""));
    peer.send(&publish_with(V5, 4, &deep, 2, &[], ""));
    peer.expect_only(&["PUBACK 1 90", "PUBREC 2 90"]);
    let ok = "a/".repeat(150); // at least 128 levels
    peer.subscribe("#", 0);
    peer.publish(0, &ok, "x");
    peer.expect_only(&[&format!("PUBLISH {ok} q0: x")]);
}

/// Answered with reasons that the packets have [MQTT-3.6.2-1, MQTT-3.7.2-1].
#[test]
fn unknown_identifiers_do_not_close() {
    let broker = broker();
    for (version, code) in [(V4, "00"), (V5, "92")] {
        let mut peer = Peer::clean(&broker, version, "ids");
        for sent in [bytes::puback(9), bytes::pubcomp(9), bytes::pubrel(9), bytes::pubrec(9)] {
            peer.send(&sent);
        }
        // PUBREL gets PUBCOMP, PUBREC gets PUBREL; the others nothing.
        peer.expect_only(&[&format!("PUBCOMP 9 {code}"), &format!("PUBREL 9 {code}")]);
    }
}

/// A message that the Client may not publish: acknowledged as if it could before 5.0
/// [3.1.1: MQTT-3.3.5-2], refused in 5.0, and delivered to nobody. It violates
/// [3.1.1: MQTT-3.3.5-2]. A refused identifier is free again [MQTT-4.3.3-9].
#[test]
fn denied_publish_is_delivered_to_no_subscriber() {
    let broker = broker();
    let mut watcher = Peer::root(&broker, V5, "watcher");
    watcher.subscribe("$SYS/forbidden/#", 2);
    for (version, code) in [(V4, "00"), (V5, "87")] {
        let mut peer = Peer::clean(&broker, version, "peer");
        for _ in 0..2 {
            peer.send(&publish_with(version, 0, "$SYS/forbidden/t", 0, &[], "x"));
            peer.send(&publish_with(version, 3, "$SYS/forbidden/t", 1, &[], "x"));
            peer.send(&publish_with(version, 4, "$SYS/forbidden/t", 2, &[], "x"));
            peer.expect_only(&[&format!("PUBACK 1 {code}"), &format!("PUBREC 2 {code}")]);
        }
        if version == V4 {
            peer.send(&bytes::pubrel(2));
            peer.expect_only(&["PUBCOMP 2 00"]);
        }
        // The same identifier with a topic that is allowed: a new message.
        peer.subscribe("allowed", 0);
        peer.send(&publish_with(version, 4, "allowed", 2, &[], "y"));
        peer.expect_only(&["PUBLISH allowed q0: y", "PUBREC 2 00"]);
    }
    watcher.expect_only(&[]);
}

/// A Client learns of a denial wherever its version can say so. SUBACK has a failure in each
/// version, 0x80 before 5.0 [3.1.1: MQTT-3.9.3-2]; PUBACK and PUBREC have one in 5.0 alone. Filters
/// of the same packet that are allowed are granted.
#[test]
fn denied_request_is_not_reported_as_a_success_where_the_version_has_a_failure() {
    let broker = broker();
    for scope in ["Publish", "Subscribe"] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE Deny{scope} WITH PRIORITY 50 FOR {scope} TO TOPIC \"secret/#\"\n    DENY\n"
        ));
    }
    let old = bytes::connect("MQIsdp", 3, 2, &bytes::field("peer"));
    for (name, version, connect, in_suback, in_puback) in
        [("3.1", V4, Some(old), "80", "00"), ("3.1.1", V4, None, "80", "00"), ("5.0", V5, None, "87", "87")]
    {
        let mut peer = match connect {
            Some(connect) => {
                let mut peer = Peer::open(&broker, version);
                peer.send(&connect);
                assert_eq!(peer.next(), "CONNACK 0 00");
                peer
            }
            None => Peer::clean(&broker, version, "peer"),
        };
        let filters = [("open/#", 1), ("secret/#", 1), ("secret/door", 0), ("$SYS/Coreflux/#", 2)];
        peer.send(&bytes::subscribe_with(version, 3, &[], &filters));
        peer.expect(&[&format!("SUBACK 3 01 {in_suback} {in_suback} {in_suback}")]);
        peer.send(&publish_with(version, 2, "secret/door", 4, &[], "x"));
        peer.send(&publish_with(version, 4, "secret/door", 5, &[], "x"));
        let expected = [format!("PUBACK 4 {in_puback}"), format!("PUBREC 5 {in_puback}")];
        peer.expect(&[&expected[0], &expected[1]]);
        // Allowed messages go on.
        peer.publish(0, "open/t", name);
        peer.expect_only(&[&format!("PUBLISH open/t q0: {name}")]);
    }
}

/// The identifier of a QoS 2 exchange is in use until PUBREL, also after a reconnect: a QoS 1
/// message that has it violates [MQTT-2.2.1-3].
#[test]
fn an_identifier_that_is_in_use_is_refused() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("t", 0);
    for version in [V4, V5] {
        for is_back in [false, true] {
            let connect = Connect::kept(version, "writer");
            let mut writer = Peer::join(&broker, &connect);
            writer.send(&publish_with(version, 4, "t", 7, &[], "first"));
            writer.expect(&["PUBREC 7 00"]);
            if is_back {
                writer.vanish();
                writer = Peer::join(&broker, &connect);
            }
            writer.send(&publish_with(version, 2, "t", 8, &[], "other"));
            writer.expect(&["PUBACK 8 00"]);
            writer.send(&publish_with(version, 2, "t", 7, &[], "second"));
            if version == V5 {
                writer.expect_only(&["PUBACK 7 91"]);
            } else {
                assert_eq!(writer.until_closed(), [""; 0]);
                writer = Peer::join(&broker, &connect);
            }
            writer.send(&bytes::pubrel(7));
            writer.expect(&["PUBCOMP 7 00"]);
            writer.publish_with(2, "t", &[], "free");
            watcher.expect_only(&["PUBLISH t q0: first", "PUBLISH t q0: other", "PUBLISH t q0: free"]);
            writer.leave();
            Peer::clean(&broker, version, "writer").leave();
        }
    }
}

/// With `on_full = "reject"`: 0x97 in 5.0; before, the connection is closed without an
/// acknowledgement [3.1.1: MQTT-4.8.0-2]. Nobody gets such a message, and the Client may send it
/// again.
#[test]
fn on_full_reject_rejects_the_publish_or_closes_the_connection() {
    let broker = options()
        .variable("LOTMQ_LIMITS_ON_FULL", "reject")
        .variable("LOTMQ_LIMITS_QUEUE_MESSAGES", "2")
        .start();
    for version in [V4, V5] {
        let mut live = Peer::clean(&broker, V5, "live");
        live.subscribe("t", 0);
        let mut away = Peer::join(&broker, &Connect::kept(V5, "away"));
        away.subscribe("t", 2);
        away.leave();
        let mut writer = Peer::join(&broker, &Connect::kept(version, "writer"));
        // 5.0: all in one write, so that they meet in one turn.
        let sent = [publish_with(version, 2, "t", 1, &[], "1"), publish_with(version, 4, "t", 2, &[], "2")];
        let refused =
            [publish_with(version, 2, "t", 3, &[], "3"), publish_with(version, 4, "t", 4, &[], "4")];
        if version == V5 {
            writer.send(&[sent.concat(), refused.concat()].concat());
            // Refusals wait for no disk.
            let mut answers: Vec<String> = (0..4).map(|_| writer.next()).collect();
            answers.sort();
            assert_eq!(answers, ["PUBACK 1 00", "PUBACK 3 97", "PUBREC 2 00", "PUBREC 4 97"]);
        } else {
            writer.send(&sent.concat());
            writer.expect(&["PUBACK 1 00", "PUBREC 2 00"]);
            writer.send(&refused.concat());
            assert_eq!(writer.until_closed(), [""; 0]);
            writer = Peer::join(&broker, &Connect::kept(version, "writer"));
        }
        // Nobody has to keep what comes at QoS 0.
        writer.publish(0, "t", "zero");
        let mut away = Peer::join(&broker, &Connect::kept(V5, "away"));
        away.expect(&["PUBLISH t q1 #1: 1", "PUBLISH t q2 #2: 2"]);
        away.send(&bytes::puback(1));
        away.send(&bytes::pubrec(2));
        away.expect(&["PUBREL 2 00"]);
        away.send(&bytes::pubcomp(2));
        // There is room again.
        writer.send(&publish_with(version, 12, "t", 4, &[], "4"));
        writer.expect(&["PUBREC 4 00"]);
        away.expect(&["PUBLISH t q2 #3: 4"]);
        live.expect_only(&["PUBLISH t q0: 1", "PUBLISH t q0: 2", "PUBLISH t q0: zero", "PUBLISH t q0: 4"]);
        for id in ["away", "writer"] {
            Peer::clean(&broker, V5, id).leave();
        }
    }
}
