//! Odd input of people and editors for the tools: pipes in folders, endless lengths, files of
//! another kind, control characters.

use std::io::Write as _;
use std::process::{Command, Stdio};

use lotmq_test_support::{Finished, Program};

use crate::LOTMQ;
use crate::python::cache_home;

const PROGRAM: &str = "DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH PAYLOAD\n";

fn lotmq(arguments: &[&str]) -> Finished {
    Program::run(LOTMQ, arguments).unwrap()
}

/// The same with the interpreter's native code at hand.
fn lotmq_with_python(arguments: &[&str]) -> Finished {
    let cache = format!("XDG_CACHE_HOME={}", cache_home().display());
    Program::run("env", &[&[cache.as_str(), LOTMQ], arguments].concat()).unwrap()
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    folder
}

#[test]
fn pipes_in_a_folder_are_not_waited_for() {
    let folder = folder(&[("a.lot", PROGRAM)]);
    for name in ["pipe.lot", "pipe.lotnb", "pipe.test.toml"] {
        let made = Program::run("mkfifo", &[folder.path().join(name).to_str().unwrap()]).unwrap();
        assert!(made.status.success(), "{}", made.stderr);
    }
    let path = folder.path().to_str().unwrap();
    let checked = lotmq(&["check", path]);
    assert_eq!(checked.output(), format!("{path}/a.lot: ok (action A)"));
    assert_eq!(lotmq(&["run", path, "--in", "a=1"]).output(), "b 1");
    let tested = lotmq(&["test", path]);
    assert!(tested.stderr.contains("no file that ends with .test.toml"), "{}", tested.stderr);
}

#[test]
fn one_bad_file_hides_no_other() {
    let folder = folder(&[("a.lot", PROGRAM), ("n.lotnb", "["), ("z.lot", "DEFINE ACTION Z\nON START\n")]);
    std::fs::write(folder.path().join("b.lot"), b"DEFINE ACTION A\n-- K\xe4lte\n").unwrap();
    let path = folder.path().to_str().unwrap();
    let checked = lotmq(&["check", path]);
    assert_eq!(checked.status.code(), Some(1));
    for part in [
        "/a.lot: ok (action A)",
        "error: ",
        "/b.lot:2:5: not UTF-8",
        "/n.lotnb: not a notebook",
        "--> ",
        "/z.lot:2:9",
    ] {
        assert!(checked.stdout.contains(part), "{part} in:\n{}", checked.stdout);
    }
    let json = lotmq(&["check", "--json", path]);
    let objects: Vec<serde_json::Value> =
        json.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let successes: Vec<bool> = objects.iter().map(|object| object["success"].as_bool().unwrap()).collect();
    assert_eq!(successes, [true, false, false, false]);
    let of_b = &objects[1]["diagnostics"][0];
    assert_eq!((&of_b["code"], &of_b["line"], &of_b["column"]), (&"UNREADABLE".into(), &2.into(), &5.into()));
    for verb in ["run", "deploy"] {
        let refused = lotmq(&[verb, path]);
        assert_eq!(refused.status.code(), Some(1), "{verb}: {}", refused.stderr);
        assert!(refused.stderr.contains("/b.lot:2:5: not UTF-8"), "{verb}: {}", refused.stderr);
    }
}

#[test]
fn check_warns_of_cycles_and_of_extensions_when_asked() {
    let there = "DEFINE ACTION There\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b/x\" WITH UPPER(PAYLOAD)\n";
    let back = "DEFINE ACTION Back\nON TOPIC \"b/+\" DO\n    PUBLISH TOPIC \"a\" WITH PAYLOAD\n";
    let folder = folder(&[("there.lot", there), ("back.lot", back)]);
    let path = folder.path().to_str().unwrap();
    let checked = lotmq(&["check", path]).stdout;
    let cycle = "warning[LOT333]: may trigger itself: Back -> There -> Back";
    assert!(checked.contains(cycle) && checked.contains("back.lot:1:15"), "{checked}");
    assert_eq!((checked.matches("LOT333").count(), checked.matches("LOT240").count()), (1, 0), "{checked}");
    let portable = lotmq(&["check", "--portable", path]).stdout;
    assert!(portable.contains("warning[LOT240]: UPPER is not portable"), "{portable}");
}

