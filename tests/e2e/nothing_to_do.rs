//! Answers that say "nothing to do": they rest on an earlier change, so they do not come before
//! that is on the disk.
//!
//! The disk hangs while the test asks. A PINGRESP behind the questions shows that the broker has
//! read them. A request that rests on no change is answered at once.

use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Connection, ProtocolVersion, Publication, QoS};
use lotmq_test_support::{Broker, Reply, WAIT_MAX};

use crate::disk::Sick;

const PING: &[u8] = &[0xC0, 0];
const PINGRESP: &[u8] = &[0xD0, 0];

/// A connection whose packets are written byte by byte.
struct Raw(Connection);

impl Raw {
    /// Sends CONNECT and does not wait for its answer.
    fn knock(broker: &Broker, options: &ConnectOptions, version: ProtocolVersion) -> Self {
        let mut connection = Connection::open(broker.address(), version, WAIT_MAX).unwrap();
        let mut connect = Vec::new();
        options.encode(&mut connect).unwrap();
        connection.send(&connect).unwrap();
        Self(connection)
    }

    /// Connects a 3.1.1 Client; `is_clean` says whether its session ends with the connection.
    fn connect(broker: &Broker, client_id: &str, is_clean: bool) -> Self {
        let mut options = ConnectOptions::new(client_id);
        options.clean_start = is_clean;
        let mut raw = Self::knock(broker, &options, ProtocolVersion::V3_1_1);
        assert_eq!(raw.next()[0], 0x20);
        raw
    }

    fn send(&mut self, packets: &[&[u8]]) {
        self.0.send(&packets.concat()).unwrap();
    }

    fn next(&mut self) -> Vec<u8> {
        self.0.receive(WAIT_MAX).unwrap().expect("a packet comes").bytes().to_vec()
    }

    fn is_silent(&mut self) -> bool {
        self.0.receive(Duration::from_millis(200)).unwrap().is_none()
    }
}

