//! Topic Aliases that the broker sets: only for a Client that allows them, behind the packet that
//! carries the topic, for one connection.

use crate::broker;
use crate::bytes::Version::V5;
use crate::bytes::{Connect, four, publish_with, two, user_property};
use crate::peer::Peer;

const TOPIC: &str = "alias/a/topic/that/is/worth/an/alias";

/// A Client with this Topic Alias Maximum.
fn reader(id: &str, maximum: u16) -> Connect {
    Connect::kept(V5, id).property(&two(0x22, maximum))
}

/// Returns a line with its alias replaced by the topic, which `known` remembers by alias. No alias
/// is 0 or above `maximum`.
fn resolved(line: &str, known: &mut [Option<String>], maximum: u16) -> String {
    let Some((before, behind)) = line.split_once(" [alias ") else { return line.to_owned() };
    let (number, behind) = behind.split_once(']').unwrap();
    let alias: u16 = number.parse().unwrap();
    assert!((1..=maximum).contains(&alias), "{line}");
    let (topic, flags) = before.strip_prefix("PUBLISH ").unwrap().split_once(' ').unwrap();
    let place = &mut known[usize::from(alias)];
    if !topic.is_empty() {
        *place = Some(topic.to_owned());
    }
    let topic = place.as_deref().expect("an alias stands for a topic that came before");
    format!("PUBLISH {topic} {flags}{behind}")
}

/// [MQTT-3.1.2-26, -27], [MQTT-3.3.2-11]; none is 0 [MQTT-3.3.2-8].
#[test]
fn no_topic_alias_is_sent_that_the_client_does_not_allow() {
    let broker = broker();
    for maximum in [None, Some(0), Some(1), Some(3), Some(65_535)] {
        let connect = Connect::new(V5, "reader");
        let connect = maximum.map_or(connect.clone(), |maximum| connect.property(&two(0x22, maximum)));
        let mut reader = Peer::join(&broker, &connect);
        reader.subscribe("alias/#", 1);
        let mut writer = Peer::clean(&broker, V5, "writer");
        let (mut known, mut aliased) = (vec![None; 1 << 16], 0);
        for n in 0..40 {
            let (topic, qos) = (format!("{TOPIC}/{}", n % 4), n / 4 % 2);
            writer.publish(qos, &topic, &n.to_string());
            let line = reader.next();
            aliased += usize::from(line.contains("[alias "));
            let id = if qos == 1 { format!(" #{}", n / 8 * 4 + n % 4 + 1) } else { String::new() };
            let expected = format!("PUBLISH {topic} q{qos}{id}: {n}");
            assert_eq!(resolved(&line, &mut known, maximum.unwrap_or(0)), expected);
        }
        // With room for all of them, everything but the first of each topic.
        assert!(aliased <= 36 && (aliased == 36) == (maximum == Some(65_535)), "{maximum:?}: {aliased}");
        assert_eq!(aliased > 0, maximum.unwrap_or(0) > 0);
        writer.leave();
        reader.expect_only(&[]);
    }
}

#[test]
fn a_topic_that_comes_again_gets_an_alias_and_keeps_its_properties() {
    let broker = broker();
    let mut reader = Peer::join(&broker, &reader("reader", 10));
    reader.subscribe_with("alias/#", 0, &[0x0b, 7]);
    let mut writer = Peer::clean(&broker, V5, "writer");
    let properties = [user_property("a", "b"), four(0x02, 1000)].concat();
    let large = "x".repeat(100_000);
    for (payload, shown) in [("one", "one"), ("two", "two"), (&large, "100000 bytes"), ("", "")] {
        writer.send(&publish_with(V5, 0, TOPIC, 0, &properties, payload));
        let line = reader.next();
        let head = match shown {
            "one" => format!("PUBLISH {TOPIC} q0"),
            "two" => format!("PUBLISH {TOPIC} q0 [alias 1]"),
            _ => "PUBLISH  q0 [alias 1]".to_owned(),
        };
        assert_eq!(line, format!("{head} [sub 7] [user a=b] [expiry 1000]: {shown}"));
    }
}

