//! Modules uploaded inline: installed, run, refused, switched, kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lotmq_client::{
    ConnectOptions, PropertyBuf, PropertyId, PropertyValue, ProtocolVersion, Publication, QoS,
};
use lotmq_test_support::{Broker, Program, WAIT_MAX};
use serde_json::Value;

use crate::outbox::ECHO;
use crate::rule_modules::GUARD;
use crate::{LOTMQ, broker, next, options, send};

/// The example guest as a core module, which its toolchain makes.
pub(crate) const SCALE: &[u8] = include_bytes!("../../sdk/examples/action-scale/prebuilt/action-scale.wasm");

/// The example that answers requests.
const ANSWER: &[u8] = include_bytes!("../../sdk/examples/action-answer/prebuilt/action-answer.wasm");

/// The example guest as a component.
pub(crate) fn scale() -> String {
    component(SCALE)
}

/// A guest that is checked in as a component, or as a core module, as a component.
pub(crate) fn component(module: &[u8]) -> String {
    if module.get(4..8) == Some(&[13, 0, 1, 0]) {
        return STANDARD.encode(module);
    }
    let component =
        wit_component::ComponentEncoder::default().module(module).unwrap().validate(true).encode();
    STANDARD.encode(component.unwrap())
}

/// A component with one manifest more.
pub(crate) fn with_manifest(component: &str, json: &str) -> String {
    let mut component = STANDARD.decode(component).unwrap();
    let name = b"lotmq:manifest";
    let len = 1 + name.len() + json.len();
    component.extend_from_slice(&[0, u8::try_from(len).unwrap(), u8::try_from(name.len()).unwrap()]);
    component.extend_from_slice(name);
    component.extend_from_slice(json.as_bytes());
    STANDARD.encode(component)
}

/// Compiles a program with `lotmq compile`.
pub(crate) fn compiled(program: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program.wasm");
    let arguments = ["compile", "-", "-o", path.to_str().unwrap()];
    Program::start_with_input(LOTMQ, &arguments, program).unwrap().wait().output();
    STANDARD.encode(std::fs::read(&path).unwrap())
}

fn scaled(broker: &Broker, raw: &str) -> String {
    let mut client = broker.client("");
    client.subscribe_to("scaled/#", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("raw/s1", raw)).unwrap();
    client.receive(WAIT_MAX).unwrap().unwrap().text()
}

#[test]
fn a_module_that_does_not_start_is_refused_and_the_one_before_runs_on() {
    let broker = options().variable("LOTMQ_MODULES_ALLOW_UNSTABLE", "true").start();
    let scale = scale();
    let scaling = format!("-addModule scale -world action -on raw/# -grantAll wasm64:{scale}");
    broker.command_ok(&scaling);
    // With so little memory none of them starts.
    let echo = STANDARD.encode(ECHO);
    for command in [
        format!("{scaling} -memory 1 -replace"),
        format!("-addModule twelve -world rule -memory 1 wasm64:{}", component(GUARD)),
        format!("-addModule echo -world route -memory 1 wasm64:{echo}"),
    ] {
        let reply = broker.command(&command);
        assert_eq!(reply.code(), "COMPILE_FAILED", "{reply:?}");
        assert!(reply.message().contains("does not start"), "{reply:?}");
    }
    assert_eq!(scaled(&broker, "21"), scaled(&broker, "21"));
    let listed = broker.command_ok("-listModules").data().to_string();
    assert!(!listed.contains("twelve") && !listed.contains("echo"), "{listed}");
    // The refused uploads leave no version to go back to.
    assert_eq!(broker.command("-rollbackModule scale").code(), "NO_FORMER_VERSION");
}

