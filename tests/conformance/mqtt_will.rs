//! Wills (checklist 9).

use std::time::{Duration, Instant};

use lotmq_test_support::eventually;

use crate::bytes::{self, BOTH, field, four, packet, user_property};
use crate::{Connect, Peer, V4, V5, Version, broker};

fn willing(version: Version, id: &str) -> Connect {
    Connect::new(version, id).will("will/t", "gone", 1, false)
}

/// [MQTT-3.1.2-7, -8, -10], [MQTT-3.14.4-3], [3.1.1: MQTT-3.1.2-8, -10, -12, MQTT-3.14.4-3]. The
/// Client's DISCONNECT of 0x80 or more violates [MQTT-4.13.2-1]: it closes.
#[test]
fn every_end_but_a_normal_disconnect_publishes_the_will() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("will/#", 0);
    let gone = "PUBLISH will/t q0: gone";
    for version in BOTH {
        // The link breaks.
        Peer::join(&broker, &willing(version, "w")).vanish();
        watcher.expect(&[gone]);
        // A protocol error, a second CONNECT too [MQTT-3.1.2-8].
        for wrong in [vec![0xC1, 0], willing(version, "w").bytes(), vec![0xE1, 0]] {
            let mut peer = Peer::join(&broker, &willing(version, "w"));
            peer.send(&wrong);
            peer.until_closed();
            watcher.expect(&[gone]);
        }
        // Takeover.
        let mut old = Peer::join(&broker, &willing(version, "w"));
        let new = Peer::clean(&broker, version, "w");
        old.until_closed();
        watcher.expect(&[gone]);
        // A proper end discards it [MQTT-3.14.4-3]; the next CONNECT without one has none
        // [3.1.1: MQTT-3.1.2-12].
        new.vanish();
        Peer::join(&broker, &willing(version, "w")).leave();
        watcher.expect_only(&[]);
    }
    // Any other reason leaves it in force, 0x04 included.
    for reason in [0x04, 0x80, 0x98] {
        let mut peer = Peer::join(&broker, &willing(V5, "w"));
        peer.send(&packet(0xE0, &[reason]));
        peer.until_closed();
        watcher.expect(&[gone]);
    }
    for sent in [packet(0xE0, &[]), packet(0xE0, &[0]), packet(0xE0, &[0, 0])] {
        let mut peer = Peer::join(&broker, &willing(V5, "w"));
        peer.send(&sent);
        peer.until_closed();
    }
    watcher.expect_only(&[]);
}

/// [MQTT-3.1.2-14, -15], [3.1.1: MQTT-3.1.2-9, -16, -17], [MQTT-3.1.3-10]
#[test]
fn a_will_has_its_qos_retain_and_properties() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("will/#", 2);
    for qos in 0..=2 {
        for version in BOTH {
            let connect = Connect::new(version, "w").will("will/q", "", qos, false); // an empty payload is legal
            Peer::join(&broker, &connect).vanish();
            let line = watcher.next();
            assert!(line.contains(&format!(" q{qos}")) && line.ends_with(": "), "{line}");
        }
    }
    let connect = Connect::new(V5, "w")
        .will("will/p", "x", 0, true)
        .will_property(&[1, 1])
        .will_property(&four(0x02, 100))
        .will_property(&[vec![3], field("t"), vec![8], field("r"), vec![9], field("c")].concat())
        .will_property(&user_property("b", "1"))
        .will_property(&user_property("a", "2"));
    Peer::join(&broker, &connect).vanish();
    let line = watcher.next();
    for wanted in ["[utf8 1]", "[type t]", "[response r]", "[correlation c]", "[user b=1] [user a=2]"] {
        assert!(line.contains(wanted), "{wanted} in {line}");
    }
    assert!(line.contains("[expiry 100]") || line.contains("[expiry 99]"), "{line}");
    let mut late = Peer::clean(&broker, V4, "late");
    late.subscribe("will/p", 0);
    late.expect(&["PUBLISH will/p q0 retain: x"]);
}

/// A Will with a delay on a session that outlives its connection.
fn delayed(delay: u32, expiry: u32) -> Connect {
    Connect::new(V5, "delayed")
        .clean(false)
        .property(&four(0x11, expiry))
        .will("will/t", "late", 0, false)
        .will_property(&four(0x18, delay))
}

#[test]
fn a_delayed_will_waits_for_its_delay_or_the_end_of_the_session() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("will/#", 0);
    let late = "PUBLISH will/t q0: late";
    // The session ends with the connection: at once [MQTT-3.1.3-9].
    Peer::join(&broker, &delayed(1000, 0)).vanish();
    watcher.expect(&[late]);
    // The delay passes; the session expires first.
    for (delay, expiry) in [(1, 1000), (1000, 1)] {
        Peer::join(&broker, &delayed(delay, expiry)).vanish();
        watcher.expect_only(&[]);
        watcher.expect(&[late]);
    }
    // The Client comes back before: none at all.
    Peer::join(&broker, &delayed(1, 1000)).vanish();
    let back = Peer::join(&broker, &Connect::kept(V5, "delayed"));
    assert!(back.present());
    // Another Will with the same delay has been published meanwhile, so this one would have been.
    let mut other = delayed(1, 1000).bytes();
    let at = other.windows(7).position(|window| window == b"delayed").unwrap();
    other[at] = b'D';
    let mut peer = Peer::open(&broker, V5);
    peer.send(&other);
    peer.next();
    peer.vanish();
    watcher.expect(&[late]);
    watcher.expect_only(&[]);
    back.leave();
    // A clean start in between ends the session and sends it.
    Peer::join(&broker, &delayed(1000, 1000)).vanish();
    Peer::clean(&broker, V5, "delayed").leave();
    watcher.expect(&[late]);
    // Takeover: not sent if the session goes on and there is a delay; sent otherwise.
    for (delay, clean, is_sent) in [(1000, false, false), (1000, true, true), (0, false, true)] {
        let mut old = Peer::join(&broker, &delayed(delay, 1000));
        let new = Peer::join(&broker, &Connect::kept(V5, "delayed").clean(clean));
        old.until_closed();
        if is_sent {
            watcher.expect(&[late]);
        }
        watcher.expect_only(&[]);
        new.leave();
    }
}

