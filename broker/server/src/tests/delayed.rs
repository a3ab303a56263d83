//! Messages with a delay that were stored before the start.

use bytes::Bytes;
use lotmq_changes::{Batch, DelayedRow, MessageId, Op, TenantId};
use lotmq_client::QoS;

use crate::testing::{Running, receive};
use crate::{CommandUser, execute_command};

#[test]
fn nothing_is_kept_below_the_prefix_of_delays() {
    let running = Running::start("none");
    let command = |text: &str| {
        let root = CommandUser { tenant: "default", user: "root" };
        execute_command(&running.server, root, text, &mut Vec::new()).unwrap().json()
    };
    for (name, topic) in [("Later", "$delayed/5/valve"), ("Now", "valve")] {
        let added = command(&format!(
            "-addAction DEFINE ACTION {name}\nON TOPIC \"in\" DO\n    KEEP TOPIC \"{topic}\" WITH PAYLOAD"
        ));
        assert!(added.contains("added"), "{added}");
    }
    command("-runAction Later {\"topic\":\"in\",\"payload\":\"1\"}");
    let status = command("-brokerStatus");
    assert!(status.contains("no value is kept below `$delayed/`"), "{status}");
    command("-runAction Now {\"topic\":\"in\",\"payload\":\"1\"}");
    let kept = command("-listKept");
    assert!(kept.contains("valve") && !kept.contains("\"topic\":\"$delayed"), "{kept}");
    running.server.stop();
}

#[test]
fn damaged_delayed_messages_stop_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start_in(dir.path(), "fsync");
    let whole = DelayedRow {
        tenant: TenantId::DEFAULT,
        id: MessageId(1 << 40),
        due_at_ms: 1,
        topic: "valve".into(),
        properties: Bytes::from_static(b"\x01\x01"),
        payload: Bytes::from_static(b"whole"),
        qos: 1,
        retain: true,
        expires_at_ms: Some(u64::MAX),
        user: None,
        client: None,
    };
    let mut batch = Batch::new();
    let damaged = |number: u64, topic: &str, properties: &'static [u8]| DelayedRow {
        id: MessageId(number),
        topic: topic.into(),
        properties: Bytes::from_static(properties),
        payload: Bytes::from_static(b"damaged"),
        ..whole.clone()
    };
    // A truncated expiry, which is left out; a filter and a topic of the broker.
    batch.push(Op::PutDelayed(&damaged(1, "valve", b"\x02\x00")));
    batch.push(Op::PutDelayed(&damaged(2, "valve/#", b"")));
    batch.push(Op::PutDelayed(&damaged(3, "$SYS/Coreflux/Command", b"")));
    batch.push(Op::PutDelayed(&whole));
    running.server.broker.core.log.commit(batch).unwrap();
    running.server.stop();

    let running = Running::start_in(dir.path(), "fsync");
    let mut client = running.client("c");
    client.subscribe_to("#", QoS::AtLeastOnce).unwrap();
    // The first message may be replaced before the Client subscribes.
    let mut payload = receive(&mut client).1;
    if payload == "damaged" {
        payload = receive(&mut client).1;
    }
    assert_eq!(payload, "whole");
    assert_eq!(running.server.broker.hosting.context.delayed.messages(), 0);
    running.server.stop();
}
