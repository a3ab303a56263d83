//! Routes as a user has them: uploaded by command, fired by topics, TRIGGER and `$SYS`, failing,
//! replaced, there again after a restart. The far side is the type `LOOPBACK`.

use lotmq_client::{Client, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually};
use serde_json::{Value, json};

use crate::{LOTMQ, broker, next, options, send, watch};

/// A route that answers what it gets, with these settings more.
fn route(name: &str, config: &str, event: &str) -> String {
    let lines = |indentation: &str, text: &str| -> String {
        text.lines().map(|line| format!("{indentation}WITH {line}\n")).collect()
    };
    let config = if config.is_empty() {
        String::new()
    } else {
        format!("    ADD LOOPBACK_CONFIG\n{}", lines("        ", config))
    };
    format!(
        "-addRoute DEFINE ROUTE {name} WITH TYPE LOOPBACK\n{config}    ADD EVENT Save\n        WITH SOURCE_TOPIC \"dev/+/save\"\n        WITH DESTINATION_TOPIC \"answer/{{topic.2}}\"\n{}",
        lines("        ", event)
    )
}

/// Sees how a route stands, from now on.
fn watch_status(broker: &Broker, name: &str) -> Client {
    let mut root = broker.root("reader of status");
    root.subscribe_to(&format!("$SYS/Coreflux/Routes/{name}/status"), QoS::AtMostOnce).unwrap();
    root
}

/// How the route stands, as soon as it stands like that.
fn status(watcher: &mut Client, is_so: impl Fn(&Value) -> bool) -> Value {
    loop {
        let message = watcher.receive(WAIT_MAX).unwrap().expect("a status");
        let status: Value = serde_json::from_str(&message.text()).unwrap();
        if is_so(&status) {
            return status;
        }
    }
}

fn is_connected(status: &Value) -> bool {
    status["connection"] == "Connected"
}

/// Waits until the driver has opened the route: `-listRoutes` tells as soon as it is so.
fn wait_connected(broker: &Broker, name: &str) {
    eventually("a connected route", || {
        let rows = broker.command_ok("-listRoutes").data().clone();
        let row = rows.as_array().unwrap().iter().find(|row| row["name"] == name).cloned()?;
        (row["connection"] == "Connected").then_some(())
    });
}

#[test]
fn a_route_from_upload_to_removal() {
    let mut broker = broker();
    let mut stands = watch_status(&broker, "PlantDb");
    let text = route("PlantDb", "MAX_ROWS '5'", "TABLE \"t\"\nQOS 1\nRETAIN");
    let reply = broker.command_ok(&text);
    assert_eq!(reply.message(), "Route 'PlantDb' added successfully!");
    assert_eq!(reply.0["entityType"], "Route");
    wait_connected(&broker, "PlantDb");
    let listed = broker.command_ok("-listRoutes");
    assert_eq!(listed.message(), "1 route(s).");
    let row = &listed.data()[0];
    assert_eq!(
        (&row["type"], &row["health"], &row["errors"]),
        (&json!("LOOPBACK"), &json!("Green"), &json!(0))
    );
    assert_eq!(broker.command_ok("-connectionStatus").message(), "PlantDb (LOOPBACK): Connected, Green");
    let probe = broker.command_ok("-checkRouteConnection PlantDb");
    assert_eq!((&probe.data()["reachable"], &probe.data()["type"]), (&json!(true), &json!("LOOPBACK")));
    let report = broker.command_ok("-lotDiagnostic route PlantDb");
    assert_eq!(report.data()["state"], "running");
    assert_eq!(report.data()["triggers"], json!(["ON TOPIC \"dev/+/save\""]));

    let mut answers = watch(&broker, "answer/#");
    send(&broker, "dev/a/save", "{\"v\":5}");
    assert_eq!(next(&mut answers), "answer/a={\"v\":5}");
    let told = status(&mut stands, |status| status["messages"]["succeeded"] == json!(1));
    assert_eq!(told["messages"], json!({"total": 1, "succeeded": 1, "failed": 0, "received": 1}));

    broker.kill();
    broker.start_again();
    wait_connected(&broker, "PlantDb");
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Routes/PlantDb", QoS::AtMostOnce).unwrap();
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), &text["-addRoute ".len()..]);
    let mut answers = watch(&broker, "answer/#");
    let kept = answers.receive(WAIT_MAX).unwrap().unwrap();
    assert!(kept.retain, "RETAIN of the event");
    // Not a row, so it can never pass; the next one does.
    send(&broker, "dev/b/save", "no JSON");
    send(&broker, "dev/c/save", "{}");
    // The broker may have been killed before it was stored that the first is done.
    let answer = std::iter::repeat_with(|| next(&mut answers)).find(|answer| answer != "answer/a={\"v\":5}");
    assert_eq!(answer.as_deref(), Some("answer/c={}"));
    let report = broker.command_ok("-lotDiagnostic route PlantDb");
    assert_eq!(report.data()["lastError"]["code"], "ROUTE_REJECTED");
    assert_eq!(report.data()["lastError"]["trigger"], json!({"topic": "dev/b/save", "payload": "no JSON"}));

    broker.command_ok("-removeRoute PlantDb");
    assert_eq!(broker.command_ok("-listRoutes").message(), "No routes registered.");
    assert_eq!(broker.command("-removeRoute PlantDb").message(), "Route 'PlantDb' not found.");
    broker.command_ok(&route("A", "", ""));
    broker.command_ok(&route("B", "", ""));
    assert_eq!(broker.command_ok("-listRoutes").message(), "2 route(s).");
    assert_eq!(broker.command_ok("-removeAllRoutes").message(), "Removed all routes successfully");
    send(&broker, "dev/d/save", "{}");
    send(&broker, "answer/barrier", "x");
    assert_eq!(next(&mut answers), "answer/barrier=x");
}

