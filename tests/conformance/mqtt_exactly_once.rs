//! QoS 2 in both directions with a broken link or a killed broker at each step: delivered once
//! (checklist 5).

use crate::bytes::{self, BOTH, four, packet, publish, publish_with, pubrel};
use crate::{Broker, Connect, Peer, V4, V5, Version, broker};

/// Event that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Break {
    Link,
    Broker,
}

impl Break {
    /// Ends the connection; the session of the same Client again.
    fn and_back(self, peer: Peer, broker: &mut Broker, connect: &Connect) -> Peer {
        match self {
            Self::Link => peer.vanish(),
            Self::Broker => {
                broker.kill();
                broker.start_again();
            }
        }
        let peer = Peer::join(broker, connect);
        assert!(peer.present());
        peer
    }
}

/// Packets after the break if the reader had read the message, sent PUBREC, read PUBREL, or sent
/// PUBCOMP.
const STEPS: [&[&str]; 4] = [&["PUBLISH t q2 #1 dup: once"], &["PUBREL 1 00"], &["PUBREL 1 00"], &[]];

/// [MQTT-4.4.0-1], [3.1.1: MQTT-4.4.0-1, MQTT-4.3.3-1]: PUBLISH until PUBREC [MQTT-4.3.3-3], with
/// DUP when it comes again [MQTT-3.3.1-1], [3.1.1: MQTT-3.3.1-1]; then PUBREL [MQTT-4.3.3-4] until
/// PUBCOMP [MQTT-4.3.3-5] and never PUBLISH [MQTT-4.3.3-6]. All with the identifier of the first
/// [MQTT-2.2.1-5], [3.1.1: MQTT-2.3.1-6].
#[test]
fn the_broker_sends_exactly_once_with_a_break_after_each_step() {
    let mut broker = broker();
    for (way, versions) in [(Break::Link, &BOTH[..]), (Break::Broker, &[V5])] {
        for &version in versions {
            for (step, expected) in STEPS.iter().enumerate() {
                if way == Break::Broker && step == 1 {
                    // Whether PUBREC has come is not known then.
                    continue;
                }
                let connect = Connect::kept(version, &format!("reader {way:?} {version:?} {step}"));
                let mut reader = Peer::join(&broker, &connect);
                reader.subscribe("t", 2);
                Peer::clean(&broker, V4, "writer").publish(2, "t", "once");
                assert_eq!(reader.next(), "PUBLISH t q2 #1: once");
                if step >= 1 {
                    reader.send(&bytes::pubrec(1));
                }
                if step >= 2 {
                    reader.expect(&["PUBREL 1 00"]);
                }
                if step >= 3 {
                    reader.send(&bytes::pubcomp(1));
                    reader.expect_only(&[]);
                    // The barrier is acknowledged, so PUBCOMP before it is stored, too.
                    Peer::clean(&broker, V4, "barrier").publish_with(3, "barrier", &[], "x");
                }
                let mut reader = way.and_back(reader, &mut broker, &connect);
                reader.expect_only(expected);
                if step == 0 {
                    reader.send(&bytes::pubrec(1));
                    reader.expect(&["PUBREL 1 00"]);
                }
                reader.send(&bytes::pubcomp(1));
                let mut reader = Break::Link.and_back(reader, &mut broker, &connect);
                reader.expect_only(&[]);
                reader.leave();
                Peer::clean(&broker, version, &format!("reader {way:?} {version:?} {step}")).leave();
            }
        }
    }
}

/// Receives as [MQTT-4.3.3-8, -10, -11, -12], [3.1.1: MQTT-4.3.3-2] say.
#[test]
fn the_broker_receives_exactly_once_with_a_break_after_each_step() {
    let mut broker = broker();
    for (way, versions) in [(Break::Link, &BOTH[..]), (Break::Broker, &[V5])] {
        for &version in versions {
            for step in 0..4 {
                // A killed broker has taken over only what it has acknowledged.
                if way == Break::Broker && step % 2 == 0 {
                    continue;
                }
                receive_with_a_break(&mut broker, way, version, step);
            }
        }
    }
}

