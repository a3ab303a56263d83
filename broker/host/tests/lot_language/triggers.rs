//! §7: triggers and what they bring along.

use lotmq_host::{Argument, Event, RunOutcome, Value};

use crate::bench::{Bench, action, client, departure, subscription};

/// §7.1.
#[test]
fn on_topic_fires_on_matching_messages() {
    let mut bench = Bench::new(
        "DEFINE ACTION Hot\nON TOPIC \"s/+/t\" DO\n    SET \"id\" WITH TOPIC POSITION 2\n    IF PAYLOAD > 30 THEN\n        PUBLISH TOPIC \"alarm/\" + {id} WITH \"hot \" + PAYLOAD\n",
    );
    for (topic, payload, expected) in
        [("s/k1/t", "31", vec!["alarm/k1=hot 31"]), ("s/k1/t", "30", vec![]), ("s/k1/x/t", "99", vec![])]
    {
        assert_eq!(bench.send(topic, payload).published(), expected, "{topic}={payload}");
    }
}

/// §7.2.
#[test]
fn on_change_compares_bytes() {
    let runs = |filter: &str, sent: &[(&str, &str)]| {
        let trigger = format!("ON CHANGE \"{filter}\" DO");
        let mut bench = Bench::new(&action(&trigger, "PUBLISH TOPIC \"o\" WITH PAYLOAD"));
        for (topic, payload) in sent {
            bench.send(topic, payload);
        }
        bench.published()
    };
    assert_eq!(
        runs("x", &[("x", "1"), ("x", "1"), ("x", "2"), ("x", "2"), ("x", "1")]),
        ["o=1", "o=2", "o=1"]
    );
    assert_eq!(runs("x/+", &[("x/a", "1"), ("x/b", "1")]).len(), 2);
    assert_eq!(runs("x", &[("x", "{\"a\":1}"), ("x", "{\"a\": 1}")]).len(), 2);
}

/// §7.3 to §7.5: the facts carry when; a run has neither payload nor topic.
#[test]
fn timers_and_start_run() {
    for trigger in [
        "ON EVERY 10 SECONDS DO",
        "ON EVERY WEEKDAY AT \"18:00:00\" DO",
        "ON EVERY MONDAY DO",
        "ON TIMESTAMP \"12:00:00\" DO",
        "ON TIME \"24-12-2026 18:00:00\" DO",
    ] {
        let mut bench = Bench::new(&action(trigger, "PUBLISH TOPIC \"sys/beat\" WITH TIMESTAMP \"ISO\""));
        bench.happen(&Event::Timer);
        assert_eq!(bench.published(), ["sys/beat=2026-01-15T10:30:00.123Z"], "{trigger}");
    }
    let mut bench = Bench::new(&action("ON START DO", "PUBLISH TOPIC \"up\" WITH \"yes\""));
    assert_eq!(bench.happen(&Event::Start).published(), ["up=yes"]);
    assert_eq!(bench.happen(&Event::Timer).published(), [""; 0]);
}

/// §7.6.
#[test]
fn session_words_tell_who() {
    let mut bench = Bench::new(
        "DEFINE ACTION Audit\nON SUBSCRIBE \"plant/#\" DO\n    PUBLISH TOPIC \"audit/sub\" WITH CLIENTID + \" \" + SUBSCRIBETOPIC + \" \" + SUBSCRIBEQOS\n",
    );
    bench.happen(&Event::Subscribed(subscription("c1", "plant/+/t", 1)));
    assert_eq!(bench.published(), ["audit/sub=c1 plant/+/t 1"]);
    bench.happen(&Event::Subscribed(subscription("c1", "x/y", 1)));
    assert_eq!(bench.published(), [""; 0]);

    let words = "PUBLISH TOPIC \"o\" WITH CLIENTID + \"|\" + USER + \"|\" + ENDPOINT + \"|\" + CLEANSESSION";
    let mut bench = Bench::new(&action("ON CONNECT DO", words));
    bench.happen(&Event::Connected(client("k", Some("bob"))));
    bench.happen(&Event::Connected(client("k", None)));
    assert_eq!(bench.published(), ["o=k|bob|10.0.0.9:5123|true", "o=k||10.0.0.9:5123|true"]);

    let mut bench = Bench::new(&action("ON DISCONNECT DO", "PUBLISH TOPIC \"o\" WITH DISCONNECTREASON"));
    bench.happen(&Event::Disconnected(departure("k", "keepalive-timeout")));
    assert_eq!(bench.published(), ["o=keepalive-timeout"]);
}

