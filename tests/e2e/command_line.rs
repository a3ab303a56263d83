//! The tools beside the broker: check, compile, run, cmd, pub, sub, config.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use lotmq_client::{Publication, QoS};
use lotmq_test_support::{Finished, Program, eventually};
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

const GAUGE: &str = "DEFINE ACTION Hot\nON TOPIC \"plant/t\" DO\n    IF PAYLOAD > GET TOPIC \"plant/limit\" THEN\n        PUBLISH TOPIC \"hot\" WITH PAYLOAD\n";

#[test]
fn a_recording_is_replayed_by_its_own_clock() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let clock =
        "DEFINE ACTION Tick\nON EVERY 10 MINUTES DO\n    PUBLISH TOPIC \"tick\" WITH TIMESTAMP \"UTC\"\n";
    let program = path("gauge.lot", &format!("{GAUGE}{clock}"));
    let at = |time: &str, rest: &str| format!("{{\"at\":\"2026-01-15T{time}Z\",{rest}}}\n");
    let lines = [
        at("10:00:00", "\"topic\":\"plant/limit\",\"payload\":\"80\",\"retained\":true"),
        at("10:05:00", "\"topic\":\"plant/t\",\"payload\":\"81\""),
        at("10:15:00", "\"topic\":\"plant/t\",\"base64\":\"ODI=\""),
        at("10:14:00", "\"topic\":\"plant/t\",\"payload\":\"3\""),
    ];
    let recording = path("day.jsonl", &lines.concat());
    let replayed = lotmq(&["run", &program, "--replay", &recording, "--for", "300"]);
    let expected = ["hot 81", "tick 2026-01-15 10:10:00", "hot 82", "tick 2026-01-15 10:20:00"];
    assert!(replayed.stderr.contains("warning: 2026-01-15T10:14:00Z comes behind"), "{}", replayed.stderr);
    assert_eq!(replayed.output().lines().collect::<Vec<_>>(), expected);
    let broken = path("broken.jsonl", &format!("{}\n{{\"topic\":1}}\n", lines[1]));
    let refused = lotmq(&["run", &program, "--replay", &broken]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("broken.jsonl:3: "), "{}", refused.stderr);
    assert_eq!(refused.stdout.trim_end(), "hot 81", "the line before was taken; no limit is below all");
    let both = lotmq(&["run", &program, "--record", "x"]);
    assert_eq!(both.status.code(), Some(2), "--record needs --broker");
}

