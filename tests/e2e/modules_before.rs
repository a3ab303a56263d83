//! Versions of modules that were replaced, and the bytes of those that run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{ConnectOptions, PropertyId, PropertyValue, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX};
use serde_json::{Value, json};

use crate::{LOTMQ, broker, next, send};

/// Compiles an Action that answers with a word.
fn saying(word: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program.wasm");
    let program =
        format!("DEFINE ACTION Say\nON TOPIC \"ask\" DO\n    PUBLISH TOPIC \"answer\" WITH \"{word}\"\n");
    let arguments = ["compile", "-", "-o", path.to_str().unwrap()];
    Program::start_with_input(LOTMQ, &arguments, &program).unwrap().wait().output();
    STANDARD.encode(std::fs::read(&path).unwrap())
}

fn asked(broker: &Broker) -> String {
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("answer", QoS::AtLeastOnce).unwrap();
    send(broker, "ask", "?");
    next(&mut watcher)
}

#[test]
fn the_version_before_comes_back_with_its_options_also_after_a_kill() {
    let mut broker = broker();
    let add = |broker: &Broker, word: &str, options: &str| {
        let base64 = saying(word);
        broker.command_ok(&format!("-addModule say -world action {options} -version {word} wasm64:{base64}"))
    };
    let added = add(&broker, "one", "-topics ask,answer -config 1");
    assert_eq!(added.data()["former"], Value::Null);
    let refused = broker.command("-rollbackModule say");
    assert_eq!(
        (refused.code(), refused.message()),
        ("NO_FORMER_VERSION", "Module 'say' has no version before.")
    );
    assert_eq!(broker.command("-rollbackModule nope").code(), "MODULE_NOT_FOUND");
    let added = add(&broker, "two", "-replace -grant read:ask -grant write:answer");
    assert_eq!(added.data()["former"]["version"], "one");
    assert_eq!(asked(&broker), "answer=two");
    broker.kill();
    broker.start_again();
    assert_eq!(asked(&broker), "answer=two");
    let back = broker.command_ok("-rollbackModule say");
    assert_eq!(back.message(), "Module 'say' rolled back successfully!");
    assert_eq!((&back.data()["version"], &back.data()["former"]["version"]), (&json!("one"), &json!("two")));
    assert_eq!(back.data()["granted"], json!(["read:answer", "read:ask", "write:answer", "write:ask"]));
    assert_eq!(asked(&broker), "answer=one");
    broker.kill();
    broker.start_again();
    assert_eq!(asked(&broker), "answer=one");
    // And forth again.
    broker.command_ok("-rollbackModule say");
    assert_eq!(asked(&broker), "answer=two");
    broker.command_ok("-removeModule say");
    broker.kill();
    broker.start_again();
    add(&broker, "three", "");
    assert_eq!(broker.command("-rollbackModule say").code(), "NO_FORMER_VERSION", "it went with its module");
}

#[test]
fn a_rollback_belongs_to_who_does_it_and_is_refused_for_what_is_anothers() {
    let broker = broker();
    broker.command_ok("-addUser second pw");
    broker.command_ok("-changeUserSettings second AllowedSystemConfiguration true");
    let base64 = saying("x");
    for replace in ["", "-replace"] {
        broker.command_ok(&format!("-addModule say -world action {replace} wasm64:{base64}"));
    }
    let refused = broker.command_as(("second", "pw"), "-rollbackModule say");
    assert_eq!(refused.code(), "OF_ANOTHER", "{refused:?}");
    assert!(broker.command_as(("second", "pw"), "-rollbackModule say -force").success());
    let refused = broker.command("-disableModule say");
    assert!(refused.message().contains("belongs to user 'second'"), "{refused:?}");
}

