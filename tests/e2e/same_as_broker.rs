//! `lotmq run` does what a broker does: the same recorded traffic through both, and every byte of
//! what comes out compared, in order, with all that rules deny.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lotmq_client::{Client, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_codec::{Properties, PropertyBuf, PropertyId, PropertyValue, RetainHandling, SubscriptionOptions};
use lotmq_test_support::{Broker, Program, WAIT_MAX};
use serde_json::{Map, Value, json};

use crate::modules::component;
use crate::{LOTMQ, broker, send};

/// A message that came out.
#[derive(Debug, PartialEq)]
struct Out {
    topic: String,
    payload: Vec<u8>,
    qos: u64,
    retain: bool,
    /// Those of its properties that it has, as `lotmq run --json` shows them.
    properties: Map<String, Value>,
}

/// Names of properties.
const PROPERTIES: [&str; 7] = [
    "user",
    "response_topic",
    "correlation_data",
    "correlation_base64",
    "content_type",
    "expiry",
    "payload_format",
];

/// A program with traffic for it.
struct Row {
    name: &'static str,
    program: &'static str,
    /// Messages that come out before anything goes in.
    at_start: usize,
    /// Topic and payload of what goes in, with how many messages come out because of it.
    traffic: &'static [(&'static str, &'static [u8], usize)],
    /// Properties of those messages, in the same order, as recordings have them; of further ones
    /// none.
    properties: &'static [&'static str],
    /// Name, world, component and options of modules.
    modules: &'static [(&'static str, &'static str, &'static [u8], &'static str)],
    /// Seconds that pass then, and how many messages come out in them.
    time: (u32, usize),
}

/// A row that says nothing.
const NOTHING: Row =
    Row { name: "", program: "", at_start: 0, traffic: &[], properties: &[], modules: &[], time: (0, 0) };

/// The examples of the worlds `action` and `rule`.
const SCALE: &[u8] = include_bytes!("../../sdk/examples/action-scale/prebuilt/action-scale.wasm");
const GUARD: &[u8] = include_bytes!("../../sdk/examples/rule-guard/prebuilt/rule-guard.wasm");

