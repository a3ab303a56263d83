//! Queues that are longer than what of them is in memory: whole, in order, once, and not in memory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lotmq_client::{Client, ConnectOptions, Publication, QoS, ReasonCode, SubscriptionOptions};
use lotmq_codec::Properties;
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::{broker, options};

/// Messages of a queue: several slices of it.
const MESSAGES: usize = 2_500;

fn lasting(client_id: &str) -> ConnectOptions {
    ConnectOptions::v5(client_id).clean_start(false).session_expiry(3_600)
}

fn subscribe_and_leave(broker: &Broker, client_id: &str, filter: &str) {
    let mut client = broker.connect(&lasting(client_id));
    client.subscribe_to(filter, QoS::ExactlyOnce).unwrap();
    client.disconnect().unwrap();
}

fn publish(broker: &Broker, numbers: std::ops::Range<usize>) {
    let mut publisher = broker.client("publisher");
    for number in numbers {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        let publication = Publication::new("long/q", format!("{number:<200}")).qos(qos);
        let reason = publisher.publish(&publication).unwrap();
        assert!(!reason.is_failure(), "{reason}");
    }
    publisher.disconnect().unwrap();
}

fn number(client: &mut Client) -> usize {
    let message = client.receive(WAIT_MAX).unwrap().expect("a message is missing");
    message.text().trim().parse().unwrap()
}

fn figure(broker: &Broker, name: &str) -> usize {
    broker.metric(name).unwrap() as usize
}

/// Waits until nothing of the queues is in memory.
fn all_rest(broker: &Broker) {
    eventually("queues rest in the store", || (figure(broker, "lotmq_queued_in_memory") == 0).then_some(()));
}

#[test]
fn a_queue_rests_in_the_store_and_comes_back_whole_in_order_and_once() {
    let broker = broker();
    subscribe_and_leave(&broker, "away", "long/q");
    publish(&broker, 0..MESSAGES);
    all_rest(&broker);
    assert_eq!(figure(&broker, "lotmq_store_deliveries"), MESSAGES);
    let mut client = broker.connect(&lasting("away"));
    for expected in 0..MESSAGES / 2 {
        assert_eq!(number(&mut client), expected);
    }
    assert!(figure(&broker, "lotmq_queued_in_memory") < 1_100, "two slices at most");
    // New messages wait behind the earlier ones.
    publish(&broker, MESSAGES..MESSAGES + 100);
    for expected in MESSAGES / 2..MESSAGES + 100 {
        assert_eq!(number(&mut client), expected);
    }
    publish(&broker, 7..8);
    assert_eq!(number(&mut client), 7, "nothing came between");
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
}

#[test]
fn kill_9_in_the_midst_of_a_drain_costs_no_message_and_no_order() {
    let mut broker = broker();
    subscribe_and_leave(&broker, "away", "long/q");
    publish(&broker, 0..MESSAGES);
    let mut next = 0;
    for taken in [300, 900] {
        let mut client = broker.connect(&lasting("away"));
        for _ in 0..taken {
            next = take(&mut client, next);
        }
        broker.kill();
        broker.start_again();
        assert_eq!(figure(&broker, "lotmq_queued_in_memory"), 0);
    }
    let mut client = broker.connect(&lasting("away"));
    while next < MESSAGES {
        next = take(&mut client, next);
    }
    publish(&broker, MESSAGES..MESSAGES + 1);
    assert_eq!(number(&mut client), MESSAGES);
}

/// Takes the next message, and before it those that were on their way at the kill once more;
/// returns which is next.
fn take(client: &mut Client, next: usize) -> usize {
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("a message is missing");
        let number: usize = message.text().trim().parse().unwrap();
        if number == next {
            return next + 1;
        }
        assert!(number < next, "{number} came instead of {next}");
    }
}

#[test]
fn reconnecting_client_gets_the_whole_backlog_without_acknowledging() {
    const SENT: usize = 900;
    let broker = broker();
    subscribe_and_leave(&broker, "away", "long/q");
    let mut publisher = broker.client("publisher");
    for _ in 0..SENT {
        let publication = Publication::new("long/q", format!("{:3000}!", "")).qos(QoS::AtLeastOnce);
        assert!(!publisher.publish(&publication).unwrap().is_failure());
    }
    for round in ["first", "again"] {
        let mut socket = TcpStream::connect(broker.address()).unwrap();
        socket.set_read_timeout(Some(WAIT_MAX)).unwrap();
        // CONNECT of 3.1.1 without Clean Session; no message is ever acknowledged.
        socket.write_all(b"\x10\x10\x00\x04MQTT\x04\x00\x00\x3c\x00\x04away").unwrap();
        let (mut seen, mut buffer) = (0, vec![0; 65_536]);
        while seen < SENT {
            let read = socket.read(&mut buffer).unwrap_or_else(|error| panic!("{round}: {seen}: {error}"));
            assert!(read > 0, "{round}: {seen}");
            seen += buffer[..read].iter().filter(|byte| **byte == b'!').count();
        }
    }
}

