//! `lotmq watch`: what goes wrong and what definitions do, as it happens.

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually, free_port};
use serde_json::Value;

use crate::{LOTMQ, broker, options, send};

const RATIO: &str = "DEFINE ACTION Ratio\nON TOPIC \"in/+\" DO\n    PUBLISH TOPIC \"out/\" + TOPIC POSITION 2 WITH 1 / PAYLOAD\n";
const OTHER: &str =
    "DEFINE ACTION Other\nON TOPIC \"in/+\" DO\n    PUBLISH TOPIC \"other\" WITH 1 / PAYLOAD\n";
const LOCK: &str = "-addRule DEFINE RULE Lock WITH PRIORITY 100 FOR Publish TO TOPIC \"valve/#\"\n    DENY\n";

fn start(broker: &Broker, arguments: &[&str]) -> Program {
    let port = broker.port();
    Program::start(LOTMQ, &[&["watch", "-p", &port], arguments].concat()).unwrap()
}

/// Waits until somebody else than us is subscribed to a topic below `$SYS/Coreflux`: then what
/// happens is seen.
fn wait_for_watcher(broker: &Broker, subscriptions: u64) {
    eventually("the subscriptions of the watcher", || {
        let clients = broker.command_ok("-listClients lotmq-");
        let all = clients.data()["clients"].as_array().cloned().unwrap_or_default();
        all.iter().any(|client| client["subscriptions"].as_u64() >= Some(subscriptions)).then_some(())
    });
}

fn line_with(watch: &Program, parts: &[&str]) -> String {
    let has_all = |line: &str| parts.iter().all(|part| line.contains(part)).then(|| line.to_owned());
    watch
        .stdout
        .wait_for(&format!("a line with {parts:?}"), has_all)
        .unwrap_or_else(|| panic!("no {parts:?} in:\n{}\n{}", watch.stdout.text(), watch.stderr.text()))
}

fn is_traced(broker: &Broker) -> bool {
    !broker.command_ok("-actionTrace status").data().as_array().unwrap().is_empty()
}

/// Of errors that follow at once the first one has what it began with.
#[test]
fn first_error_of_a_burst_keeps_its_trigger() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {RATIO}"));
    let watch = start(&broker, &["--only", "errors", "-C", "2"]);
    wait_for_watcher(&broker, 4);
    let mut client = broker.client("sender");
    for topic in ["in/first", "in/second", "in/third"] {
        client.publish(&Publication::new(topic, "0")).unwrap();
    }
    line_with(&watch, &[" error ", "first time", "in/first = 0"]);
    line_with(&watch, &[" error ", "times so far"]);
}

#[test]
fn watch_prints_errors_denials_and_values_live() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {RATIO}"));
    broker.command_ok(LOCK);
    let mut watch = start(&broker, &[]);
    // Its reply topic aside: errors, two of lines and one of the log, three more of denials,
    // traces, three of sources, and what Ratio publishes.
    wait_for_watcher(&broker, 12);
    send(&broker, "in/a", "4");
    line_with(&watch, &[" value ", "Ratio? out/a = 0.25"]);
    send(&broker, "in/a", "0");
    line_with(&watch, &[" error ", "Ratio LOT602 at 3:5: division by zero", "first time", "in/a = 0"]);
    // Each denial is seen, not only those at doubled counts.
    let mut client = broker.client("intruder");
    for number in 1..=3 {
        let publication = Publication::new(format!("valve/{number}"), "open").qos(QoS::AtLeastOnce);
        client.publish(&publication).unwrap();
        let topic = format!("Publish valve/{number} denied by rule ");
        line_with(&watch, &[" denial ", "(anonymous)", &topic, "to client intruder"]);
    }
    let wrong = ConnectOptions::new("thief").user("root", "wrong");
    assert!(lotmq_client::Client::connect(broker.address(), &wrong).is_err());
    line_with(
        &watch,
        &[" denial ", "root login refused with 0x86: bad user name or password", "to client thief"],
    );
    let mut lost = std::net::TcpStream::connect(broker.address()).unwrap();
    std::io::Write::write_all(&mut lost, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    line_with(&watch, &[" denial ", "listener mqtt handshake refused: ", "this is HTTP", "from 127.0.0.1"]);
    assert!(!is_traced(&broker) && !watch.stdout.text().contains('\u{1b}'));
    watch.kill();
}

