//! Actions as a user sees them: in which order what they publish comes.

use lotmq_client::{ConnectOptions, Publication, QoS};
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

/// Its identifier must be on the disk before it leaves, and who runs Actions is not called when that is so.
#[test]
fn an_exactly_once_message_of_an_action_leaves_as_soon_as_it_is_stored() {
    let broker = broker();
    let mut receiver = broker.connect(&ConnectOptions::v5("receiver").clean_start(false).session_expiry(600));
    receiver.subscribe_to("effect", QoS::ExactlyOnce).unwrap();
    broker.command_ok(
        "-addAction DEFINE ACTION Once\nON START DO\n    PUBLISH TOPIC \"effect\" WITH \"here\" QOS 2\n",
    );
    let message = receiver.receive(WAIT_MAX).unwrap().expect("it comes without any other");
    assert_eq!((message.text().as_str(), message.qos), ("here", QoS::ExactlyOnce));
}
