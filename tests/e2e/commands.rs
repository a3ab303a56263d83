//! `$SYS` commands as a new user tries them: wrong programs, unknown verbs, missing arguments,
//! missing rights.

use std::time::Duration;

use lotmq_client::{ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::{Value, json};

use crate::broker;

const COMMAND: &str = "$SYS/Coreflux/Command";
const OUTPUT: &str = "$SYS/Coreflux/Command/Output";

#[test]
fn wrong_programs_say_where_and_what_to_do() {
    let broker = broker();
    // Program, line and column of the first error, a word of its suggestion or message.
    let cases = [
        (
            "DEFINE ACTION A\nON TOPIC \"a\" DO\n    IF PAYLOAD > 3\n        PUBLISH TOPIC \"b\" WITH 1\n",
            3,
            19,
            "THEN",
        ),
        ("DEFINE ACTION A\nON TOPICO \"a\" DO\n    PUBLISH TOPIC \"b\" WITH 1\n", 2, 4, "TOPIC"),
        ("DEFINE ACTION A\n    ON TOPIC \"a\" DO\n        PUBLISH TOPIC \"b\" WITH 1\n", 2, 1, "column 1"),
        ("DEFINE ACTION \"A\"\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH 1\n", 1, 15, "A"),
        ("DEFINE ACTION A\nON EVERY 5 DO\n    PUBLISH TOPIC \"b\" WITH 1\n", 2, 10, "SECONDS"),
        ("DEFINE ACTION A\nON TOPIC \"a/#/b\" DO\n    PUBLISH TOPIC \"b\" WITH 1\n", 2, 10, "#"),
        ("DEFINE ACTION A\nON TOPIC \"a\" DO\n    publish TOPIC \"b\" WITH 1\n", 3, 5, "upper case"),
        ("DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH \"open\n", 3, 28, "\""),
    ];
    for (program, line, column, hint) in cases {
        let reply = broker.command(&format!("-addAction {program}"));
        assert!(!reply.success(), "{program}");
        let error = &reply.errors()[0];
        let is_at = |key: &str, expected: u64| error[key].as_u64() == Some(expected);
        assert!(is_at("line", line), "{program}: {error}");
        assert!(
            error["column"].as_u64().is_some_and(|found| found.abs_diff(column) <= 2),
            "{program}: {error}"
        );
        assert!(reply.message().starts_with("Parsing error: "), "{}", reply.message());
        let place = format!("({line},{})", error["column"]);
        assert!(reply.message().contains(&place), "{}", reply.message());
        assert!(error["code"].as_str().is_some_and(|code| code.starts_with("LOT")), "{error}");
        let said = format!("{} {}", error["message"], error["suggestions"]);
        assert!(said.contains(hint), "{program}: {error}");
    }
    assert_eq!(broker.command("-listEntities").data(), &json!([]));
}

#[test]
fn a_broken_upload_leaves_the_old_version_running() {
    let broker = broker();
    broker
        .command_ok("-addAction DEFINE ACTION A\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH \"old\"");
    assert!(
        !broker
            .command("-addAction DEFINE ACTION A\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\"")
            .success()
    );
    let mut client = broker.client("c");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("in", "x")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "old");
}

#[test]
fn mistakes_in_commands_are_answered_by_name() {
    let broker = broker();
    for (command, message, code) in [
        ("-foo", "Unknown command: -foo", "UNKNOWN_COMMAND"),
        ("-removeAction Nope", "Action 'Nope' not found.", "NOT_FOUND"),
        ("-runAction Nope", "Action 'Nope' not found.", "NOT_FOUND"),
        ("-installPythonPackage x", "Command -installPythonPackage is not available yet.", "NOT_AVAILABLE"),
        ("-removeUser root", "User root cannot be removed.", ""),
        ("-removeUser nobody", "User nobody not found.", ""),
    ] {
        let reply = broker.command(command);
        assert!(!reply.success(), "{command}");
        assert_eq!(reply.message(), message);
        assert!(code.is_empty() || reply.code() == code, "{command}: {reply:?}");
        assert!(!reply.code().is_empty(), "{command}: {reply:?}");
    }
    for (command, hint) in
        [("-addActoin x", "did you mean -addAction?"), ("-foo", "-help lists all commands")]
    {
        let reply = broker.command(command);
        let errors = reply.errors();
        assert!(errors[0]["suggestions"][0].as_str().is_some_and(|said| said.contains(hint)), "{errors:?}");
    }
    let misnamed = broker.command("-addModule Heat -world action wasm64:AA==");
    assert!(misnamed.message().contains("lower-case"), "{misnamed:?}");
    let missing = broker.command("-addUser onlyname");
    assert!(!missing.success());
    assert!(missing.message().starts_with("Missing argument: "), "{missing:?}");
    assert!(missing.message().contains("Usage: -addUser"), "{missing:?}");
}

