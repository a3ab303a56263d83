//! Limits of the configuration, as those see them who reach them: code, words, counter, and what is
//! just allowed.

use lotmq_test_support::eventually;

use crate::bytes::{
    Connect, field, four, packet, properties, puback, publish, publish_with, pubrel, retain, subscribe,
    subscribe_with, two, unsubscribe, user_property,
};
use crate::{Broker, Peer, V4, V5, options};

/// A broker whose bounds are small.
fn bounded() -> Broker {
    let settings = [
        ("LIMITS_TOPIC_LEVELS", "5"),
        ("LIMITS_TOPIC_BYTES", "40"),
        ("LIMITS_USER_PROPERTIES", "2"),
        ("LIMITS_USER_PROPERTY_BYTES", "20"),
        ("LIMITS_RECEIVE_MAXIMUM", "9"),
        ("LISTENER_MQTT_RECEIVE_MAXIMUM", "3"),
        ("LIMITS_TOPIC_ALIAS_MAXIMUM", "2"),
        ("LIMITS_SUBSCRIPTIONS", "2"),
        ("LIMITS_MAX_PACKET_SIZE", "2000"),
        ("LIMITS_SEND_WINDOW", "2"),
        ("LIMITS_RETAINED_MESSAGES", "2"),
        ("LIMITS_RETAINED_BYTES", "1024"),
    ];
    let start = |options: lotmq_test_support::BrokerOptions, (name, value): (&str, &str)| {
        options.variable(&format!("LOTMQ_{name}"), value)
    };
    settings.into_iter().fold(options(), start).start()
}

/// How often a limit of the listener was reached.
fn reached(broker: &Broker, limit: &str) -> f64 {
    let name = format!("lotmq_limit_reached_total{{limit=\"{limit}\",listener=\"mqtt\"}}");
    broker.metric(&name).unwrap_or_else(|| panic!("no counter for {limit}"))
}

fn many(count: usize) -> Vec<u8> {
    user_property("k", "v").repeat(count)
}

/// 41 bytes in one level.
const LONG: &str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmno";
const DEEP: &str = "a/b/c/d/e/f";

#[test]
fn packet_beyond_a_limit_is_rejected_with_reason_and_counted() {
    let broker = bounded();
    let mut peer = Peer::clean(&broker, V5, "c");
    let long = user_property("k", "abcdefghijklmnopqrst");
    // 5.0: refused by itself, with a reason.
    for (sent, answer, limit) in [
        (publish(V5, 1, DEEP, 1, "x"), "PUBACK 1 90", "topic_levels"),
        (publish(V5, 2, LONG, 2, "x"), "PUBREC 2 90", "topic_bytes"),
        (publish_with(V5, 2, "t", 3, &many(3), "x"), "PUBACK 3 97", "user_properties"),
        (publish_with(V5, 4, "t", 4, &long, "x"), "PUBREC 4 97", "user_property_bytes"),
        (subscribe(V5, 5, DEEP, 1), "SUBACK 5 8F", "topic_levels"),
        (subscribe(V5, 6, LONG, 1), "SUBACK 6 8F", "topic_bytes"),
        (subscribe(V5, 8, &format!("$share/{}/a", &LONG[9..]), 1), "SUBACK 8 8F", "topic_bytes"),
        (subscribe_with(V5, 7, &[], &[("a", 1), ("b", 1), ("c", 1)]), "SUBACK 7 01 01 97", "subscriptions"),
    ] {
        let before = reached(&broker, limit);
        peer.send(&sent);
        assert_eq!(peer.next(), answer);
        assert_eq!(reached(&broker, limit), before + 1.0, "{answer}");
        let reason = peer.reasons().last().unwrap().clone();
        assert!(reason.ends_with(&format!("(limit {limit})")), "{reason}");
    }
    // Just allowed: five levels, 40 bytes, two properties, 20 bytes, one of the two subscriptions
    // again.
    peer.publish(1, "a/b/c/d/e", "x");
    peer.publish(2, &LONG[1..], "x");
    peer.publish_with(2, "t", &many(2), "x");
    peer.publish_with(4, "t", &user_property("k", "abcdefghijklmnopqrs"), "x");
    peer.subscribe("b", 0);
    // The levels of a shared subscription are those that Topic Names are compared with.
    peer.send(&unsubscribe(V5, 9, &["b"]));
    assert_eq!(peer.next(), "UNSUBACK 9 00");
    peer.subscribe(&format!("$share/{}/a/b/c/d/e", &LONG[..23]), 0);
    peer.expect_only(&[]);
}

