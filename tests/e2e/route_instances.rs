//! Routes with several instances of their guest: what order is kept, and that what fails in one of
//! them does not stop the others.

use std::collections::BTreeMap;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::{broker, next, options, send, watch};

/// A route that answers, with so many instances, and these settings of its event.
fn route(instances: usize, event: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE R WITH TYPE LOOPBACK\n    ADD ROUTE_CONFIG\n        WITH INSTANCES {instances}\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"dev/+/save\"\n        WITH DESTINATION_TOPIC \"answer/{{topic.2}}\"\n        WITH QOS 1\n{event}"
    )
}

fn wait_for_instances(broker: &Broker, connected: usize) {
    let line = format!(
        "lotmq_route_instances{{tenant=\"default\",route=\"R\",type=\"LOOPBACK\",state=\"Connected\"}} {connected}"
    );
    eventually("connected instances", || {
        broker.http("/metrics").body.lines().any(|it| it == line).then_some(())
    });
}

#[test]
fn messages_of_a_topic_keep_their_order_however_many_instances_there_are() {
    const TOPICS: usize = 7;
    const MESSAGES: usize = 120;
    let broker = broker();
    let mut answers = broker.client("answers");
    answers.subscribe_to("answer/#", QoS::AtLeastOnce).unwrap();
    let mut sender = broker.client("sender");
    for (round, instances) in [4, 1, 3, 4].into_iter().enumerate() {
        broker.command_ok(&route(instances, ""));
        for number in 0..MESSAGES / 4 {
            for topic in 0..TOPICS {
                let payload = (round * MESSAGES / 4 + number).to_string();
                let topic = format!("dev/{topic}/save");
                sender.publish(&Publication::new(&topic, payload).qos(QoS::AtLeastOnce)).unwrap();
            }
        }
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..TOPICS * MESSAGES {
        let answer = answers.receive(WAIT_MAX).unwrap().expect("an answer");
        let expected = seen.entry(answer.topic.clone()).or_default();
        assert_eq!(answer.text(), expected.to_string(), "on {}", answer.topic);
        *expected += 1;
    }
    wait_for_instances(&broker, 4);
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    let (topics, messages) = (TOPICS as f64, MESSAGES as f64);
    broker.wait_until_metric_is("lotmq_route_delivered_total", topics * messages);
}

#[test]
fn failing_instance_blocks_only_its_own_topic_and_keeps_order() {
    for class in ["retry", "reconnect"] {
        let broker = broker();
        broker.command_ok(&route(2, "        WITH FAIL \"{payload.json.fail}\"\n"));
        wait_for_instances(&broker, 2);
        let mut answers = watch(&broker, "answer/#");
        let bad = format!("{{\"fail\":\"{class}\"}}");
        send(&broker, "dev/bad/save", &bad);
        eventually("a message that comes again", || {
            broker.metric("lotmq_route_retried_total").filter(|retried| *retried > 0.0)
        });
        send(&broker, "dev/bad/save", "{\"fail\":\"never\"}");
        for number in 0..20 {
            send(&broker, "dev/good/save", &format!("{{\"fail\":\"never\",\"n\":{number}}}"));
        }
        for number in 0..20 {
            assert_eq!(
                next(&mut answers),
                format!("answer/good={{\"fail\":\"never\",\"n\":{number}}}"),
                "{class}"
            );
        }
        broker.wait_until_metric_is("lotmq_route_waiting", 2.0);
        // One is connected, so the route is.
        let row = broker.command_ok("-listRoutes").data()[0].clone();
        assert_eq!(row["connection"], "Connected", "{class}");
        broker.command_ok(&route(1, ""));
        assert_eq!(next(&mut answers), format!("answer/bad={bad}"));
        assert_eq!(next(&mut answers), "answer/bad={\"fail\":\"never\"}");
    }
}

#[test]
fn fatal_error_stops_all_instances_and_is_reported_once() {
    let broker = broker();
    broker.command_ok(&route(3, "        WITH FAIL \"{payload.json.fail}\"\n"));
    wait_for_instances(&broker, 3);
    send(&broker, "dev/a/save", "{\"fail\":\"fatal\"}");
    let stands = "R (LOOPBACK): Disconnected, Red: it was asked to fail; it stands still; -run R tries again";
    eventually("a route that stands still", || {
        (broker.command_ok("-connectionStatus").message() == stands).then_some(())
    });
    let row = broker.command_ok("-listRoutes").data()[0].clone();
    assert_eq!(row["errors"], 1);
    // It waits, and so does what comes.
    let mut answers = watch(&broker, "answer/#");
    send(&broker, "dev/b/save", "{}");
    broker.wait_until_metric_is("lotmq_route_waiting", 2.0);
    broker.command_ok(&route(2, ""));
    let mut both = [next(&mut answers), next(&mut answers)];
    both.sort();
    assert_eq!(both, ["answer/a={\"fail\":\"fatal\"}", "answer/b={}"]);
}

#[test]
fn outboxes_of_several_instances_survive_a_restart_in_order() {
    let mut broker = options().variable("LOTMQ_LOT_DURABLE_TRIGGERS", "true").start();
    broker.command_ok(&route(4, "        WITH FAIL \"{payload.json.fail}\"\n"));
    wait_for_instances(&broker, 4);
    let mut sender = broker.client("sender");
    for number in 0..3 {
        for topic in 0..5 {
            let (topic, payload) =
                (format!("dev/{topic}/save"), format!("{{\"fail\":\"retry\",\"n\":{number}}}"));
            sender.publish(&Publication::new(&topic, payload).qos(QoS::AtLeastOnce)).unwrap();
        }
    }
    drop(sender);
    broker.kill();
    broker.start_again();
    let mut answers = watch(&broker, "answer/#");
    broker.command_ok(&route(2, ""));
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..15 {
        let answer = next(&mut answers);
        let (topic, payload) = answer.split_once('=').unwrap();
        seen.entry(topic.to_owned()).or_default().push(payload.to_owned());
    }
    let expected: Vec<_> = (0..3).map(|number| format!("{{\"fail\":\"retry\",\"n\":{number}}}")).collect();
    assert!(seen.values().all(|payloads| *payloads == expected), "{seen:?}");
    assert_eq!(seen.len(), 5);
}
