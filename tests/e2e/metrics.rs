//! `GET /metrics` and `$SYS/broker` tell what happens.

use lotmq_client::{Publication, QoS};
use lotmq_test_support::WAIT_MAX;

use crate::{broker, options};

#[test]
fn metrics_are_prometheus_text() {
    let broker = broker();
    let mut client = broker.client("c");
    client.publish(&Publication::new("a", "x").qos(QoS::AtLeastOnce)).unwrap();
    let response = broker.http("/metrics");
    assert_eq!(response.status, 200);
    let mut names = std::collections::BTreeSet::new();
    for line in response.body.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            names.insert(help.split(' ').next().unwrap().to_owned());
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample is a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let base = name.split('{').next().unwrap();
        assert!(base.starts_with("lotmq_"), "{line}");
        assert!(names.iter().any(|known| base.starts_with(known.as_str())), "no help: {line}");
    }
    assert!(names.len() > 5, "{}", response.body);
}

#[test]
fn anonymous_clients_on_this_machine_read_the_monitoring_tree_only() {
    let broker = options().variable("LOTMQ_SYS_INTERVAL_SEC", "1").start();
    let mut client = broker.client("monitor");
    let granted = client.subscribe_to("$SYS/#", QoS::AtMostOnce).unwrap();
    assert!(!granted.is_failure(), "{granted}");
    let mut topics = std::collections::BTreeSet::new();
    while !topics.contains("$SYS/broker/uptime") || topics.len() < 10 {
        let message = client.receive(WAIT_MAX).unwrap().expect("the tree is published");
        assert!(message.topic.starts_with("$SYS/broker/"), "{}", message.topic);
        topics.insert(message.topic);
    }
    let refused = client.subscribe_to("$SYS/Coreflux/Version", QoS::AtMostOnce).unwrap();
    assert!(refused.is_failure(), "{refused}");
}