#[test]
fn the_envelope_has_its_keys_in_order_and_echoes_the_request() {
    let broker = broker();
    let reply = broker.command("-removeAction Nope");
    let keys: Vec<&String> = reply.0.as_object().unwrap().keys().collect();
    let expected =
        ["success", "command", "requestId", "message", "entityType", "entityName", "data", "errors"];
    assert_eq!(keys, expected, "{reply:?}");
    for spelling in ["-LISTENTITIES", "--list-entities", "-list-entities"] {
        let reply = broker.command_ok(spelling);
        assert_eq!(reply.0["command"], "ListEntities", "{reply:?}");
    }
}

#[test]
fn several_entities_in_one_body_are_each_judged() {
    let broker = broker();
    let action = |name: &str, body: &str| format!("DEFINE ACTION {name}\nON TOPIC \"in\" DO\n    {body}\n");
    let text = [
        action("One", "PUBLISH TOPIC \"o\" WITH 1"),
        action("Two", "PUBLISH TOPIC"),
        action("Three", "PUBLISH TOPIC \"o\" WITH 3"),
    ]
    .concat();
    let reply = broker.command(&format!("-addAction {text}"));
    assert!(!reply.success());
    let entities: Vec<(&str, bool)> = reply.data()["entities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entity| (entity["name"].as_str().unwrap(), entity["success"] == true))
        .collect();
    assert_eq!(entities, [("One", true), ("Two", false), ("Three", true)]);
    let wrong_kind =
        broker.command("-addAction DEFINE MODEL M COLLAPSED\n    ADD STRING \"unit\" WITH \"C\"\n");
    assert!(!wrong_kind.success());
    assert!(wrong_kind.message().contains("'M' is a model. Use -addModel."), "{wrong_kind:?}");
}

#[test]
fn commands_without_the_right_get_nowhere() {
    let broker = broker();
    let mut anyone = broker.connect(&ConnectOptions::v5("anyone"));
    assert_eq!(anyone.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap(), ReasonCode::NotAuthorized);
    let command = Publication::new(COMMAND, "-listEntities").qos(QoS::AtLeastOnce);
    assert_eq!(anyone.publish(&command).unwrap(), ReasonCode::NotAuthorized);
    let mut older = broker.client("older");
    assert_eq!(older.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap(), ReasonCode::UnspecifiedError);
    assert_eq!(older.publish(&command).unwrap(), ReasonCode::Success, "3.1.1 is not told");
    older.ping().unwrap();
    assert!(older.receive(Duration::ZERO).unwrap().is_none());
}

#[test]
fn a_command_without_the_right_is_refused_to_who_asked_and_to_nobody_else() {
    let broker = broker();
    broker.command_ok("-addUser ann pw");
    let connect = |id: &str, user: &str, password: &str| {
        let mut client = broker.connect(&ConnectOptions::new(id).user(user, password));
        assert!(!client.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap().is_failure());
        client
    };
    let (mut root, mut ann) = (connect("root", "root", "coreflux"), connect("ann", "ann", "pw"));
    for (qos, command, expected) in [
        (QoS::AtLeastOnce, "-listEntities", "You are not allowed to execute -listEntities"),
        (QoS::AtMostOnce, "-noSuch", "You are not allowed to give commands"),
    ] {
        let before = broker.metric("lotmq_commands_refused_total").unwrap();
        let command = Publication::new(COMMAND, format!("{command} -requestId mine")).qos(qos);
        assert_eq!(ann.publish(&command).unwrap(), ReasonCode::Success, "3.1.1 is not told");
        let message = ann.receive(WAIT_MAX).unwrap().expect("a reply comes");
        let reply: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!((&reply["requestId"], &reply["success"]), (&"mine".into(), &false.into()));
        assert_eq!(reply["errors"][0]["code"], "PERMISSION_DENIED");
        assert!(reply["message"].as_str().unwrap().contains(expected), "{reply}");
        assert!(broker.metric("lotmq_commands_refused_total").unwrap() > before);
    }
    root.ping().unwrap();
    assert!(root.receive(Duration::ZERO).unwrap().is_none());
}

#[test]
fn unknown_commands_count_as_refused() {
    let broker = broker();
    for command in ["-noSuch", "-projectPull"] {
        let before = broker.metric("lotmq_commands_refused_total").unwrap();
        assert!(!broker.command(command).success());
        assert_eq!(broker.metric("lotmq_commands_refused_total"), Some(before + 1.0), "{command}");
    }
}

#[test]
fn command_replies_go_to_the_response_topic_too() {
    use lotmq_client::{PropertyId, PropertyValue};
    let broker = broker();
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("answers/1", QoS::AtLeastOnce).unwrap();
    let command = Publication::new(COMMAND, "-listEntities")
        .qos(QoS::AtLeastOnce)
        .property(PropertyId::ResponseTopic, PropertyValue::Utf8("answers/1"))
        .property(PropertyId::CorrelationData, PropertyValue::Binary(b"\0\x01"));
    root.publish(&command).unwrap();
    let answer = root.receive(WAIT_MAX).unwrap().unwrap();
    assert_eq!(answer.properties().correlation_data(), Some(&b"\0\x01"[..]));
    assert!(answer.text().starts_with(r#"{"success":true,"command":"ListEntities""#), "{}", answer.text());
}

#[test]
fn a_reply_has_no_delay() {
    use lotmq_client::{PropertyId, PropertyValue};
    let broker = broker();
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("answers/1", QoS::AtLeastOnce).unwrap();
    for topic in ["$delayed/1/answers/1", "answers/1"] {
        let command = Publication::new(COMMAND, topic)
            .qos(QoS::AtLeastOnce)
            .property(PropertyId::ResponseTopic, PropertyValue::Utf8(topic));
        root.publish(&command).unwrap();
    }
    let answer = root.receive(WAIT_MAX).unwrap().unwrap();
    assert!(answer.text().contains("answers/1"), "{}", answer.text());
    assert_eq!(broker.metric("lotmq_delayed_messages"), Some(0.0));
    assert_eq!(broker.metric("lotmq_delayed_published_total"), Some(0.0));
}

#[test]
fn source_and_error_topics_follow_the_life_of_an_action() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/Life", QoS::AtLeastOnce).unwrap();
    let source =
        "-- first line\nDEFINE ACTION Life\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"o\" WITH PAYLOAD";
    broker.command_ok(&format!("-addAction {source}"));
    let deployed = root.receive(WAIT_MAX).unwrap().unwrap();
    assert_eq!(deployed.text(), source);
    broker.command_ok("-removeAction Life");
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), "");
}