fn nobody_is_subscribed_after_a_crash(sick: &mut Sick) {
    sick.broker.kill();
    sick.broker.start_again();
    let mut publisher = sick.broker.connect(&ConnectOptions::v5("publisher"));
    let sent = publisher.publish(&Publication::new("a", "x").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(sent as u8, 0x10, "nobody is subscribed");
}

/// Sends each group of packets by itself while the disk hangs: nothing is answered before it works
/// again, then all of it is, in this order.
fn waits_for_the_disk(client_id: &str, is_clean: bool, before: &[(&[u8], &[u8])], groups: &[(&[u8], &[u8])]) {
    let sick = Sick::new();
    let mut raw = Raw::connect(&sick.broker, client_id, is_clean);
    for (packet, answer) in before {
        raw.send(&[packet]);
        assert_eq!(raw.next(), *answer);
    }
    sick.becomes("hang");
    for (packet, _) in groups {
        // Each in a turn of its own.
        raw.send(&[packet, PING]);
        assert_eq!(raw.next(), PINGRESP, "{packet:02x?} is answered while nothing can be stored");
    }
    sick.heals();
    for (_, answer) in groups {
        assert_eq!(raw.next(), *answer);
    }
}

const SUBSCRIBE: (&[u8], &[u8]) = (&[0x82, 6, 0, 1, 0, 1, b'a', 1], &[0x90, 3, 0, 1, 1]);
const UNSUBSCRIBE: (&[u8], &[u8]) = (&[0xA2, 5, 0, 2, 0, 1, b'a'], &[0xB0, 2, 0, 2]);
const UNSUBSCRIBE_AGAIN: (&[u8], &[u8]) = (&[0xA2, 5, 0, 3, 0, 1, b'a'], &[0xB0, 2, 0, 3]);

#[test]
fn a_second_unsubscribe_waits_for_the_first() {
    waits_for_the_disk("s", false, &[SUBSCRIBE], &[UNSUBSCRIBE, UNSUBSCRIBE_AGAIN]);
}

#[test]
fn subscribing_and_unsubscribing_in_quick_succession_waits_each_time() {
    waits_for_the_disk("s", false, &[], &[SUBSCRIBE, SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE, UNSUBSCRIBE_AGAIN]);
}

#[test]
fn a_second_removal_of_a_retained_message_waits_for_the_first() {
    let set: (&[u8], &[u8]) = (&[0x33, 6, 0, 1, b'r', 0, 6, b'x'], &[0x40, 2, 0, 6]);
    let clear: (&[u8], &[u8]) = (&[0x33, 5, 0, 1, b'r', 0, 7], &[0x40, 2, 0, 7]);
    let again: (&[u8], &[u8]) = (&[0x33, 5, 0, 1, b'r', 0, 8], &[0x40, 2, 0, 8]);
    waits_for_the_disk("passing", true, &[set], &[clear, again]);
    // Another one may have cleared it, without asking for an answer.
    let sick = Sick::new();
    let (mut one, mut other) =
        (Raw::connect(&sick.broker, "one", true), Raw::connect(&sick.broker, "other", true));
    one.send(&[set.0]);
    assert_eq!(one.next(), set.1);
    sick.becomes("hang");
    one.send(&[&[0x31, 3, 0, 1, b'r'], PING]);
    assert_eq!(one.next(), PINGRESP);
    other.send(&[again.0, PING]);
    assert_eq!(other.next(), PINGRESP);
    sick.heals();
    assert_eq!(other.next(), again.1);
}

#[test]
fn repeated_packets_of_an_exchange_wait_for_the_first() {
    let first: (&[u8], &[u8]) = (&[0x34, 6, 0, 1, b'q', 0, 5, b'x'], &[0x50, 2, 0, 5]);
    let repeated: (&[u8], &[u8]) = (&[0x3C, 6, 0, 1, b'q', 0, 5, b'x'], &[0x50, 2, 0, 5]);
    let release: (&[u8], &[u8]) = (&[0x62, 2, 0, 5], &[0x70, 2, 0, 5]);
    waits_for_the_disk("s", false, &[], &[first, repeated]);
    waits_for_the_disk("s", false, &[first], &[release, release]);
}

#[test]
fn a_session_whose_end_is_on_its_way_to_the_disk_is_not_said_to_be_gone() {
    let sick = Sick::new();
    let broker = &sick.broker;
    let lasting = || ConnectOptions::v5("d").clean_start(false).session_expiry(3_600);
    let mut client = Client::connect(broker.address(), &lasting()).unwrap();
    client.subscribe_to("a", QoS::AtLeastOnce).unwrap();
    sick.becomes("hang");
    // DISCONNECT with Session Expiry Interval 0 ends the session.
    let mut ends = Raw::knock(broker, &lasting(), ProtocolVersion::V5);
    ends.send(&[&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]]);
    drop(client);
    assert!(ends.0.wait_closed(WAIT_MAX).unwrap());
    let passing = ConnectOptions::v5("d").clean_start(false).session_expiry(0);
    let mut back = Raw::knock(broker, &passing, ProtocolVersion::V5);
    assert!(back.is_silent(), "CONNACK says that there is no session, and there is one on the disk");
    // Taken over while it waits, the next connection waits for the same.
    let mut again = Raw::knock(broker, &passing, ProtocolVersion::V5);
    assert!(again.is_silent());
    // It is about this Client Identifier alone.
    let mut other = Raw::knock(broker, &ConnectOptions::v5("other"), ProtocolVersion::V5);
    assert_eq!(other.next()[0], 0x20);
    sick.heals();
    let connack = again.next();
    assert_eq!((connack[0], connack[2], connack[3]), (0x20, 0, 0), "accepted, no session present");
}