#[test]
fn a_rust_guest_runs_survives_a_kill_and_can_be_switched() {
    let mut broker = broker();
    let added = broker.command_ok(&format!(
        "-addModule scale -world action -on raw/# -grantAll -version 1 wasm64:{}",
        scale()
    ));
    assert_eq!(added.message(), "Module 'scale' added successfully!");
    assert_eq!(added.0["entityType"], "Module");
    assert_eq!(added.data()["state"], "enabled");
    assert_eq!(scaled(&broker, "215"), "21.5");
    broker.command_ok("-setEnv SCALE=2");
    assert_eq!(scaled(&broker, "4"), "8", "environment values are read at each run");
    broker.kill();
    broker.start_again();
    assert_eq!(scaled(&broker, "5"), "10");
    let info = broker.command_ok("-moduleInfo scale");
    assert_eq!((info.data()["version"].as_str(), info.data()["traps"].as_u64()), (Some("1"), Some(0)));
    assert_eq!(broker.command_ok("-disableModule scale").data()["state"], "disabled");
    assert_eq!(broker.command_ok("-listModules").data()[0]["state"], "disabled");
    assert_eq!(broker.command_ok("-enableModule scale").data()["state"], "enabled");
    assert_eq!(scaled(&broker, "5"), "10");
    assert_eq!(broker.command_ok("-removeModule scale").message(), "Module 'scale' removed successfully!");
    assert_eq!(broker.command("-moduleInfo scale").code(), "MODULE_NOT_FOUND");
}

