//! Content of CONNACK, and packets that are too large for a Client (checklist 3 and 5).

use crate::bytes::{BOTH, four, subscribe_with, unsubscribe, user_property};
use crate::{Broker, Connect, Peer, V4, V5, broker, options};

/// The body of CONNACK.
fn connack(broker: &Broker, connect: &Connect) -> Vec<u8> {
    let mut peer = Peer::open(broker, connect.version);
    peer.send(&connect.bytes());
    let body = peer.packet().unwrap().body().to_vec();
    // Nothing else comes by itself, not a second CONNACK [MQTT-3.2.0-2].
    peer.expect_only(&[]);
    body
}

/// Properties of a 5.0 CONNACK: identifier and value.
fn properties(body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut rest = &body[3..];
    assert_eq!(usize::from(body[2]), rest.len(), "a short list that fills the packet");
    let mut found = Vec::new();
    while let Some((&id, value)) = rest.split_first() {
        let len = match id {
            0x11 | 0x27 => 4,
            0x21 | 0x22 | 0x13 => 2,
            0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
            0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => 2 + usize::from(value[1]),
            other => panic!("property {other:X}"),
        };
        found.push((id, value[..len].to_vec()));
        rest = &value[len..];
    }
    found
}

/// Flags are Session Present alone [MQTT-3.2.2-1]; an accepted CONNECT gets 0x00 [MQTT-3.1.4-5],
/// [3.1.1: MQTT-3.1.4-4].
#[test]
fn connack_announces_what_differs_from_the_defaults() {
    let broker = broker();
    assert_eq!(connack(&broker, &Connect::new(V4, "c")), [0, 0]);
    let connects = [
        Connect::new(V5, "c"),
        // Asking for Response Information, for problem information, and for neither changes
        // nothing: there is none unless it is configured.
        Connect::new(V5, "c").property(&[0x19, 1, 0x17, 1]),
        Connect::new(V5, "c").property(&[0x19, 0, 0x17, 0]),
        // The Client's Keep Alive counts: no Server Keep Alive [MQTT-3.2.2-22]. Every QoS and
        // RETAIN of a Will is taken [MQTT-3.2.2-12, -13].
        Connect::new(V5, "c").keep_alive(7).will("t", "x", 2, true),
        // An expiry that is granted as asked for is not said again.
        Connect::new(V5, "d").property(&four(0x11, 77)),
    ];
    for connect in connects {
        let body = connack(&broker, &connect);
        assert_eq!(body[..2], [0, 0]);
        // Receive Maximum, Maximum Packet Size and Topic Alias Maximum. All else has its default:
        // every QoS [MQTT-3.2.2-9], retained messages, all kinds of subscriptions; no method of
        // authentication [MQTT-4.12.0-6].
        let expected = [
            (0x21, 1000_u16.to_be_bytes().to_vec()),
            (0x22, 32_u16.to_be_bytes().to_vec()),
            (0x27, (16_u32 << 20).to_be_bytes().to_vec()),
        ];
        let mut found = properties(&body);
        found.sort();
        assert_eq!(found, expected);
    }
    // The expiry that is granted, where more was asked for (§3.2.2.3.2).
    let body = connack(&broker, &Connect::new(V5, "c").property(&four(0x11, u32::MAX)));
    assert!(properties(&body).contains(&(0x11, (7_u32 * 24 * 3600).to_be_bytes().to_vec())));
    // Session Present is the lowest bit, and no other is set.
    for version in BOTH {
        let kept = Connect::kept(version, &format!("kept {version:?}"));
        assert_eq!(connack(&broker, &kept)[0], 0);
        assert_eq!(connack(&broker, &kept)[0], 1);
    }
}

/// Response Information goes to those who ask for it, and to nobody else [MQTT-3.1.2-28]: the
/// prefix that is configured, and the Client Identifier.
#[test]
fn response_information_is_for_those_who_ask() {
    let broker = options().variable("LOTMQ_MQTT_RESPONSE_INFORMATION", "site/responses").start();
    let told = |connect: &Connect| {
        let body = connack(&broker, connect);
        let found = properties(&body).into_iter().find(|(id, _)| *id == 0x1A);
        found.map(|(_, value)| String::from_utf8(value[2..].to_vec()).unwrap())
    };
    let asked = |id: &str| Connect::new(V5, id).property(&[0x19, 1]);
    assert_eq!(told(&asked("c 1")).as_deref(), Some("site/responses/c 1"));
    let assigned = told(&asked("")).unwrap();
    assert!(assigned.starts_with("site/responses/auto-"), "{assigned}");
    // From these no Topic Name can be made.
    for id in ["a+b", "#"] {
        assert_eq!(told(&asked(id)), None);
    }
    for silent in [Connect::new(V5, "c"), Connect::new(V5, "c").property(&[0x19, 0])] {
        assert_eq!(told(&silent), None);
    }
    assert_eq!(connack(&broker, &Connect::new(V4, "c")), [0, 0]);
    // It is left out where it makes CONNACK too large [MQTT-3.1.2-24], and the Client is let in all
    // the same.
    for (limit, is_told) in [(35, true), (34, false)] {
        assert_eq!(told(&asked("c").property(&four(0x27, limit))).is_some(), is_told, "{limit}");
    }
}

