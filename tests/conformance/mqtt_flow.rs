//! Flow control: Receive Maximum both ways, Maximum Packet Size of the Client, Clients that do not
//! read (checklist 5).

use lotmq_test_support::eventually;

use crate::bytes::{self, BOTH, four, publish, publish_with, two};
use crate::{Connect, Peer, V4, V5, broker};

/// [MQTT-4.9.0-1, -2, -3], [MQTT-3.3.4-9, -10]
#[test]
fn never_more_than_the_clients_receive_maximum_is_in_flight() {
    let broker = broker();
    for maximum in [1, 2, 3] {
        let connect = Connect::kept(V5, "narrow").property(&two(0x21, maximum));
        let mut reader = Peer::join(&broker, &connect);
        reader.subscribe("n", 2);
        let mut writer = Peer::clean(&broker, V5, "writer");
        for n in 0..9 {
            writer.publish(1 + n % 2, "n", &n.to_string()); // QoS 1 and 2 count alike [MQTT-3.3.4-9]
        }
        let mut in_flight = Vec::new();
        for _ in 0..maximum {
            in_flight.push(reader.next());
        }
        // Everything else goes on with the window full [MQTT-4.9.0-3].
        reader.expect_only(&[]);
        reader.subscribe("other", 0);
        writer.publish(0, "other", "not counted");
        reader.expect_only(&["PUBLISH other q0: not counted"]);
        for n in 0..9 {
            let line = in_flight.remove(0);
            assert!(line.ends_with(&format!(": {n}")), "{line}");
            let id: u16 = line.split(" #").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
            if line.contains(" q1 ") {
                reader.send(&bytes::puback(id));
            } else {
                reader.send(&bytes::pubrec(id));
                assert_eq!(reader.next(), format!("PUBREL {id} 00"));
                reader.expect_only(&[]); // free at PUBCOMP, not at PUBREC
                reader.send(&bytes::pubcomp(id));
            }
            if n + u8::try_from(maximum).unwrap() < 9 {
                in_flight.push(reader.next());
            }
            reader.expect_only(&[]);
        }
        reader.leave();
        Peer::clean(&broker, V5, "narrow").leave();
    }
}

#[test]
fn a_queue_drains_after_a_reconnect_with_a_window_of_one() {
    let broker = broker();
    for version in BOTH {
        let mut away = Peer::join(&broker, &Connect::kept(version, "away"));
        away.subscribe("q", 1);
        away.leave();
        let mut writer = Peer::clean(&broker, V4, "writer");
        for n in 0..50 {
            writer.publish(1, "q", &n.to_string());
        }
        let connect = Connect::kept(version, "away");
        let connect = if version == V5 { connect.property(&two(0x21, 1)) } else { connect };
        let mut back = Peer::join(&broker, &connect);
        for n in 0..50_u16 {
            assert_eq!(back.next(), format!("PUBLISH q q1 #{}: {n}", n + 1));
            back.send(&bytes::puback(n + 1));
        }
        back.expect_only(&[]);
        back.leave();
        Peer::clean(&broker, version, "away").leave();
    }
}

#[test]
fn resent_messages_obey_the_new_window() {
    let broker = broker();
    let mut reader = Peer::join(&broker, &Connect::kept(V5, "r"));
    reader.subscribe("t", 1);
    let mut writer = Peer::clean(&broker, V5, "writer");
    for n in 1..=5 {
        writer.publish(1, "t", &n.to_string());
        assert_eq!(reader.next(), format!("PUBLISH t q1 #{n}: {n}"));
    }
    reader.vanish();
    let mut back = Peer::join(&broker, &Connect::kept(V5, "r").property(&two(0x21, 2))); // [MQTT-4.9.0-2]
    back.expect_only(&["PUBLISH t q1 #1 dup: 1", "PUBLISH t q1 #2 dup: 2"]);
    back.send(&bytes::puback(1));
    back.expect_only(&["PUBLISH t q1 #3 dup: 3"]);
}

