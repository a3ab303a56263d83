//! DISCONNECT: what comes behind it, and what the broker says when it ends (checklist 4).

use crate::bytes::{self, BOTH, packet, publish, subscribe};
use crate::{Connect, Peer, V4, V5, broker};

/// A Client that goes on sending, and does not close: violates [MQTT-3.14.4-1, -2],
/// [3.1.1: MQTT-3.14.4-1, -2].
#[test]
fn nothing_behind_disconnect_is_processed_and_the_broker_closes() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("t", 0);
    for version in BOTH {
        for disconnect in [bytes::DISCONNECT.to_vec(), packet(0xE0, &[0x80])] {
            if version == V4 && disconnect != bytes::DISCONNECT {
                continue;
            }
            let mut peer = Peer::clean(&broker, version, "talker");
            let behind =
                [publish(version, 0, "t", 0, "no"), subscribe(version, 1, "t", 0), bytes::PINGREQ.to_vec()];
            peer.send(&[disconnect, behind.concat()].concat());
            assert_eq!(peer.until_closed(), [""; 0]);
        }
    }
    watcher.expect_only(&[]);
}

/// After DISCONNECT the broker closes the connection and sends nothing more [MQTT-3.14.4-1, -2],
/// [MQTT-4.13.2-1].
#[test]
fn a_broker_that_stops_says_so() {
    let mut broker = broker();
    let mut peers = BOTH.map(|version| {
        let mut peer = Peer::clean(&broker, version, &format!("{version:?}"));
        peer.subscribe("t", 0);
        peer
    });
    broker.stop();
    let told = peers.each_mut().map(Peer::until_closed);
    assert_eq!(told, [vec![], vec!["DISCONNECT 8B".to_owned()]]);
}

/// The same for the owner of an account that has changed. The Will reports the end [MQTT-3.1.2-8],
/// [3.1.1: MQTT-3.1.2-8].
#[test]
fn password_change_disconnects_sessions_of_the_account_with_reason() {
    let broker = broker();
    broker.command_ok("-addUser bob s3cret");
    let mut watcher = Peer::clean(&broker, V4, "watcher");
    watcher.subscribe("will", 0);
    let mut peers = BOTH.map(|version| {
        let connect = Connect::new(version, &format!("{version:?}")).user("bob", "s3cret");
        Peer::join(&broker, &connect.will("will", "gone", 0, false))
    });
    broker.command_ok("-changeUserPassword bob n3w");
    let told = peers.each_mut().map(Peer::until_closed);
    assert_eq!(told, [vec![], vec!["DISCONNECT 98".to_owned()]]);
    watcher.expect(&["PUBLISH will q0: gone", "PUBLISH will q0: gone"]);
}