#[test]
fn each_entity_of_a_body_is_published_as_its_own_slice() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/+", QoS::AtLeastOnce).unwrap();
    let body = |name: &str, payload: &str| {
        format!("DEFINE ACTION {name}\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"o\" WITH {payload}\n")
    };
    let (one, two, three) = (body("One", "1"), body("Two", ""), body("Three", "3"));
    let text =
        format!("-- the file\n\n-- first\n{one}-- after it\n\n-- second\n{two}\n\n-- third\n{three}\n\n");
    let reply = broker.command(&format!("-addAction {text}"));
    assert!(!reply.success());
    assert_eq!(
        (reply.0["entityName"].as_str(), reply.message()),
        (Some("One"), "Action 'One' added successfully!")
    );
    assert_eq!(reply.data()["entities"][1]["errors"][0]["line"], 12, "{reply:?}");
    let mut published: Vec<(String, String)> = (0..2)
        .map(|_| root.receive(WAIT_MAX).unwrap().unwrap())
        .map(|message| (message.topic.clone(), message.text()))
        .collect();
    published.sort();
    let topic = |name: &str| format!("$SYS/Coreflux/Actions/{name}");
    let expected = [
        (topic("One"), format!("-- first\n{one}-- after it\n")),
        (topic("Three"), format!("-- third\n{three}")),
    ];
    assert_eq!(published, expected);
}

