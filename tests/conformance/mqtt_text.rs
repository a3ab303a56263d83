//! Control characters and non-characters, which the standards advise against and receivers may take
//! for malformed (§1.5.4): refused unless the configuration says otherwise.

use lotmq_test_support::BrokerOptions;

use crate::bytes::{
    self, BOTH, packet, publish, publish_with, subscribe, subscribe_with, two, user_property,
};
use crate::{Connect, Peer, V4, V5, Version, broker, options};

/// One of each kind, and neighbours that are as good as any other.
const BAD: [&str; 7] = ["a\u{1}", "a\n", "\u{1f}", "a/\u{7f}", "a\u{9f}b", "\u{fdd0}", "x/\u{1ffff}"];
const GOOD: [&str; 5] = ["a b", "~", "\u{a0}", "\u{fdcf}\u{fdf0}", "\u{fffd}\u{1fffd}"];

fn with_control_characters() -> BrokerOptions {
    options().variable("LOTMQ_MQTT_CONTROL_CHARACTERS", "true")
}

fn last_of(version: Version, sent: &[u8]) -> Vec<String> {
    let broker = broker();
    let mut peer = Peer::clean(&broker, version, "c");
    peer.send(sent);
    peer.until_closed()
}

#[test]
fn a_topic_that_receivers_may_take_for_malformed_is_refused() {
    let broker = broker();
    let mut reader = Peer::clean(&broker, V5, "reader");
    reader.subscribe("#", 0);
    let mut writer = Peer::clean(&broker, V5, "writer");
    for topic in BAD {
        writer.send(&publish_with(V5, 3, topic, 1, &[], "x"));
        writer.expect(&["PUBACK 1 90"]);
        writer.send(&publish(V5, 2, topic, 2, "x"));
        writer.expect(&["PUBREC 2 90"]);
        let reasons = writer.reasons();
        assert!(reasons[0].ends_with("topic contains control characters or non-characters"), "{reasons:?}");
    }
    for topic in GOOD {
        writer.publish(1, topic, "x");
        assert_eq!(reader.next(), format!("PUBLISH {topic} q0: x"));
    }
    reader.expect_only(&[]);
    let mut late = Peer::clean(&broker, V4, "late");
    late.subscribe("#", 0);
    late.expect_only(&[]);
}

#[test]
fn control_character_that_cannot_be_rejected_ends_the_connection() {
    for qos in [0, 1, 2] {
        assert_eq!(last_of(V4, &publish(V4, qos, "a\n", 1, "x")), [""; 0]);
    }
    assert_eq!(last_of(V5, &publish(V5, 0, "a\n", 0, "x")), ["DISCONNECT 90"]);
    // An alias would stand for something else here than at the Client.
    assert_eq!(last_of(V5, &publish_with(V5, 2, "a\n", 1, &two(0x23, 1), "x")), ["DISCONNECT 90"]);
    assert_eq!(
        last_of(V5, &publish_with(V5, 0, "a", 0, &user_property("k", "\u{8}"), "x")),
        ["DISCONNECT 81"]
    );
}

#[test]
fn texts_of_properties_are_looked_at_too() {
    let broker = broker();
    let mut peer = Peer::clean(&broker, V5, "c");
    let content_type = |text: &str| [vec![0x03], bytes::field(text)].concat();
    let response_topic = |text: &str| [vec![0x08], bytes::field(text)].concat();
    for bad in [
        user_property("k", "a\nb"),
        user_property("\u{1}", "v"),
        content_type("\t"),
        response_topic("a\u{7f}"),
    ] {
        peer.send(&publish_with(V5, 2, "t", 1, &bad, "x"));
        peer.expect(&["PUBACK 1 83"]);
    }
    // Data are no text.
    let data = [vec![0x09], bytes::field("\n")].concat();
    peer.publish_with(2, "t", &[user_property("k", "v"), content_type("a/b"), data].concat(), "\n");
}