/// Violates [MQTT-3.3.4-7, MQTT-4.9.0-2].
#[test]
fn our_receive_maximum_is_enforced_in_5_only() {
    let broker = broker();
    // QoS 2 exchanges stay open until PUBREL, so they count for certain.
    let flood = |version| (1..=1001).flat_map(|id| publish(version, 2, "t", id, "x")).collect::<Vec<u8>>();
    let mut peer = Peer::clean(&broker, V5, "flood");
    peer.send(&flood(V5));
    let lines = peer.until_closed();
    assert_eq!(lines.last().map(String::as_str), Some("DISCONNECT 93")); // [MQTT-3.3.4-7]
    let mut peer = Peer::clean(&broker, V4, "flood");
    peer.send(&flood(V4));
    for id in 1..=1001 {
        assert_eq!(peer.next(), format!("PUBREC {id} 00"));
    }
    // A repeated PUBLISH of an open exchange does not count twice.
    let mut peer = Peer::clean(&broker, V5, "repeat");
    for id in (1..=1000).chain(1..=1000) {
        peer.send(&publish(V5, 2, "t", id, "x"));
    }
    for id in (1..=1000).chain(1..=1000) {
        assert!(peer.next().starts_with(&format!("PUBREC {id} ")));
    }
}

#[test]
fn a_client_before_5_may_have_any_number_unacknowledged() {
    let broker = broker();
    let mut kept = Peer::join(&broker, &Connect::kept(V4, "kept"));
    kept.subscribe("durable", 1);
    kept.leave();
    let mut writer = Peer::clean(&broker, V4, "writer");
    let sent: Vec<u8> = (1..=5000).flat_map(|id| publish(V4, 1, "durable", id, "x")).collect();
    writer.send(&sent);
    for id in 1..=5000 {
        assert_eq!(writer.next(), format!("PUBACK {id} 00"));
    }
}

