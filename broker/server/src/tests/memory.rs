//! Memory that a stopped broker leaves in use while its process goes on, as it does to restore a
//! backup.

use std::sync::Arc;
use std::time::Instant;

use lotmq_client::{ConnectOptions, Publication, QoS, Will};

use crate::testing::{PATIENCE, Running, connect};

/// Definitions of each kind that run; what they hold must not hold the tenant.
const PROGRAMS: [&str; 4] = [
    "-addAction DEFINE ACTION Passes ON TOPIC \"in/+\" DO\n    KEEP TOPIC \"kept\" WITH PAYLOAD\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n",
    "-addAction DEFINE ACTION Ticks ON EVERY 1 SECOND DO\n    PUBLISH TOPIC \"tick\" WITH \"1\"\n",
    "-addModel DEFINE MODEL Press WITH TOPIC \"press\"\n    ADD \"value\" WITH TOPIC \"in/a\" AS TRIGGER\n",
    "-addRule DEFINE RULE Mine WITH PRIORITY 5 FOR Publish TO TOPIC \"mine/#\"\n    IF USER IS \"root\" THEN\n        ALLOW\n    ELSE\n        DENY\n",
];

#[test]
fn a_broker_that_has_stopped_leaves_nothing() {
    let running = Running::start("fsync");
    let mut root = connect(running.address(), &ConnectOptions::new("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    for program in PROGRAMS {
        root.publish(&Publication::new("$SYS/Coreflux/Command", program).qos(QoS::AtLeastOnce)).unwrap();
        let reply = root.receive(PATIENCE).unwrap().expect("each command is answered").text();
        assert!(reply.contains("\"ok\":true") || reply.contains("success"), "{program}: {reply}");
    }
    let will = Will::new("gone", "x");
    let options = ConnectOptions::v5("stays").session_expiry(3_600).will(will);
    let mut stays = connect(running.address(), &options);
    stays.subscribe_to("out", QoS::ExactlyOnce).unwrap();
    let message = Publication::new("in/a", "7").qos(QoS::AtLeastOnce).retained();
    stays.publish(&message).unwrap();
    assert_eq!(stays.receive(PATIENCE).unwrap().expect("the Action has run").text(), "7");

    let broker = Arc::downgrade(&running.server.broker);
    let tenants: Vec<_> = running.server.broker.hosting.tenants.all().iter().map(Arc::downgrade).collect();
    running.server.stop();
    let deadline = Instant::now() + PATIENCE;
    // Threads that are not joined, like one that reads for a command, may need a moment.
    while Instant::now() < deadline
        && (broker.strong_count() > 0 || tenants.iter().any(|tenant| tenant.strong_count() > 0))
    {
        std::thread::yield_now();
    }
    assert_eq!(broker.strong_count(), 0, "the broker");
    for tenant in &tenants {
        assert_eq!(tenant.strong_count(), 0, "a tenant");
    }
}
