//! Tests of messages that are sent behind a subscription.

use std::sync::Arc;

use lotmq_client::Publication;
use lotmq_codec::QoS;

use crate::testing::{PATIENCE, Running, receive};
use lotmq_core::message::{Message, MessageParts};
use lotmq_core::tenant::retain::Keeper;
use lotmq_core::tenant::session_key::SessionKey;
use lotmq_process::this_turn;

#[test]
fn a_panic_about_one_message_ends_one_connection_and_nothing_else() {
    let running = Running::start("os");
    let mut other = running.client("other");
    other.subscribe_to("o", QoS::AtMostOnce).unwrap();
    let broker = &running.server.broker;
    let parts = MessageParts {
        topic: "damaged",
        // No property has this number: what the data path takes for impossible.
        properties: &[0x7f],
        payload: b"p",
        qos: QoS::AtLeastOnce,
        retain: true,
        expires_at_ms: None,
    };
    this_turn::install(Arc::clone(&broker.hosting.context), None);
    let message = Arc::new(Message::new(0, parts));
    this_turn::with(|turn| broker.hosting.tenants.default_tenant().retain(&message, Keeper::Broker, turn))
        .unwrap();
    this_turn::uninstall();
    // One for each shard at least.
    for id in ["a", "b", "c"] {
        let mut client = running.client(id);
        // SUBACK may have been in the same turn.
        let _ = client.subscribe_to("damaged", QoS::AtLeastOnce);
        client.receive(PATIENCE).unwrap_err();
    }
    for payload in ["1", "2"] {
        other.publish(&Publication::new("o", payload)).unwrap();
        assert_eq!(receive(&mut other), ("o".into(), payload.into()));
    }
    assert!(broker.hosting.watchdog.ended().is_none());
    running.server.stop();
}

#[test]
fn a_subscription_whose_retained_messages_were_sent_keeps_no_memory_for_them() {
    let running = Running::start("os");
    let mut client = running.client("c");
    client.publish(&Publication::new("a/b", "kept").retained()).unwrap();
    client.subscribe_to("a/#", QoS::AtMostOnce).unwrap();
    assert_eq!(receive(&mut client), ("a/b".into(), "kept".into()));
    let tenants = running.server.broker.hosting.tenants.all();
    let known = tenants[0]
        .sessions
        .lock()
        .get(SessionKey { client_id: "c", user: None, member: None })
        .cloned()
        .unwrap();
    assert!(known.state.lock().replays.is_empty());
    running.server.stop();
}
