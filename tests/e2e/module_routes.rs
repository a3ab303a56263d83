//! Modules of world `route`: uploaded, named by routes of type `WASM`, and nothing lost whoever
//! ends.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, BrokerOptions, WAIT_MAX, eventually, free_port};
use serde_json::{Value, json};

use crate::{LOTMQ, next, options, send};

/// A guest that has a line for each message, both ways.
const ECHO: &[u8] = include_bytes!("../../sdk/examples/route-echo/prebuilt/route-echo.wasm");

fn at_home() -> BrokerOptions {
    options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true")
}

fn module(options: &str) -> String {
    format!("-addModule echo -world route {options} wasm64:{}", STANDARD.encode(ECHO))
}

/// A route of the module to a place.
fn route(far: SocketAddr, how: &str) -> String {
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"echo\"\n    ADD ECHO_CONFIG\n        WITH HOST \"{}\"\n        WITH PORT {}\n        \
         WITH HOW \"{how}\"\n    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n        WITH DESTINATION_TOPIC \"echo/in\"\n",
        far.ip(),
        far.port()
    )
}

/// The standing of the route, as it changes.
pub(crate) struct Standing(Client);

impl Standing {
    pub(crate) fn of(broker: &Broker) -> Standing {
        // It is read when the test comes to it, and says nothing meanwhile.
        let reader = ConnectOptions::new("reader of status").keep_alive(0).user("root", "coreflux");
        let mut root = broker.connect(&reader);
        root.subscribe_to("$SYS/Coreflux/Routes/Line/status", QoS::AtMostOnce).unwrap();
        Standing(root)
    }

    /// Waits for a standing that says this.
    pub(crate) fn says(&mut self, part: &str) {
        self.until(part);
    }

    /// The next standing that says this.
    pub(crate) fn until(&mut self, part: &str) -> String {
        loop {
            let status = self.0.receive(WAIT_MAX).unwrap().expect("a status").text();
            if status.contains(part) {
                return status;
            }
        }
    }
}

#[test]
fn a_new_version_tells_which_routes_it_does_not_run() {
    const POST: &[u8] = include_bytes!("../../sdk/examples/route-post/prebuilt/route-post.wasm");
    let broker = at_home().start();
    broker.command_ok(&module("-grantAll -net 127.0.0.1:*"));
    broker.command_ok(&route("127.0.0.1:7".parse().unwrap(), ""));
    let same = broker.command_ok(&module("-replace -grantAll -net 127.0.0.1:*"));
    assert!(!same.0.to_string().contains("ROUTE_SETTINGS_INVALID"), "{same:?}");
    let other = format!("-addModule echo -world route -replace -grantAll wasm64:{}", STANDARD.encode(POST));
    let replaced = broker.command_ok(&other);
    let warnings = replaced.0["warnings"].as_array().unwrap();
    let told =
        warnings.iter().find(|warning| warning["code"] == "ROUTE_SETTINGS_INVALID").expect("a warning");
    let message = told["message"].as_str().unwrap();
    assert!(message.starts_with("Route 'Line' does not run with it, and stands still: "), "{message}");
}

#[test]
fn a_route_waits_for_its_module_and_follows_it() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let mut broker = at_home().start();
    let mut standing = Standing::of(&broker);
    let added = broker.command_ok(&route(address, ""));
    assert!(added.0["warnings"].to_string().contains("MODULE_MISSING"), "{added:?}");
    standing.says("module 'echo' is not installed");
    send(&broker, "out/1", "waited for it");

    // Switched off from the beginning, it is never opened.
    far.set_nonblocking(true).unwrap();
    let added = broker.command_ok(&module(&format!("-disabled -net {address}")));
    assert_eq!(added.data()["state"], "disabled");
    standing.says("module 'echo' is disabled");
    assert_eq!(far.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    far.set_nonblocking(false).unwrap();
    broker.command_ok("-removeModule echo -force");

    let added = broker.command_ok(&module(&format!("-net {address}")));
    assert_eq!(added.data()["world"], "route");
    assert_eq!(added.data()["granted"], json!(["read:#", "write:#", format!("endpoint:{address}")]));
    assert_eq!(added.data()["usedBy"], json!([{ "type": "Route", "name": "Line" }]));
    let (mut stream, mut lines) = accept(&far);
    assert_eq!(line(&mut lines), "waited for it");
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("echo/in", QoS::AtLeastOnce).unwrap();
    stream.write_all(b"hello\n").unwrap();
    assert_eq!(next(&mut watcher), "echo/in=hello");
    assert!(broker.command_ok("-moduleInfo echo").data()["calls"].as_u64().unwrap() > 0);

    // Another version has another connection.
    broker.command_ok(&module(&format!("-replace -version 2 -net {address}")));
    assert_eq!(line(&mut lines), "", "the former one has said goodbye");
    let (_stream, mut lines) = accept(&far);
    send(&broker, "out/1", "to the second");
    assert_eq!(line(&mut lines), "to the second");

    let refused = broker.command("-removeModule echo");
    assert_eq!(refused.code(), "IN_USE");
    assert_eq!(refused.message(), "Module 'echo' is used by route 'Line'. Use -force.");
    assert_eq!(broker.command_ok("-disableModule echo").data()["state"], "disabled");
    standing.says("module 'echo' is disabled");
    broker.command_ok("-enableModule echo");
    let (_stream, mut lines) = accept(&far);
    broker.kill();
    assert_eq!(line(&mut lines), "");
    broker.start_again();
    let (_stream, _lines) = accept(&far);
    let mut standing = Standing::of(&broker);
    broker.command_ok("-removeModule echo -force");
    standing.says("module 'echo' is not installed");
}

