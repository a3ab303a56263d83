//! Places of errors of programs: file and line as their author has them.

use std::fs;

use lotmq_client::{Client, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX};
use serde_json::{Value, json};

use crate::{LOTMQ, broker, send};

const TWO: &str = "-- Two programs in a file.\nDEFINE ACTION Fine\nON TOPIC \"fine\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n\nDEFINE ACTION Ratio\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH 1 / PAYLOAD\n";

fn run(broker: &Broker, arguments: &[&str]) -> String {
    let port = broker.port();
    Program::run(LOTMQ, &[arguments, &["-p", &port]].concat()).unwrap().output().to_owned()
}

/// Returns a client that receives the errors of `Ratio` from now on.
fn reader(broker: &Broker) -> Client {
    let mut root = broker.root("reader");
    root.subscribe_to("$SYS/Coreflux/Actions/Ratio/Error", QoS::AtLeastOnce).unwrap();
    root
}

/// The error of a division by zero, which happens now.
fn failed(broker: &Broker, reader: &mut Client) -> Value {
    send(broker, "in", "0");
    loop {
        let record: Value =
            serde_json::from_str(&reader.receive(WAIT_MAX).unwrap().expect("a record").text()).unwrap();
        if record["code"] == "LOT602" {
            return record;
        }
    }
}

fn place(record: &Value) -> (Value, Value, Value) {
    (record["file"].clone(), record["line"].clone(), record["column"].clone())
}

#[test]
fn errors_of_a_project_tell_its_file_and_the_line_in_it() {
    let mut broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ratio.lot");
    fs::write(&file, TWO).unwrap();
    let project = folder.path().to_str().unwrap();
    run(&broker, &["deploy", project, "--name", "plant"]);
    let record = failed(&broker, &mut reader(&broker));
    assert_eq!(place(&record), (json!("ratio.lot"), json!(8), json!(5)), "{record}");
    let shown = run(&broker, &["status"]);
    assert!(shown.contains("ratio.lot:8:5"), "{shown}");
    let line = broker.log().text();
    let line = line.lines().find(|line| line.contains("program failed")).expect("a line of the log");
    assert!(line.contains("plant/ratio.lot") && line.contains("8"), "{line}");
    // After a restart, too.
    broker.kill();
    broker.start_again();
    let record = failed(&broker, &mut reader(&broker));
    assert_eq!(place(&record), (json!("ratio.lot"), json!(8), json!(5)), "{record}");
    // The program is the same, its place is another one.
    fs::write(&file, format!("-- First.\n-- Second.\n{TWO}")).unwrap();
    run(&broker, &["deploy", project, "--name", "plant"]);
    let record = failed(&broker, &mut reader(&broker));
    assert_eq!(place(&record), (json!("ratio.lot"), json!(10), json!(5)), "{record}");
}

#[test]
fn errors_of_a_command_count_from_the_first_line_that_was_sent() {
    let mut broker = broker();
    for (body, line) in [(TWO.to_owned(), 8), (TWO[TWO.find("DEFINE ACTION Ratio").unwrap()..].to_owned(), 3)]
    {
        broker.command_ok(&format!("-addAction -replace {body}"));
        let record = failed(&broker, &mut reader(&broker));
        assert_eq!(place(&record), (Value::Null, json!(line), json!(5)), "{record}");
        let report = broker.command("-runAction Ratio {\"topic\": \"in\", \"payload\": \"0\"}");
        assert!(report.success(), "{report:?}");
        broker.kill();
        broker.start_again();
        let record = failed(&broker, &mut reader(&broker));
        assert_eq!(record["line"], line, "{record}");
    }
    let shown = run(&broker, &["status"]);
    assert!(shown.contains(" 3:5 "), "{shown}");
}

#[test]
fn denials_tell_which_rule_and_where_it_stands() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let text = "-- Two rules in a file.\nDEFINE RULE Open WITH PRIORITY 90 FOR Publish TO TOPIC \"valve/#\"\n    IF TOPIC IS \"valve/1\" THEN\n        ALLOW\n\nDEFINE RULE Shut WITH PRIORITY 100 FOR Publish TO TOPIC \"valve/#\"\n    DENY\n";
    fs::write(folder.path().join("valves.lot"), text).unwrap();
    run(&broker, &["deploy", folder.path().to_str().unwrap(), "--name", "plant", "--yes"]);
    broker.command_ok("-addRule DEFINE RULE Stay WITH PRIORITY 100 FOR Connect\n    IF CLIENTID IS \"stray\" THEN\n        DENY\n");
    send(&broker, "valve/1", "open");
    send(&broker, "valve/2", "open");
    let by = |line: &str| line.contains("denied by a rule").then(|| line.to_owned());
    let line = broker.log().wait_for("denied by a rule", by).expect("the broker goes on");
    assert!(line.contains("topic=\"valve/2\"") && line.contains("by=\"rule Shut (valves.lot:6)\""), "{line}");
    // Only the operator sees which rule denies a connection, and the client does not.
    let port = broker.port();
    let refused =
        Program::run(LOTMQ, &["pub", "-i", "stray", "-t", "valve/1", "-m", "x", "-p", &port]).unwrap();
    let said = &refused.stderr;
    assert!(said.contains("no permission to connect") && !said.contains("Stay"), "{said}");
    let by = |line: &str| line.contains("denied by rule Stay").then_some(());
    broker.log().wait_for("denied by rule Stay", by).expect("the broker goes on");
}

#[test]
fn a_reply_tells_cycles_and_notes_with_their_places() {
    let broker = broker();
    let text = "-addAction DEFINE ACTION Round\nON TOPIC \"r\" DO\n    PUBLISH TOPIC \"r\" WITH {unset}\n    PUBLISH TOPIC \"o/+\" WITH 1\n\nDEFINE ACTION Again\nINPUT n AS INT\nDO\n    CALL ACTION Again WITH n = {n}\n";
    let port = broker.port();
    let told = Program::run(LOTMQ, &["cmd", "-p", &port, text]).unwrap().output().to_owned();
    for expected in [
        "warning[TRIGGER_CYCLE]: may trigger itself: Round -> Round\n  --> line 1, column 15\n",
        "  = note: not set on any path before this place\n",
        "  = note: a read gives Empty, a publish is dropped with an error record\n",
        "warning[LOT337]: calls itself before it ends, whatever comes: Again -> Again\n  --> line 9, column 17\n",
    ] {
        assert!(told.contains(expected), "{expected:?} in {told}");
    }
}