#[test]
fn limit_violation_that_cannot_be_rejected_disconnects_the_client() {
    let broker = bounded();
    let unsubscribe = [vec![0, 9], properties(&many(3)), field("t")].concat();
    let aliased = publish_with(V5, 0, "t", 0, &two(0x23, 3), "x");
    let many_messages: Vec<u8> = (1..=4).flat_map(|id| publish(V5, 2, "t", id, "x")).collect();
    for (version, sent, told, limit) in [
        (V5, publish(V5, 0, DEEP, 0, "x"), Some("DISCONNECT 90"), "topic_levels"),
        (V5, publish(V5, 0, LONG, 0, "x"), Some("DISCONNECT 90"), "topic_bytes"),
        (V5, publish_with(V5, 0, "t", 0, &many(3), "x"), Some("DISCONNECT 97"), "user_properties"),
        (V5, subscribe_with(V5, 1, &many(3), &[("t", 0)]), Some("DISCONNECT 97"), "user_properties"),
        (V5, packet(0xA2, &unsubscribe), Some("DISCONNECT 97"), "user_properties"),
        (V5, aliased, Some("DISCONNECT 94"), "topic_alias_maximum"),
        (V5, many_messages, Some("DISCONNECT 93"), "receive_maximum"),
        (V5, publish(V5, 0, "t", 0, &"x".repeat(2000)), Some("DISCONNECT 95"), "max_packet_size"),
        (V4, publish(V4, 0, "t", 0, &"x".repeat(2000)), None, "max_packet_size"),
        (V4, publish(V4, 1, DEEP, 1, "x"), None, "topic_levels"),
        (V4, publish(V4, 0, LONG, 0, "x"), None, "topic_bytes"),
    ] {
        let before = reached(&broker, limit);
        let mut peer = Peer::clean(&broker, version, "c");
        peer.send(&sent);
        let said = peer.until_closed();
        assert_eq!(said.last().map(String::as_str), told, "{limit}");
        assert_eq!(peer.reasons().len(), usize::from(told.is_some()), "{limit}");
        assert_eq!(reached(&broker, limit), before + 1.0, "{limit}");
    }
    // Before 5.0 SUBACK has one code for all failures, and nobody hears of our Receive Maximum.
    let mut old = Peer::clean(&broker, V4, "old");
    old.send(&subscribe(V4, 1, DEEP, 0));
    old.send(&subscribe_with(V4, 2, &[], &[("a", 0), ("b", 1), ("c", 1)]));
    (1..=4).for_each(|id| old.send(&publish(V4, 2, "t", 10 + id, "x")));
    old.expect_only(&[
        "SUBACK 1 80",
        "SUBACK 2 00 01 80",
        "PUBREC 11 00",
        "PUBREC 12 00",
        "PUBREC 13 00",
        "PUBREC 14 00",
    ]);
}