#[test]
fn valid_entity_is_added_although_other_text_fails_to_parse() {
    let broker = broker();
    let text = "DEFIN ACTION A\nDEFINE ACTION B\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"o\" WITH 1\n";
    let reply = broker.command(&format!("-addAction {text}"));
    assert!(!reply.success());
    assert!(reply.message().starts_with("Parsing error: "), "{reply:?}");
    assert_eq!(reply.data(), &json!({"entities":[{"type":"Action","name":"B","success":true,"errors":[]}]}));
    assert_eq!(broker.command_ok("-listEntities").data()[0]["name"], "B");
}

#[test]
fn entity_with_missing_dependency_stays_pending() {
    let broker = broker();
    let caller = "DEFINE ACTION Caller\nON TOPIC \"in\" DO\n    CALL ACTION Double WITH x = PAYLOAD RETURN y\n    PUBLISH TOPIC \"out\" WITH {y}\n";
    let added = broker.command_ok(&format!("-addAction {caller}"));
    assert_eq!(added.message(), "Action 'Caller' added successfully!");
    assert_eq!(added.0["warnings"][0]["code"], "PENDING", "{added:?}");
    let pending = broker.command_ok("-getPendingStatus");
    assert_eq!(pending.data(), &json!([{"kind":"action","name":"Caller","missing":["Action Double"]}]));
    let report = broker.command_ok("-lotDiagnostic action Caller");
    assert_eq!(report.data()["state"], "pending");
    assert_eq!(report.data()["dependencies"], json!([{"kind":"action","name":"Double","present":false}]));
    let callee =
        "DEFINE ACTION Double\nINPUT x AS INT\nDO\n    SET \"y\" WITH {x} * 2\nRETURN\n    OUTPUT y\n";
    broker.command_ok(&format!("-addAction {callee}"));
    assert_eq!(broker.command_ok("-getPendingStatus").message(), "No pending models or actions.");
    let misspelt = caller.replace("ACTION Caller", "ACTION Other").replace("ACTION Double", "ACTION Duoble");
    let added = broker.command_ok(&format!("-addAction {misspelt}"));
    assert_eq!(added.0["warnings"][0]["suggestions"], json!(["did you mean Double?"]), "{added:?}");
    let mut client = broker.client("c");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    client.publish(&Publication::new("in", "21")).unwrap();
    assert_eq!(client.receive(WAIT_MAX).unwrap().unwrap().text(), "42");
}

#[test]
fn traces_tell_of_runs_while_they_are_armed() {
    let broker = broker();
    broker.command_ok(
        "-addAction DEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD",
    );
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/Echo/Trace", QoS::AtLeastOnce).unwrap();
    root.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    let mut sensor = broker.client("sensor");
    let mut traced = |payload: &str| {
        sensor.publish(&Publication::new("in", payload).qos(QoS::AtLeastOnce)).unwrap();
    };
    traced("before");
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), "before");
    let armed = broker.command_ok("-actionTrace Echo");
    let keys: Vec<&String> = armed.data().as_object().unwrap().keys().collect();
    assert_eq!(keys, ["action", "topic", "expiresUtc"]);
    assert_eq!(armed.data()["topic"], "$SYS/Coreflux/Actions/Echo/Trace");
    traced("now");
    let mut both = [root.receive(WAIT_MAX).unwrap().unwrap(), root.receive(WAIT_MAX).unwrap().unwrap()];
    both.sort_by_key(|message| message.topic != "out");
    let trace: Value = serde_json::from_str(&both[1].text()).unwrap();
    let keys: Vec<&String> = trace.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["action", "traceId", "trigger", "timing", "published", "result", "error"], "{trace}");
    assert_eq!(trace["trigger"], json!({"topic":"in","payload":"now","clientId":"sensor"}));
    assert_eq!(trace["published"], json!([{"topic":"out","payload":"now"}]));
    assert_eq!((&trace["result"], &trace["error"]), (&json!("success"), &json!(null)));
    let ran = broker.command_ok("-runAction Echo {\"topic\":\"in\",\"payload\":\"by hand\"}");
    let mut both = [root.receive(WAIT_MAX).unwrap().unwrap(), root.receive(WAIT_MAX).unwrap().unwrap()];
    both.sort_by_key(|message| message.topic != "out");
    let trace: Value = serde_json::from_str(&both[1].text()).unwrap();
    assert_eq!(trace["traceId"], ran.data()["traceId"], "{trace}");
    broker.command_ok("-actionTrace off");
    traced("after");
    traced("end");
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), "after");
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), "end", "no trace between them");
}

