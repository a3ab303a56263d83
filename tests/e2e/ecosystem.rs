//! Other people's clients drive the demo program: mosquitto's and paho's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_codec::{Properties, SubscriptionOptions};
use lotmq_test_support::{Broker, Program, WAIT_MAX, python_with_paho};

use crate::{DEMO_PROGRAM, broker, demo_broker};

const PAHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/paho_drive.py");

#[test]
fn mosquitto_clients_drive_the_demo_program() {
    let broker = demo_broker();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        mosquitto_round_trip(&broker, version);
    }
}

/// Starts `mosquitto_sub` and waits until it has subscribed. Through `stdbuf`, because it keeps
/// what it says of that to itself while its output is no terminal.
fn mosquitto_sub(arguments: &[&str]) -> Option<Program> {
    let all: Vec<&str> = ["-oL", "mosquitto_sub", "-d"].iter().chain(arguments).copied().collect();
    Program::run("mosquitto_sub", &["--help"])?;
    let watcher = Program::start("stdbuf", &all)?;
    watcher.stdout.expect("SUBACK");
    Some(watcher)
}

fn mosquitto_round_trip(broker: &Broker, version: &str) {
    let port = broker.port();
    let arguments = ["-V", version, "-p", &port, "-t", "alarms/#", "-q", "1", "-v", "-C", "1"];
    let Some(watcher) = mosquitto_sub(&arguments) else { return };
    for qos in ["0", "1", "2"] {
        // Below the limit but for the last: only one alarm may come.
        let payload = if qos == "2" { "90.5" } else { "70" };
        let arguments =
            ["-V", version, "-p", &port, "-t", "plant/press1/temperature", "-q", qos, "-m", payload];
        Program::run("mosquitto_pub", &arguments).unwrap().output();
    }
    let finished = watcher.wait();
    let received = finished.output().lines().filter(|line| line.starts_with("alarms/")).collect::<Vec<_>>();
    assert_eq!(received, ["alarms/press1 too hot: 90.5"], "{version}");
}

#[test]
fn mosquitto_pub_uploads_a_program_and_mosquitto_sub_reads_the_reply() {
    let broker = broker();
    let port = broker.port();
    let user = ["-u", "root", "-P", "coreflux"];
    let mut watch = vec!["-p", &port, "-t", "$SYS/Coreflux/Command/Output", "-C", "1"];
    watch.extend(user);
    let Some(watcher) = mosquitto_sub(&watch) else { return };
    let mut publish = vec!["-p", &port, "-t", "$SYS/Coreflux/Command", "-q", "1", "-s"];
    publish.extend(user);
    let command = format!("-addAction {DEMO_PROGRAM}");
    Program::start_with_input("mosquitto_pub", &publish, &command).unwrap().wait().output();
    let finished = watcher.wait();
    let reply = finished.output().lines().find(|line| line.starts_with('{')).unwrap();
    assert!(
        reply.starts_with(
            r#"{"success":true,"command":"AddAction","message":"Action 'HeatAlarm' added successfully!""#
        ),
        "{reply}"
    );
}

#[test]
fn paho_drives_the_demo_program_in_both_versions() {
    let Some(python) = python_with_paho() else { return };
    for version in ["3.1.1", "5"] {
        let broker = broker();
        let arguments = [PAHO, &broker.port(), version];
        let finished = Program::start_with_input(&python, &arguments, DEMO_PROGRAM).unwrap().wait();
        assert_eq!(finished.output().lines().last(), Some("done"), "{version}:\n{}", finished.stdout);
    }
}

/// The next message on a topic, whatever comes before.
fn next_on(client: &mut Client, topic: &str) -> String {
    loop {
        let message = client.receive(WAIT_MAX).unwrap().expect("a message");
        if message.topic == topic {
            return message.text();
        }
    }
}

fn tell(client: &mut Client, command: &str) {
    client.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
}