#[test]
fn recorded_messages_replay_with_the_same_output() {
    let broker = broker();
    let mut client = broker.client("gauge");
    client.publish(&Publication::new("plant/limit", "80").qos(QoS::AtLeastOnce).retained()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (program, recording) = (dir.path().join("gauge.lot"), dir.path().join("day.jsonl"));
    std::fs::write(&program, GAUGE).unwrap();
    let (program, recording) = (program.to_str().unwrap(), recording.to_str().unwrap());
    let url = format!("mqtt://127.0.0.1:{}/plant/#", broker.port());
    let record = ["run", program, "--record", recording, "--broker", &url, "--count", "4"];
    let recorder = Program::start(LOTMQ, &record).unwrap();
    recorder.stderr.expect("recording `plant/#`");
    for payload in [b"81".as_slice(), b"79", b"9\xff"] {
        client.publish(&Publication::new("plant/t", payload).qos(QoS::AtLeastOnce)).unwrap();
    }
    let recorded = recorder.wait();
    assert_eq!(recorded.output(), "hot 81\nhot 9\u{fffd}");
    let replayed = lotmq(&["run", program, "--replay", recording]);
    assert_eq!(replayed.output(), recorded.output());
    let alone = dir.path().join("alone.jsonl");
    let alone = alone.to_str().unwrap();
    let told = lotmq(&["run", "--record", alone, "--broker", &url, "--count", "1"]);
    assert_eq!(
        (told.output(), told.stdout.as_str()),
        ("", ""),
        "without a program nothing runs: {}",
        told.stderr
    );
    assert_eq!(std::fs::read_to_string(alone).unwrap().matches("\"plant/limit\"").count(), 1);
    let again = lotmq(&record);
    assert!(again.stderr.contains("cannot create"), "a recording is never overwritten: {}", again.stderr);
}

const ROUTES: &str = r#"DEFINE ROUTE Db WITH TYPE LOOPBACK
    ADD LOOPBACK_CONFIG
        WITH DELAY 3600000
    ADD EVENT Save
        WITH SOURCE_TOPIC "save/+"
        WITH DESTINATION_TOPIC "saved/{topic.2}"
        WITH FAIL "{payload.json.fail}"
        WITH ERROR_TOPIC "failed/{topic.2}"
    ADD EVENT Echo
        WITH SOURCE_TOPIC "echo"
        WITH DESTINATION_TOPIC "echo"
    ADD EVENT Line
        WITH SOURCE_TOPIC "line"
        WITH DESTINATION_TOPIC "written/{payload.json.n}"

DEFINE MODEL Reading COLLAPSED
    ADD STRING "id"
    ADD DOUBLE "v"
    STORE IN "Db" WITH TABLE "readings"

DEFINE ACTION Store
ON TOPIC "in/+" DO
    PUBLISH MODEL Reading TO "clean/+" WITH
        id = TOPIC POSITION 2
        v = PAYLOAD

DEFINE ACTION Ask
ON TOPIC "ask" DO
    PUBLISH TOPIC "rows" WITH GET MODEL "Reading" FROM "Db" WHERE v > PAYLOAD ORDER BY v ASC
    TRIGGER "Line" TO "Db" WITH { "n": 1 }

DEFINE ACTION After
ON TOPIC "saved/+" DO
    PUBLISH TOPIC "after" WITH PAYLOAD
"#;

#[test]
fn routes_that_this_build_runs_need_no_broker() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let program = write("routes.lot", ROUTES);
    let messages = [
        "in/a=1",
        "in/b=3",
        "in/c=2",
        "ask=1",
        r#"save/x={"n":2}"#,
        r#"save/y={"fail":"reject"}"#,
        r#"$SYS/Coreflux/Routes/Db/Events/Line={"n":3}"#,
        "echo=once",
    ];
    let arrive = messages.map(|message| format!("--in={message}"));
    let arguments = ["run", program.as_str()].into_iter().chain(arrive.iter().map(String::as_str));
    let ran = lotmq(&arguments.collect::<Vec<_>>());
    let expected = [
        r#"clean/a {"id":"a","v":1}"#,
        r#"clean/b {"id":"b","v":3}"#,
        r#"clean/c {"id":"c","v":2}"#,
        r#"rows [{"id":"c","v":2},{"id":"b","v":3}]"#,
        r#"written/1 {"n":1}"#,
        r#"saved/x {"n":2}"#,
        r#"after {"n":2}"#,
    ];
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[..7], expected, "{}", ran.stderr);
    assert!(
        lines[7].starts_with(r#"failed/y {"route":"Db","event":"Save","error":"it was asked to fail""#),
        "{lines:?}"
    );
    assert_eq!(lines[8..], [r#"written/3 {"n":3}"#, "echo once"]);
    assert!(ran.stderr.contains("error: Db: event `Save`: it was asked to fail"), "{}", ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "a message was refused");

    // Each case has a route of its own, with empty tables; more of them than instances fit.
    let case = |number: usize| {
        format!(
            "[[case]]\nname = \"{number}\"\nwhen = [{{ topic = \"in/a\", payload = 5 }}, {{ topic = \"ask\", payload = 0 }}]\nignore = [\"clean/#\", \"written/#\"]\nthen = [{{ topic = \"rows\", payload = {{ id = \"a\", v = 5 }} }}]\n"
        )
    };
    write("routes.test.toml", &(0..70).map(case).collect::<String>());
    let tested = lotmq(&["test", &program]);
    assert!(tested.output().ends_with("70 passed, 0 failed"), "{}", tested.stdout);
}

#[test]
fn run_and_test_write_nothing_where_they_are_started() {
    let folder = tempfile::tempdir().unwrap();
    let program = "DEFINE ROUTE Files WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"files\"\n    ADD LOG_CONFIG\n        WITH STORAGE_DIR \"logs\"\n    \
        ADD EVENT All\n        WITH SOURCE_TOPIC \"in\"\nDEFINE ACTION A\nON TOPIC \"in\" DO\n    KEEP TOPIC \"kept\" WITH PAYLOAD\n    PUBLISH TOPIC \"out\" WITH PAYLOAD WITH RETAIN\n";
    std::fs::write(folder.path().join("all.lot"), program).unwrap();
    let case = "[[case]]\nname = \"x\"\nwhen = [{ topic = \"in\", payload = 1, retain = true }]\nthen = [{ error = \"module 'files' is not installed\" }, { topic = \"out\" }]\n";
    std::fs::write(folder.path().join("all.test.toml"), case).unwrap();
    let started = |arguments: &[&str]| {
        let mut command = std::process::Command::new(LOTMQ);
        let output = command.args(arguments).current_dir(folder.path()).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (out, told) = started(&["run", "all.lot", "--in", "in=1"]);
    assert_eq!(out, "out 1\n", "{told}");
    let (out, told) = started(&["test"]);
    assert!(out.ends_with("1 passed, 0 failed\n"), "{out}{told}");
    let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["all.lot", "all.test.toml"]);
}

#[test]
fn models_and_rules_are_checked_run_and_compiled_as_actions_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let sends =
        "DEFINE ACTION Send\nON TOPIC \"in\" DO\n    PUBLISH MODEL Reading TO \"out\" WITH v = PAYLOAD\n";
    let reading = "DEFINE MODEL Reading COLLAPSED\n    ADD INT \"v\"\n";
    let rule = "DEFINE RULE Gate WITH PRIORITY 100 FOR Publish TO TOPIC \"in\"\n    DENY\n";
    std::fs::write(path("all.lot"), format!("{sends}{reading}{rule}")).unwrap();
    std::fs::write(path("sends.lot"), sends).unwrap();
    let checked = lotmq(&["check", &path("all.lot")]);
    assert!(checked.output().ends_with("ok (action Send, model Reading, rule Gate)"), "{}", checked.stdout);
    // Definitions further down are in place when messages come, and the run asks the rule.
    let ran = lotmq(&["run", &path("all.lot"), "--in", "in=7", "--in", "else=7"]);
    assert_eq!(
        (ran.output(), &*ran.stderr),
        ("", "denied Publish in to anonymous as lotmq-run, by rule Gate")
    );
    let ran = lotmq(&["run", &path("all.lot"), "-u", "root", "--in", "in=7"]);
    assert_eq!((ran.output(), &*ran.stderr), ("out {\"v\":7}", ""));
    let waits = lotmq(&["run", &path("sends.lot"), "--in", "in=7"]);
    assert_eq!((waits.output(), waits.status.code()), ("", Some(0)));
    let lacking = "warning: action Send waits for Model Reading, which the program does not have";
    assert_eq!(waits.stderr, lacking);
    lotmq(&["compile", &path("all.lot"), "-o", folder.path().to_str().unwrap()]).output();
    for name in ["Send", "Reading", "Gate"] {
        let component = std::fs::read(path(&format!("{name}.wasm"))).unwrap();
        assert_eq!(&component[..8], b"\0asm\x0d\0\x01\0", "{name} is a component");
    }
}

#[test]
fn projects_know_their_definitions_across_files_and_cells() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let cell =
        |language: &str, value: &str| serde_json::json!({"kind": 2, "language": language, "value": value});
    std::fs::create_dir_all(folder.path().join("models/.old")).unwrap();
    write("models/reading.LOT", "DEFINE MODEL Reading COLLAPSED\n    ADD INT \"v\"\n");
    write("models/.old/reading.lot", "not lot");
    write("nothing.lot", "-- DEFINE nothing yet\n");
    let send =
        "DEFINE ACTION Send\nON TOPIC \"in\" DO\n    PUBLISH MODEL Reading TO \"out\" WITH w = PAYLOAD\n";
    let cells = [
        cell("markdown", "text"),
        cell("lot", send),
        cell("lot", "DEFINE MODEL Reading\n    ADD INT \"v\"\n"),
    ];
    write("z.lotnb", &serde_json::to_string(&cells).unwrap());
    let path = folder.path().to_str().unwrap();
    let checked = lotmq(&["check", path]);
    assert_eq!(checked.status.code(), Some(1));
    for part in [
        &format!("{path}/models/reading.LOT: ok (model Reading)") as &str,
        &format!("{path}/nothing.lot: ok (nothing is defined)"),
        &format!("--> {path}/z.lotnb#2:3:"),
        "has no field `w`",
        &format!("--> {path}/z.lotnb#3:1:"),
        "Model `Reading` is defined twice in this project",
    ] {
        assert!(checked.stdout.contains(part), "{part} in:\n{}", checked.stdout);
    }
    let json = lotmq(&["check", "--json", path]);
    let reports: Vec<Value> = json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (reports.len(), &reports[2]["cell"], &reports[2]["success"]),
        (4, &Value::from(2), &Value::from(false))
    );
    // A notebook alone is a project, too.
    write("a.lotnb", &serde_json::to_string(&cells).unwrap().replace("w = PAYLOAD", "v = PAYLOAD"));
    let notebook = folder.path().join("a.lotnb");
    write(
        "a.test.toml",
        "[[case]]\nname = \"send\"\nwhen = [{ topic = \"in\", payload = 7 }]\nthen = [{ topic = \"out\", payload = { v = 7 } }]\n",
    );
    let ran = lotmq(&["run", notebook.to_str().unwrap(), "--in", "in=7"]);
    assert_eq!(ran.output(), "out {\"v\":7}");
    for tested in [notebook.to_str().unwrap(), path] {
        let tested = lotmq(&["test", tested]);
        assert!(tested.output().ends_with("1 passed, 0 failed"), "{}", tested.stdout);
    }
    write("a.lotnb", "{}");
    let wrong = lotmq(&["check", notebook.to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        wrong.stderr.contains("a.lotnb: not a notebook, which is a JSON array of cells"),
        "{}",
        wrong.stderr
    );
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(lotmq(&["check", empty.path().to_str().unwrap()]).status.code(), Some(1));
}

