//! Other people's clients drive the demo program: mosquitto's and paho's.

use lotmq_test_support::{Broker, Program, python_with_paho};

use crate::{DEMO_PROGRAM, broker, demo_broker};

const PAHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/e2e/paho_drive.py");

#[test]
fn mosquitto_clients_drive_the_demo_program() {
    let broker = demo_broker();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        mosquitto_round_trip(&broker, version);
    }
}

/// Starts `mosquitto_sub` and waits until it has subscribed. Through `stdbuf`, because it keeps what it says of that to itself while
/// its output is no terminal.
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
