//! Python scripts: commands, topics and `CALL PYTHON` as clients and editors see them.
//!
//! All tests of a build share the interpreter's native code, which the first of them has made under a lock.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::options;

const STAT: &str = "# Script Name: Stat\ndef avg(a, b):\n    return {\"avg\": (float(a) + float(b)) / 2}\n\ndef bad(x):\n    return 1 / x\n";

/// A broker that has the interpreter's native code in its cache, and its data directory.
pub(crate) fn broker() -> (Broker, TempDir) {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-code");
    fs::create_dir_all(&shared).unwrap();
    let data = TempDir::new().unwrap();
    symlink(&shared, data.path().join("cache")).unwrap();
    let lock = fs::File::create(shared.join("lock")).unwrap();
    lock.lock().unwrap();
    let broker = options().data(data.path()).start();
    // A build without optimisation makes it for longer than the command waits.
    loop {
        let reply = broker.command("-addPython # Script Name: Warm");
        if reply.success() {
            break;
        }
        assert_eq!(reply.code(), "PYTHON_PREPARING", "{reply:?}");
    }
    broker.command_ok("-removePython Warm");
    lock.unlock().unwrap();
    (broker, data)
}

fn next(client: &mut Client) -> (String, String) {
    let message = client.receive(WAIT_MAX).unwrap().unwrap();
    let text = message.text();
    (message.topic, text)
}

#[test]
fn a_script_is_added_listed_called_kept_and_removed() {
    let (mut broker, _data) = broker();
    let mut client = broker.root("editor");
    client.subscribe_to("$SYS/Coreflux/Python/Scripts", QoS::AtMostOnce).unwrap();
    client.subscribe_to("$SYS/Coreflux/Python/Stat/debug", QoS::AtLeastOnce).unwrap();
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    assert_eq!(next(&mut client).1, "[]");

    let added = broker.command_ok(&format!("-addPython {STAT}"));
    assert_eq!(added.message(), "Python script 'Stat' added successfully!");
    assert_eq!((&added.0["entityType"], &added.0["entityName"]), (&json!("Python"), &json!("Stat")));
    let listed = format!(
        "[{{\"ScriptName\":\"Stat\",\"Code\":{},\"Functions\":[\"avg\",\"bad\"]}}]",
        Value::from(STAT)
    );
    let mut seen = [next(&mut client), next(&mut client)];
    seen.sort();
    assert_eq!(
        seen,
        [
            ("$SYS/Coreflux/Python/Scripts".to_owned(), listed.clone()),
            ("$SYS/Coreflux/Python/Stat/debug".to_owned(), "Stat completed".to_owned()),
        ]
    );

    broker.command_ok(
        "-addAction DEFINE ACTION Mean\nON TOPIC \"in\" DO\n    CALL PYTHON \"Stat.avg\" WITH (1, PAYLOAD) RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH {r}\n    PUBLISH TOPIC \"out\" WITH GET JSON \"avg\" IN {r} AS DOUBLE",
    );
    for _ in 0..2 {
        let mut client = broker.root("caller");
        client.subscribe_to("out", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("in", "4")).unwrap();
        assert_eq!(next(&mut client).1, "{\"avg\":2.5}");
        assert_eq!(next(&mut client).1, "2.5");
        drop(client);
        broker.kill();
        broker.start_again();
    }

    let mut client = broker.root("editor");
    client.subscribe_to("$SYS/Coreflux/Python/Scripts", QoS::AtMostOnce).unwrap();
    assert_eq!(next(&mut client).1, listed);
    let removed = broker.command_ok("-removePython Stat");
    assert_eq!(removed.message(), "Python script 'Stat' removed successfully!");
    assert_eq!(next(&mut client).1, "[]");
    let missing = broker.command("-removePython Stat");
    assert_eq!((missing.code(), missing.message()), ("NOT_FOUND", "Python script 'Stat' not found."));
    assert_eq!(
        broker.command_ok("-removeAllPythonScripts").message(),
        "Removed all python scripts successfully"
    );
    broker.kill();
    broker.start_again();
    let mut client = broker.root("editor");
    client.subscribe_to("$SYS/Coreflux/Python/Scripts", QoS::AtMostOnce).unwrap();
    assert_eq!(next(&mut client).1, "[]");
}

