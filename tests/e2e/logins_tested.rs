//! Cases of a guest for logins: it is asked as a broker would ask it, and what it answers and does
//! is looked at.

use lotmq_test_support::{Finished, Program};

use crate::LOTMQ;

const TABLE: &[u8] = include_bytes!("../../sdk/examples/auth-table/prebuilt/auth-table.wasm");

/// Users of the guest, where it finds the systems that it asks, and what it may.
const FRONT: &str = r#"
[modules.table]
file = "table.wasm"
grant = ["state", "endpoint:orders.example:7000", "endpoint:tokens.example:443"]
config.tokens = true
config.users.ann = { password = "secret", groups = ["staff", "night"], publish = "a/#", seconds = 60 }
config.users.bob = { password = "secret" }
config.users.broken = { password = "x", publish = "a/#/b" }
config.endpoints.orders = { HOST = "orders.example", PORT = 7000 }
config.endpoints.tokens = { HOST = "tokens.example", PORT = 443, USE_TLS = true }
"#;

/// Runs `lotmq test` on these cases.
fn tested_with(front: &str, cases: &str) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("table.wasm"), TABLE).unwrap();
    std::fs::write(folder.path().join("door.lot"), "DEFINE ACTION Idle\nON START DO\n    SET \"x\" WITH 1\n")
        .unwrap();
    std::fs::write(folder.path().join("door.test.toml"), format!("{front}{cases}")).unwrap();
    let script = format!("cd '{}'; '{LOTMQ}' test door.lot", folder.path().display());
    Program::run("sh", &["-c", &script]).unwrap()
}

fn tested(cases: &str) -> Finished {
    tested_with(FRONT, cases)
}

/// A case, with a far side in the place of the system of orders, without which the guest does not
/// open.
fn case(name: &str, steps: &str) -> String {
    format!("\n[[case]]\nname = \"{name}\"\nfar.orders = {{}}\n{steps}\n")
}