/// The text with its fields filled and without what describes it, as a client of the original's
/// templates does that.
fn filled(template: &str) -> String {
    let mut lines = Vec::new();
    let mut is_described = false;
    for line in template.lines() {
        let indentation = line.len() - line.trim_start().len();
        is_described = line.trim_start().starts_with("ADD METADATA") || is_described && indentation > 4;
        if is_described {
            continue;
        }
        let Some((before, field)) = line.split_once('#') else {
            lines.push(line.to_owned());
            continue;
        };
        let field = field.strip_suffix('#').unwrap();
        let [name, kind, description, _, env] = field.split(',').collect::<Vec<_>>().try_into().unwrap();
        assert!(!name.is_empty() && !description.is_empty() && ["true", "false"].contains(&env), "{field}");
        let value = match kind {
            "int" => "7".to_owned(),
            "string" => format!("\"{}\"", name.to_lowercase()),
            other => panic!("a field of kind {other}"),
        };
        lines.push(format!("{before}{value}"));
    }
    lines.join("\n")
}

#[test]
fn every_type_that_runs_has_a_template_that_deploys() {
    let broker = broker();
    let listed = broker.command_ok("-listTemplates");
    let types = [
        "EMAIL",
        "FILE_STORAGE",
        "INFLUXDB",
        "KAFKA",
        "LOOPBACK",
        "MODBUS_TCP",
        "MODBUS_SERIAL",
        "MONGODB",
        "MQTT_BRIDGE",
        "MYSQL",
        "MARIADB",
        "NATS",
        "OPCUA",
        "OPENSEARCH",
        "POSTGRESQL",
        "CRATEDB",
        "REDIS",
        "REST_API",
        "SIEMENS_S7",
        "SQLSERVER",
        "WASM",
    ];
    assert_eq!((listed.message(), listed.data()), ("21 template(s).", &json!(types)));
    for kind in listed.data().as_array().unwrap() {
        let reply = broker.command_ok(&format!("-routeCode {}", kind.as_str().unwrap()));
        let template = reply.data().as_str().unwrap();
        // Described for people, so not to be deployed as it is.
        let refused = broker.command(&format!("-addRoute {template}"));
        assert!(!refused.success(), "{refused:?}");
        // The far sides of the other types are not there. The compiler tests that their templates
        // compile.
        if kind == "LOOPBACK" {
            let added = broker.command_ok(&format!("-addRoute {}", filled(template)));
            assert_eq!(added.0.get("warnings"), None, "{added:?}");
        }
    }
    let mut answers = watch(&broker, "destination_topic");
    send(&broker, "source_topic", "{\"v\":1}");
    assert_eq!(next(&mut answers), "destination_topic={\"v\":1}");
    let told = broker.command_ok("-routeCode loopback");
    assert!(told.message().starts_with("Template of route type 'LOOPBACK': write a value "), "{told:?}");
    let module = broker.command_ok("-routeCode wasm");
    assert!(
        module.data().as_str().unwrap().contains("ADD WASM_CONFIG\n        WITH MODULE #MODULE,"),
        "{module:?}"
    );
    let unknown = broker.command("-routeCode POSTGRE_SQL");
    assert_eq!(unknown.errors()[0]["suggestions"][0], "did you mean POSTGRESQL?", "{unknown:?}");
    let checked = broker.command_ok("-routeCode SNOWFLAKE");
    assert!(checked.data().as_str().unwrap().starts_with("DEFINE ROUTE Snowflake WITH TYPE SNOWFLAKE\n"));
    assert_eq!(checked.0["warnings"][0]["code"], "ROUTE_TYPE_UNAVAILABLE", "{checked:?}");
    for (command, code, message) in [
        ("-routeCode ACME", "NOT_FOUND", "Unknown route type 'ACME'."),
        ("-routeCode", "MISSING_ARGUMENT", "Missing argument: TYPE. Usage: -routeCode <TYPE>"),
        ("-listTemplates x", "TOO_MANY_ARGUMENTS", "Too many arguments. Usage: -listTemplates"),
    ] {
        let reply = broker.command(command);
        assert_eq!((reply.code(), reply.message()), (code, message));
    }
}

