//! Extended authentication, by SCRAM-SHA-256: when the Client connects, and again later (checklist
//! 2 and 4, MQTT 5.0 §4.12).

use lotmq_test_support::{Broker, BrokerOptions};

use crate::bytes::{self, field, four, packet, properties, publish, subscribe};
use crate::scram::Scram;
use crate::{Connect, Peer, V5, options};

const METHOD: &str = "SCRAM-SHA-256";

fn scram_options() -> BrokerOptions {
    options().variable("LOTMQ_AUTH_SCRAM_SHA_256", "true")
}

/// A broker that knows SCRAM and the user `bob`.
fn broker() -> Broker {
    with_bob(scram_options())
}

fn with_bob(options: BrokerOptions) -> Broker {
    let broker = options.start();
    broker.command_ok("-addUser bob s3cret");
    broker
}

/// Authentication Method, and Data if there is any.
fn fields(method: &str, data: &[u8]) -> Vec<u8> {
    let data = if data.is_empty() { vec![] } else { [vec![0x16], field(data)].concat() };
    [vec![0x15], field(method), data].concat()
}

/// An AUTH of a Client.
fn auth(reason: u8, method: &str, data: &[u8]) -> Vec<u8> {
    packet(0xF0, &[vec![reason], properties(&fields(method, data))].concat())
}

/// The data of the next packet, which must be an AUTH with this reason and the method that CONNECT
/// had.
#[track_caller]
fn auth_data(peer: &mut Peer, reason: u8) -> Vec<u8> {
    let packet = peer.packet().expect("AUTH");
    let body = packet.body();
    assert_eq!((packet.bytes()[0], body[0]), (0xF0, reason), "{:X?}", packet.bytes());
    data_in(&body[1..])
}

/// Authentication Data from a list of properties that has the method of CONNECT.
#[track_caller]
fn data_in(list: &[u8]) -> Vec<u8> {
    let position = |wanted: &[u8]| list.windows(wanted.len()).position(|window| window == wanted);
    position(&fields(METHOD, b"")).expect("the method of CONNECT");
    // No length and no text of these lists has this byte.
    let at = position(&[0x16, 0]).expect("data");
    let len = usize::from(list[at + 2]);
    list[at + 3..at + 3 + len].to_vec()
}

fn asks(connect: &Connect, data: &[u8]) -> Vec<u8> {
    connect.clone().property(&fields(METHOD, data)).bytes()
}

/// Sends CONNECT and the rest of the exchange, and returns the body of CONNACK, `None` when nothing
/// comes.
fn connack(broker: &Broker, connect: &Connect, scram: &mut Scram) -> (Peer, Option<Vec<u8>>) {
    let mut peer = Peer::open(broker, V5);
    peer.send(&asks(connect, &scram.first()));
    let challenge = auth_data(&mut peer, 0x18);
    peer.send(&auth(0x18, METHOD, &scram.last(&challenge)));
    let body = peer.packet().map(|packet| packet.body().to_vec());
    (peer, body)
}

/// Insists on a login.
#[track_caller]
fn join(broker: &Broker, connect: &Connect, user: &str, password: &str) -> Peer {
    let mut scram = Scram::new(user, password);
    let (peer, body) = connack(broker, connect, &mut scram);
    let body = body.expect("CONNACK");
    assert_eq!(body[..2], [0, 0], "{body:X?}");
    assert!(scram.is_proved_by(&data_in(&body[2..])), "the broker knows the password");
    peer
}

/// The reason of the CONNACK that refuses, and that closes the connection.
#[track_caller]
fn refused(broker: &Broker, connect: &Connect, user: &str, password: &str) -> u8 {
    let (mut peer, body) = connack(broker, connect, &mut Scram::new(user, password));
    assert_eq!(peer.until_closed(), [""; 0]);
    body.expect("CONNACK")[1]
}

