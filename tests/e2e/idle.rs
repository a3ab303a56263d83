//! A broker without anything to do: how often its threads wake, and that what comes then is served
//! as ever.

use std::fs;
use std::time::{Duration, Instant};

use lotmq_client::{ConnectOptions, PropertyId, PropertyValue, Publication, QoS, Will};
use lotmq_test_support::{Broker, WAIT_MAX};

use crate::broker;

/// Time within which wakes are counted.
const COUNTED: Duration = Duration::from_secs(5);

/// How often threads of the broker have gone to sleep by themselves, all together.
fn sleeps(broker: &Broker) -> u64 {
    let threads = fs::read_dir(format!("/proc/{}/task", broker.process_id())).unwrap();
    // A thread may end meanwhile.
    let states = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).ok());
    let of_thread = |state: String| {
        let line = state.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.expect("Linux counts them").trim().parse::<u64>().unwrap()
    };
    states.map(of_thread).sum()
}

/// Waits until the threads of the broker wake at most 10 times a second for each four of them, a
/// quarter of what was so before shards rested.
fn until_it_rests(broker: &Broker) {
    let threads = fs::read_dir(format!("/proc/{}/task", broker.process_id())).unwrap().count() as u64;
    let most = COUNTED.as_secs() * threads.max(24) * 10 / 24;
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let before = sleeps(broker);
        std::thread::sleep(COUNTED);
        let woken = sleeps(broker) - before;
        if woken <= most {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{threads} threads slept {woken} times in {COUNTED:?}, {most} are enough"
        );
    }
}

#[test]
fn an_idle_broker_wakes_seldom_and_serves_at_once_what_comes() {
    let broker = broker();
    let mut idle = broker.connect(&for_long("idle"));
    idle.subscribe_to("a/#", QoS::AtLeastOnce).unwrap();
    until_it_rests(&broker);
    for number in 0..3 {
        broker
            .client("passing")
            .publish(&Publication::new("a/b", number.to_string()).qos(QoS::AtLeastOnce))
            .unwrap();
        assert_eq!(idle.receive(WAIT_MAX).unwrap().expect("it is delivered").text(), number.to_string());
    }
}

/// Timers of clients are due in a rest, too: of who is silent, and of who is away.
#[test]
fn a_rest_does_not_make_timers_late() {
    let broker = broker();
    let mut watching = broker.connect(&for_long("watching"));
    watching.subscribe_to("will/+", QoS::AtLeastOnce).unwrap();
    let mut delayed = Will::new("will/away", "gone");
    delayed.properties.push(PropertyId::WillDelayInterval, PropertyValue::FourByte(18)).unwrap();
    let silent = ConnectOptions { keep_alive: 8, ..ConnectOptions::v5("silent") };
    let silent = broker.connect(&silent.will(Will::new("will/silent", "gone")));
    let began = Instant::now();
    drop(broker.connect(&for_long("away").session_expiry(600).will(delayed)));
    until_it_rests(&broker);
    for (topic, earliest) in [("will/silent", 12), ("will/away", 18)] {
        assert_eq!(watching.receive(WAIT_MAX).unwrap().expect("a Will").topic, topic);
        let after = began.elapsed();
        assert!(after >= Duration::from_secs(earliest), "{topic} after {after:?}");
    }
    drop(silent);
}

/// Definitions that have nothing to do cost no wakes; timers come nevertheless, and what a rest
/// ends with is stored as soon as ever.
#[test]
fn a_broker_with_definitions_rests_between_their_timers() {
    let mut broker = broker();
    for number in 0..20 {
        broker.command_ok(&format!(
            "-addAction DEFINE ACTION Idle{number}\nON TOPIC \"in/{number}\" DO\n    PUBLISH TOPIC \"out\" WITH 1\n"
        ));
    }
    broker.command_ok(
        "-addAction DEFINE ACTION Tick\nON EVERY 8 SECONDS DO\n    KEEP TOPIC \"count\" WITH (GET TOPIC \"count\" AS INT) + 1\n    PUBLISH TOPIC \"tick\" WITH GET TOPIC \"count\"\n",
    );
    let mut watching = broker.connect(&for_long("watching"));
    watching.subscribe_to("tick", QoS::AtMostOnce).unwrap();
    until_it_rests(&broker);
    let count = watching.receive(WAIT_MAX).unwrap().expect("the timer comes").text();
    // Kept values are durable within 100 ms; a busy machine gets more.
    std::thread::sleep(Duration::from_secs(1));
    broker.kill();
    broker.start_again();
    let kept = broker.command_ok("-listKept count");
    assert!(kept.data().to_string().contains(&count), "{count} in {}", kept.data());
}

/// A client that may be silent for longer than any test lasts.
fn for_long(client_id: &str) -> ConnectOptions {
    ConnectOptions { keep_alive: 600, ..ConnectOptions::v5(client_id) }
}
