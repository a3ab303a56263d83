//! Messages with all that MQTT 5.0 has, in both directions, and questions about them.

use crate::support::{Broker, component, engine, published, wrapped};
use lotmq_codec::{Properties, PropertyBuf, PropertyId, PropertyPlace, PropertyValue};
use lotmq_host::{
    BorrowedMessage, ComponentSource, Effect, Event, Grants, GuestId, GuestLimits, MetricChange, Qos,
    RunContext, RunOutcome, RunOutput, World,
    limits::{WRITE_BYTES_PER_RUN_MAX, WRITES_PER_RUN_MAX},
    rule::{About, Read, Request, RuleGuest, RuleOutcome, Verdict},
};
use std::sync::Arc;

fn list(properties: &[(PropertyId, PropertyValue<'_>)]) -> PropertyBuf {
    let mut list = PropertyBuf::new();
    for (id, value) in properties {
        list.push(*id, *value).unwrap();
    }
    list
}

/// Runs the example that answers requests for a message.
fn answered(message: BorrowedMessage<'_>) -> (RunOutcome, RunOutput) {
    let guest = wrapped("sdk/examples/action-answer");
    let guest = engine().compile(&guest, World::Action, ComponentSource::Upload).unwrap();
    let mut instance = guest
        .instance(Arc::new(Broker::default()), Arc::new(Grants::action()), GuestLimits::default())
        .unwrap();
    let mut output = RunOutput::new();
    let outcome = instance.run(&Event::Message(message), RunContext::new(GuestId(1)), &mut output);
    (outcome, output)
}

#[test]
fn a_run_sees_and_writes_all_properties_of_messages() {
    let request = list(&[
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("b", "1")),
        (PropertyId::ResponseTopic, PropertyValue::Utf8("answers/1")),
        (PropertyId::CorrelationData, PropertyValue::Binary(b"\0\xff")),
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("b", "2")),
        // Those of a connection are not the message's.
        (PropertyId::TopicAlias, PropertyValue::TwoByte(3)),
    ]);
    let (outcome, output) = answered(BorrowedMessage {
        qos: Qos::AtLeastOnce,
        properties: request.properties().raw(),
        // The clock of these tests stands at 1 s.
        expires_at_ms: Some(8_500),
        received_ms: 400,
        ..BorrowedMessage::new("questions/1", b"who?")
    });
    assert_eq!(outcome, RunOutcome::Done(Vec::new()));
    let [(_, effect)] = <[_; 1]>::try_from(output.effects().collect::<Vec<_>>()).unwrap();
    let Effect::Publish { topic, payload, qos, retain, properties, expiry_seconds } = effect else {
        panic!("{effect:?}");
    };
    assert_eq!((topic, payload, qos, retain), ("answers/1", &b"WHO?"[..], Qos::AtLeastOnce, false));
    assert_eq!(expiry_seconds, Some(8));
    let said = Properties::from_raw(properties, PropertyPlace::PublishFromServer).unwrap();
    assert_eq!((said.payload_is_utf8(), said.correlation_data()), (true, Some(&b"\0\xff"[..])));
    assert_eq!((said.content_type(), said.response_topic()), (None, None));
    assert_eq!((said.message_expiry_interval(), said.topic_alias()), (Some(8), None));
    assert_eq!(said.user_properties().collect::<Vec<_>>(), [("b", "1"), ("b", "2"), ("age-ms", "600")]);
}

#[test]
fn a_message_without_properties_has_none() {
    let (outcome, output) = answered(BorrowedMessage::new("questions/1", b"who?"));
    assert!(matches!(outcome, RunOutcome::Failed(error) if error.code == "NO_REQUEST"));
    assert!(published(&output).is_empty());
}

