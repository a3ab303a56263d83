//! `lotmq bench` against a real broker: every message arrives, and the figures are there.

use lotmq_test_support::Program;
use serde_json::Value;

use crate::{LOTMQ, broker};

#[test]
fn every_scenario_counts_what_it_sends() {
    let broker = broker();
    let (port, pid) = (broker.port(), broker.process_id().to_string());
    for (scenario, qos, version, publishers, subscribers) in [
        ("pair", "0", "311", 3, 3),
        ("pair", "2", "5", 3, 3),
        ("fan-in", "1", "311", 3, 1),
        ("fan-out", "1", "5", 1, 3),
        ("single", "0", "311", 3, 3),
    ] {
        let arguments =
            ["bench", scenario, "-p", &port, "--pid", &pid, "-q", qos, "-V", version, "-n", "3", "-t", "0.2"];
        let run = Program::run(LOTMQ, &[&arguments[..], &["--json"]].concat()).unwrap();
        assert_eq!(run.status.code(), Some(0), "{scenario}: {}", run.stderr);
        let figures: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(
            (&figures["publishers"], &figures["subscribers"]),
            (&publishers.into(), &subscribers.into())
        );
        assert_eq!(figures["lost"], 0, "{scenario}");
        assert!(figures["delivered"].as_u64() > Some(0), "{scenario}: {figures}");
        assert!(figures["latencyUs"]["p50"].as_u64() <= figures["latencyUs"]["max"].as_u64(), "{figures}");
    }
}

#[test]
fn connections_are_counted_and_refusals_too() {
    let broker = broker();
    let (port, pid) = (broker.port(), broker.process_id().to_string());
    // A password takes long to check without optimisation, and longer beside other tests.
    let run = |more: &[&str]| {
        let arguments = ["bench", "connect", "-p", &port, "--pid", &pid, "-n", "3", "-t", "2", "--json"];
        let run = Program::run(LOTMQ, &[&arguments[..], more].concat()).unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let figures = run(&[]);
    assert!(figures["delivered"].as_u64() > Some(0) && figures["refused"] == 0, "{figures}");
    let figures = run(&["-u", "nobody", "-P", "wrong", "-r", "100"]);
    assert!(figures["refused"].as_u64() > Some(0), "{figures}");
    assert_eq!(figures["refused"], figures["delivered"]);
    let arguments = ["bench", "connect", "-p", &port, "-n", "2", "-t", "0.3", "-V", "5", "-r", "20"];
    let text = Program::run(LOTMQ, &arguments).unwrap().stdout;
    assert!(text.contains("connections/s answered"), "{text}");
}

#[test]
fn a_rate_can_be_given_and_mistakes_are_told() {
    let broker = broker();
    let port = broker.port();
    let run =
        Program::run(LOTMQ, &["bench", "-p", &port, "-n", "2", "-t", "1", "-r", "200", "--json"]).unwrap();
    let figures: Value = serde_json::from_str(&run.stdout).unwrap();
    let delivered = figures["delivered"].as_u64().unwrap();
    assert!(delivered > 0 && figures["lost"] == 0, "{figures}");
    let text = Program::run(LOTMQ, &["bench", "fan-in", "-p", &port, "-n", "2", "-t", "0.1"]).unwrap();
    assert!(
        text.stdout.contains("messages/s delivered") && text.stdout.contains("median"),
        "{}",
        text.stdout
    );
    let nobody = Program::run(LOTMQ, &["bench", "-p", "1"]).unwrap();
    assert_eq!(nobody.status.code(), Some(3), "{}", nobody.stderr);
}
