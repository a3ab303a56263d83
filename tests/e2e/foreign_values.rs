//! Values that others send, as programs and routes pass them on: numbers with many digits, bytes
//! that are not UTF-8, times with offsets, JSON with a byte order mark.

use lotmq_client::{Publication, QoS};
use lotmq_test_support::Broker;

use crate::{broker, next, send, watch};

/// Adds an action that publishes expressions, each to `out/` and its name, for every message to
/// `in`.
fn add_action(broker: &Broker, expressions: &[(&str, &str)]) {
    let lines: String = expressions
        .iter()
        .map(|(name, expression)| format!("    PUBLISH TOPIC \"out/{name}\" WITH {expression}\n"))
        .collect();
    broker.command_ok(&format!("-addAction DEFINE ACTION N\nON TOPIC \"in\" DO\n{lines}"));
}

#[test]
fn whole_numbers_beyond_64_bits_keep_their_digits() {
    const A: &str = "18446744073709551615";
    const B: &str = "18446744073709551614";
    let broker = broker();
    add_action(
        &broker,
        &[
            ("plain", "GET JSON \"a\" IN PAYLOAD"),
            ("text", "(GET JSON \"a\" IN PAYLOAD AS STRING)"),
            ("object", "{\"id\": GET JSON \"a\" IN PAYLOAD}"),
            ("same", "(GET JSON \"a\" IN PAYLOAD) == (GET JSON \"b\" IN PAYLOAD)"),
            ("more", "(GET JSON \"a\" IN PAYLOAD) > (GET JSON \"b\" IN PAYLOAD)"),
            ("within", "(GET JSON \"a\" IN PAYLOAD) IN (GET JSON \"l\" IN PAYLOAD)"),
            ("last", "LAST(GET JSON \"l\" IN PAYLOAD, 1)"),
            ("huge", "{\"h\": GET JSON \"h\" IN PAYLOAD}"),
        ],
    );
    broker.command_ok("-addModel DEFINE MODEL G WITH TOPIC \"g\"\n    ADD STRING \"sid\"");
    let mut watcher = watch(&broker, "out/#");
    send(&broker, "in", &format!(r#"{{"a":{A},"b":{B},"l":[{B}],"h":1e400}}"#));
    for expected in [
        format!("out/plain={A}"),
        format!("out/text={A}"),
        format!(r#"out/object={{"id":{A}}}"#),
        "out/same=false".to_owned(),
        "out/more=true".to_owned(),
        "out/within=false".to_owned(),
        format!("out/last=[{B}]"),
        r#"out/huge={"h":1e400}"#.to_owned(),
    ] {
        assert_eq!(next(&mut watcher), expected);
    }
    let mut watcher = watch(&broker, "g/raw");
    send(&broker, "g", &format!(r#"{{"raw":{A}}}"#));
    assert_eq!(next(&mut watcher), format!("g/raw={A}"));
}

#[test]
fn small_fractions_stay_numbers_in_json() {
    let broker = broker();
    add_action(&broker, &[("object", "{\"p\": PAYLOAD}"), ("list", "APPEND([1], PAYLOAD)")]);
    let mut watcher = watch(&broker, "out/#");
    for number in ["0.06666666666666667", "-0.30000000000000004", "0.00012345678901234"] {
        send(&broker, "in", number);
        assert_eq!(next(&mut watcher), format!(r#"out/object={{"p":{number}}}"#));
        assert_eq!(next(&mut watcher), format!("out/list=[1,{number}]"));
    }
    send(&broker, "in", "123456789012345678901");
    assert_eq!(next(&mut watcher), r#"out/object={"p":"123456789012345678901"}"#, "an identifier");
}

#[test]
fn bytes_that_are_not_utf_8_are_equal_to_the_same_bytes_only() {
    let broker = broker();
    add_action(
        &broker,
        &[
            ("same", "PAYLOAD == GET TOPIC \"pin\""),
            ("within", "PAYLOAD IN GET TOPIC \"pin\""),
            ("copy", "PAYLOAD"),
        ],
    );
    let mut watcher = watch(&broker, "out/#");
    let publish = |topic: &str, payload: &'static [u8]| {
        let mut client = broker.client("sender");
        client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
        client.disconnect().unwrap();
    };
    publish("pin", b"pin\xff");
    for (payload, expected) in
        [(&b"pin\xfe"[..], "false"), (b"pin\xff", "true"), (b"pin\xef\xbf\xbd", "false")]
    {
        publish("in", payload);
        assert_eq!(next(&mut watcher), format!("out/same={expected}"), "{payload:?}");
        assert_eq!(next(&mut watcher), format!("out/within={expected}"), "{payload:?}");
        let copy = watcher.receive(lotmq_test_support::WAIT_MAX).unwrap().unwrap();
        assert_eq!(copy.payload, payload);
    }
}

#[test]
fn offsets_of_times_are_those_of_the_standards() {
    let broker = broker();
    add_action(&broker, &[("at", "((PAYLOAD AS TIMESTAMP) AS STRING)")]);
    let mut watcher = watch(&broker, "out/#");
    for (text, expected) in [
        ("2026-01-05T11:00:00+01:00", "2026-01-05T10:00:00.000Z"),
        ("2026-01-05 11:00:00+01", "2026-01-05T10:00:00.000Z"),
        ("2026-01-05t10:00:00z", "2026-01-05T10:00:00.000Z"),
        ("2026-01-05T10:00:00+99:99", "null"),
        ("2026-01-05T10:00:00+24:00", "null"),
        ("2026-01-05T10:00:00+01:60", "null"),
    ] {
        send(&broker, "in", text);
        assert_eq!(next(&mut watcher), format!("out/at={expected}"), "{text}");
    }
}

#[test]
fn a_byte_order_mark_in_front_of_json_is_skipped() {
    let broker = broker();
    add_action(&broker, &[("a", "GET JSON \"a\" IN PAYLOAD")]);
    broker.command_ok(
        "-addRoute DEFINE ROUTE L WITH TYPE LOOPBACK\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"route/in\"\n        WITH DESTINATION_TOPIC \"out/{payload.json.a}\"",
    );
    let mut watcher = watch(&broker, "out/#");
    send(&broker, "in", "\u{feff}{\"a\":5}");
    assert_eq!(next(&mut watcher), "out/a=5");
    send(&broker, "route/in", "\u{feff}{\"a\":6}");
    assert!(next(&mut watcher).starts_with("out/6="));
}

#[test]
fn placeholders_of_routes_find_members_as_get_json_does() {
    let broker = broker();
    for (number, path) in ["1.7.0", "a.1-0:1.8.0", "PM2.5", "big", "b"].iter().enumerate() {
        broker.command_ok(&format!(
            "-addRoute DEFINE ROUTE L{number} WITH TYPE LOOPBACK\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"in/{number}\"\n        WITH DESTINATION_TOPIC \"out/{{payload.json.{path}}}\""
        ));
    }
    let mut watcher = watch(&broker, "out/#");
    for (number, payload, expected) in [
        (0, r#"{"1.7.0":"840"}"#, "out/840="),
        (1, r#"{"a":{"1-0:1.8.0":5}}"#, "out/5="),
        (2, r#"{"PM2.5":7}"#, "out/7="),
        (3, r#"{"big":123456789012345678901234567890}"#, "out/123456789012345678901234567890="),
        // A number that no type holds is a matter of its own member.
        (4, r#"{"a":1e400,"b":2}"#, "out/2="),
    ] {
        send(&broker, &format!("in/{number}"), payload);
        let found = next(&mut watcher);
        assert!(found.starts_with(expected), "{payload}: {found}");
    }
}

/// A route whose `MQTT_CONFIG` names a port of this machine.
fn route_at(port: u16) -> String {
    format!(
        "-addRoute DEFINE ROUTE L WITH TYPE LOOPBACK\n    ADD MQTT_CONFIG\n        WITH BROKER_ADDRESS \"127.0.0.1\"\n        WITH BROKER_PORT {port}\n    ADD EVENT E\n        WITH SOURCE_TOPIC \"in\"\n        WITH DESTINATION_TOPIC \"out\""
    )
}

#[test]
fn a_loopback_address_with_a_port_of_this_broker_is_this_broker() {
    let port = lotmq_test_support::free_port();
    let broker = crate::options().listen(&format!("127.0.0.1:{port}")).start();
    let accepted = broker.command_ok(&route_at(broker.address().port()));
    assert!(format!("{accepted:?}").contains("is this machine"), "a warning: {accepted:?}");
    let refused = broker.command(&route_at(1));
    assert_eq!(refused.code(), "ROUTE_SETTINGS_INVALID", "{refused:?}");
}