#[test]
fn a_route_is_added_with_warnings_of_all_that_its_module_lacks() {
    let broker = at_home().start();
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let scale = crate::modules::scale();
    broker.command_ok(&format!("-addModule echi -world action -topics other/# wasm64:{scale}"));
    let warned = |text: &str| broker.command_ok(text).0["warnings"].to_string();
    let told = warned(&route(address, ""));
    assert!(told.contains("module 'echo' is not installed, did you mean echi?; the route waits"), "{told}");
    let told = warned(&route(address, "").replace("\"echo\"", "\"echi\""));
    assert!(told.contains("module 'echi' is not of world 'route'"), "{told}");
    assert!(!told.contains("NOT_GRANTED"), "{told}");
    broker.command_ok(&module(&format!("-net {address} -topics other/#")));
    // With the filter that a topic with placeholders stands for, and the secret that the guest asks
    // for.
    let with_placeholders = route(address, "")
        .replace("WITH DESTINATION_TOPIC \"echo/in\"", "WITH DESTINATION_TOPIC \"elsewhere/{key}\"")
        .replace("WITH HOW \"\"", "WITH HOW GET SECRET \"TOKEN\"");
    let told = warned(&with_placeholders);
    let granting = "-grantModule echo -grant write:elsewhere/# -grant secret-read:TOKEN grants it";
    assert!(told.contains("NOT_GRANTED") && told.contains(granting), "{told}");
    broker.command_ok(&module(&format!("-replace -net {address} -topics elsewhere/+ -grant secret-read:*")));
    let told = warned(&with_placeholders);
    assert!(!told.contains("NOT_GRANTED"), "{told}");
}

#[test]
fn a_module_reaches_what_it_was_granted_and_the_operator_allows() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let broker = at_home().start();
    broker.command_ok(&route(address, ""));
    let mut standing = Standing::of(&broker);
    broker.command_ok(&module(""));
    let granting = format!("-grantModule echo -grant endpoint:{address}");
    standing.says(&format!(
        "ECHO_CONFIG: module 'echo' was not granted endpoint:{address}; {granting} grants it"
    ));
    let stands = broker.command_ok("-connectionStatus").message().to_owned();
    let why = format!("ECHO_CONFIG: module 'echo' was not granted endpoint:{address}; {granting} grants it");
    assert_eq!(
        stands,
        format!("Line (WASM): Disconnected, Red: {why}; it stands still; -run Line tries again")
    );
    // Topics are granted, too: what the route names is no more than its part.
    broker.command_ok(&module("-replace -grant endpoint:127.0.0.1:* -topics other/#"));
    let (mut stream, _lines) = accept(&far);
    stream.write_all(b"hello\n").unwrap();
    standing.says("was not granted 'write:echo/in' (it has write:other/#)");

    let strict = options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true").start();
    strict.command_ok(&route(address, ""));
    let mut standing = Standing::of(&strict);
    strict.command_ok(&module(&format!("-net {address}")));
    standing.says("127.0.0.1 is this machine, and routes.allow_loopback is not set");
}

