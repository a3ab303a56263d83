//! A message over which the other broker ends each connection, as it does before 5.0 with one that
//! is too large: it is found, and no other is set aside.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use lotmq_test_support::eventually;

use super::{ANYBODY, Mosquitto, bridge, mapping};
use crate::{broker, next, send};

/// A bridge before 5.0 that connects again soon after each end.
fn quick(port: u16) -> String {
    let quick = "    ADD ROUTE_CONFIG\n        WITH RECONNECTION_MAX_PAUSE 1\n";
    let mappings = mapping("M", "up/#", "up/#", "out");
    bridge(port, "PROTOCOL_VERSION \"3.1.1\"", &format!("{quick}{mappings}"))
}

/// Before 5.0 a broker says that a packet is too large by ending the connection, each time.
fn a_message_that_ends_every_connection_is_set_aside_and_no_other() {
    let Some(mosquitto) = Mosquitto::start(&format!("{ANYBODY}\nmax_packet_size 2000")) else { return };
    let broker = broker();
    let mut there = mosquitto.watch("up/#");
    broker.command_ok(&quick(mosquitto.port));
    send(&broker, "up/x", "small");
    assert_eq!(next(&mut there), "up/x=small");
    send(&broker, "up/x", &"x".repeat(5_000));
    send(&broker, "up/x", "behind it");
    assert_eq!(next(&mut there), "up/x=behind it");
    let letters = broker.command_ok("-listDeadLetters Up");
    let reason = letters.data()["letters"][0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("has ended the connection 5 times right behind this message"), "{reason}");
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(1.0));
}

/// Sends a first message that is too large for the other broker, and then the messages `behind` by
/// topic. They arrive in the order `arrives`.
fn passes_behind_a_first_that_is_too_large(behind: &[(&str, &str)], arrives: &[&str]) {
    let Some(mosquitto) = Mosquitto::start(&format!("{ANYBODY}\nmax_packet_size 2000")) else { return };
    let broker = broker();
    let mut there = mosquitto.watch("up/#");
    broker.command_ok(&quick(mosquitto.port));
    send(&broker, "up/x", &"x".repeat(5_000));
    behind.iter().for_each(|(topic, text)| send(&broker, topic, text));
    // The last one is behind the message that is set aside.
    for expected in arrives {
        assert_eq!(next(&mut there), *expected);
    }
    eventually("nothing waits", || (broker.metric("lotmq_route_waiting") == Some(0.0)).then_some(()));
    let letters = broker.command_ok("-listDeadLetters Up");
    let reason = letters.data()["letters"][0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("right behind this message"), "{reason}");
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(1.0));
    send(&broker, "up/z", "last");
    assert_eq!(next(&mut there), "up/z=last", "nothing came twice");
}

/// All at once, as each is a dozen pauses between connections.
#[test]
fn a_message_that_ends_every_connection_is_found_whatever_is_around_it() {
    std::thread::scope(|scope| {
        scope.spawn(a_message_that_ends_every_connection_is_set_aside_and_no_other);
        // The other one is of another topic, or of the same.
        for (behind, arrives) in [
            ([("up/x", "behind it"), ("up/y", "other")], ["up/y=other", "up/x=behind it"]),
            ([("up/x", "behind it"), ("up/x", "then")], ["up/x=behind it", "up/x=then"]),
        ] {
            scope.spawn(move || passes_behind_a_first_that_is_too_large(&behind, &arrives));
        }
        scope.spawn(a_broker_that_recovers_gets_the_first_message_as_well);
    });
}

/// A broker that takes a connection and ends it at the first message; from the connection of number
/// `well` on it acknowledges all. Gives the topics that it has acknowledged.
fn ailing(well: usize, messages: usize) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = far.local_addr().unwrap().port();
    let serve = move || {
        let mut taken = Vec::new();
        for number in 0.. {
            let (mut stream, _) = far.accept().unwrap();
            while let Some((kind, body)) = packet(&mut stream) {
                match kind >> 4 {
                    1 => stream.write_all(b"\x20\x02\x00\x00").unwrap(),
                    3 if number < well => break,
                    3 => {
                        let (topic, rest) = body[2..].split_at(usize::from(body[1]));
                        taken.push(String::from_utf8(topic.to_vec()).unwrap());
                        stream.write_all(&[0x40, 2, rest[0], rest[1]]).unwrap();
                        if taken.len() == messages {
                            return taken;
                        }
                    }
                    _ => {}
                }
            }
        }
        unreachable!("there are more connections")
    };
    (port, std::thread::spawn(serve))
}

/// Reads a packet: its first byte, and what is behind its length.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let kind = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((kind, body))
}

/// A broker that ends each connection for another reason, such as a full disk, and is well again by
/// the time that it is asked whose fault it is.
fn a_broker_that_recovers_gets_the_first_message_as_well() {
    let (port, far) = ailing(8, 3);
    let broker = broker();
    broker.command_ok(&quick(port));
    send(&broker, "up/x", &"x".repeat(5_000));
    send(&broker, "up/x", "behind it");
    send(&broker, "up/y", "other");
    let mut taken = far.join().unwrap();
    taken.sort();
    assert_eq!(taken, ["up/x", "up/x", "up/y"]);
    assert_eq!(broker.metric("lotmq_route_dead_letters_total"), Some(0.0));
}