#[test]
fn a_secret_that_is_not_there_is_empty_and_an_error() {
    let broker = broker();
    broker.command_ok("-addAction DEFINE ACTION Ask\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH \"[\" + (GET SECRET \"NOPE\") + (GET ENV \"NOPE\") + \"]\"");
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/Ask/Error", QoS::AtLeastOnce).unwrap();
    root.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    root.publish(&Publication::new("in", "x")).unwrap();
    let mut both = [root.receive(WAIT_MAX).unwrap().unwrap(), root.receive(WAIT_MAX).unwrap().unwrap()];
    both.sort_by_key(|message| message.topic != "out");
    assert_eq!(both[0].text(), "[]");
    let error: Value = serde_json::from_str(&both[1].text()).unwrap();
    assert!(error["message"].as_str().unwrap().contains("NOPE"), "{error}");
}

#[test]
fn callers_that_do_not_fit_the_new_version_are_reported() {
    let broker = broker();
    let callee = |outputs: &str| {
        format!(
            "-addAction DEFINE ACTION Double\nINPUT x AS INT\nDO\n    SET \"y\" WITH {{x}} * 2\nRETURN\n    OUTPUT {outputs}\n"
        )
    };
    broker.command_ok(&callee("y"));
    broker.command_ok(
        "-addAction DEFINE ACTION Caller\nON TOPIC \"in\" DO\n    CALL ACTION Double WITH x = PAYLOAD RETURN y\n    PUBLISH TOPIC \"out\" WITH {y}\n",
    );
    assert_eq!(broker.command_ok(&callee("y")).0.get("warnings"), None);
    let changed = broker.command_ok(&callee("y\n    OUTPUT x"));
    let warning = &changed.0["warnings"][0];
    assert_eq!(warning["code"], "DEPENDENT_MISFIT", "{changed:?}");
    let text = warning["message"].as_str().unwrap();
    assert!(text.starts_with("Action 'Caller' does not fit this version: "), "{text}");
    let wider = callee("y").replace("DO\n", "INPUT z\nDO\n    PUBLISH TOPIC \"z\" WITH {z}\n");
    let changed = broker.command_ok(&wider);
    let text = changed.0["warnings"][0]["message"].as_str().unwrap();
    assert!(text.contains("gets no value for its input `z`"), "{text}");
}

