//! Shares of users in what there is for all clients: places of connections, and memory for those
//! who do not read.

use lotmq_client::{Client, ClientError, ConnectOptions, Publication, QoS};
use lotmq_codec::{PropertyId, PropertyValue, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::options;

fn of(user: &str, number: usize) -> ConnectOptions {
    ConnectOptions::v5(format!("{user}-{number}")).user(user, "password")
}

/// Connections that are let in, one after the other, until one is not; with the reason for that.
fn fill(broker: &Broker, options: impl Fn(usize) -> ConnectOptions) -> (Vec<Client>, ReasonCode) {
    let mut open = Vec::new();
    loop {
        match Client::connect(broker.address(), &options(open.len())) {
            Ok(client) => open.push(client),
            Err(ClientError::Refused { reason, .. }) => return (open, reason),
            Err(error) => panic!("after {}: {error}", open.len()),
        }
        assert!(open.len() < 64, "there are not so many places");
    }
}

#[test]
fn nobody_takes_all_places_of_connections() {
    let broker = options().variable("LOTMQ_LIMITS_CONNECTIONS", "64").start();
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
    }
    let (mut anns, reason) = fill(&broker, |number| of("ann", number));
    assert_eq!((anns.len(), reason), (48, ReasonCode::QuotaExceeded), "three quarters of all");
    let reached = || broker.metric("lotmq_limit_reached_total{limit=\"connections\",listener=\"mqtt\"}");
    assert_eq!(reached(), Some(1.0));
    broker.log().expect("limit reached");
    let older = ConnectOptions::new("old").user("ann", "password");
    let refused = Client::connect(broker.address(), &older).expect_err("she has her share");
    assert!(
        matches!(refused, ClientError::Refused { reason: ReasonCode::ServerUnavailable, .. }),
        "{refused}"
    );
    // A client that takes over a session needs no further place.
    let again = broker.connect(&of("ann", 0));
    anns[0] = again;
    anns[0].ping().unwrap();
    let (strangers, reason) = fill(&broker, |number| ConnectOptions::v5(format!("stranger-{number}")));
    assert_eq!((strangers.len(), reason), (12, ReasonCode::QuotaExceeded), "strangers are one");
    let mut bob = broker.connect(&of("bob", 0));
    bob.ping().unwrap();
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    root.ping().unwrap();
    // A place that ends is free for anybody, and for `ann` again.
    drop(anns.split_off(30));
    let mut further =
        eventually("a place is hers", || Client::connect(broker.address(), &of("ann", 60)).ok());
    further.ping().unwrap();
    drop((anns, strangers));
    eventually("all are free", || {
        (fill(&broker, |number| of("bob", number + 1)).0.len() >= 40).then_some(())
    });
}

/// Clients of one user leave much unread; what waits for the client of another one is kept all the
/// same.
#[test]
fn slow_clients_of_one_user_take_no_memory_off_those_of_another() {
    let broker = options()
        .variable("LOTMQ_LIMITS_ALL_QUEUE_BYTES", "16777216")
        .variable("LOTMQ_LIMITS_OUTPUT_BYTES", "65536")
        .start();
    for name in ["eve", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
    }
    let slow = |user: &str, number| {
        let one = PropertyValue::TwoByte(1);
        let options = of(user, number).manual_acks().property(PropertyId::ReceiveMaximum, one);
        let mut client = broker.connect(&options);
        client.subscribe_to(user, QoS::AtLeastOnce).unwrap();
        client
    };
    let _eves: Vec<Client> = (0..60).map(|number| slow("eve", number)).collect();
    let mut bob = slow("bob", 0);
    let mut publisher = broker.connect(&ConnectOptions::v5("publisher"));
    let mut publish = |topic: &str, count: usize| {
        let publication = Publication::new(topic, vec![0; 20_000]).qos(QoS::AtLeastOnce);
        for _ in 0..count {
            assert!(!publisher.publish(&publication).unwrap().is_failure());
        }
    };
    publish("eve", 60);
    let dropped = || broker.metric("lotmq_limit_reached_total{limit=\"all_queue_bytes\",listener=\"mqtt\"}");
    let hers = dropped();
    assert!(hers > Some(0.0), "{hers:?}");
    publish("bob", 140);
    assert_eq!(dropped(), hers, "nothing of his is dropped");
    let mut got = 0;
    while let Some(message) = bob.receive(WAIT_MAX).unwrap() {
        got += 1;
        bob.acknowledge(&message, ReasonCode::Success).unwrap();
        if got == 140 {
            break;
        }
    }
    assert_eq!(got, 140);
}