#[test]
fn the_bytes_of_a_module_come_to_who_asks_and_in_pieces_where_no_packet_holds_them() {
    let broker = broker();
    let base64 = crate::modules::scale();
    let bytes = STANDARD.decode(&base64).unwrap();
    let added = broker.command_ok(&format!("-addModule scale -world action wasm64:{base64}"));
    let mut other = broker.root("other");
    other.subscribe_to("$SYS/Coreflux/Modules/scale/download/#", QoS::AtLeastOnce).unwrap();
    for (packet, pieces) in [(None, 0), (Some(10_000), bytes.len().div_ceil(10_000 - 512))] {
        let options = ConnectOptions::v5("asker").user("root", "coreflux");
        let options = match packet {
            Some(bytes) => options.property(PropertyId::MaximumPacketSize, PropertyValue::FourByte(bytes)),
            None => options,
        };
        let mut asker = broker.connect(&options);
        asker.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        let ask = |asker: &mut lotmq_client::Client| {
            let command = Publication::new("$SYS/Coreflux/Command", "-getModule scale");
            asker.publish(&command.qos(QoS::AtLeastOnce)).unwrap();
        };
        ask(&mut asker);
        let refused: Value = serde_json::from_str(&asker.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
        assert_eq!(refused["errors"][0]["code"], "NOT_SUBSCRIBED", "{refused}");
        asker.subscribe_to("$SYS/Coreflux/Modules/+/download/#", QoS::AtLeastOnce).unwrap();
        ask(&mut asker);
        let (mut came, mut topics) = (Vec::new(), Vec::new());
        let reply = loop {
            let message = asker.receive(WAIT_MAX).unwrap().expect("a message");
            if message.topic.ends_with("/Output") {
                break serde_json::from_str::<Value>(&message.text()).unwrap();
            }
            assert!(!message.retain);
            topics.push(message.topic.clone());
            came.extend_from_slice(&message.payload);
        };
        assert_eq!(came, bytes);
        let topic = "$SYS/Coreflux/Modules/scale/download";
        match pieces {
            0 => assert_eq!(topics, [topic]),
            _ => assert_eq!(topics, (0..pieces).map(|index| format!("{topic}/{index}")).collect::<Vec<_>>()),
        }
        assert_eq!(
            (&reply["data"]["sha256"], &reply["data"]["chunks"]),
            (&added.data()["sha256"], &json!(pieces))
        );
    }
    assert_eq!(broker.command("-getModule nope").code(), "MODULE_NOT_FOUND");
    // Nobody else got any of it.
    send(&broker, "other", "x");
    other.subscribe_to("other/#", QoS::AtLeastOnce).unwrap();
    send(&broker, "other/end", "x");
    assert_eq!(next(&mut other), "other/end=x");
}

#[test]
fn a_module_that_traps_on_everything_has_failed_and_comes_back_by_itself() {
    let broker = broker();
    let work = "        SET \"t\" WITH \"a\" + {i} + \"b\" + {i} + \"c\"\n".repeat(10);
    let program = format!(
        "DEFINE ACTION Long\nON TOPIC \"raw/+\" DO\n    SET \"i\" WITH 0\n    SET \"n\" WITH PAYLOAD + 0\n    LOOP\n        SET \"i\" WITH {{i}} + 1\n{work}    UNTIL {{i}} > {{n}}\n    \
         PUBLISH TOPIC \"answer\" WITH {{i}}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program.wasm");
    let arguments = ["compile", "-", "-o", path.to_str().unwrap()];
    Program::start_with_input(LOTMQ, &arguments, &program).unwrap().wait().output();
    let base64 = STANDARD.encode(std::fs::read(&path).unwrap());
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("answer", QoS::AtLeastOnce).unwrap();
    watcher.subscribe_to("$SYS/Coreflux/Modules/long", QoS::AtLeastOnce).unwrap();
    broker.command_ok(&format!("-addModule long -world action -time 100 wasm64:{base64}"));
    for number in 0..6 {
        send(&broker, "raw/a", &(1_000_000 + number).to_string());
    }
    // The answer comes in the end, behind pauses, and nobody has to enable the module.
    send(&broker, "raw/a", "1");
    let mut states = Vec::new();
    let mut has_answered = false;
    while !has_answered || states.last().is_none_or(|state| state != "enabled") {
        let message = watcher.receive(WAIT_MAX).unwrap().expect("a state or an answer");
        match message.topic.as_str() {
            "answer" => has_answered = true,
            _ => {
                let told: Value = serde_json::from_str(&message.text()).unwrap();
                states.push(told["state"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(states, ["enabled", "failed", "enabled"]);
    assert_eq!(broker.command_ok("-moduleInfo long").data()["traps"], 6);
}