#[test]
fn reply_to_a_sys_topic_needs_a_grant() {
    let request = list(&[(PropertyId::ResponseTopic, PropertyValue::Utf8("$SYS/answers"))]);
    let properties = request.properties().raw();
    let (outcome, output) =
        answered(BorrowedMessage { properties, ..BorrowedMessage::new("questions/1", b"who?") });
    assert!(matches!(&outcome, RunOutcome::Failed(error) if error.code == "WRITE_REFUSED"), "{outcome:?}");
    assert!(published(&output).is_empty());
}

#[test]
fn the_text_of_a_write_too_many_names_the_bound() {
    let payload = vec![b'a'; WRITE_BYTES_PER_RUN_MAX];
    let request = list(&[(PropertyId::ResponseTopic, PropertyValue::Utf8("answers/1"))]);
    let properties = request.properties().raw();
    let (outcome, output) =
        answered(BorrowedMessage { properties, ..BorrowedMessage::new("questions/1", &payload) });
    let RunOutcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    let mib = WRITE_BYTES_PER_RUN_MAX >> 20;
    let bound = format!("the run has written all that it may: {WRITES_PER_RUN_MAX} messages, or {mib} MiB");
    assert_eq!(
        (&*error.code, &*error.message),
        ("WRITE_REFUSED", &*format!("cannot publish to 'answers/1': {bound}"))
    );
    assert!(published(&output).is_empty());
}

/// A rule that allows a message of QoS 1 with the User Property `role` = `w…` over MQTT 5.0.
const RULE: &str = r#"(module
  (import "lotmq:guest/current-message@0.2.0" "get-qos" (func $qos (param i32)))
  (import "lotmq:guest/current-message@0.2.0" "get-retain" (func $retain (result i32)))
  (import "lotmq:guest/current-message@0.2.0" "get-user-property" (func $user_property (param i32 i32 i32)))
  (import "lotmq:guest/subject@0.2.0" "protocol-version" (func $version (param i32)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (data (i32.const 64) "role")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 7)) (i32.const -8)))
    (local.get $at))
  (func (export "lotmq:guest/rule-handler@0.2.0#check")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (i32.store (i32.const 128) (i32.const 0))
    (i32.store8 (i32.const 132) (i32.const 1))
    (call $qos (i32.const 32))
    (if (i32.ne (i32.load16_u (i32.const 32)) (i32.const 0x0101)) (then (return (i32.const 128))))
    (if (call $retain) (then (return (i32.const 128))))
    (call $version (i32.const 36))
    (if (i32.ne (i32.load16_u (i32.const 36)) (i32.const 0x0501)) (then (return (i32.const 128))))
    (call $user_property (i32.const 64) (i32.const 4) (i32.const 40))
    (if (i32.eqz (i32.load8_u (i32.const 40))) (then (return (i32.const 128))))
    (if (i32.eq (i32.load8_u (i32.load (i32.const 44))) (i32.const 0x77))
      (then (i32.store8 (i32.const 132) (i32.const 0))))
    (global.set $heap (i32.const 8192))
    (i32.const 128))
)"#;

#[test]
fn a_rule_is_asked_with_all_of_the_message_and_its_reads_are_known() {
    let guest = RuleGuest::compile(engine(), &component(RULE, "rule"), ComponentSource::Upload).unwrap();
    let mut instance = guest.instance(Arc::new(Broker::default())).unwrap();
    let request = Request {
        scope: "Publish".to_owned(),
        client_id: "c1".to_owned(),
        user: None,
        endpoint: "10.0.0.1".to_owned(),
        topic: Some("a".to_owned()),
        payload: None,
    };
    let writer = list(&[
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("other", "w")),
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("role", "writer")),
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("role", "reader")),
    ]);
    let reader = list(&[(PropertyId::UserProperty, PropertyValue::Utf8Pair("role", "reader"))]);
    let message = BorrowedMessage {
        qos: Qos::AtLeastOnce,
        properties: writer.properties().raw(),
        ..BorrowedMessage::new("a", b"")
    };
    for (message, protocol_version, expected, reads) in [
        (Some(message), Some(5), Verdict::Allow, 3),
        (
            Some(BorrowedMessage { properties: reader.properties().raw(), ..message }),
            Some(5),
            Verdict::Deny,
            3,
        ),
        (Some(BorrowedMessage { properties: &[], ..message }), Some(5), Verdict::Deny, 3),
        (Some(message), Some(4), Verdict::Deny, 2),
        (Some(message), None, Verdict::Deny, 2),
        (Some(BorrowedMessage { retain: true, ..message }), Some(5), Verdict::Deny, 1),
        (Some(BorrowedMessage { qos: Qos::ExactlyOnce, ..message }), Some(5), Verdict::Deny, 1),
        (None, Some(5), Verdict::Deny, 1),
    ] {
        let about = About { message, protocol_version };
        let mut output = RunOutput::new();
        let run = RunContext::new(GuestId(1));
        let outcome = instance.check((&request, about), None, run, &mut output);
        assert_eq!(outcome, RuleOutcome::Said(expected), "{about:?}");
        let found = instance.take_reads();
        assert_eq!(found.len(), reads, "{about:?}");
        assert!(found.iter().all(|read| matches!(read, Read::Message | Read::Connection)), "{found:?}");
    }
}