#[test]
fn guest_warnings_are_lines_of_the_module_log() {
    let broker = broker();
    let program = "DEFINE ACTION Warn\nON TOPIC \"in/+\" DO\n    IF PAYLOAD > 5 THEN\n        PUBLISH TOPIC \"out\" WITH 1\n";
    broker.command_ok(&format!(
        "-addModule warn -world action -on in/# -grantAll wasm64:{}",
        crate::modules::compiled(program)
    ));
    let mut lines = broker.root("reader");
    lines.subscribe_to("$SYS/Coreflux/Modules/warn/Log", QoS::AtLeastOnce).unwrap();
    let mut watch = start(&broker, &["--only", "errors"]);
    wait_for_watcher(&broker, 4);
    send(&broker, "in/a", "hot");
    // It has others, too, such as that it was started.
    let line = loop {
        let line: Value = serde_json::from_str(&lines.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
        if line["code"] == "LOT601" {
            break line;
        }
    };
    assert_eq!(line["level"], "warn", "{line}");
    assert!(line["text"].as_str().unwrap().ends_with(" (LOT601)"), "{line}");
    line_with(&watch, &[" warning ", "warn ", "(LOT601)"]);
    watch.kill();
}

#[test]
fn program_warnings_appear_in_watch_log_status_and_metrics() {
    let broker = broker();
    broker.command_ok(
        "-addAction DEFINE ACTION Hot\nON TOPIC \"in/+\" DO\n    IF GET JSON \"t\" IN PAYLOAD > 50 THEN\n        PUBLISH TOPIC \"hot\" WITH 1\n",
    );
    let mut logged = broker.root("reader");
    logged.subscribe_to("$SYS/Coreflux/Log/Warning", QoS::AtLeastOnce).unwrap();
    // An editor of the original takes whatever is below the topic of a program for its source.
    let mut editor = broker.root("editor");
    editor.subscribe_to("$SYS/Coreflux/Actions/#", QoS::AtLeastOnce).unwrap();
    let mut watch = start(&broker, &["Hot"]);
    wait_for_watcher(&broker, 8);
    for _ in 0..3 {
        send(&broker, "in/a", "{}");
    }
    line_with(&watch, &[" warning ", "Hot LOT601 at 3:5: a number was compared with something else as text"]);
    line_with(&watch, &[" warning ", "Hot LOT601 at 3:5: ", "(2 times so far)"]);
    watch.kill();
    // Others warn of the password of root.
    let line = loop {
        let line = logged.receive(WAIT_MAX).unwrap().expect("a line about the program").text();
        let line: Value = serde_json::from_str(&line).unwrap();
        if line["message"] == "program warned" {
            break line;
        }
    };
    assert_eq!(line["fields"]["code"], "LOT601", "{line}");
    broker
        .command_ok("-addAction DEFINE ACTION Last\nON TOPIC \"last\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n");
    let mut topics = Vec::new();
    while topics.last().is_none_or(|topic| topic != "Last") {
        let message = editor.receive(WAIT_MAX).unwrap().expect("the source of the last one");
        topics.push(message.topic.trim_start_matches("$SYS/Coreflux/Actions/").to_owned());
    }
    assert!(
        topics.contains(&"Hot".to_owned()) && !topics.iter().any(|topic| topic.ends_with("/Log")),
        "{topics:?}"
    );
    let of_log = broker.log().wait_for("the line", |line| {
        (line.contains("WARN") && line.contains("program warned") && line.contains("count=2")).then_some(())
    });
    assert!(of_log.is_some(), "{}", broker.log().text());
    let shown = Program::run(LOTMQ, &["status", "-p", &broker.port()]).unwrap().stdout;
    let row = shown.lines().find(|line| line.contains("LOT601")).unwrap_or_else(|| panic!("{shown}"));
    assert!(
        shown.contains("WARNINGS OF DEFINITIONS") && row.contains(" Hot ") && row.contains("3:5"),
        "{shown}"
    );
    let labels = r#"{tenant="default",kind="Action",definition="Hot"}"#;
    assert_eq!(broker.metric(&format!("lotmq_definition_warnings_total{labels}")), Some(2.0));
}

#[test]
fn a_named_action_is_traced_until_the_end() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {RATIO}"));
    broker.command_ok(&format!("-addAction {OTHER}"));
    let watch = start(&broker, &["Ratio", "--json"]);
    wait_for_watcher(&broker, 10);
    assert!(is_traced(&broker));
    send(&broker, "in/a", "2");
    let trace: Value = serde_json::from_str(&line_with(&watch, &["\"trace\""])).unwrap();
    assert_eq!(
        (&trace["name"], &trace["details"]["published"][0]["payload"]),
        (&"Ratio".into(), &"0.5".into())
    );
    let text = trace["text"].as_str().unwrap();
    assert!(text.starts_with("in/a = 2 -> out/a = 0.5 (success"), "{text}");
    // It goes on behind the error, and publishes what there is.
    send(&broker, "in/a", "0");
    let trace: Value = serde_json::from_str(&line_with(&watch, &["\"trace\"", "in/a = 0"])).unwrap();
    let (result, error) = (&trace["details"]["result"], trace["details"]["error"].as_str());
    assert!(result == "error" && error.is_some_and(|error| error.ends_with("(LOT602)")), "{trace}");
    let process = watch.process_id().to_string();
    Program::run("kill", &["-HUP", &process]).unwrap();
    let ended = watch.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert!(!ended.stdout.contains("Other"), "{ended:?}");
    eventually("the end of the trace", || (!is_traced(&broker)).then_some(()));
}

