//! `lotmq status`: how a running broker is, and what the exit code says.

use std::net::TcpListener;

use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Finished, Program, WAIT_MAX, eventually};
use serde_json::Value;

use crate::{LOTMQ, broker, options, send};

const FAILING: &str = "DEFINE ACTION Ratio\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH 1 / PAYLOAD\n";

fn status(port: &str, more: &[&str]) -> Finished {
    Program::run(LOTMQ, &[&["status", "-p", port], more].concat()).unwrap()
}

fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"))
}

#[test]
fn status_reports_a_healthy_broker_with_errors_and_pending_definitions() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {FAILING}"));
    broker.command_ok(
        "-addAction DEFINE ACTION Waits\nON TOPIC \"x\" DO\n    CALL ACTION Missing WITH a = 1\n",
    );
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/Ratio/Error", QoS::AtLeastOnce).unwrap();
    send(&broker, "in", "0");
    assert!(root.receive(WAIT_MAX).unwrap().is_some(), "the run has failed");
    let shown = status(&broker.port(), &[]);
    let text = shown.output();
    for part in [
        "is healthy, up ",
        "connected with this one",
        "definitions  2 Action (1 with errors)",
        "ERRORS OF DEFINITIONS",
        "LOT602",
        "3:5",
        "division by zero",
        "DEFINITIONS THAT WAIT FOR OTHERS",
        "Action Missing",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    assert!(!text.contains('\x1b') && !text.contains("FAILURES") && !text.contains("LIMITS"), "{text}");
    let told = json(&status(&broker.port(), &["--json"]));
    assert_eq!((&told["state"], &told["version"]), (&"healthy".into(), &env!("CARGO_PKG_VERSION").into()));
    let error = &told["errors"][0];
    let place = (&error["kind"], &error["name"], &error["line"], &error["count"]);
    assert_eq!(place, (&"Action".into(), &"Ratio".into(), &3.into(), &1.into()), "{told}");
    assert_eq!(told["definitions"]["Action"]["count"], 2);
    assert!(
        told["messages"]["received"].as_u64().unwrap() > 0 && told["store"]["bytes"].as_u64().unwrap() > 0
    );
}