#[test]
fn unsubscribe_that_failed_on_disk_is_stored_when_repeated() {
    let mut sick = Sick::new();
    let mut raw = Raw::connect(&sick.broker, "s", false);
    raw.send(&[SUBSCRIBE.0]);
    assert_eq!(raw.next(), SUBSCRIBE.1);
    sick.becomes("sync-eio");
    raw.send(&[UNSUBSCRIBE.0]);
    assert!(raw.0.wait_closed(WAIT_MAX).unwrap(), "it is not acknowledged");
    sick.heals();
    sick.wait_until_healthy();
    let mut raw = Raw::connect(&sick.broker, "s", false);
    raw.send(&[UNSUBSCRIBE_AGAIN.0]);
    assert_eq!(raw.next(), UNSUBSCRIBE_AGAIN.1);
    nobody_is_subscribed_after_a_crash(&mut sick);
}

/// The 3.1.1 Client sends a QoS 2 message, whose commit fails; then the disk works but not for what
/// it refused, which is given up.
#[test]
fn a_message_that_was_given_up_is_not_acknowledged_when_it_is_repeated() {
    let first: &[u8] = &[0x34, 6, 0, 1, b'q', 0, 5, b'x'];
    let repeated: &[u8] = &[0x3C, 6, 0, 1, b'q', 0, 5, b'x'];
    let mut sick = Sick::new();
    let sleeper = || ConnectOptions::v5("sleeper").clean_start(false).session_expiry(3_600);
    let mut asleep = sick.broker.connect(&sleeper());
    assert!(!asleep.subscribe_to("q", QoS::ExactlyOnce).unwrap().is_failure());
    asleep.disconnect().unwrap();
    let mut raw = Raw::connect(&sick.broker, "s", false);
    sick.becomes("write-eio");
    raw.send(&[first]);
    assert!(raw.0.wait_closed(WAIT_MAX).unwrap(), "it is not acknowledged");
    // So that nothing of the session is among what is kept and given up.
    sick.becomes("kept-eio");
    sick.broker.wait_for_metric("lotmq_store_batches_lost_total", 1.0);
    sick.heals();
    sick.wait_until_healthy();
    let mut raw = Raw::connect(&sick.broker, "s", false);
    raw.send(&[repeated]);
    assert_eq!(raw.next(), [0x50, 2, 0, 5]);
    sick.broker.kill();
    sick.broker.start_again();
    let mut awake = sick.broker.connect(&sleeper());
    assert_eq!(awake.receive(WAIT_MAX).unwrap().expect("what was acknowledged is there").text(), "x");
}

#[test]
fn an_identifier_that_was_freed_by_a_refusal_is_free_after_a_restart_too() {
    let mut sick = Sick::new();
    let me = || ConnectOptions::v5("five").clean_start(false).session_expiry(3_600);
    let mut raw = Raw::knock(&sick.broker, &me(), ProtocolVersion::V5);
    assert_eq!(raw.next()[0], 0x20);
    sick.becomes("sync-eio");
    let publish: &[u8] = &[0x34, 7, 0, 1, b'q', 0, 5, 0, b'x'];
    raw.send(&[publish]);
    let refused = raw.next();
    assert_eq!((refused[0], refused[4]), (0x50, 0x83), "{refused:02x?}");
    sick.heals();
    sick.wait_until_healthy();
    sick.broker.kill();
    sick.broker.start_again();
    let mut subscriber = sick.broker.client("subscriber");
    subscriber.subscribe_to("q", QoS::AtLeastOnce).unwrap();
    let mut raw = Raw::knock(&sick.broker, &me(), ProtocolVersion::V5);
    assert_eq!(raw.next()[0], 0x20);
    raw.send(&[publish]);
    assert_eq!(raw.next()[0], 0x50);
    assert_eq!(subscriber.receive(WAIT_MAX).unwrap().expect("it is a new message").text(), "x");
}

