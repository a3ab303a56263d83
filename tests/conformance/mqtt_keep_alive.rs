//! Keep Alive and PINGREQ (checklist 4).

use std::time::{Duration, Instant};

use crate::bytes::{self, BOTH, publish};
use crate::{Connect, Peer, V4, V5, broker, options};

/// [MQTT-3.1.2-22], [3.1.1: MQTT-3.1.2-24]; silence violates [MQTT-3.1.2-22],
/// [3.1.1: MQTT-3.1.2-24].
#[test]
fn silence_of_one_and_a_half_keep_alives_closes_and_publishes_the_will() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V4, "watcher");
    watcher.subscribe("will/+", 0);
    for (version, told) in [(V4, &[][..]), (V5, &["DISCONNECT 8D"][..])] {
        let connect = Connect::new(version, "quiet").keep_alive(1).will("will/q", "gone", 0, false);
        let mut quiet = Peer::join(&broker, &connect);
        quiet.subscribe("noise", 0);
        let start = Instant::now();
        // Packets to the Client do not count [MQTT-3.1.2-22].
        let mut noisy = Peer::clean(&broker, V4, "noisy");
        noisy.publish(0, "noise", "x");
        assert_eq!(quiet.next(), "PUBLISH noise q0: x");
        assert_eq!(quiet.until_closed(), told);
        // Not a measure of speed: closing earlier would break the promise.
        assert!(start.elapsed() >= Duration::from_millis(1450), "{:?}", start.elapsed());
        watcher.expect(&["PUBLISH will/q q0: gone"]);
    }
}

/// With a bound on Keep Alive, a 5.0 Client that wants more gets the bound in CONNACK, and the
/// bound holds. A Client that wants less keeps its own value [MQTT-3.2.2-22]. CONNACK of older
/// versions has no such field.
#[test]
fn server_keep_alive_is_sent_in_connack_and_enforced() {
    let broker = options().variable("LOTMQ_LIMITS_KEEP_ALIVE_MAX_SEC", "2").start();
    let join = |version, seconds: u16| {
        let mut peer = Peer::open(&broker, version);
        peer.send(&Connect::new(version, &format!("{version:?} {seconds}")).keep_alive(seconds).bytes());
        let packet = peer.packet().unwrap();
        let told = packet.body().windows(3).any(|window| window == [0x13, 0, 2]);
        (peer, told)
    };
    let older = [0, 60].map(|seconds| join(V4, seconds));
    let newer = [(0, true), (3, true), (60, true), (2, false), (1, false)].map(|(seconds, is_told)| {
        let (peer, told) = join(V5, seconds);
        assert_eq!(told, is_told, "{seconds}");
        peer
    });
    for mut peer in newer {
        assert_eq!(peer.until_closed(), ["DISCONNECT 8D"]);
    }
    for (mut peer, told) in older {
        assert!(!told);
        peer.expect_only(&[]);
    }
}

#[test]
fn any_packet_keeps_alive_and_zero_never_ends() {
    let broker = broker();
    for version in BOTH {
        let mut silent = Peer::clean(&broker, version, "zero");
        let mut alive = Peer::join(&broker, &Connect::new(version, "alive").keep_alive(1));
        let mut canary = Peer::join(&broker, &Connect::new(version, "canary").keep_alive(1));
        let start = Instant::now();
        // As long as it takes to close the canary, and then as long again.
        while start.elapsed() < Duration::from_secs(4) {
            alive.send(&publish(version, 0, "t", 0, "x"));
            alive.expect_only(&[]);
            std::thread::park_timeout(Duration::from_millis(200));
        }
        canary.until_closed();
        silent.expect_only(&[]);
    }
}

#[test]
fn a_half_received_packet_does_not_count() {
    let broker = broker();
    let mut half = Peer::join(&broker, &Connect::new(V5, "half").keep_alive(1));
    let packet = publish(V5, 0, "t", 0, &"x".repeat(500));
    // Byte by byte, for longer than the patience.
    for byte in &packet[..100] {
        half.try_send(&[*byte]);
        std::thread::park_timeout(Duration::from_millis(50));
    }
    assert_eq!(half.until_closed(), ["DISCONNECT 8D"]);
}

/// [MQTT-3.12.4-1], [3.1.1: MQTT-3.12.4-1]
#[test]
fn every_ping_is_answered() {
    let broker = broker();
    for version in BOTH {
        let mut peer = Peer::clean(&broker, version, "ping");
        peer.send(&bytes::PINGREQ.repeat(100)); // [MQTT-3.12.4-1]
        (0..100).for_each(|_| peer.expect(&["PINGRESP"]));
    }
}