/// One SUBSCRIBE with six filters, then remove and add for each run of a cell, matched as text and
/// without a request id.
#[test]
fn a_notebook_editor_runs_cells_as_it_sends_them() {
    const OUTPUT: &str = "$SYS/Coreflux/Command/Output";
    let broker = broker();
    let mut editor = broker.connect(&ConnectOptions::new("mqttjs_1").user("root", "coreflux"));
    let filters = ["Models/#", "Actions/#", "Rules/#", "Routes/#", "Python/Scripts", "Command/Output"]
        .map(|filter| format!("$SYS/Coreflux/{filter}"));
    let wanted: Vec<_> =
        filters.iter().map(|filter| (filter.as_str(), SubscriptionOptions::default())).collect();
    let granted = editor.subscribe(&wanted, Properties::EMPTY).unwrap();
    assert_eq!(granted.len(), 6);
    let code = "-- a unit\nDEFINE MODEL Foo COLLAPSED\n    ADD STRING \"unit\" WITH \"C\"\n";
    for (verb, code, expected) in [
        ("Model", code, "Models/Foo"),
        ("Panel", "DEFINE PANEL Foo", ""),
        ("Action", "DEFINE ACTION Foo\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH 1\n", "Actions/Foo"),
    ] {
        // It knows panels by their older name.
        let kind = if verb == "Panel" { "Visu" } else { verb };
        tell(&mut editor, &format!("-remove{kind} Foo"));
        let reply = next_on(&mut editor, OUTPUT);
        assert!(reply.contains(&format!("{verb} 'Foo' not found.")), "{reply}");
        tell(&mut editor, &format!("-add{kind} {code}"));
        if !expected.is_empty() {
            assert_eq!(next_on(&mut editor, &format!("$SYS/Coreflux/{expected}")), code, "byte for byte");
        }
        let reply = next_on(&mut editor, OUTPUT);
        assert!(reply.contains("'Foo'") && reply.contains("success"), "{reply}");
    }
    // "Update from cell" puts the name in front.
    tell(&mut editor, &format!("-addModel Foo {code}"));
    assert_eq!(next_on(&mut editor, "$SYS/Coreflux/Models/Foo"), code);
    tell(&mut editor, "-removeAllModels");
    assert_eq!(next_on(&mut editor, "$SYS/Coreflux/Models/Foo"), "");
    assert!(next_on(&mut editor, OUTPUT).to_lowercase().contains("removed all models successfully"));
}

/// 3.1.1, QoS 1, the request id at the end of the last line, the download subscribed before it is
/// asked for.
#[test]
fn an_assistant_deploys_and_fetches_projects_as_it_sends_them() {
    const DOWNLOAD: &str = "$SYS/Coreflux/Projects/my-plant/download";
    let broker = broker();
    let mut plugin =
        broker.connect(&ConnectOptions::new("cursor-coreflux-01234567").user("root", "coreflux"));
    for filter in ["$SYS/Coreflux/Command/Output", DOWNLOAD] {
        assert!(!plugin.subscribe_to(filter, QoS::AtLeastOnce).unwrap().is_failure());
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.lot"), "DEFINE MODEL M COLLAPSED\n    ADD INT \"v\"\n").unwrap();
    let (archive, _) = lotmq_server::projects::pack(folder.path()).unwrap();
    let zip64 = STANDARD.encode(&archive);
    let mut ask = |command: &str, id: &str| {
        tell(&mut plugin, &format!("{command} -requestId cursor-{id}"));
        let message = plugin.receive(WAIT_MAX).unwrap().expect("a message");
        (message.topic.clone(), message.text())
    };
    let (_, added) = ask(&format!("-addProject zip64:{zip64} my-plant"), "00000001");
    assert!(
        added.starts_with(r#"{"success":true,"command":"AddProject","requestId":"cursor-00000001","#),
        "{added}"
    );
    let (_, listed) = ask("-listProjects", "00000002");
    assert!(
        listed.contains(r#""data":[{"name":"my-plant","status":"available","files":1,"source":"upload","#),
        "{listed}"
    );
    let (topic, payload) = ask("-getProject my-plant", "00000003");
    assert_eq!((topic.as_str(), payload), (DOWNLOAD, zip64), "bare base64, before the reply");
    let reply = plugin.receive(WAIT_MAX).unwrap().expect("the reply").text();
    assert!(
        reply.starts_with(r#"{"success":true,"command":"GetProject","requestId":"cursor-00000003","#),
        "{reply}"
    );
}