#[test]
fn a_module_reads_its_configuration_and_writes_to_the_log() {
    let mut broker = broker();
    let module = scale();
    let add = |options: &str| {
        format!("-addModule scale -world action -on raw/# -grantAll {options} wasm64:{module}")
    };
    broker.command_ok(&add("-config 3"));
    assert_eq!(scaled(&broker, "4"), "12");
    broker.kill();
    broker.start_again();
    assert_eq!(scaled(&broker, "5"), "15");
    broker.command_ok(&add("-replace"));
    assert_eq!(scaled(&broker, "5"), "0.5", "a replacement has its own configuration");
    broker.client("").publish(&Publication::new("raw/s1", "no number")).unwrap();
    let line = broker.log().expect("1 readings could not be read so far");
    for part in ["WARN", "guest line", r#"definition="scale""#, r#"tenant="default""#, r#"kind="Module""#] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn a_module_has_figures_of_its_own_at_metrics() {
    let broker = broker();
    let module = scale();
    let add = |options: &str| {
        format!("-addModule scale -world action -on raw/# -grantAll {options} wasm64:{module}")
    };
    let figures = || {
        let text = broker.http("/metrics").body;
        let of_guests =
            text.lines().filter(|line| line.starts_with("lotmq_guest_") && line.contains("tenant="));
        of_guests.map(str::to_owned).collect::<Vec<_>>()
    };
    let of = r#"tenant="default",kind="Module",definition="scale""#;
    broker.command_ok(&add(""));
    assert!(figures().is_empty());
    for (options, raw, readings, last) in
        [("", "30", 1, "3"), ("", "5", 2, "0.5"), ("-replace", "20", 3, "2")]
    {
        if !options.is_empty() {
            broker.command_ok(&add(options));
        }
        scaled(&broker, raw);
        assert_eq!(
            figures(),
            [
                format!("lotmq_guest_counter_total{{{of},name=\"readings\"}} {readings}"),
                format!("lotmq_guest_gauge{{{of},name=\"last\"}} {last}"),
            ]
        );
    }
    broker.command_ok("-removeModule scale");
    assert!(figures().is_empty());
}

#[test]
fn state_outlives_restarts_and_replacements_and_goes_with_its_module() {
    let mut broker = broker();
    let module = scale();
    let add = |name: &str, options: &str| {
        format!("-addModule {name} -world action -on raw/{name} -grantAll {options} wasm64:{module}")
    };
    let count = |broker: &Broker, name: &str, count: u32| {
        broker.client("").publish(&Publication::new(format!("raw/{name}"), "no number")).unwrap();
        let (name, count) = (format!("definition=\"{name}\" "), format!("{count} readings could not"));
        let is_told = |line: &str| (line.contains(&name) && line.contains(&count)).then_some(());
        broker.log().wait_for(&count, is_told).unwrap();
    };
    broker.command_ok(&add("one", ""));
    broker.command_ok(&add("two", ""));
    count(&broker, "one", 1);
    count(&broker, "one", 2);
    count(&broker, "two", 1);
    broker.command_ok(&add("one", "-replace"));
    count(&broker, "one", 3);
    assert!(broker.stop().success());
    broker.start_again();
    count(&broker, "one", 4);
    count(&broker, "two", 2);
    broker.command_ok("-removeModule one");
    broker.command_ok(&add("one", ""));
    count(&broker, "one", 1);
    count(&broker, "two", 3);
    broker.command_ok("-removeKept $LOT/#");
    count(&broker, "two", 1);
}

#[test]
fn a_guest_answers_requests_with_all_that_mqtt_5_has() {
    let broker = broker();
    let module = component(ANSWER);
    broker.command_ok(&format!("-addModule answer -world action -on questions/# -grantAll wasm64:{module}"));
    let asker = ConnectOptions::new("asker").user("root", "coreflux").version(ProtocolVersion::V5);
    let mut client = broker.connect(&asker);
    client.subscribe_to("answers/1", QoS::AtLeastOnce).unwrap();
    client.subscribe_to("$SYS/Coreflux/Modules/answer/Error", QoS::AtLeastOnce).unwrap();
    let mut old = broker.client("of-3.1.1");
    old.subscribe_to("answers/#", QoS::AtMostOnce).unwrap();
    let mut properties = PropertyBuf::new();
    for (id, value) in [
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("b", "1")),
        (PropertyId::MessageExpiryInterval, PropertyValue::FourByte(60)),
        (PropertyId::ResponseTopic, PropertyValue::Utf8("answers/1")),
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("a", "")),
        (PropertyId::CorrelationData, PropertyValue::Binary(b"\0\xff")),
        (PropertyId::ContentType, PropertyValue::Utf8("text/plain")),
        (PropertyId::UserProperty, PropertyValue::Utf8Pair("b", "2")),
    ] {
        properties.push(id, value).unwrap();
    }
    let request = Publication { properties, ..Publication::new("questions/1", "who?") };
    client.publish(&request.qos(QoS::AtLeastOnce)).unwrap();
    let answer = client.receive(WAIT_MAX).unwrap().expect("the answer");
    assert_eq!((answer.topic.as_str(), answer.text().as_str()), ("answers/1", "WHO?"));
    assert_eq!(answer.qos, QoS::AtLeastOnce);
    let said = answer.properties.properties();
    assert!(said.payload_is_utf8());
    assert_eq!(said.correlation_data(), Some(&b"\0\xff"[..]));
    assert_eq!((said.content_type(), said.response_topic()), (Some("text/plain"), None));
    assert!((1..=60).contains(&said.message_expiry_interval().unwrap()));
    let users: Vec<_> = said.user_properties().collect();
    assert_eq!(users[..3], [("b", "1"), ("a", ""), ("b", "2")]);
    let (name, age_ms) = users[3];
    assert_eq!((name, age_ms.parse::<u64>().map(|_| users.len())), ("age-ms", Ok(4)));
    assert_eq!(next(&mut old), "answers/1=WHO?");
    old.publish(&Publication::new("questions/2", "nobody is to answer")).unwrap();
    assert!(next(&mut client).contains("NO_REQUEST"));
}

/// Waits for the line about a grant that module `scale` lacked.
pub(crate) fn refused(broker: &Broker, grant: &str) {
    let grant = format!("grant=\"{grant}\"");
    let is_told = |line: &str| (line.contains("was not granted") && line.contains(&grant)).then_some(());
    broker.log().wait_for(&grant, is_told).unwrap();
}