#[test]
fn a_full_queue_refuses_also_when_it_rests_in_the_store() {
    let broker = options()
        .variable("LOTMQ_LIMITS_QUEUE_MESSAGES", "1000")
        .variable("LOTMQ_LIMITS_ON_FULL", "reject")
        .start();
    subscribe_and_leave(&broker, "away", "long/q");
    publish(&broker, 0..1_000);
    all_rest(&broker);
    let mut publisher = broker.connect(&ConnectOptions::v5("p"));
    let reason = publisher.publish(&Publication::new("long/q", "too many").qos(QoS::AtLeastOnce)).unwrap();
    assert!(reason.is_failure(), "{reason}");
    let mut client = broker.connect(&lasting("away"));
    for expected in 0..1_000 {
        assert_eq!(number(&mut client), expected);
    }
    publish(&broker, 4..5);
    assert_eq!(number(&mut client), 4);
}

/// A member of a group that is away, with `kept` messages of its own.
fn member_with(broker: &Broker, client_id: &str, kept: usize) {
    let own = format!("own/{client_id}");
    subscribe_and_leave(broker, client_id, "$share/g/long/q");
    subscribe_and_leave(broker, client_id, &own);
    let mut publisher = broker.client("publisher");
    for number in 0..kept {
        let publication = Publication::new(&own, number.to_string()).qos(QoS::AtLeastOnce);
        publisher.publish(&publication).unwrap();
    }
}

#[test]
fn a_group_gives_to_members_with_room_and_refuses_when_there_is_none() {
    for on_full in ["drop-new", "reject"] {
        let broker = options()
            .variable("LOTMQ_LIMITS_QUEUE_MESSAGES", "10")
            .variable("LOTMQ_LIMITS_ON_FULL", on_full)
            .start();
        member_with(&broker, "full", 10);
        member_with(&broker, "empty", 0);
        let mut publisher = broker.connect(&ConnectOptions::v5("p"));
        let mut publish = |number: usize| {
            let qos = if number.is_multiple_of(2) { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            publisher.publish(&Publication::new("long/q", number.to_string()).qos(qos)).unwrap()
        };
        assert!((0..10).all(|number| !publish(number).is_failure()), "{on_full}");
        assert_eq!(figure(&broker, "lotmq_queue_full_dropped_total"), 0, "{on_full}");
        let refused = (10..20).filter(|number| publish(*number) == ReasonCode::QuotaExceeded).count();
        let dropped = figure(&broker, "lotmq_queue_full_dropped_total");
        assert_eq!((refused, dropped), if on_full == "reject" { (10, 0) } else { (0, 10) });
        let mut client = broker.connect(&lasting("empty"));
        assert!((0..10).all(|expected| number(&mut client) == expected), "{on_full}");
    }
}

#[test]
fn early_acknowledgement_leaves_no_delivery_in_the_store() {
    // The thread that routes writes to all receivers first and hands its batch to the store then:
    // the first of them may have answered, on other threads, before that.
    let broker = options().variable("LOTMQ_BROKER_PLACEMENT", "spread").start();
    let mut parts: Vec<Vec<Client>> = (0..4).map(|_| Vec::new()).collect();
    for number in 0..200 {
        let mut client = broker.connect(&lasting(&format!("r{number}")));
        client.subscribe_to("early", QoS::AtLeastOnce).unwrap();
        parts[number / 50].push(client);
    }
    std::thread::scope(|scope| {
        for mut part in parts {
            scope.spawn(move || {
                for round in 0..20 {
                    part.iter_mut().for_each(|client| assert_eq!(number(client), round));
                }
                // Every acknowledgement has been read when this is answered.
                part.iter_mut().for_each(|client| client.ping().unwrap());
            });
        }
        let mut publisher = broker.client("publisher");
        for round in 0..20 {
            publisher.publish(&Publication::new("early", round.to_string()).qos(QoS::AtLeastOnce)).unwrap();
        }
    });
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
}

#[test]
fn a_session_that_ends_takes_what_rests_with_it() {
    let broker = broker();
    subscribe_and_leave(&broker, "away", "long/q");
    publish(&broker, 0..600);
    all_rest(&broker);
    let mut client = broker.connect(&ConnectOptions::new("away"));
    client.subscribe_to("long/q", QoS::AtLeastOnce).unwrap();
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
    publish(&broker, 9..10);
    assert_eq!(number(&mut client), 9);
}

#[test]
fn members_of_a_group_leave_their_queue_to_others_after_a_restart_too() {
    let mut broker = broker();
    subscribe_and_leave(&broker, "member", "$share/g/long/q");
    publish(&broker, 0..700);
    all_rest(&broker);
    broker.kill();
    broker.start_again();
    let mut other = broker.client("other");
    other.subscribe_to("$share/g/long/q", QoS::ExactlyOnce).unwrap();
    // A clean start ends the session of the first member.
    let first = broker.client("member");
    let mut numbers: Vec<usize> = (0..700).map(|_| number(&mut other)).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..700).collect::<Vec<_>>());
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
    broker.wait_until_metric_is("lotmq_sessions_ending", 0.0);
    first.disconnect().unwrap();
}