/// AUTH of the broker during CONNECT has reason 0x18 [MQTT-4.12.0-2], it and CONNACK repeat the
/// method [MQTT-4.12.0-5], and there is one CONNACK, with nothing but AUTH in front of it
/// [MQTT-3.2.0-1].
#[test]
fn scram_finds_out_who_comes() {
    let broker = broker();
    let mut bob = join(&broker, &Connect::new(V5, "c"), "bob", "s3cret");
    bob.subscribe("t", 1);
    bob.publish(1, "t", "x");
    bob.expect_only(&["PUBLISH t q1 #1: x"]);
    // This client is bob, who may not do what root may.
    bob.send(&subscribe(V5, 1, "$SYS/Coreflux/Comms/Logins", 0));
    bob.expect(&["SUBACK 1 87"]);
    let mut root = join(&broker, &Connect::new(V5, "r"), "root", "coreflux");
    root.subscribe("$SYS/Coreflux/Comms/Logins", 0);
    // The name in CONNECT may be said as well, and must be the same.
    let named = |name: &str| Connect::new(V5, "n").user(name, "not looked at");
    join(&broker, &named("bob"), "bob", "s3cret").leave();
    let mut peer = Peer::open(&broker, V5);
    peer.send(&asks(&named("root"), &Scram::new("bob", "s3cret").first()));
    assert_eq!(peer.until_closed(), ["CONNACK 0 87"]);
    // A session belongs to its user, however the user logs in.
    let kept = Connect::kept(V5, "kept");
    join(&broker, &kept, "bob", "s3cret").leave();
    assert!(Peer::join(&broker, &kept.clone().user("bob", "s3cret")).present());
    // That of another user with the same identifier is another one.
    join(&broker, &kept, "root", "coreflux").leave();
    assert!(Peer::join(&broker, &kept.user("bob", "s3cret")).present());
    // A client that leaves the first word to the broker.
    let mut peer = Peer::open(&broker, V5);
    peer.send(&asks(&Connect::new(V5, "late"), b""));
    assert_eq!(peer.packet().unwrap().bytes(), auth(0x18, METHOD, b""));
    let mut scram = Scram::new("bob", "s3cret");
    peer.send(&auth(0x18, METHOD, &scram.first()));
    let challenge = auth_data(&mut peer, 0x18);
    peer.send(&auth(0x18, METHOD, &scram.last(&challenge)));
    peer.expect(&["CONNACK 0 00"]);
}

/// The broker closes a refused connection [MQTT-4.12.0-4]. It answers the same for an existing user
/// and for an unknown one.
#[test]
fn failed_or_malformed_scram_login_is_rejected() {
    let broker = broker();
    let connect = Connect::new(V5, "c");
    for (user, password) in [("bob", "S3cret"), ("bob", ""), ("eve", "s3cret"), ("bo", "s3cret")] {
        assert_eq!(refused(&broker, &connect, user, password), 0x87, "{user} {password}");
    }
    let challenge = |user: &str| {
        let mut peer = Peer::open(&broker, V5);
        peer.send(&asks(&connect, &Scram::new(user, "").first()));
        let text = String::from_utf8(auth_data(&mut peer, 0x18)).unwrap();
        text.split_once(",s=").unwrap().1.to_owned()
    };
    let (bob, eve) = (challenge("bob"), challenge("eve"));
    assert_eq!((bob.len(), &bob[bob.len() - 8..]), (eve.len(), &eve[eve.len() - 8..]));
    assert_eq!((&bob, &eve), (&challenge("bob"), &challenge("eve")));
    // Data that is no message of SCRAM, and one that is too long.
    let long = [b"n,,n=bob,r=".to_vec(), vec![b'x'; 3000]].concat();
    for data in [&b"x"[..], b"n,,n=bob", b"p=tls-exporter,,n=bob,r=x", &long] {
        let mut peer = Peer::open(&broker, V5);
        peer.send(&asks(&connect, data));
        assert_eq!(peer.until_closed(), ["CONNACK 0 87"]);
    }
    // A method that nobody knows: violates [MQTT-4.12.0-1].
    for method in ["SCRAM-SHA-1", "scram-sha-256", ""] {
        let mut peer = Peer::open(&broker, V5);
        peer.send(&connect.clone().property(&fields(method, b"n,,n=bob,r=x")).bytes());
        assert_eq!(peer.until_closed(), ["CONNACK 0 8C"], "{method}");
    }
    // The challenge does not fit the Client's Maximum Packet Size [MQTT-3.1.2-24].
    let mut peer = Peer::open(&broker, V5);
    peer.send(&asks(&connect.clone().property(&four(0x27, 60)), &Scram::new("bob", "").first()));
    assert_eq!(peer.until_closed(), ["CONNACK 0 95"]);
}