#[test]
fn filters_identifiers_user_names_and_wills_are_refused_with_their_codes() {
    let broker = broker();
    for (version, refused) in [(V4, "80"), (V5, "8F")] {
        let mut peer = Peer::clean(&broker, version, "c");
        peer.send(&subscribe_with(version, 5, &[], &[("a\n", 0), ("a", 0), ("$share/\u{1}/a", 0)]));
        peer.expect(&[&format!("SUBACK 5 {refused} 00 {refused}")]);
    }
    let will = |version| Connect::new(version, "c").will("will/\u{85}", "x", 0, true);
    let with_property =
        Connect::new(V5, "c").will("will", "x", 0, true).will_property(&user_property("k", "\r"));
    for (connect, told) in [
        (Connect::new(V4, "c\u{1}"), "CONNACK 0 02"),
        (Connect::new(V5, "c\u{1}"), "CONNACK 0 85"),
        (Connect::new(V4, "c").user("u\n", "p"), "CONNACK 0 04"),
        (Connect::new(V5, "c").user("u\n", "p"), "CONNACK 0 86"),
        (will(V4), "CONNACK 0 05"),
        (will(V5), "CONNACK 0 90"),
        (with_property, "CONNACK 0 83"),
    ] {
        let mut peer = Peer::open(&broker, connect.version);
        peer.send(&connect.bytes());
        assert_eq!(peer.until_closed(), [told], "{connect:?}");
    }
}

#[test]
fn the_configuration_may_allow_them() {
    let broker = with_control_characters().start();
    for version in BOTH {
        let connect = Connect::new(version, "c\u{1}").will("will/\n", "x", 0, false);
        let mut peer = Peer::join(&broker, &connect);
        for topic in BAD {
            peer.send(&subscribe(version, 7, topic, 0));
            peer.expect(&["SUBACK 7 00"]);
            peer.publish(1, topic, "x");
            peer.expect(&[&format!("PUBLISH {topic} q0: x")]);
        }
        peer.expect_only(&[]);
    }
}

/// A broker does not show retained messages that only its former configuration allowed. They stay
/// in the store, as do subscriptions, which can be ended.
#[test]
fn stored_control_character_messages_are_hidden_but_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    {
        let mut broker = with_control_characters().data(&data).start();
        let mut peer = Peer::join(&broker, &Connect::kept(V5, "kept"));
        peer.subscribe("old\n", 1);
        peer.subscribe("#", 0);
        peer.publish_with(3, "old\n", &[], "x");
        peer.publish_with(3, "text", &user_property("k", "\u{1}"), "x");
        peer.publish_with(3, "good", &[], "x");
        broker.stop();
    }
    {
        let mut broker = options().data(&data).start();
        broker.log().expect("retained messages with control characters are not shown");
        let mut late = Peer::clean(&broker, V5, "late");
        late.subscribe("#", 0);
        late.expect_only(&["PUBLISH good q0 retain: x"]);
        let mut kept = Peer::join(&broker, &Connect::kept(V5, "kept"));
        assert!(kept.present());
        kept.send(&packet(
            0xA2,
            &[&[0, 9, 0][..], &bytes::field("old\n"), &bytes::field("never\n")].concat(),
        ));
        let mut answer = kept.next();
        while answer.starts_with("PUBLISH") {
            answer = kept.next();
        }
        assert_eq!(answer, "UNSUBACK 9 00 11");
        broker.stop();
    }
    let broker = with_control_characters().data(&data).start();
    let mut late = Peer::clean(&broker, V5, "late");
    late.subscribe("old\n", 0);
    late.expect_only(&["PUBLISH old\n q0 retain: x"]);
}

/// A definition makes topics of what it reads.
#[test]
fn a_definition_publishes_to_no_such_topic() {
    let broker = broker();
    broker.command_ok(
        "-addAction DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC PAYLOAD WITH \"x\"",
    );
    let mut reader = Peer::clean(&broker, V4, "reader");
    reader.subscribe("out/#", 0);
    let mut writer = Peer::clean(&broker, V4, "writer");
    for payload in ["out/\u{1}", "out/\u{fdd0}", "out/good"] {
        writer.publish(1, "in", payload);
    }
    assert_eq!(reader.next(), "PUBLISH out/good q0: x");
    reader.expect_only(&[]);
}
