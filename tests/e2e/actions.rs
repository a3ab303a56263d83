//! Actions as a user sees them: in which order what they publish comes.

use lotmq_client::{Publication, QoS};
use lotmq_test_support::WAIT_MAX;

use crate::broker;

/// What an Action publishes comes behind the message that started it, also when the Action runs beside the thread that delivers that message.
#[test]
fn effects_come_behind_their_cause() {
    let broker = broker();
    for (name, body) in [
        ("AtOnce", "    PUBLISH TOPIC \"effect/at-once\" WITH PAYLOAD\n"),
        (
            "Beside",
            "    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n    UNTIL {i} > 1\n    PUBLISH TOPIC \"effect/beside\" WITH PAYLOAD\n",
        ),
    ] {
        broker.command_ok(&format!("-addAction DEFINE ACTION {name}\nON TOPIC \"cause\" DO\n{body}"));
    }
    let mut watcher = broker.client("watcher");
    for filter in ["cause", "effect/#"] {
        watcher.subscribe_to(filter, QoS::AtMostOnce).unwrap();
    }
    let mut sender = broker.client("sender");
    for number in 0..300 {
        sender.publish(&Publication::new("cause", number.to_string())).unwrap();
        let messages: Vec<_> = (0..3).map(|_| watcher.receive(WAIT_MAX).unwrap().unwrap()).collect();
        assert!(messages.iter().all(|message| message.text() == number.to_string()));
        assert_eq!(messages[0].topic, "cause", "message {number}");
    }
}
