//! `kill -9` while the queue of a session that has ended goes to another member of its group.

use std::collections::BTreeSet;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::random::Random;

/// Messages of a queue: several slices of it.
const MESSAGES: u64 = 1_500;

/// Messages that were sent: more than are handed on at once when a session ends.
const SENT: u64 = 900;

/// Longest time between the end of the session and the kill, in microseconds; often all has been
/// handed on by then.
const HEAD_START_MAX: u64 = 60_000;

const FILTER: &str = "$share/g/handed/on";

/// One queue, from one member to another. `Err` says what is lost, twice or out of order.
pub(crate) fn round(broker: &mut Broker, random: &mut Random) -> Result<(), String> {
    leave(broker, "first");
    publish(broker, 0..MESSAGES);
    leave(broker, "second");
    // A clean start ends the session of the first; what it gets instead is gone with its
    // connection.
    let successor = broker.connect(&ConnectOptions::v5("first").clean_start(true));
    std::thread::sleep(Duration::from_micros(random.below(HEAD_START_MAX)));
    broker.kill();
    drop(successor);
    broker.start_again();
    let mut second = broker.connect(&lasting("second"));
    for expected in 0..MESSAGES {
        let Some(number) = number(&mut second) else { return Err(format!("{expected} is lost")) };
        if number != expected {
            return Err(format!("{number} came instead of {expected}"));
        }
    }
    broker.wait_until_metric_is("lotmq_sessions_ending", 0.0);
    publish(broker, MESSAGES..MESSAGES + 1);
    match number(&mut second) {
        Some(MESSAGES) => {}
        other => return Err(format!("{other:?} came again")),
    }
    second.unsubscribe(&[FILTER]).map_err(|error| error.to_string())?;
    Ok(())
}

/// Messages that were sent to a member which has not acknowledged them, and whose session then
/// ended. `Err` says what is lost.
pub(crate) fn round_of_sent(broker: &mut Broker) -> Result<(), String> {
    leave(broker, "heir");
    let mut holder = broker.connect(&lasting("holder").manual_acks());
    holder.subscribe_to(FILTER, QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    for number in 0..SENT {
        publisher.publish(&message(number).qos(QoS::AtLeastOnce)).unwrap();
    }
    for expected in 0..SENT {
        assert_eq!(number(&mut holder), Some(expected), "it is sent");
    }
    let successor = broker.connect(&lasting("holder").clean_start(true));
    broker.kill();
    drop(successor);
    broker.start_again();
    let mut heir = broker.connect(&lasting("heir"));
    let mut left: BTreeSet<u64> = (0..SENT).collect();
    while !left.is_empty() {
        let Some(number) = number(&mut heir) else { return Err(format!("{} are lost", left.len())) };
        left.remove(&number);
    }
    heir.unsubscribe(&[FILTER]).map_err(|error| error.to_string())?;
    Ok(())
}

fn lasting(client_id: &str) -> ConnectOptions {
    ConnectOptions::v5(client_id).clean_start(false).session_expiry(3_600)
}

fn leave(broker: &Broker, client_id: &str) {
    let mut client = broker.connect(&lasting(client_id));
    client.subscribe_to(FILTER, QoS::ExactlyOnce).unwrap();
    client.disconnect().unwrap();
}

fn publish(broker: &Broker, numbers: std::ops::Range<u64>) {
    let mut publisher = broker.client("publisher");
    for number in numbers {
        let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        publisher.publish(&message(number).qos(qos)).unwrap();
    }
}

fn message(number: u64) -> Publication {
    Publication::new("handed/on", format!("{number:<200}"))
}

fn number(client: &mut Client) -> Option<u64> {
    client.receive(WAIT_MAX).unwrap().map(|message| message.text().trim().parse().unwrap())
}
