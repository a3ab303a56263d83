//! Python scripts: commands, topics and `CALL PYTHON` as clients and editors see them.
//!
//! All tests of a build share the interpreter's native code, which the first of them has made under
//! a lock.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, Finished, Program, WAIT_MAX};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{LOTMQ, options};

const STAT: &str = "# Script Name: Stat\ndef avg(a, b):\n    return {\"avg\": (float(a) + float(b)) / 2}\n\ndef bad(x):\n    return 1 / x\n";

/// A data directory with the interpreter's native code in its cache.
pub(crate) fn data_with_python() -> TempDir {
    broker().1
}

/// A broker that has the interpreter's native code in its cache, and its data directory.
pub(crate) fn broker() -> (Broker, TempDir) {
    let shared = shared_code();
    let data = TempDir::new().unwrap();
    symlink(&shared, data.path().join("cache")).unwrap();
    let lock = fs::File::create(shared.join("lock")).unwrap();
    lock.lock().unwrap();
    let broker = options().data(data.path()).start();
    // A build without optimisation makes it for longer than the command waits.
    loop {
        let reply = broker.slow_command("-addPython # Script Name: Warm");
        if reply.success() {
            break;
        }
        assert_eq!(reply.code(), "PYTHON_PREPARING", "{reply:?}");
    }
    broker.command_ok("-removePython Warm");
    lock.unlock().unwrap();
    (broker, data)
}

/// The directory of the interpreter's native code. Tools use it too, which a link they would not:
/// anybody may have made that.
fn shared_code() -> PathBuf {
    let shared = cache_home_dir().join("lotmq");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&shared).unwrap();
    shared
}

fn cache_home_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-cache-home")
}

/// Returns the `XDG_CACHE_HOME` with which the command line finds the interpreter's native code.
pub(crate) fn cache_home() -> PathBuf {
    drop(broker());
    cache_home_dir()
}

