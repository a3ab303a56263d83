//! Models as a user has them: uploaded by command, fed by clients, read as JSON, there again after
//! `kill -9`.

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{WAIT_MAX, eventually};
use serde_json::json;

use crate::{broker, next, options, send, watch};

const PUMP: &str = r#"-addModel DEFINE MODEL Pump COLLAPSED WITH TOPIC "out/+" WITH RETAIN AND QOS1
    ADD STRING "id" WITH TOPIC POSITION 2
    ADD DOUBLE "flow" WITH TOPIC "raw/+/flow" AS TRIGGER
    ADD DOUBLE "limit" WITH TOPIC "raw/+/limit"
    ADD BOOL "high" WITH (flow > limit)
    ADD INT "n" WITH (n + 1)"#;

#[test]
fn a_model_makes_json_and_survives_kill_9() {
    let mut broker = broker();
    let reply = broker.command_ok(PUMP);
    assert_eq!(reply.message(), "Model 'Pump' added successfully!");
    let mut watcher = watch(&broker, "out/#");
    send(&broker, "raw/p1/limit", "3");
    send(&broker, "raw/p1/flow", "3.5");
    assert_eq!(next(&mut watcher), r#"out/p1={"id":"p1","flow":3.5,"limit":3,"high":true,"n":1}"#);
    // A kept value, the counter, is on the disk within 100 ms; no reply covers it (language
    // reference §6).
    std::thread::sleep(std::time::Duration::from_secs(2));
    broker.kill();
    broker.start_again();
    let mut watcher = watch(&broker, "out/#");
    let retained = watcher.receive(WAIT_MAX).unwrap().unwrap();
    assert!(retained.retain, "RETAIN of the header");
    send(&broker, "raw/p1/flow", "1");
    assert_eq!(next(&mut watcher), r#"out/p1={"id":"p1","flow":1,"limit":null,"high":true,"n":2}"#);
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Models/#", QoS::AtMostOnce).unwrap();
    let source = eventually("the source of the model", || {
        let message = root.receive(WAIT_MAX).unwrap()?;
        (message.topic == "$SYS/Coreflux/Models/Pump").then(|| message.text())
    });
    assert_eq!(source, &PUMP["-addModel ".len()..]);
    broker.command_ok("-removeModel Pump");
    assert_eq!(broker.command("-listEntities").data(), &json!([]));
    assert_eq!(broker.command("-removeModel Pump").message(), "Model 'Pump' not found.");
}

/// `KEEP` in the header is `RETAIN` (§9.1): who subscribes later gets the last value, also behind a
/// restart, and no value is kept beside it.
#[test]
fn keep_in_the_header_retains() {
    let mut broker = broker();
    broker.command_ok("-addModel DEFINE MODEL Config KEEP WITH TOPIC \"device/config\"\n    ADD STRING \"mode\" WITH TOPIC \"raw/mode\" AS TRIGGER\n");
    let mut live = watch(&broker, "device/#");
    send(&broker, "raw/mode", "eco");
    assert_eq!(next(&mut live), "device/config/mode=eco");
    assert_eq!(next(&mut live), r#"device/config={"mode":"eco"}"#);
    assert_eq!(broker.command_ok("-listKept").data(), &json!([]));
    for restarts in [false, true] {
        if restarts {
            // Retained messages of QoS 0 are stored without a promise.
            std::thread::sleep(std::time::Duration::from_secs(2));
            broker.kill();
            broker.start_again();
        }
        let mut late = watch(&broker, "device/config");
        let message = late.receive(WAIT_MAX).unwrap().unwrap();
        assert_eq!((message.text().as_str(), message.retain), (r#"{"mode":"eco"}"#, true));
    }
}

#[test]
fn switches_of_the_language_hold_at_upload_and_after_a_restart() {
    let mut broker = options()
        .variable("LOTMQ_LOT_COMPAT_MODEL_OUTPUT", "json")
        .variable("LOTMQ_LOT_COMPAT_EMPTY_AS_ZERO_VALUE", "true")
        .variable("LOTMQ_LOT_COMPAT_RULE_TRAILING_PLUS", "subtree")
        .start();
    let model = "-addModel DEFINE MODEL E WITH TOPIC \"e\"\n    ADD INT \"w\" WITH TOPIC \"raw\" AS TRIGGER\n    ADD STRING \"s\" WITH TOPIC \"never\"";
    broker.command_ok(model);
    broker.command_ok(
        "-addRule DEFINE RULE Below WITH PRIORITY 100 FOR Publish TO TOPIC \"factory/+\"\n    DENY",
    );
    for starts in 1..=2 {
        let mut watcher = watch(&broker, "e/#");
        send(&broker, "raw", "1");
        send(&broker, "raw", "2");
        let seen = [next(&mut watcher), next(&mut watcher)];
        assert_eq!(seen, [r#"e={"w":1,"s":""}"#, r#"e={"w":2,"s":""}"#], "start {starts}");
        let mut client = broker.connect(&ConnectOptions::v5("below"));
        let mut publish = |topic: &str| {
            client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap().is_failure()
        };
        assert_eq!(
            ["factory/a/b", "factory/a", "factory"].map(&mut publish),
            [true, true, false],
            "start {starts}"
        );
        broker.kill();
        broker.start_again();
    }
}

/// OD-31 of the language reference: with the switch, rules decide on `PUBLISH MODEL` as on a
/// message of somebody without a user.
#[test]
fn rules_decide_on_published_models_if_they_are_to() {
    for is_on in [false, true] {
        let broker = options().variable("LOTMQ_LOT_COMPAT_MODEL_PUBLISH_RULES", &is_on.to_string()).start();
        broker.command_ok("-addModel DEFINE MODEL Sample COLLAPSED\n    ADD INT \"v\"");
        broker.command_ok(
            "-addModel DEFINE MODEL Stream COLLAPSED WITH TOPIC \"o/stream\"\n    ADD INT \"v\" WITH TOPIC \"in\" AS TRIGGER",
        );
        broker.command_ok(
            "-addAction DEFINE ACTION Send\nON TOPIC \"in\" DO\n    PUBLISH MODEL Sample TO \"o/model\" WITH v = PAYLOAD\n    PUBLISH TOPIC \"o/topic\" WITH PAYLOAD",
        );
        broker.command_ok(
            "-addRule DEFINE RULE Named WITH PRIORITY 100 FOR Publish TO TOPIC \"o/#\"\n    IF USER IS \"root\" OR PAYLOAD CONTAINS \"7\" THEN\n        ALLOW\n    ELSE\n        DENY",
        );
        let mut watcher = watch(&broker, "o/+");
        let mut seen = |payload: &str| {
            send(&broker, "in", payload);
            let mut seen: Vec<String> =
                (0..if is_on && payload == "1" { 2 } else { 3 }).map(|_| next(&mut watcher)).collect();
            seen.sort();
            seen
        };
        let published = |v: &str| {
            ["o/model={\"v\":V}", "o/stream={\"v\":V}", "o/topic=V"].map(|text| text.replace('V', v))
        };
        let denied = &published("1")[usize::from(is_on)..];
        assert_eq!(seen("1"), denied);
        assert_eq!(seen("7"), published("7"), "the payload is known to rules");
        let report = broker.command_ok("-lotDiagnostic action Send");
        let last = &report.data()["lastError"];
        if is_on {
            assert_eq!(last["code"], "RULE_DENIED");
            assert_eq!(last["message"], "rules deny publishing model 'Sample' to 'o/model'; it was dropped");
        } else {
            assert_eq!(last, &json!(null));
        }
    }
}

#[test]
fn a_model_is_pending_until_its_parent_is_there_and_follows_it() {
    let broker = broker();
    let child = "-addModel DEFINE MODEL Child FROM Parent WITH TOPIC \"c\"\n    ADD INT \"v\" WITH TOPIC \"v\" AS TRIGGER";
    broker.command_ok(child);
    let waits = broker.command_ok("-getPendingStatus");
    assert!(waits.message() == "1 pending." && waits.data().to_string().contains("Parent"), "{waits:?}");
    let parent = |unit: &str| {
        format!("-addModel DEFINE MODEL Parent COLLAPSED\n    ADD STRING \"unit\" WITH \"{unit}\"")
    };
    let mut watcher = watch(&broker, "c");
    for unit in ["C", "F"] {
        broker.command_ok(&parent(unit));
        send(&broker, "v", "1");
        assert_eq!(next(&mut watcher), format!("c={{\"unit\":\"{unit}\",\"v\":1}}"));
    }
    broker.command_ok("-removeModel Parent");
    assert_eq!(broker.command_ok("-getPendingStatus").message(), "1 pending.");
}

#[test]
fn actions_publish_models_and_unknown_fields_are_errors() {
    let broker = broker();
    let action = "-addAction DEFINE ACTION Send\nON TOPIC \"in\" DO\n    PUBLISH MODEL Reading TO \"o\" WITH\n        id = \"a\"\n        v = PAYLOAD";
    // The model is not there yet, so nothing is known of its fields.
    broker.command_ok(action);
    broker.command_ok("-addModel DEFINE MODEL Reading\n    ADD STRING \"id\"\n    ADD DOUBLE \"v\"");
    let mut watcher = watch(&broker, "o");
    send(&broker, "in", "2.50");
    assert_eq!(next(&mut watcher), r#"o={"id":"a","v":2.5}"#);
    // Now one field less: the deployed action names one that is not there any more.
    broker.command_ok("-addModel DEFINE MODEL Reading\n    ADD STRING \"id\"");
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/Send/Error", QoS::AtMostOnce).unwrap();
    send(&broker, "in", "3");
    let error = next(&mut root);
    assert!(
        error.contains("model `Reading` has no field `v`") || error.contains("has no field v"),
        "{error}"
    );
    let refused = broker.command(action);
    assert!(refused.message().contains("model `Reading` has no field `v`"), "{}", refused.message());
}

#[test]
fn a_model_says_who_published_the_message() {
    let broker = broker();
    broker.command_ok("-addUser ann s3cret-pw");
    broker.command_ok(
        "-addModel DEFINE MODEL Who COLLAPSED WITH TOPIC \"who/+\"\n    ADD STRING \"by\" WITH USER\n    ADD INT \"v\" WITH TOPIC \"raw/+\" AS TRIGGER",
    );
    let mut watcher = watch(&broker, "who/#");
    let mut ann = broker.connect(&ConnectOptions::v5("ann-1").user("ann", "s3cret-pw"));
    ann.publish(&Publication::new("raw/a", "1").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(next(&mut watcher), r#"who/a={"by":"ann","v":1}"#);
}

#[test]
fn received_json_is_split_once() {
    let broker = broker();
    broker.command_ok("-addModel DEFINE MODEL In WITH TOPIC \"m/+\"\n    ADD INT \"n\"");
    let mut watcher = watch(&broker, "m/#");
    send(&broker, "m/1", r#"{"n":"7","p":{"x":true}}"#);
    let mut found: Vec<String> = (0..3).map(|_| next(&mut watcher)).collect();
    found.sort();
    assert_eq!(found, [r#"m/1/n=7"#, r#"m/1/p/x=true"#, r#"m/1={"n":"7","p":{"x":true}}"#]);
}

/// A model whose fields hang together takes a hundred megabytes to compile, on whichever thread its
/// command runs.
#[test]
fn memory_of_a_large_compilation_is_released() {
    const FIELDS: usize = 500;
    const UPLOADS: usize = 4;
    const KEPT_MAX: u64 = 100 * 1024 * 1024;
    let broker = broker();
    let before = broker.resident_bytes();
    for upload in 0..UPLOADS {
        let mut text = "DEFINE MODEL Chain COLLAPSED WITH TOPIC \"o\"\n    ADD INT \"f0\" WITH TOPIC \"in\" AS TRIGGER\n".to_owned();
        for field in 1..FIELDS {
            let former = field - 1;
            text += &format!("    ADD INT \"f{field}\" WITH (f{former} + f{former} + {upload})\n");
        }
        broker.command_ok(&format!("-addModel {text}"));
    }
    let kept = broker.resident_bytes().saturating_sub(before);
    assert!(kept < KEPT_MAX, "{kept} bytes");
}