#[test]
fn run_warnings_are_reported_with_their_count() {
    let program = "DEFINE ACTION Hot\nON TOPIC \"in\" DO\n    IF PAYLOAD > 50 THEN\n        PUBLISH TOPIC \"out\" WITH PAYLOAD\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hot.lot");
    std::fs::write(&file, program).unwrap();
    let messages = ["--in", "in=warm"].repeat(5);
    let ran = lotmq(&[&["run", file.to_str().unwrap()], &messages[..]].concat());
    assert_eq!(ran.output(), ["out warm"; 5].join("\n"));
    let warning = |times| format!("3:5: a number was compared with something else as text{times} (LOT601)");
    let told = ["", " (2 times so far)", " (4 times so far)"]
        .map(|times| format!("warning: Hot:{}", warning(times)));
    assert_eq!(ran.stderr, told.join("\n"));
    let broker = broker();
    broker.command_ok(&format!("-addAction {program}"));
    let mut sender = broker.client("sender");
    for _ in 0..5 {
        sender.publish(&Publication::new("in", "warm").qos(QoS::AtLeastOnce)).unwrap();
    }
    let told = eventually("the warnings", || {
        let reply = broker.command_ok("-lotDiagnostic action Hot");
        (reply.data()["runs"] == 5).then(|| reply.data()["warnings"].clone())
    });
    // A run that is given up for its slice of time, and with it its instance, begins to count anew.
    let told = told.as_array().unwrap();
    let (message, code) =
        warning("").rsplit_once(' ').map(|(text, code)| (text.to_owned(), code.to_owned())).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    let told = told[0].as_str().unwrap();
    assert!(told.starts_with(&message) && told.ends_with(&code), "{told}");
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
    assert_eq!(refused.stderr, "error[NOT_FOUND]: Action 'Nope' not found.");
    assert_eq!(refused.stdout, "");
    let json = lotmq(&["cmd", "-p", &port, "--json", "-removeAction", "Nope"]);
    let envelope: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(envelope["entityName"], "Nope");
    let uploaded = lotmq_with_input(&["cmd", "-p", &port, "--file", "-", "-addAction"], WRONG);
    assert_eq!(uploaded.status.code(), Some(1));
    assert!(uploaded.stderr.contains("--> line 3, column "), "{}", uploaded.stderr);
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
    // As with theirs, -v means nothing beside -F.
    let watcher = sub(&["-t", "a/#", "-T", "a/hidden", "-q", "2", "-C", "5", "-v", "-F", "%t %p %q%r"]);
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
        (&["pub", "-m", "x"], "no topic; give one with -t"),
        (&["pub", "-t", "a", "-m", "x", "--insecure"], "--insecure is about TLS"),
        (&["pub", "-t", "a", "-m", "x", "--zstd", "-V", "311"], "--zstd needs version 5"),
        (&["sub", "-t", "a", "--no-local", "-V", "31"], "--no-local needs version 5"),
        (&["bench", "--ws", "--tls-resume"], "--tls-resume is for connect"),
        (&["bench", "connect", "-L", "ws://127.0.0.1", "--tls-resume"], "--tls-resume is about TLS"),
        (&["bench", "--flush-ms", "5"], "--flush-ms is for --zstd"),
        (&["bench", "-t", "0"], "0.1 seconds or more"),
    ] {
        let wrong = lotmq(arguments);
        assert_eq!(wrong.status.code(), Some(2), "{arguments:?}");
        assert!(wrong.stderr.contains(said), "{}", wrong.stderr);
    }
    let small = options().variable("LOTMQ_LIMITS_MAX_PACKET_SIZE", "2000").start();
    let large = "x".repeat(3_000);
    let refused = lotmq(&["pub", "-p", &small.port(), "-V", "5", "-t", "a", "-m", &large]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains("the server takes 2000"), "{}", refused.stderr);
    let unreachable = lotmq(&["pub", "-p", "1", "-t", "a", "-m", "x"]);
    assert_eq!(unreachable.status.code(), Some(3));
    assert_eq!(lotmq(&["pub", "-t", "a"]).status.code(), Some(2));
}