/// A route with each thing that takes messages, and its values.
fn route_of_a_machine(far: SocketAddr) -> String {
    route(far, "").replace(
        "    ADD EVENT Out\n        WITH SOURCE_TOPIC \"out/#\"\n        WITH DESTINATION_TOPIC \"echo/in\"\n",
        "    ADD EVENT Save\n        WITH SOURCE_TOPIC \"save/+\"\n        WITH LINE \"{topic.2}: {payload.json.v}\"\n        \
         WITH ERROR_TOPIC \"errors/{topic.2}\"\n    \
         ADD MAPPING There\n        WITH SOURCE_TOPIC \"there/#\"\n    \
         ADD MAPPING Fast\n        WITH SOURCE_TOPIC \"echo\"\n        \
         ADD TAG in\n            WITH ADDRESS 1\n            WITH DESTINATION_TOPIC \"set/in\"\n        \
         ADD TAG serial\n            WITH DESTINATION_TOPIC \"set/serial\"\n            WITH WRITABLE FALSE\n",
    )
}

#[test]
fn events_mappings_and_tags_take_messages_and_tags_are_published() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-net {address} -topics #")));
    broker.command_ok(&route_of_a_machine(address));
    let (mut stream, mut lines) = accept(&far);
    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("echo/in", QoS::AtLeastOnce).unwrap();
    watcher.subscribe_to("errors/+", QoS::AtLeastOnce).unwrap();
    for (topic, payload) in [
        ("save/a", r#"{"v":2.5}"#),
        ("there/b/c", "moved"),
        ("set/serial", "is not written"),
        ("set/in", "21"),
        ("save/b", "no JSON"),
        ("set/in", "22"),
    ] {
        send(&broker, topic, payload);
    }
    for expected in ["a: 2.5", "There: moved", "Fast.in := 21", "Fast.in := 22"] {
        assert_eq!(line(&mut lines), expected);
    }
    let told = next(&mut watcher);
    let told: Value = serde_json::from_str(told.strip_prefix("errors/b=").unwrap()).unwrap();
    let message = ["route", "event", "topic", "payload"].map(|key| &told[key]);
    assert_eq!(message, ["Line", "Save", "save/b", "no JSON"], "{told}");
    // The module publishes to the topic of a tag, which no event names.
    stream.write_all(b"hello\n").unwrap();
    assert_eq!(next(&mut watcher), "echo/in=hello");

    // Nothing of it is left when the tag has another topic.
    broker.command_ok(&route_of_a_machine(address).replace("TOPIC \"echo\"", "TOPIC \"other\""));
    let (mut stream, _lines) = accept(&far);
    let mut standing = Standing::of(&broker);
    stream.write_all(b"hello\n").unwrap();
    standing.says("was granted 'write:echo/in', and the text of this route does not name that");
}

#[test]
fn component_unsuitable_for_world_route_is_rejected() {
    let broker = at_home().start();
    let scale = crate::modules::scale();
    broker.command_ok(&format!("-addModule scale -world action wasm64:{scale}"));
    let echo = STANDARD.encode(ECHO);
    for (arguments, code, message) in [
        (format!("m -world route wasm64:{scale}"), "IMPORT_FORBIDDEN", "is not allowed in world 'route'."),
        (
            format!("scale -world route -replace wasm64:{echo}"),
            "WORLD_MISMATCH",
            "Module 'scale' is of world 'action'. Remove it first.",
        ),
        (
            format!("m -world route -net 127.0.0.1 wasm64:{echo}"),
            "GRANT_INVALID",
            "'endpoint:127.0.0.1' is not a grant: it is not host:port, where a host may be '*.suffix', a network such as 10.0.0.0/24 or '*', and a port a range or '*'; IPv6 in brackets.",
        ),
        (
            format!("m -world route -grant action:A wasm64:{echo}"),
            "GRANT_INVALID",
            "'action:A' means nothing for a module of world 'route'.",
        ),
        (format!("m -world route -time 10001 wasm64:{echo}"), "ARGUMENT_INVALID", "from 1 to 10000"),
        (format!("m -world rule wasm64:{echo}"), "IMPORT_FORBIDDEN", "is not allowed in world 'rule'."),
        (format!("m -world auth wasm64:{echo}"), "IMPORT_FORBIDDEN", "is not allowed in world 'auth'."),
    ] {
        let reply = broker.command(&format!("-addModule {arguments}"));
        assert_eq!(reply.code(), code, "{reply:?}");
        assert!(reply.message().contains(message), "{reply:?}");
    }
    let added = broker.command_ok(&module("-on a/b"));
    assert!(added.0["warnings"].to_string().contains("-on means nothing for a module of world 'route'."));
    let refused = broker.command("-addRoute DEFINE ROUTE Line WITH TYPE WASM\n");
    assert_eq!(refused.code(), "LOT322", "{refused:?}");
    broker.command_ok(
        "-addRoute DEFINE ROUTE Line WITH TYPE WASM\n    ADD WASM_CONFIG\n        WITH MODULE \"scale\"\n",
    );
    let mut standing = Standing::of(&broker);
    broker.command_ok("-disableModule scale");
    broker.command_ok("-enableModule scale");
    standing.says("module 'scale' is not of world 'route'");

    let stable = options().start();
    let refused = stable.command(&module(""));
    assert_eq!(refused.code(), "WORLD_UNSTABLE");
    let told = "World 'route' may still change, and modules.allow_unstable is not set: start the broker with LOTMQ_MODULES_ALLOW_UNSTABLE=true, or ";
    assert!(refused.message().starts_with(told), "{}", refused.message());
}