#[test]
fn errors_are_counted_by_their_codes() {
    let broker = broker();
    let program = "DEFINE ACTION Two\nON TOPIC \"in/+\" DO\n    IF PAYLOAD == 1 THEN\n        PUBLISH TOPIC \"a\" WITH 1 / (PAYLOAD - 1)\n    ELSE\n        PUBLISH TOPIC PAYLOAD WITH 1\n";
    broker.command_ok(&format!("-addAction {program}"));
    for payload in ["1", "1", "a/#"] {
        send(&broker, "in/a", payload);
    }
    let told = eventually("the errors", || {
        let told = json(&status(&broker.port(), &["--json"]));
        let errors = told["errors"].as_array()?;
        let count: u64 = errors.iter().filter_map(|error| error["count"].as_u64()).sum();
        (count >= 3).then(|| errors.clone())
    });
    let counts: Vec<(&str, u64)> = told
        .iter()
        .map(|error| (error["code"].as_str().unwrap(), error["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("LOT604", 1), ("LOT602", 2)], "{told:?}");
    let shown = status(&broker.port(), &[]);
    let text = shown.output();
    assert!(text.contains("1 Action (1 with errors)") && text.contains("LOT604"), "{text}");
}

#[test]
fn routes_that_are_not_well_stand_in_the_first_line_and_what_is_over_is_marked() {
    let broker = broker();
    for name in ["Well", "Unwell"] {
        broker.command_ok(&format!(
            "-addRoute DEFINE ROUTE {name} WITH TYPE LOOPBACK\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"{name}\"\n        WITH FAIL \"{{payload}}\"\n"
        ));
    }
    send(&broker, "Well", "reject");
    send(&broker, "Unwell", "fatal");
    let told = eventually("the routes have failed", || {
        let told = json(&status(&broker.port(), &["--json"]));
        (told["errors"].as_array().unwrap().len() == 2 && told["routes"][1]["health"] == "Red")
            .then_some(told)
    });
    assert!(told["errors"].as_array().unwrap().iter().all(|error| error["over"] == false), "{told}");
    send(&broker, "Well", "never");
    broker.wait_for_metric("lotmq_route_delivered_total", 1.0);
    let shown = status(&broker.port(), &[]);
    let text = shown.output();
    assert!(text.contains(" is healthy, with 1 Red of 2 routes, up "), "{text}");
    assert_eq!(shown.status.code(), Some(0), "{text}");
    let checked = status(&broker.port(), &["--check"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let lines: Vec<&str> = checked.stdout.lines().collect();
    assert!(lines[0].contains(" is healthy, with 1 Red of 2 routes, up ") && lines.len() == 2, "{lines:?}");
    assert!(lines[1].starts_with("  route Unwell is Red: it was asked to fail"), "{lines:?}");
    let line = |beginning: &str| text.lines().find(|line| line.contains(beginning)).unwrap();
    let head: Vec<&str> = line("NAME    TYPE      CONNECTION").split_whitespace().collect();
    let rest = ["LATENCY", "RECEIVED", "/S", "LAST", "FAILED", "WAITING", "OLDEST", "DEAD", "DROPPED"];
    assert_eq!(head[3..], [&["HEALTH", "DELIVERED", "/S"][..], &rest].concat(), "{text}");
    assert!(line("Route  Well  ").contains("Z over  event `Save`: it was asked to fail"), "{text}");
    let well: Vec<&str> = line("Well    LOOPBACK").split_whitespace().skip(3).collect();
    assert_eq!(
        (&well[..2], &well[4..]),
        (&["Green", "1"][..], &["0", "0", "1", "0", "1", "0"][..]),
        "{text}"
    );
    assert!(well[3].ends_with("ms"), "{text}");
    assert!(text.contains("delivered to other systems; since the start 0 brought, 1 delivered"), "{text}");
    assert!(text.contains("2 Route (1 with errors)"), "{text}");
}

#[test]
fn status_lists_limits_that_are_nearly_reached() {
    let broker = options().variable("LOTMQ_LIMITS_RETAINED_MESSAGES", "10").start();
    let mut client = broker.client("keeper");
    for number in 0..8 {
        let topic = format!("kept/{number}");
        assert!(number < 7 || status(&broker.port(), &[]).output().find("LIMITS").is_none());
        client.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce).retained()).unwrap();
    }
    let told = json(&status(&broker.port(), &["--json"]));
    assert_eq!(told["limitsNear"][0]["limit"], "retained_messages", "{told}");
    assert_eq!(told["limitsNear"][0]["percent"], 80);
    assert!(status(&broker.port(), &[]).output().contains("retained_messages     8  10  80 %"));
}

#[test]
fn a_broker_without_one_of_its_listeners_is_not_healthy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let broker = options()
        .variable("LOTMQ_LISTENER_WS_PORT", &port)
        .variable("LOTMQ_LISTENER_WS_BIND", "127.0.0.1")
        .start();
    let shown = status(&broker.port(), &[]);
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    for part in ["is failing", "FAILURES", "LISTENERS THAT ARE NOT OPEN", "ws "] {
        assert!(shown.stdout.contains(part), "{part} in:\n{}", shown.stdout);
    }
    let told = json(&status(&broker.port(), &["--json"]));
    assert_eq!(told["listenersNotOpened"][0]["listener"], "ws", "{told}");
}

#[test]
fn unreachable_broker_error_suggests_lotmq_serve() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let shown = status(&port, &["--json"]);
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    assert_eq!(json(&shown)["state"], "unreachable");
    assert!(shown.stderr.contains("is it running? `lotmq serve`"), "{}", shown.stderr);
    let sent = Program::run(LOTMQ, &["pub", "-p", &port, "-t", "a", "-m", "x"]).unwrap();
    assert_eq!(sent.status.code(), Some(3));
    assert!(sent.stderr.contains("is it running? `lotmq serve`"), "{}", sent.stderr);
}

#[test]
fn the_status_is_for_who_may_configure_the_system() {
    let broker = broker();
    broker.command_ok("-addUser bob pw");
    broker.command_ok("-changeUserSettings bob AllowedLogManagement true");
    let refused = status(&broker.port(), &["-u", "bob", "-P", "pw"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("PERMISSION_DENIED"), "{refused:?}");
    let wrong = status(&broker.port(), &["-u", "bob", "-P", "wrong"]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    assert!(broker.connect(&ConnectOptions::new("bob").user("bob", "pw")).ping().is_ok());
    assert_eq!(status(&broker.port(), &["--nonsense"]).status.code(), Some(2));
}

#[test]
fn status_reports_rejected_logins() {
    let broker = broker();
    assert!(!status(&broker.port(), &[]).stdout.contains("\nlogins "));
    broker.command_ok("-addUser ann password");
    broker.command_ok("-addRule DEFINE RULE Nobody WITH PRIORITY 100 FOR Connect\n    DENY\n");
    for password in ["password", "wrong"] {
        let mut login = ConnectOptions::new("gw1");
        (login.user_name, login.password) = (Some("ann".to_owned()), Some(password.into()));
        assert!(Client::connect(broker.address(), &login).is_err(), "{password}");
    }
    let text = status(&broker.port(), &[]).stdout;
    let line = text.lines().find(|line| line.starts_with("logins ")).unwrap_or_else(|| panic!("{text}"));
    let begins = "logins       2 refused since the start; the last one: client gw1 from 127.0.0.1:";
    assert!(line.starts_with(begins), "{line}");
}
