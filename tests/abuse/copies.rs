//! Sessions with as many shared subscriptions as there may be that all match one message: each gets
//! a copy of it, of large ones as many as are bounded together.

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_codec::{Properties, SubscriptionOptions};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::turns::others_are_served;
use crate::watch::broker;

/// Shared subscriptions that a session may have.
const GROUPS: usize = 1_000;

const SESSIONS: usize = 2;

const LARGE_BYTES: usize = 1 << 20;

/// Copies of the large message that a session gets: the first, and further ones in 16 MiB, which
/// topics count for as well.
const LARGE_COPIES: usize = 16;

fn options(session: usize) -> ConnectOptions {
    let options = ConnectOptions::v5(format!("copied-{session}")).session_expiry(3_600);
    ConnectOptions { clean_start: false, ..options }
}

/// Leaves a session with all of its shared subscriptions behind.
fn subscribe_and_leave(broker: &Broker, session: usize, filter: impl Fn(usize) -> String) {
    let mut client = broker.connect(&options(session));
    let wanted = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let filters: Vec<String> = (0..GROUPS).map(filter).collect();
    let filters: Vec<_> = filters.iter().map(|filter| (filter.as_str(), wanted)).collect();
    let codes = client.subscribe(&filters, Properties::EMPTY).unwrap();
    assert!(codes.iter().all(|code| !code.is_failure()), "{codes:?}");
    client.disconnect().unwrap();
}

#[test]
fn a_message_for_every_shared_subscription_of_sessions_that_are_away() {
    let broker = broker().start();
    for session in 0..SESSIONS {
        subscribe_and_leave(&broker, session, |group| format!("$share/{session}-{group}/copied/#"));
    }
    let mut publisher = broker.client("publisher");
    let mut publish = |topic: &str, payload: Vec<u8>| {
        publisher.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
    };
    publish("copied/small", vec![b'x'; 10]);
    let before = broker.resident_bytes();
    publish("copied/large", vec![b'x'; LARGE_BYTES]);
    let more = broker.resident_bytes().saturating_sub(before);
    println!("{} KiB more for {LARGE_COPIES} copies of {LARGE_BYTES} bytes", more >> 10);
    assert!(more < 128 << 20, "{more} bytes more for one message");
    let told = broker.metric("lotmq_limit_reached_total{limit=\"shared_subscriptions\"}");
    assert_eq!(told, Some((SESSIONS * (GROUPS - LARGE_COPIES)) as f64));
    for session in 0..SESSIONS {
        let mut client = broker.connect(&options(session));
        for copy in 0..GROUPS + LARGE_COPIES {
            let message = client.receive(WAIT_MAX).unwrap();
            let message = message.unwrap_or_else(|| panic!("copy {copy} of session {session} has not come"));
            let expected = if copy < GROUPS { "copied/small" } else { "copied/large" };
            assert_eq!(message.topic, expected, "copy {copy}");
        }
        publish("copied/last", b"last".to_vec());
        assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().topic, "copied/last");
    }
}

/// Each message looks at all members of all groups in vain, which is work of its publisher as any
/// other.
#[test]
fn messages_that_no_member_of_many_groups_takes() {
    const SESSIONS: usize = 40;
    const MESSAGES: usize = 500;
    let broker = broker().start();
    for session in 0..SESSIONS {
        subscribe_and_leave(&broker, session, |group| format!("$share/{group}/away/#"));
    }
    let mut publisher = broker.client("publisher");
    others_are_served(&broker, || {
        for _ in 0..MESSAGES {
            publisher.send_publish(&Publication::new("away/x", "")).unwrap();
        }
        publisher.ping().unwrap();
    });
}
