//! `lotmq run` and `lotmq test` have modules, and messages with properties of MQTT 5.0.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_codec::{PropertyBuf, PropertyId, PropertyValue};
use lotmq_test_support::{Finished, Program};

use crate::modules::component;
use crate::{LOTMQ, broker};

const SCALE: &[u8] = include_bytes!("../../sdk/examples/action-scale/prebuilt/action-scale.wasm");
const GUARD: &[u8] = include_bytes!("../../sdk/examples/rule-guard/prebuilt/rule-guard.wasm");
const LINES: &[u8] = include_bytes!("../../sdk/examples/route-lines/prebuilt/route-lines.wasm");
const ECHO: &[u8] = include_bytes!("../../sdk/examples/route-echo/prebuilt/route-echo.wasm");
const SERVE: &[u8] = include_bytes!("../../sdk/examples/route-serve/prebuilt/route-serve.wasm");

/// Runs `lotmq` in a folder.
fn lotmq(folder: &Path, arguments: &str) -> Finished {
    let script = format!("cd '{}'; '{LOTMQ}' {arguments}", folder.display());
    Program::run("sh", &["-c", &script]).unwrap()
}

/// A folder with the components that this page and docs/lot/testing.md name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, module) in [("scale.wasm", SCALE), ("guard.wasm", GUARD)] {
        std::fs::write(folder.path().join(name), BASE64_STANDARD.decode(component(module)).unwrap()).unwrap();
    }
    std::fs::write(folder.path().join("echo.wasm"), ECHO).unwrap();
    folder
}

const CALLER: &str = "DEFINE ACTION Caller\nON TOPIC \"in\" DO\n    CALL MODULE \"scale\" WITH (raw = PAYLOAD AS DOUBLE) RETURN AS {r}\n    PUBLISH TOPIC \"out\" WITH {r}\n";