#[test]
fn clean_start_waits_for_the_end_of_the_session_before() {
    for expiry in [0, 3_600] {
        let mut sick = Sick::new();
        let lasting = || ConnectOptions::v5("d").clean_start(false).session_expiry(3_600);
        let mut before = sick.broker.connect(&lasting());
        before.subscribe_to("a", QoS::AtLeastOnce).unwrap();
        before.disconnect().unwrap();
        sick.becomes("hang");
        let clean = || ConnectOptions::v5("d").clean_start(true).session_expiry(expiry);
        let mut first = Raw::knock(&sick.broker, &clean(), ProtocolVersion::V5);
        assert!(first.is_silent(), "the session before is on the disk");
        // The first has ended it in memory, so this one finds another, or none.
        let mut second = Raw::knock(&sick.broker, &clean(), ProtocolVersion::V5);
        assert!(second.is_silent(), "the session before is on the disk still");
        drop(first);
        sick.heals();
        let connack = second.next();
        assert_eq!((connack[0], connack[2], connack[3]), (0x20, 0, 0), "accepted, no session present");
        nobody_is_subscribed_after_a_crash(&mut sick);
    }
}

/// While the first of two commands waits for the disk, the broker answers no command about the same
/// thing, for any user.
#[test]
fn commands_with_nothing_to_do_wait_for_the_change_they_rest_on() {
    let action = "DEFINE ACTION A\nON TOPIC \"never\" DO\n    PUBLISH TOPIC \"x\" WITH 1";
    let rule = "DEFINE RULE R WITH PRIORITY 100 FOR Publish TO TOPIC \"never\"\n    IF USER IS \"nobody\" THEN\n        ALLOW";
    let pairs: [(&[&str], String); 6] = [
        (&[], "-addUser bob s3cret-pump".to_owned()),
        (&["-addUser bob s3cret-pump"], "-removeUser bob".to_owned()),
        (&[], format!("-addAction {action}")),
        (&[&format!("-addAction {action}")], "-removeAction A".to_owned()),
        (&[], format!("-addRule {rule}")),
        (&[&format!("-addRule {rule}")], "-removeRule R".to_owned()),
    ];
    for (before, command) in pairs {
        let sick = Sick::new();
        for command in before {
            sick.broker.command_ok(command);
        }
        sick.becomes("hang");
        // Each of a Client of its own, because those of one Client wait for each other anyway.
        let mut asked: Vec<Asked> =
            (0..3).map(|number| Asked::new(&sick.broker, &format!("asks-{number}"), &command)).collect();
        for one in &mut asked {
            assert!(one.is_silent(), "{command} is answered while nothing can be stored");
        }
        sick.heals();
        for one in &mut asked {
            one.answer();
        }
    }
}

#[test]
fn a_session_that_an_administrator_has_ended_already_is_not_found_when_that_is_stored() {
    let mut sick = Sick::new();
    let lasting = ConnectOptions::v5("d").clean_start(false).session_expiry(3_600);
    sick.broker.connect(&lasting).disconnect().unwrap();
    sick.becomes("hang");
    let mut first = Asked::new(&sick.broker, "asks-1", "-endSession d");
    assert!(first.is_silent());
    let mut second = Asked::new(&sick.broker, "asks-2", "-endSession d");
    assert!(second.is_silent(), "the session is on the disk still");
    // One that never was is not known not to be one of those.
    sick.heals();
    first.answer();
    second.answer();
    sick.broker.kill();
    sick.broker.start_again();
    assert!(!sick.broker.connect(&lasting).session_present());
}

