//! LoT programs and the properties of MQTT 5.0: requests answered, properties passed on, models,
//! rules, a restart and a kill.

use std::time::Duration;

use lotmq_client::{
    Client, ConnectOptions, Message, PropertyBuf, PropertyId, PropertyValue, Publication, QoS,
};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::{broker, options};

/// Statements that keep a run from being bounded, so that it is an executor's.
const LONG: &str = "    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n    UNTIL {i} == 3\n";

fn with(publication: Publication, properties: &[(PropertyId, PropertyValue<'_>)]) -> Publication {
    let mut list = PropertyBuf::new();
    for (id, value) in properties {
        list.push(*id, *value).unwrap();
    }
    Publication { properties: list, ..publication.qos(QoS::AtLeastOnce) }
}

fn request(topic: &str, payload: &str, data: &[u8]) -> Publication {
    with(
        Publication::new(topic, payload),
        &[
            (PropertyId::ResponseTopic, PropertyValue::Utf8("answers/1")),
            (PropertyId::CorrelationData, PropertyValue::Binary(data)),
            (PropertyId::UserProperty, PropertyValue::Utf8Pair("b", "1")),
            (PropertyId::UserProperty, PropertyValue::Utf8Pair("a", "")),
            (PropertyId::UserProperty, PropertyValue::Utf8Pair("b", "2")),
        ],
    )
}

fn next(client: &mut Client) -> Message {
    client.receive(WAIT_MAX).unwrap().expect("a message")
}

fn subscribed(broker: &Broker, client_id: &str, filter: &str) -> Client {
    let mut client = broker.connect(&ConnectOptions::v5(client_id));
    client.subscribe_to(filter, QoS::AtLeastOnce).unwrap();
    client
}

/// The code that an Action has reported last.
fn reported(broker: &Broker, action: &str) -> String {
    let mut root = broker.root("reader");
    root.subscribe_to(&format!("$SYS/Coreflux/Actions/{action}/Error"), QoS::AtLeastOnce).unwrap();
    next(&mut root).text()
}

#[test]
fn an_action_answers_requests_of_mqtt_5_and_has_none_of_3_1_1() {
    for long in ["", LONG] {
        let mut broker = broker();
        broker.command_ok(&format!(
            "-addAction DEFINE ACTION Double\nON TOPIC \"double\" DO\n{long}    REPLY WITH PAYLOAD * 2 WITH USER PROPERTIES WITH MESSAGE EXPIRY 60\n    PUBLISH TOPIC \"done\" WITH PAYLOAD\n"
        ));
        for _ in 0..2 {
            let mut client = subscribed(&broker, "asker", "answers/1");
            let mut old = broker.client("of-3.1.1");
            old.subscribe_to("answers/#", QoS::AtMostOnce).unwrap();
            old.subscribe_to("done", QoS::AtMostOnce).unwrap();
            client.publish(&request("double", "21", b"\0\xff")).unwrap();
            let answer = next(&mut client);
            assert_eq!((answer.topic.as_str(), answer.text().as_str()), ("answers/1", "42"));
            let said = answer.properties();
            assert_eq!(said.correlation_data(), Some(&b"\0\xff"[..]));
            assert_eq!(said.user_properties().collect::<Vec<_>>(), [("b", "1"), ("a", ""), ("b", "2")]);
            assert_eq!((said.message_expiry_interval(), said.response_topic()), (Some(60), None));
            let bare = next(&mut old);
            assert_eq!((bare.text().as_str(), bare.properties().iter().count()), ("42", 0));
            assert_eq!(next(&mut old).topic, "done");
            // A message that is no request gets no answer, and the run goes on.
            old.publish(&Publication::new("double", "5")).unwrap();
            assert_eq!(next(&mut old).text(), "5");
            assert!(reported(&broker, "Double").contains("LOT622"));
            assert!(broker.stop().success());
            broker.start_again();
        }
    }
}

#[test]
fn an_answer_goes_to_no_topic_of_the_broker() {
    let broker = broker();
    broker.command_ok("-addAction DEFINE ACTION Echo\nON TOPIC \"echo\" DO\n    REPLY WITH PAYLOAD\n    PUBLISH TOPIC \"done\" WITH 1\n");
    let mut client = subscribed(&broker, "asker", "done");
    let command = Publication::new("echo", "-addUser mallory pw");
    let topic = PropertyValue::Utf8("$SYS/Coreflux/Command");
    client.publish(&with(command, &[(PropertyId::ResponseTopic, topic)])).unwrap();
    next(&mut client);
    assert!(reported(&broker, "Echo").contains("LOT611"));
    broker.command_ok("-addUser mallory pw");
}

/// Broker with the settings, and an Action that publishes the payload of `in` as a user property,
/// and then at `done`.
fn tagging(variables: &[(&str, &str)]) -> Broker {
    let options = variables.iter().fold(options(), |options, (name, value)| options.variable(name, value));
    let broker = options.start();
    broker.command_ok("-addAction DEFINE ACTION Tag\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH 1 WITH RETAIN WITH USER PROPERTY \"a\" = PAYLOAD\n    PUBLISH TOPIC \"out\" WITH 2\n");
    broker
}

#[test]
fn a_program_sends_no_text_that_receivers_may_take_for_malformed_unless_clients_may() {
    let broker = tagging(&[]);
    let mut client = subscribed(&broker, "c", "out");
    client.publish(&Publication::new("in", "bad\u{1}")).unwrap();
    assert_eq!(next(&mut client).text(), "2");
    assert!(reported(&broker, "Tag").contains("LOT623"));

    let broker = tagging(&[("LOTMQ_MQTT_CONTROL_CHARACTERS", "true")]);
    let mut client = subscribed(&broker, "c", "out");
    client.publish(&Publication::new("in", "bad\u{1}")).unwrap();
    let tagged = next(&mut client);
    assert_eq!(tagged.properties().user_properties().collect::<Vec<_>>(), [("a", "bad\u{1}")]);
    assert_eq!(next(&mut client).text(), "2");
}

#[test]
fn topics_of_programs_keep_to_the_limits_of_the_broker() {
    let broker = options()
        .variable("LOTMQ_LIMITS_TOPIC_LEVELS", "5")
        .variable("LOTMQ_LIMITS_TOPIC_BYTES", "64")
        .start();
    broker.command_ok("-addAction DEFINE ACTION Echo\nON TOPIC \"echo\" DO\n    REPLY WITH 1 WITH RETAIN\n    PUBLISH TOPIC \"done\" WITH 1\n");
    broker.command_ok("-addAction DEFINE ACTION Write\nON TOPIC \"write\" DO\n    PUBLISH TOPIC PAYLOAD WITH 1\n    PUBLISH TOPIC \"done\" WITH 1\n");
    broker.command_ok("-addAction DEFINE ACTION Keep\nON TOPIC \"keep\" DO\n    KEEP TOPIC PAYLOAD WITH 1\n    PUBLISH TOPIC \"done\" WITH 1\n");
    broker.command_ok("-addAction DEFINE ACTION Ask\nON TOPIC \"ask\" DO\n    PUBLISH TOPIC \"asked\" WITH 1 WITH RESPONSE TOPIC PAYLOAD\n    PUBLISH TOPIC \"done\" WITH 1\n");
    let mut client = subscribed(&broker, "c", "#");
    let mut done = |topic: &str, payload: &str| {
        let mut publication = Publication::new(topic, payload);
        if topic == "echo" {
            publication = with(publication, &[(PropertyId::ResponseTopic, PropertyValue::Utf8(payload))]);
        }
        client.publish(&publication).unwrap();
        let mut seen = Vec::new();
        while seen.last().is_none_or(|topic| topic != "done") {
            seen.push(next(&mut client).topic);
        }
        seen
    };
    assert_eq!(done("write", "a/b/c/d/e"), ["write", "a/b/c/d/e", "done"]);
    assert_eq!(done("ask", "a/b/c/d/e"), ["ask", "asked", "done"]);
    let long = "x".repeat(65);
    for beyond in ["a/b/c/d/e/f", &long] {
        assert_eq!(done("write", beyond), ["write", "done"]);
        assert!(reported(&broker, "Write").contains("LOT604"));
        assert_eq!(done("keep", beyond), ["keep", "done"]);
        assert!(reported(&broker, "Keep").contains("LOT604"));
        assert_eq!(done("echo", beyond), ["echo", "done"]);
        assert!(reported(&broker, "Echo").contains("LOT604"));
        assert_eq!(done("ask", beyond), ["ask", "done"]);
        assert!(reported(&broker, "Ask").contains("LOT623"));
    }
}

#[test]
fn properties_reach_called_actions_and_models() {
    let broker = broker();
    for program in [
        "-addAction DEFINE ACTION Callee\nDO\n    SET \"site\" WITH USER PROPERTY \"b\"\nRETURN\n    OUTPUT site\n",
        "-addAction DEFINE ACTION Caller\nON TOPIC \"call\" DO\n    CALL ACTION Callee RETURN s\n    PUBLISH TOPIC \"called\" WITH {s}\n",
        "-addModel DEFINE MODEL Reading COLLAPSED\n    WITH TOPIC \"readings/+\"\n    ADD INT \"v\" WITH TOPIC \"raw/+/v\" AS TRIGGER\n    ADD STRING \"b\" WITH USER PROPERTY \"b\"\n    ADD STRING \"to\" WITH RESPONSE TOPIC\n",
    ] {
        broker.command_ok(program);
    }
    let mut client = subscribed(&broker, "c", "called");
    client.subscribe_to("readings/#", QoS::AtLeastOnce).unwrap();
    client.publish(&request("call", "x", b"")).unwrap();
    assert_eq!(next(&mut client).text(), "1");
    client.publish(&request("raw/a/v", "4", b"")).unwrap();
    assert_eq!(next(&mut client).text(), "{\"v\":4,\"b\":\"1\",\"to\":\"answers/1\"}");
    client.publish(&Publication::new("raw/a/v", "5").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(next(&mut client).text(), "{\"v\":5,\"b\":null,\"to\":null}");
}

#[test]
fn a_rule_decides_on_a_user_property_for_each_message_anew() {
    let mut broker = broker();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-addRule DEFINE RULE Sales WITH PRIORITY 100 FOR Publish TO TOPIC \"orders/#\"\n    IF USER PROPERTY \"department\" IS \"01\" THEN\n        ALLOW\n    ELSE\n        DENY\n");
    for _ in 0..2 {
        let mut ann = broker.connect(&ConnectOptions::v5("ann-1").user("ann", "pw"));
        let mut publish = |department: Option<&str>| {
            let publication = Publication::new("orders/1", "x");
            let property =
                department.map(|it| (PropertyId::UserProperty, PropertyValue::Utf8Pair("department", it)));
            !ann.publish(&with(publication, property.as_slice())).unwrap().is_failure()
        };
        for (department, may) in
            [(Some("01"), true), (Some("1"), false), (None, false), (Some("01"), true), (Some("02"), false)]
        {
            assert_eq!(publish(department), may, "{department:?}");
        }
        // One of 3.1.1 has none to show.
        let mut receiver = broker.root("receiver");
        receiver.subscribe_to("orders/#", QoS::AtMostOnce).unwrap();
        let mut old = broker.connect(&ConnectOptions::new("old").user("ann", "pw"));
        old.publish(&Publication::new("orders/2", "x").qos(QoS::AtLeastOnce)).unwrap();
        assert!(publish(Some("01")));
        assert_eq!(next(&mut receiver).topic, "orders/1");
        broker.kill();
        broker.start_again();
    }
}

#[test]
fn requests_whose_runs_a_kill_interrupts_are_answered_with_their_own_properties() {
    const REQUESTS: usize = 100;
    let mut broker = options().variable("LOTMQ_LOT_DURABLE_TRIGGERS", "true").start();
    broker.command_ok("-addAction DEFINE ACTION Slow\nON TOPIC \"ask\" DO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {i} + 1\n        SET \"t\" WITH \"x\" + {i}\n    UNTIL {i} == 90000\n    REPLY WITH PAYLOAD QOS 1 WITH USER PROPERTIES\n");
    let subscriber =
        |broker: &Broker| broker.connect(&ConnectOptions::v5("s").clean_start(false).session_expiry(3_600));
    let mut client = subscriber(&broker);
    client.subscribe_to("answers/#", QoS::AtLeastOnce).unwrap();
    client.disconnect().unwrap();
    let mut asker = broker.connect(&ConnectOptions::v5("asker"));
    for number in 0..REQUESTS {
        let number = number.to_string();
        assert!(!asker.publish(&request("ask", &number, number.as_bytes())).unwrap().is_failure());
    }
    broker.kill();
    broker.start_again();
    assert!(broker.metric("lotmq_guest_messages_again_total").unwrap() > 0.0, "nothing was interrupted");
    let mut client = subscriber(&broker);
    let mut answered = [false; REQUESTS];
    eventually("all are answered", || {
        while let Some(answer) = client.receive(Duration::from_millis(20)).unwrap() {
            assert_eq!(answer.properties().correlation_data(), Some(answer.text().as_bytes()));
            assert_eq!(answer.properties().user_properties().count(), 3);
            answered[answer.text().parse::<usize>().unwrap()] = true;
        }
        answered.iter().all(|it| *it).then_some(())
    });
}