#[test]
fn a_login_is_answered_with_all_that_the_contract_has() {
    let cases = [
        case(
            "all of CONNECT, and all of the answer",
            r#"
when = [
    { login = "c1", username = "ann", password = "secret", listener = "mqtts", endpoint = "192.0.2.7:5000", receive_maximum = 20,
      protocol_version = 5, clean_start = false, keep_alive_seconds = 0, session_expiry_seconds = 3600, packet_bytes_max = 100,
      topic_alias_maximum = 3, request_response_information = true, request_problem_information = false, tenant = "t", server_name = "s",
      certificate = { subject = "CN=a", issuer = "CN=b", alternative_names = [{ dns = "a" }, { uri = "urn:a" }], serial = "0a", not_after = "2030-01-01T00:00:00Z" },
      will = { topic = "a/gone", payload = "lost", qos = 1, retain = true, delay_seconds = 30, content_type = "text/plain" },
      user = [["Line", "7"], ["Line", "8"]] },
]
then = [
    { answer = "allow", client_id = "c1", username = "ann", groups = ["staff", "night"], rules = false,
      properties = [["ClientVersion", "5"], ["ReceiveMaximum", "20"], ["Will", "a/gone lost text/plain after 30 s"], ["Line", "7"], ["Line", "8"]],
      grants = [{ allow = ["publish"], filter = "a/#", qos_max = 1, retain = false }],
      expires = "2026-01-01T00:01:00Z", limits = { subscriptions = 10 }, reason = "welcome by mqtts", user = { logins = "1" } },
]
"#,
        ),
        case(
            "what is not named is not looked at, and what a login leaves out is plain",
            r#"
when = [{ login = "c1", username = "ann", password = "secret" }]
then = [{ answer = "allow", properties = { ClientVersion = "5", ReceiveMaximum = "65535" }, grants = [{ allow = ["publish"], filter = "a/#" }] }]
"#,
        ),
        case(
            "MQTT 3.1.1, and the state within a case",
            r#"
when = [
    { login = "c1", username = "bob", password = "secret", protocol_version = 4 },
    { login = "c2", username = "bob", password_base64 = "c2VjcmV0" },
]
then = [
    { answer = "allow", client_id = "c1", properties = { ClientVersion = "4" }, rules = true, expires = "never", user = { logins = "1" } },
    { answer = "allow", client_id = "c2", user = [["logins", "2"]] },
]
"#,
        ),
        case(
            "wrong, and nobody's",
            r#"
when = [{ login = "c1", username = "ann", password = "guess" }, { login = "c2" }, { login = "c3", username = "broken", password = "x" }]
then = [
    { answer = "deny", reason_code = 0x86, reason = "", log = "of 'ann' is wrong" },
    { answer = "continue", client_id = "c2" },
    { error = "its answer cannot be used: 'a/#/b' is no Topic Filter (AUTH_ANSWER)" },
]
"#,
        ),
        case(
            "time passes",
            r#"
at = "2026-02-01T00:00:00Z"
when = [{ pass = "90s" }, { login = "c1", username = "ann", password = "secret" }]
then = [{ answer = "allow", expires = "2026-02-01T00:02:30Z" }]
"#,
        ),
    ];
    let run = tested(&cases.concat());
    assert!(run.stdout.ends_with("5 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn auth_guest_receives_session_events() {
    let cases = [
        case(
            "hooks",
            r#"
when = [
    { login = "c1", username = "bob", password = "secret", session_present = true },
    { subscribed = "c1", filters = ["a/#", "b"], qos = 1 },
    { login = "c1", username = "bob", password = "secret" },
    { disconnected = "c1", reason = "keepalive-timeout" },
    { login = "", username = "bob", password = "secret" },
]
then = [{ answer = "allow" }, { answer = "allow" }, { answer = "allow", client_id = "" }]
logs = [
    "connected 1 as c1, session present: true",
    "subscribed 1 to a/# Qos::AtLeastOnce, b Qos::AtLeastOnce",
    "disconnected 1: session-taken-over",
    "connected 2 as c1, session present: false",
    "disconnected 2: keepalive-timeout",
    "connected 3 as chosen-3",
]
"#,
        ),
        case(
            "an enhanced authentication, and one that is given up",
            r#"
when = [
    { login = "c1", method = "REVERSE" },
    { step = "c1", data = "forwards" },
    { login = "c2", method = "REVERSE", data = "first" },
    { forget = "c2" },
]
then = [
    { answer = "challenge", client_id = "c1" },
    { answer = "deny", reason_code = 0x86 },
    { answer = "challenge", client_id = "c2" },
]
logs = ["forget 2: true"]
"#,
        ),
        r#"
[[case]]
name = "orders of a far side end connections and widen rights"
far.orders = { sends = "revoke ann\nwiden bob b/#\n" }
when = [
    { login = "c1", username = "ann", password = "secret" },
    { login = "c2", username = "bob", password = "secret" },
    { run = "table", for = "5s" },
    { run = "table", for = "10ms" },
    { login = "c1", username = "ann", password = "secret" },
]
then = [
    { answer = "allow" },
    { answer = "allow" },
    { revoke = { username = "ann" }, reason_code = 0x98, reason = "by order" },
    { update = { username = "bob" }, username = "bob", grants = [{ allow = ["publish", "subscribe"], filter = "b/#", retain = true, qos_max = 2 }] },
    { answer = "allow" },
]
logs = ["revoke ann: 1 sessions", "widen bob b/#: 1 sessions", "disconnected 1: administrative", "connected 3 as c1"]

[[case]]
name = "the far side ends"
far.orders = { ends = true }
when = [{ login = "c1" }, { run = "table" }]
then = [{ answer = "continue" }, { error = "nobody gives orders any more (AUTH_RUN)" }]

[[case]]
name = "a server of tokens is played, where the guest speaks TLS in a broker"
far.orders = {}
far.tokens = { answers = { "t0p" = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\neve", "no" = "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n" }, contains = "POST /introspect HTTP/1.1" }
when = [{ login = "c1", username = "x", password = "t0p" }, { login = "c2", username = "x", password = "no" }]
then = [{ answer = "allow", username = "eve" }, { answer = "deny", log = "the server answered 401" }]
"#
        .to_owned(),
    ];
    let run = tested(&cases.concat());
    assert!(run.stdout.ends_with("5 passed, 0 failed"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn test_report_lists_differences_of_login_answers() {
    let cases = [
        case(
            "another answer",
            r#"
when = [{ login = "c1", username = "ann", password = "secret" }]
then = [{ answer = "allow", username = "eve", groups = ["staff"], limits = { connections = 2 } }]
"#,
        ),
        case(
            "denied",
            r#"
when = [{ login = "c1", username = "ann", password = "guess" }]
then = [{ answer = "deny", reason_code = 0x87 }]
"#,
        ),
        case("nobody", "when = [{ subscribed = \"c1\", filters = [\"a\"] }]"),
        case(
            "no steps",
            "when = [{ login = \"c1\" }, { step = \"c1\", data = \"x\" }]\nthen = [{ answer = \"continue\" }]",
        ),
        case("another method", "when = [{ login = \"c1\", method = \"SCRAM-SHA-256\" }]"),
        "[[case]]\nname = \"more\"\nwhen = [{ login = \"c1\" }]\n".to_owned(),
    ];
    let told = tested(&cases.concat()).stdout;
    for part in [
        "expected { answer = \"allow\", groups = [\"staff\"], limits = { connections = 2 }, username = \"eve\" }",
        "found    { answer = \"allow\", client_id = \"c1\", expires = \"2026-01-01T00:01:00Z\", grants = [{ allow = [\"publish\"], filter = \"a/#\", qos_max = 1, retain = false }], groups = [\"staff\", \"night\"]",
        "differs: groups, limits, username",
        "found    { answer = \"deny\", client_id = \"c1\", log = \"the password of 'ann' is wrong\", reason_code = 0x86, user = [] }",
        "differs: reason_code",
        "step 1 of `when`: `c1` is not connected: the guest has not let it in, or its connection is over",
        "step 2 of `when`: no enhanced authentication of `c1` goes on: its answer has to be a challenge",
        "step 1 of `when`: `describe` of the guest does not name \"SCRAM-SHA-256\" among the methods, so nobody calls it",
        "expected nothing more, found { answer = \"continue\", client_id = \"c1\" }",
        "0 passed, 6 failed",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn mistakes_in_login_test_cases_are_reported() {
    for (line, part) in [
        (r#"when = [{ login = "c", usernme = "x" }]"#, "unknown key `usernme`; did you mean `username`?"),
        (r#"when = [{ login = 5 }]"#, "`login` is a text in quotes, found 5"),
        (
            r#"when = [{ login = "c", endpoint = "x" }]"#,
            "`endpoint` is an address as 192.0.2.7 or 192.0.2.7:5000, or `unix`, found `x`",
        ),
        (
            r#"when = [{ login = "c", protocol_version = 6 }]"#,
            "`protocol_version` is a whole number from 3 to 5, found 6",
        ),
        (
            r#"when = [{ login = "c", protocol_version = 4, receive_maximum = 6 }]"#,
            "`receive_maximum` is of MQTT 5.0",
        ),
        (
            r#"when = [{ login = "c", keep_alive_seconds = 65536 }]"#,
            "`keep_alive_seconds` is a whole number from 0 to 65535, found 65536",
        ),
        (
            r#"when = [{ login = "c", receive_maximum = 0 }]"#,
            "`receive_maximum` is a whole number from 1 to 65535, found 0",
        ),
        (
            r#"when = [{ login = "c", password = "a", password_base64 = "YQ==" }]"#,
            "expected either `password` or `password_base64`",
        ),
        (r#"when = [{ login = "c", password_base64 = "a" }]"#, "`password_base64` is no base64"),
        (
            r#"when = [{ login = "c", data = "a" }]"#,
            "`data` is of an enhanced authentication, which has a `method`",
        ),
        (r#"when = [{ login = "c", will = "a" }]"#, "`will` is a table as { a = 1 }, found \"a\""),
        (r#"when = [{ login = "c", will = { topic = "a/#" } }]"#, "`a/#` is no topic"),
        (
            r#"when = [{ login = "c", will = { topc = "a" } }]"#,
            "a Will lacks the key `topic`; is `topc` meant to be it?",
        ),
        (
            r#"when = [{ login = "c", protocol_version = 4, will = { topic = "a", delay_seconds = 1 } }]"#,
            "`will.delay_seconds` is of MQTT 5.0",
        ),
        (
            r#"when = [{ login = "c", certificate = { subjct = "a" } }]"#,
            "unknown key `subjct`; did you mean `subject`?",
        ),
        (
            r#"when = [{ login = "c", certificate = { serial = "x" } }]"#,
            "`serial` is bytes in hexadecimal digits, found `x`",
        ),
        (
            r#"when = [{ login = "c", certificate = { fingerprint = "00" } }]"#,
            "`fingerprint` is the SHA-256, of 32 bytes, found 1",
        ),
        (
            r#"when = [{ login = "c", certificate = { alternative_names = [{ ip = "a" }] } }]"#,
            "an alternative name needs one of the keys `dns`, `email`, `uri`, `address`",
        ),
        (r#"when = [{ subscribed = "c" }]"#, "a step with `subscribed` lacks the key `filters`"),
        (r#"when = [{ subscribed = "c", filters = ["a/#/b"] }]"#, "`a/#/b` is no topic filter"),
        (
            r#"when = [{ disconnected = "c", reason = "keep-alive" }]"#,
            "`reason` is one of `normal`, `session-taken-over`",
        ),
        (r#"when = [{ forget = "c", data = "x" }]"#, "unknown key `data`; known here: `forget`"),
        (
            r#"then = [{ answer = "allowed" }]"#,
            "`answer` is one of `allow`, `deny`, `continue`, `challenge`, found `allowed`",
        ),
        (
            r#"then = [{ answer = "deny", username = "x" }]"#,
            "unknown key `username`; known here: `answer`, `client_id`, `reason_code`",
        ),
        (
            r#"then = [{ answer = "deny", reason_code = 5 }]"#,
            "`reason_code` is a whole number from 128 to 255, found 5",
        ),
        (
            r#"then = [{ answer = "allow", grants = [{ allow = ["read"], filter = "a" }] }]"#,
            "`allow` is a list of `publish`, `subscribe`, found `read` in it",
        ),
        (
            r#"then = [{ answer = "allow", grants = [{ filter = "a" }] }]"#,
            "a grant needs one of the keys `allow`, `deny`",
        ),
        (
            r#"then = [{ answer = "allow", grants = [5] }]"#,
            "`grants` is a list of tables as [{ a = 1 }], found [5]",
        ),
        (
            r#"then = [{ answer = "allow", expires = "60s" }]"#,
            "`expires` is a time as 2026-01-01T00:01:00Z, or `never`, found `60s`",
        ),
        (
            r#"then = [{ answer = "allow", limits = { conections = 1 } }]"#,
            "unknown key `conections`; did you mean `connections`?",
        ),
        (r#"then = [{ revoke = "ann" }]"#, "`revoke` is a table as { a = 1 }, found \"ann\""),
        (
            r#"then = [{ update = { user = "ann" } }]"#,
            "whom it is about needs one of the keys `connection`, `client_id`, `username`",
        ),
    ] {
        let run = tested(&format!("[[case]]\nname = \"x\"\n{line}\n"));
        assert!(
            run.stderr.contains(part) && run.stderr.contains("line "),
            "{part}: {}{}",
            run.stdout,
            run.stderr
        );
    }
    let run = tested_with("", "[[case]]\nname = \"x\"\nwhen = [{ login = \"c\" }]\n");
    let told = "there is no module of world auth, which could be asked about a login";
    assert!(run.stdout.contains(told), "{}{}", run.stdout, run.stderr);
    let run = tested_with(
        &FRONT.replace("endpoint:tokens.example:443", "endpoint:tokens.example:80"),
        "[[case]]\nname = \"x\"\nwhen = [{ login = \"c\" }]\n",
    );
    let told = "endpoints.tokens: module 'table' was not granted endpoint:tokens.example:443";
    assert!(run.stdout.contains(told), "{}{}", run.stdout, run.stderr);
}
