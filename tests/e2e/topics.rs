//! `lotmq topics`: what a broker has, as a tree.

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Broker, Finished, Program};
use serde_json::Value;

use crate::{LOTMQ, broker};

fn topics(broker: &Broker, arguments: &[&str]) -> Finished {
    let port = broker.port();
    Program::run(LOTMQ, &[&["topics", "-p", &port], arguments].concat()).unwrap()
}

fn keep(broker: &Broker, topics: &[(&str, &str)]) {
    let mut client = broker.client("keeper");
    for (topic, payload) in topics {
        client.publish(&Publication::new(*topic, *payload).qos(QoS::AtLeastOnce).retained()).unwrap();
    }
    client.disconnect().unwrap();
}

#[test]
fn retained_topics_are_a_tree_with_values() {
    let broker = broker();
    keep(&broker, &[("plant/a/t", "81"), ("plant/b/t", "20"), ("plant/b/x", "\u{1b}[2J"), ("other", "1")]);
    let shown = topics(&broker, &["plant/#", "--retained"]);
    let lines: Vec<&str> = shown.output().lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "plant");
    assert_eq!(lines[1], "  a");
    assert!(lines[2].starts_with("    t ") && lines[2].ends_with("R 81"), "{shown:?}");
    assert!(shown.stdout.contains("3 topics, 0 messages in "), "{shown:?}");
    assert!(!shown.stdout.contains("other") && !shown.stdout.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn rates_are_those_of_the_time_that_was_listened_for() {
    let broker = broker();
    keep(&broker, &[("kept", "before")]);
    let port = broker.port();
    let listening = Program::start(LOTMQ, &["topics", "-p", &port, "--for", "3", "--json"]).unwrap();
    broker.wait_for_metric("lotmq_subscriptions", 1.0);
    let mut client = broker.client("sender");
    for number in 0..30 {
        let publication = Publication::new("live/t", number.to_string()).qos(QoS::AtLeastOnce);
        client.publish(&publication).unwrap();
    }
    let listened = listening.wait();
    let rows: Vec<Value> =
        listened.output().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |topic: &str| rows.iter().find(|row| row["topic"] == topic).unwrap();
    assert_eq!((&of("kept")["messages"], &of("kept")["retained"]), (&0.into(), &true.into()));
    let live = of("live/t");
    assert_eq!((&live["messages"], &live["payload"]), (&30.into(), &"29".into()), "{live}");
    assert!((5.0..=10.5).contains(&live["perSecond"].as_f64().unwrap()), "{live}");
    assert_eq!(rows.last().unwrap()["topics"], 2, "{listened:?}");
}

#[test]
fn topics_beyond_the_maximum_are_counted_and_rejections_reported() {
    let broker = broker();
    keep(&broker, &[("a", "1"), ("b", "2"), ("c", "3")]);
    let shown = topics(&broker, &["--retained", "--max", "2"]);
    assert!(shown.output().contains("2 topics, 0 messages in "), "{shown:?}");
    assert!(shown.stdout.contains("1 messages were on further topics"), "{shown:?}");
    broker.command_ok("-addUser bob pw");
    let refused = topics(&broker, &["$SYS/Coreflux/#", "--retained", "-u", "bob", "-P", "pw"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("refused the subscription to `$SYS/Coreflux/#`"), "{refused:?}");
    assert_eq!(topics(&broker, &["a/#/b"]).status.code(), Some(2));
}
