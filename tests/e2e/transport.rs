//! How commands travel: QoS, replies, order, Response Topic, size. Commands reference §1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::WAIT_MAX;
use serde_json::Value;

use crate::broker;

const COMMAND: &str = "$SYS/Coreflux/Command";
const OUTPUT: &str = "$SYS/Coreflux/Command/Output";

fn reply(client: &mut Client) -> Value {
    let message = client.receive(WAIT_MAX).unwrap().expect("a reply");
    assert_eq!((message.topic.as_str(), message.retain), (OUTPUT, false), "{}", message.text());
    serde_json::from_slice(&message.payload).unwrap()
}

#[test]
fn commands_are_accepted_at_every_qos_and_not_forwarded() {
    let broker = broker();
    let mut root = broker.root("root");
    for reply_qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut reader = broker.root("");
        reader.subscribe_to(COMMAND, QoS::ExactlyOnce).unwrap();
        reader.subscribe_to(OUTPUT, reply_qos).unwrap();
        for (n, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate() {
            let command = format!("-listUsers -requestId q{n}");
            root.publish(&Publication::new(COMMAND, command).qos(qos)).unwrap();
            let message = reader.receive(WAIT_MAX).unwrap().expect("a reply");
            assert_eq!(message.topic, OUTPUT, "the command itself is not forwarded");
            assert_eq!(message.qos, reply_qos, "as the subscription asks");
            assert!(message.text().contains(&format!("\"requestId\":\"q{n}\"")), "{}", message.text());
        }
    }
}

#[test]
fn command_without_text_or_verb_gets_an_error_reply() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    for (payload, code, message) in [
        (&b"-help \xff"[..], "NOT_UTF8", "The command is not UTF-8 text."),
        (b"", "UNKNOWN_COMMAND", "Unknown command: "),
        (b"{\"command\":\"help\"}", "UNKNOWN_COMMAND", "Unknown command: {\"command\":\"help\"}"),
    ] {
        root.publish(&Publication::new(COMMAND, payload)).unwrap();
        let reply = reply(&mut root);
        assert_eq!(reply["errors"][0]["code"], code, "{reply}");
        assert_eq!(reply["message"], message, "{reply}");
        assert!(reply.get("command").is_none(), "{reply}");
    }
}

#[test]
fn update_data_alone_gives_no_reply() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    for command in ["-updateData -requestId silent", "--update-data", "-help -requestId next"] {
        root.publish(&Publication::new(COMMAND, command).qos(QoS::AtLeastOnce)).unwrap();
    }
    assert_eq!(reply(&mut root)["requestId"], "next");
}

#[test]
fn commands_of_one_client_do_not_hold_up_those_of_another() {
    const SLOW: usize = 30;
    let broker = broker();
    let mut reader = broker.root("reader");
    reader.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    let (mut busy, mut other) = (broker.root("busy"), broker.root("other"));
    for n in 0..SLOW {
        // Each hashes a password, which takes milliseconds.
        let command = format!("-addUser u{n} pw -requestId busy");
        busy.publish(&Publication::new(COMMAND, command).qos(QoS::AtLeastOnce)).unwrap();
    }
    other.publish(&Publication::new(COMMAND, "-listEntities -requestId other")).unwrap();
    let order: Vec<Value> = (0..=SLOW).map(|_| reply(&mut reader)["requestId"].clone()).collect();
    assert_ne!(order.last().unwrap(), "other", "{order:?}");
}

#[test]
fn a_reply_goes_only_where_its_sender_may_publish_and_read() {
    let broker = broker();
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/made/#", QoS::AtLeastOnce).unwrap();
    root.subscribe_to("answers", QoS::AtLeastOnce).unwrap();
    for topic in ["$SYS/made/up", "answers"] {
        let command = Publication::new(COMMAND, "-listEntities")
            .qos(QoS::AtLeastOnce)
            .property(PropertyId::ResponseTopic, PropertyValue::Utf8(topic));
        root.publish(&command).unwrap();
    }
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().topic, "answers", "nobody publishes below $SYS");
}

/// A client sends about 10.7 MB: the largest inline module in base64.
#[test]
fn the_largest_inline_binary_is_taken_and_one_byte_more_is_named() {
    const LARGEST: usize = 8 << 20;
    let broker = broker();
    for (bytes, code, message) in [
        (LARGEST, "COMPILE_FAILED", ""),
        (LARGEST + 1, "TOO_LARGE", "Module has 8388609 bytes, limit 8388608."),
    ] {
        let base64 = STANDARD.encode(vec![0_u8; bytes]);
        let reply = broker.command(&format!("-addModule big -world action wasm64:{base64}"));
        assert_eq!(reply.code(), code, "{}", reply.message());
        assert!(reply.message().starts_with(message), "{}", reply.message());
    }
}