#[test]
fn a_second_removal_of_kept_values_waits_for_the_first() {
    const VALUES: usize = 1_200;
    let mut sick = Sick::new();
    sick.broker.command_ok(
        "-addAction DEFINE ACTION Keep\nON TOPIC \"keep/+\" DO\n    KEEP TOPIC \"kept/\" + TOPIC POSITION 2 WITH PAYLOAD",
    );
    let mut publisher = sick.broker.client("publisher");
    for number in 0..VALUES {
        publisher.publish(&Publication::new(format!("keep/{number}"), "x").qos(QoS::AtLeastOnce)).unwrap();
    }
    let wanted = format!("{VALUES} kept value(s).");
    lotmq_test_support::eventually("all are kept", || {
        (sick.broker.command("-listKept kept/#").message() == wanted).then_some(())
    });
    sick.becomes("hang");
    let mut asked: Vec<Asked> = (0..2)
        .map(|number| Asked::new(&sick.broker, &format!("asks-{number}"), "-removeKept kept/#"))
        .collect();
    for one in &mut asked {
        assert!(one.is_silent(), "it is answered while nothing can be stored");
    }
    sick.heals();
    for one in &mut asked {
        assert!(one.answer().success());
    }
    sick.broker.kill();
    sick.broker.start_again();
    assert_eq!(sick.broker.command("-listKept kept/#").message(), "0 kept value(s).");
}

/// One of the administrator's connections that has given one command.
struct Asked(Client);

impl Asked {
    fn new(broker: &Broker, client_id: &str, command: &str) -> Self {
        let mut client = broker.connect(&ConnectOptions::new(client_id).user("root", "coreflux"));
        client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        let payload = format!("{command} -requestId {client_id}");
        client.publish(&Publication::new("$SYS/Coreflux/Command", payload).qos(QoS::AtLeastOnce)).unwrap();
        Self(client)
    }

    fn is_silent(&mut self) -> bool {
        self.0.receive(Duration::from_millis(200)).unwrap().is_none()
    }

    fn answer(&mut self) -> Reply {
        Reply(serde_json::from_slice(&self.0.receive(WAIT_MAX).unwrap().expect("an answer").payload).unwrap())
    }
}

#[test]
fn a_command_that_could_not_be_stored_is_in_force_as_it_says_and_after_a_restart_too() {
    let mut sick = Sick::new();
    for command in ["-addUser bob s3cret-pump", "-addUser cid s3cret-pump", "-addUser dan s3cret-pump"] {
        sick.broker.command_ok(command);
    }
    let groups = |broker: &Broker| broker.command_ok("-listUserGroups dan").data()["groups"].to_string();
    let changes = [
        "-addUser ada l0velace-1815",
        "-removeUser bob",
        "-changeUserPassword cid n3w-s3cret",
        "-addUserToGroup dan ops",
    ];
    for command in changes {
        sick.becomes("write-eio");
        let reply = sick.broker.command(command);
        assert_eq!(reply.code(), "STORE_FAILED", "{command}");
        assert!(reply.message().contains("It is in force"), "{command}: {}", reply.message());
        sick.heals();
        sick.wait_until_healthy();
    }
    for _ in 0..2 {
        let broker = &sick.broker;
        let logs_in = |user: &str, password: &str| {
            Client::connect(broker.address(), &ConnectOptions::new(user).user(user, password)).is_ok()
        };
        assert!(logs_in("ada", "l0velace-1815"));
        assert!(!logs_in("bob", "s3cret-pump"));
        assert!(logs_in("cid", "n3w-s3cret"));
        assert!(groups(broker).contains("ops"));
        sick.broker.kill();
        sick.broker.start_again();
    }
}

#[test]
fn reply_with_unstored_data_contains_a_warning() {
    let sick = Sick::new();
    sick.becomes("hang");
    let mut root = sick.broker.connect(&ConnectOptions::new("changing").user("root", "coreflux"));
    let change = Publication::new("$SYS/Coreflux/Command", "-addUser bob s3cret").qos(QoS::AtLeastOnce);
    root.publish(&change).unwrap();
    let told = lotmq_test_support::eventually("bob is listed with a warning", || {
        let reply = sick.broker.command("-listUsers").0;
        reply["data"].to_string().contains("bob").then_some(reply)
    });
    assert_eq!(told["warnings"][0]["code"], "NOT_STORED_YET", "{told}");
    sick.heals();
    lotmq_test_support::eventually("it is told without one", || {
        let reply = sick.broker.command("-listUsers").0;
        (reply["data"].to_string().contains("bob") && reply.get("warnings").is_none()).then_some(())
    });
}
