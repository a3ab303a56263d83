//! Messages that routes bring into the broker, which confirms them after it has stored them, if it
//! has to.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::Value;

use crate::disk::Sick;
use crate::outbox;
use crate::rule_modules::add_guard;
use crate::{broker, send};

/// A route that answers `in/<n>` at `out/<n>` with QoS 1. The broker does not store its input, so
/// that everything stored is its output.
const ROUTE: &str = "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE memory\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH DESTINATION_TOPIC \"out/{topic.2}\"\n        WITH QOS 1\n";

fn sleeper() -> ConnectOptions {
    ConnectOptions::v5("sleeper").clean_start(false).session_expiry(3600)
}

/// A session that gets the answers, and is away.
fn send_to_sleep(broker: &Broker) {
    let mut client = broker.connect(&sleeper());
    assert!(!client.subscribe_to("out/#", QoS::AtLeastOnce).unwrap().is_failure());
    client.disconnect().unwrap();
}

/// Topics of the answers that waited for the session, up to the one for `last`.
fn waited(broker: &Broker, last: &str) -> Vec<String> {
    let mut client = broker.connect(&sleeper());
    let last = format!("out/{last}");
    let mut topics = Vec::new();
    while topics.last() != Some(&last) {
        topics.push(client.receive(WAIT_MAX).unwrap().expect("an answer").topic);
    }
    client.disconnect().unwrap();
    topics
}

struct Standing(Client);

impl Standing {
    fn of(broker: &Broker) -> Standing {
        let mut root = broker.root("reader of status");
        root.subscribe_to("$SYS/Coreflux/Routes/R/status", QoS::AtMostOnce).unwrap();
        Standing(root)
    }

    /// The first standing of the route that is so.
    fn when(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.0.receive(WAIT_MAX).unwrap().expect("a status");
            let status: Value = serde_json::from_str(&message.text()).unwrap();
            if is_so(&status) {
                return status;
            }
        }
    }
}

fn succeeded(status: &Value) -> u64 {
    status["messages"]["succeeded"].as_u64().unwrap()
}

#[test]
fn incoming_route_message_fails_until_the_disk_stores_it() {
    for state in ["full", "write-eio"] {
        let sick = Sick::new();
        let broker = &sick.broker;
        send_to_sleep(broker);
        let mut standing = Standing::of(broker);
        broker.command_ok(ROUTE);
        send(broker, "in/1", "x");
        standing.when(|status| succeeded(status) == 1);
        sick.becomes(state);
        send(broker, "in/2", "x");
        let told = standing.when(|status| status["errors"]["total"] != 0 || succeeded(status) > 1);
        assert_eq!(succeeded(&told), 1, "{state}: {told}");
        assert!(told["lastError"].as_str().unwrap().contains("not-stored"), "{state}: {told}");
        sick.heals();
        standing.when(|status| succeeded(status) == 2);
        let topics = waited(broker, "2");
        assert!(topics.contains(&"out/1".to_owned()), "{state}: {topics:?}");
    }
}

#[test]
fn kill_9_costs_nothing_of_what_was_done_for_a_route() {
    let mut broker = broker();
    send_to_sleep(&broker);
    broker.command_ok(ROUTE);
    for round in 0..3 {
        let mut standing = Standing::of(&broker);
        let mut sender = broker.client("sender of many");
        for number in 0..300 {
            sender.publish(&Publication::new(format!("in/{round}-{number}"), "x")).unwrap();
        }
        // Others are under way when the process is killed.
        let told = standing.when(|status| succeeded(status) > 0);
        broker.kill();
        broker.start_again();
        // The route is there again, and its answer is the last one.
        send(&broker, &format!("in/{round}-end"), "x");
        let topics = waited(&broker, &format!("{round}-end"));
        // The end of the round before was this process's first one.
        for number in 0..succeeded(&told) - u64::from(round > 0) {
            let topic = format!("out/{round}-{number}");
            assert!(topics.contains(&topic), "{topic} is lost of {told}: {topics:?}");
        }
    }
}

/// The far side has something to say as soon as somebody is there: what decides on that is in force
/// before the route is opened.
#[test]
fn rules_and_modules_are_active_before_a_route_opens_at_startup() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, answers) = channel();
    std::thread::spawn(move || {
        for (start, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            writeln!(stream, "{start}").unwrap();
            let mut answer = String::new();
            // If no answer comes, the test sees it in what was read.
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let _ = BufReader::new(&stream).read_line(&mut answer);
            if tell.send(answer).is_err() {
                return;
            }
        }
    });
    let mut broker = outbox::broker();
    broker.command_ok(&add_guard("-grantAll"));
    // These take their time before it is the turn of the one that is asked.
    for number in 0..20 {
        broker.command_ok(&add_guard("-grantAll").replace(" guard ", &format!(" a{number} ")));
    }
    broker.command_ok("-addRule DEFINE RULE Asks WITH PRIORITY 50 FOR Publish TO TOPIC \"echo/in\"\n    IF MODULE \"guard\" THEN\n        ALLOW\n    ELSE\n        DENY\n");
    let route = outbox::route(address, &[]);
    broker.command_ok(&format!("{route}        WITH DESTINATION_TOPIC \"echo/in\"\n"));
    for start in 0..3 {
        assert_eq!(answers.recv_timeout(WAIT_MAX).unwrap(), format!("+{start}\n"));
        broker.kill();
        broker.start_again();
    }
}
