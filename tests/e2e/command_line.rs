//! The tools beside the broker: check, compile, run, cmd, pub, sub, config.

use lotmq_test_support::{Finished, Program};
use serde_json::Value;

use crate::{DEMO_PROGRAM, LOTMQ, broker, demo_broker, options};

const WRONG: &str =
    "DEFINE ACTION A\nON TOPIC \"a\" DO\n    IF PAYLOAD > 3\n        PUBLISH TOPIC \"b\" WITH 1\n";

fn lotmq(arguments: &[&str]) -> Finished {
    Program::run(LOTMQ, arguments).unwrap()
}

fn lotmq_with_input(arguments: &[&str], input: &str) -> Finished {
    Program::start_with_input(LOTMQ, arguments, input).unwrap().wait()
}

#[test]
fn check_shows_the_place_and_the_way_out() {
    let good = lotmq_with_input(&["check", "-"], DEMO_PROGRAM);
    assert_eq!(good.output(), "-: ok (action HeatAlarm, action Readings, action Heartbeat)");
    let bad = lotmq_with_input(&["check", "-"], WRONG);
    assert_eq!(bad.status.code(), Some(1));
    for part in ["error[LOT", "--> -:3:", "    IF PAYLOAD > 3", "^", "THEN"] {
        assert!(bad.stdout.contains(part), "{part} in:\n{}", bad.stdout);
    }
    let json = lotmq_with_input(&["check", "--json", "-"], WRONG);
    assert_eq!(json.status.code(), Some(1));
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&report["success"], &report["diagnostics"][0]["line"]),
        (&Value::from(false), &Value::from(3))
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("latin1.lot");
    std::fs::write(&file, b"DEFINE ACTION A\n-- \xc3\xa4 K\xe4lte\n").unwrap();
    let not_utf8 = lotmq(&["check", file.to_str().unwrap()]);
    assert_eq!(not_utf8.status.code(), Some(1));
    assert!(not_utf8.stderr.contains("latin1.lot:2:7: not UTF-8"), "{}", not_utf8.stderr);
    let missing = lotmq(&["check", "/nowhere/x.lot"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stderr.contains("error: cannot read /nowhere/x.lot: "), "{}", missing.stderr);
}

#[test]
fn compile_writes_components() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let several = lotmq_with_input(&["compile", "-", "-o", &path("all.wasm")], DEMO_PROGRAM);
    assert_eq!(several.status.code(), Some(1));
    assert!(several.stderr.contains("3 definitions"), "{}", several.stderr);
    lotmq_with_input(&["compile", "-", "-o", folder.path().to_str().unwrap()], DEMO_PROGRAM).output();
    let single = "DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH 1\n";
    lotmq_with_input(&["compile", "-", "--linked", "-o", &path("linked.wasm")], single).output();
    let file = |name: &str| std::fs::read(path(name)).unwrap();
    let (linked, standalone) = (file("linked.wasm"), file("HeatAlarm.wasm"));
    // Preambles: magic; version 1 of a core module; version 13, layer 1 of a component.
    assert_eq!(&linked[..8], b"\0asm\x01\0\0\0");
    assert_eq!(&standalone[..8], b"\0asm\x0d\0\x01\0");
    assert!(linked.len() < 4_000 && standalone.len() > 100_000, "the runtime is inside the component only");
}

#[test]
fn run_needs_no_broker() {
    let arguments = ["run", "-", "--in", "plant/p/temperature=81", "--in", "plant/p/temperature=2"];
    let finished = lotmq_with_input(&arguments, DEMO_PROGRAM);
    let lines: Vec<&str> = finished.output().lines().collect();
    assert_eq!(
        lines,
        [
            "alarms/p too hot: 81",
            r#"readings/p {"machine":"p","celsius":81,"count":1}"#,
            r#"readings/p {"machine":"p","celsius":2,"count":2}"#,
        ]
    );
    let timers = lotmq_with_input(&["run", "-", "--for", "16"], DEMO_PROGRAM);
    assert_eq!(timers.output().lines().count(), 3, "{}", timers.stdout);
}