/// A second data directory of a user does not wait for what the first one has made.
#[test]
fn native_code_of_the_interpreter_is_shared_by_the_data_directories_of_a_user() {
    use std::os::unix::fs::PermissionsExt as _;
    drop(broker());
    let home = TempDir::new().unwrap();
    let shared = home.path().join("lotmq");
    fs::DirBuilder::new().mode(0o700).create(&shared).unwrap();
    for file in fs::read_dir(shared_code()).unwrap() {
        let file = file.unwrap();
        let copy = shared.join(file.file_name());
        fs::copy(file.path(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let broker = options().own_code().variable("XDG_CACHE_HOME", home.path().to_str().unwrap()).start();
    broker.command_ok(&format!("-addPython {STAT}"));
    let largest = |dir: &Path| {
        let sizes = fs::read_dir(dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
        sizes.max().unwrap()
    };
    assert!(largest(&shared) > 10 << 20, "the interpreter is there");
    assert!(largest(&broker.data().join("cache")) < 10 << 20, "and not in the data directory");
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
fn python_error_returns_null_and_reports_the_line() {
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

/// A failed call gives the value null, which is EMPTY and no text in JSON.
#[test]
fn the_result_of_a_failed_call_is_null() {
    let (broker, _data) = broker();
    broker.command_ok(&format!("-addPython {STAT}"));
    broker.command_ok(
        "-addAction DEFINE ACTION Bad\nON TOPIC \"in\" DO\n    CALL PYTHON \"Stat.bad\" WITH (0) RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH {\"r\": {r}, \"empty\": {r} == EMPTY, \"null\": {r} == NULL}",
    );
    let mut client = broker.root("reader");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("in", "1")).unwrap();
    assert_eq!(next(&mut client).1, r#"{"r":null,"empty":true,"null":true}"#);
}

/// A text from a script becomes JSON only if it is valid JSON, wherever the broker builds JSON of
/// it.
#[test]
fn a_text_that_a_script_hands_back_breaks_no_json() {
    let (broker, _data) = broker();
    broker.command_ok("-addPython # Script Name: Tools\ndef echo(x):\n    return x\n");
    broker.command_ok(
        "-addModel DEFINE MODEL Seen COLLAPSED\n    ADD STRING \"s\"\n    ADD OBJECT \"o\"\n    ADD \"any\"",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    CALL PYTHON \"Tools.echo\" WITH (PAYLOAD) RETURN AS {s}\n    PUBLISH TOPIC \"out\" WITH {\"s\": {s}, \"ok\": TRUE}\n    PUBLISH TOPIC \"out\" WITH [{s}]\n    PUBLISH TOPIC \"out\" WITH APPEND([], {s})\n    PUBLISH TOPIC \"out\" WITH {s}\n    PUBLISH MODEL Seen TO \"out\" WITH s = {s}, o = {s}, any = {s}",
    );
    let mut client = broker.root("reader");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    for (text, embedded) in [
        ("[1,2", json!("[1,2")),
        (r#"{"a":1},"admin":{"x":1}"#, json!(r#"{"a":1},"admin":{"x":1}"#)),
        (r#"{"a":1}]"#, json!(r#"{"a":1}]"#)),
        ("[", json!("[")),
        (r#"{"a": [1]}"#, json!({"a": [1]})),
        ("plain", json!("plain")),
    ] {
        client.publish(&Publication::new("in", text)).unwrap();
        let mut made = || serde_json::from_str::<Value>(&next(&mut client).1);
        assert_eq!(made().unwrap(), json!({"s": embedded, "ok": true}), "{text}");
        assert_eq!([made().unwrap(), made().unwrap()], [json!([embedded]), json!([embedded])], "{text}");
        let bare = next(&mut client).1;
        assert_eq!(bare.replace(' ', ""), text.replace(' ', ""), "as it is");
        let instance: Value = serde_json::from_str(&next(&mut client).1).unwrap();
        let object = if embedded.is_object() { embedded.clone() } else { Value::Null };
        assert_eq!(instance, json!({"s": bare, "o": object, "any": embedded}), "{text}");
    }
}

/// §12 of the language reference: a program whose script is missing is pending, as one whose callee
/// is.
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
        ("", "MISSING_ARGUMENT", "Missing argument: Python text. Usage: -addPython [-replace] <Python text>"),
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

#[test]
fn scripts_are_checked_run_and_tested_without_a_broker() {
    let cache = format!("XDG_CACHE_HOME={}", cache_home().display());
    let lotmq = |arguments: &[&str]| -> Finished {
        Program::run("env", &[&[cache.as_str(), LOTMQ], arguments].concat()).unwrap()
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("stat.py", STAT);
    let cells = json!([{"kind": 2, "language": "python", "scriptName": "Cell", "value": "print('loaded')\nn = 0\ndef count():\n    global n\n    n += 1\n    print('called')\n    return n\n"}]);
    write("n.lotnb", &cells.to_string());
    write(
        "mean.lot",
        "DEFINE ACTION Mean\nON TOPIC \"in\" DO\n    CALL PYTHON \"Stat.avg\" WITH (1, PAYLOAD) RETURN AS {r}\n    CALL PYTHON \"Cell.count\" RETURN AS {n}\n    PUBLISH TOPIC \"out\" WITH {r}\n    PUBLISH TOPIC \"n\" WITH {n}\n",
    );
    let checked = lotmq(&["check", path]);
    assert_eq!(
        checked.output(),
        format!(
            "{path}/mean.lot: ok (action Mean)\n{path}/n.lotnb#1: ok (python Cell)\n{path}/stat.py: ok (python Stat)"
        )
    );
    let ran = lotmq(&["run", path, "--in", "in=4", "--in", "in=2"]);
    assert_eq!(ran.output(), "out {\"avg\":2.5}\nn 1\nout {\"avg\":1.5}\nn 2");
    assert_eq!(ran.stderr.matches("called").count(), 2, "{}", ran.stderr);
    // Each case has globals of its own.
    let case = "[[case]]\nname = \"mean\"\nwhen = [{ topic = \"in\", payload = 4 }]\nthen = [{ topic = \"out\", payload = { avg = 2.5 } }, { topic = \"n\", payload = 1 }]\n";
    write("all.test.toml", &format!("program = \".\"\n\n{case}\n{case}"));
    let tested = lotmq(&["test", path]);
    assert!(tested.output().ends_with("2 passed, 0 failed"), "{}", tested.stdout);

    write("stat.py", "# Script Name: Stat\n\ndef f(:\n    pass\n");
    write("unnamed.py", "# @name Old\nx = 1\n");
    let checked = lotmq(&["check", path]);
    assert_eq!(checked.status.code(), Some(1));
    for part in [
        &*format!(
            "error[PYTHON_ERROR]: SyntaxError: invalid syntax\n --> {path}/stat.py:3:1\n  |\n3 | def f(:\n  |"
        ),
        &*format!(
            "error[SCRIPT_NAME_MISSING]: Python script must start with '# Script Name: <Name>'.\n --> {path}/unnamed.py:1:1"
        ),
        "= help: write: # Script Name: Old",
    ] {
        assert!(checked.stdout.contains(part), "{part} in:\n{}", checked.stdout);
    }
    let json = lotmq(&["check", "--json", folder.path().join("stat.py").to_str().unwrap()]);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&report["success"], &report["diagnostics"][0]["line"]), (&json!(false), &json!(3)));
    assert_eq!(lotmq(&["run", path]).status.code(), Some(1));
}

#[test]
fn replay_gives_programs_deterministic_time_and_random_values() {
    let cache = format!("XDG_CACHE_HOME={}", cache_home().display());
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "see.py",
        "# Script Name: See\nimport time, random, uuid\ndef see():\n    before = time.monotonic()\n    time.sleep(1)\n    \
         return [time.time(), time.monotonic() - before, random.random(), str(uuid.uuid4()), list({'a', 'b', 'c', 'd'})]\n",
    );
    write(
        "see.lot",
        "DEFINE ACTION See\nON TOPIC \"in\" DO\n    CALL PYTHON \"See.see\" RETURN AS {r}\n    PUBLISH TOPIC \"script\" WITH {r}\n    \
         PUBLISH TOPIC \"lot\" WITH TIMESTAMP \"UNIX-MS\" + \" \" + (RANDOM UUID) + \" \" + (RANDOM INT BETWEEN 1 AND 1000000)\n\
         DEFINE ACTION Tick\nON EVERY 1 SECOND DO\n    PUBLISH TOPIC \"tick\" WITH TIMESTAMP \"UTC\"\n",
    );
    let line = |second: u32| {
        format!("{{\"at\":\"2026-01-15T10:00:0{second}Z\",\"topic\":\"in\",\"payload\":\"\"}}\n")
    };
    write("traffic.jsonl", &(0..3).map(line).collect::<String>());
    let recording = folder.path().join("traffic.jsonl");
    let run = || {
        let arguments = ["run", path, "--replay", recording.to_str().unwrap(), "--for", "1", "--json"];
        Program::run("env", &[&[cache.as_str(), LOTMQ], &arguments[..]].concat()).unwrap()
    };
    let (first, second) = (run(), run());
    assert_eq!(first.output().lines().count(), 9, "{}", first.stdout);
    assert_eq!(first.stdout, second.stdout);
    let payloads =
        first.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["payload"].clone());
    let payloads: Vec<String> = payloads.map(|payload| payload.as_str().unwrap().to_owned()).collect();
    // A second later by the script's own clock, for it has slept; by everybody else's it is ten
    // o'clock.
    assert!(payloads[0].starts_with("[1768471201,1,"), "{payloads:?}");
    assert!(payloads[1].starts_with("1768471200000 "), "{payloads:?}");
    assert_eq!(payloads[2], "2026-01-15 10:00:01", "{payloads:?}");
}

#[test]
fn deploy_uploads_projects_and_files_and_nothing_that_is_wrong() {
    let cache = format!("XDG_CACHE_HOME={}", cache_home().display());
    let (broker, _data) = broker();
    let port = broker.port();
    let deploy = |arguments: &[&str]| -> Finished {
        Program::run("env", &[&[cache.as_str(), LOTMQ, "deploy", "-p", &port], arguments].concat()).unwrap()
    };
    let folder = TempDir::new().unwrap();
    let project = folder.path().join("plant");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("stat.py"), STAT).unwrap();
    fs::write(project.join("m.lot"), "DEFINE MODEL M COLLAPSED\n    ADD INT \"v\"\n").unwrap();
    let path = project.to_str().unwrap();
    for expected in
        ["Project 'plant' added successfully!", "project 'plant' is loaded as it was: nothing has changed"]
    {
        let deployed = deploy(&[path]);
        let said = deployed.output();
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(broker.command_ok("-projectStatus plant").data()["counts"], json!({"model": 1, "python": 1}));
    assert!(deploy(&[path, "--name", "other", "--no-load"]).output().contains("'other' added"));
    assert_eq!(broker.command_ok("-projectStatus other").data()["status"], "available");
    broker.command_ok("-unloadProject");

    let file = folder.path().join("all.lot");
    fs::write(&file, "DEFINE RULE R WITH PRIORITY 200 FOR Publish TO TOPIC \"x\"\n    DENY\n\nDEFINE MODEL M COLLAPSED\n    ADD INT \"v\"\n").unwrap();
    for becomes in ["added successfully!", "is as it was: nothing has changed"] {
        let said = deploy(&[file.to_str().unwrap()]);
        let told: Vec<&str> = said.output().lines().filter(|line| !line.starts_with("+ ")).collect();
        assert_eq!(told, [format!("Model 'M' {becomes}"), format!("Rule 'R' {becomes}")]);
    }
    let said = deploy(&[project.join("stat.py").to_str().unwrap()]);
    assert_eq!(said.output(), "Python script 'Stat' added successfully!");
    fs::write(&file, "DEFINE MODEL N COLLAPSED\n    ADD INT \"v\"\n\nDEFINE MODEL\n").unwrap();
    assert_eq!(deploy(&[file.to_str().unwrap()]).status.code(), Some(1));
    assert_eq!(broker.command("-lotDiagnostic model N").code(), "NOT_FOUND", "nothing was sent");
}

#[test]
fn the_first_script_of_the_readme_does_what_it_says() {
    let (broker, _data) = broker();
    let readme = include_str!("../../README.md");
    let block = |fence: &str, holds: &str| {
        let blocks = readme.split(fence).skip(1).map(|rest| rest.split_once("```").unwrap().0);
        blocks.into_iter().find(|block| block.contains(holds)).unwrap()
    };
    broker.command_ok(&format!("-addPython {}", block("```python\n", "Stat")));
    broker.command_ok(&format!("-addAction {}", block("```lot\n", "CALL PYTHON")));
    let mut root = broker.root("watcher");
    root.subscribe_to("mean/+", QoS::AtMostOnce).unwrap();
    root.publish(&Publication::new("values/a", "1,2,6")).unwrap();
    assert_eq!(next(&mut root), ("mean/a".to_owned(), "3".to_owned()));
}

#[test]
fn a_script_is_replaced_by_its_owner_or_with_replace() {
    let (broker, _data) = broker();
    for name in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {name} password"));
        broker.command_ok(&format!("-changeUserSettings {name} AllowedSystemConfiguration true"));
    }
    let mut root = broker.root("watcher");
    root.subscribe_to("out", QoS::AtMostOnce).unwrap();
    broker.command_ok("-addAction DEFINE ACTION Ask\nON TOPIC \"in\" DO\n    CALL PYTHON \"S.who\" RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH {r}");
    let mut who = || {
        root.publish(&Publication::new("in", "1")).unwrap();
        next(&mut root).1
    };
    let script = |answer: &str| format!("# Script Name: S\ndef who():\n    return \"{answer}\"\n");
    let add = |user: &str, option: &str, answer: &str| {
        broker.command_as((user, "password"), &format!("-addPython {option}{}", script(answer)))
    };
    assert!(add("ann", "", "ann").success());
    let refused = add("bob", "", "bob");
    assert_eq!(refused.code(), "OF_ANOTHER");
    assert_eq!(refused.message(), "Python script 'S' belongs to user 'ann'. Use -replace to take it over.");
    assert_eq!(
        broker.command(&format!("-addPython {}", script("root"))).code(),
        "OF_ANOTHER",
        "root says so, too"
    );
    assert_eq!(who(), "ann");
    assert!(add("ann", "", "ann again").success(), "her own needs no word");
    assert_eq!(who(), "ann again");
    assert!(add("bob", "-replace ", "bob").success());
    assert_eq!(who(), "bob");
    assert_eq!(add("ann", "", "ann").code(), "OF_ANOTHER", "it is his now");
    broker.command_ok("-removeUser bob");
    assert!(add("ann", "", "ann").success(), "nobody's is anybody's");
    assert_eq!(who(), "ann");
}

/// Scripts of two users take all places and compute until they are ended; each user may have three
/// of four.
#[test]
fn scripts_that_compute_for_ever_let_those_of_others_run() {
    let (broker, _data) = broker();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} password"));
        broker.command_ok(&format!("-changeUserSettings {user} AllowedSystemConfiguration true"));
        let give = |command: &str| {
            let reply = broker.command_as((user, "password"), command);
            assert!(reply.success(), "{reply:?}");
        };
        for number in 0..4 {
            let name = format!("{user}{number}");
            give(&format!("-addPython # Script Name: {name}\ndef loop():\n    while True:\n        pass\n"));
            give(&format!(
                "-addAction DEFINE ACTION {name}\nON TOPIC \"loop\" DO\n    CALL PYTHON \"{name}.loop\" RETURN AS {{r}}\n    PUBLISH TOPIC \"ended\" WITH \"{name}\"\n"
            ));
        }
    }
    broker.command_ok("-addPython # Script Name: Quick\ndef one():\n    return 1\n");
    broker.command_ok("-addAction DEFINE ACTION Quick\nON TOPIC \"in\" DO\n    CALL PYTHON \"Quick.one\" RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH {r}");
    let mut client = broker.root("watcher");
    for topic in ["out", "ended"] {
        client.subscribe_to(topic, QoS::AtMostOnce).unwrap();
    }
    client.publish(&Publication::new("loop", "")).unwrap();
    client.publish(&Publication::new("in", "")).unwrap();
    assert_eq!(next(&mut client), ("out".to_owned(), "1".to_owned()), "before any of the others has ended");
}

/// Eve has more calls of her own than places, and calls Quick, too. Her call of Quick waits for a
/// place; the script does not wait with it.
#[test]
fn call_that_waits_for_a_place_holds_up_no_other_users_call_of_its_script() {
    let (broker, _data) = broker();
    broker.command_ok("-addUser eve password");
    broker.command_ok("-changeUserSettings eve AllowedSystemConfiguration true");
    let give = |command: &str| {
        let reply = broker.command_as(("eve", "password"), command);
        assert!(reply.success(), "{reply:?}");
    };
    for number in 0..4 {
        give(&format!("-addPython # Script Name: E{number}\ndef loop():\n    while True:\n        pass\n"));
        give(&format!(
            "-addAction DEFINE ACTION E{number}\nON TOPIC \"loop\" DO\n    CALL PYTHON \"E{number}.loop\" RETURN AS {{r}}\n    PUBLISH TOPIC \"ended\" WITH \"E\"\n"
        ));
    }
    broker.command_ok("-addPython # Script Name: Quick\ndef one():\n    return 1\n");
    give(
        "-addAction DEFINE ACTION Hold\nON TOPIC \"hold\" DO\n    CALL PYTHON \"Quick.one\" RETURN AS {r}\n",
    );
    broker.command_ok("-addAction DEFINE ACTION Quick\nON TOPIC \"in\" DO\n    CALL PYTHON \"Quick.one\" RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH {r}");
    let mut client = broker.root("watcher");
    for topic in ["ended", "out"] {
        client.subscribe_to(topic, QoS::AtMostOnce).unwrap();
    }
    client.publish(&Publication::new("loop", "")).unwrap();
    // In the first rounds her loops may not have their places yet.
    for round in 0..10 {
        for topic in ["hold", "in"] {
            client.publish(&Publication::new(topic, "")).unwrap();
        }
        let answer = next(&mut client);
        assert_eq!(answer, ("out".to_owned(), "1".to_owned()), "round {round}: before a call of eve's ends");
    }
}