/// The next connection to a far side, and its lines.
pub(crate) fn accept(far: &TcpListener) -> (TcpStream, BufReader<TcpStream>) {
    let (stream, _) = far.accept().unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap());
    (stream, lines)
}

/// The next line; empty at the end.
pub(crate) fn line(lines: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    // The end of a process may be a reset.
    let _ = lines.read_line(&mut line);
    line.trim_end().to_owned()
}

#[test]
fn a_far_side_that_does_not_answer_in_time_is_not_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = listener.local_addr().unwrap();
    let broker = at_home().start();
    let mut standing = Standing::of(&broker);
    broker.command_ok(&module(&format!("-net {far}")));
    let impatient = "    ADD ROUTE_CONFIG\n        WITH ACTIVITY_TIMEOUT 1\n    ADD EVENT Out";
    broker.command_ok(&route(far, "acknowledged").replace("    ADD EVENT Out", impatient));
    send(&broker, "out/1", "patience");
    let (frozen, _) = listener.accept().unwrap();
    // In the same status: Reconnecting.
    let told = standing.until("no answer within 1 s");
    assert!(told.contains("\"connection\":\"Reconnecting\""), "{told}");
    // Nothing is known against the message: the next connection has it.
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(line(&mut BufReader::new(stream.try_clone().unwrap())), "patience");
    stream.write_all(b"+patience\n").unwrap();
    standing.says("\"succeeded\":1");
    drop(frozen);
}

/// The other system: it acknowledges each line that it has, and sends those of its own until they
/// are acknowledged. Two times it ends its connection.
struct FarSide {
    address: SocketAddr,
    received: Receiver<String>,
    acknowledged: Receiver<String>,
}

impl FarSide {
    /// Begins to send so many lines of its own.
    fn start(lines: usize) -> FarSide {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ((has, received), (done, acknowledged)) = (channel(), channel());
        std::thread::spawn(move || {
            let mut own: BTreeSet<String> = (0..lines).map(|number| format!("in-{number:04}")).collect();
            let mut ends = 2;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                // The next broker gets the lines that an ended broker did not take.
                let text: String = own.iter().map(|line| format!("{line}\n")).collect();
                let mut is_open = stream.write_all(text.as_bytes()).is_ok();
                let mut count = 0;
                while is_open {
                    let text = line(&mut reader);
                    is_open = match text.strip_prefix('+') {
                        _ if text.is_empty() => false,
                        Some(of_own) => {
                            own.remove(of_own);
                            done.send(of_own.to_owned()).is_ok()
                        }
                        None => {
                            has.send(text.clone()).is_ok()
                                && stream.write_all(format!("+{text}\n").as_bytes()).is_ok()
                        }
                    };
                    count += 1;
                    // A server that is started again.
                    if count == 80 && ends > 0 {
                        (ends, is_open) = (ends - 1, false);
                    }
                }
            }
        });
        FarSide { address, received, acknowledged }
    }
}

