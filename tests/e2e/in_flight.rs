//! Messages in flight that nobody acknowledges: bounded in memory for all sessions together, and
//! none is lost.

use std::io::Read as _;
use std::thread;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::options;

const HOARDERS: usize = 32;
const MESSAGES: usize = 8;
const MESSAGE_BYTES: usize = 1 << 20;
/// Bytes that all sessions may have in flight: a sixteenth of the bytes sent to them.
const BYTES_MAX: usize = 16 << 20;

fn lasting(client_id: &str) -> ConnectOptions {
    ConnectOptions::v5(client_id).clean_start(false).session_expiry(3_600)
}

/// A client that takes its messages and acknowledges none.
fn hoarder(broker: &Broker, number: usize) -> Client {
    let mut client = broker.connect(&lasting(&format!("hoarder-{number}")));
    client.subscribe_to(&format!("h/{number}"), QoS::AtLeastOnce).unwrap();
    let mut stream = client.connection().stream().try_clone().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    client
}

fn message(topic: &str, number: usize) -> Publication {
    let mut payload = vec![b'x'; MESSAGE_BYTES];
    payload[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Publication::new(topic, payload).qos(QoS::AtLeastOnce)
}

#[test]
fn total_in_flight_bytes_are_limited_without_message_loss() {
    let broker =
        options().prepared().variable("LOTMQ_LIMITS_ALL_INFLIGHT_BYTES", &BYTES_MAX.to_string()).start();
    let hoarders: Vec<Client> = (0..HOARDERS).map(|number| hoarder(&broker, number)).collect();
    let before = broker.resident_bytes();
    let mut publisher = broker.client("publisher");
    for round in 0..MESSAGES {
        for number in 0..HOARDERS {
            let reason = publisher.publish(&message(&format!("h/{number}"), round)).unwrap();
            assert!(!reason.is_failure(), "{reason}");
        }
        if round == 1 {
            // It is looked at twice a second what they have; a fast disk could bring all of it
            // before that.
            broker.wait_for_metric("lotmq_limit_reached_total{limit=\"all_inflight_bytes\"}", 1.0);
        }
    }
    // The limit does not concern named users, with long messages either.
    let mut root = broker.root("root");
    root.subscribe_to("free", QoS::AtLeastOnce).unwrap();
    root.publish(&message("free", 7)).unwrap();
    assert_eq!(root.receive(WAIT_MAX).unwrap().expect("the message").payload.len(), MESSAGE_BYTES);
    // Those who have gone keep theirs.
    hoarders.into_iter().for_each(Client::abort);
    let sent = HOARDERS * MESSAGES * MESSAGE_BYTES;
    let mut grown = 0;
    eventually("memory is given back", || {
        grown = broker.resident_bytes().saturating_sub(before) as usize;
        (grown < sent / 2).then_some(())
    });
    // All of them come back, and take everything; none of the messages comes out of order.
    let broker = &broker;
    thread::scope(|scope| {
        for number in 0..HOARDERS {
            scope.spawn(move || {
                let mut client = broker.connect(&lasting(&format!("hoarder-{number}")));
                for round in 0..MESSAGES {
                    let message = client.receive(WAIT_MAX).unwrap().expect("a message is missing");
                    assert_eq!(message.payload[..8], (round as u64).to_be_bytes(), "hoarder {number}");
                }
                client.disconnect().unwrap();
            });
        }
    });
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
}