#[test]
fn run_calls_actions_and_follows_triggers() {
    let program = "DEFINE ACTION Avg\nINPUT a AS DOUBLE\nINPUT b AS DOUBLE\nDO\n    SET \"m\" WITH ({a} + {b}) / 2\nRETURN\n    OUTPUT m\n
DEFINE ACTION First\nON TOPIC \"in\" DO\n    CALL ACTION Avg WITH a = 2, b = PAYLOAD RETURN m\n    PUBLISH TOPIC \"mid\" WITH {m}\n
DEFINE ACTION Second\nON TOPIC \"mid\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD + 1\n";
    let arguments = ["run", "-", "--in", "in=4", "--call", r#"Avg={"a":10,"b":20}"#];
    let finished = lotmq_with_input(&arguments, program);
    assert_eq!(finished.output().lines().collect::<Vec<_>>(), ["mid 3", "out 4", "Avg returned 15"]);
}

#[test]
fn cmd_shows_replies_and_tells_by_its_exit_code() {
    let broker = demo_broker();
    let port = broker.port();
    let listed = lotmq(&["cmd", "-p", &port, "-listEntities"]);
    assert!(listed.output().contains("HeatAlarm"), "{}", listed.stdout);
    let refused = lotmq(&["cmd", "-p", &port, "-removeAction Nope"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(refused.stdout, "error[NOT_FOUND]: Action 'Nope' not found.");
    let json = lotmq(&["cmd", "-p", &port, "--json", "-removeAction", "Nope"]);
    let envelope: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(envelope["entityName"], "Nope");
    let uploaded = lotmq_with_input(&["cmd", "-p", &port, "--file", "-", "-addAction"], WRONG);
    assert_eq!(uploaded.status.code(), Some(1));
    assert!(uploaded.stdout.contains("--> line 3, column "), "{}", uploaded.stdout);
    let stranger = lotmq(&["cmd", "-p", &port, "-u", "root", "-P", "wrong", "-listEntities"]);
    assert_eq!(stranger.status.code(), Some(3));
    assert!(stranger.stderr.contains("refused the connection"), "{}", stranger.stderr);
}

#[test]
fn pub_and_sub_work_as_mosquittos_do() {
    let broker = broker();
    let port = broker.port();
    let sub = |arguments: &[&str]| {
        let all: Vec<&str> = ["sub", "-p", &port, "-d"].iter().chain(arguments).copied().collect();
        let program = Program::start(LOTMQ, &all).unwrap();
        program.stderr.expect("subscribed to");
        program
    };
    let publish = |arguments: &[&str], input: &str| {
        let all: Vec<&str> = ["pub", "-p", &port].iter().chain(arguments).copied().collect();
        lotmq_with_input(&all, input).output();
    };
    let watcher = sub(&["-t", "a/#", "-T", "a/hidden", "-q", "2", "-C", "5", "-F", "%t %p %q%r"]);
    publish(&["-t", "a/hidden", "-m", "x"], "");
    publish(&["-t", "a/1", "-m", "one", "-q", "2"], "");
    publish(&["-t", "a/2", "-l", "-q", "1"], "two\nthree\n");
    publish(&["-t", "a/3", "-s", "-V", "5"], "four\n");
    publish(&["-t", "a/4", "-n"], "");
    let finished = watcher.wait();
    let lines: Vec<&str> = finished.output().lines().collect();
    assert_eq!(lines, ["a/1 one 20", "a/2 two 10", "a/2 three 10", "a/3 four", " 00", "a/4  00"]);

    publish(&["-t", "kept", "-m", "1", "-r"], "");
    assert_eq!(lotmq(&["sub", "-p", &port, "-t", "kept", "-C", "1"]).output(), "1");
    assert_eq!(lotmq(&["sub", "-p", &port, "-t", "kept", "-R", "-W", "0.2"]).status.code(), Some(27));
    publish(&["-t", "kept", "-n", "-r"], "");
    assert_eq!(lotmq(&["sub", "-p", &port, "-t", "kept", "-C", "1", "-W", "0.2"]).status.code(), Some(27));

    lotmq(&["sub", "-p", &port, "-t", "queue", "-q", "1", "-i", "keeper", "-c", "-E"]).output();
    publish(&["-t", "queue", "-m", "waited", "-q", "1"], "");
    let kept = lotmq(&["sub", "-p", &port, "-t", "queue", "-q", "1", "-i", "keeper", "-c", "-C", "1"]);
    assert_eq!(kept.output(), "waited");
}

#[test]
fn a_lost_client_leaves_its_will() {
    let broker = broker();
    let port = broker.port();
    let watcher =
        Program::start(LOTMQ, &["sub", "-p", &port, "-t", "wills/#", "-v", "-C", "1", "-d"]).unwrap();
    watcher.stderr.expect("subscribed to");
    let arguments =
        ["sub", "-p", &port, "-t", "x", "-d", "--will-topic", "wills/me", "--will-payload", "gone"];
    let mut dying = Program::start(LOTMQ, &arguments).unwrap();
    dying.stderr.expect("subscribed to");
    dying.kill();
    assert_eq!(watcher.wait().output(), "wills/me gone");
}

#[test]
fn refusals_of_the_broker_are_exit_codes() {
    let broker = broker();
    let port = broker.port();
    let refused = lotmq(&["sub", "-p", &port, "-t", "$SYS/Coreflux/Version"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        refused.stderr.contains("refused the subscription to `$SYS/Coreflux/Version`"),
        "{}",
        refused.stderr
    );
    for (arguments, said) in [
        (&["sub", "-t", "a/#/b"][..], "`a/#/b` is no topic filter"),
        (&["sub", "-t", "$share/g"], "`$share/g` is no topic filter"),
        (&["pub", "-m", "x", "-t", "a/+"], "`a/+` is no topic to publish to"),
    ] {
        let wrong = lotmq(arguments);
        assert_eq!(wrong.status.code(), Some(1), "{arguments:?}");
        assert!(wrong.stderr.contains(said), "{}", wrong.stderr);
    }
    let small = options().variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "2000").start();
    let large = "x".repeat(3_000);
    let refused = lotmq(&["pub", "-p", &small.port(), "-V", "5", "-t", "a", "-m", &large]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains("the server takes 2000"), "{}", refused.stderr);
    let unreachable = lotmq(&["pub", "-p", "1", "-t", "a", "-m", "x"]);
    assert_eq!(unreachable.status.code(), Some(3));
    let usage = lotmq(&["pub", "-p", &port, "-m", "x"]);
    assert!(usage.stderr.contains("no topic; give one with -t"), "{}", usage.stderr);
    assert_eq!(lotmq(&["pub", "-t", "a"]).status.code(), Some(2));
}

#[test]
fn config_show_says_where_values_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lotmq.toml");
    std::fs::write(&file, "[sys]\ninterval_sec = 3\n").unwrap();
    let finished = lotmq(&["config", "show", "--origin", "--config", file.to_str().unwrap(), "--data", "/d"]);
    let line = |key: &str| finished.stdout.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    let words = |key: &str| line(key).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words("sys.interval_sec"), format!("sys.interval_sec 3 file {}", file.display()));
    assert!(line("listener.mqtt.port").ends_with("default"));
    assert!(line("data directory").ends_with("flag --data"));
}

#[test]
fn the_first_program_of_the_readme_does_what_it_says() {
    let readme = include_str!("../../README.md");
    let (_, program) = readme.split_once("```lot\n").expect("the README shows a program");
    let (program, _) = program.split_once("```").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("overheat.lot");
    std::fs::write(&file, program).unwrap();
    let ran = lotmq(&["run", file.to_str().unwrap(), "--in", "plant/press3/temperature=81"]);
    assert_eq!(ran.output(), "alarms/press3 too hot: 81");
}