/// No PUBREL follows a PUBREC that refuses [MQTT-4.3.3-4], not for an identifier either that means
/// nothing here.
#[test]
fn a_pubrec_that_refuses_what_is_unknown_is_not_answered() {
    let broker = broker();
    let mut peer = Peer::clean(&broker, V5, "c");
    for reason in [0x80, 0x97] {
        peer.send(&packet(0x50, &[0, 77, reason]));
    }
    peer.expect_only(&[]);
    peer.send(&packet(0x50, &[0, 77, 0x10]));
    peer.expect_only(&["PUBREL 77 92"]);
}

/// A message's QoS, what the Client answers it before it errs, and the error: PUBACK, PUBREC or
/// PUBCOMP by its first byte.
const OUT_OF_TURN: [(u8, &[u8], u8); 6] = [
    (1, &[], 0x50),
    (1, &[], 0x70),
    (2, &[], 0x40),
    (2, &[], 0x70),
    (2, &[0x50], 0x40),
    (2, &[0x50, 0x50], 0x40),
];

/// Violates [MQTT-4.13.1-1], [3.1.1: MQTT-4.8.0-1]: left alone, the message would keep its place in
/// the Receive Maximum for ever. The session stays, and the message comes again.
#[test]
fn an_acknowledgement_that_does_not_fit_its_message_closes_with_0x82() {
    let broker = broker();
    for version in BOTH {
        for (case, (qos, before, wrong)) in OUT_OF_TURN.into_iter().enumerate() {
            let connect = Connect::kept(version, "reader");
            let narrow = if version == V5 { connect.property(&bytes::two(0x21, 1)) } else { connect };
            let mut reader = Peer::join(&broker, &narrow);
            reader.subscribe("t", qos);
            Peer::clean(&broker, V4, "writer").publish(qos, "t", "once");
            assert_eq!(reader.next(), format!("PUBLISH t q{qos} #1: once"));
            for first in before {
                reader.send(&packet(*first, &[0, 1]));
                reader.expect(&["PUBREL 1 00"]);
            }
            reader.send(&packet(wrong, &[0, 1]));
            let expected: &[&str] = if version == V5 { &["DISCONNECT 82"] } else { &[] };
            assert_eq!(reader.until_closed(), expected, "{version:?}, case {case}");
            let mut reader = Peer::join(&broker, &narrow);
            assert!(reader.present());
            if before.is_empty() {
                reader.expect(&[&format!("PUBLISH t q{qos} #1 dup: once")]);
            } else {
                reader.expect(&["PUBREL 1 00"]);
            }
            reader.leave();
            Peer::clean(&broker, version, "reader").leave();
        }
    }
}

/// A repeated acknowledgement, and one for an exchange that is over, are no errors: the other side
/// may not have seen the answer.
#[test]
fn an_acknowledgement_that_comes_again_is_no_error() {
    let broker = broker();
    for version in BOTH {
        let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
        reader.subscribe("t", 2);
        let mut writer = Peer::clean(&broker, V4, "writer");
        writer.publish(1, "t", "one");
        writer.publish(2, "t", "two");
        reader.expect(&["PUBLISH t q1 #1: one", "PUBLISH t q2 #2: two"]);
        for id in [1, 1, 9] {
            reader.send(&bytes::puback(id));
        }
        reader.send(&[bytes::pubrec(2), bytes::pubrec(2)].concat());
        reader.expect(&["PUBREL 2 00", "PUBREL 2 00"]);
        reader.vanish();
        let mut reader = Peer::join(&broker, &Connect::kept(version, "reader"));
        reader.expect(&["PUBREL 2 00"]);
        reader.send(&bytes::pubrec(2));
        reader.expect(&["PUBREL 2 00"]);
        reader.send(&[bytes::pubcomp(2), bytes::pubcomp(2)].concat());
        reader.expect_only(&[]);
        reader.leave();
        Peer::clean(&broker, version, "reader").leave();
    }
}