/// Between CONNECT and CONNACK nothing but AUTH that goes on and DISCONNECT is taken: violates
/// [MQTT-3.1.2-30], [MQTT-4.12.0-3]. No DISCONNECT comes from the broker [MQTT-3.14.0-1], what was
/// refused has no effect [MQTT-3.1.4-6], and no Will comes of it.
#[test]
fn only_the_exchange_goes_on_before_connack() {
    let broker = broker();
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("#", 0);
    let connect = Connect::new(V5, "c").will("will", "x", 0, false);
    for (sent, told) in [
        (publish(V5, 0, "t", 0, "x"), &["CONNACK 0 82"][..]),
        (subscribe(V5, 1, "t", 0), &["CONNACK 0 82"]),
        (bytes::PINGREQ.to_vec(), &["CONNACK 0 82"]),
        (Connect::new(V5, "c").bytes(), &["CONNACK 0 82"]),
        (packet(0x20, &[0, 0, 0]), &["CONNACK 0 82"]),
        (auth(0x19, METHOD, b"x"), &["CONNACK 0 82"]),
        (auth(0x00, METHOD, b"x"), &["CONNACK 0 82"]),
        (packet(0xF0, &[]), &["CONNACK 0 82"]),
        (auth(0x18, "SCRAM-SHA-1", b"x"), &["CONNACK 0 82"]),
        (packet(0xF0, &[0x18, 0]), &["CONNACK 0 82"]),
        // Not even a packet.
        (packet(0xF1, &[]), &[]),
        (packet(0xF0, &[0x18, 9]), &["CONNACK 0 81"]),
        (auth(0x18, METHOD, b""), &["CONNACK 0 87"]),
        (bytes::DISCONNECT.to_vec(), &[]),
        (packet(0xE0, &[0x04]), &[]),
    ] {
        let mut peer = Peer::open(&broker, V5);
        peer.send(&asks(&connect, &Scram::new("bob", "").first()));
        auth_data(&mut peer, 0x18);
        peer.send(&[sent.clone(), publish(V5, 0, "behind", 0, "x")].concat());
        assert_eq!(peer.until_closed(), told, "{sent:X?}");
    }
    watcher.expect_only(&[]);
}

/// Connections before CONNECT that this machine may have beyond `half_open`.
const LOCAL_SPARES: usize = 8;

/// A client that does not go on counts as one that does not send CONNECT in time, and is closed
/// with those.
#[test]
fn an_exchange_has_the_time_of_connect() {
    let broker = scram_options()
        .variable("LOTMQ_LIMITS_CONNECT_TIMEOUT_SEC", "2")
        .variable("LOTMQ_LIMITS_HALF_OPEN", "1")
        .start();
    let begin = |number: usize| {
        let mut slow = Peer::open(&broker, V5);
        slow.send(&asks(&Connect::new(V5, &format!("slow-{number}")), &Scram::new("bob", "").first()));
        auth_data(&mut slow, 0x18);
        slow
    };
    let mut slow: Vec<Peer> = (0..=LOCAL_SPARES).map(begin).collect();
    let mut second = Peer::open(&broker, V5);
    second.try_send(&Connect::new(V5, "second").bytes());
    assert_eq!(second.until_closed(), [""; 0]);
    for one in &mut slow {
        assert_eq!(one.until_closed(), [""; 0]);
    }
    Peer::clean(&broker, V5, "second").leave();
}

/// A re-authentication by the method of CONNECT [MQTT-4.12.1-1], while everything else goes on.
#[test]
fn a_client_may_authenticate_again() {
    let broker = broker();
    let mut peer = join(&broker, &Connect::new(V5, "c"), "bob", "s3cret");
    for _ in 0..2 {
        let mut scram = Scram::new("bob", "s3cret");
        peer.send(&auth(0x19, METHOD, &scram.first()));
        let challenge = auth_data(&mut peer, 0x18);
        peer.subscribe("t", 1);
        peer.publish(1, "t", "x");
        let line = peer.next();
        assert!(line.starts_with("PUBLISH t q1"), "{line}");
        peer.send(&auth(0x18, METHOD, &scram.last(&challenge)));
        assert!(scram.is_proved_by(&auth_data(&mut peer, 0x00)));
    }
}

/// It may take as long as a CONNECT.
#[test]
fn a_reauthentication_ends_in_time() {
    let broker = with_bob(scram_options().variable("LOTMQ_LIMITS_CONNECT_TIMEOUT_SEC", "1"));
    let mut peer = join(&broker, &Connect::new(V5, "c"), "bob", "s3cret");
    let mut scram = Scram::new("bob", "s3cret");
    peer.send(&auth(0x19, METHOD, &scram.first()));
    let challenge = auth_data(&mut peer, 0x18);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    peer.send(&auth(0x18, METHOD, &scram.last(&challenge)));
    assert_eq!(peer.until_closed(), ["DISCONNECT 87"]);
}