#[test]
fn filters_of_a_packet_and_shared_subscriptions_are_bounded() {
    let broker = options()
        .variable("LOTMQ_LIMITS_FILTERS_PER_PACKET", "3")
        .variable("LOTMQ_LIMITS_SHARED_SUBSCRIPTIONS", "1")
        .start();
    let four = [("a", 0), ("b", 0), ("c", 0), ("d", 0)];
    let names = four.map(|(name, _)| name);
    for (version, sent, told) in [
        (V5, subscribe_with(V5, 1, &[], &four), Some("DISCONNECT 97")),
        (V5, unsubscribe(V5, 1, &names), Some("DISCONNECT 97")),
        (V4, subscribe_with(V4, 1, &[], &four), None),
        (V4, unsubscribe(V4, 1, &names), None),
    ] {
        let before = reached(&broker, "filters_per_packet");
        let mut peer = Peer::clean(&broker, version, "c");
        peer.send(&sent);
        assert_eq!(peer.until_closed().last().map(String::as_str), told);
        assert_eq!(reached(&broker, "filters_per_packet"), before + 1.0);
    }
    let mut peer = Peer::clean(&broker, V5, "c");
    peer.send(&subscribe_with(V5, 2, &[], &four[..3]));
    assert_eq!(peer.next(), "SUBACK 2 00 00 00");
    peer.send(&unsubscribe(V5, 3, &names[..3]));
    assert_eq!(peer.next(), "UNSUBACK 3 00 00 00");
    // One group more is refused alone; the same again, and ordinary ones, are not; a place that was
    // left is free.
    peer.send(&subscribe_with(V5, 4, &[], &[("$share/g/a", 1), ("$share/h/a", 1), ("a", 1)]));
    assert_eq!(peer.next(), "SUBACK 4 01 97 01");
    let reason = peer.reasons().last().unwrap().clone();
    assert!(reason.ends_with("(limit shared_subscriptions)"), "{reason}");
    assert_eq!(reached(&broker, "shared_subscriptions"), 1.0);
    peer.send(&subscribe_with(V5, 5, &[], &[("$share/g/a", 2)]));
    assert_eq!(peer.next(), "SUBACK 5 02");
    peer.send(&unsubscribe(V5, 6, &["$share/g/a"]));
    assert_eq!(peer.next(), "UNSUBACK 6 00");
    peer.send(&subscribe_with(V5, 7, &[], &[("$share/h/a", 1)]));
    assert_eq!(peer.next(), "SUBACK 7 01");
}

#[test]
fn a_connect_that_reaches_a_limit_is_refused() {
    let broker = bounded();
    let connect = |version| Connect::new(version, "c");
    for (sent, answer, limit) in [
        (connect(V5).will(DEEP, "x", 0, false), "CONNACK 0 90", "topic_levels"),
        (connect(V5).will(LONG, "x", 0, false), "CONNACK 0 90", "topic_bytes"),
        (connect(V5).property(&many(3)), "CONNACK 0 97", "user_properties"),
        (connect(V5).will("t", "x", 0, false).will_property(&many(3)), "CONNACK 0 97", "user_properties"),
        (connect(V4).will(DEEP, "x", 0, false), "CONNACK 0 05", "topic_levels"),
    ] {
        let before = reached(&broker, limit);
        let mut peer = Peer::open(&broker, sent.version);
        peer.send(&sent.bytes());
        assert_eq!(peer.next(), answer);
        assert_eq!(reached(&broker, limit), before + 1.0, "{limit}");
    }
    let allowed = connect(V5).property(&many(2)).will("a/b/c/d/e", "x", 0, false).will_property(&many(2));
    Peer::join(&broker, &allowed).leave();
}

#[test]
fn packets_before_a_login_have_limits_of_their_own() {
    let broker = options()
        .variable("LOTMQ_LIMITS_CONNECT_BYTES", "2000")
        .variable("LOTMQ_LISTENER_MQTT_CONNECT_USER_PROPERTIES", "4")
        .start();
    let connect =
        |version, will_bytes| Connect::new(version, "c").will("t", &"x".repeat(will_bytes), 0, false);
    for (sent, answer, limit) in [
        (connect(V5, 2000), None, "connect_bytes"),
        (connect(V4, 2000), None, "connect_bytes"),
        (connect(V5, 1).property(&many(5)), Some("CONNACK 0 97"), "connect_user_properties"),
        (
            connect(V5, 1).property(&many(2)).will_property(&many(3)),
            Some("CONNACK 0 97"),
            "connect_user_properties",
        ),
    ] {
        let before = reached(&broker, limit);
        let mut peer = Peer::open(&broker, sent.version);
        peer.send(&sent.bytes());
        assert_eq!(peer.until_closed().last().map(String::as_str), answer, "{limit}");
        assert_eq!(reached(&broker, limit), before + 1.0, "{limit}");
    }
    // After the login the limits of all packets hold.
    let allowed = connect(V5, 1000).property(&many(2)).will_property(&many(2));
    let mut peer = Peer::join(&broker, &allowed);
    peer.publish_with(2, "t", &many(5), "x".repeat(3000));
    peer.leave();
}