/// A rule that counts its questions in its state and at `/metrics`, and denies from the third one
/// on; it asks for the time often.
const COUNTING_RULE: &str = r#"(module
  (import "lotmq:guest/ambient@0.2.0" "now-ms" (func $now (result i64)))
  (import "lotmq:guest/state@0.2.0" "get" (func $get (param i32 i32 i32)))
  (import "lotmq:guest/state@0.2.0" "set" (func $set (param i32 i32 i32 i32 i32)))
  (import "lotmq:guest/metrics@0.2.0" "add" (func $add (param i32 i32 i64 i32)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (data (i32.const 64) "asked")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 7)) (i32.const -8)))
    (local.get $at))
  (func (export "lotmq:guest/rule-handler@0.2.0#check")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local $i i32)
    (loop $again
      (drop (call $now))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
    (i32.store8 (i32.const 80) (i32.const 0))
    (call $get (i32.const 64) (i32.const 5) (i32.const 32))
    (if (i32.load8_u (i32.const 32)) (then
      (i32.store8 (i32.const 80) (i32.load8_u (i32.load (i32.const 36))))))
    (i32.store8 (i32.const 80) (i32.add (i32.load8_u (i32.const 80)) (i32.const 1)))
    (call $set (i32.const 64) (i32.const 5) (i32.const 80) (i32.const 1) (i32.const 32))
    (call $add (i32.const 64) (i32.const 5) (i64.const 1) (i32.const 32))
    (i32.store (i32.const 128) (i32.const 0))
    (i32.store8 (i32.const 132) (i32.gt_u (i32.load8_u (i32.const 80)) (i32.const 2)))
    (global.set $heap (i32.const 8192))
    (i32.const 128))
)"#;

#[test]
fn a_rule_has_time_state_and_figures_and_then_no_verdict_lasts() {
    let component = component(COUNTING_RULE, "rule");
    let guest = RuleGuest::compile(engine(), &component, ComponentSource::Upload).unwrap();
    let mut instance = guest.instance(Arc::new(Broker::default())).unwrap();
    let request = Request {
        scope: "Connect".to_owned(),
        client_id: "c1".to_owned(),
        user: None,
        endpoint: "10.0.0.1".to_owned(),
        topic: None,
        payload: None,
    };
    for expected in [Verdict::Allow, Verdict::Allow, Verdict::Deny] {
        let mut output = RunOutput::new();
        let run = RunContext::new(GuestId(1));
        let outcome = instance.check((&request, About::default()), None, run, &mut output);
        assert_eq!(outcome, RuleOutcome::Said(expected));
        assert_eq!(instance.take_reads(), [Read::Moment, Read::State]);
        let effects: Vec<_> = output.effects().map(|(_, effect)| effect).collect();
        assert_eq!(effects, [Effect::Metric { name: "asked", change: MetricChange::Add(1) }]);
    }
}