#[test]
fn fmt_rewrites_files_and_checks_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.lot");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "DEFINE ACTION A\nON START DO\n  KEEP TOPIC \"k\" WITH 1+1\n").unwrap();
    let unformatted = lotmq(&["fmt", "--check", file]);
    assert_eq!(unformatted.status.code(), Some(1));
    assert!(unformatted.stdout.contains("a.lot is not formatted"), "{}", unformatted.stdout);
    assert_eq!(lotmq(&["fmt", file]).status.code(), Some(0));
    let formatted = std::fs::read_to_string(&path).unwrap();
    assert_eq!(formatted, "DEFINE ACTION A\nON START DO\n    KEEP TOPIC \"k\" WITH 1 + 1\n");
    assert_eq!(lotmq(&["fmt", "--check", file]).status.code(), Some(0));
    // Of a folder what is LoT in it, and each that is changed is named.
    let below = folder.path().join("below");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(below.join("b.lot"), "DEFINE ACTION B\nON START DO\n  KEEP TOPIC \"k\" WITH 1\n").unwrap();
    std::fs::write(below.join("c.py"), "x=1\n").unwrap();
    let whole = lotmq(&["fmt", folder.path().to_str().unwrap()]);
    assert_eq!(whole.status.code(), Some(0), "{}", whole.stderr);
    assert!(
        whole.output().ends_with("b.lot is formatted now") && !whole.stdout.contains("a.lot"),
        "{}",
        whole.stdout
    );
    std::fs::write(&path, "DEFINE ACTION A\nON START DO\n  KEEP\n").unwrap();
    let wrong = lotmq(&["fmt", file]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.stderr.contains("a.lot:3:"), "{}", wrong.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "DEFINE ACTION A\nON START DO\n  KEEP\n");
}

