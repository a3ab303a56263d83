//! A bridge that makes a pause between two attempts to connect, and is asked whether it could.

use lotmq_test_support::free_port;

use super::{bridge, mapping};
use crate::{Standing, broker, next, options, send, watch};

/// Between two attempts to connect it pauses for ten minutes, with what waits.
#[test]
fn a_bridge_that_pauses_connects_when_somebody_has_seen_that_it_can() {
    let port = free_port();
    let broker = broker();
    let patient = "    ADD ROUTE_CONFIG\n        WITH RECONNECTION_MAX_PAUSE 600\n";
    let text =
        bridge(port, "RECONNECTION_RETRIES 0", &(patient.to_owned() + &mapping("M", "up/#", "up/#", "out")));
    broker.command_ok(&text);
    let mut standing = Standing::of(&broker, "Up");
    standing.until("\"Reconnecting\"");
    send(&broker, "up/x", "1");
    let far = options().listen(&format!("127.0.0.1:{port}")).start();
    let mut there = watch(&far, "up/#");
    let checked = broker.command_ok("-checkRouteConnection Up");
    let told = "Route 'Up' is reachable, and connects again now. It had failed: ";
    assert!(checked.message().starts_with(told), "{checked:?}");
    assert_eq!(next(&mut there), "up/x=1");
}