/// Our own User Properties never make it too large [MQTT-3.2.2-20]: who takes less than 4 KiB is
/// granted nothing that they would tell.
#[test]
fn user_properties_are_for_those_who_can_take_them() {
    let broker = options()
        .variable("LOTMQ_LISTENER_MQTT_ZSTD_CLIENTS", "10")
        .variable("LOTMQ_MQTT_RESPONSE_INFORMATION", "site/responses")
        .start();
    for id in ["c", &"i".repeat(4050)] {
        for (limit, is_granted) in [(4095, false), (4096, true)] {
            let asks = [&four(0x27, limit)[..], &[0x19, 1], &user_property("lotmq-zstd", "1")].concat();
            let connect = Connect::new(V5, id).property(&asks);
            let mut peer = Peer::open(&broker, V5);
            peer.send(&connect.bytes());
            let packet = peer.packet().unwrap();
            let text = String::from_utf8_lossy(packet.bytes());
            assert!(packet.bytes().len() <= limit as usize && packet.body()[1] == 0, "{limit}: {text}");
            assert_eq!(text.contains("lotmq-zstd"), is_granted, "{limit}: {text}");
        }
    }
}

/// [MQTT-3.1.2-24]
#[test]
fn a_connack_that_the_client_cannot_take_is_not_sent() {
    let broker = broker();
    // The refusal is shorter.
    for (limit, told) in [(4, &[][..]), (5, &["CONNACK 0 95"]), (15, &["CONNACK 0 95"])] {
        let mut peer = Peer::open(&broker, V5);
        peer.send(&Connect::new(V5, "c").property(&four(0x27, limit)).bytes());
        assert_eq!(peer.until_closed(), told, "{limit}");
    }
    let asked = [four(0x27, 16), four(0x11, 60)].concat();
    Peer::join(&broker, &Connect::new(V5, "c").keep_alive(60).property(&asked)).expect_only(&[]);
    broker.log().expect("the Maximum Packet Size is less than CONNACK takes");
}

/// A refusal loses its Reason String when that would not fit [MQTT-3.2.2-19], and is not sent at
/// all when it still does not [MQTT-3.1.2-24].
#[test]
fn a_refusal_fits_the_maximum_packet_size() {
    let broker = broker();
    let refused = |maximum: u32| {
        let connect = Connect::new(V5, "c").user("root", "no").property(&four(0x27, maximum));
        let mut peer = Peer::open(&broker, V5);
        peer.send(&connect.bytes());
        let packet = peer.packet();
        assert!(packet.is_none() || peer.until_closed().is_empty());
        packet.map(|packet| packet.bytes().to_vec())
    };
    let whole = refused(1000).unwrap();
    let len = u32::try_from(whole.len()).unwrap();
    assert!(len > 10 && properties(&whole[2..]).iter().any(|(id, _)| *id == 0x1F), "{whole:X?}");
    assert_eq!(refused(len), Some(whole));
    for maximum in [len - 1, 10, 5] {
        assert_eq!(refused(maximum), Some(vec![0x20, 3, 0, 0x86, 0]), "{maximum}");
    }
    for maximum in [4, 1] {
        assert_eq!(refused(maximum), None, "{maximum}");
    }
}

/// An acknowledgement that is too large for the Client is not sent; waiting for it makes no sense,
/// so the connection ends [MQTT-3.1.2-24].
#[test]
fn acknowledgements_fit_the_maximum_packet_size() {
    let broker = broker();
    let filters: Vec<String> = (0..20).map(|n| format!("t/{n}")).collect();
    let names: Vec<&str> = filters.iter().map(String::as_str).collect();
    let wanted: Vec<(&str, u8)> = names.iter().map(|name| (*name, 0)).collect();
    for kept in [false, true] {
        // CONNACK takes 16 bytes; SUBACK and UNSUBACK 5, and one more for each filter.
        let connect = if kept { Connect::kept(V5, "small") } else { Connect::new(V5, "small") };
        let connect = connect.property(&four(0x27, 24));
        for (fits, whole, answer) in [
            (subscribe_with(V5, 5, &[], &wanted[..19]), subscribe_with(V5, 6, &[], &wanted), "SUBACK 5 00"),
            (unsubscribe(V5, 5, &names[..19]), unsubscribe(V5, 6, &names), "UNSUBACK 5 "),
        ] {
            let mut peer = Peer::join(&broker, &connect);
            peer.send(&fits);
            let line = peer.next();
            assert!(line.starts_with(answer), "{line}");
            peer.send(&whole);
            assert_eq!(peer.until_closed(), ["DISCONNECT 95"]);
        }
    }
}