/// C12 of the language reference: an event is fired by name, and no message is published for that.
#[test]
fn trigger_fires_an_event_of_a_route() {
    let broker = broker();
    broker.command_ok(
        "-addAction DEFINE ACTION Fire\nON TOPIC \"go/+\" DO\n    TRIGGER \"Save\" TO PlantDb WITH PAYLOAD\n    TRIGGER \"None\" TO PlantDb WITH 1",
    );
    let mut all = watch(&broker, "#");
    send(&broker, "go/1", "early");
    assert_eq!(next(&mut all), "go/1=early");
    let report = broker.command_ok("-lotDiagnostic action Fire");
    assert_eq!(report.data()["lastError"]["code"], "LOT616", "no such route yet");
    let text = route("PlantDb", "", "").replace("answer/{topic.2}", "answer/{topic}");
    broker.command_ok(&text.replace("dev/+/save", "dev/a/save"));
    send(&broker, "go/2", "5");
    assert_eq!([next(&mut all), next(&mut all)], ["go/2=5", "answer/dev/a/save=5"]);
    let report = broker.command_ok("-lotDiagnostic action Fire");
    assert_eq!(report.data()["lastError"]["line"], 4, "{report:?}");
    assert_eq!(
        report.data()["lastError"]["message"],
        "route `PlantDb` has no event `None`; nothing was triggered"
    );

    let mut root = broker.root("root");
    root.publish(&Publication::new("$SYS/Coreflux/Routes/PlantDb/Events/Save", "by hand")).unwrap();
    assert_eq!(next(&mut all), "answer/dev/a/save=by hand");
    // A client that may not publish below $SYS may not fire events either.
    send(&broker, "$SYS/Coreflux/Routes/PlantDb/Events/Save", "by anybody");
    send(&broker, "answer/barrier", "x");
    assert_eq!(next(&mut all), "answer/barrier=x");
}

/// §18.4 of the language reference, and what does not fire an event: KEEP, and retained messages
/// that are there already.
#[test]
fn actions_and_routes_follow_one_another() {
    let broker = broker();
    let mut client = broker.client("before");
    client.publish(&Publication::new("c/old", "old").qos(QoS::AtLeastOnce).retained()).unwrap();
    let text =
        route("R", "", "").replace("dev/+/save", "c/#").replace("answer/{topic.2}", "stored/{topic.2}");
    broker.command_ok(&text);
    broker.command_ok("-addAction DEFINE ACTION A\nON TOPIC \"a\" DO\n    PUBLISH TOPIC \"b\" WITH PAYLOAD");
    broker.command_ok(
        "-addAction DEFINE ACTION B\nON TOPIC \"b\" DO\n    KEEP TOPIC \"n\" WITH (GET TOPIC \"n\" AS INT) + 1\n    KEEP TOPIC \"c/kept\" WITH 1\n    PUBLISH TOPIC \"c/x\" WITH GET TOPIC \"n\"",
    );
    let mut stored = watch(&broker, "stored/#");
    for number in 1..=3 {
        send(&broker, "a", "x");
        assert_eq!(next(&mut stored), format!("stored/x={number}"));
    }
}