#[test]
fn connect_with_a_will_of_60_kilobytes_is_within_the_default_limit() {
    let broker = options().start();
    Peer::join(&broker, &Connect::new(V5, "c").will("t", &"x".repeat(60_000), 0, false)).leave();
    let mut peer = Peer::open(&broker, V5);
    peer.send(&Connect::new(V5, &"c".repeat(7_000)).will("t", &"x".repeat(60_000), 0, false).bytes());
    assert!(peer.until_closed().len() <= 1);
    assert_eq!(reached(&broker, "connect_bytes"), 1.0);
}

#[test]
fn older_clients_get_no_more_at_once_than_the_window() {
    let broker = bounded();
    let mut subscriber = Peer::clean(&broker, V4, "s");
    subscriber.subscribe("t", 1);
    let mut publisher = Peer::clean(&broker, V5, "p");
    (0..3).for_each(|number: u8| publisher.publish(1, "t", &number.to_string()));
    subscriber.expect_only(&["PUBLISH t q1 #1: 0", "PUBLISH t q1 #2: 1"]);
    assert_eq!(reached(&broker, "send_window"), 1.0);
    subscriber.send(&puback(1));
    subscriber.expect(&["PUBLISH t q1 #3: 2"]);
}

/// Returns the messages that a new subscriber finds retained.
fn retained(broker: &Broker) -> Vec<String> {
    let mut peer = Peer::clean(broker, V4, "");
    peer.subscribe("#", 0);
    peer.send(&crate::bytes::PINGREQ);
    let lines = std::iter::from_fn(|| Some(peer.next()).filter(|line| line != "PINGRESP"));
    lines.map(|line| line.replace(" q0 retain", "").replace("PUBLISH ", "")).collect()
}

#[test]
fn retained_messages_are_bounded_in_number_and_bytes() {
    let broker = bounded();
    let mut live = Peer::clean(&broker, V4, "live");
    live.subscribe("#", 0);
    let mut peer = Peer::clean(&broker, V5, "c");
    let send = |peer: &mut Peer, flags: u8, topic: &str, payload: &str| {
        peer.send(&publish_with(V5, flags, topic, 1, &[], payload));
        peer.next()
    };
    for topic in ["a", "b"] {
        assert_eq!(send(&mut peer, 3, topic, "1"), "PUBACK 1 00");
    }
    // One more is refused, and nobody gets it.
    assert_eq!(send(&mut peer, 3, "c", "1"), "PUBACK 1 97");
    assert_eq!(send(&mut peer, 5, "c", "1"), "PUBREC 1 97");
    let long = "x".repeat(1100);
    assert_eq!(send(&mut peer, 3, "a", &long), "PUBACK 1 97");
    live.expect_only(&["PUBLISH a q0: 1", "PUBLISH b q0: 1"]);
    assert!(
        peer.reasons().iter().any(|reason| reason.ends_with("(limit retained_bytes)")),
        "{:?}",
        peer.reasons()
    );
    let by_listener =
        |limit| broker.metric(&format!("lotmq_limit_reached_total{{limit=\"{limit}\",listener=\"mqtt\"}}"));
    assert_eq!(["retained_messages", "retained_bytes"].map(by_listener), [Some(2.0), Some(1.0)]);
    // These publishers cannot get this answer: the message is delivered and not retained.
    peer.publish_with(1, "c", &[], "2");
    let mut old = Peer::clean(&broker, V4, "old");
    old.send(&publish_with(V4, 3, "d", 1, &[], "3"));
    assert_eq!(old.next(), "PUBACK 1 00");
    live.expect_only(&["PUBLISH c q0: 2", "PUBLISH d q0: 3"]);
    assert_eq!(by_listener("retained_messages"), Some(4.0));
    // Retained messages can be replaced and removed all the same.
    assert_eq!(send(&mut peer, 3, "a", "4"), "PUBACK 1 00");
    assert_eq!(retained(&broker), ["a: 4", "b: 1"]);
    old.send(&retain(V4, "b", 2, ""));
    assert_eq!(old.next(), "PUBACK 2 00");
    assert_eq!(send(&mut peer, 3, "c", "5"), "PUBACK 1 00");
    assert_eq!(retained(&broker), ["a: 4", "c: 5"]);
}