const ROWS: &[Row] = &[
    Row {
        name: "actions that start one another, with QoS and RETAIN",
        program: r#"DEFINE ACTION First
ON TOPIC "in/+" DO
    PUBLISH TOPIC "a/" + TOPIC POSITION 2 WITH PAYLOAD QOS1
    PUBLISH TOPIC "b" WITH { "from": TOPIC, "v": PAYLOAD } WITH RETAIN
    PUBLISH TOPIC "c" WITH PAYLOAD AND QOS = 2
DEFINE ACTION Second
ON TOPIC "a/#" DO
    PUBLISH TOPIC "d" WITH PAYLOAD + 1
DEFINE ACTION Third
ON TOPIC "d" DO
    PUBLISH TOPIC "e" WITH GET TOPIC "b"
"#,
        at_start: 0,
        traffic: &[
            ("in/x", b"1", 5),
            ("in/y", b"", 5),
            ("in/z", "2.50 \u{e4}".as_bytes(), 5),
            ("other", b"1", 0),
        ],
        time: (0, 0),
        ..NOTHING
    },
    Row {
        name: "actions that take their time and call others",
        program: r#"DEFINE ACTION Double
INPUT x AS DOUBLE
DO
    SET "y" WITH {x} * 2
    PUBLISH TOPIC "doubled" WITH {y}
RETURN
    OUTPUT y

DEFINE ACTION Caller
ON TOPIC "in" DO
    CALL ACTION Double WITH x = PAYLOAD RETURN r
    PUBLISH TOPIC "out" WITH {r}

DEFINE ACTION Behind
ON TOPIC "out" DO
    PUBLISH TOPIC "behind" WITH PAYLOAD - 1
"#,
        at_start: 0,
        traffic: &[("in", b"4", 3), ("in", b"-0.5", 3)],
        time: (0, 0),
        ..NOTHING
    },
    Row {
        name: "kept and last values",
        program: r#"DEFINE ACTION Count
ON TOPIC "count/+" DO
    KEEP TOPIC "state/" + TOPIC POSITION 2 WITH (GET TOPIC "state/" + TOPIC POSITION 2 AS INT) + 1
    PUBLISH TOPIC "counted/" + TOPIC POSITION 2 WITH GET TOPIC "state/" + TOPIC POSITION 2
DEFINE ACTION Read
ON TOPIC "read" DO
    PUBLISH TOPIC "limit" WITH GET TOPIC "config/limit"
    PUBLISH TOPIC "none" WITH GET TOPIC "config/none"
"#,
        at_start: 0,
        traffic: &[
            ("count/a", b"1", 1),
            ("count/b", b"1", 1),
            ("count/a", b"1", 1),
            // Nothing is published of what is not there.
            ("read", b"1", 0),
            ("config/limit", b"80", 0),
            ("read", b"1", 1),
            ("config/limit", b"\xff\x00 not text", 0),
            ("read", b"1", 1),
        ],
        time: (0, 0),
        ..NOTHING
    },
    Row {
        name: "changes",
        program: r#"DEFINE ACTION Changed
ON CHANGE "c/+" DO
    PUBLISH TOPIC "changed/" + TOPIC POSITION 2 WITH PAYLOAD
"#,
        at_start: 0,
        traffic: &[("c/x", b"1", 1), ("c/x", b"1", 0), ("c/y", b"1", 1), ("c/x", b"2", 1), ("c/x", b"1", 1)],
        time: (0, 0),
        ..NOTHING
    },
    Row {
        name: "models that compute, and that split what clients publish",
        program: r#"DEFINE MODEL Engine WITH TOPIC "e" WITH RETAIN AND QOS1
    ADD DOUBLE "w" WITH TOPIC "raw/w" AS TRIGGER
    ADD DOUBLE "kw" WITH (w / 1000)
    ADD STRING "state" WITH IF w > 500 THEN "busy" ELSE "idle"
DEFINE MODEL Room COLLAPSED WITH TOPIC "rooms/{room}"
    ADD STRING "room" WITH TOPIC POSITION 2
    ADD DOUBLE "t" WITH TOPIC "sensor/{room}/t" AS TRIGGER
    ADD DOUBLE "h" WITH TOPIC "sensor/{room}/h"
DEFINE MODEL Gateway WITH TOPIC "gateway/+"
    ADD INT "battery"
DEFINE ACTION Alarm
ON TOPIC "e/state" DO
    PUBLISH TOPIC "alarm" WITH PAYLOAD
"#,
        at_start: 0,
        traffic: &[
            ("raw/w", b"600", 5),
            ("sensor/kitchen/h", b"40", 0),
            ("sensor/kitchen/t", b"20", 1),
            ("gateway/a", br#"{"battery":"7","name":"x"}"#, 2),
            ("gateway/a", b"no json", 0),
            ("raw/w", b"0", 5),
        ],
        time: (0, 0),
        ..NOTHING
    },
    Row {
        name: "a message that leads to itself",
        program: r#"DEFINE ACTION Again
ON TOPIC "again" DO
    PUBLISH TOPIC "again" WITH PAYLOAD + 1
"#,
        at_start: 0,
        // Of the runs the last one is started by a message that 64 others led to.
        traffic: &[("again", b"0", 65)],
        time: (0, 0),
        ..NOTHING
    },
    Row {
        name: "starts and timers",
        program: r#"DEFINE ACTION Boot
ON START DO
    KEEP TOPIC "ticks" WITH 0
    PUBLISH TOPIC "boot" WITH "up"
DEFINE ACTION Tick
ON EVERY 1 SECOND DO
    KEEP TOPIC "ticks" WITH (GET TOPIC "ticks" AS INT) + 1
    PUBLISH TOPIC "tick" WITH GET TOPIC "ticks"
DEFINE ACTION Tock
ON TOPIC "tick" DO
    PUBLISH TOPIC "tock" WITH PAYLOAD
"#,
        at_start: 1,
        traffic: &[],
        time: (2, 4),
        ..NOTHING
    },
    Row {
        name: "routes",
        program: r#"DEFINE ROUTE Db WITH TYPE LOOPBACK
    ADD LOOPBACK_CONFIG
        WITH MAX_ROWS 10
    ADD EVENT Save
        WITH SOURCE_TOPIC "save/+"
        WITH DESTINATION_TOPIC "saved/{topic.2}"
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
DEFINE ACTION After
ON TOPIC "saved/+" DO
    PUBLISH TOPIC "after" WITH PAYLOAD
"#,
        at_start: 0,
        traffic: &[
            ("in/a", b"1", 1),
            ("in/b", b"3", 1),
            ("ask", b"0", 1),
            ("save/x", b"{\"n\":2}", 2),
            ("ask", b"2", 1),
        ],
        time: (0, 0),
        ..NOTHING
    },
    Row {
        name: "modules: one that messages start, and one that an action calls",
        program: r#"DEFINE ACTION Caller
ON TOPIC "in/+" DO
    CALL MODULE "halve.scale" WITH (raw = PAYLOAD AS DOUBLE) RETURN AS {r}
    PUBLISH TOPIC "out/" + TOPIC POSITION 2 WITH {r}
DEFINE ACTION After
ON TOPIC "scaled/+" DO
    PUBLISH TOPIC "after" WITH PAYLOAD
"#,
        modules: &[
            ("halve", "action", SCALE, "-config 0.5"),
            ("tenths", "action", SCALE, "-on \"raw/#,bare\" -grantAll"),
        ],
        traffic: &[
            ("in/a", b"3", 1),
            ("raw/press", b"215", 2),
            ("raw/press", b"hot", 0),
            ("bare", b"-5", 2),
            ("in/b", b"-0.5", 1),
        ],
        ..NOTHING
    },
    Row {
        name: "properties, in and out",
        program: r#"DEFINE ACTION Forward
ON TOPIC "from/+" DO
    PUBLISH TOPIC "to/" + TOPIC POSITION 2 WITH PAYLOAD
        WITH USER PROPERTIES
        WITH USER PROPERTY "via" = "lotmq"
        WITH CONTENT TYPE CONTENT TYPE
        WITH CORRELATION DATA CORRELATION DATA
        WITH RESPONSE TOPIC RESPONSE TOPIC
DEFINE ACTION Answer
ON TOPIC "ask" DO
    REPLY WITH PAYLOAD * 2 WITH MESSAGE EXPIRY 60
DEFINE ACTION Left
ON TOPIC "left" DO
    PUBLISH TOPIC "told" WITH MESSAGE EXPIRY
"#,
        traffic: &[
            ("from/a", b"1", 1),
            ("from/b", b"2", 1),
            ("from/c", b"", 1),
            ("ask", b"21", 1),
            ("left", b"", 1),
        ],
        properties: &[
            r#"{"user":[["b","1"],["a","2"],["b","3"]],"content_type":"text/plain","payload_format":"utf8"}"#,
            r#"{"correlation_base64":"/wA=","response_topic":"answers/x"}"#,
            "{}",
            r#"{"response_topic":"answers/hmi","correlation_data":"7"}"#,
            r#"{"expiry":4000}"#,
        ],
        ..NOTHING
    },
];

/// Returns the output of `lotmq run`.
fn through_run(row: &Row, program: &str, recording: &str) -> Vec<Out> {
    let seconds = row.time.0.to_string();
    let folder = tempfile::tempdir().unwrap();
    let modules = modules_in(folder.path(), row.modules);
    let mut arguments = vec!["run", program, "--replay", recording, "--for", &seconds, "--json"];
    arguments.extend(modules.iter().flat_map(|module| ["--module", module]));
    let ran = Program::run(LOTMQ, &arguments).unwrap();
    ran.stdout.lines().map(out).collect()
}

/// Writes the components of modules into a folder; what `--module` says of each.
fn modules_in(folder: &Path, modules: &[(&str, &str, &[u8], &str)]) -> Vec<String> {
    let module = |&(name, _, module, options): &(&str, &str, &[u8], &str)| {
        let file = folder.join(format!("{name}.wasm"));
        std::fs::write(&file, BASE64_STANDARD.decode(component(module)).unwrap()).unwrap();
        let options = if options.is_empty() { String::new() } else { format!(":{options}") };
        format!("{name}={}{options}", file.display())
    };
    modules.iter().map(module).collect()
}

/// A message as `lotmq run --json` prints it.
fn out(line: &str) -> Out {
    let message: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| message[name].as_str().map(str::to_owned);
    let payload = match text("payload") {
        Some(payload) => payload.into_bytes(),
        None => BASE64_STANDARD.decode(text("base64").unwrap()).unwrap(),
    };
    Out {
        topic: text("topic").unwrap(),
        payload,
        qos: message["qos"].as_u64().unwrap(),
        retain: message["retain"].as_bool().unwrap(),
        properties: known(&message),
    }
}

/// The members of an object that are properties.
fn known(message: &Value) -> Map<String, Value> {
    let member = |name: &str| Some((name.to_owned(), message.get(name)?.clone()));
    PROPERTIES.into_iter().filter_map(member).collect()
}

/// Properties of a message that a Client has got, as `lotmq run --json` shows them.
fn shown(list: &Properties<'_>) -> Map<String, Value> {
    let user: Vec<_> = list.user_properties().map(|(name, value)| json!([name, value])).collect();
    let data = list.correlation_data();
    let text = data.and_then(|data| std::str::from_utf8(data).ok());
    let of = [
        (!user.is_empty()).then(|| ("user", json!(user))),
        list.response_topic().map(|topic| ("response_topic", json!(topic))),
        text.map(|text| ("correlation_data", json!(text))),
        data.filter(|_| text.is_none())
            .map(|data| ("correlation_base64", json!(BASE64_STANDARD.encode(data)))),
        list.content_type().map(|text| ("content_type", json!(text))),
        list.message_expiry_interval().map(|seconds| ("expiry", json!(seconds))),
        list.payload_is_utf8().then(|| ("payload_format", json!("utf8"))),
    ];
    of.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Properties as a recording says them, for a packet.
fn encoded(text: &str) -> PropertyBuf {
    let stated: Value = serde_json::from_str(text).unwrap();
    let text = |name: &str| stated[name].as_str();
    let mut list = PropertyBuf::new();
    if text("payload_format") == Some("utf8") {
        list.push(PropertyId::PayloadFormatIndicator, PropertyValue::Byte(1)).unwrap();
    }
    if let Some(seconds) = stated["expiry"].as_u64() {
        let seconds = u32::try_from(seconds).unwrap();
        list.push(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(seconds)).unwrap();
    }
    for (id, name) in
        [(PropertyId::ContentType, "content_type"), (PropertyId::ResponseTopic, "response_topic")]
    {
        if let Some(text) = text(name) {
            list.push(id, PropertyValue::Utf8(text)).unwrap();
        }
    }
    let decoded = text("correlation_base64").map(|base64| BASE64_STANDARD.decode(base64).unwrap());
    if let Some(data) = decoded.as_deref().or_else(|| text("correlation_data").map(str::as_bytes)) {
        list.push(PropertyId::CorrelationData, PropertyValue::Binary(data)).unwrap();
    }
    for pair in stated["user"].as_array().into_iter().flatten() {
        let (name, value) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        list.push(PropertyId::UserProperty, PropertyValue::Utf8Pair(name, value)).unwrap();
    }
    list
}

/// Returns the output of a broker. The Client gets all messages as published, but not its own.
fn through_broker(row: &Row, program: &str) -> Vec<Out> {
    let broker = broker();
    let mut client = broker.connect(&ConnectOptions::v5("lotmq-run"));
    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    client.subscribe(&[("#", options)], Properties::EMPTY).unwrap();
    for &(name, world, module, options) in row.modules {
        let grants = if options.contains("-grant") { "" } else { "-grantAll" };
        let module = component(module);
        broker.command_ok(&format!("-addModule {name} -world {world} {grants} {options} wasm64:{module}"));
    }
    deploy(&broker, program);
    let mut all = Vec::new();
    receive(&mut client, row.at_start, &mut all);
    for (index, (topic, payload, outputs)) in row.traffic.iter().enumerate() {
        let properties = row.properties.get(index).map_or_else(PropertyBuf::new, |text| encoded(text));
        let publication = Publication { properties, ..Publication::new(*topic, *payload) };
        client.publish(&publication).unwrap();
        // The ping puts the next message into another turn. In one turn, the first run would see
        // the last value.
        client.ping().unwrap();
        receive(&mut client, *outputs, &mut all);
    }
    receive(&mut client, row.time.1, &mut all);
    if row.time.1 == 0 {
        // Behind everything else.
        send(&broker, "end", "");
        receive(&mut client, 1, &mut all);
        assert_eq!(all.pop().map(|last| last.topic).as_deref(), Some("end"), "{}", row.name);
    }
    all
}

fn deploy(broker: &Broker, program: &str) {
    let deployed = Program::run(LOTMQ, &["deploy", "-p", &broker.port(), program]).unwrap();
    assert_eq!(deployed.status.code(), Some(0), "{}{}", deployed.stdout, deployed.stderr);
}

fn receive(client: &mut Client, count: usize, all: &mut Vec<Out>) {
    for _ in 0..count {
        let message = client.receive(WAIT_MAX).unwrap();
        let message = message.unwrap_or_else(|| panic!("no message behind {all:?}"));
        let properties = shown(&message.properties());
        let (topic, payload) = (message.topic, message.payload);
        all.push(Out { topic, payload, qos: message.qos as u64, retain: message.retain, properties });
    }
}

#[test]
fn the_same_traffic_gives_the_same_in_lotmq_run_and_in_a_broker() {
    for row in ROWS {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let program = write("program.lot", row.program);
        let line = |(index, &(topic, payload, _)): (usize, &(&str, &[u8], usize))| {
            let at = "2026-01-15T10:00:00Z";
            let mut line = json!({ "at": at, "topic": topic, "base64": BASE64_STANDARD.encode(payload) });
            let properties = row.properties.get(index).map_or("{}", |text| text);
            let mut properties: Map<String, Value> = serde_json::from_str(properties).unwrap();
            line.as_object_mut().unwrap().append(&mut properties);
            format!("{line}\n")
        };
        let lines = row.traffic.iter().enumerate().map(line).collect::<String>();
        let recording = write("traffic.jsonl", &lines);
        let ran = through_run(row, &program, &recording);
        let expected =
            row.at_start + row.traffic.iter().map(|(_, _, outputs)| outputs).sum::<usize>() + row.time.1;
        assert_eq!(ran.len(), expected, "{}: {ran:#?}", row.name);
        assert_eq!(ran, through_broker(row, &program), "{}", row.name);
    }
}

/// Something that came of a message: what a definition published because of it, or that rules
/// denied it.
#[derive(Debug, PartialEq)]
enum Came {
    Out(Out),
    Denied { scope: String, topic: Option<String>, user: Option<String>, client_id: String },
}

const RULES: &str = r#"DEFINE RULE Writers WITH PRIORITY 100 FOR Publish TO TOPIC "plant/#"
    IF USER IN GROUP "ops" THEN
        ALLOW
    ELSE
        DENY
DEFINE RULE Own WITH PRIORITY 100 FOR Publish TO TOPIC "dev/+/#"
    IF CLIENTID IS TOPIC POSITION 2 THEN
        ALLOW
    ELSE
        DENY
DEFINE RULE Gate WITH PRIORITY 120 FOR Publish TO TOPIC "cmd/#"
    IF GET TOPIC "state/locked" IS "true" THEN
        DENY
    ELSE IF PAYLOAD > 100 THEN
        DENY
    ELSE
        ALLOW
DEFINE RULE Bob WITH PRIORITY 150 FOR Publish
    IF USER IS "bob" AND TOPIC STARTS_WITH "shared" THEN
        DENY
DEFINE RULE Admission WITH PRIORITY 100 FOR Connect
    IF CLIENTID STARTS_WITH "thief" THEN
        DENY
DEFINE RULE Undecided WITH PRIORITY 100 FOR Publish TO TOPIC "absent/#"
    IF MODULE "nobody" THEN
        ALLOW
DEFINE RULE Guarded WITH PRIORITY 100 FOR Publish TO TOPIC "guarded/#"
    IF MODULE "guard" THEN
        ALLOW
    ELSE
        DENY
DEFINE ACTION Tell
ON TOPIC "+/+/#" DO
    PUBLISH TOPIC "told" WITH TOPIC + " " + PAYLOAD
DEFINE ACTION Lock
ON TOPIC "lock" DO
    KEEP TOPIC "locks" WITH (GET TOPIC "locks" AS INT) + 1
    PUBLISH TOPIC "state/locked" WITH PAYLOAD
DEFINE ACTION Speed
ON TOPIC "cmd/+" DO
    PUBLISH TOPIC "plant/" + TOPIC POSITION 2 WITH PAYLOAD AND QOS = 2
"#;

/// User and Client Identifier, topic and payload, and how many messages come out because of it:
/// `None` where it is denied.
type Asked = (Option<&'static str>, &'static str, &'static str, &'static str, Option<usize>);

const ASKED: &[Asked] = &[
    (Some("ann"), "a", "plant/line1", "1", Some(1)),
    (Some("bob"), "b", "plant/line1", "2", None),
    (None, "x", "plant/line1", "3", None),
    (None, "c1", "dev/c1/t", "4", Some(1)),
    (None, "c1", "dev/c2/t", "5", None),
    (Some("root"), "r", "dev/c2/t", "6", Some(1)),
    (None, "thief1", "anything", "7", None),
    (Some("bob"), "b", "shared/x", "8", None),
    (Some("bob"), "b", "else/x", "9", Some(1)),
    (None, "x", "absent/x", "10", None),
    // A module that looks at the payload, at groups, at a last value and at its state.
    (None, "x", "guarded/x", "10", Some(1)),
    (None, "x", "guarded/x", "more than five", None),
    (Some("ann"), "a", "guarded/x", "more than five", Some(1)),
    (None, "x", "guarded/x", "error", None),
    (Some("ann"), "a", "plant/locked", "true", Some(1)),
    (None, "x", "guarded/x", "10", None),
    (Some("ann"), "a", "plant/locked", "false", Some(1)),
    (None, "x", "guarded/x", "10", Some(1)),
    // The owner of the definition may publish these messages.
    (None, "x", "cmd/speed", "50", Some(3)),
    (None, "x", "cmd/speed", "500", None),
    (None, "x", "lock", "true", Some(2)),
    (None, "x", "cmd/speed", "50", None),
    (None, "x", "lock", "false", Some(2)),
    (None, "x", "cmd/speed", "50", Some(3)),
];

/// The module that a rule asks.
const ASKED_MODULE: (&str, &str, &[u8], &str) = ("guard", "rule", GUARD, "-config 5");

/// Returns the results of [all questions](ASKED) in `lotmq run`.
fn asked_in_run(program: &str, recording: &str) -> Vec<Came> {
    let folder = tempfile::tempdir().unwrap();
    let guard = &modules_in(folder.path(), &[ASKED_MODULE])[0];
    let arguments =
        ["run", program, "--replay", recording, "--json", "-u", "ann", "--group", "ops", "--module", guard];
    let ran = Program::run(LOTMQ, &arguments).unwrap();
    let came = |line: &str| {
        let message: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| message[name].as_str().map(str::to_owned);
        match text("denied") {
            None => Came::Out(out(line)),
            Some(scope) => Came::Denied {
                scope,
                topic: text("topic"),
                user: text("username"),
                client_id: text("client_id").unwrap(),
            },
        }
    };
    ran.stdout.lines().map(came).collect()
}

/// Returns the same results from a broker.
fn asked_in_broker(program: &str) -> Vec<Came> {
    let broker = broker();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    broker.command_ok("-addUserToGroup ann ops");
    let (name, world, module, options) = ASKED_MODULE;
    let module = component(module);
    broker.command_ok(&format!("-addModule {name} -world {world} -grantAll {options} wasm64:{module}"));
    deploy(&broker, program);
    let mut observer = broker.root("observer");
    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: false,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    observer.subscribe(&[("#", options)], Properties::EMPTY).unwrap();
    let mut all = Vec::new();
    for &(user, client_id, topic, payload, outputs) in ASKED {
        let options = ConnectOptions::v5(client_id);
        let options = match user {
            Some("root") => options.user("root", "coreflux"),
            Some(user) => options.user(user, "pw"),
            None => options,
        };
        let denied = |scope: &str, topic: Option<&str>| Came::Denied {
            scope: scope.to_owned(),
            topic: topic.map(str::to_owned),
            user: user.map(str::to_owned),
            client_id: client_id.to_owned(),
        };
        let Ok(mut client) = Client::connect(broker.address(), &options) else {
            all.push(denied("Connect", None));
            continue;
        };
        let reason = client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap();
        let Some(outputs) = outputs else {
            assert_eq!(reason, ReasonCode::NotAuthorized, "{topic} {payload}");
            all.push(denied("Publish", Some(topic)));
            continue;
        };
        assert!(!reason.is_failure(), "{topic} {payload}: {reason:?}");
        let mut came = Vec::new();
        // The message itself first.
        receive(&mut observer, outputs + 1, &mut came);
        assert_eq!((&*came[0].topic, &*came[0].payload), (topic, payload.as_bytes()));
        all.extend(came.drain(1..).map(Came::Out));
    }
    all
}

#[test]
fn rules_decide_the_same_in_lotmq_run_and_in_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let program = write("program.lot", RULES);
    let line = |&(user, client_id, topic, payload, _): &Asked| {
        let mut line = json!({ "at": "2026-01-15T10:00:00Z", "topic": topic, "payload": payload, "qos": 1 });
        line["client_id"] = client_id.into();
        if let Some(user) = user {
            line["username"] = user.into();
        }
        format!("{line}\n")
    };
    let recording = write("traffic.jsonl", &ASKED.iter().map(line).collect::<String>());
    let ran = asked_in_run(&program, &recording);
    let denied = |came: &&Came| matches!(came, Came::Denied { .. });
    assert_eq!(
        ran.iter().filter(denied).count(),
        ASKED.iter().filter(|asked| asked.4.is_none()).count(),
        "{ran:#?}"
    );
    assert_eq!(ran, asked_in_broker(&program));
}