#[test]
fn undeliverable_message_is_reported_and_others_are_delivered() {
    let broker = broker();
    broker.command_ok("-setSecret KEY=swordfish");
    broker.command_ok(&route("R", "", "FAIL \"{payload.json.fail}\"\nERROR_TOPIC \"errors/{topic.2}\""));
    let mut answers = watch(&broker, "answer/#");
    let mut errors = watch(&broker, "errors/#");
    for (topic, payload) in
        [("dev/a/save", r#"{"fail":"reject"}"#), ("dev/b/save", "no JSON"), ("dev/c/save", "{}")]
    {
        send(&broker, topic, payload);
    }
    assert_eq!(next(&mut answers), "answer/c={}");
    for (topic, error) in [("dev/a/save", "it was asked to fail"), ("dev/b/save", "the payload is not JSON")]
    {
        let told: Value = serde_json::from_str(&errors.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
        assert_eq!((&told["route"], &told["event"]), (&json!("R"), &json!("Save")));
        assert_eq!((&told["topic"], &told["error"]), (&json!(topic), &json!(error)));
    }
    // A trap costs its own message and the instance; what comes behind it waits for the next one.
    send(&broker, "dev/d/save", r#"{"fail":"trap"}"#);
    send(&broker, "dev/e/save", "{}");
    assert_eq!(next(&mut answers), "answer/e={}");
    assert!(errors.receive(WAIT_MAX).unwrap().unwrap().text().contains("dev/d/save"));
    // The value of a secret stays with the guest (routes reference §2).
    broker.command_ok(&route("R", "", "FAIL \"{secret.KEY}\"\nERROR_TOPIC \"errors/{topic.2}\""));
    send(&broker, "dev/f/save", "x");
    let told = errors.receive(WAIT_MAX).unwrap().unwrap().text();
    assert!(told.contains("cannot fail in the way '***'") && !told.contains("swordfish"), "{told}");
}

#[test]
fn a_route_that_fails_keeps_what_waits_for_its_replacement() {
    let broker = broker();
    let mut stands = watch_status(&broker, "R");
    let mut answers = watch(&broker, "answer/#");
    for (class, connection) in
        [("retry", "Connected"), ("reconnect", "Reconnecting"), ("fatal", "Disconnected")]
    {
        broker.command_ok(&route("R", &format!("FAIL \"{class}\""), ""));
        for number in 1..=3 {
            send(&broker, &format!("dev/{class}{number}/save"), "x");
        }
        let told = status(&mut stands, |status| {
            status["connection"] == connection && status["errors"]["consecutive"].as_u64() > Some(0)
        });
        assert!(told["lastError"].as_str().unwrap().ends_with("it was asked to fail"), "{told}");
        let probe = broker.command("-checkRouteConnection R");
        assert_eq!((probe.code(), &probe.data()["reachable"]), ("NOT_REACHABLE", &json!(false)));
        broker.command_ok(&route("R", "", ""));
        for number in 1..=3 {
            assert_eq!(next(&mut answers), format!("answer/{class}{number}=x"));
        }
        status(&mut stands, is_connected);
    }
}

#[test]
fn a_full_mailbox_refuses_what_arrives_and_counts_it() {
    let broker = broker();
    let mut stands = watch_status(&broker, "R");
    let text = route("R", "FAIL \"retry\"", "")
        + "    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE none\n        WITH OVERLOAD_CAPACITY 3\n        WITH OVERLOAD_POLICY \"realtime\"\n";
    let reply = broker.command_ok(&text);
    assert_eq!(reply.0["warnings"], json!(null), "{reply:?}");
    wait_connected(&broker, "R");
    for number in 0..10 {
        send(&broker, &format!("dev/{number}/save"), "x");
    }
    let told = status(&mut stands, |status| status["messages"]["failed"].as_u64() >= Some(4));
    assert_eq!((&told["messages"]["succeeded"], &told["shed"]), (&json!(0), &told["messages"]["failed"]));
    broker.wait_until_metric_is("lotmq_route_shed_total", 7.0);
    let report = broker.command_ok("-lotDiagnostic route R");
    assert_eq!(report.data()["lastError"]["code"], "OUTBOX_FULL");
    let mut answers = watch(&broker, "answer/#");
    broker.command_ok(&route("R", "", ""));
    for number in 0..3 {
        assert_eq!(next(&mut answers), format!("answer/{number}=x"));
    }
}

/// The other side is lost while the messages of a turn are on their way to the route.
#[test]
fn messages_accepted_before_a_disconnect_are_not_shed() {
    let broker = broker();
    let nowhere = "    ADD ROUTE_CONFIG\n        WITH BUFFER_MODE none\n";
    broker.command_ok(&(route("R", "FAIL \"reconnect\"", "") + nowhere));
    wait_connected(&broker, "R");
    let mut publisher = broker.client("publisher");
    let sent: Vec<_> = (0..20)
        .map(|number| {
            let message = Publication::new(format!("dev/{number}/save"), "x").qos(QoS::AtLeastOnce);
            publisher.send_publish(&message).unwrap().unwrap()
        })
        .collect();
    eventually("it is lost", || {
        let row = broker.command_ok("-listRoutes").data()[0].clone();
        (row["connection"] != "Connected" && row["waiting"].as_u64() > Some(0)).then_some(())
    });
    let mut answers = watch(&broker, "answer/#");
    broker.command_ok(&(route("R", "", "") + nowhere));
    for (number, packet_id) in sent.into_iter().enumerate() {
        assert_eq!(next(&mut answers), format!("answer/{number}=x"));
        assert!(!publisher.wait_published(packet_id).unwrap().is_failure());
    }
    assert_eq!(broker.metric("lotmq_route_shed_total"), Some(0.0));
}

/// A route that answers in batches of this kind.
fn batching(settings: &str) -> String {
    route("R", "", "") + "    ADD ROUTE_CONFIG\n" + settings
}

#[test]
fn batches_are_as_the_route_says_and_what_it_has_done_is_counted() {
    let broker = broker();
    broker.command_ok(&batching("        WITH BATCH_SIZE 3\n        WITH BATCH_LINGER 60000\n"));
    wait_connected(&broker, "R");
    let mut answers = watch(&broker, "answer/#");
    for number in 0..2 {
        send(&broker, &format!("dev/{number}/save"), "x");
    }
    // Two wait for a third, and then all of them are one batch.
    broker.wait_until_metric_is("lotmq_route_waiting", 2.0);
    assert_eq!(broker.metric("lotmq_route_batches_total"), Some(0.0));
    send(&broker, "dev/2/save", "x");
    for number in 0..3 {
        assert_eq!(next(&mut answers), format!("answer/{number}=x"));
    }
    broker.wait_until_metric_is("lotmq_route_delivered_total", 3.0);
    assert_eq!(broker.metric("lotmq_route_batches_total"), Some(1.0));
    // Bytes fill a batch as well.
    broker.command_ok(&batching("        WITH BATCH_BYTES 200\n        WITH BATCH_LINGER 60000\n"));
    send(&broker, "dev/3/save", &"x".repeat(200));
    assert!(next(&mut answers).starts_with("answer/3=x"));
    // A batch that does not fill goes when its time is over.
    broker.command_ok(&batching("        WITH BATCH_LINGER 20\n"));
    send(&broker, "dev/4/save", "x");
    assert_eq!(next(&mut answers), "answer/4=x");
    // Waiting messages wait no longer than the replacement allows.
    broker.command_ok(&batching("        WITH BATCH_LINGER 60000\n"));
    send(&broker, "dev/5/save", "x");
    broker.wait_until_metric_is("lotmq_route_waiting", 1.0);
    broker.command_ok(&route("R", "", ""));
    assert_eq!(next(&mut answers), "answer/5=x");

    broker.wait_until_metric_is("lotmq_route_delivered_total", 6.0);
    assert_eq!(broker.metric("lotmq_route_bytes_total"), Some(205.0));
    assert!(broker.metric("lotmq_route_seconds_since_success").is_some());
    let text = broker.http("/metrics").body;
    for line in [
        "lotmq_route_delivered_total{tenant=\"default\",route=\"R\",type=\"LOOPBACK\"} 6",
        "lotmq_route_rejected_total{tenant=\"default\",route=\"R\",type=\"LOOPBACK\"} 0",
        "lotmq_route_state{tenant=\"default\",route=\"R\",type=\"LOOPBACK\",state=\"Connected\"} 1",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is none of {text}");
    }
    // A route that stands still reports so, with the reason.
    broker.command_ok(&route("R", "FAIL \"fatal\"", ""));
    send(&broker, "dev/6/save", "x");
    let stands = "R (LOOPBACK): Disconnected, Red: it was asked to fail; it stands still; -run R tries again";
    eventually("a route that stands still", || {
        (broker.command_ok("-connectionStatus").message() == stands).then_some(())
    });
    assert!(broker.http("/metrics").body.contains("state=\"Disconnected\"} 1"));
    broker.command_ok("-removeRoute R");
    assert!(!broker.http("/metrics").body.contains("lotmq_route_"));
}

#[test]
fn messages_do_not_go_round_for_ever() {
    let broker = broker();
    let loops = |name: &str, from: &str, to: &str| {
        route(name, "", "").replace("dev/+/save", from).replace("answer/{topic.2}", to)
    };
    // A route does not receive the messages that it publishes.
    broker.command_ok(&loops("Own", "own", "own"));
    let mut own = watch(&broker, "own");
    send(&broker, "own", "x");
    assert_eq!([next(&mut own), next(&mut own)], ["own=x", "own=x"]);
    send(&broker, "own", "barrier");
    assert_eq!(next(&mut own), "own=barrier");
    // Between two the hops are counted.
    broker.command_ok(&loops("Ping", "ping", "pong"));
    broker.command_ok(&loops("Pong", "pong", "ping"));
    send(&broker, "ping", "x");
    eventually("the end of the round", || {
        let of = |name: &str| {
            broker.command_ok(&format!("-lotDiagnostic route {name}")).data()["lastError"]["code"].clone()
        };
        (of("Ping") == "HOP_LIMIT" || of("Pong") == "HOP_LIMIT").then_some(())
    });
}

/// A model takes apart what a route brings (§9.5), as it does with what clients publish, and not
/// what actions do.
#[test]
fn model_splits_messages_from_routes_and_clients_alike() {
    let broker = broker();
    broker.command_ok("-addModel DEFINE MODEL X WITH TOPIC \"answer/+\"");
    broker.command_ok(&route("R", "", ""));
    let mut parts = watch(&broker, "answer/+/v");
    send(&broker, "dev/a/save", "{\"v\":7}");
    assert_eq!(next(&mut parts), "answer/a/v=7");
}

#[test]
fn a_route_waits_for_the_values_that_it_names() {
    let broker = broker();
    let mut stands = watch_status(&broker, "R");
    let text = route("R", "DELAY GET ENV \"PAUSE\"\nFAIL GET SECRET \"HOW\"", "");
    let reply = broker.command_ok(&text);
    let warnings: Vec<&str> = reply.0["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|warning| warning["message"].as_str())
        .collect();
    assert_eq!(warnings, ["environment value 'PAUSE' is not set", "secret 'HOW' is not set"]);
    let told = status(&mut stands, |status| status["connection"] == "Disconnected");
    assert!(
        told["lastError"].as_str().unwrap().ends_with("not set: environment value 'PAUSE', secret 'HOW'"),
        "{told}"
    );
    send(&broker, "dev/a/save", "x");
    broker.command_ok("-setEnv PAUSE=1");
    let mut answers = watch(&broker, "answer/#");
    broker.command_ok("-setSecret HOW=never");
    assert_eq!(next(&mut answers), "answer/a=x");
    status(&mut stands, is_connected);
}

/// C19 of the language reference: only what the condition takes is stored, and the model publishes
/// either way.
#[test]
fn a_model_stores_what_its_condition_takes() {
    let broker = broker();
    let mut stands = watch_status(&broker, "Db");
    let mut log = watch(&broker, "log");
    let model = "-addModel DEFINE MODEL L COLLAPSED WITH TOPIC \"log\"\n    ADD DOUBLE \"t\" WITH TOPIC \"t\" AS TRIGGER\n    STORE IN \"Db\" WITH TABLE \"hot\" WHEN {t} > 50 AND t < 1000";
    broker.command_ok(model);
    send(&broker, "t", "55");
    assert_eq!(next(&mut log), r#"log={"t":55}"#);
    let error = broker.command_ok("-lotDiagnostic model L").data()["lastError"].clone();
    assert_eq!((&error["code"], &error["line"]), (&json!("LOT617"), &json!(3)), "no such route yet");
    broker.command_ok("-addRoute DEFINE ROUTE Db WITH TYPE LOOPBACK\n");
    wait_connected(&broker, "Db");
    for t in ["40", "60", "2000"] {
        send(&broker, "t", t);
        assert_eq!(next(&mut log), format!("log={{\"t\":{t}}}"));
    }
    let told = status(&mut stands, |status| status["messages"]["succeeded"] == json!(1));
    assert_eq!(told["messages"]["total"], 1, "{told}");
    // A route that rejects a message shows it in its last error.
    broker.command_ok(
        "-addRoute DEFINE ROUTE Db WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH FAIL \"reject\"",
    );
    send(&broker, "t", "70");
    assert_eq!(next(&mut log), r#"log={"t":70}"#);
    status(&mut stands, |status| status["messages"]["failed"] == json!(1));
    let error = broker.command_ok("-lotDiagnostic route Db").data()["lastError"].clone();
    assert_eq!(error["trigger"]["payload"], r#"{"t":70}"#);
}

/// `PUBLISH MODEL` stores as a run of the model does (§9.8), and a route hands on what it forwards
/// (OD-52).
#[test]
fn published_models_and_forwarded_messages_are_stored() {
    let broker = broker();
    let mut stands = watch_status(&broker, "Db");
    broker.command_ok("-addRoute DEFINE ROUTE Db WITH TYPE LOOPBACK\n");
    wait_connected(&broker, "Db");
    broker.command_ok(
        "-addModel DEFINE MODEL Reading COLLAPSED\n    ADD STRING \"id\"\n    ADD DOUBLE \"v\"\n    STORE IN Db",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Send\nON TOPIC \"raw/+\" DO\n    PUBLISH MODEL Reading TO \"clean/+\" WITH id = TOPIC POSITION 2, v = PAYLOAD",
    );
    let mut all = watch(&broker, "clean/#");
    send(&broker, "raw/a", "7.5");
    assert_eq!(next(&mut all), r#"clean/a={"id":"a","v":7.5}"#);
    status(&mut stands, |status| status["messages"]["succeeded"] == json!(1));
    broker.command_ok(&(route("Front", "", "") + "    STORE Db WITH TABLE_NAME \"events\"\n"));
    let mut answers = watch(&broker, "answer/#");
    send(&broker, "dev/a/save", "{\"x\":1}");
    assert_eq!(next(&mut answers), r#"answer/a={"x":1}"#);
    status(&mut stands, |status| status["messages"]["succeeded"] == json!(2));
    // Nobody outside writes to tables by name.
    let mut root = broker.root("root");
    root.publish(&Publication::new("$SYS/Coreflux/Routes/Db/Tables/hot", "{}").qos(QoS::AtLeastOnce))
        .unwrap();
    assert_eq!(broker.command_ok("-lotDiagnostic route Db").data()["lastError"], Value::Null);
}

/// The log gives operators the name that they gave the definition.
#[test]
fn effects_that_were_dropped_are_logged_with_the_name_of_their_definition() {
    let broker = broker();
    broker.command_ok(
        "-addRoute DEFINE ROUTE Db WITH TYPE LOOPBACK\n    ADD LOOPBACK_CONFIG\n        WITH DELAY 59000",
    );
    eventually("the route is open", || {
        broker.command_ok("-listRoutes").0.to_string().contains("\"Connected\"").then_some(())
    });
    broker.command_ok(
        "-addAction DEFINE ACTION Waits\nON TOPIC \"start\" DO\n    PUBLISH TOPIC \"plain\" WITH \"out\"\n    KEEP ENV \"BEGAN\" WITH \"yes\"\n    SET \"rows\" WITH GET MODEL \"A\" FROM \"Db\"",
    );
    send(&broker, "start", "1");
    eventually("the run begins", || {
        broker.command_ok("-listEnv").0.to_string().contains("BEGAN").then_some(())
    });
    broker.command_ok("-removeAction Waits");
    broker.command_ok("-removeRoute Db");
    let line = broker.log().expect("effects dropped");
    assert!(line.contains("tenant=\"default\" definition=\"Waits\" count=1"), "{line}");
}

/// Of one that connects when it is opened, and of one that does so with its first message.
#[test]
fn a_route_to_an_address_that_the_operator_refuses_says_so_before_its_first_message() {
    const REST: &str = "-addRoute DEFINE ROUTE Api WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH BASE_ADDRESS \"http://203.0.113.7:8080/api\"\n    \
        ADD EVENT Save\n        WITH SOURCE_TOPIC \"save\"\n        WITH METHOD \"POST\"\n        WITH ENDPOINT \"/x\"\n";
    const NATS: &str = "-addRoute DEFINE ROUTE Bus WITH TYPE NATS\n    ADD NATS_CONFIG\n        WITH SERVER \"203.0.113.8\"\n    \
        ADD MAPPING Out\n        WITH SOURCE_TOPIC \"plant/#\"\n        WITH DESTINATION_TOPIC \"mqtt.>\"\n";
    let mut broker = options().variable("LOTMQ_ROUTES_DENIED_NETWORKS", "203.0.113.0/24").start();
    let added = [broker.command_ok(REST), broker.command_ok(NATS)];
    let of_rest =
        "REST_API_CONFIG: 203.0.113.7:8080: 203.0.113.7 is one of routes.denied_networks".to_owned();
    let of_nats = "NATS_CONFIG: 203.0.113.8:4222: 203.0.113.8 is one of routes.denied_networks".to_owned();
    for (added, reason) in added.iter().zip([&of_rest, &of_nats]) {
        let told =
            json!([{ "code": "ADDRESS_REFUSED", "message": format!("the route stands still: {reason}") }]);
        assert_eq!(added.0["warnings"], told, "{added:?}");
    }
    let both = format!(
        "Api (REST_API): Disconnected, Red: {of_rest}; it stands still; -run Api tries again\nBus (NATS): Disconnected, Red: {of_nats}; it stands still; -run Bus tries again"
    );
    for _ in 0..2 {
        let mut stands = String::new();
        eventually("both are refused", || {
            stands = broker.command_ok("-connectionStatus").message().to_owned();
            (stands == both).then_some(())
        });
        let probed = broker.command("-checkRouteConnection Api");
        assert_eq!(probed.message(), format!("Route 'Api' is not reachable: {of_rest}"));
        let shown = Program::run(LOTMQ, &["routes", "-p", &broker.port()]).unwrap().stdout;
        assert!(shown.contains(&of_rest) && shown.contains(&of_nats), "{shown}");
        let status = Program::run(LOTMQ, &["status", "-p", &broker.port()]).unwrap().stdout;
        assert!(status.contains(&of_rest), "{status}");
        broker.stop();
        broker.start_again();
    }
}

#[test]
fn rejected_definition_reports_its_warnings_too() {
    let broker = broker();
    let refused = broker.command(
        "-addRoute DEFINE ROUTE Db WITH TYPE POSTGRESQL\n    ADD SQL_CONFIG\n        WITH SERVER \"h\"\n        WITH COLOUR \"red\"\n        WITH PORT 70000\n        WITH DATABASE \"d\"\n",
    );
    assert!(
        refused.errors().iter().any(|error| error["message"].to_string().contains("PORT")),
        "{refused:?}"
    );
    let warnings = refused.0["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning["message"].to_string().contains("COLOUR")), "{refused:?}");
}

/// The broker reports at once the mistakes that it sees at once: listen addresses and `localhost`.
/// This holds for commands and projects.
#[test]
fn addresses_denied_by_policy_are_reported_when_a_route_is_added() {
    const WEB: &str = "DEFINE ROUTE Web WITH TYPE REST_API\n    ADD REST_API_CONFIG\n        WITH SERVER_PORT 8090\n        WITH SERVER_BIND \"127.0.0.1\"\n    \
        ADD EVENT State\n        WITH SOURCE_TOPIC \"dev/{id}/state\"\n        WITH ENDPOINT \"/dev/{id}\"\n        WITH METHOD \"GET\"\n";
    const HOME: &str = "DEFINE ROUTE Bus WITH TYPE NATS\n    ADD NATS_CONFIG\n        WITH SERVER \"localhost\"\n    \
        ADD MAPPING Out\n        WITH SOURCE_TOPIC \"plant/#\"\n        WITH DESTINATION_TOPIC \"mqtt.>\"\n";
    let broker = broker();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.lot"), WEB.replace("Web", "Other")).unwrap();
    let web = "the route does not listen at port 8090: 127.0.0.1 is none of routes.listen_networks";
    let home = "the route stands still: NATS_CONFIG: localhost:4222: 127.0.0.1 is this machine, and routes.allow_loopback is not set";
    for (route, told) in [(WEB, web), (HOME, home)] {
        let added = broker.command_ok(&format!("-addRoute {route}"));
        assert_eq!(added.0["warnings"], json!([{ "code": "ADDRESS_REFUSED", "message": told }]), "{added:?}");
    }
    let path = folder.path().to_str().unwrap();
    let deployed = Program::run(LOTMQ, &["deploy", path, "--name", "web", "-p", &broker.port()]).unwrap();
    assert!(deployed.status.success() && deployed.stdout.contains(web), "{deployed:?}");
    let allowed = options().variable("LOTMQ_ROUTES_LISTEN_NETWORKS", "127.0.0.0/8").start();
    let added = allowed.command_ok(&format!("-addRoute {}", WEB.replace("8090", "18093")));
    assert!(added.0["warnings"].is_null(), "{added:?}");
}
