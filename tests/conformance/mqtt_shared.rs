//! Shared subscriptions (checklist 10).

use crate::bytes::{self, BOTH, four, two, unsubscribe};
use crate::{Broker, Connect, Peer, V4, V5, Version, broker};

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
        for (n, member) in members.iter_mut().enumerate() {
            member.send(&bytes::PINGREQ);
            let mut count = 0;
            loop {
                let line = member.next();
                if line == "PINGRESP" {
                    break;
                }
                assert!(line.contains(&format!(" q{n}")), "{line}");
                count += 1;
            }
            assert_eq!(count, 10, "fair");
        }
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

/// Copies of one QoS have the same bytes but for the identifier; one of the other QoS between them
/// changes nothing about that [MQTT-2.2.1-4], [3.1.1: MQTT-2.3.1-4].
#[test]
fn copies_whose_qos_alternates_have_identifiers_of_their_own() {
    let broker = broker();
    for version in BOTH {
        // A message in the reader's version goes out as it came, in the QoS that it came with.
        for (writing, length) in BOTH.into_iter().flat_map(|writing| [(writing, 1), (writing, 2000)]) {
            for (is_kept, first) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
                let connect =
                    if is_kept { Connect::kept(version, "member") } else { Connect::new(version, "member") };
                let mut member = Peer::join(&broker, &connect);
                let qos = |n: u16| if n % 2 == 1 { first } else { 3 - first };
                let filters = ["a", "$share/g/a", "$share/h/a", "$share/i/a", "$share/j/a", "$share/k/a"];
                for (n, filter) in (1..).zip(filters) {
                    member.subscribe(filter, qos(n));
                }
                Peer::clean(&broker, writing, "writer").publish(2, "a", &"x".repeat(length));
                let text = if length == 1 { "x" } else { "2000 bytes" };
                for n in 1..=6 {
                    let expected = format!("PUBLISH a q{} #{n}: {text}", qos(n));
                    assert_eq!(member.next(), expected, "to {connect:?}, from {writing:?}");
                }
                member.expect_only(&[]);
                for n in 1..=6 {
                    if qos(n) == 1 {
                        member.send(&bytes::puback(n));
                    } else {
                        member.send(&bytes::pubrec(n));
                        member.expect(&[&format!("PUBREL {n} 00")]);
                        member.send(&bytes::pubcomp(n));
                    }
                }
                member.expect_only(&[]);
                if is_kept {
                    member.vanish();
                    member = Peer::join(&broker, &connect);
                    assert!(member.present());
                    member.expect_only(&[]);
                }
                member.leave();
                Peer::clean(&broker, version, "member").leave();
            }
        }
    }
}