#[test]
fn module_route_loses_no_message_when_broker_is_killed() {
    const LINES: usize = 200;
    let far = FarSide::start(LINES);
    let mut broker = at_home().variable("LOTMQ_LOT_DURABLE_TRIGGERS", "true").start();
    let sleeper = || ConnectOptions::v5("sleeper").clean_start(false).session_expiry(3600);
    let mut session = broker.connect(&sleeper());
    session.subscribe_to("echo/in", QoS::AtLeastOnce).unwrap();
    session.disconnect().unwrap();
    broker.command_ok(&module(&format!("-net {}", far.address)));
    broker.command_ok(&route(far.address, "acknowledged"));
    let mut received = BTreeSet::new();
    for round in 0..3 {
        let mut sender = broker.client("sender");
        for number in 0..LINES {
            let publication = Publication::new("out/line", format!("out-{round}-{number:04}"));
            sender.publish(&publication.qos(QoS::AtLeastOnce)).unwrap();
        }
        // It has some of them, and others are under way.
        received.insert(far.received.recv_timeout(WAIT_MAX).unwrap());
        broker.kill();
        broker.start_again();
    }
    while received.len() < 3 * LINES {
        let of_all = received.len();
        received.insert(
            far.received.recv_timeout(WAIT_MAX).unwrap_or_else(|_| panic!("only {of_all} have come")),
        );
    }
    let mut acknowledged = BTreeSet::new();
    while acknowledged.len() < LINES {
        acknowledged.insert(far.acknowledged.recv_timeout(WAIT_MAX).expect("each line is taken"));
    }
    let mut session = broker.connect(&sleeper());
    let mut left = acknowledged;
    while !left.is_empty() {
        let message = session.receive(WAIT_MAX).unwrap().unwrap_or_else(|| panic!("lost: {left:?}"));
        left.remove(&message.text());
    }
    let info: Value = broker.command_ok("-moduleInfo echo").data().clone();
    assert_eq!((&info["state"], &info["traps"]), (&json!("enabled"), &json!(0)), "{info}");
}

/// After a trap, the broker repeats once the work that the batch had done. It sets aside the
/// message that traps, without longer and longer pauses.
#[test]
fn behind_a_trap_messages_come_one_by_one() {
    let far: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-net {far}")));
    broker.command_ok(&route(far, "traps"));
    let mut sender = broker.client("sender");
    for payload in ["a", "b", "trap", "c", "trap", "d"] {
        sender.publish(&Publication::new("out/line", payload).qos(QoS::AtLeastOnce)).unwrap();
    }
    let listener = TcpListener::bind(far).unwrap();
    let connections = std::iter::repeat_with(|| {
        let (_stream, mut lines) = accept(&listener);
        let mut connection = Vec::new();
        while connection.last().is_none_or(|last| last != "d") {
            match line(&mut lines) {
                end if end.is_empty() => break,
                line => connection.push(line),
            }
        }
        connection
    });
    assert_eq!(
        connections.take(4).collect::<Vec<_>>(),
        [vec!["a", "b"], vec!["a", "b"], vec!["c"], vec!["d"]]
    );
    eventually("dead letters", || (broker.metric("lotmq_route_dead_letters") == Some(2.0)).then_some(()));
}

/// The guest with another text, of the same length, as the schema of its settings.
fn with_schema(schema: &str) -> Vec<u8> {
    const SCHEMA: &[u8] = br#"{"type":"object"}"#;
    let at = ECHO.windows(SCHEMA.len()).position(|bytes| bytes == SCHEMA).expect("the schema of the guest");
    let mut component = ECHO.to_vec();
    component[at..at + SCHEMA.len()].copy_from_slice(format!("{schema:<17}").as_bytes());
    component
}

#[test]
fn a_module_whose_settings_cannot_be_checked_takes_the_place_of_none() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let broker = at_home().start();
    broker.command_ok(&module(&format!("-net {address}")));
    broker.command_ok(&route(address, ""));
    let (_stream, mut lines) = accept(&far);
    let folder = tempfile::tempdir().unwrap();
    for (schema, told) in [
        (r#"{"format":"date"}"#, "has 'format', which is none of additionalProperties, anyOf, default, "),
        (r#"{"pattern":"(a"}"#, "has 'pattern', which is not a regular expression"),
        ("not JSON at all", "is not JSON: "),
        (r#"{"type":"thing"}"#, "has 'type', which is not one of array, boolean, "),
    ] {
        let told = format!("The settings of the module cannot be checked: the schema of its guest {told}");
        let component = with_schema(schema);
        let base64 = STANDARD.encode(&component);
        for name in ["echo", "other"] {
            let refused = broker
                .command(&format!("-addModule {name} -world route -replace -net {address} wasm64:{base64}"));
            assert_eq!(refused.code(), "COMPILE_FAILED", "{schema}: {refused:?}");
            assert!(refused.message().starts_with(&told), "{schema}: {}", refused.message());
        }
        let file = folder.path().join("broken.wasm");
        std::fs::write(&file, &component).unwrap();
        let verified = Command::new(LOTMQ).args(["guest", "verify"]).arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert_eq!(verified.status.code(), Some(1), "{text}");
        assert!(text.contains(&told) && text.contains("(COMPILE_FAILED)"), "{text}");
    }
    assert_eq!(broker.command("-moduleInfo other").code(), "MODULE_NOT_FOUND");
    // The one that runs has not noticed anything.
    send(&broker, "out/1", "still there");
    assert_eq!(line(&mut lines), "still there");
}
