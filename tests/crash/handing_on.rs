//! `kill -9` while the queue of a session that has ended goes to another member of its group.

use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::random::Random;

/// Messages of a queue: several slices of it.
const MESSAGES: u64 = 1_500;

/// Longest time between the end of the session and the kill, in microseconds; often all has been handed on by then.
const HEAD_START_MAX: u64 = 60_000;

const FILTER: &str = "$share/g/handed/on";

/// One queue, from one member to another. `Err` says what is lost, twice or out of order.
pub(crate) fn round(broker: &mut Broker, random: &mut Random) -> Result<(), String> {
    leave(broker, "first");
    publish(broker, 0..MESSAGES);
    leave(broker, "second");
    // A clean start ends the session of the first; what it gets instead is gone with its connection.
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
        publisher.publish(&Publication::new("handed/on", format!("{number:<200}")).qos(qos)).unwrap();
    }
}

fn number(client: &mut Client) -> Option<u64> {
    client.receive(WAIT_MAX).unwrap().map(|message| message.text().trim().parse().unwrap())
}
