//! `lotmq demo` does the main job and goes on running.

use std::path::Path;

use lotmq_test_support::Program;

use crate::LOTMQ;
use crate::python::data_with_python;

fn on_any_port(data: &Path) -> [&str; 7] {
    ["demo", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"]
}

#[test]
fn demo_shows_results_and_leaves_the_broker_running() {
    let data = data_with_python();
    let arguments = on_any_port(data.path());
    let demo = Program::start(LOTMQ, &arguments).unwrap();
    let listening = demo.stdout.expect("listening mqtt ");
    let port = listening.rsplit(':').next().unwrap().to_owned();

    demo.stdout.expect("added successfully!");
    for reply in ["Model 'Line' added", "Rule 'Alarms' added", "'Trend'", "Action 'Trends' added"] {
        demo.stdout.expect(reply);
    }
    demo.stdout.expect(r#"result   trends/press1 {"mean":"#);
    demo.stdout.expect(r#"result   plant/line {"press1":"#);
    demo.stdout.expect("result   alarms/press2 too hot: ");
    let count = demo.stdout.expect(r#"result   readings/press1 {"machine":"press1","celsius":"#);
    assert!(count.contains(r#""count":"#), "{count}");
    let ruled = demo.stdout.expect("rule     ");
    assert!(ruled.contains("(0x87)"), "the rule let it pass: {ruled}");
    demo.stdout.expect(&format!("mosquitto_sub -h 127.0.0.1 -p {port}"));
    demo.stdout.expect("lotmq sub");

    let arguments = ["sub", "-p", &port, "-t", "alarms/#", "-v", "-C", "1", "-d"];
    let watcher = Program::start(LOTMQ, &arguments).unwrap();
    watcher.stderr.expect("subscribed to `alarms/#`");
    let sent = Program::run(LOTMQ, &["pub", "-p", &port, "-t", "plant/press9/temperature", "-m", "99"]);
    sent.unwrap().output();
    assert_eq!(watcher.wait().output(), "alarms/press9 too hot: 99");
}

/// Ports from the environment override the defaults of the demo, and its flags override both.
#[test]
fn demo_listens_where_the_environment_says() {
    let data = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let set = format!("LOTMQ_ADMIN_HEALTH_PORT={port}");
    let path = data.path().to_str().unwrap();
    let arguments = [&set, LOTMQ, "demo", "--data", path, "--listen", "127.0.0.1:0"];
    let demo = Program::start("env", &arguments).unwrap();
    let told = demo.stdout.expect("listening health ");
    assert!(told.ends_with(&format!(":{port}")), "{told}");
}

#[test]
fn demo_can_end_by_itself_and_start_again_on_its_data() {
    let data = data_with_python();
    let arguments = [&on_any_port(data.path())[..], &["--rounds", "1", "--exit"]].concat();
    let first = Program::run(LOTMQ, &arguments).unwrap();
    assert!(first.output().contains(r#""count":1"#), "{}", first.stdout);
    // The count is kept: written with the next group commit, at the latest when the broker stops.
    let second = Program::run(LOTMQ, &arguments).unwrap();
    assert!(second.output().contains(r#""count":2"#), "{}", second.stdout);
    // The rule is there already.
    assert!(
        second.stdout.contains("from the time before") && !second.stdout.contains("error["),
        "{}",
        second.stdout
    );
}

#[test]
fn demo_says_when_the_address_it_was_given_is_in_use() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupied.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["demo", "--data", data.to_str().unwrap(), "--listen", &taken, "--health", "127.0.0.1:0"];
    let finished = Program::run(LOTMQ, &arguments).unwrap();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains(&taken) && finished.stderr.contains("in use"), "{}", finished.stderr);
}