/// [MQTT-3.3.1-13] of a message that was for a member who does not want to see RETAIN, and goes to
/// one who does.
#[test]
fn handed_over_shared_messages_keep_retain_as_published_across_restart() {
    let mut broker = broker();
    for restarts in [false, true] {
        subscribe_and_leave(&broker, "plain", "$share/g/kept/+");
        let mut publisher = broker.client("publisher");
        for (topic, is_retained) in [("kept/a", true), ("kept/b", false)] {
            let publication = Publication::new(topic, topic).qos(QoS::AtLeastOnce);
            let publication = if is_retained { publication.retained() } else { publication };
            publisher.publish(&publication).unwrap();
        }
        publisher.disconnect().unwrap();
        all_rest(&broker);
        if restarts {
            broker.kill();
            broker.start_again();
        }
        let mut other = broker.connect(&ConnectOptions::v5("other"));
        let options = SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            retain_as_published: true,
            ..SubscriptionOptions::default()
        };
        other.subscribe(&[("$share/g/kept/+", options)], Properties::EMPTY).unwrap();
        // A clean start ends the session of the first member.
        let first = broker.client("plain");
        let got: Vec<(String, bool)> = (0..2)
            .map(|_| {
                let message = other.receive(WAIT_MAX).unwrap().expect("it is handed on");
                (message.topic, message.retain)
            })
            .collect();
        assert_eq!(got, [("kept/a".to_owned(), true), ("kept/b".to_owned(), false)], "restarts: {restarts}");
        first.disconnect().unwrap();
        other.disconnect().unwrap();
        broker.wait_until_metric_is("lotmq_sessions_ending", 0.0);
    }
}

#[test]
fn kill_9_while_a_queue_is_handed_on_costs_nothing_and_doubles_nothing() {
    let mut broker = broker();
    subscribe_and_leave(&broker, "first", "$share/g/long/q");
    publish(&broker, 0..MESSAGES);
    subscribe_and_leave(&broker, "second", "$share/g/long/q");
    all_rest(&broker);
    // Its successor is there beside the session that ends, also after the crash.
    let mut successor = broker.connect(&lasting("first").clean_start(true));
    successor.subscribe_to("else", QoS::AtLeastOnce).unwrap();
    broker.kill();
    broker.start_again();
    broker.wait_until_metric_is("lotmq_sessions_ending", 0.0);
    broker.wait_until_metric_is("lotmq_store_deliveries", MESSAGES as f64);
    let mut second = broker.connect(&lasting("second"));
    for expected in 0..MESSAGES {
        assert_eq!(number(&mut second), expected);
    }
    let successor = broker.connect(&lasting("first"));
    assert!(successor.session_present());
    publish(&broker, 3..4);
    assert_eq!(number(&mut second), 3, "nothing came between");
}

#[test]
fn a_queue_of_several_groups_is_dealt_out_to_them() {
    let broker = broker();
    let mut both = broker.connect(&lasting("both"));
    both.subscribe_to("$share/a/long/+", QoS::AtLeastOnce).unwrap();
    both.subscribe_to("$share/b/long/#", QoS::AtLeastOnce).unwrap();
    both.subscribe_to("long/own", QoS::AtLeastOnce).unwrap();
    both.disconnect().unwrap();
    publish(&broker, 0..600);
    let mut publisher = broker.client("publisher");
    // Its own copy is for nobody else.
    publisher.publish(&Publication::new("long/own", "own").qos(QoS::AtLeastOnce)).unwrap();
    all_rest(&broker);
    assert_eq!(figure(&broker, "lotmq_store_deliveries"), 2 * 600 + 3);
    subscribe_and_leave(&broker, "of a", "$share/a/long/+");
    subscribe_and_leave(&broker, "of b", "$share/b/long/#");
    broker.client("both").disconnect().unwrap();
    broker.wait_until_metric_is("lotmq_sessions_ending", 0.0);
    broker.wait_until_metric_is("lotmq_store_deliveries", 1_202.0);
    for member in ["of a", "of b"] {
        let mut member = broker.connect(&lasting(member));
        for expected in 0..600 {
            assert_eq!(number(&mut member), expected);
        }
        assert_eq!(member.receive(WAIT_MAX).unwrap().expect("the copy of the group").text(), "own");
    }
}