/// The files that docs/lot/testing.md shows.
fn heater(folder: &std::path::Path) {
    let page = include_str!("../../docs/lot/testing.md");
    for (language, name) in [("lot", "heater.lot"), ("toml", "heater.test.toml")] {
        let (_, block) = page.split_once(&format!("```{language} {name}\n")).unwrap();
        std::fs::write(folder.join(name), block.split_once("```").unwrap().0).unwrap();
    }
}

#[test]
fn test_runs_the_cases_of_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    heater(folder.path());
    let program = folder.path().join("heater.lot");
    for path in [folder.path(), &program, &folder.path().join("heater.test.toml")] {
        let run = lotmq(&["test", path.to_str().unwrap()]);
        assert!(run.stdout.ends_with("2 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
        assert_eq!(run.status.code(), Some(0));
    }
    // Another limit, and the first case does not hold any more.
    let changed = std::fs::read_to_string(&program).unwrap().replace("> 80", "> 90");
    std::fs::write(&program, changed).unwrap();
    let run = lotmq(&["test", folder.path().to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(1));
    assert!(run.stdout.contains("FAIL") && run.stdout.contains("a hot press is reported"), "{}", run.stdout);
    assert!(run.stdout.contains("expected alarms/press too hot: 81, found report 2"), "{}", run.stdout);
    assert!(run.stdout.contains("kept state/alarms: expected `3`, found `2`"), "{}", run.stdout);
    assert!(run.stdout.ends_with("1 passed, 1 failed"), "{}", run.stdout);
    let one = lotmq(&["test", "-n", "by itself", folder.path().to_str().unwrap()]);
    assert!(one.stdout.ends_with("1 passed, 0 failed"), "{}", one.stdout);
}

#[test]
fn test_tells_the_warnings_of_a_case_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let program = "DEFINE ACTION Hot\nON TOPIC \"in\" DO\n    IF PAYLOAD >= 80 THEN\n        PUBLISH TOPIC \"out\" WITH 1\n";
    std::fs::write(folder.path().join("hot.lot"), program).unwrap();
    let step = "when = [{ topic = \"in\", payload = \"garbage\" }]\n";
    let cases = format!(
        "[[case]]\nname = \"passes\"\n{step}then = [{{ topic = \"out\" }}]\n[[case]]\nname = \"fails\"\n{step}[[case]]\nname = \"keeps\"\n{step}then = [{{ topic = \"out\" }}]\nkept = {{ k = 1 }}\n"
    );
    std::fs::write(folder.path().join("hot.test.toml"), cases).unwrap();
    let run = lotmq(&["test", folder.path().to_str().unwrap()]);
    let warned = "\n      warnings of its runs:\n        warning Hot:3:5: a number was compared with something else as text (LOT601)\n";
    let (before, after) = run.stdout.split_once("all that happened:\n        out 1").unwrap();
    assert!(!before.contains("warning"), "{}", run.stdout);
    assert_eq!(after.matches(warned).count(), 2, "of a value that was kept too: {}", run.stdout);
}

#[test]
fn test_judges_calls_errors_json_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let program = "DEFINE ACTION Add\nINPUT a\nINPUT b\nDO\n    SET \"sum\" WITH {a} + {b}\nRETURN\n    OUTPUT sum\n\n\
        DEFINE ACTION Split\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n\n\
        DEFINE ACTION Morning\nON EVERY DAY AT \"06:00\" DO\n    PUBLISH TOPIC \"morning\" WITH GET ENV \"SHIFT\"\n";
    std::fs::write(folder.path().join("calc.lot"), program).unwrap();
    let cases = r##"
        [[case]]
        name = "sum"
        when = [{ call = "Add", inputs = { a = 1, b = 2 } }]
        then = [{ returned = 3 }]
        [[case]]
        name = "json"
        when = [{ topic = "in", payload = { b = [1, "x"], a = true } }]
        then = [{ topic = "out", payload = { a = true, b = [1, "x"] } }]
        [[case]]
        name = "a part of a text"
        when = [{ topic = "in", payload = "abc" }, { topic = "in", payload = "noise" }]
        then = [{ topic = "out", contains = "b", retain = false }, { topic = "out" }]
        [[case]]
        name = "the clock of Berlin goes forward"
        at = "2026-03-28T22:30:00Z"
        zone = "Europe/Berlin"
        env = { SHIFT = "early" }
        when = [{ pass = "5h 29min" }, { pass = "1min" }]
        then = [{ topic = "morning", payload = "early" }]
        [[case]]
        name = "all is ignored"
        when = [{ topic = "in", payload = 1 }]
        ignore = ["#"]
    "##;
    std::fs::write(folder.path().join("calc.test.toml"), cases).unwrap();
    let run = lotmq(&["test", folder.path().to_str().unwrap()]);
    assert!(run.stdout.ends_with("5 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
    std::fs::write(folder.path().join("calc.test.toml"), "[[case]]\nname = \"x\"\nwhne = []\n").unwrap();
    let wrong = lotmq(&["test", folder.path().to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.stderr.contains("calc.test.toml") && wrong.stderr.contains("whne"), "{}", wrong.stderr);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(lotmq(&["test", empty.path().to_str().unwrap()]).status.code(), Some(1));
}

#[test]
fn explain_knows_every_code() {
    let all = lotmq(&["explain"]);
    assert_eq!(all.status.code(), Some(0));
    for code in all.stdout.lines().filter_map(|line| line.split(' ').next()) {
        let told = lotmq(&["explain", code]);
        assert!(
            told.status.code() == Some(0) && told.stdout.starts_with(&format!("{code}: ")),
            "{}",
            told.stdout
        );
    }
    for code in ["LOT203", "HOP_LIMIT", "PENDING", "UNREADABLE"] {
        assert!(all.stdout.contains(&format!("\n{code}  ")), "{code} in {}", all.stdout);
    }
    assert!(lotmq(&["explain", "lot203"]).stdout.contains("THEN"));
    assert!(lotmq(&["explain", "hop_limit"]).stdout.starts_with("HOP_LIMIT: "));
    assert!(lotmq(&["explain", "MAILBOX_FUL"]).stderr.contains("did you mean MAILBOX_FULL?"));
    for number in ["0x87", "135"] {
        let told = lotmq(&["explain", number]).stdout;
        assert!(told.starts_with("0x87 (135): not authorized\n") && told.contains("CONNACK"), "{told}");
    }
    assert_eq!(lotmq(&["explain", "LOT999"]).status.code(), Some(2));
}

#[test]
fn config_show_says_where_values_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lotmq.toml");
    std::fs::write(&file, "[sys]\ninterval_sec = 3\n").unwrap();
    let finished = lotmq(&["config", "show", "--origin", "--config", file.to_str().unwrap(), "--data", "/d"]);
    let line = |key: &str| finished.stdout.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    let words = |key: &str| line(key).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words("sys.interval_sec"), format!("sys.interval_sec 3 file {}:2", file.display()));
    assert!(line("listener.mqtt.port").ends_with("default"));
    assert!(line("data directory").ends_with("flag --data"));
}

/// The programs that the README shows, in order.
fn programs_of_the_readme() -> Vec<&'static str> {
    let shown = include_str!("../../README.md").split("```lot\n").skip(1);
    shown.map(|rest| rest.split_once("```").unwrap().0).collect()
}

