//! Three brokers of ours in a ring, each with a bridge to the next: what comes round, with
//! properties and without.

use std::time::Duration;

use lotmq_client::Client;
use lotmq_test_support::{Broker, eventually};

use super::{bridge, last_error, mapping, topics_until_quiet};
use crate::{Standing, broker, send, watch};

/// Three brokers with a bridge `Next` each, of this version and direction, that takes all below `f`
/// to the next one.
fn ring(version: &str, direction: &str) -> Vec<Broker> {
    let brokers: Vec<Broker> = (0..3).map(|_| broker()).collect();
    for (at, broker) in brokers.iter().enumerate() {
        let port = brokers[(at + 1) % brokers.len()].address().port();
        let more = format!("PROTOCOL_VERSION \"{version}\"");
        let route = bridge(port, &more, &mapping("M", "f/#", "f/#", direction));
        let mut standing = Standing::of(broker, "Next");
        broker.command_ok(&route.replace("ROUTE Up", "ROUTE Next"));
        standing.until("\"Connected\"");
    }
    brokers
}

#[test]
fn a_ring_of_three_brokers_ends_where_properties_go_round() {
    // Itself, and once from the last one of the ring; both ways round, once from each side.
    for (direction, at_first, at_others) in [("out", 2, 1), ("both", 3, 2)] {
        let brokers = ring("5", direction);
        let mut watchers: Vec<Client> = brokers.iter().map(|broker| watch(broker, "f/#")).collect();
        send(&brokers[0], "f/x", "1");
        let seen: Vec<usize> = watchers.iter_mut().map(|it| topics_until_quiet(it).len()).collect();
        assert_eq!(seen, [at_first, at_others, at_others], "{direction}");
    }
}

/// Nothing tells a message from one that a device repeats; but there is one of it, it is told of,
/// and it ends with a bridge.
#[test]
fn a_message_without_properties_goes_round_a_ring_as_one_until_a_bridge_is_gone() {
    let brokers = ring("3.1.1", "out");
    let mut watcher = watch(&brokers[0], "f/#");
    send(&brokers[0], "f/x", "1");
    let comes = |watcher: &mut Client, timeout| watcher.receive(timeout).unwrap().is_some();
    for _ in 0..50 {
        assert!(comes(&mut watcher, Duration::from_secs(10)), "it comes round");
    }
    let carried = |broker: &Broker| broker.metric("lotmq_publish_received_total").unwrap();
    let before: Vec<f64> = brokers.iter().map(&carried).collect();
    std::thread::sleep(Duration::from_secs(1));
    let rounds: Vec<f64> =
        brokers.iter().zip(before).map(|(broker, before)| carried(broker) - before).collect();
    let (most, least) =
        (rounds.iter().copied().fold(0.0, f64::max), rounds.iter().copied().fold(f64::MAX, f64::min));
    assert!(least > 0.5 * most - 3.0, "each broker has it once in a round: {rounds:?}");
    // As a device that repeats it.
    (0..100).for_each(|_| send(&brokers[0], "f/x", "1"));
    let told = eventually("it is told that it may be a circle", || {
        Some(last_error(&brokers[0], "Next")).filter(|told| told.contains("BRIDGE_REPEATS"))
    });
    assert!(told.contains("the same message on 'f/x' has passed 1000 times within a minute"), "{told}");
    brokers[1].command_ok("-removeRoute Next");
    while comes(&mut watcher, Duration::from_secs(2)) {}
    send(&brokers[0], "f/end", "1");
    assert_eq!(topics_until_quiet(&mut watcher), ["f/end"]);
}
