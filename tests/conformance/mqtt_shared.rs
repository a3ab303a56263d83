//! Shared subscriptions (checklist 10).

use crate::bytes::{self, BOTH, unsubscribe};
use crate::{Connect, Peer, V4, V5, broker};

#[test]
fn one_member_gets_each_message_in_turn() {
    let broker = broker();
    for version in BOTH {
        let mut members: Vec<Peer> = (0..3)
            .map(|n| {
                let mut member = Peer::clean(&broker, version, &format!("m{n}"));
                member.subscribe("$share/g/s/+", n); // each at its own QoS [MQTT-4.8.2-3]
                member
            })
            .collect();
        let mut writer = Peer::clean(&broker, version, "writer");
        for n in 0..30 {
            writer.publish(2, "s/1", &n.to_string());
        }
        let mut total = 0;
        for (n, member) in members.iter_mut().enumerate() {
            member.send(&bytes::PINGREQ);
            loop {
                let line = member.next();
                if line == "PINGRESP" {
                    break;
                }
                assert!(line.contains(&format!(" q{n}")), "{line}");
                total += 1;
            }
        }
        assert_eq!(total, 30);
    }
}

#[test]
fn groups_and_ordinary_subscriptions_each_get_their_own() {
    let broker = broker();
    for qos in 0..=2 {
        let mut peer = Peer::clean(&broker, V5, "member");
        for filter in ["s/1", "$share/a/s/1", "$share/b/s/1", "$share/a/s/+"] {
            peer.subscribe(filter, qos);
        }
        let mut writer = Peer::clean(&broker, V4, "writer");
        writer.publish(qos, "s/1", "x");
        let lines: Vec<String> = (0..4).map(|_| peer.next()).collect();
        let expected: Vec<String> = (1..=4)
            .map(|n| {
                if qos == 0 { "PUBLISH s/1 q0: x".to_owned() } else { format!("PUBLISH s/1 q{qos} #{n}: x") }
            })
            .collect();
        assert_eq!(lines, expected, "each copy has its own identifier");
        peer.expect_only(&[]);
    }
}

#[test]
fn absent_members_are_passed_over_and_one_queues_if_all_are_away() {
    let broker = broker();
    for version in BOTH {
        let mut kept = Peer::join(&broker, &Connect::kept(version, "kept"));
        kept.subscribe("$share/g/s", 1);
        let mut other = Peer::clean(&broker, version, "other");
        other.subscribe("$share/g/s", 1);
        kept.leave();
        let mut writer = Peer::clean(&broker, version, "writer");
        for n in 1..=4_u16 {
            writer.publish(1, "s", "present");
            assert_eq!(other.next(), format!("PUBLISH s q1 #{n}: present"));
            other.send(&bytes::puback(n));
        }
        other.send(&unsubscribe(version, 1, &["$share/g/s"]));
        other.next();
        writer.publish(1, "s", "queued");
        let mut kept = Peer::join(&broker, &Connect::kept(version, "kept"));
        kept.expect_only(&["PUBLISH s q1 #1: queued"]);
        kept.leave();
        Peer::clean(&broker, version, "kept").leave();
    }
}