#[test]
fn a_module_has_what_it_was_granted_and_nothing_else() {
    let mut broker = broker();
    let module = scale();
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("$SYS/Coreflux/Modules/scale/Error", QoS::AtLeastOnce).unwrap();
    let mut listener = broker.root("listener");
    listener.subscribe_to("$SYS/Coreflux/Modules/scale/Log", QoS::AtLeastOnce).unwrap();
    broker.command_ok("-setEnv SCALE=2");
    let add = |options: &str| {
        let command = format!("-addModule scale -world action -on raw/# -replace {options} wasm64:{module}");
        broker.command_ok(&command)
    };
    let warned = |added: &lotmq_test_support::Reply| added.0["warnings"].to_string();
    let asks = serde_json::json!(["read:raw/#", "write:scaled/#", "env-read:SCALE", "state"]);
    let added = add("");
    assert_eq!((&added.data()["asked"], &added.data()["granted"]), (&asks, &serde_json::json!([])));
    assert!(
        warned(&added).contains("asks for read:raw/#, write:scaled/#, env-read:SCALE, state,"),
        "{added:?}"
    );
    send(&broker, "raw/a", "1");
    refused(&broker, "write:scaled/a");
    let added = add("-grant write:scaled/#");
    let change = serde_json::json!({
        "asked": {"now": asks, "added": [], "removed": []},
        "granted": {"now": ["write:scaled/#"], "added": ["write:scaled/#"], "removed": []},
    });
    assert_eq!(added.data()["changes"], change);
    assert_eq!(scaled(&broker, "215"), "21.5", "the environment value was not granted");
    // Whether that of the first run is told before it is replaced is a matter of when the broker
    // looks.
    let error = (0..10).map(|_| next(&mut watcher)).find(|error| error.contains("raw/s1")).unwrap();
    assert!(error.contains("GRANT_MISSING"), "{error}");
    assert!(error.contains("was not granted 'env-read:SCALE'"), "{error}");
    // Its last error may be another one by then; its lines have each.
    // Advice names what the module asks for, of which the one topic that came is a part.
    for (grant, advised) in [("env-read:SCALE", "env-read:SCALE"), ("write:scaled/a", "write:scaled/#")] {
        let told = format!("was not granted '{grant}'");
        let line = (0..10).map(|_| next(&mut listener)).find(|line| line.contains(&told)).expect(grant);
        let advice = format!("-grantModule scale -grant {advised} grants it");
        assert!(line.contains("\"code\":\"GRANT_MISSING\"") && line.contains(&advice), "{line}");
    }
    let error: Value = serde_json::from_str(error.split_once('=').unwrap().1).unwrap();
    assert_eq!((&error["trigger"]["topic"], &error["trigger"]["payload"]), (&"raw/s1".into(), &"215".into()));
    broker.client("").publish(&Publication::new("raw/a", "no number")).unwrap();
    refused(&broker, "state");
    let added = add("-grant write:scaled/# -grant env-read:* -grant secret-read:S");
    assert!(
        warned(&added).contains("GRANT_NOT_ASKED") && warned(&added).contains("secret-read:S"),
        "{added:?}"
    );
    assert_eq!(scaled(&broker, "4"), "8");
    broker.kill();
    broker.start_again();
    assert_eq!(scaled(&broker, "5"), "10", "grants outlive a restart");
    let info = broker.command_ok("-moduleInfo scale");
    assert_eq!(info.data()["granted"], serde_json::json!(["write:scaled/#", "env-read:*", "secret-read:S"]));
    assert_eq!(info.data()["asked"], asks);
    assert_eq!(broker.command_ok("-listModules").data()[0]["granted"], info.data()["granted"]);
    let command = format!("-addModule scale -world action -on raw/# -replace -grantAll wasm64:{module}");
    let added = broker.command_ok(&command);
    assert_eq!((&added.data()["granted"], added.0.get("warnings")), (&asks, None));
    assert_eq!(
        added.data()["changes"]["granted"]["removed"],
        serde_json::json!(["env-read:*", "secret-read:S"])
    );
}

/// The example with another code in place of `NOT_A_NUMBER`, which has as many bytes.
fn with_code(code: &[u8; 12]) -> String {
    let mut module = SCALE.to_vec();
    let known = b"NOT_A_NUMBER";
    let places: Vec<usize> =
        (0..module.len() - known.len()).filter(|at| module[*at..].starts_with(known)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| module[*at..*at + known.len()].copy_from_slice(code));
    component(&module)
}