#[test]
fn shared_message_too_large_for_one_member_goes_to_another() {
    let broker = broker();
    let mut small = Peer::join(&broker, &Connect::new(V5, "small").property(&four(0x27, 60)));
    let mut large = Peer::clean(&broker, V5, "large");
    for member in [&mut small, &mut large] {
        member.subscribe("$share/g/s", 1);
    }
    let mut writer = Peer::clean(&broker, V5, "writer");
    for n in 0..6 {
        writer.publish(1, "s", &n.to_string().repeat(200));
    }
    for n in 0..6 {
        let line = large.next();
        assert!(line.ends_with(&n.to_string().repeat(200)), "message {n}: {line}");
    }
    small.expect_only(&[]);
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

#[test]
fn offline_qos_0_member_takes_no_shared_messages() {
    let broker = broker();
    for version in BOTH {
        for (id, qos) in [("at-0", 0), ("at-1", 1)] {
            let mut member = Peer::join(&broker, &Connect::kept(version, id));
            member.subscribe("$share/g/s", qos);
            member.leave();
        }
        let mut writer = Peer::clean(&broker, version, "writer");
        (1..=4).for_each(|_| writer.publish(1, "s", "queued"));
        Peer::join(&broker, &Connect::kept(version, "at-0")).expect_only(&[]);
        let all = ["PUBLISH s q1 #1: queued", "PUBLISH s q1 #2: queued", "PUBLISH s q1 #3: queued"];
        let mut kept = Peer::join(&broker, &Connect::kept(version, "at-1"));
        kept.expect_only(&[&all[..], &["PUBLISH s q1 #4: queued"]].concat());
        ["at-0", "at-1"].into_iter().for_each(|id| Peer::clean(&broker, version, id).leave());
    }
}

/// A Client with one subscription of its own and one in a group gets two copies, each with the
/// identifier of its subscription [MQTT-3.3.4-5].
#[test]
fn each_copy_names_its_own_subscription() {
    let broker = broker();
    let mut peer = Peer::clean(&broker, V5, "member");
    peer.subscribe_with("s/1", 1, &[0x0B, 1]);
    peer.subscribe_with("$share/g/s/1", 1, &[0x0B, 2]);
    peer.subscribe("$share/h/s/1", 1);
    Peer::clean(&broker, V4, "writer").publish(1, "s/1", "x");
    peer.expect_only(&[
        "PUBLISH s/1 q1 #1 [sub 1]: x",
        "PUBLISH s/1 q1 #2 [sub 2]: x",
        "PUBLISH s/1 q1 #3: x",
    ]);
}

/// Two members, the first of which has got a message at this QoS.
fn one_of_two(broker: &Broker, version: Version, qos: u8) -> (Peer, Peer) {
    for id in ["first", "second"] {
        Peer::clean(broker, version, id).leave();
    }
    let mut first = Peer::join(broker, &Connect::kept(version, "first"));
    first.subscribe("$share/g/s", qos);
    Peer::clean(broker, V4, "writer").publish(qos, "s", "x");
    assert_eq!(first.next(), format!("PUBLISH s q{qos} #1: x"));
    let mut second = Peer::join(broker, &Connect::kept(version, "second"));
    second.subscribe("$share/g/s", qos);
    (first, second)
}

/// Unacknowledged and waiting messages of a member go to another one when its session ends. Until
/// then they stay (§4.8.2).
#[test]
fn another_member_gets_what_a_session_leaves_behind() {
    let broker = broker();
    for version in BOTH {
        for (is_kept, qos) in [(false, 1), (true, 1), (true, 2)] {
            let connect =
                if is_kept { Connect::kept(version, "leaves") } else { Connect::new(version, "leaves") };
            let mut leaves = Peer::join(&broker, &connect);
            leaves.subscribe("$share/g/s", qos);
            leaves.subscribe("$share/h/s", qos);
            let mut writer = Peer::clean(&broker, V4, "writer");
            writer.publish(1, "s", "acknowledged");
            leaves.expect(&["PUBLISH s q1 #1: acknowledged", "PUBLISH s q1 #2: acknowledged"]);
            leaves.send(&[bytes::puback(1), bytes::puback(2)].concat());
            writer.publish(1, "s", "sent");
            leaves.expect(&["PUBLISH s q1 #3: sent", "PUBLISH s q1 #4: sent"]);
            let mut connected = Some(leaves);
            if let Some(leaves) = connected.take_if(|_| is_kept) {
                leaves.vanish();
                writer.publish(2, "s", "queued");
            }
            let mut stays = Peer::join(&broker, &Connect::new(version, "stays"));
            stays.subscribe("$share/g/s", 2);
            let mut other = Peer::join(&broker, &Connect::kept(version, "other"));
            other.subscribe("$share/h/s", 0);
            stays.expect_only(&[]);
            other.expect_only(&[]);
            if let Some(leaves) = connected {
                leaves.vanish();
                stays.expect(&["PUBLISH s q1 #1: sent"]);
                other.expect(&["PUBLISH s q0: sent"]);
            } else {
                Peer::clean(&broker, version, "leaves").leave();
                stays.expect(&["PUBLISH s q1 #1: sent", "PUBLISH s q2 #2: queued"]);
                other.expect(&["PUBLISH s q0: sent", "PUBLISH s q0: queued"]);
            }
            stays.expect_only(&[]);
            other.expect_only(&[]);
            other.leave();
            Peer::clean(&broker, version, "other").leave();
            stays.leave();
        }
    }
}

/// The same when nobody ends the session but its interval, and where the last member that is left
/// is away itself.
#[test]
fn a_session_that_expires_leaves_its_messages_to_another_member() {
    let broker = broker();
    let brief = Connect::new(V5, "brief").clean(false).property(&four(0x11, 1));
    let mut brief = Peer::join(&broker, &brief);
    brief.subscribe("$share/g/s", 1);
    let mut writer = Peer::clean(&broker, V4, "writer");
    writer.publish(1, "s", "sent");
    brief.expect(&["PUBLISH s q1 #1: sent"]);
    let mut away = Peer::join(&broker, &Connect::kept(V4, "away"));
    away.subscribe("$share/g/s", 1);
    away.leave();
    brief.vanish();
    lotmq_test_support::eventually("the other member gets it", || {
        let mut back = Peer::join(&broker, &Connect::kept(V4, "away"));
        back.send(&bytes::PINGREQ);
        let line = back.next();
        back.vanish();
        (line == "PUBLISH s q1 #1: sent" || line == "PUBLISH s q1 #1 dup: sent").then_some(())
    });
}

/// A member that reads nothing is passed over as soon as its socket is full; what it was given
/// before stays with it.
#[test]
fn a_member_that_does_not_read_is_passed_over() {
    let broker = broker();
    let mut lazy = Peer::clean(&broker, V5, "lazy");
    lazy.subscribe("$share/g/s", 0);
    let mut quick = Peer::clean(&broker, V5, "quick");
    quick.subscribe("$share/g/s", 0);
    let mut writer = Peer::clean(&broker, V5, "writer");
    let large = "x".repeat(256 << 10);
    let mut in_a_row = 0;
    // Far less than the buffers of both sides and the broker's own take.
    for n in 0..400 {
        writer.publish(0, "s", &large);
        quick.send(&bytes::PINGREQ);
        match quick.next().as_str() {
            "PINGRESP" => in_a_row = 0,
            line => {
                assert_eq!(line, "PUBLISH s q0: 262144 bytes");
                assert_eq!(quick.next(), "PINGRESP");
                in_a_row += 1;
            }
        }
        if in_a_row == 10 {
            return;
        }
        assert!(n < 399, "the one that does not read still has its turns");
    }
}

#[test]
fn a_member_whose_window_is_full_is_passed_over() {
    let broker = broker();
    let mut slow = Peer::join(&broker, &Connect::new(V5, "slow").property(&two(0x21, 1)));
    slow.subscribe("$share/g/s", 1);
    let mut quick = Peer::clean(&broker, V5, "quick");
    quick.subscribe("$share/g/s", 1);
    let mut writer = Peer::clean(&broker, V4, "writer");
    for n in 0..10 {
        writer.publish(1, "s", &n.to_string());
    }
    let first = slow.next();
    let first = first.strip_prefix("PUBLISH s q1 #1: ").unwrap();
    slow.expect_only(&[]);
    let mut expected: Vec<String> = (0..10).map(|n| n.to_string()).filter(|n| n != first).collect();
    for (n, text) in expected.drain(..).enumerate() {
        assert_eq!(quick.next(), format!("PUBLISH s q1 #{}: {text}", n + 1));
    }
    // Its turn comes again when there is room.
    slow.send(&bytes::puback(1));
    slow.expect_only(&[]);
    writer.publish(1, "s", "a");
    writer.publish(1, "s", "b");
    slow.send(&bytes::PINGREQ);
    assert!(slow.next().starts_with("PUBLISH s q1 #2: "));
    // All are slow: then one of them has to keep it.
    let mut only = Peer::join(&broker, &Connect::new(V5, "only").property(&two(0x21, 1)));
    only.subscribe("$share/other/t", 1);
    writer.publish(1, "t", "1");
    writer.publish(1, "t", "2");
    only.expect_only(&["PUBLISH t q1 #1: 1"]);
    only.send(&bytes::puback(1));
    only.expect(&["PUBLISH t q1 #2: 2"]);
}

/// [MQTT-4.8.2-4], [MQTT-4.8.2-5]
#[test]
fn a_qos_2_message_stays_with_the_member_that_it_was_sent_to() {
    let broker = broker();
    for version in BOTH {
        let (first, mut second) = one_of_two(&broker, version, 2);
        first.vanish();
        second.expect_only(&[]);
        let mut first = Peer::join(&broker, &Connect::kept(version, "first"));
        first.expect_only(&["PUBLISH s q2 #1 dup: x"]);
        first.vanish();
        // The end of the session is the end of the message.
        Peer::clean(&broker, version, "first").leave();
        second.expect_only(&[]);
    }
}

/// [MQTT-4.8.2-6]
#[test]
fn a_message_that_a_member_refuses_goes_to_no_other() {
    let broker = broker();
    for (qos, packet_type) in [(1, 0x40), (2, 0x50)] {
        let (mut first, mut second) = one_of_two(&broker, V5, qos);
        first.send(&bytes::packet(packet_type, &[0, 1, 0x80]));
        first.expect_only(&[]);
        first.leave();
        Peer::clean(&broker, V5, "first").leave();
        second.expect_only(&[]);
    }
}

/// [MQTT-3.1.2-25]: a member that does not take such large packets does not get them, another
/// member may.
#[test]
fn message_too_large_for_reconnecting_member_goes_to_another() {
    let broker = broker();
    for qos in [1, 2] {
        for name in ["small", "large"] {
            let mut member = Peer::join(&broker, &Connect::kept(V5, name));
            member.subscribe("$share/g/s", qos);
            member.vanish();
        }
        let mut writer = Peer::clean(&broker, V5, "writer");
        let text = "x".repeat(300);
        for _ in 0..10 {
            writer.publish(qos, "s", &text);
        }
        let mut small = Peer::join(&broker, &Connect::kept(V5, "small").property(&four(0x27, 150)));
        small.expect_only(&[]);
        let mut large = Peer::join(&broker, &Connect::kept(V5, "large"));
        for _ in 0..10 {
            assert!(large.next().starts_with(&format!("PUBLISH s q{qos} ")));
        }
        large.expect_only(&[]);
        for name in ["small", "large"] {
            Peer::clean(&broker, V5, name).leave();
        }
    }
}

/// [MQTT-3.3.2-6]
#[test]
fn redistributed_shared_message_has_reduced_expiry_interval() {
    let broker = broker();
    let mut first = Peer::join(&broker, &Connect::kept(V5, "first"));
    first.subscribe("$share/g/s", 1);
    let mut second = Peer::join(&broker, &Connect::kept(V5, "second"));
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.publish_with(0b0010, "s", &four(0x02, 10), "x");
    assert_eq!(first.next(), "PUBLISH s q1 #1 [expiry 10]: x");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    second.subscribe("$share/g/s", 1);
    first.vanish();
    Peer::clean(&broker, V5, "first").leave();
    let line = second.next();
    let left: u32 = line.split("[expiry ").nth(1).unwrap().split(']').next().unwrap().parse().unwrap();
    assert!(left < 9, "{line}");
}