#[test]
fn the_trace_of_somebody_else_goes_on() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {RATIO}"));
    broker.command_ok("-actionTrace Ratio");
    let watch = start(&broker, &["Ratio", "--only", "traces", "-C", "1"]);
    wait_for_watcher(&broker, 2);
    send(&broker, "in/a", "2");
    let ended = watch.wait();
    assert!(ended.status.success() && ended.stdout.lines().count() == 1, "{ended:?}");
    assert!(is_traced(&broker));
}

#[test]
fn a_connection_that_is_lost_is_made_again() {
    let port = free_port().to_string();
    let mut broker = options().listen(&format!("127.0.0.1:{port}")).start();
    broker.command_ok(&format!("-addAction {RATIO}"));
    let mut watch = start(&broker, &["--only", "errors"]);
    wait_for_watcher(&broker, 1);
    send(&broker, "in/a", "0");
    line_with(&watch, &["first time"]);
    broker.stop();
    broker.start_again();
    let told = |line: &str| (line == "connected again").then_some(());
    assert!(watch.stderr.wait_for("the new connection", told).is_some(), "{}", watch.stderr.text());
    wait_for_watcher(&broker, 1);
    send(&broker, "in/b", "0");
    line_with(&watch, &["in/b = 0"]);
    watch.kill();
}

#[test]
fn watch_prints_values_of_later_definitions_and_suppresses_floods() {
    let broker = broker();
    let watch = start(&broker, &["--only", "values", "-C", "2"]);
    wait_for_watcher(&broker, 3);
    broker.command_ok(&format!("-addAction {RATIO}"));
    wait_for_watcher(&broker, 4);
    let mut client = broker.client("flood");
    for number in 1..=50 {
        let publication = Publication::new("in/a", number.to_string()).qos(QoS::AtLeastOnce);
        client.publish(&publication).unwrap();
    }
    let ended = watch.wait();
    let lines: Vec<&str> = ended.output().lines().collect();
    assert!(lines[0].ends_with("value  Ratio? out/a = 1"), "{ended:?}");
    assert!(lines[1].contains("before it not shown"), "{ended:?}");
}

#[test]
fn watch_reports_missing_rights_and_unknown_definitions() {
    let broker = broker();
    let none = start(&broker, &["Nobody"]).wait();
    assert_eq!(none.status.code(), Some(1));
    assert!(none.stderr.contains("there is no definition `Nobody`"), "{none:?}");
    broker.command_ok("-addUser bob pw");
    let refused = start(&broker, &["-u", "bob", "-P", "pw"]).wait();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("AllowedSystemConfiguration"), "{refused:?}");
    assert_eq!(start(&broker, &["--only", "nonsense"]).wait().status.code(), Some(2));
}

#[test]
fn last_errors_come_in_the_order_of_their_times() {
    let broker = broker();
    let names = ["E", "B", "F", "A", "D", "C"];
    for name in names {
        let source = RATIO.replace("Ratio", name).replace("in/+", &format!("in/{name}"));
        broker.command_ok(&format!("-addAction {source}"));
    }
    for name in names {
        send(&broker, &format!("in/{name}"), "0");
        // Times of records have milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    eventually("all errors", || {
        let status = broker.command_ok("-brokerStatus");
        (status.0.to_string().matches("LOT602").count() >= names.len()).then_some(())
    });
    let watch = start(&broker, &["--only", "errors", "-C", "6", "--json"]);
    let ended = watch.wait();
    let told = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told: Vec<String> = told.map(|event| event["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, names, "{ended:?}");
}

#[test]
fn watch_prints_earlier_errors_first_and_marks_them() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {RATIO}"));
    broker.command_ok(
        "-addAction DEFINE ACTION Hot\nON TOPIC \"in/+\" DO\n    IF GET JSON \"t\" IN PAYLOAD > 50 THEN\n        PUBLISH TOPIC \"hot\" WITH 1\n",
    );
    send(&broker, "in/a", "{}");
    send(&broker, "in/a", "0");
    eventually("the error and the warning", || {
        let status = broker.command_ok("-brokerStatus").0.to_string();
        (status.contains("LOT602") && status.contains("LOT601")).then_some(())
    });
    let mut watch = start(&broker, &["--only", "errors"]);
    line_with(&watch, &[" warning ", "Hot earlier: LOT601 at 3:5: a number was compared"]);
    line_with(&watch, &[" error ", "Ratio earlier: LOT602 at 3:5: division by zero"]);
    send(&broker, "in/b", "0");
    let line = line_with(&watch, &[" error ", "in/b = 0"]);
    assert!(!line.contains("earlier"), "{line}");
    watch.kill();
    // Of those that are named alone, and for machines.
    let ended = start(&broker, &["Hot", "--only", "errors", "-C", "1", "--json"]).wait();
    let event: Value = serde_json::from_str(ended.stdout.trim()).unwrap();
    assert_eq!(
        (&event["name"], &event["kind"], &event["earlier"]),
        (&"Hot".into(), &"warning".into(), &true.into())
    );
}