/// Steps: PUBLISH sent, PUBREC read, PUBREL sent, PUBCOMP read.
fn receive_with_a_break(broker: &mut Broker, way: Break, version: Version, step: u8) {
    let mut watcher = Peer::join(broker, &Connect::kept(V5, "watcher"));
    watcher.subscribe("up", 1);
    let connect = Connect::kept(version, "writer");
    let mut writer = Peer::join(broker, &connect);
    let send_again = |writer: &mut Peer| {
        writer.send(&publish_with(version, 12, "up", 7, &[], "once"));
        assert!(writer.next().starts_with("PUBREC 7 "));
    };
    writer.send(&publish(version, 2, "up", 7, "once"));
    if step >= 1 {
        writer.expect(&["PUBREC 7 00"]);
    }
    if step >= 2 {
        writer.send(&pubrel(7));
    }
    if step >= 3 {
        writer.expect(&["PUBCOMP 7 00"]);
    }
    let mut writer = way.and_back(writer, broker, &connect);
    if step <= 1 {
        send_again(&mut writer);
        send_again(&mut writer);
    }
    if step <= 2 {
        writer.send(&pubrel(7));
        assert!(writer.next().starts_with("PUBCOMP 7 "));
    }
    // Done: the identifier is a new message.
    writer.send(&publish(version, 2, "up", 7, "new"));
    writer.expect(&["PUBREC 7 00"]);
    writer.send(&pubrel(7));
    writer.expect(&["PUBCOMP 7 00"]);
    writer.leave();
    Peer::clean(broker, version, "writer").leave();
    if way == Break::Broker {
        watcher = Peer::join(broker, &Connect::kept(V5, "watcher"));
    }
    // Messages on the disk come when they have been read, later than answers do.
    let text_of = |line: String| line.split_once(": ").map(|(_, text)| text.to_owned());
    let mut texts = Vec::from_iter([watcher.next(), watcher.next()].into_iter().filter_map(text_of));
    watcher.send(&bytes::PINGREQ);
    texts.extend(std::iter::from_fn(|| text_of(watcher.next())));
    assert_eq!(texts, ["once", "new"], "{way:?}, {version:?}, {step}");
    watcher.leave();
    Peer::clean(broker, V5, "watcher").leave();
}

/// [MQTT-4.3.3-7], [MQTT-4.3.3-13]
#[test]
fn exchanges_are_finished_although_their_message_has_expired() {
    let broker = broker();
    let connect = Connect::kept(V5, "reader");
    let mut reader = Peer::join(&broker, &connect);
    reader.subscribe("e", 2);
    let mut writer = Peer::clean(&broker, V5, "writer");
    writer.send(&publish_with(V5, 5, "e", 7, &four(2, 1), "x"));
    writer.expect(&["PUBREC 7 00"]);
    let line = reader.next();
    assert!(line.starts_with("PUBLISH e q2 #1 "), "{line}");
    reader.vanish();
    lotmq_test_support::eventually("the message expires", || {
        let mut late = Peer::clean(&broker, V5, "late");
        late.subscribe("e", 0);
        late.send(&bytes::PINGREQ);
        (late.next() == "PINGRESP").then_some(())
    });
    writer.send(&pubrel(7));
    writer.expect(&["PUBCOMP 7 00"]);
    let mut reader = Peer::join(&broker, &connect);
    let line = reader.next();
    assert!(line.starts_with("PUBLISH e q2 #1 dup") && line.ends_with(": x"), "{line}");
    reader.send(&bytes::pubrec(1));
    reader.expect(&["PUBREL 1 00"]);
    reader.send(&bytes::pubcomp(1));
    reader.expect_only(&[]);
}