#[test]
fn invalid_error_code_of_a_guest_is_quoted_in_the_message() {
    let broker = broker();
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("$SYS/Coreflux/Modules/scale/Error", QoS::AtLeastOnce).unwrap();
    for (code, expected, shown) in [
        (b"not a number", "GUEST_CODE_INVALID", "'not a number' is no code: 'warm' on"),
        (b"A\nB\x1b[2JCODES", "GUEST_CODE_INVALID", "'A\\nB\\u{1b}[2JCODES' is no code: 'warm' on"),
        (b"GUEST_4_CODE", "GUEST_CODE_INVALID", "'GUEST_4_CODE' is a code of the broker: 'warm' on"),
        (b"WINDOW_LIMIT", "GUEST_CODE_INVALID", "'WINDOW_LIMIT' is a code of the broker: 'warm' on"),
        (b"LOT4_MY_CODE", "LOT4_MY_CODE", "'warm' on"),
    ] {
        let module = with_code(code);
        broker.command_ok(&format!(
            "-addModule scale -world action -on raw/# -grantAll -replace wasm64:{module}"
        ));
        send(&broker, "raw/a", "warm");
        let error =
            (0..10).map(|_| next(&mut watcher)).find(|told| told.contains("is not a number\"")).unwrap();
        let error: Value = serde_json::from_str(error.split_once('=').unwrap().1).unwrap();
        assert_eq!(error["code"], expected, "{error}");
        assert!(error["message"].as_str().unwrap().starts_with(shown), "{error}");
    }
}