#[test]
fn kept_values_are_listed_and_removed() {
    let broker = broker();
    broker.command_ok("-addAction DEFINE ACTION Keep\nON TOPIC \"in/+\" DO\n    KEEP TOPIC \"kept/+\" WITH PAYLOAD\n    PUBLISH TOPIC \"out\" WITH 1\n");
    let mut client = broker.client("c");
    client.subscribe_to("out", QoS::AtMostOnce).unwrap();
    for name in ["a", "b"] {
        client.publish(&Publication::new(format!("in/{name}"), "12345")).unwrap();
        client.receive(WAIT_MAX).unwrap().unwrap();
    }
    let listed = broker.command_ok("-listKept");
    assert_eq!((listed.message(), listed.data().as_array().unwrap().len()), ("2 kept value(s).", 2));
    let one = broker.command_ok("-listKept kept/b");
    assert_eq!(one.data(), &json!([{"topic": "kept/b", "value": "12345", "bytes": 5, "user": "root"}]));
    client.publish(&Publication::new("in/long", "ä".repeat(300))).unwrap();
    client.receive(WAIT_MAX).unwrap().unwrap();
    let value = format!("{}…", "ä".repeat(200));
    assert_eq!(broker.command_ok("-listKept kept/long").data()[0]["value"], value);
    assert_eq!(broker.command_ok("-removeKept kept/long").message(), "1 kept value(s) removed.");
    assert_eq!(broker.command_ok("-removeKept kept/b").message(), "1 kept value(s) removed.");
    assert_eq!(broker.command_ok("-listKept").message(), "1 kept value(s).");
    assert!(!broker.command("-removeKept a#").success());
    assert!(!broker.command("-removeKept").success());
}

/// Of many large programs that come at once two are compiled at a time, which leaves threads to
/// everything else.
#[test]
fn uploads_do_not_keep_other_commands_waiting() {
    const UPLOADS: usize = 12;
    let broker = broker();
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to(OUTPUT, QoS::AtLeastOnce).unwrap();
    let mut uploaders: Vec<_> =
        (0..UPLOADS).map(|number| broker.root(&format!("uploader-{number}"))).collect();
    let mut other = broker.root("other");
    // One statement that takes as long to compile as one may.
    let commands: Vec<_> = (0..UPLOADS)
        .map(|number| {
            let values = vec![format!("IF PAYLOAD THEN {number} ELSE 2"); 2_000].join(", ");
            let program = format!(
                "DEFINE ACTION A{number}\nON TOPIC \"t\" DO\n    PUBLISH TOPIC \"o\" WITH [{values}]\n"
            );
            Publication::new(COMMAND, format!("-addAction {program} -requestId upload"))
        })
        .collect();
    for (uploader, command) in uploaders.iter_mut().zip(&commands) {
        uploader.send_publish(command).unwrap();
    }
    other.send_publish(&Publication::new(COMMAND, "-listEntities -requestId list")).unwrap();
    let mut answered = Vec::new();
    while answered.len() <= UPLOADS {
        let message = watcher.receive(WAIT_MAX).unwrap().expect("all are answered");
        let reply: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(reply["success"], true, "{reply}");
        answered.push(reply["requestId"] == "list");
    }
    // Were all of eight threads taken, five of them would have to end before.
    let before = answered.iter().position(|is_list| *is_list).expect("it is answered");
    assert!(before < 5, "behind {before} uploads");
}

/// Behind the verb is where people put it, in front of a long text.
#[test]
fn a_request_is_named_behind_the_verb_or_at_the_end_and_nowhere_else() {
    let broker = broker();
    let entity = |name: &str| {
        format!("DEFINE ACTION {name}\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"o\" WITH \"-requestId x\"\n")
    };
    let (one, two) = (entity("One"), entity("Two"));
    for command in [
        format!("-addAction -requestId front {one}"),
        format!("-addAction -requestId front\n{one}"),
        format!("-addAction -replace -requestId front {one}"),
        format!("-addAction -requestId front -replace {one}"),
        "-setEnv -requestId front SITE=north".to_owned(),
    ] {
        let reply = answer(&broker, &command);
        assert_eq!((&reply["success"], &reply["requestId"]), (&true.into(), &"front".into()), "{command}");
    }
    broker.command_ok("-removeAction One");
    for (command, line) in [
        (format!("-addAction {one}-requestId midst\n{two}"), 4),
        (format!("-addAction {one}{two}-requestId two words"), 7),
        (format!("-addAction -requestId front {one}-requestId\n"), 4),
        ("-addPython # Script Name: S\n-requestId midst\nx = 1\n".to_owned(), 2),
        ("-addUser bob -requestId".to_owned(), 1),
        ("-addUser bob -requestId midst password".to_owned(), 1),
    ] {
        let reply = answer(&broker, &command);
        assert_eq!(reply["errors"][0]["code"], "REQUEST_ID_MISPLACED", "{command}: {reply}");
        let expected = format!(
            "-requestId in line {line} is misplaced: it goes once, right behind the verb or at the very end, with one word of at most 128 characters."
        );
        assert_eq!(reply["message"], expected);
    }
    assert_eq!(broker.command("-removeAction One").code(), "NOT_FOUND", "nothing was added");
    assert!(!broker.command_ok("-listUsers").0.to_string().contains("bob"));
}

