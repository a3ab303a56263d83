//! Work whose length a Client decides: meanwhile the shard serves its other clients.
//!
//! The tests assert the processor time of a shard's longest turn, which no other process can
//! lengthen. They print how long PINGREQ of another Client waited for PINGRESP. They bound that
//! time if the machine has nothing else to do.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lotmq_client::{Client, ConnectOptions, Connection, ProtocolVersion, Publication, QoS};
use lotmq_codec::{
    PacketId, PacketType, Properties, SubscribeFilter, SubscriptionOptions, encode_subscribe,
    encode_unsubscribe,
};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::watch::broker;

/// Longest turn that is allowed, in seconds of processor time. A development build takes some ten
/// times as long for a step as one for users does.
pub(crate) const TURN_SECONDS_MAX: f64 = if cfg!(debug_assertions) { 0.25 } else { 0.05 };

/// Levels of the topics that are dear.
const LEVELS: usize = 200;

/// Lets `attack` do its work while another Client of the same shard sends PINGREQ after PINGREQ.
pub(crate) fn others_are_served<R>(broker: &Broker, attack: impl FnOnce() -> R) -> R {
    others_wait(broker, attack).0
}

/// The same; what the shards did while a PINGREQ waited, at most, in processor time.
pub(crate) fn others_wait<R>(broker: &Broker, attack: impl FnOnce() -> R) -> (R, Duration) {
    let mut bystander = broker.client("bystander");
    // It is known for doing little, also where the machine has much else to do: what took long by
    // the clock on the wall tells nothing.
    (0..200).for_each(|_| bystander.ping().unwrap());
    let before = longest_turn(broker);
    assert!(before < TURN_SECONDS_MAX, "{before} s before the attack");
    let is_over = AtomicBool::new(false);
    let (result, waits) = thread::scope(|scope| {
        let is_over = &is_over;
        let shards = shards_of(broker);
        let pinging = scope.spawn(move || {
            let mut waits = Waits::default();
            while !is_over.load(Ordering::Relaxed) {
                let (start, worked) = (Instant::now(), processor_time(&shards));
                bystander.ping().unwrap();
                waits.note(start.elapsed(), processor_time(&shards).saturating_sub(worked));
                thread::sleep(Duration::from_millis(1));
            }
            waits
        });
        let _end = crate::watch::StopAtEnd(is_over);
        let result = attack();
        is_over.store(true, Ordering::Relaxed);
        (result, pinging.join().unwrap())
    });
    let turn = longest_turn(broker);
    println!("longest turn {turn} s, {before} s before, {waits:?}");
    assert!(turn < TURN_SECONDS_MAX, "a turn took {turn} s of processor time");
    (result, waits.served)
}

/// How long a Client has waited for its PINGRESPs.
#[derive(Debug, Default)]
struct Waits {
    count: usize,
    /// The longest by the clock on the wall.
    longest: Duration,
    /// The most processor time that the shards had meanwhile.
    served: Duration,
}

impl Waits {
    fn note(&mut self, waited: Duration, served: Duration) {
        self.count += 1;
        self.longest = self.longest.max(waited);
        self.served = self.served.max(served);
    }
}

/// Returns the files with the processor time of all shard threads.
fn shards_of(broker: &Broker) -> Vec<PathBuf> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", broker.process_id())).unwrap();
    let threads = threads.map(|thread| thread.unwrap().path());
    let is_shard = |thread: &PathBuf| {
        std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.starts_with("shard-"))
    };
    threads.filter(is_shard).map(|thread| thread.join("schedstat")).collect()
}