/// One that fails closes the connection [MQTT-4.12.1-2], and publishes the Will. Another method
/// than that of CONNECT violates [MQTT-4.12.1-1]; AUTH without a method in CONNECT violates
/// [MQTT-4.12.0-7].
#[test]
fn a_reauthentication_that_fails_closes() {
    let broker = broker();
    broker.command_ok("-addUser eve s3cret");
    let mut watcher = Peer::clean(&broker, V5, "watcher");
    watcher.subscribe("will", 0);
    let connect = Connect::new(V5, "c").will("will", "x", 0, false);
    let first = Scram::new("bob", "s3cret").first();
    let again = auth(0x19, METHOD, &first);
    for (sent, told) in [
        (vec![auth(0x19, "SCRAM-SHA-1", &first)], "DISCONNECT 82"),
        (vec![auth(0x18, METHOD, &first)], "DISCONNECT 82"),
        (vec![auth(0x00, METHOD, &first)], "DISCONNECT 82"),
        (vec![packet(0xF0, &[])], "DISCONNECT 82"),
        (vec![again.clone(), again.clone()], "DISCONNECT 82"),
        (vec![again.clone(), auth(0x18, METHOD, b"c=biws,r=x,p=AAAA")], "DISCONNECT 87"),
        (vec![auth(0x19, METHOD, b"nonsense")], "DISCONNECT 87"),
        // Somebody else.
        (vec![auth(0x19, METHOD, &Scram::new("eve", "s3cret").first())], "DISCONNECT 87"),
    ] {
        let mut peer = join(&broker, &connect, "bob", "s3cret");
        peer.send(&sent.concat());
        if sent.len() > 1 {
            auth_data(&mut peer, 0x18);
        }
        assert_eq!(peer.until_closed(), [told], "{sent:X?}");
        watcher.expect(&["PUBLISH will q0: x"]);
    }
    // The log shows whose name was used.
    broker.log().expect("user=\"bob\"");
    let mut plain = Peer::clean(&broker, V5, "plain");
    plain.send(&again);
    assert_eq!(plain.until_closed(), ["DISCONNECT 82"]);
}

/// While SCRAM is on, the broker stores verifiers for the passwords that it sees. They are
/// encrypted, and nobody can list them.
#[test]
fn scram_is_for_passwords_that_were_seen_while_it_was_on() {
    let data = tempfile::tempdir().unwrap();
    let off = || options().data(data.path()).start();
    let connect = Connect::new(V5, "c");
    let is_off = |broker: &Broker| {
        let mut peer = Peer::open(broker, V5);
        peer.send(&asks(&connect, &Scram::new("bob", "").first()));
        assert_eq!(peer.until_closed(), ["CONNACK 0 8C"]);
    };
    let mut broker = off();
    broker.command_ok("-addUser bob s3cret");
    is_off(&broker);
    broker.stop();
    let mut broker = scram_options().data(data.path()).start();
    assert_eq!(refused(&broker, &connect, "bob", "s3cret"), 0x87);
    Peer::join(&broker, &connect.clone().user("bob", "s3cret")).leave();
    join(&broker, &connect, "bob", "s3cret").leave();
    broker.command_ok("-addUser eve n3w");
    join(&broker, &connect, "eve", "n3w").leave();
    broker.command_ok("-changeUserPassword eve other");
    assert_eq!(refused(&broker, &connect, "eve", "n3w"), 0x87);
    // Behind a commit that was waited for, what was stored for bob is there after a crash, too.
    broker.kill();
    broker.start_again();
    join(&broker, &connect, "bob", "s3cret").leave();
    join(&broker, &connect, "eve", "other").leave();
    broker.command_ok("-removeUser eve");
    assert_eq!(refused(&broker, &connect, "eve", "other"), 0x87);
    let secrets = broker.command_ok("-listSecrets");
    assert!(!format!("{secrets:?}").contains("scram"), "{secrets:?}");
    broker.stop();
    let mut broker = off();
    is_off(&broker);
    broker.stop();
    // The stored verifiers are gone: the broker must see the password again.
    let broker = scram_options().data(data.path()).start();
    assert_eq!(refused(&broker, &connect, "bob", "s3cret"), 0x87);
}
