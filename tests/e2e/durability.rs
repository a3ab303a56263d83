//! Acknowledged data survives `kill -9` and a restart.

use std::time::Duration;

use lotmq_client::{ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::{broker, demo_broker};

/// Publishes and insists on success.
fn publish(broker: &Broker, publication: Publication) {
    let mut client = broker.client("");
    let reason = client.publish(&publication.qos(QoS::AtLeastOnce)).unwrap();
    assert!(!reason.is_failure(), "{reason}");
    client.disconnect().unwrap();
}

fn texts(client: &mut lotmq_client::Client, count: usize) -> Vec<String> {
    (0..count)
        .map(|at| {
            client.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("message {at} is missing")).text()
        })
        .collect()
}

#[test]
fn kill_9_keeps_actions() {
    let mut broker = demo_broker();
    broker.kill();
    broker.start_again();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("alarms/#", QoS::AtMostOnce).unwrap();
    publish(&broker, Publication::new("plant/p/temperature", "81"));
    let alarm = watcher.receive(WAIT_MAX).unwrap().unwrap();
    assert_eq!((alarm.topic.as_str(), alarm.text().as_str()), ("alarms/p", "too hot: 81"));

    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/+", QoS::AtMostOnce).unwrap();
    let mut names: Vec<String> = (0..3).map(|_| root.receive(WAIT_MAX).unwrap().unwrap().topic).collect();
    names.sort();
    let expected = ["Heartbeat", "HeatAlarm", "Readings"].map(|name| format!("$SYS/Coreflux/Actions/{name}"));
    assert_eq!(names, expected);
}

#[test]
fn kill_9_keeps_removals() {
    let mut broker = demo_broker();
    broker.command_ok("-removeAction HeatAlarm");
    broker.kill();
    broker.start_again();
    let reply = broker.command_ok("-listEntities");
    let names: Vec<&str> =
        reply.data().as_array().unwrap().iter().filter_map(|entity| entity["name"].as_str()).collect();
    assert_eq!(names, ["Readings", "Heartbeat"]);
}