fn processor_time(threads: &[PathBuf]) -> Duration {
    let nanoseconds = threads.iter().map(|thread| {
        let text = std::fs::read_to_string(thread).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The longest turn of any shard, in seconds.
fn longest_turn(broker: &Broker) -> f64 {
    let body = broker.http("/metrics").body;
    let samples = body.lines().filter_map(|line| line.strip_prefix("lotmq_shard_turn_seconds_max{"));
    let seconds = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    seconds.fold(None, |most: Option<f64>, next| Some(most.map_or(next, |most| most.max(next)))).unwrap()
}

fn deep(first: &str) -> String {
    format!("{first}{}", "/a".repeat(LEVELS - 1))
}

/// Subscribes to all of these, so many in a packet.
pub(crate) fn subscribe(client: &mut Client, filters: &[String], at_once: usize) {
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    for part in filters.chunks(at_once) {
        let part: Vec<_> = part.iter().map(|filter| (filter.as_str(), options)).collect();
        let codes = client.subscribe(&part, Properties::EMPTY).unwrap();
        assert!(codes.iter().all(|code| !code.is_failure()));
    }
}

/// A Client leaves messages behind that came by a thousand groups; others get each of them.
#[test]
fn the_end_of_a_member_of_many_groups() {
    const GROUPS: usize = 1_000;
    const MESSAGES: usize = 10;
    let broker = broker().start();
    let groups: Vec<String> = (0..GROUPS).map(|group| format!("$share/g{group}/#")).collect();
    let lasting = ConnectOptions::v5("heir").clean_start(false).session_expiry(3_600);
    let mut heir = broker.connect(&lasting);
    subscribe(&mut heir, &groups, 100);
    heir.disconnect().unwrap();
    let mut member = broker.connect(&ConnectOptions::v5("member"));
    subscribe(&mut member, &groups, 100);
    let mut publisher = broker.client("publisher");
    others_are_served(&broker, || {
        for number in 0..MESSAGES {
            let publication = Publication::new(deep("left"), number.to_string());
            publisher.publish(&publication.qos(QoS::AtLeastOnce)).unwrap();
        }
        member.abort();
        broker.wait_until_metric_is("lotmq_sessions_ending", 0.0);
        let deliveries = (GROUPS * MESSAGES) as f64;
        broker.wait_until_metric_is("lotmq_store_deliveries", deliveries);
    });
    let mut heir = broker.connect(&lasting);
    let mut seen = [0; MESSAGES];
    for _ in 0..GROUPS * MESSAGES {
        let message = heir.receive(WAIT_MAX).unwrap().expect("every group gets every message");
        seen[message.text().parse::<usize>().unwrap()] += 1;
    }
    assert_eq!(seen, [GROUPS; MESSAGES]);
    broker.wait_until_metric_is("lotmq_store_deliveries", 0.0);
}

/// A session with ten thousand dear filters ends, and each of them was added and is taken off
/// before.
#[test]
fn ten_thousand_filters_in_one_packet() {
    const FILTERS: usize = 10_000;
    // More than a session may have by default.
    let broker = broker().variable("LOTMQ_LIMITS_SUBSCRIPTION_BYTES", "1000000000").start();
    let filters: Vec<String> =
        (0..FILTERS).map(|number| format!("many/{number}/+{}", "/a".repeat(20))).collect();
    let mut subscriber = broker.client("subscriber");
    let names: Vec<&str> = filters.iter().map(String::as_str).collect();
    others_are_served(&broker, || {
        subscribe(&mut subscriber, &filters, FILTERS);
        assert_eq!(broker.metric("lotmq_subscriptions"), Some(FILTERS as f64));
        subscriber.unsubscribe(&names).unwrap();
        assert_eq!(broker.metric("lotmq_subscriptions"), Some(0.0));
        subscribe(&mut subscriber, &filters, FILTERS);
        subscriber.abort();
        broker.wait_until_metric_is("lotmq_subscriptions", 0.0);
    });
}

/// The broker handles packets behind a long SUBSCRIBE only after it.
#[test]
fn nothing_overtakes_a_long_packet() {
    const FILTERS: usize = 5_000;
    let broker = broker().start();
    let client = broker.connect(&ConnectOptions::v5("c").session_expiry(3_600));
    let filters: Vec<String> = (0..FILTERS).map(|number| format!("order/{number}")).collect();
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let asked: Vec<_> =
        filters.iter().map(|filter| SubscribeFilter { filter: filter.as_str(), options }).collect();
    let names: Vec<&str> = filters.iter().map(String::as_str).collect();
    let [first, second] = [1, 2].map(|id| PacketId::new(id).expect("not 0"));
    let mut bytes = Vec::new();
    let version = ProtocolVersion::V5;
    encode_subscribe(&mut bytes, version, first, Properties::EMPTY, &asked).unwrap();
    encode_unsubscribe(&mut bytes, version, second, Properties::EMPTY, &names[1..]).unwrap();
    bytes.extend_from_slice(&[0xc0, 0x00]);
    client.disconnect().unwrap();
    let mut connection = Connection::open(broker.address(), version, WAIT_MAX).unwrap();
    let mut connect = Vec::new();
    ConnectOptions::v5("c").clean_start(false).session_expiry(3_600).encode(&mut connect).unwrap();
    connection.send(&connect).unwrap();
    connection.receive(WAIT_MAX).unwrap().unwrap();
    connection.send(&bytes).unwrap();
    // PINGRESP may come before what waits for the disk.
    let mut types: Vec<_> =
        (0..3).map(|_| connection.receive(WAIT_MAX).unwrap().unwrap().packet_type()).collect();
    types.retain(|packet_type| *packet_type != PacketType::Pingresp);
    assert_eq!(types, [PacketType::Suback, PacketType::Unsuback]);
    assert_eq!(broker.metric("lotmq_subscriptions"), Some(1.0));
    connection.close();
}

/// Filters that match nothing of fifty thousand retained messages.
#[test]
fn filters_that_match_nothing() {
    const RETAINED: usize = 50_000;
    const FILTERS: usize = 1_000;
    let broker = broker().start();
    let mut publisher = broker.client("publisher");
    for number in 0..RETAINED {
        let topic = format!("kept/{}/{number}", number % 100);
        publisher.send_publish(&Publication::new(topic, "x").retained()).unwrap();
    }
    publisher.publish(&Publication::new("kept/last", "x").qos(QoS::AtLeastOnce).retained()).unwrap();
    let filters: Vec<String> = (0..FILTERS).map(|number| format!("+/+/n{number}")).collect();
    let mut others: Vec<Client> = (0..3).map(|number| broker.client(&format!("other-{number}"))).collect();
    let mut searcher = broker.client("searcher");
    let mut honest = broker.client("honest");
    others_are_served(&broker, || {
        subscribe(&mut searcher, &filters, FILTERS);
        for other in &mut others {
            subscribe(other, &filters[..100], 100);
        }
        // A client with a small request gets its answer, though the others are far from done.
        honest.subscribe_to("kept/last", QoS::AtMostOnce).unwrap();
        let message = honest.receive(WAIT_MAX).unwrap().expect("it is retained");
        assert_eq!(message.topic, "kept/last");
        // The search goes on meanwhile, in an ordinary run not to its end.
        thread::sleep(crate::duration().min(Duration::from_secs(10)));
    });
}

/// A packet whose answer is followed by ten thousand retained messages, each for a filter of its
/// own.
#[test]
fn ten_thousand_filters_with_a_retained_message_each() {
    const FILTERS: usize = 10_000;
    let broker = broker().start();
    let mut publisher = broker.client("publisher");
    let topics: Vec<String> = (0..FILTERS).map(|number| format!("kept/{number}")).collect();
    for topic in &topics {
        publisher.send_publish(&Publication::new(topic.as_str(), "x").retained()).unwrap();
    }
    publisher.ping().unwrap();
    let mut subscriber = broker.client("subscriber");
    others_are_served(&broker, || {
        subscribe(&mut subscriber, &topics, FILTERS);
        for _ in 0..FILTERS {
            subscriber.receive(WAIT_MAX).unwrap().expect("each filter has a message");
        }
    });
    // A second time beside a first that is under way: each filter begins anew, and one that was
    // ended does not.
    subscribe(&mut subscriber, &topics, FILTERS);
    subscriber.unsubscribe(&["kept/0"]).unwrap();
    subscribe(&mut subscriber, &topics[1..], FILTERS);
    let mut seen = std::iter::from_fn(|| subscriber.receive(WAIT_MAX).unwrap());
    assert!(seen.any(|message| message.topic == topics[FILTERS - 1]), "the last one comes");
}

/// Small messages that each go to many, as fast as they can be sent.
#[test]
fn messages_with_many_receivers() {
    const GROUPS: usize = 1_000;
    let broker = broker().start();
    let groups: Vec<String> = (0..GROUPS).map(|group| format!("$share/g{group}/wide/#")).collect();
    let mut receiver = broker.client("receiver");
    subscribe(&mut receiver, &groups, 100);
    let mut publisher = broker.client("publisher");
    others_are_served(&broker, || {
        for number in 0..300 {
            publisher.send_publish(&Publication::new(format!("wide/{number}"), "x")).unwrap();
        }
        publisher.ping().unwrap();
    });
    drop(receiver);
}

/// One message that matches whatever somebody could subscribe to: all choices between `+` and a
/// level.
#[test]
fn a_topic_with_many_ways() {
    const SESSIONS: usize = 24;
    let broker = broker().start();
    let mut publisher = broker.client("publisher");
    let mut subscribers: Vec<Client> =
        (0..SESSIONS).map(|number| broker.client(&format!("s{number}"))).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut filter = |levels: usize| {
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            if random.is_multiple_of(2) { "+" } else { "a" }
        };
        (0..levels).map(|_| next()).collect::<Vec<_>>().join("/")
    };
    others_are_served(&broker, || {
        let mut taken = 0;
        for (number, subscriber) in subscribers.iter_mut().enumerate() {
            let levels = if number % 2 == 0 { LEVELS } else { 18 };
            for _ in 0..8 {
                let filters: Vec<String> = (0..100).map(|_| filter(levels)).collect();
                let part: Vec<_> =
                    filters.iter().map(|filter| (filter.as_str(), SubscriptionOptions::default())).collect();
                let codes = subscriber.subscribe(&part, Properties::EMPTY).unwrap();
                taken += codes.iter().filter(|code| !code.is_failure()).count();
            }
        }
        assert!(taken > 0, "some of them are");
        for levels in [LEVELS, 18, LEVELS, 18] {
            publisher.send_publish(&Publication::new(vec!["a"; levels].join("/"), "x")).unwrap();
            publisher.ping().unwrap();
        }
        println!("{taken} dear filters were taken");
    });
}