#[test]
fn retained_messages_that_have_expired_make_room() {
    let broker = bounded();
    let mut peer = Peer::clean(&broker, V5, "c");
    peer.publish_with(3, "a", &four(2, 1), "1");
    peer.publish(1, "live", "1");
    peer.publish_with(3, "b", &[], "2");
    eventually("a has expired", || (retained(&broker) == ["b: 2"]).then_some(()));
    let refused = |peer: &mut Peer| {
        peer.send(&publish_with(V5, 3, "c", 1, &[], "3"));
        peer.next() == "PUBACK 1 97"
    };
    eventually("there is room", || (!refused(&mut peer)).then_some(()));
    assert_eq!(retained(&broker), ["b: 2", "c: 3"]);
}

/// Sessions without a user have half of 64 KiB together: 1,024 open exchanges, which count in steps
/// of 64.
#[test]
fn open_exchanges_of_all_sessions_are_bounded() {
    let mut broker = options().variable("LOTMQ_LIMITS_TENANT_SESSION_BYTES", "65536").start();
    let flood = |version, ids: std::ops::RangeInclusive<u16>| {
        ids.flat_map(|id| publish(version, 2, "t", id, "x")).collect::<Vec<u8>>()
    };
    let taken = |peer: &mut Peer, ids: std::ops::RangeInclusive<u16>| {
        for id in ids {
            let line = peer.next();
            // Of 5.0, nobody has subscribed.
            assert!([" 00", " 10"].map(|code| format!("PUBREC {id}{code}")).contains(&line), "{line}");
        }
    };
    let mut first = Peer::join(&broker, &Connect::kept(V4, "first"));
    first.send(&flood(V4, 1..=700));
    taken(&mut first, 1..=700);
    first.leave();
    // A refused exchange is not open, and may come again.
    let mut second = Peer::join(&broker, &Connect::kept(V5, "second"));
    second.send(&flood(V5, 1..=383));
    taken(&mut second, 1..=383);
    for _ in 0..2 {
        second.send(&flood(V5, 384..=384));
        assert_eq!(second.next().split(' ').take(3).collect::<Vec<_>>(), ["PUBREC", "384", "97"]);
    }
    let mut third = Peer::join(&broker, &Connect::kept(V4, "third"));
    third.send(&flood(V4, 1..=63));
    taken(&mut third, 1..=63);
    third.send(&flood(V4, 64..=64));
    assert_eq!(third.until_closed(), [""; 0]);
    assert_eq!(reached(&broker, "tenant_session_bytes"), 3.0);
    // The counts survive a restart. PUBREL and the end of a session give space back.
    second.leave();
    broker.stop();
    broker.start_again();
    let mut second = Peer::join(&broker, &Connect::kept(V5, "second"));
    second.send(&flood(V5, 384..=384));
    assert!(second.next().starts_with("PUBREC 384 97"));
    second.send(&pubrel(1));
    assert!(second.next().starts_with("PUBCOMP 1 00"));
    broker.command_ok("-endSession first");
    second.send(&flood(V5, 384..=500));
    taken(&mut second, 384..=500);
}
