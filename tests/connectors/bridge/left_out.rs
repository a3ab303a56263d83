//! Messages that do not come over a bridge, and their reports: those too large for it, and those of
//! subscriptions that the other broker refuses.

use lotmq_test_support::eventually;

use super::{ANYBODY, Mosquitto, bridge, last_error, mapping, publish};
use crate::{Standing, broker, next, options, send, watch};

/// Before 5.0 it comes and is skipped; with 5.0 the other broker is told how large a packet may be,
/// and keeps it.
#[test]
fn bridge_skips_oversized_message_and_reports_it_with_mqtt_3_1_1() {
    for (version, is_told) in [("3.1.1", true), ("5", false)] {
        let Some(mosquitto) = Mosquitto::start(ANYBODY) else { return };
        let broker = broker();
        let mut here = watch(&broker, "in/#");
        let version = format!("PROTOCOL_VERSION \"{version}\"");
        broker.command_ok(&bridge(mosquitto.port, &version, &mapping("M", "in/#", "in/#", "in")));
        Standing::of(&broker, "Up").until("\"Connected\"");
        let mut far = mosquitto.client("far");
        for payload in [&*"x".repeat(9 << 20), "small"] {
            publish(&mut far, "in/a", payload);
        }
        assert_eq!(next(&mut here), "in/a=small", "{version}");
        let told = last_error(&broker, "Up");
        assert_eq!(told.contains("BRIDGE_TOO_LARGE"), is_told, "{version}: {told}");
    }
}

#[test]
fn rejected_subscription_is_reported_and_other_mappings_continue() {
    let (far, broker) = (options().start(), broker());
    far.command_ok(
        "-addRule DEFINE RULE Secret WITH PRIORITY 10 FOR Subscribe TO TOPIC \"secret/#\"\n    IF USER IS \"root\" THEN\n        ALLOW\n    ELSE\n        DENY",
    );
    let mut here = watch(&broker, "#");
    let mappings = mapping("Secret", "secret/#", "secret/#", "in") + &mapping("In", "in/#", "in/#", "in");
    broker.command_ok(&bridge(far.address().port(), "", &mappings));
    let told = eventually("it is told", || {
        Some(last_error(&broker, "Up")).filter(|told| told.contains("BRIDGE_SUBSCRIPTION"))
    });
    assert!(told.contains("secret/#"), "{told}");
    for topic in ["secret/a", "in/a"] {
        send(&far, topic, "1");
    }
    assert_eq!(next(&mut here), "in/a=1");
}