/// The delay and the Session Expiry Interval run from the end of the connection, not from when the
/// broker last looked at its clock [MQTT-3.1.3-9].
#[test]
fn a_delayed_will_never_comes_early() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("early/+", 0);
    let mut left = Vec::new();
    for n in 0..16 {
        // The one waits for the delay, the other for the end of the session.
        let (delay, expiry) = if n % 2 == 0 { (1, 1000) } else { (1000, 1) };
        let connect = Connect::new(V5, &format!("away {n}")).clean(false).property(&four(0x11, expiry));
        let connect = connect.will(&format!("early/{n}"), "x", 0, false).will_property(&four(0x18, delay));
        let peer = Peer::join(&broker, &connect);
        left.push(Instant::now());
        peer.vanish();
        // So that the ends fall on different moments of the broker's clock, which it reads four
        // times a second.
        std::thread::sleep(Duration::from_millis(37));
    }
    for _ in 0..16 {
        let line = watcher.next();
        let n: usize = line["PUBLISH early/".len()..].split(' ').next().unwrap().parse().unwrap();
        assert!(left[n].elapsed() >= Duration::from_secs(1), "{line} after {:?}", left[n].elapsed());
    }
}

#[test]
fn a_will_of_the_broker_s_own_topics_is_refused() {
    let broker = broker();
    let mut peer = Peer::open(&broker, V5);
    peer.send(&Connect::new(V5, "w").will("$SYS/x", "x", 0, false).bytes());
    assert_eq!(peer.until_closed(), ["CONNACK 0 90"]);
}

/// A Will is no way to publish where its Client may not.
#[test]
fn a_will_where_its_client_may_not_publish_is_refused() {
    let broker = broker();
    let willing = |version, topic: &str| Connect::new(version, "w").will(topic, "x", 0, false);
    let deep = "a/".repeat(230);
    for (topic, version, told) in [
        ("$other/t", V4, &["CONNACK 0 05"][..]),
        ("$other/t", V5, &["CONNACK 0 87"]),
        // Before 5.0 there is no code for a topic; this one is the nearest.
        (&deep, V4, &["CONNACK 0 05"]),
        (&deep, V5, &["CONNACK 0 90"]),
    ] {
        let mut peer = Peer::open(&broker, version);
        peer.send(&willing(version, topic).bytes());
        assert_eq!(peer.until_closed(), told, "{topic}");
    }
    Peer::join(&broker, &willing(V5, "$other/t").user("root", "coreflux")).leave();
}

#[test]
fn session_expiry_may_be_changed_in_disconnect() {
    let broker = broker();
    // To 0: the session and with it the delayed Will end now.
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("will/#", 0);
    let mut peer = Peer::join(&broker, &delayed(1000, 1000));
    peer.send(&packet(0xE0, &[vec![4, 5], four(0x11, 0)].concat()));
    peer.until_closed();
    watcher.expect(&["PUBLISH will/t q0: late"]);
    assert!(!Peer::join(&broker, &Connect::kept(V5, "delayed")).present());
    // From short to long: it is still there after the short time.
    let short = Connect::new(V5, "short").clean(false).property(&four(0x11, 1));
    let mut peer = Peer::join(&broker, &short);
    peer.send(&packet(0xE0, &[vec![0, 5], four(0x11, 1000)].concat()));
    peer.until_closed();
    let other = Connect::new(V5, "other").clean(false).property(&four(0x11, 1));
    Peer::join(&broker, &other).leave();
    // Whether a session is there is asked without ending or resuming it: a takeover-free look at
    // what is stored for it.
    eventually("the other session of the same second has expired", || {
        let probe = Peer::join(&broker, &other);
        let is_gone = !probe.present();
        probe.leave();
        if !is_gone {
            // Asking has begun its second anew.
            std::thread::park_timeout(Duration::from_millis(1800));
        }
        is_gone.then_some(())
    });
    assert!(Peer::join(&broker, &short).present());
}

#[test]
fn keep_alive_of_a_will_that_is_never_needed_is_quiet() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V4, "watcher");
    watcher.subscribe("will/#", 0);
    let mut peer = Peer::join(&broker, &willing(V4, "w"));
    peer.send(&bytes::PINGREQ);
    peer.expect(&["PINGRESP"]);
    peer.leave();
    watcher.expect_only(&[]);
}