#[test]
fn run_and_failing_cases_tell_what_check_warns_of() {
    let text = "DEFINE ACTION A\nON TOPIC \"a/#\" DO\n    PUBLISH TOPIC \"a/b\" WITH GET TOPIC \"x/\" + (PAYLOAD)\n\nDEFINE ACTION Again\nINPUT n AS INT\nDO\n    CALL ACTION Again WITH n = {n}\n";
    let right = "[[case]]\nname = \"nothing\"\n";
    let wrong = "[[case]]\nname = \"other\"\nthen = [{ topic = \"z\", payload = 1 }]\n";
    let folder = folder(&[("a.lot", text), ("right.test.toml", right), ("wrong.test.toml", wrong)]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["right", "wrong"] {
        let cases = std::fs::read_to_string(path(&format!("{name}.test.toml"))).unwrap();
        std::fs::write(path(&format!("{name}.test.toml")), format!("program = \"a.lot\"\n{cases}")).unwrap();
    }
    let warnings = ["warning[LOT333]", "warning[LOT337]", "warning[LOT442]"];
    let checked = lotmq(&["check", &path("a.lot")]).stdout;
    let run = lotmq(&["run", &path("a.lot")]).stderr;
    let failing = lotmq(&["test", &path("wrong.test.toml")]);
    assert_eq!(failing.status.code(), Some(1), "{}", failing.stdout);
    for told in [checked, run, failing.stderr] {
        for warning in warnings {
            assert_eq!(told.matches(warning).count(), 1, "{warning} in {told}");
        }
    }
    let passing = lotmq(&["test", &path("right.test.toml")]);
    assert!(passing.status.success() && !passing.stderr.contains("warning"), "{}", passing.stderr);
}

#[test]
fn failed_cast_is_reported_at_the_input_line() {
    let text = "DEFINE ACTION Fact\nINPUT first AS STRING\nINPUT n AS INT\nDO\n    PUBLISH TOPIC \"o\" WITH {n}\n\nDEFINE ACTION Ask\nON TOPIC \"ask\" DO\n    CALL ACTION Fact WITH first = \"a\", n = PAYLOAD\n";
    let folder = folder(&[("fact.lot", text)]);
    let path = folder.path().join("fact.lot");
    let run = lotmq(&["run", path.to_str().unwrap(), "--in", "ask=none"]);
    assert!(
        run.stderr.contains("Fact:3:7") && run.stderr.contains("could not be cast"),
        "{}{}",
        run.stdout,
        run.stderr
    );
}

#[test]
fn check_names_what_nobody_defines_and_counts_no_mark() {
    let user = "\u{feff}DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH MODEL Readng TO \"b\" WITH v = 1\n    CALL PYTHON \"Stat.f\"\n";
    let model = "DEFINE MODEL Reading COLLAPSED\n    ADD DOUBLE \"v\"\n";
    let folder =
        folder(&[("a.lot", user), ("m.lot", model), ("s.py", "# Script Name: Stat\ndef f():\n    pass\n")]);
    let path = folder.path().to_str().unwrap();
    let checked = lotmq_with_python(&["check", path]).output().to_owned();
    for part in [
        "warning[LOT330]: no Model `Readng` is defined here",
        "a.lot:3:19",
        "did you mean Reading?",
        "a.lot: ok",
    ] {
        assert!(checked.contains(part), "{part} in:\n{checked}");
    }
    assert!(!checked.contains("`Stat`"), "{checked}");
    let alone = lotmq(&["check", folder.path().join("a.lot").to_str().unwrap()]).output().to_owned();
    assert!(alone.contains("no Python script `Stat` is defined here"), "{alone}");
    let wrong = folder.path().join("wrong.lot");
    std::fs::write(&wrong, "\u{feff}DEFINE ACTON A\n").unwrap();
    let told = lotmq(&["check", wrong.to_str().unwrap()]);
    assert!(told.stdout.contains("wrong.lot:1:8") && !told.stdout.contains('\u{feff}'), "{}", told.stdout);
}

#[test]
fn ineffective_messages_and_malformed_lines_are_reported() {
    let program = PROGRAM.replace("TOPIC \"a\"", "TOPIC \"#\"");
    let at = "\"at\":\"2026-01-15T10:30:00Z\"";
    let wrong =
        format!("{{{at},\"topic\":\"a\",\"payload\":\"1\"}}\n{{{at},\"topic\":5,\"payload\":\"\"}}\n");
    let cases = "[[case]]\nname = \"x\"\nwhen = [{ topic = \"x\", payload = 1, level = 1 }]\n";
    let folder = folder(&[("a.lot", &program), ("r.jsonl", &wrong), ("a.test.toml", cases)]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let told = lotmq(&["run", &path("a.lot"), "--in", "$SYS/a=1", "--in", "$SYS/b=1"]);
    assert_eq!(told.stderr.matches("warning: `$SYS/").count(), 1, "{}", told.stderr);
    assert!(told.stderr.contains("`$SYS/a` starts nothing"), "{}", told.stderr);
    let replayed = lotmq(&["run", &path("a.lot"), "--replay", &path("r.jsonl")]);
    assert!(
        replayed.stderr.contains("r.jsonl:2: `topic` is a text in quotes, found 5"),
        "{}",
        replayed.stderr
    );
    let tested = lotmq(&["test", &path("a.test.toml")]);
    assert!(
        tested.stderr.contains("unknown key `level`; known here: `topic`, `payload`"),
        "{}",
        tested.stderr
    );
    assert!(tested.stderr.contains("line 3"), "{}", tested.stderr);
}

/// Runs the language server with this input. Returns its standard error and its exit code.
fn language_server(input: &str) -> (String, Option<i32>) {
    let mut child = Command::new(LOTMQ)
        .arg("lsp")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let finished = child.wait_with_output().unwrap();
    (String::from_utf8(finished.stderr).unwrap(), finished.status.code())
}

#[test]
fn the_language_server_bounds_what_it_reads() {
    let exit = "{\"jsonrpc\":\"2.0\",\"method\":\"exit\"}";
    let goodbye = format!("Content-Length: {}\r\n\r\n{exit}", exit.len());
    for (input, part) in [
        (
            "Content-Length: 99999999999999\r\n\r\n{}".to_owned(),
            "a message of 99999999999999 bytes, the limit is",
        ),
        (format!("Content-Length: -5\r\n\r\n{goodbye}"), "not a message of the protocol: `-5` is no length"),
        (format!("nonsense\r\n\r\n{goodbye}"), "`nonsense` is no header"),
        (format!("Content-Type: x\r\n\r\n{goodbye}"), "no Content-Length before it"),
        (format!("Content-Length: 2\r\n\r\n{{,{goodbye}"), "not a message of the protocol: "),
        (format!("content-length:  {}\r\n\r\n{exit}", exit.len()), ""),
        ("Content-Length: 10\r\n\r\n{}".to_owned(), "cannot read standard input"),
        ("x".repeat(100_000), "headers of more than 4096 bytes"),
    ] {
        let (said, code) = language_server(&input);
        assert!(said.contains(part) && said.is_empty() == part.is_empty(), "{part} in: {said}");
        assert_eq!(code, Some(1), "the editor went without shutdown: {said}");
    }
}

#[test]
fn fmt_takes_lot_files_only() {
    let folder = folder(&[
        ("a.lot", "DEFINE ACTION A\nON START DO\n    SET x  WITH 1\n"),
        ("n.lotnb", "[]"),
        ("s.PY", ""),
    ]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for other in ["n.lotnb", "s.PY"] {
        let refused = lotmq(&["fmt", &path("a.lot"), &path(other)]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(refused.stderr.contains(&format!("{other}: fmt takes .lot files")), "{}", refused.stderr);
    }
    let untouched = std::fs::read_to_string(path("a.lot")).unwrap();
    assert!(untouched.contains("x  WITH"), "nothing is written when the command line makes no sense");
}

#[test]
fn run_tells_the_code_of_a_missing_broker() {
    let help = lotmq(&["run", "--help"]);
    let words: Vec<&str> = help.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("3 the broker of --record"), "{}", help.stdout);
}

#[test]
fn time_that_passes_in_a_test_is_bounded() {
    let timer = "DEFINE ACTION Tick\nON EVERY 1 SECOND DO\n    PUBLISH TOPIC \"tick\" WITH 1\n";
    let daily = "DEFINE ACTION Daily\nON EVERY DAY AT \"12:00\" DO\n    PUBLISH TOPIC \"noon\" WITH 1\n";
    let case = |pass: &str, then: &str| {
        format!(
            "[[case]]\nname = \"long\"\nwhen = [ {{ pass = \"{pass}\" }} ]\nignore = [\"tick\"]\nthen = {then}\n"
        )
    };
    for (program, pass, then, expected) in [
        (timer, "100000000h", "[]", "pass = \"100000000h\" is more than 8784 h"),
        (timer, "30h", "[]", "pass = \"30h\" is too long: timers were due 86400 times before it was over"),
        (timer, "1h", "[]", "1 passed, 0 failed"),
        (daily, "30h", "[ { topic = \"noon\", payload = \"1\" } ]", "1 passed, 0 failed"),
    ] {
        let folder = folder(&[("a.lot", program), ("a.test.toml", &case(pass, then))]);
        let run = lotmq(&["test", folder.path().to_str().unwrap()]);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains(expected), "{expected} in: {said}");
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let wrong = "DEFINE ACTION A\nON START DO\n    SET \"x\u{1b}[2J\u{0}\u{202e}\" 5 \u{7}\n";
    let script = "# Script Name: S\nx = '\u{1b}[2J' +\n";
    let folder = folder(&[("a.lot", wrong), ("s.py", script)]);
    for name in ["a.lot", "s.py"] {
        let said = lotmq_with_python(&["check", folder.path().join(name).to_str().unwrap()]).stdout;
        let is_hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(said.contains("␛[2J") && !said.contains(is_hidden), "{said:?}");
    }
}

#[test]
fn options_after_the_cmd_verb_are_rejected() {
    for (arguments, told) in [
        (&["cmd", "-addUser", "x", "y", "-p", "24010"][..], "`-p` stands behind the command"),
        (&["cmd", "--timeout", "1", "-listUsers", "-u", "ada"], "lotmq cmd -u … -listUsers …"),
    ] {
        let refused = lotmq(arguments);
        assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    let broker = crate::broker();
    let quoted = lotmq(&["cmd", "-p", &broker.port(), "-addUser eve pw -p"]);
    assert!(!quoted.stderr.contains("stands behind"), "one word is the command as it is: {}", quoted.stderr);
    let behind = lotmq(&["cmd", "-listUsers", "--json", "-L", "mqtt://h"]);
    assert!(behind.stderr.contains("`-L` stands behind"), "{}", behind.stderr);
}

#[test]
fn a_broker_that_does_not_run_is_asked_about() {
    for arguments in [&["cmd", "-p", "1", "-listUsers"][..], &["sub", "-p", "1", "-t", "a"]] {
        let refused = lotmq(arguments);
        assert_eq!(refused.status.code(), Some(3));
        let told = "Connection refused (os error 111); is it running? `lotmq serve`";
        assert!(refused.stderr.ends_with(told), "{}", refused.stderr);
    }
}

#[test]
fn config_check_tells_all_mistakes_with_their_lines() {
    let folder = folder(&[
        ("good.toml", "[sys]\ninterval_sec = 3\n"),
        ("bad.toml", "[sys]\nintervall_sec = 3\n\n[listener.mqtt]\nport = 70000\n\n[tls]\nkey = 5\n"),
        ("torn.toml", "[sys]\ninterval_sec = \n[listener\n"),
        ("needs.toml", "[tls]\nclient_ca = \"ca.pem\"\n"),
    ]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let check = |name: &str| lotmq(&["config", "check", "--config", &path(name)]);
    assert_eq!(check("good.toml").output(), format!("{}: ok", path("good.toml")));
    for (name, lines) in [
        (
            "bad.toml",
            &[
                "2: unknown key `sys.intervall_sec`; did you mean `sys.interval_sec`?",
                "5: `listener.mqtt.port` cannot be 70000: ",
                "8: `tls.key` cannot be 5: ",
            ][..],
        ),
        ("torn.toml", &["2: not valid TOML: ", "3: not valid TOML: "]),
        ("needs.toml", &["2: `tls.client_ca` is \"ca.pem\", which needs `tls.certificate`"]),
    ] {
        let checked = check(name);
        assert_eq!(checked.status.code(), Some(1), "{}", checked.stdout);
        let told: Vec<&str> = checked.stdout.lines().collect();
        for (line, expected) in told.iter().zip(lines) {
            assert!(line.starts_with(&format!("{}:{expected}", path(name))), "{}", checked.stdout);
        }
        assert!(told.len() >= lines.len(), "{}", checked.stdout);
    }
    let mut command = Command::new(LOTMQ);
    command.args(["config", "check", "--config", &path("bad.toml")]).env("LOTMQ_AUTH_ANONYMOUS", "perhaps");
    let stdout = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(
        stdout.lines().last().unwrap().starts_with("`auth.anonymous` cannot be \"perhaps\" (environment"),
        "{stdout}"
    );
    assert_eq!(check("none.toml").status.code(), Some(1));
}

#[test]
fn oversized_message_is_rejected_before_connecting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.bin");
    std::fs::File::create(&file).unwrap().set_len(300 << 20).unwrap();
    let refused = lotmq(&["pub", "-p", "1", "-t", "a", "-f", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("large.bin is longer than any message"), "{}", refused.stderr);
    let long = lotmq(&["pub", "-p", "1", "-m", "x", "-t", &"a/".repeat(35_000)]);
    assert_eq!(long.status.code(), Some(2), "{}", long.stderr);
    assert!(long.stderr.len() < 1_000 && long.stderr.contains("is longer than"), "{}", long.stderr);
}

#[test]
fn likely_intention_is_suggested() {
    let folder = folder(&[
        ("overheat.lot", "DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH 1\n"),
        ("lotmq.toml", "[helth]\nport = 1\n\n[limits]\nmessage_bytes = 5\n\n[log]\nlevel = 'debug'\n"),
    ]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (lot, toml) = (path("overheat.lot"), path("lotmq.toml"));
    for (arguments, code, told) in [
        (&["serve", "-p", "1883"][..], 2, "--listen 127.0.0.1:1883 for this machine only"),
        (&["users"], 2, "tip: users: lotmq cmd -addUser NAME"),
        (&["serve", "1883"], 2, "tip: the port is a part of the address: --listen 127.0.0.1:1883"),
        (&["sub", "plant/#"], 2, "tip: topics are given with -t: lotmq sub -t 'plant/#'"),
        (&["pub", "a", "b"], 2, "lotmq pub -t 'a' -m 'a payload'"),
        (&["pub", "-t", "a", "-m", "b", "--retain", "true"], 2, "tip: --retain stands alone"),
        (&["deploy", "a.lot", "b.lot"], 2, "tip: one folder or file at a time"),
        (&["context", "add", "d1", "-p", "22001"], 2, "tip: the broker of a context is one URL"),
        (&["restore", "x.zip", "--dry-run"], 2, "tip: a restore has no trial"),
        (&["start"], 2, "tip: lotmq serve starts the broker"),
        (&["sub", "-t", "a", "--json"], 2, "tip: -F %j prints an object of JSON for each message"),
        (&["uninstall"], 2, "docs/install.md"),
        (&["serve", "-c", "x.conf"], 2, "the configuration file is --config FILE"),
        (&["serve", "--listen", "21900"], 2, "0.0.0.0:21900 for all addresses"),
        (&["pub", "-h", "plant:1884", "-t", "a", "-m", "b"], 2, "the port is for -p, as in -h plant -p 1884"),
        (&["sub", "-h", "mqtt://plant", "-t", "a"], 2, "a URL is for -L, as in -L mqtt://host"),
        (&["cmd", "-addAction", &lot], 2, &format!("lotmq cmd -addAction --file {lot}")),
        (&["cmd", "-addRule", "-replace", "valves.lot"], 2, "would be sent as the text itself"),
        (&["restore", &lot], 1, "overheat.lot: this is no backup of lotmq: it is no zip archive"),
        (
            &["store", "import", &lot, "--data", &path("none")],
            1,
            "overheat.lot: this is no export of a lotmq store",
        ),
    ] {
        let refused = lotmq(arguments);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?} {}", refused.stderr);
        assert!(refused.stderr.contains(told), "{told} in {}", refused.stderr);
        assert!(!refused.stderr.contains("EOCD"), "{}", refused.stderr);
    }
    let checked = lotmq(&["config", "check", &toml]);
    for (line, meant) in [(2, "admin.health_port"), (5, "limits.max_packet_size")] {
        let told = |text: &str| {
            text.contains(&format!(":{line}: ")) && text.ends_with(&format!("did you mean `{meant}`?"))
        };
        assert!(checked.stdout.lines().any(told), "{meant} in {}", checked.stdout);
    }
    let told = "the log has no levels; `log.debug = true` has it say more";
    assert!(checked.stdout.contains(told), "{}", checked.stdout);
}

/// Tests the exit codes of docs/tools.md for all commands that connect, and for a wrong command
/// line.
#[test]
fn a_broker_that_is_not_there_and_a_wrong_command_line_have_their_exit_codes() {
    let folder = folder(&[("a.lot", PROGRAM)]);
    let lot = folder.path().join("a.lot").display().to_string();
    let zip = folder.path().join("b.zip").display().to_string();
    let port = lotmq_test_support::free_port().to_string();
    for (arguments, code) in [
        (&["status"][..], 1),
        (&["deploy", &lot], 3),
        (&["rollback", "plant"], 3),
        (&["watch"], 3),
        (&["top", "clients"], 3),
        (&["topics"], 3),
        (&["routes"], 3),
        (&["cmd", "-listEntities"], 3),
        (&["pub", "-t", "a", "-m", "b"], 3),
        (&["sub", "-t", "a"], 3),
        (&["request", "-t", "a", "-m", "b"], 3),
        (&["bench", "pair"], 3),
        (&["backup", &zip], 3),
        (&["guest", "list"], 3),
    ] {
        // Behind a command of the broker our short options would be part of that.
        let place = ["-p", &port];
        let all = [&arguments[..1], &place[..], &arguments[1..]].concat();
        let all = if arguments[0] == "guest" { [arguments, &place[..]].concat() } else { all };
        let ended = lotmq(&all);
        assert_eq!(ended.status.code(), Some(code), "{all:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("is it running? `lotmq serve`"), "{all:?}: {}", ended.stderr);
        // Words behind a command go to the broker as they are.
        if arguments[0] != "cmd" {
            let wrong = lotmq(&[arguments, &["--no-such-option"]].concat());
            assert_eq!(wrong.status.code(), Some(2), "{arguments:?}: {}", wrong.stderr);
        }
    }
}

#[test]
fn missing_file_exits_with_1_instead_of_usage_error() {
    const NO_FILE: &str = "/no/such/file";
    for arguments in [
        &["pub", "-t", "a", "-f", NO_FILE][..],
        &["pub", "-t", "a", "-m", "x", "--cafile", NO_FILE],
        &["sub", "-t", "a", "--cafile", NO_FILE],
        &["request", "-t", "a", "-f", NO_FILE],
        &["bench", "--cafile", NO_FILE],
        &["check", NO_FILE],
        &["fmt", NO_FILE],
        &["compile", NO_FILE, "--output", "/dev/null"],
        &["run", NO_FILE],
        &["test", NO_FILE],
        &["deploy", NO_FILE],
        &["config", "check", NO_FILE],
        &["config", "show", "--config", NO_FILE],
        &["serve", "--config", NO_FILE],
        &["store", "check", "--data", NO_FILE],
        &["store", "import", NO_FILE],
        &["restore", NO_FILE],
        &["guest", "build", NO_FILE],
        &["guest", "test", NO_FILE],
        &["guest", "verify", NO_FILE],
        &["guest", "deploy", NO_FILE],
    ] {
        let ended = lotmq(arguments);
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(NO_FILE), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn cases_read_nothing_outside_of_their_folder() {
    const SECRET: &str = "secret-line-of-another-file";
    let place = tempfile::tempdir().unwrap();
    let below = |name: &str| place.path().join(name);
    std::fs::create_dir_all(below("plant/tests")).unwrap();
    std::fs::write(below("secret"), SECRET).unwrap();
    std::fs::write(below("plant/a.lot"), PROGRAM).unwrap();
    std::os::unix::fs::symlink(below("secret"), below("plant/link.lot")).unwrap();
    let case = |of: &str| {
        format!(
            "{of}\n[[case]]\nname = \"x\"\nwhen = [{{ topic = \"a\", payload = 1 }}]\nthen = [{{ topic = \"b\", payload = 1 }}]\n"
        )
    };
    let plant = below("plant");
    let file = below("plant/tests/x.test.toml");
    let run = |text: &str, tested: &std::path::Path| {
        std::fs::write(&file, text).unwrap();
        lotmq(&["test", tested.to_str().unwrap()])
    };
    let passed = run(&case("program = \"../a.lot\""), &plant);
    assert_eq!(passed.stdout.lines().last(), Some("1 passed, 0 failed"), "{passed:?}");
    let secret = below("secret").display().to_string();
    for (text, tested) in [
        (case("program = \"../a.lot\""), &file),
        (case("program = \"../../secret\""), &plant),
        (case(&format!("program = \"{secret}\"")), &plant),
        (case("program = \"../link.lot\""), &plant),
        (case("program = \"../a.lot\"\nmodules = { m = \"../../secret\" }"), &plant),
        (
            "program = \"../a.lot\"\n[[case]]\nname = \"x\"\nwhen = [{ replay = \"../../secret\" }]\n"
                .to_owned(),
            &plant,
        ),
        (
            "program = \"../a.lot\"\n[[case]]\nname = \"x\"\nfar = { P = { recorded = \"../../secret\" } }\n"
                .to_owned(),
            &plant,
        ),
    ] {
        let refused = run(&text, tested);
        let said = format!("{}{}", refused.stdout, refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{text}: {said}");
        let is_refused = said.contains("is outside of") || said.contains("is no path below the folder");
        assert!(is_refused && !said.contains(SECRET), "{text}: {said}");
    }
    // A file with cases that is a link itself.
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(below("secret"), &file).unwrap();
    let refused = lotmq(&["test", plant.to_str().unwrap()]);
    assert!(refused.stderr.contains("is outside of") && !refused.stderr.contains(SECRET), "{refused:?}");
}

#[test]
fn endless_file_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let link = |name: &str| {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (program, config) = (link("zero.lot"), link("zero.toml"));
    for arguments in [
        &["check", &program][..],
        &["fmt", "--check", &program],
        &["run", &program],
        &["deploy", &program],
        &["config", "check", &config],
    ] {
        let ended = lotmq(arguments);
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {ended:?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("it has more than"), "{arguments:?}: {said}");
    }
}

#[test]
fn names_of_files_are_no_orders_to_the_terminal() {
    let folder = folder(&[("a\u{1b}[2J\u{202e}.lot", PROGRAM), ("b\u{1b}[2J.lot", "DEFINE ACTION")]);
    let path = folder.path().to_str().unwrap();
    let wrong = folder.path().join("b\u{1b}[2J.lot");
    let wrong = wrong.to_str().unwrap();
    std::fs::write(folder.path().join("c\u{1b}[2J.test.toml"), "[").unwrap();
    for arguments in [
        &["check", path][..],
        &["check", "--json", path],
        &["fmt", "--check", path],
        &["fmt", "--check", wrong],
        &["run", path],
        &["run", wrong],
        &["test", path],
        &["deploy", path],
        &["deploy", wrong],
        &["config", "check", wrong],
        &["backup", wrong],
        &["store", "import", wrong, "--data", path],
    ] {
        let ended = lotmq(arguments);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {said:?}");
        assert!(
            said.contains("\\u001b[2J") || said.contains("?[2J") || said.contains('␛'),
            "{arguments:?}: {said:?}"
        );
    }
    // A file name that a pattern of the shell has made an argument.
    for arguments in
        [&["check", "--\u{1b}]0;x\u{7}"][..], &["\u{1b}[2J"], &["sub", "-t", "a", "-q", "\u{9b}2J"]]
    {
        let refused = lotmq(arguments);
        assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
        let is_order = |c: char| c.is_control() && c != '\n';
        assert!(!refused.stderr.contains(is_order), "{:?}", refused.stderr);
        assert!(refused.stderr.contains("\\u00"), "{:?}", refused.stderr);
    }
}

#[test]
fn results_of_cases_are_json_and_junit_as_well() {
    let cases = "[[case]]\nname = \"good\"\nwhen = [{ topic = \"a\", payload = 1 }]\nthen = [{ topic = \"b\", payload = 1 }]\n\
                 [[case]]\nname = \"bad\"\nwhen = [{ topic = \"a\", payload = 1 }]\n";
    let folder = folder(&[("a.lot", PROGRAM), ("a.test.toml", cases), ("b.test.toml", "[")]);
    let junit = folder.path().join("results.xml");
    let path = folder.path().to_str().unwrap();
    let tested = lotmq(&["test", path, "--json", "--junit", junit.to_str().unwrap()]);
    assert_eq!(tested.status.code(), Some(1), "{tested:?}");
    let objects: Vec<serde_json::Value> =
        tested.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&objects[0]["case"], &objects[0]["passed"]), (&"good".into(), &true.into()));
    assert_eq!((&objects[1]["case"], &objects[1]["passed"]), (&"bad".into(), &false.into()));
    assert!(objects[2]["error"].as_str().unwrap().contains("b.test.toml"));
    assert_eq!(objects[3], serde_json::json!({"passed": 1, "failed": 2}));
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("<testsuites tests=\"3\" failures=\"1\" errors=\"1\">"), "{junit}");
}

#[test]
fn a_configuration_is_checked_for_programs_and_one_of_mosquitto_is_known() {
    let folder = folder(&[
        ("mosquitto.conf", "listener 1883\nallow_anonymous true\n"),
        ("lotmq.toml", "[routes]\nfile_roots = [\"/nowhere/at/all\"]\n[limits]\nqueue_bytez = 1\n"),
        ("good.toml", "[routes]\nfile_roots = [\"/nowhere/at/all\"]\n"),
    ]);
    let of = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let foreign = lotmq(&["config", "check", &of("mosquitto.conf")]);
    assert!(foreign.stdout.contains("this looks like mosquitto.conf"), "{foreign:?}");
    let started = lotmq(&["serve", "--config", &of("mosquitto.conf")]);
    assert!(started.stderr.contains("this looks like mosquitto.conf"), "{started:?}");
    let checked = lotmq(&["config", "check", "--json", &of("lotmq.toml")]);
    assert_eq!(checked.status.code(), Some(1));
    let objects: Vec<serde_json::Value> =
        checked.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&objects[0]["severity"], &objects[0]["line"]), (&"error".into(), &4.into()));
    assert_eq!((&objects[1]["severity"], &objects[1]["line"]), (&"warning".into(), &2.into()));
    assert_eq!(objects[2]["success"], false);
    let warned = lotmq(&["config", "check", &of("good.toml")]);
    assert_eq!(warned.status.code(), Some(0), "{warned:?}");
    assert!(warned.stderr.contains("no route gets a folder below it"), "{warned:?}");
}