#[test]
fn the_first_program_of_the_readme_does_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("overheat.lot");
    std::fs::write(&file, programs_of_the_readme()[0]).unwrap();
    let ran = lotmq(&["run", file.to_str().unwrap(), "--in", "plant/press3/temperature=81"]);
    assert_eq!(ran.output(), "alarms/press3 too hot: 81");
}

#[test]
fn the_first_rule_of_the_readme_does_what_it_says() {
    let broker = broker();
    let added = broker.command_ok(&format!("-addRule {}", programs_of_the_readme()[1]));
    assert_eq!(added.0["warnings"], Value::Null, "{added:?}");
    let port = broker.port();
    let publish = |who: &[&str]| {
        let all: Vec<&str> = ["pub", "-p", &port, "-q", "1", "-t", "valve/1", "-m", "open"]
            .iter()
            .chain(who)
            .copied()
            .collect();
        lotmq(&all).status.code()
    };
    assert_eq!(publish(&[]), Some(1));
    assert_eq!(publish(&["-u", "root", "-P", "coreflux"]), Some(0));
}

const LOCKED: &str = "DEFINE RULE Locked WITH PRIORITY 100 FOR Publish TO TOPIC \"valve/#\"\n    DENY\n";

#[test]
fn pub_says_that_a_rule_refused_wherever_the_protocol_can() {
    let broker = broker();
    broker.command_ok(&format!("-addRule {LOCKED}"));
    let port = broker.port();
    let publish = |more: &[&str]| {
        let all: Vec<&str> =
            ["pub", "-p", &port, "-t", "valve/1", "-m", "open"].iter().chain(more).copied().collect();
        lotmq(&all)
    };
    for qos in ["1", "2"] {
        let refused = publish(&["-q", qos]);
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("the broker refused the message: not authorized"),
            "{}",
            refused.stderr
        );
        let untold = publish(&["-q", qos, "-V", "311"]);
        assert_eq!(untold.status.code(), Some(0), "3.1.1 has no word for it: {}", untold.stderr);
    }
}