#[test]
fn a_trigger_that_was_not_granted_starts_nothing() {
    let broker = broker();
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("out/#", QoS::AtMostOnce).unwrap();
    let add = |trigger: &str, options: &str| {
        let has_payload = trigger.contains("ON TOPIC") || trigger.contains("ON CHANGE");
        let payload = if has_payload { "PAYLOAD" } else { "1" };
        let program =
            format!("DEFINE ACTION Hint\n{trigger} DO\n    PUBLISH TOPIC \"out/x\" WITH {payload}\n");
        let module = with_manifest(&compiled(&program), r#"{"asks":["write:out/#"]}"#);
        broker.command_ok(&format!(
            "-addModule hint -world action -replace -grant write:out/# {options} wasm64:{module}"
        ))
    };
    for (trigger, message) in [
        ("ON TOPIC \"go/+\"", "started by go/+, which it was not granted to read."),
        ("ON CHANGE \"go/+\"", "started by go/+, which it was not granted to read."),
        ("ON CHANGE \"$SYS/Coreflux/Actions/#\"", "started by $SYS/Coreflux/Actions/#, which"),
        ("ON EVERY 10 MILLISECONDS", "started by a timer, and only topics start a module."),
        ("ON START", "started by the start of the broker, and only topics start a module."),
        ("ON CONNECT", "started by clients, and only topics start a module."),
        ("ON SUBSCRIBE \"go/+\"", "started by clients, and only topics start a module."),
    ] {
        let added = add(trigger, "");
        let warnings = added.0["warnings"].to_string();
        assert!(warnings.contains("TRIGGER_NOT_GRANTED"), "{trigger}: {warnings}");
        assert!(warnings.contains(message), "{trigger}: {warnings}");
    }
    add("ON CHANGE \"go/+\"", "");
    send(&broker, "go/a", "kept from it");
    let added = add("ON CHANGE \"go/+\"", "-grant read:go/#");
    assert!(!added.0["warnings"].to_string().contains("TRIGGER_NOT_GRANTED"), "{added:?}");
    send(&broker, "go/a", "granted");
    assert_eq!(next(&mut watcher), "out/x=granted");
}

#[test]
fn a_module_without_a_manifest_has_all_topics_only_where_nothing_is_named() {
    let broker = broker();
    let module = compiled("DEFINE ACTION Up\nON TOPIC \"raw/+\" DO\n    PUBLISH TOPIC \"up\" WITH 1\n");
    for (options, granted) in [
        ("", &["read:#", "write:#"][..]),
        ("-on raw/+", &["read:#", "write:#"]),
        ("-topics a/#", &["read:a/#", "write:a/#"]),
        ("-grant write:b", &["write:b"]),
        ("-grant state", &["state"]),
        ("-grant env-read:X", &["env-read:X"]),
        ("-grantAll", &[]),
    ] {
        let added =
            broker.command_ok(&format!("-addModule m -world action -replace {options} wasm64:{module}"));
        assert_eq!(added.data()["granted"], serde_json::json!(granted), "{options}");
    }
}

#[test]
fn topics_that_no_grant_can_name_are_refused_and_the_longest_ones_outlive_a_restart() {
    let mut broker = broker();
    let module = scale();
    let add = |broker: &Broker, options: &str| {
        broker.command(&format!("-addModule m -world action -replace {options} wasm64:{module}"))
    };
    let (longest, longer) = ("a".repeat(1018), "a".repeat(1019));
    let many: Vec<String> = (0..257).map(|n| n.to_string()).collect();
    for option in ["-topics", "-on"] {
        for (filters, message) in [
            ("a, ", "'' is not a topic filter."),
            ("$share/g/a", "'$share/g/a' is a shared subscription. Name its topic filter alone."),
            (&longer, "A topic filter has 1019 bytes, limit 1018."),
            (&many.join(","), "257 topic filters are too many, limit 256."),
        ] {
            let reply = add(&broker, &format!("{option} \"{filters}\""));
            assert_eq!((reply.code(), reply.message()), ("FILTER_INVALID", message), "{option} {filters}");
        }
    }
    assert!(add(&broker, &format!("-topics {longest} -on {longest}")).success());
    broker.kill();
    broker.start_again();
    let info = broker.command_ok("-moduleInfo m");
    let granted = serde_json::json!([format!("read:{longest}"), format!("write:{longest}")]);
    assert_eq!(info.data()["granted"], granted);
}

#[test]
fn impossible_grants_are_rejected() {
    let broker = broker();
    let good = scale();
    for (options, message) in [
        ("-grant all", "'all' is not a grant: it begins with none of read:, write:, env-read:"),
        ("-grant read:a/#/b", "'read:a/#/b' is not a grant: it names no topic filter."),
        ("-grant endpoint:db:5432", "'endpoint:db:5432' means nothing for a module of world 'action'."),
    ] {
        let reply = broker.command(&format!("-addModule m -world action {options} wasm64:{good}"));
        assert_eq!(reply.code(), "GRANT_INVALID", "{reply:?}");
        assert!(reply.message().contains(message), "{reply:?}");
    }
    let twice = with_manifest(&good, r#"{"asks":[]}"#);
    let reply = broker.command(&format!("-addModule m -world action wasm64:{twice}"));
    assert_eq!(reply.code(), "MANIFEST_INVALID");
    let message = "The manifest of the module cannot be used: the component has 2 of them.";
    assert_eq!(reply.message(), message);
    assert_eq!(broker.command("-moduleInfo m").code(), "MODULE_NOT_FOUND");
}

#[test]
fn invalid_module_commands_are_rejected_with_a_code() {
    let broker = broker();
    let good = scale();
    let core = STANDARD.encode(SCALE);
    broker.command_ok(&format!("-addModule there -world action wasm64:{good}"));
    for (arguments, code, message) in [
        (
            format!("Bad -world action wasm64:{good}"),
            "MODULE_NAME_INVALID",
            "Module name 'Bad' is invalid: a name",
        ),
        (
            format!("there -world action wasm64:{good}"),
            "MODULE_EXISTS",
            "Module 'there' already exists. Use -replace.",
        ),
        (format!("m wasm64:{good}"), "MISSING_ARGUMENT", "Missing argument: -world."),
        ("m -world action".to_owned(), "MISSING_ARGUMENT", "Missing argument: wasm64:<base64>."),
        (format!("m -world model wasm64:{good}"), "WORLD_UNKNOWN", "Use action."),
        (format!("m -world plugin wasm64:{good}"), "WORLD_UNKNOWN", "World 'plugin' is unknown."),
        ("m -world action wasm64:%%%".to_owned(), "BASE64_INVALID", "wasm64 argument is not valid base64."),
        (
            format!("m -world action wasm64:{core}"),
            "NOT_A_COMPONENT",
            "The binary is a core module, a component is required.",
        ),
        (format!("m -world action -sha256 00 wasm64:{good}"), "HASH_MISMATCH", "Expected sha256 00, got "),
        (format!("m -world action -memory 9999 wasm64:{good}"), "ARGUMENT_INVALID", "from 1 to 64"),
        (
            format!("m -world action -topics a/#/b wasm64:{good}"),
            "FILTER_INVALID",
            "'a/#/b' is not a topic filter.",
        ),
        (format!("m -world action -speed 9 wasm64:{good}"), "ARGUMENT_INVALID", "Unknown option '-speed'."),
        (
            format!("m -world action --World rule wasm64:{good}"),
            "ARGUMENT_INVALID",
            "--World is given twice.",
        ),
        (
            format!("m -world action -time 99999999 wasm64:{good}"),
            "ARGUMENT_INVALID",
            "-time takes a number from 1 to",
        ),
        (
            format!("m -world action -grant wasm64:{good}"),
            "MISSING_ARGUMENT",
            "Missing argument: value of -grant.",
        ),
        (format!("m -world action -size 10 wasm64:{good}"), "SIZE_MISMATCH", "Expected 10 bytes, got "),
    ] {
        let reply = broker.command(&format!("-addModule {arguments}"));
        assert_eq!(reply.code(), code, "{reply:?}");
        assert!(reply.message().contains(message), "{reply:?}");
    }
    broker.command_ok(&format!("-addModule there -world action -replace -tenant default wasm64:{good}"));
    assert_eq!(broker.command_ok("-listModules -tenant default").message(), "1 module(s).");
    assert_eq!(broker.command_ok("-moduleInfo -tenant default there").data()["tenant"], "default");
    for command in ["listModules", "moduleInfo there", "removeModule there"] {
        let reply = broker.command(&format!("-{command} -tenant other"));
        assert_eq!((reply.code(), reply.message()), ("TENANT_NOT_FOUND", "Tenant 'other' not found."));
        let reply = broker.command(&format!("-{command} -tenant"));
        assert_eq!(reply.code(), "MISSING_ARGUMENT", "{reply:?}");
    }
    assert_eq!(broker.command("-moduleInfo there -force").code(), "TOO_MANY_ARGUMENTS");
    broker.command_ok("-removeModule there -force");
    for verb in ["removeModule", "moduleInfo", "enableModule", "disableModule"] {
        let reply = broker.command(&format!("-{verb} nope"));
        assert_eq!((reply.code(), reply.message()), ("MODULE_NOT_FOUND", "Module 'nope' not found."));
    }
}

/// `lotmq compile` writes a component like any other. The form for the broker's own cache is none.
#[test]
fn a_compiled_program_is_a_module_and_a_linked_one_is_refused_by_name() {
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    let program =
        "DEFINE ACTION Up\nON TOPIC \"raw/+\" DO\n    PUBLISH TOPIC \"scaled/up\" WITH PAYLOAD + 1\n";
    let compiled = |name: &str, options: &[&str]| {
        let path = folder.path().join(name);
        let arguments = [&["compile", "-", "-o", path.to_str().unwrap()], options].concat();
        Program::start_with_input(LOTMQ, &arguments, program).unwrap().wait().output();
        STANDARD.encode(std::fs::read(&path).unwrap())
    };
    let upload =
        |options: &str, base64: &str| broker.command(&format!("-addModule up {options} wasm64:{base64}"));
    let good = compiled("up.wasm", &[]);
    let added = upload("-world action", &good);
    assert!(added.success() && added.0.get("warnings").is_none(), "{added:?}");
    let linked = upload("-world action -replace", &compiled("linked.wasm", &["--linked"]));
    assert_eq!(linked.code(), "LINKED_COMPONENT", "{linked:?}");
    assert!(linked.message().contains("Compile it without --linked."), "{linked:?}");
    // The former one runs on; its facts name the trigger.
    assert_eq!(scaled(&broker, "4"), "5");
}

#[test]
fn errors_of_a_module_are_retained_until_it_is_replaced() {
    let broker = broker();
    let program = "DEFINE ACTION Wrong\nON TOPIC \"raw/+\" DO\n    PUBLISH TOPIC PAYLOAD WITH 1\n";
    let upload = format!("-addModule wrong -world action -replace wasm64:{}", compiled(program));
    broker.command_ok(&upload);
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Modules/wrong/Error", QoS::AtLeastOnce).unwrap();
    root.publish(&Publication::new("raw/1", "a/#")).unwrap();
    let error: Value = serde_json::from_str(&root.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
    assert_eq!((&error["action"], &error["trigger"]["payload"]), (&"wrong".into(), &"a/#".into()), "{error}");
    let mut late = broker.root("late");
    late.subscribe_to("$SYS/Coreflux/Modules/+/Error", QoS::AtLeastOnce).unwrap();
    assert!(late.receive(WAIT_MAX).unwrap().unwrap().retain);
    broker.command_ok(&upload);
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), "");
}

#[test]
fn topics_tell_of_a_module_until_it_is_removed() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Modules/scale", QoS::AtLeastOnce).unwrap();
    let added = broker.command_ok(&format!("-addModule scale -world action -on raw/# wasm64:{}", scale()));
    let told: Value = serde_json::from_str(&root.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
    assert_eq!(told, *added.data());
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    let expected = [
        "name",
        "tenant",
        "world",
        "version",
        "sha256",
        "bytes",
        "state",
        "installedUtc",
        "owner",
        "usedBy",
        "former",
        "signedBy",
        "asked",
        "granted",
        "notGranted",
        "calls",
        "traps",
        "errors",
        "missed",
    ];
    assert_eq!(keys, expected);
    let mut late = broker.root("late");
    late.subscribe_to("$SYS/Coreflux/Modules/+", QoS::AtLeastOnce).unwrap();
    let retained = late.receive(WAIT_MAX).unwrap().unwrap();
    assert!(retained.retain && retained.text().contains(r#""state":"enabled""#), "{}", retained.text());
    broker.command_ok("-removeModule scale");
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), "");
}

#[test]
fn the_sixty_fifth_module_is_refused() {
    let broker = broker();
    let good = scale();
    for n in 0..64 {
        broker.command_ok(&format!("-addModule m{n} -world action -disabled wasm64:{good}"));
    }
    let upload =
        |name: &str| broker.command(&format!("-addModule {name} -world action -replace wasm64:{good}"));
    let refused = upload("m64");
    assert_eq!(refused.code(), "QUOTA_EXCEEDED");
    assert_eq!(refused.message(), "Tenant 'default' already stores 64 modules.");
    assert!(upload("m63").success(), "a replacement needs no place of its own");
}

#[test]
fn a_replaced_module_has_the_limits_of_the_new_one() {
    let broker = broker();
    let work = "        SET \"t\" WITH \"a\" + {i} + \"b\" + {i} + \"c\"\n".repeat(10);
    let program = format!(
        "DEFINE ACTION Long\nON TOPIC \"raw/+\" DO\n    SET \"i\" WITH 0\n    LOOP\n        SET \"i\" WITH {{i}} + 1\n{work}    UNTIL {{i}} > 30000\n    \
         PUBLISH TOPIC \"scaled/up\" WITH {{i}}\n"
    );
    let base64 = compiled(&program);
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("$SYS/Coreflux/Modules/long/Error", QoS::AtLeastOnce).unwrap();
    for (time, replace) in [("1", ""), ("2", "-replace")] {
        broker.command_ok(&format!("-addModule long -world action -time {time} {replace} wasm64:{base64}"));
        send(&broker, "raw/a", "1");
        // The error of the former one is taken away before.
        let error = (0..2).map(|_| next(&mut watcher)).find(|error| error.contains("GUEST_TIME")).unwrap();
        assert!(error.contains(&format!("longer than {time} ms")), "{error}");
    }
}