/// Reply to a command that is sent as it is.
fn answer(broker: &Broker, command: &str) -> Value {
    let mut root = broker.root("asks");
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
    root.publish(&Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce)).unwrap();
    serde_json::from_slice(&root.receive(WAIT_MAX).unwrap().expect("a reply comes").payload).unwrap()
}

#[test]
fn removal_reports_dependent_entities() {
    let broker = broker();
    let callee = "-addAction DEFINE ACTION Double\nINPUT x AS INT\nDO\n    SET \"y\" WITH {x} * 2\nRETURN\n    OUTPUT y\n";
    let caller = |name: &str| {
        format!(
            "-addAction DEFINE ACTION {name}\nON TOPIC \"in\" DO\n    CALL ACTION Double WITH x = PAYLOAD RETURN y\n    PUBLISH TOPIC \"out\" WITH {{y}}\n"
        )
    };
    broker.command_ok(callee);
    assert_eq!(broker.command_ok("-removeAction Double").0.get("warnings"), None, "nobody needs it");
    broker.command_ok(callee);
    broker.command_ok(&caller("Caller"));
    let warning_of = |command: &str| {
        let done = broker.command_ok(command);
        let warning = &done.0["warnings"][0];
        assert_eq!(warning["code"], "DEPENDENT_WAITS", "{done:?}");
        warning["message"].as_str().unwrap().to_owned()
    };
    let told = warning_of("-removeAction Double");
    assert_eq!(told, "Action 'Caller' needs Action 'Double' and does not run until it is added again.");
    let pending = broker.command_ok("-getPendingStatus").data().to_string();
    assert!(pending.contains("Caller") && pending.contains("Double"), "{pending}");
    broker.command_ok(callee);
    broker.command_ok(&caller("Other"));
    let told = warning_of("-removeAction Double");
    assert!(
        told.starts_with("Action 'Caller' and Action 'Other' need Action 'Double' and do not run"),
        "{told}"
    );
    // Definitions removed by the same command need nothing any more.
    broker.command_ok(callee);
    assert_eq!(broker.command_ok("-removeAllActions").0.get("warnings"), None);

    broker.command_ok("-addModel DEFINE MODEL Unit COLLAPSED\n    ADD STRING \"unit\" WITH \"C\"\n");
    broker.command_ok("-addAction DEFINE ACTION Tell\nON TOPIC \"in\" DO\n    PUBLISH MODEL Unit TO \"out\" WITH\n        unit = \"K\"\n");
    for remove in ["-removeModel Unit", "-removeAllModels"] {
        let told = warning_of(remove);
        assert!(told.starts_with("Action 'Tell' needs Model 'Unit'"), "{remove}: {told}");
        broker.command_ok("-addModel DEFINE MODEL Unit COLLAPSED\n    ADD STRING \"unit\" WITH \"C\"\n");
    }
}

#[test]
fn existing_rule_is_replaced_only_with_the_replace_flag() {
    let broker = broker();
    let rule = "DEFINE RULE Once WITH PRIORITY 100 FOR Publish TO TOPIC \"x\"\n    DENY";
    broker.command_ok(&format!("-addRule {rule}"));
    let refused = broker.command(&format!("-addRule {rule}"));
    assert_eq!(refused.code(), "EXISTS");
    let hint = refused.errors()[0]["suggestions"][0].as_str().unwrap().to_owned();
    assert!(hint.starts_with("-addRule -replace takes the place of 'Once'; `lotmq deploy "), "{hint}");
    broker.command_ok(&format!("-addRule -replace {rule}"));
    let meant = broker.command("-listActions");
    let hint = meant.errors()[0]["suggestions"][0].as_str().unwrap().to_owned();
    assert!(hint.starts_with("did you mean -listEntities?"), "{hint}");
}