/// A server of 3.1.1 alone, which answers a CONNECT of 5.0 with these bytes. Takes one message and
/// gives its packet.
fn old_server(answer: &'static [u8]) -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let mut packet = [0; 256];
            let length = stream.read(&mut packet).unwrap();
            if packet[..length][8] == 5 {
                stream.write_all(answer).unwrap();
                continue;
            }
            stream.write_all(&[0x20, 2, 0, 0]).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            return rest;
        }
    });
    (port, serving)
}

#[test]
fn tools_go_back_to_3_1_1_where_a_broker_does_not_know_5_0() {
    for answer in [&[0x20, 2, 0, 1][..], &[]] {
        let (port, serving) = old_server(answer);
        let sent = lotmq(&["pub", "-p", &port.to_string(), "-t", "a", "-m", "x", "-d"]);
        assert_eq!(sent.status.code(), Some(0), "{}", sent.stderr);
        assert_eq!(serving.join().unwrap(), [0x30, 4, 0, 1, b'a', b'x', 0xe0, 0], "{answer:?}");
    }
    // A user who asks for a version gets it or nothing.
    let (port, _serving) = old_server(&[0x20, 2, 0, 1]);
    let refused = lotmq(&["pub", "-p", &port.to_string(), "-t", "a", "-m", "x", "-V", "5"]);
    assert_eq!(refused.status.code(), Some(3), "{}", refused.stderr);
}