#[test]
fn kill_9_keeps_values_written_by_keep() {
    let mut broker = demo_broker();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("readings/p", QoS::AtMostOnce).unwrap();
    publish(&broker, Publication::new("plant/p/temperature", "1"));
    assert!(texts(&mut watcher, 1)[0].ends_with(r#""count":1}"#));
    // A kept value is written within 100 ms of its run; no acknowledgement covers it (language
    // reference §6).
    std::thread::sleep(Duration::from_secs(2));
    broker.kill();
    broker.start_again();
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("readings/p", QoS::AtMostOnce).unwrap();
    publish(&broker, Publication::new("plant/p/temperature", "1"));
    assert_eq!(texts(&mut watcher, 1), [r#"{"machine":"p","celsius":1,"count":2}"#]);
}

#[test]
fn kill_9_keeps_retained_messages() {
    let mut broker = broker();
    publish(&broker, Publication::new("kept/a", "1").retained());
    publish(&broker, Publication::new("kept/b", "2").retained());
    publish(&broker, Publication::new("kept/b", "").retained());
    publish(&broker, Publication::new("kept/c", "old").retained());
    publish(&broker, Publication::new("kept/c", "new").retained());
    broker.kill();
    broker.start_again();
    let mut reader = broker.client("reader");
    reader.subscribe_to("kept/#", QoS::AtLeastOnce).unwrap();
    let mut found: Vec<(String, String, bool)> = (0..2)
        .map(|_| reader.receive(WAIT_MAX).unwrap().unwrap())
        .map(|message| (message.topic.clone(), message.text(), message.retain))
        .collect();
    found.sort();
    let expected = [("kept/a", "1"), ("kept/c", "new")];
    assert_eq!(found, expected.map(|(topic, text)| (topic.to_owned(), text.to_owned(), true)));
    reader.ping().unwrap();
    assert!(reader.receive(Duration::ZERO).unwrap().is_none(), "the removed one stays removed");
}

fn kept_session() -> [ConnectOptions; 2] {
    [
        ConnectOptions::new("keeper").clean_start(false),
        ConnectOptions::v5("keeper").clean_start(false).session_expiry(3600),
    ]
}

#[test]
fn kill_9_keeps_sessions_and_their_queues() {
    for options in kept_session() {
        let mut broker = broker();
        let mut keeper = broker.connect(&options);
        assert!(!keeper.session_present());
        assert_eq!(keeper.subscribe_to("orders/+", QoS::ExactlyOnce).unwrap(), ReasonCode::GrantedQos2);
        keeper.disconnect().unwrap();
        let mut publisher = broker.client("publisher");
        for number in 0..50 {
            let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            publisher.publish(&Publication::new("orders/1", number.to_string()).qos(qos)).unwrap();
        }
        broker.kill();
        broker.start_again();
        let mut keeper = broker.connect(&options);
        assert!(keeper.session_present());
        let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        assert_eq!(texts(&mut keeper, 50), expected);
        // The subscription is there as well.
        publish(&broker, Publication::new("orders/2", "after"));
        assert_eq!(texts(&mut keeper, 1), ["after"]);
    }
}

#[test]
fn kill_9_keeps_what_was_delivered_and_not_acknowledged() {
    let mut broker = broker();
    let options = ConnectOptions::new("keeper").clean_start(false);
    let mut keeper = broker.connect(&options.clone().manual_acks());
    keeper.subscribe_to("orders", QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    for number in 0..3 {
        publisher.publish(&Publication::new("orders", number.to_string()).qos(QoS::AtLeastOnce)).unwrap();
    }
    let first = keeper.receive(WAIT_MAX).unwrap().unwrap();
    assert_eq!(first.text(), "0");
    broker.kill();
    broker.start_again();
    let mut keeper = broker.connect(&options);
    assert_eq!(texts(&mut keeper, 3), ["0", "1", "2"]);
}

#[test]
fn sessions_that_end_with_their_connection_leave_nothing() {
    let mut broker = broker();
    let mut client = broker.client("passing");
    client.subscribe_to("orders", QoS::AtLeastOnce).unwrap();
    client.abort();
    broker.kill();
    broker.start_again();
    let again = broker.connect(&ConnectOptions::new("passing").clean_start(false));
    assert!(!again.session_present());
}

#[test]
fn users_and_secrets_survive_and_secrets_are_not_readable_in_the_file() {
    let mut broker = broker();
    broker.command_ok("-addUser ada lovelace-1815");
    broker.command_ok("-setEnv SITE=north wing");
    broker.command_ok("-setSecret TOKEN=hunter2-hunter2-hunter2");
    broker.kill();
    let file = std::fs::read(broker.data().join("lotmq.redb")).unwrap();
    for hidden in ["hunter2-hunter2", "lovelace-1815"] {
        assert!(!file.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden}");
    }
    broker.start_again();
    broker.connect(&ConnectOptions::new("ada").user("ada", "lovelace-1815"));
    let environment = broker.command_ok("-listEnv");
    assert_eq!(environment.data()[0]["value"], "north wing");
    let secrets = broker.command_ok("-listSecrets").0.to_string();
    assert!(secrets.contains("TOKEN") && !secrets.contains("hunter2"), "{secrets}");
}

#[test]
fn a_clean_stop_keeps_everything_too() {
    let mut broker = demo_broker();
    publish(&broker, Publication::new("kept", "1").retained());
    let status = broker.stop();
    assert!(status.success(), "{status}");
    broker.start_again();
    let mut reader = broker.client("reader");
    reader.subscribe_to("kept", QoS::AtMostOnce).unwrap();
    assert_eq!(texts(&mut reader, 1), ["1"]);
    let entities = eventually("the actions", || Some(broker.command("-listEntities")));
    assert_eq!(entities.data().as_array().map(Vec::len), Some(3), "{entities:?}");
}