const AVERAGE: &str = "DEFINE ACTION Avg\nINPUT a AS DOUBLE\nINPUT b AS DOUBLE\nDO\n    SET \"m\" WITH ({a} + {b}) / 2\nRETURN\n    OUTPUT m\n";

fn argument(name: &str, value: Value) -> Argument {
    Argument { name: name.to_owned(), value }
}

/// §7.7.
#[test]
fn callables_take_inputs_and_return_outputs() {
    let mut bench = Bench::new(AVERAGE);
    for (inputs, expected) in [
        (vec![argument("a", Value::Integer(2)), argument("b", Value::Integer(4))], Value::Double(3.0)),
        (
            vec![argument("b", Value::Text("5".into())), argument("a", Value::Text("x".into()))],
            Value::Double(2.5),
        ),
        // A missing input is Empty, which counts as 0.
        (vec![argument("a", Value::Double(5.0))], Value::Double(2.5)),
    ] {
        assert_eq!(bench.call(&inputs), RunOutcome::Done(vec![expected]), "{inputs:?}");
    }
    let RunOutcome::Failed(error) = bench.call(&[argument("c", Value::Null)]) else { panic!("taken") };
    assert_eq!((error.code.as_str(), error.message.as_str()), ("LOT614", "action `Avg` has no input c"));
}

#[test]
fn inputs_are_cast_to_their_type() {
    for (kind, value, expected) in [
        ("STRING", Value::Integer(5), Value::Text("5".into())),
        ("INT", Value::Text("7.9".into()), Value::Integer(7)),
        ("BOOL", Value::Text("on".into()), Value::Boolean(true)),
        ("DOUBLE", Value::Integer(1), Value::Double(1.0)),
        ("JSON", Value::Text("{ \"a\": 1 }".into()), Value::Json("{\"a\":1}".into())),
        ("JSON", Value::Json("[1]".into()), Value::Json("[1]".into())),
        ("INT", Value::Empty, Value::Empty),
    ] {
        let source = format!(
            "DEFINE ACTION Echo\nINPUT v AS {kind}\nDO\n    SET \"w\" WITH {{v}}\nRETURN\n    OUTPUT w\n"
        );
        let mut bench = Bench::new(&source);
        assert_eq!(
            bench.call(&[argument("v", value.clone())]),
            RunOutcome::Done(vec![expected]),
            "{value:?} AS {kind}"
        );
    }
}

/// §7.7: an output that was never set is Empty; OD-19: no message, no payload.
#[test]
fn unset_outputs_and_absent_messages_are_empty() {
    let source = "DEFINE ACTION E\nINPUT x\nDO\n    IF {x} == 1 THEN\n        SET \"y\" WITH 2\n    SET \"p\" WITH PAYLOAD\nRETURN\n    OUTPUT y\n    OUTPUT p\n";
    let mut bench = Bench::new(source);
    assert_eq!(bench.call(&[]), RunOutcome::Done(vec![Value::Empty, Value::Empty]));
    assert_eq!(
        bench.call(&[argument("x", Value::Integer(1))]),
        RunOutcome::Done(vec![Value::Integer(2), Value::Empty])
    );
}

#[test]
fn an_event_that_is_not_the_trigger_is_refused() {
    let mut bench = Bench::new(&action("ON START DO", "PUBLISH TOPIC \"up\" WITH 1"));
    let RunOutcome::Failed(error) = bench.call(&[]) else { panic!("taken") };
    assert_eq!(error.code, "LOT610");
    assert_eq!(bench.published(), [""; 0]);
}