#[test]
fn more_than_the_disk_takes_slows_publishers_down_and_loses_nothing() {
    let broker = broker();
    let mut kept = Peer::join(&broker, &Connect::kept(V4, "kept"));
    kept.subscribe("durable", 1);
    kept.leave();
    // 4 × 48 MiB at once: several times what may wait for the disk.
    let payload = "x".repeat(96 << 10);
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let mut writer = Peer::clean(&broker, V4, &format!("w{n}"));
            let payload = payload.clone();
            std::thread::spawn(move || {
                let stream = writer.connection.stream().try_clone().unwrap();
                let sender = std::thread::spawn(move || {
                    use std::io::Write as _;
                    let mut stream = &stream;
                    for id in 1..=512 {
                        stream.write_all(&publish(V4, 1, "durable", id, &payload)).unwrap();
                    }
                });
                for id in 1..=512 {
                    assert_eq!(writer.next(), format!("PUBACK {id} 00"));
                }
                sender.join().unwrap();
                writer.leave();
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let mut back = Peer::join(&broker, &Connect::kept(V4, "kept"));
    for id in 1..=2048 {
        assert_eq!(back.next(), format!("PUBLISH durable q1 #{id}: {} bytes", payload.len()));
        back.send(&bytes::puback(id));
    }
    back.expect_only(&[]);
}

/// [MQTT-3.1.2-24, -25]
#[test]
fn message_above_maximum_packet_size_is_dropped_and_frees_its_slot() {
    let broker = broker();
    for (kept, away) in [(false, false), (true, false), (true, true)] {
        let connect = if kept { Connect::kept(V5, "small") } else { Connect::new(V5, "small") };
        let connect = connect.property(&four(0x27, 100)).property(&two(0x21, 1));
        let mut reader = Peer::join(&broker, &connect);
        reader.subscribe("t", 1);
        if away {
            reader.leave();
            reader = Peer::open(&broker, V5);
        }
        let mut writer = Peer::clean(&broker, V4, "writer");
        // PUBLISH t q1: 2 header, 3 topic, 2 identifier, 1 property length: 92 bytes of payload fit
        // exactly [MQTT-3.1.2-24].
        writer.publish(1, "t", &"a".repeat(92));
        writer.publish(1, "t", &"b".repeat(93)); // [MQTT-3.1.2-25]
        writer.publish(1, "t", "c");
        if away {
            reader = Peer::join(&broker, &connect);
        }
        assert_eq!(reader.next(), format!("PUBLISH t q1 #1: {}", "a".repeat(92)));
        reader.send(&bytes::puback(1));
        let line = reader.next();
        assert!(line.ends_with(": c"), "its slot is free again: {line}");
        let id: u16 = line.split(" #").nth(1).unwrap().split(':').next().unwrap().parse().unwrap();
        reader.send(&bytes::puback(id));
        reader.expect_only(&[]);
        reader.leave();
        Peer::clean(&broker, V5, "small").leave();
    }
}

/// [MQTT-3.1.2-25]: as if it had been delivered, so there was a subscriber.
#[test]
fn message_too_large_for_its_only_subscriber_is_acknowledged_as_delivered() {
    let broker = broker();
    let mut small = Peer::join(&broker, &Connect::new(V5, "small").property(&four(0x27, 60)));
    small.subscribe("t", 1);
    let mut writer = Peer::clean(&broker, V5, "writer");
    for (qos, topic, answer) in
        [(1, "t", "PUBACK 9 00"), (2, "t", "PUBREC 9 00"), (1, "other", "PUBACK 9 10")]
    {
        writer.send(&publish(V5, qos, topic, 9, &"x".repeat(200)));
        assert_eq!(writer.next(), answer);
        if qos == 2 {
            writer.send(&bytes::pubrel(9));
            assert!(writer.next().starts_with("PUBCOMP 9"));
        }
    }
    small.expect_only(&[]);
}

#[test]
fn a_client_that_sends_and_never_reads_is_not_read_from_any_more() {
    let broker = broker();
    let mut deaf = Peer::clean(&broker, V4, "deaf");
    deaf.connection.stream().set_nonblocking(true).unwrap();
    let before = broker.resident_bytes();
    // Each ping is answered by as many bytes. The broker must stop reading, so that our sends
    // block.
    let pings = bytes::PINGREQ.repeat(64 << 10);
    let mut sent = 0;
    eventually("the broker stops reading", || {
        use std::io::Write as _;
        let mut stream = deaf.connection.stream();
        // A write may end within a ping.
        while let Ok(len) = stream.write(&pings[sent % 2..]) {
            sent += len;
            assert!(sent < 256 << 20, "256 MiB of pings without an end");
        }
        // Blocked for good: nothing moves while another Client makes round trips.
        let mut other = Peer::clean(&broker, V4, "other");
        (0..50).for_each(|_| other.expect_only(&[]));
        match stream.write(&pings[sent % 2..]) {
            Ok(len) => {
                sent += len;
                None
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                Some(())
            }
        }
    });
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes");
    // It is served again when it reads.
    deaf.connection.stream().set_nonblocking(false).unwrap();
    for _ in 0..sent / 2 {
        assert_eq!(deaf.next(), "PINGRESP");
    }
}

#[test]
fn a_slow_reader_gets_qos_1_and_2_in_order_through_its_queue() {
    let broker = broker();
    for version in BOTH {
        let mut slow = Peer::clean(&broker, version, "slow");
        slow.subscribe("s", 2);
        let mut writer = Peer::clean(&broker, V4, "writer");
        // 40 MB: more than sockets and output buffer take.
        let payload = "y".repeat(20_000);
        for n in 0..2000_u16 {
            writer.send(&publish_with(
                V4,
                2 + 2 * u8::from(n % 2 == 1),
                "s",
                n + 1,
                &[],
                format!("{n} {payload}"),
            ));
            let line = writer.next();
            assert!(
                line == format!("PUBACK {} 00", n + 1) || line == format!("PUBREC {} 00", n + 1),
                "{line}"
            );
            if n % 2 == 1 {
                writer.send(&bytes::pubrel(n + 1));
                assert_eq!(writer.next(), format!("PUBCOMP {} 00", n + 1));
            }
        }
        let mut next = 0_u16;
        while next < 2000 {
            let packet = slow.packet().unwrap();
            let body = packet.body();
            match packet.bytes()[0] >> 4 {
                3 => {
                    let text = String::from_utf8_lossy(&body[5 + usize::from(version == V5)..]);
                    assert!(text.starts_with(&format!("{next} ")), "message {next}");
                    let id = u16::from_be_bytes([body[3], body[4]]);
                    slow.send(&if next % 2 == 1 { bytes::pubrec(id) } else { bytes::puback(id) });
                    next += 1;
                }
                6 => slow.send(&bytes::pubcomp(u16::from_be_bytes([body[0], body[1]]))),
                other => panic!("packet of type {other}"),
            }
        }
    }
}
