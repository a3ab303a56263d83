//! `CLIENTID` and `USER` in `ON TOPIC` and `ON CHANGE`: who published the message.

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::Broker;

use crate::triggers::{add, passes};
use crate::{broker, next, watch};

const WHO: &str = r#"DEFINE ACTION Who
ON TOPIC "a/+" DO
    IF CLIENTID == EMPTY THEN
        PUBLISH TOPIC "who" WITH "nobody"
    ELSE IF USER == EMPTY THEN
        PUBLISH TOPIC "who" WITH CLIENTID + " without a login"
    ELSE
        PUBLISH TOPIC "who" WITH USER + " at " + CLIENTID
DEFINE ACTION Other
ON CHANGE "b" DO
    PUBLISH TOPIC "a/x" WITH 1
    PUBLISH TOPIC "changed" WITH CLIENTID
"#;

#[test]
fn offline_tests_pass_publisher_identity_to_programs() {
    let cases = r#"
        [[case]]
        name = "clients with and without a login, and another program"
        when = [
            { topic = "a/1", payload = 1, username = "ann", client_id = "phone" },
            { topic = "a/1", payload = 1, client_id = "gauge" },
            { topic = "b", payload = 1, username = "bob" },
        ]
        then = [
            { topic = "who", payload = "ann at phone" },
            { topic = "who", payload = "gauge without a login" },
            { topic = "a/x", payload = 1 },
            { topic = "changed", payload = "bob" },
            { topic = "who", payload = "nobody" },
        ]
    "#;
    passes(WHO, cases, 1);
}

fn publish(client: &mut Client, topic: &str) {
    client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap();
}

fn as_ann(broker: &Broker, client_id: &str) -> Client {
    broker.connect(&ConnectOptions::new(client_id).user("ann", "password"))
}

#[test]
fn a_broker_tells_programs_who_published() {
    let broker = broker();
    broker.command_ok("-addUser ann password");
    for (name, of) in [("Short", "a/short"), ("Long", "a/long")] {
        let start = if name == "Long" { "CALL ACTION Nothing\n    " } else { "" };
        let body = format!("{start}PUBLISH TOPIC \"who\" WITH \"<\" + USER + \"> <\" + CLIENTID + \">\"");
        add(&broker, name, &format!("ON TOPIC \"{of}\""), &body);
    }
    broker.command_ok("-addAction DEFINE ACTION Nothing\nDO\n    SET \"x\" WITH 1\n");
    let mut watcher = watch(&broker, "who");
    let mut ann = as_ann(&broker, "phone");
    let mut nobody = broker.client("gauge");
    for topic in ["a/short", "a/long"] {
        publish(&mut ann, topic);
        assert_eq!(next(&mut watcher), "who=<ann> <phone>", "{topic}");
        publish(&mut nobody, topic);
        assert_eq!(next(&mut watcher), "who=<> <gauge>", "{topic}");
    }
    // Many at once do not lose it.
    for number in 0..200 {
        let client = if number % 2 == 0 { &mut ann } else { &mut nobody };
        client.publish(&Publication::new("a/short", "x")).unwrap();
    }
    let mut told: Vec<String> = (0..200).map(|_| next(&mut watcher)).collect();
    told.sort();
    assert_eq!(told.iter().filter(|told| *told == "who=<ann> <phone>").count(), 100);
    // A program is nobody.
    add(&broker, "Relay", r#"ON TOPIC "relay""#, r#"PUBLISH TOPIC "a/short" WITH PAYLOAD"#);
    publish(&mut ann, "relay");
    assert_eq!(next(&mut watcher), "who=<> <>");
}
