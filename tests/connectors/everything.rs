//! Routes on `#`: each published message comes once, under load, without the status messages of the
//! broker.
//!
//! A bridge that carries `#` both ways joins two brokers. Each has a route that writes `#` to a
//! file. The test reads the messages from the files, so that no queue of a client is in the way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lotmq_client::QoS;
use lotmq_test_support::{Broker, eventually};

use crate::bridge::mapping;
use crate::{Standing, backlog, broker, options, publish_all};

/// Topics on which messages are published at one broker.
const TOPICS: usize = 2_000;

/// The other broker publishes one message where this one publishes so many.
const FEWER: usize = 10;

/// How much a broker may grow by what passes, however much that is.
const GROWN_BYTES_MAX: u64 = 128 << 20;

/// Writes what is published on `#` to a file; with more lines of the event.
fn files(more: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Files WITH TYPE FILE_STORAGE\n    ADD FILE_STORAGE_CONFIG\n        WITH STORAGE_DIR \"all\"\n        WITH APPEND TRUE\n        WITH MAX_RECORDS 1000000000\n    \
         ADD EVENT All\n        WITH SOURCE_TOPIC \"#\"\n        WITH QUERY \"APPEND all.txt {{topic}} {{payload}}\"\n{more}"
    )
}

/// A bridge that carries everything both ways, as someone who may give commands over there.
fn bridge(port: u16) -> String {
    format!(
        "-addRoute DEFINE ROUTE Up WITH TYPE MQTT_BRIDGE\n    ADD SOURCE_CONFIG\n        WITH BROKER SELF\n    ADD DESTINATION_CONFIG\n        WITH BROKER_ADDRESS \"127.0.0.1\"\n        WITH BROKER_PORT {port}\n        \
         WITH USERNAME \"root\"\n        WITH PASSWORD \"coreflux\"\n{}",
        mapping("All", "#", "#", "both")
    )
}

/// Written messages by the first level of their topic: topics with their payloads.
type Written = BTreeMap<String, BTreeMap<String, Vec<String>>>;

fn lines(broker: &Broker) -> usize {
    let bytes = std::fs::read(file(broker)).unwrap_or_default();
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn file(broker: &Broker) -> impl AsRef<Path> {
    broker.data().join("files/default/all/all.txt")
}

fn written(broker: &Broker) -> Written {
    let mut written = Written::new();
    for line in std::fs::read_to_string(file(broker)).unwrap().lines() {
        let (topic, payload) = line.split_once(' ').unwrap();
        let first = topic.split('/').next().unwrap().to_owned();
        written.entry(first).or_default().entry(topic.to_owned()).or_default().push(payload.to_owned());
    }
    written
}

/// Messages with ascending numbers, in turn on each of these topics.
fn numbered(first: &str, count: usize, topics: usize) -> impl Iterator<Item = (String, String)> {
    (0..count).map(move |number| (format!("{first}/{}/t", number % topics), number.to_string()))
}

/// Whether all of it has come once, each topic in its order.
fn is_whole(written: &Written, first: &str, count: usize, topics: usize) {
    let mut expected = BTreeMap::<String, Vec<String>>::new();
    for (topic, payload) in numbered(first, count, topics) {
        expected.entry(topic).or_default().push(payload);
    }
    assert!(written[first] == expected, "{first} is not what was published");
}

/// Has the broker say much about itself until it is told to end, and gives how many messages it has
/// said below `$SYS`.
fn keeps_talking(broker: &Broker, is_over: &AtomicBool) -> usize {
    let mut listener = broker.root("listener");
    listener.subscribe_to("$SYS/#", QoS::AtMostOnce).unwrap();
    let (mut round, mut heard) = (0, 0);
    while !is_over.load(Ordering::SeqCst) {
        round += 1;
        broker.command_ok("-addAction DEFINE ACTION OnlyHere\nON TOPIC \"only/here\" DO\n    PUBLISH TOPIC \"only/there\" WITH PAYLOAD\n");
        broker.command_ok(&format!("-setEnv ROUND={round}"));
        listener.ping().unwrap();
        while let Some(message) = listener.receive(Duration::from_millis(1)).unwrap() {
            assert!(message.topic.starts_with("$SYS/"), "{}", message.topic);
            heard += 1;
        }
    }
    heard
}

#[test]
fn all_that_is_published_under_load_reaches_routes_of_everything_and_nothing_of_the_broker_does() {
    let count = backlog(20_000);
    let fewer = count / FEWER;
    let (here, there) = (broker(), options().start());
    // All clients get the messages that the route publishes, but the route itself does not.
    here.command_ok(&files("        WITH DESTINATION_TOPIC \"done/{topic.1}\"\n        WITH QOS 1\n"));
    there.command_ok(&files(""));
    here.command_ok(&bridge(there.address().port()));
    Standing::of(&here, "Up").until("\"Connected\"");
    let before = [&here, &there].map(Broker::resident_bytes);
    let is_over = AtomicBool::new(false);
    let heard = std::thread::scope(|scope| {
        let talking = scope.spawn(|| keeps_talking(&here, &is_over));
        let publishing = [(&here, "plant", count), (&there, "far", fewer)].map(|(broker, first, count)| {
            scope.spawn(move || publish_all(broker, numbered(first, count, TOPICS)))
        });
        publishing.into_iter().for_each(|it| it.join().unwrap());
        // Here what both have published; there also what the route here has.
        eventually("all is written here", || (lines(&here) >= count + fewer).then_some(()));
        eventually("all is written there", || (lines(&there) >= 2 * (count + fewer)).then_some(()));
        is_over.store(true, Ordering::SeqCst);
        talking.join().unwrap()
    });
    assert!(heard > 20, "the broker said {heard} things of itself");
    for broker in [&here, &there] {
        broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    }
    let (written_here, written_there) = (written(&here), written(&there));
    assert_eq!(written_here.keys().collect::<Vec<_>>(), ["far", "plant"]);
    assert_eq!(written_there.keys().collect::<Vec<_>>(), ["done", "far", "plant"]);
    for written in [&written_here, &written_there] {
        is_whole(written, "plant", count, TOPICS);
        is_whole(written, "far", fewer, TOPICS);
    }
    let done = ["far", "plant"].map(|first| written_there["done"][&format!("done/{first}")].len());
    assert_eq!(done, [fewer, count]);
    // No command went over, though the bridge may give some.
    assert!(!there.log().text().contains("verb=\"setEnv\""), "{}", there.log().text());
    assert_eq!(there.command("-runAction OnlyHere {}").code(), "NOT_FOUND");
    for (broker, before) in [&here, &there].into_iter().zip(before) {
        let grown = broker.resident_bytes().saturating_sub(before);
        assert!(grown < GROWN_BYTES_MAX, "{grown} bytes more");
        println!("{grown} bytes more after {count} and {fewer} messages; {heard} things said below $SYS");
    }
}