#[test]
fn what_goes_wrong_in_python_is_null_and_an_error_with_its_line() {
    let (broker, _data) = broker();
    broker.command_ok(&format!("-addPython {STAT}"));
    broker.command_ok(
        "-addAction DEFINE ACTION Bad\nON TOPIC \"in/+\" DO\n    IF TOPIC POSITION 2 == \"raise\" THEN\n        CALL PYTHON \"Stat.bad\" WITH (0) RETURN AS {r}\n    ELSE\n        CALL PYTHON \"Stat.none\" RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH {r}",
    );
    let mut client = broker.root("reader");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    client.subscribe_to("$SYS/Coreflux/Actions/Bad/Error", QoS::AtMostOnce).unwrap();
    for (topic, code, message, line) in [
        (
            "in/raise",
            "PYTHON_ERROR",
            "'Stat.bad': ZeroDivisionError: division by zero (line 6 of the script)",
            4,
        ),
        ("in/none", "PYTHON_ERROR", "'Stat.none': NameError: the script has no function 'none'", 6),
    ] {
        client.publish(&Publication::new(topic, "1")).unwrap();
        let mut seen = [next(&mut client), next(&mut client)];
        seen.sort();
        assert_eq!(seen[1], ("out".to_owned(), "null".to_owned()));
        let record: Value = serde_json::from_str(&seen[0].1).unwrap();
        assert_eq!((&record["code"], &record["message"]), (&json!(code), &json!(message)));
        assert_eq!(record["line"], line);
    }
}

/// §12 of the language reference: a program whose script is missing is pending, as one whose callee is.
#[test]
fn a_program_waits_for_its_script() {
    let (mut broker, _data) = broker();
    let added = broker.command_ok(
        "-addAction DEFINE ACTION Mean\nON TOPIC \"in\" DO\n    CALL PYTHON \"Stat.avg\" WITH (1, PAYLOAD) RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH GET JSON \"avg\" IN {r}",
    );
    let warning = &added.0["warnings"][0];
    assert_eq!(
        (&warning["code"], &warning["message"]),
        (&json!("PENDING"), &json!("pending until these are added: Python Stat"))
    );
    // After a restart as well, until the script comes.
    for _ in 0..2 {
        let pending = broker.command_ok("-getPendingStatus");
        assert_eq!(pending.data(), &json!([{"kind":"action","name":"Mean","missing":["Python Stat"]}]));
        let report = broker.command_ok("-lotDiagnostic action Mean");
        assert_eq!(report.data()["state"], "pending");
        assert_eq!(report.data()["dependencies"], json!([{"kind":"python","name":"Stat","present":false}]));
        let mut root = broker.root("reader of lists");
        root.subscribe_to("$SYS/Coreflux/Actions", QoS::AtMostOnce).unwrap();
        assert_eq!(next(&mut root).1, "[{\"name\":\"Mean\",\"state\":\"pending\",\"origin\":\"adhoc\"}]");
        broker.kill();
        broker.start_again();
    }
    broker.command_ok(&format!("-addPython {STAT}"));
    for _ in 0..2 {
        assert_eq!(broker.command_ok("-getPendingStatus").message(), "No pending models or actions.");
        let mut client = broker.client("caller");
        client.subscribe_to("out", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("in", "4")).unwrap();
        assert_eq!(next(&mut client).1, "2.5");
        broker.kill();
        broker.start_again();
    }
    broker.command_ok("-removePython Stat");
    assert_eq!(broker.command_ok("-getPendingStatus").message(), "1 pending.");
}

#[test]
fn a_script_that_is_none_is_refused_with_its_line() {
    let (broker, _data) = broker();
    for (body, code, message) in [
        ("", "MISSING_ARGUMENT", "Missing argument: Python text. Usage: -addPython <Python text>"),
        (
            "def f():\n    pass",
            "SCRIPT_NAME_MISSING",
            "Python script must start with '# Script Name: <Name>'.",
        ),
        (
            "# Script Name: Stat\ndef f(:\n    pass",
            "PYTHON_ERROR",
            "Parsing error: SyntaxError: invalid syntax (2,1)",
        ),
        (
            "# Script Name: Stat\nimport os",
            "PYTHON_ERROR",
            "Parsing error: ImportError: module 'os' is not available to scripts (2,1)",
        ),
    ] {
        let reply = broker.command(&format!("-addPython {body}"));
        assert_eq!((reply.code(), reply.message()), (code, message));
    }
    let reply = broker.command("-addPython # Script Name: Stat\nx = (");
    assert_eq!(reply.0["errors"][0]["sourceLines"], json!(["x = ("]));
    broker.command_ok(&format!("-addPython {STAT}"));
    broker.command("-addPython # Script Name: Stat\nx = (");
    let mut client = broker.root("reader");
    client.subscribe_to("$SYS/Coreflux/Python/Scripts", QoS::AtMostOnce).unwrap();
    assert!(next(&mut client).1.contains("\"Functions\":[\"avg\",\"bad\"]"), "the old one stays");
}
