//! Cost of a route's policies, as its status reports it.

use lotmq_test_support::{Broker, eventually};
use serde_json::Value;

use crate::{broker, next, send, watch};

const ROUTE: &str = "-addRoute DEFINE ROUTE Up WITH TYPE LOOPBACK\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH DESTINATION_TOPIC \"done/{topic.2}\"\n";

/// Health and reason of the only route.
fn shown(broker: &Broker) -> (Value, Value) {
    let route = broker.command_ok("-listRoutes").data()[0].clone();
    (route["health"].clone(), route["reason"].clone())
}

#[test]
fn messages_dropped_by_policy_are_in_the_reason_until_the_policy_changes() {
    let broker = broker();
    broker.command_ok(ROUTE);
    broker.command_ok("-asset-policy-set Up topics \"in/a, done/#\"");
    let mut done = watch(&broker, "done/#");
    for _ in 0..2 {
        send(&broker, "in/b", "lost");
    }
    send(&broker, "in/a", "taken");
    assert_eq!(next(&mut done), "done/a=taken");
    let told = "2 messages of its topics are lost to it by its policy `topics`: -asset-policy-set Up topics changes it";
    assert_eq!(shown(&broker), ("Yellow".into(), told.into()));
    broker.command_ok("-asset-policy-set Up topics \"in/#, done/#\"");
    assert_eq!(shown(&broker), ("Green".into(), Value::Null));
}

#[test]
fn a_guest_with_too_little_memory_names_the_policy() {
    let broker = broker();
    broker.command_ok(ROUTE);
    broker.command_ok("-asset-policy-set Up memory 1");
    let told = "its policy `memory` gives it 1 MiB, which -asset-policy-set Up memory changes";
    eventually("the reason names the policy", || {
        shown(&broker).1.as_str().is_some_and(|reason| reason.contains(told)).then_some(())
    });
    broker.command_ok("-asset-policy-set Up memory default");
    eventually("it is open again", || (shown(&broker) == ("Green".into(), Value::Null)).then_some(()));
}