#[test]
fn nobodys_password_goes_to_another_machine_unasked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // An address that is not one of loopback, and reaches this machine all the same.
    let run = |more: &[&str], password: Option<&str>| {
        let mut command = std::process::Command::new(LOTMQ);
        command.args(["cmd", "-h", "0.0.0.0", "-p", &port]).args(more).args(["--timeout", "1", "-listUsers"]);
        command.env_remove("LOTMQ_ROOT_PASSWORD");
        command.envs(password.map(|password| ("LOTMQ_ROOT_PASSWORD", password)));
        command
    };
    for (more, password, told) in [
        (&[][..], None, "give -u and -P"),
        (&[], Some("hidden"), "through TLS only"),
        (&["--tls-use-os-certs", "--insecure"], Some("hidden"), "through TLS only"),
        (&["--tls-use-os-certs"], None, "give -u and -P"),
        (&["--ws"], Some("hidden"), "through TLS only"),
    ] {
        let output = run(more, password).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {stderr}");
        assert!(stderr.contains(told), "{more:?}: {stderr}");
        assert!(listener.accept().is_err(), "{more:?}: nothing was sent");
    }
    let mut asked = run(&["-u", "root", "-P", "given"], None).spawn().unwrap();
    eventually("who gives a password is connected", || listener.accept().ok());
    asked.kill().unwrap();
    asked.wait().unwrap();
}