/// Repeated messages go out on another connection, where no alias stands for anything yet.
#[test]
fn retransmission_does_not_use_topic_aliases_of_the_previous_connection() {
    let broker = broker();
    let mut first = Peer::join(&broker, &reader("reader", 10));
    first.subscribe("alias/#", 2);
    let mut writer = Peer::clean(&broker, V5, "writer");
    for n in 1..=3 {
        writer.publish(1, TOPIC, &n.to_string());
    }
    first.expect(&[
        &format!("PUBLISH {TOPIC} q1 #1: 1"),
        &format!("PUBLISH {TOPIC} q1 #2 [alias 1]: 2"),
        "PUBLISH  q1 #3 [alias 1]: 3",
    ]);
    first.vanish();
    writer.publish(1, TOPIC, "4");
    let mut second = Peer::join(&broker, &reader("reader", 10));
    second.expect(&[
        &format!("PUBLISH {TOPIC} q1 #1 dup: 1"),
        &format!("PUBLISH {TOPIC} q1 #2 dup [alias 1]: 2"),
        "PUBLISH  q1 #3 dup [alias 1]: 3",
        "PUBLISH  q1 #4 [alias 1]: 4",
    ]);
    second.vanish();
    let mut without = Peer::join(&broker, &Connect::kept(V5, "reader"));
    without.expect(&[
        &format!("PUBLISH {TOPIC} q1 #1 dup: 1"),
        &format!("PUBLISH {TOPIC} q1 #2 dup: 2"),
        &format!("PUBLISH {TOPIC} q1 #3 dup: 3"),
        &format!("PUBLISH {TOPIC} q1 #4 dup: 4"),
    ]);
}

/// An exactly-once message of a session that is stored leaves when its identifier is on the disk;
/// others pass it.
#[test]
fn an_alias_is_never_ahead_of_the_packet_that_sets_it() {
    let broker = broker();
    let mut reader = Peer::join(&broker, &reader("reader", 10));
    reader.subscribe("alias/#", 2);
    let mut writer = Peer::clean(&broker, V5, "writer");
    let mut known = vec![None; 11];
    let mut expected = Vec::new();
    for n in 0..60 {
        let (topic, qos) = (format!("{TOPIC}/{}", n % 2), [2, 0, 1][n / 2 % 3]);
        writer.publish(qos, &topic, &n.to_string());
        expected.push(format!("{topic}: {n}"));
    }
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let line = resolved(&reader.next(), &mut known, 10);
        let (topic, _) = line.strip_prefix("PUBLISH ").unwrap().split_once(' ').unwrap();
        got.push(format!("{topic}{}", &line[line.rfind(": ").unwrap()..]));
    }
    assert!(known.iter().any(Option::is_some), "some had an alias");
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
}

/// An alias makes the packet that sets it longer: not above the Client's Maximum Packet Size
/// [MQTT-3.1.2-24].
#[test]
fn no_alias_makes_a_packet_too_large() {
    let broker = broker();
    // Fixed header 2, topic, properties 1, payload 5.
    let whole = 2 + 2 + TOPIC.len() as u32 + 1 + 5;
    for (limit, is_set) in [(whole, false), (whole + 5, true)] {
        let connect = reader("reader", 10).property(&four(0x27, limit));
        let mut reader = Peer::join(&broker, &connect);
        reader.subscribe("alias/#", 0);
        let mut writer = Peer::clean(&broker, V5, "writer");
        for n in 0..3 {
            writer.publish(0, TOPIC, "12345");
            let alias = match (is_set, n) {
                (true, 1..) => " [alias 1]",
                _ => "",
            };
            let topic = if is_set && n == 2 { "" } else { TOPIC };
            assert_eq!(reader.next(), format!("PUBLISH {topic} q0{alias}: 12345"));
        }
        reader.leave();
    }
}