#[test]
fn the_modules_of_the_manual_are_tested() {
    let folder = folder();
    let page = include_str!("../../docs/lot/testing.md");
    for (language, name) in [("lot", "press.lot"), ("toml", "press.test.toml")] {
        let (_, block) = page.split_once(&format!("```{language} {name}\n")).unwrap();
        std::fs::write(folder.path().join(name), block.split_once("```").unwrap().0).unwrap();
    }
    let run = lotmq(folder.path(), "test press.lot");
    assert!(run.stdout.ends_with("4 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
    // Seen from the file with the cases, wherever it is run.
    let place = folder.path().display().to_string();
    let run = lotmq(Path::new("/"), &format!("test '{place}'"));
    assert!(run.stdout.ends_with("4 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn a_route_in_lotmq_run_is_run_by_its_module() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = far.local_addr().unwrap().port();
    let folder = folder();
    let program = format!(
        "DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"echo\"\n    ADD ECHO_CONFIG\n        WITH HOST \"127.0.0.1\"\n        WITH PORT {port}\n    \
         ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n        WITH DESTINATION_TOPIC \"echo/in\"\n"
    );
    std::fs::write(folder.path().join("line.lot"), program).unwrap();
    let run = lotmq(
        folder.path(),
        &format!(
            "run line.lot --network --in out/1=first --in out/2=second --module 'echo=echo.wasm:-net 127.0.0.1:{port}'"
        ),
    );
    assert_eq!(run.status.code(), Some(0), "{}{}", run.stdout, run.stderr);
    let (stream, _) = far.accept().unwrap();
    let lines: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    assert_eq!(lines, ["first", "second"]);
    // A module has no rights that its options do not grant.
    let run = lotmq(
        folder.path(),
        "run line.lot --network --in out/1=first --module 'echo=echo.wasm:-net 127.0.0.1:1'",
    );
    assert!(run.stderr.contains("ROUTE_STOPPED"), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("endpoint:127.0.0.1:{port}")), "{}", run.stderr);
    let run = lotmq(folder.path(), "run line.lot");
    assert!(
        run.stderr.contains("warning: route Line names module 'echo', which is not given"),
        "{}",
        run.stderr
    );
}

/// The route of the example with a reader, to the far side of its cases.
const LINES_ROUTE: &str = "DEFINE ROUTE Lines WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"lines\"\n    ADD LINE_CONFIG\n        WITH HOST \"127.0.0.1\"\n        \
     WITH PORT GET ENV \"LINE_PORT\"\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n        WITH DESTINATION_TOPIC \"lines/in\"\n";

/// Runs `lotmq test` on these cases, with the modules that they may name.
fn tested(folder: &Path, cases: &str) -> Finished {
    std::fs::write(folder.join("lines.wasm"), BASE64_STANDARD.decode(component(LINES)).unwrap()).unwrap();
    std::fs::write(folder.join("lines.lot"), LINES_ROUTE).unwrap();
    let cases = format!(
        "[modules]\nlines = \"lines.wasm\"\nscale = {{ file = \"scale.wasm\", on = [\"raw/#\"] }}\n{cases}"
    );
    std::fs::write(folder.join("lines.test.toml"), cases).unwrap();
    lotmq(folder, "test lines.lot")
}

#[test]
fn a_case_lets_the_guest_of_a_route_run() {
    let folder = folder();
    let cases = r#"
[[case]]
name = "lines that come are messages"
far = { LINE_PORT = { sends = "first\nsecond\n", gets = "21.5\n" } }
when = [{ topic = "out/a", payload = "21.5" }, { run = "Lines", for = "10s", brings = 2 }]
then = [{ topic = "lines/in", payload = "first" }, { topic = "lines/in", payload = "second" }]

[[case]]
name = "a line that answers one"
far = { LINE_PORT = { answers = { "ask\n" = "told\n" }, contains = "ask" } }
when = [{ topic = "out/a", payload = "ask" }, { run = "Lines", for = "10s", brings = 1 }]
then = [{ topic = "lines/in", payload = "told" }]

[[case]]
name = "the far side ends"
far = { LINE_PORT = { ends = true } }
when = [{ run = "Lines", for = "10s" }]
then = [{ error = "the other side has ended" }]

[[case]]
name = "nothing comes in a while"
far = { LINE_PORT = { gets = "" } }
when = [{ run = "Lines", for = "20ms" }]

[[case]]
name = "what is logged is looked at apart"
far = { LINE_PORT = {} }
when = [{ topic = "raw/a", payload = "hot" }, { topic = "raw/a", payload = "warm" }]
then = [{ error = "'hot'" }, { error = "'warm'" }]
logs = ["1 readings could not", "2 readings could not"]
"#;
    let begun = std::time::Instant::now();
    let run = tested(folder.path(), cases);
    assert!(run.stdout.ends_with("5 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
    // Not each of the three runs has gone on for its ten seconds: they end when it was enough.
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// Routes that listen: for lines, for datagrams, and for HTTP, where `POST /ask/TOPIC` waits for
/// the answer of an action.
const LISTENING: &str = r#"DEFINE ROUTE Lines WITH TYPE WASM
    ADD WASM_CONFIG
        WITH MODULE "echo"
    ADD ECHO_CONFIG
        WITH LISTEN "0.0.0.0:2001"
        WITH HOW "listen"
    ADD EVENT Out
        WITH SOURCE_TOPIC "out/#"
        WITH DESTINATION_TOPIC "echo/in"

DEFINE ROUTE Api WITH TYPE WASM
    ADD WASM_CONFIG
        WITH MODULE "serve"
    ADD WEB_CONFIG
        WITH LISTEN "10.0.0.1:8443"
        WITH SERVE "HTTP"
    ADD EVENT Answer
        WITH SOURCE_TOPIC "answers"
        WITH DESTINATION_TOPIC "asked/x"

DEFINE ACTION Answer
ON TOPIC "asked/+" DO
    PUBLISH TOPIC "answers" WITH PAYLOAD + 1
"#;

/// Runs `lotmq test` on cases of these routes.
fn listening(cases: &str) -> Finished {
    let folder = folder();
    std::fs::write(folder.path().join("serve.wasm"), SERVE).unwrap();
    std::fs::write(folder.path().join("near.lot"), LISTENING).unwrap();
    let modules = "[modules]\necho = { file = \"echo.wasm\", net = [\"0.0.0.0:2001\"], grant = [\"write:echo/in\"] }\nserve = { file = \"serve.wasm\", net = [\"10.0.0.1:8443\"], grant = [\"write:asked/#\"] }\n";
    std::fs::write(folder.path().join("near.test.toml"), format!("{modules}{cases}")).unwrap();
    lotmq(folder.path(), "test near.lot")
}

#[test]
fn a_case_plays_the_clients_of_a_route_that_listens() {
    let run = listening(
        r#"
[[case]]
name = "lines of a client are messages, and messages lines for it"
when = [
    { connect = "Lines", sends = "21.5\n22\n", brings = 2 },
    { topic = "out/a", payload = "ok" },
    { connect = "Lines", gets = "ok\n" },
]
then = [{ topic = "echo/in", payload = "21.5" }, { topic = "echo/in", payload = "22" }]

[[case]]
name = "bytes are written in hex"
when = [{ connect = "Lines", encoding = "hex", sends = "31 0a", brings = 1 }, { topic = "out/a", payload = "é" }, { connect = "Lines", encoding = "hex", gets = "c3a9 0a" }]
then = [{ topic = "echo/in", payload = "1" }]

[[case]]
name = "an answer waits for what an action makes of the request"
when = [
    { request = "Api", path = "/ask/asked/x", method = "POST", body = 41, gets = 42 },
    { request = "Api", path = "/none", status = 404, contains = "no such" },
    { request = "Api", path = "/echo?a=b", headers = { x-mine = "1" }, contains = "x-mine: 1" },
]
then = [{ topic = "asked/x", payload = 41 }, { topic = "answers", payload = 42 }]
"#,
    );
    assert!(run.stdout.ends_with("3 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn missing_answers_to_clients_of_a_route_are_reported() {
    for (steps, part) in [
        (
            "{ connect = \"Lines\", sends = \"1\\n\", gets = \"ok\", for = \"200ms\" }",
            "connect = \"Lines\": expected to get \"ok\", got \"\"",
        ),
        (
            "{ connect = \"Lines\", sends = \"1\\n\", brings = 1, gets = \"\" }, { topic = \"out/a\", payload = \"x\" }",
            "connect = \"Lines\": got \"x\\n\" behind all that was looked at",
        ),
        (
            "{ connect = \"Lines\", sends = [\"a\"] }",
            "ECHO_CONFIG takes connections: `sends` and `gets` are one text, as lists are datagrams",
        ),
        ("{ connect = \"Api\", sends = \"a\" }", "connect = \"Api\": WEB_CONFIG serves HTTP: use `request`"),
        (
            "{ request = \"Lines\" }",
            "request = \"Lines\", GET /: ECHO_CONFIG does not serve HTTP: use `connect`",
        ),
        (
            "{ request = \"Api\", section = \"ECHO_CONFIG\", for = \"50ms\" }",
            "nothing listens at section ECHO_CONFIG",
        ),
        (
            "{ request = \"Api\", path = \"/none\" }",
            "request = \"Api\", GET /none: expected status 200, got 404 with \"no such path\"",
        ),
        ("{ request = \"Api\", path = \"/keep\", for = \"50ms\" }", "no answer came in time"),
        ("{ connect = \"Other\" }", "step 1 of `when`: there is no route 'Other' in the program"),
        ("{ connect = \"Lines\", ends = true, closes = true }", "the connection has ended (ROUTE_AWAY)"),
    ] {
        let cases = format!(
            "\n[[case]]\nname = \"x\"\nignore = [\"#\"]\nwhen = [{steps}]\n\n[[case]]\nname = \"y\"\nwhen = [{{ connect = \"Lines\", for = \"20ms\" }}]\n"
        );
        let run = listening(&cases);
        let told = format!("{}{}", run.stdout, run.stderr);
        // The next case is run all the same.
        let is_told =
            told.contains(part) && told.contains("1 passed, 1 failed") && run.status.code() == Some(1);
        assert!(is_told, "{steps}: {told}");
    }
}

/// Datagrams go both ways: to a far side which loses one, and from a client.
#[test]
fn a_case_plays_who_sends_datagrams() {
    let folder = folder();
    let program = r#"DEFINE ROUTE Plc WITH TYPE WASM
    ADD WASM_CONFIG
        WITH MODULE "echo"
    ADD ECHO_CONFIG
        WITH HOST "127.0.0.1"
        WITH PORT GET ENV "PLC_PORT"
        WITH HOW "udp"
    ADD EVENT Out
        WITH SOURCE_TOPIC "out/#"
        WITH DESTINATION_TOPIC "echo/in"
"#;
    std::fs::write(folder.path().join("plc.lot"), program).unwrap();
    let tested = |case: &str| {
        let module = "[modules]\necho = { file = \"echo.wasm\", net = [\"127.0.0.1:*\"], grant = [\"write:echo/in\"] }\n";
        let cases = format!("{module}\n[[case]]\nname = \"x\"\n{case}\n");
        std::fs::write(folder.path().join("plc.test.toml"), cases).unwrap();
        let run = lotmq(folder.path(), "test plc.lot");
        format!("{}{}", run.stdout, run.stderr)
    };
    let told = tested(
        r#"far = { PLC_PORT = { udp = true, loses = 1, answers = { "ask\n" = "told\n" }, gets = ["ask\n", "more\n"] } }
when = [{ topic = "out/a", payload = "gone" }, { topic = "out/a", payload = "ask" }, { run = "Plc", for = "5s", brings = 1 }, { topic = "out/a", payload = "more" }]
then = [{ topic = "echo/in", payload = "told" }]"#,
    );
    assert!(told.contains("1 passed, 0 failed"), "{told}");
    for (far, part) in [
        ("udp = true, gets = [\"b\\n\"]", "far.PLC_PORT: expected to get [\"b\\n\"], got [\"a\\n\"]"),
        ("udp = true, loses = 3", "far.PLC_PORT: was to lose 2 datagrams more"),
        (
            "udp = true, gets = \"a\"",
            "far.PLC_PORT: over UDP `gets` is a list with a text for each datagram, as [\"a\"]",
        ),
        ("udp = true, sends = \"a\"", "far.PLC_PORT: `sends` and `ends` are for connections"),
        ("gets = [\"a\"]", "far.PLC_PORT: `gets` is a text; a list is of datagrams, with `udp = true`"),
        ("loses = 1", "far.PLC_PORT: `loses` is for a far side with `udp = true`"),
        ("encoding = \"hex\", sends = \"xy\"", "far.PLC_PORT: `xy` is no hex"),
    ] {
        let told = tested(&format!(
            "far = {{ PLC_PORT = {{ {far} }} }}\nwhen = [{{ topic = \"out/a\", payload = \"a\" }}]"
        ));
        assert!(told.contains(part), "{far}: {told}");
    }
}

/// `lotmq test` shows the output of a rule's module. It reports an error in the module once, though
/// its rule has an error of it as well.
#[test]
fn a_module_of_a_rule_prints_and_fails_in_a_case() {
    let folder = folder();
    let rule = "DEFINE RULE Guarded WITH PRIORITY 100 FOR Publish TO TOPIC \"plant/#\"\n    IF MODULE \"guard\" THEN\n        ALLOW\n    ELSE\n        DENY\n";
    std::fs::write(folder.path().join("guarded.lot"), rule).unwrap();
    let cases = r#"
modules = { guard = "guard.wasm" }

[[case]]
name = "it prints"
given = { "plant/locked" = "true" }
when = [{ topic = "plant/a", payload = 1, client_id = "one" }]
then = [{ denied = "Publish" }]
logs = ["one is denied: the plant is locked"]

[[case]]
name = "it fails"
when = [{ topic = "plant/a", payload = "error", client_id = "one" }]
then = [{ error = "guard: this payload is an error (BAD_PAYLOAD)" }, { denied = "Publish" }]

[[case]]
name = "it panics"
when = [{ topic = "plant/a", payload = "panic", client_id = "one" }]
then = [{ error = "one wanted it" }, { denied = "Publish" }]
"#;
    let place = folder.path().join("guarded.test.toml");
    std::fs::write(&place, cases).unwrap();
    let run = lotmq(folder.path(), "test guarded.lot");
    assert!(run.stdout.ends_with("3 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("one is denied: the plant is locked"), "{}", run.stderr);
    let cases = r#"
modules = { guard = { file = "guard.wasm", grant = ["state"] } }

[[case]]
name = "a grant is missing"
when = [{ topic = "plant/a", payload = 1, client_id = "one" }, { topic = "plant/b", payload = 2, client_id = "one" }]
then = [
    { error = "guard: this module was not granted 'read:plant/locked', and is refused it from now on" },
    { denied = "Publish" },
    { error = "guard: it wanted 'read:plant/locked', which it was not granted (GRANT_MISSING)" },
    { denied = "Publish" },
]
"#;
    std::fs::write(&place, cases).unwrap();
    let run = lotmq(folder.path(), "test guarded.lot");
    assert!(run.stdout.ends_with("1 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn missing_effects_of_a_route_run_are_reported() {
    let folder = folder();
    for (case, part) in [
        (
            "far = { LINE_PORT = { sends = \"one\\n\" } }\nwhen = [{ run = \"Lines\", for = \"2s\", brings = 1 }]",
            "expected nothing more, found lines/in one",
        ),
        (
            "far = { LINE_PORT = { gets = \"x\\n\" } }\nwhen = [{ topic = \"out/a\", payload = \"y\" }]",
            "far.LINE_PORT: expected to get \"x\\n\", got \"y\\n\"",
        ),
        ("far = { LINE_PORT = {} }\nlogs = [\"hello\"]", "expected log … hello …"),
        (
            "far = { LINE_PORT = {} }\nwhen = [{ run = \"Other\" }]",
            "there is no route 'Other' in the program",
        ),
        (
            "env = { LINE_PORT = \"1\" }\nwhen = [{ run = \"Lines\" }]\nthen = [{ error = \"ROUTE_STOPPED\" }]",
            "Lines: it is not open, so its guest does not run (ROUTE_RUN)",
        ),
    ] {
        let run = tested(folder.path(), &format!("\n[[case]]\nname = \"x\"\n{case}\n"));
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(told.contains(part) && run.status.code() == Some(1), "{case}: {told}");
    }
}

#[test]
fn a_run_of_a_route_without_its_module_says_so() {
    let folder = folder();
    std::fs::write(folder.path().join("lines.lot"), LINES_ROUTE).unwrap();
    let other = "DEFINE ROUTE Cell WITH TYPE BACNET\n    ADD BACNET_CONFIG\n        WITH IP \"127.0.0.1\"\n";
    std::fs::write(folder.path().join("cell.lot"), other).unwrap();
    for (program, route, part) in [
        ("lines", "Lines", "Lines: its guest does not run: module 'lines' is not installed (ROUTE_RUN)"),
        ("cell", "Cell", "route 'Cell' does not run: type BACNET does not run here"),
    ] {
        let case = format!(
            "[[case]]\nname = \"x\"\nenv = {{ LINE_PORT = \"1\" }}\nwhen = [{{ run = \"{route}\" }}]\n"
        );
        std::fs::write(folder.path().join(format!("{program}.test.toml")), case).unwrap();
        let run = lotmq(folder.path(), &format!("test {program}.lot"));
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(told.contains(part) && run.status.code() == Some(1), "{told}");
    }
}

#[test]
fn values_of_a_file_hold_for_all_its_cases_but_where_they_have_their_own() {
    let folder = folder();
    let program = "DEFINE ACTION Tells\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH GET ENV \"A\" + GET ENV \"B\" + GET SECRET \"C\" + GET SECRET \"D\"\n";
    std::fs::write(folder.path().join("a.lot"), program).unwrap();
    let cases = r#"
env = { A = "a", B = "b" }
secrets = { C = "c", D = "d" }

[[case]]
name = "of the file"
when = [{ topic = "in", payload = 1 }]
then = [{ topic = "out", payload = "abcd" }]

[[case]]
name = "of the case"
env = { B = "2" }
secrets = { C = "3" }
when = [{ topic = "in", payload = 1 }]
then = [{ topic = "out", payload = "a23d" }]
"#;
    std::fs::write(folder.path().join("a.test.toml"), cases).unwrap();
    let run = lotmq(folder.path(), "test a.lot");
    assert!(run.stdout.ends_with("2 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn invalid_module_is_rejected_with_the_reason() {
    let folder = folder();
    std::fs::write(folder.path().join("a.lot"), CALLER).unwrap();
    std::fs::write(folder.path().join("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    for (module, part, code) in [
        ("scale", "expected NAME=FILE.wasm", 2),
        ("scale=none.wasm", "module scale: cannot read none.wasm", 1),
        ("scale=core.wasm", "a component is required", 1),
        ("Scale=scale.wasm", "'Scale' is no name of a module", 1),
        ("scale=scale.wasm:-replace", "-replace is for a broker that is given commands", 1),
        ("scale=scale.wasm:-world rule", "is not allowed in world 'rule'", 1),
        ("scale=scale.wasm:-grant nothing:x", "'nothing:x' is not a grant", 1),
        ("scale=scale.wasm:-time 2000", "-time takes a number from 1 to 1000", 1),
        ("scale=scale.wasm:-config {", "The JSON of -config cannot be read", 1),
    ] {
        let run = lotmq(folder.path(), &format!("run a.lot --in in=1 --module '{module}'"));
        assert!(run.stderr.contains(part) && run.status.code() == Some(code), "{module}: {}", run.stderr);
    }
    // The command reports the missing grant, and the module runs.
    let run = lotmq(folder.path(), "run a.lot --in in=5 --module 'scale=scale.wasm:-grant env-read:SCALE'");
    assert_eq!((&*run.stdout, run.status.code()), ("out 0.5", Some(0)), "{}", run.stderr);
    assert!(run.stderr.contains("warning: module scale: The module asks for"), "{}", run.stderr);
    let run = lotmq(folder.path(), "run a.lot --in in=5");
    assert!(
        run.stderr.contains("warning: action Caller names module 'scale', which is not given"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("module 'scale' is not installed") && run.status.code() == Some(1));
}

#[test]
fn messages_arrive_with_properties_and_leave_with_them() {
    let folder = folder();
    let program =
        "DEFINE ACTION Answer\nON TOPIC \"ask\" DO\n    REPLY WITH PAYLOAD * 2 WITH USER PROPERTIES\n";
    std::fs::write(folder.path().join("a.lot"), program).unwrap();
    let properties = "--user-property b=1 --user-property a=2=3 --response-topic r/t --correlation-data 7 --content-type x --expiry 9";
    let run = lotmq(folder.path(), &format!("run a.lot --in ask=21 {properties}"));
    assert_eq!(run.stdout, "r/t 42 [correlation data: 7] [b: 1] [a: 2=3]", "{}", run.stderr);
    let run = lotmq(folder.path(), &format!("run a.lot --in ask=21 --json {properties}"));
    assert!(
        run.stdout.contains(r#""user":[["b","1"],["a","2=3"]],"correlation_data":"7"}"#),
        "{}",
        run.stdout
    );
    let run = lotmq(folder.path(), "run a.lot --in ask=21 --response-topic 'r/#'");
    assert!(run.stderr.contains("no message has these properties"), "{}", run.stderr);
    // In cases they have an order where they are pairs.
    let case = |user: &str| {
        let cases = format!(
            "[[case]]\nname = \"x\"\nwhen = [{{ topic = \"ask\", payload = 1, response_topic = \"r\", correlation_base64 = \"/w==\", user = [[\"b\", \"1\"], [\"a\", \"2\"]] }}]\n\
             then = [{{ topic = \"r\", payload = 2, correlation_base64 = \"/w==\", user = {user} }}]\n"
        );
        std::fs::write(folder.path().join("a.test.toml"), cases).unwrap();
        lotmq(folder.path(), "test a.lot")
    };
    for (user, expected) in [
        ("[[\"b\", \"1\"], [\"a\", \"2\"]]", "1 passed, 0 failed"),
        ("{ a = \"2\" }", "1 passed, 0 failed"),
        ("[[\"a\", \"2\"], [\"b\", \"1\"]]", "0 passed, 1 failed"),
        ("[[\"b\", \"1\"]]", "0 passed, 1 failed"),
    ] {
        let run = case(user);
        assert!(run.stdout.ends_with(expected), "{user}: {}{}", run.stdout, run.stderr);
    }
    let run = case("[[\"b\"]]");
    assert!(run.stderr.contains("`user` is a table, or a list of pairs"), "{}", run.stderr);
}

#[test]
fn a_recording_has_the_properties_and_gives_them_back() {
    let broker = broker();
    let mut properties = PropertyBuf::new();
    for (name, value) in [("b", "1"), ("a", "2"), ("b", "3")] {
        properties.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, value)).unwrap();
    }
    properties.push(PropertyId::CorrelationData, PropertyValue::Binary(b"\xff")).unwrap();
    properties.push(PropertyId::ResponseTopic, PropertyValue::Utf8("r")).unwrap();
    let message = Publication { properties, ..Publication::new("ask", "21") };
    let mut sender = broker.connect(&ConnectOptions::v5("sender"));
    sender.publish(&message.qos(QoS::AtLeastOnce).retained()).unwrap();
    let folder = folder();
    let program =
        "DEFINE ACTION Answer\nON TOPIC \"ask\" DO\n    REPLY WITH PAYLOAD * 2 WITH USER PROPERTIES\n";
    std::fs::write(folder.path().join("a.lot"), program).unwrap();
    let url = format!("mqtt://localhost:{}/ask", broker.port());
    let run = lotmq(folder.path(), &format!("run a.lot --record r.jsonl --broker {url} -C 1"));
    assert_eq!(run.status.code(), Some(0), "{}", run.stderr);
    let line = std::fs::read_to_string(folder.path().join("r.jsonl")).unwrap();
    assert!(line.contains(r#""correlation_base64":"/w==""#), "{line}");
    assert!(line.contains(r#""user":[["b","1"],["a","2"],["b","3"]]"#), "{line}");
    std::fs::write(folder.path().join("r.jsonl"), line.replace(r#""retained":true,"#, "")).unwrap();
    let run = lotmq(folder.path(), "run a.lot --replay r.jsonl --json");
    assert!(run.stdout.contains(r#""payload":"42""#), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains(r#""user":[["b","1"],["a","2"],["b","3"]]"#), "{}", run.stdout);
    assert!(run.stdout.contains(r#""correlation_base64":"/w==""#), "{}", run.stdout);
}

#[test]
fn a_route_that_may_not_publish_says_so_and_holds_nothing_up() {
    let folder = folder();
    std::fs::write(folder.path().join("lines.wasm"), BASE64_STANDARD.decode(component(LINES)).unwrap())
        .unwrap();
    std::fs::write(folder.path().join("lines.lot"), LINES_ROUTE).unwrap();
    let cases = "[modules]\nlines = { file = \"lines.wasm\", grant = [\"endpoint:127.0.0.1:*\", \"write:other\"] }\n\
                 [[case]]\nname = \"refused\"\nfar = { LINE_PORT = { sends = \"first\\n\" } }\n\
                 when = [{ run = \"Lines\", for = \"10s\", brings = 1 }]\nthen = [{ topic = \"lines/in\", payload = \"first\" }]\n";
    std::fs::write(folder.path().join("lines.test.toml"), cases).unwrap();
    let tested = lotmq(folder.path(), "test lines.lot");
    assert_eq!(tested.status.code(), Some(1), "{tested:?}");
    assert!(tested.stdout.contains("was not granted 'write:lines/in'"), "{tested:?}");
    assert!(!tested.stdout.contains("within 30 s"), "{tested:?}");
}
