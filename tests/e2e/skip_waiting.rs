//! `-skipWaiting`: what blocks a route becomes a dead letter when an administrator says so, whether
//! the route runs, is stopped or is down.

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually, free_address};
use serde_json::Value;

use crate::options;

const REASON: &str = "an administrator took it out of what waited (-skipWaiting)";

/// A route that fails as its messages say, with these settings of `LOOPBACK_CONFIG`.
fn route(settings: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE LOOPBACK\n{settings}    ADD EVENT Save\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH FAIL \"{{payload}}\"\n        \
         WITH DESTINATION_TOPIC \"done/{{topic.2}}\"\n"
    )
}

fn publish(broker: &Broker, topics_and_payloads: &[(&str, &str)]) {
    let mut client = broker.client("publisher");
    for (topic, payload) in topics_and_payloads {
        client.publish(&Publication::new(*topic, *payload).qos(QoS::AtLeastOnce)).unwrap();
    }
}

fn waiting(broker: &Broker) -> u64 {
    broker.command_ok("-listRoutes").data()[0]["waiting"].as_u64().unwrap()
}

/// Topics of the dead letters, all of which were taken out by order.
fn skipped(broker: &Broker) -> Vec<String> {
    let found = broker.command_ok("-listDeadLetters Line").data().clone();
    let letters = found["letters"].as_array().unwrap();
    assert!(letters.iter().all(|letter| letter["reason"] == REASON), "{found}");
    letters.iter().map(|letter| letter["topic"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_message_that_ends_every_connection_is_found_and_taken_out() {
    let broker = options().start();
    broker.command_ok(&route(""));
    broker.command_ok("-stop Line");
    publish(&broker, &[("in/a", "never"), ("in/b", "reconnect"), ("in/c", "never"), ("in/d", "never")]);
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("done/#", QoS::AtLeastOnce).unwrap();
    broker.command_ok("-run Line");
    // They go in one batch, which is halved until the one that is in front is the one.
    assert_eq!(&*watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "done/a");
    eventually("the others wait", || (waiting(&broker) == 3).then_some(()));
    let reply = broker.command_ok("-skipWaiting Line");
    assert_eq!(reply.message(), "1 message(s) made dead letters; 2 wait.");
    for topic in ["done/c", "done/d"] {
        assert_eq!(&*watcher.receive(WAIT_MAX).unwrap().unwrap().topic, topic);
    }
    assert_eq!(skipped(&broker), ["in/b"]);
}

#[test]
fn a_route_that_stands_still_because_of_a_message_goes_on_without_it() {
    let broker = options().start();
    broker.command_ok(&route(""));
    publish(&broker, &[("in/a", "fatal"), ("in/b", "never")]);
    eventually("it stands still", || {
        let row = broker.command_ok("-listRoutes").data()[0].clone();
        (row["connection"] == "Disconnected").then_some(())
    });
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("done/#", QoS::AtLeastOnce).unwrap();
    broker.command_ok("-skipWaiting Line 1");
    assert_eq!(&*watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "done/b");
    assert_eq!(skipped(&broker), ["in/a"]);
}

#[test]
fn skipped_messages_are_durable_before_the_reply() {
    let mut broker = options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    let nowhere = free_address();
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH BASE_ADDRESS \"http://{nowhere}\"\n    ADD EVENT Save\n        \
         WITH SOURCE_TOPIC \"in/+\"\n        WITH METHOD \"POST\"\n        WITH REQUEST_PATH \"/a\"\n"
    ));
    publish(&broker, &[("in/a", "1"), ("in/b", "2"), ("in/c", "3"), ("in/d", "4")]);
    for (orders, count, left) in [(&[][..], 1, 3), (&["-stop Line"][..], 2, 1)] {
        orders.iter().for_each(|order| drop(broker.command_ok(order)));
        let reply = broker.command_ok(&format!("-skipWaiting Line {count}"));
        assert_eq!((&reply.data()["count"], &reply.data()["waiting"]), (&count.into(), &left.into()));
        broker.kill();
        broker.start_again();
        assert_eq!(waiting(&broker), left);
    }
    assert_eq!(skipped(&broker), ["in/a", "in/b", "in/c"]);
    let reply = broker.command_ok("-skipWaiting Line 10000");
    assert_eq!((&reply.data()["count"], waiting(&broker)), (&1.into(), 0));
    assert_eq!(broker.command_ok("-skipWaiting Line").message(), "No messages wait.");
    assert_eq!(broker.metric("lotmq_route_dead_letters_dropped_total"), Some(0.0));
}

#[test]
fn skip_waiting_does_not_skip_messages_of_the_running_call() {
    let broker = options().start();
    broker.command_ok(&route("    ADD LOOPBACK_CONFIG\n        WITH DELAY 3000\n"));
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("done/#", QoS::AtLeastOnce).unwrap();
    publish(&broker, &[("in/a", "never")]);
    broker.wait_for_metric("lotmq_route_batches_total", 1.0);
    publish(&broker, &[("in/b", "never")]);
    // It waits for the call, which delivers the first, and takes the one behind it.
    let reply = broker.command_ok("-skipWaiting Line");
    assert_eq!(&*watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "done/a");
    assert_eq!((&reply.data()["count"], skipped(&broker)), (&1.into(), vec!["in/b".to_owned()]));
    broker.command_ok("-stop Line");
    broker.command_ok(&route("    ADD LOOPBACK_CONFIG\n        WITH DELAY 15000\n"));
    broker.command_ok("-run Line");
    publish(&broker, &[("in/c", "never")]);
    broker.wait_for_metric("lotmq_route_batches_total", 2.0);
    let refused = broker.slow_command("-skipWaiting Line");
    assert_eq!((refused.code(), &refused.data()["count"]), ("IN_CALL", &Value::from(0)));
}

#[test]
fn wrong_skip_commands_are_rejected() {
    let broker = options().start();
    broker.command_ok(&route(""));
    for (command, code) in [
        ("-skipWaiting", "MISSING_ARGUMENT"),
        ("-skipWaiting Line 0", "ARGUMENT_INVALID"),
        ("-skipWaiting Line 10001", "ARGUMENT_INVALID"),
        ("-skipWaiting Line x", "ARGUMENT_INVALID"),
        ("-skipWaiting Line 1 2", "TOO_MANY_ARGUMENTS"),
        ("-skipWaiting Other", "NOT_FOUND"),
    ] {
        assert_eq!(broker.command(command).code(), code, "{command}");
    }
    broker.command_ok("-addUser cfg password");
    broker.command_ok("-changeUserSettings cfg AllowedSystemConfiguration true");
    publish(&broker, &[("in/a", "reconnect")]);
    eventually("it waits", || (waiting(&broker) == 1).then_some(()));
    assert_eq!(broker.command_as(("cfg", "password"), "-skipWaiting Line").code(), "OF_ANOTHER");
    assert_eq!(broker.command_as(("cfg", "password"), "-skipWaiting Line -force").data()["count"], 1);
}
