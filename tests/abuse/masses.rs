//! Much of something at once: tables that grow with it, buffers of many who read nothing, and what
//! one topic starts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lotmq_client::{ConnectOptions, ProtocolVersion, Publication, QoS};
use lotmq_codec::{PacketId, Properties, SubscribeFilter, SubscriptionOptions, encode_subscribe};
use lotmq_test_support::allow_open_files;

use crate::turns::{others_are_served, subscribe};
use crate::watch::broker;

/// Sessions that stay, each with as many different filters as it may have: whatever grows with
/// their number grows a little at a time.
#[test]
fn different_filters_of_many_sessions() {
    const SESSIONS: usize = if cfg!(debug_assertions) { 12 } else { 60 };
    const FILTERS: usize = 10_000;
    let broker = broker()
        .variable("LOTMQ_LIMITS_TENANT_SESSION_BYTES", "1000000000")
        .variable("LOTMQ_LIMITS_SUBSCRIPTION_BYTES", "1000000000")
        .start();
    others_are_served(&broker, || {
        for session in 0..SESSIONS {
            let lasting = ConnectOptions::v5(format!("many-{session}")).session_expiry(3_600);
            let mut subscriber = broker.connect(&lasting);
            // Every other one with wildcards, which are elsewhere in the index.
            let wildcard = if session % 2 == 0 { "x" } else { "+" };
            let filters: Vec<String> = (0..FILTERS)
                .map(|number| format!("{session}/{wildcard}/{number}/{}", "z".repeat(50)))
                .collect();
            subscribe(&mut subscriber, &filters, 500);
            subscriber.disconnect().unwrap();
        }
    });
    assert_eq!(broker.metric("lotmq_subscriptions"), Some((SESSIONS * FILTERS) as f64));
}

/// Large messages to many who read nothing: their buffers are filled in a few turns.
#[test]
fn large_messages_for_many_who_do_not_read() {
    const SUBSCRIBERS: usize = 200;
    const BYTES: usize = 100_000;
    allow_open_files(SUBSCRIBERS as u64 + 1_000);
    let broker = broker().start();
    let subscribe = |number: usize| {
        let mut stream = TcpStream::connect(broker.address()).unwrap();
        let mut bytes = Vec::new();
        ConnectOptions::v5(format!("slow-{number}")).encode(&mut bytes).unwrap();
        let options = SubscriptionOptions { qos: QoS::AtMostOnce, ..SubscriptionOptions::default() };
        let id = PacketId::new(1).expect("not 0");
        let filters = [SubscribeFilter { filter: "slow/#", options }];
        encode_subscribe(&mut bytes, ProtocolVersion::V5, id, Properties::EMPTY, &filters).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut [0; 8]).unwrap();
        stream
    };
    let subscribers: Vec<TcpStream> = (0..SUBSCRIBERS).map(subscribe).collect();
    let mut publisher = broker.client("publisher");
    others_are_served(&broker, || {
        let end = Instant::now() + crate::duration().min(Duration::from_secs(8));
        let mut sent = 0;
        while Instant::now() < end {
            publisher.send_publish(&Publication::new("slow/x", vec![b'y'; BYTES])).unwrap();
            sent += 1;
        }
        publisher.ping().unwrap();
        println!("{sent} messages");
    });
    drop(subscribers);
}

/// Many Actions that one topic starts, and as many messages on it as fit into a read: each is as
/// much work as one with many receivers.
#[test]
fn many_actions_on_one_topic() {
    const ACTIONS: usize = 100;
    const MESSAGES: usize = 400;
    let broker = broker().start();
    for first in (0..ACTIONS).step_by(25) {
        let action = |number| {
            format!(
                "DEFINE ACTION A{number}\nON TOPIC \"start\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n"
            )
        };
        let program: String = (first..first + 25).map(action).collect();
        broker.command_ok(&format!("-addAction {program}"));
    }
    let mut publisher = broker.client("publisher");
    others_are_served(&broker, || {
        for _ in 0..MESSAGES {
            publisher.send_publish(&Publication::new("start", "x")).unwrap();
        }
        publisher.ping().unwrap();
    });
}
