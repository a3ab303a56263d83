//! Dead letters: what a route has given up is on the disk with the reason, is listed, and goes to
//! the route once more or is deleted when an administrator says so.

use lotmq_client::{ConnectOptions, Publication, QoS};
use lotmq_test_support::{Broker, Program, WAIT_MAX, eventually, free_address};
use serde_json::Value;

use crate::{LOTMQ, options};

/// A route that refuses what says so, with these settings in `ROUTE_CONFIG`.
fn route(fails: &str, settings: &[&str]) -> String {
    let settings: String = settings.iter().map(|setting| format!("        WITH {setting}\n")).collect();
    let config =
        if settings.is_empty() { String::new() } else { format!("    ADD ROUTE_CONFIG\n{settings}") };
    format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE LOOPBACK\n{config}    ADD EVENT Save\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH FAIL \"{fails}\"\n        \
         WITH DESTINATION_TOPIC \"done/{{topic.2}}\"\n"
    )
}

const REFUSES: &str = "{payload.json.fail}";

fn publish(broker: &Broker, topic: &str, payload: impl Into<Vec<u8>>) {
    let mut client = broker.client(&format!("to {topic}"));
    client.publish(&Publication::new(topic, payload.into()).qos(QoS::AtLeastOnce)).unwrap();
}

/// Their list, when what is counted is on the disk and nothing else.
fn list(broker: &Broker) -> Value {
    loop {
        let found = broker.command_ok("-listDeadLetters Line").data().clone();
        let shown = found["letters"].as_array().map(Vec::len);
        if found["count"].as_u64() == shown.map(|shown| shown as u64) {
            return found;
        }
    }
}

fn topics(list: &Value) -> Vec<&str> {
    list["letters"].as_array().unwrap().iter().map(|letter| letter["topic"].as_str().unwrap()).collect()
}

#[test]
fn dead_letters_survive_a_kill_and_are_replayed_on_request() {
    let mut broker = options().start();
    broker.command_ok(&route(REFUSES, &[]));
    for (topic, payload) in [
        ("in/a", r#"{"fail":"reject","n":1}"#),
        ("in/b", r#"{"fail":"never"}"#),
        ("in/c", r#"{"fail":"reject"}"#),
    ] {
        publish(&broker, topic, payload);
    }
    broker.wait_for_metric("lotmq_route_dead_letters_total", 2.0);
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    broker.kill();
    broker.start_again();
    broker.wait_until_metric_is("lotmq_route_dead_letters", 2.0);
    let found = list(&broker);
    assert_eq!((topics(&found), &found["count"]), (vec!["in/a", "in/c"], &2.into()), "{found}");
    let first = &found["letters"][0];
    assert_eq!(
        (&first["event"], &first["qos"], &first["retain"]),
        (&"Save".into(), &1.into(), &false.into())
    );
    assert_eq!(
        (&first["payload"], &first["clientId"]),
        (&r#"{"fail":"reject","n":1}"#.into(), &"to in/a".into())
    );
    assert!(first["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{found}");
    assert!(first["diedUtc"].as_str() >= first["receivedUtc"].as_str(), "{found}");
    assert!(found["next"].is_null());

    let mut watcher = broker.client("watcher");
    watcher.subscribe_to("done/#", QoS::AtLeastOnce).unwrap();
    broker.command_ok(&route("never", &[]));
    let replayed = broker.command_ok(&format!("-replayDeadLetters Line {}", first["id"]));
    assert_eq!(replayed.data()["count"], 1);
    let message = watcher.receive(WAIT_MAX).unwrap().unwrap();
    assert_eq!((&*message.topic, &*message.payload), ("done/a", &br#"{"fail":"reject","n":1}"#[..]));
    assert_eq!(topics(&list(&broker)), ["in/c"]);
    assert_eq!(broker.command_ok("-replayDeadLetters Line").data()["count"], 1);
    assert_eq!(&*watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "done/c");
    broker.kill();
    broker.start_again();
    assert_eq!(topics(&list(&broker)), [] as [&str; 0]);
}

#[test]
fn message_rejected_again_becomes_a_dead_letter_again() {
    let broker = options().start();
    broker.command_ok(&route(REFUSES, &[]));
    let mut root = broker.connect(&ConnectOptions::v5("root").user("root", "coreflux"));
    root.subscribe_to("$SYS/Coreflux/Routes/Line/+", QoS::AtMostOnce).unwrap();
    publish(&broker, "in/a", r#"{"fail":"reject"}"#);
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    let before = list(&broker);
    let told: Value = loop {
        let message = root.receive(WAIT_MAX).unwrap().expect("dead letters are told");
        if message.topic.ends_with("/DeadLetters") {
            break serde_json::from_slice(&message.payload).unwrap();
        }
    };
    assert_eq!((&told["count"], &told["newest"][0]["topic"]), (&1.into(), &"in/a".into()), "{told}");
    let report = broker.command_ok("-lotDiagnostic route Line");
    assert_eq!(report.data()["deadLetters"]["newest"][0]["reason"], told["newest"][0]["reason"]);
    assert_eq!(broker.command_ok("-replayDeadLetters Line").data()["count"], 1);
    broker.wait_for_metric("lotmq_route_dead_letters_total", 2.0);
    let again = list(&broker);
    assert_eq!(again["count"], 1);
    assert_eq!(again["letters"][0]["qos"], before["letters"][0]["qos"], "of the same quality of service");
    assert_eq!(again["letters"][0]["receivedUtc"], before["letters"][0]["receivedUtc"], "it came once");
    assert!(again["letters"][0]["diedUtc"].as_str() > before["letters"][0]["diedUtc"].as_str(), "{again}");
    assert_eq!(broker.command_ok("-removeDeadLetters Line").data()["count"], 1);
    broker.wait_until_metric_is("lotmq_route_dead_letters", 0.0);
    assert_eq!(broker.metric("lotmq_route_dead_letters_dropped_total"), Some(0.0));
}

#[test]
fn message_older_than_buffer_ttl_becomes_a_dead_letter() {
    let broker = options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    let nowhere = free_address();
    broker.command_ok(&format!(
        "-addRoute DEFINE ROUTE Line WITH TYPE REST_API\n    ADD ROUTE_CONFIG\n        WITH BUFFER_TTL_SEC 1\n    ADD REST_API_CONFIG\n        \
         WITH BASE_ADDRESS \"http://{nowhere}\"\n    ADD EVENT Save\n        WITH SOURCE_TOPIC \"in/+\"\n        WITH METHOD \"POST\"\n        WITH REQUEST_PATH \"/a\"\n        \
         WITH ERROR_TOPIC \"failed/{{topic.2}}\"\n"
    ));
    let mut told = broker.client("reader of failed");
    told.subscribe_to("failed/#", QoS::AtMostOnce).unwrap();
    publish(&broker, "in/a", vec![0xff, 0x00]);
    let failed = told.receive(WAIT_MAX).unwrap().expect("a report");
    assert_eq!(&*failed.topic, "failed/a");
    let report: Value = serde_json::from_str(&failed.text()).unwrap();
    assert_eq!((&report["event"], &report["topic"]), (&"Save".into(), &"in/a".into()));
    assert_eq!(report["error"], "it waited for longer than BUFFER_TTL_SEC");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    let found = list(&broker);
    let letter = &found["letters"][0];
    assert_eq!(letter["reason"], "it waited for longer than BUFFER_TTL_SEC");
    assert_eq!((&letter["payloadBase64"], &letter["payload"]), (&"/wA=".into(), &Value::Null));
}

#[test]
fn letters_are_counted_though_their_route_may_keep_few() {
    let broker = options().variable("LOTMQ_ROUTES_ALLOW_LOOPBACK", "true").start();
    // A tenth of it is for dead letters, of which each is more than half of that.
    broker.command_ok(&route("reject", &["BUFFER_MAX_BYTES 3000"]));
    for number in 0..20 {
        publish(&broker, &format!("in/{number}"), "x".repeat(100));
    }
    broker.wait_for_metric("lotmq_route_dead_letters_total", 20.0);
    let mut found = Value::Null;
    eventually("what is dropped has left", || {
        found = broker.command_ok("-listDeadLetters Line").data().clone();
        let listed = found["letters"].as_array().map(Vec::len);
        assert!(
            listed <= found["count"].as_u64().and_then(|count| usize::try_from(count).ok()),
            "what has left is not listed: {found}"
        );
        // The reply counts the letters a moment before it reads the list.
        (listed == Some(1) && found["count"] == 1).then_some(())
    });
    assert_eq!(found["dropped"], 19, "{found}");
    assert_eq!(broker.command_ok("-listRoutes").data()[0]["deadLetters"], 1);
}

#[test]
fn letters_for_an_event_that_is_gone_stay_with_their_reason() {
    let broker = options().start();
    broker.command_ok(&route("reject", &[]));
    publish(&broker, "in/a", "x");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    let before = list(&broker);
    broker.command_ok(&route("never", &[]).replace("ADD EVENT Save", "ADD EVENT Other"));
    let refused = broker.command("-replayDeadLetters Line");
    assert!(!refused.success() && refused.message().contains("event `Save` (1)"), "{refused:?}");
    assert_eq!(list(&broker)["letters"], before["letters"]);
    broker.command_ok(&route("never", &[]));
    assert_eq!(broker.command_ok("-replayDeadLetters Line").data()["count"], 1);
}

#[test]
fn the_oldest_of_too_many_go_and_are_counted() {
    let broker = options().start();
    // A tenth of it is for dead letters.
    broker.command_ok(&route("reject", &["BUFFER_MAX_BYTES 100000"]));
    for number in 0..30 {
        publish(&broker, &format!("in/{number}"), "x".repeat(900));
    }
    broker.wait_for_metric("lotmq_route_dead_letters_dropped_total", 20.0);
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    let found = list(&broker);
    let (count, dropped) = (found["count"].as_u64().unwrap(), found["dropped"].as_u64().unwrap());
    assert!(found["bytes"].as_u64().unwrap() <= 10_000 && count >= 8, "{found}");
    assert_eq!(count + dropped, 30);
    let expected: Vec<String> = (dropped..30).map(|number| format!("in/{number}")).collect();
    assert_eq!(topics(&found), expected);
}

#[test]
fn routes_command_lists_waiting_messages_and_dead_letters() {
    let broker = options().start();
    broker.command_ok(&route(REFUSES, &[]));
    publish(&broker, "in/a", r#"{"fail":"reject"}"#);
    publish(&broker, "in/b", r#"{"fail":"never"}"#);
    broker.wait_for_metric("lotmq_route_delivered_total", 1.0);
    let port = broker.address().port().to_string();
    let lotmq = |arguments: &[&str]| Program::run(LOTMQ, arguments).unwrap();
    let shown = lotmq(&["routes", "-p", &port]);
    let (head, line) = shown.stdout.split_once('\n').unwrap();
    let head: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(head[4..9], ["DELIVERED", "/S", "LATENCY", "RECEIVED", "/S"]);
    let cells: Vec<&str> = line.split_whitespace().collect();
    let [name, kind, connection, health, delivered, _, latency, received, _, last, rest @ ..] = &cells[..]
    else {
        panic!("{line}");
    };
    assert_eq!([*name, *kind, *connection, *health], ["Line", "LOOPBACK", "Connected", "Green"]);
    assert_eq!(([*delivered, *received], rest), (["1", "1"], &["1", "0", "1", "0"][..]));
    assert!(latency.ends_with("ms") && last.ends_with('s'), "{line}");
    assert_eq!(shown.status.code(), Some(0));
    let json = lotmq(&["routes", "Line", "--json", "-p", &port]);
    let row: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&row["deadLetters"], &row["waitingBytes"]), (&1.into(), &0.into()));
    let other = lotmq(&["routes", "Other", "-p", &port]);
    assert_eq!((other.status.code(), other.stderr.contains("there is no route `Other`")), (Some(1), true));
    assert_eq!(broker.metric("lotmq_route_delivery_seconds_count"), Some(1.0));
}

#[test]
fn a_long_list_has_pages() {
    let broker = options().start();
    broker.command_ok(&route("reject", &[]));
    let mut client = broker.client("publisher");
    for number in 0..250 {
        client.publish(&Publication::new(format!("in/{number}"), "x").qos(QoS::AtLeastOnce)).unwrap();
    }
    broker.wait_until_metric_is("lotmq_route_dead_letters", 250.0);
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = broker.command_ok(&format!("-listDeadLetters Line {cursor}")).data().clone();
        all.extend(topics(&page).into_iter().map(str::to_owned));
        match page["next"].as_u64() {
            Some(next) => cursor = next.to_string(),
            None => break,
        }
    }
    assert_eq!(all, (0..250).map(|number| format!("in/{number}")).collect::<Vec<_>>());
}

#[test]
fn dead_letter_commands_reject_wrong_arguments_and_other_users() {
    let broker = options().start();
    broker.command_ok(&route("reject", &[]));
    assert_eq!(list(&broker)["letters"], serde_json::json!([]));
    assert_eq!(broker.command_ok("-replayDeadLetters Line").data()["count"], 0);
    publish(&broker, "in/a", "x");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    for (command, code) in [
        ("-listDeadLetters", "MISSING_ARGUMENT"),
        ("-listDeadLetters Line a", "ARGUMENT_INVALID"),
        ("-listDeadLetters Other", "NOT_FOUND"),
        ("-removeDeadLetters", "MISSING_ARGUMENT"),
        ("-removeDeadLetters Line x", "ARGUMENT_INVALID"),
        ("-replayDeadLetters Other", "NOT_FOUND"),
    ] {
        assert_eq!(broker.command(command).code(), code, "{command}");
    }
    for (verb, done) in [("remove", "removed"), ("replay", "handed to the route again")] {
        let none = broker.command(&format!("-{verb}DeadLetters Line 2 1 2"));
        assert_eq!((none.code(), &none.data()["count"]), ("NOT_FOUND", &0.into()), "{none:?}");
        assert_eq!(none.data()["missing"], serde_json::json!([1, 2]));
        let told = format!("0 dead letter(s) {done}. No dead letter has the number 1, 2.");
        assert_eq!(none.message(), told);
    }
    broker.command_ok("-addUser cfg password");
    broker.command_ok("-changeUserSettings cfg AllowedSystemConfiguration true");
    let cfg = ("cfg", "password");
    assert_eq!(broker.command_as(cfg, "-removeDeadLetters Line").code(), "OF_ANOTHER");
    assert_eq!(broker.command_as(cfg, "-removeDeadLetters Line -force").data()["count"], 1);
}

#[test]
fn a_removed_route_leaves_no_dead_letters_and_a_replaced_one_keeps_them() {
    let mut broker = options().start();
    broker.command_ok(&route("reject", &[]));
    publish(&broker, "in/a", "x");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    broker.command_ok(&route("never", &[]));
    assert_eq!(topics(&list(&broker)), ["in/a"]);
    broker.command_ok("-removeRoute Line");
    broker.command_ok(&route("reject", &[]));
    assert_eq!(list(&broker)["count"], 0);
    publish(&broker, "in/b", "x");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    broker.command_ok("-removeRoute Line");
    broker.kill();
    broker.start_again();
    broker.command_ok(&route("reject", &[]));
    assert_eq!(list(&broker)["count"], 0);
}

#[test]
fn a_route_that_has_stopped_is_not_called_reachable_alone() {
    let broker = options().start();
    broker.command_ok(&route(REFUSES, &[]));
    let probe = broker.command_ok("-checkRouteConnection Line");
    assert_eq!((probe.message(), &probe.data()["stopped"]), ("Route 'Line' is reachable.", &false.into()));
    // One message that can never pass says nothing of the others.
    publish(&broker, "in/a", r#"{"fail":"reject"}"#);
    broker.wait_until_metric_is("lotmq_route_dead_letters", 1.0);
    broker.wait_until_metric_is("lotmq_route_waiting", 0.0);
    assert_eq!(broker.command_ok("-checkRouteConnection Line").message(), "Route 'Line' is reachable.");
    publish(&broker, "in/a", r#"{"fail":"reconnect"}"#);
    // It connects anew for each try: asked while it does, it tells that the other side is there,
    // and why it connects.
    let connected = "Route 'Line' is connected, and what was handed over last did not pass: it was asked to fail. It is tried again now.";
    let connects = "Route 'Line' is reachable, and connects again now. It had failed: it was asked to fail.";
    eventually("the probe tells of it", || {
        let probe = broker.command("-checkRouteConnection Line");
        let told = (probe.code(), probe.message());
        (told == ("MESSAGES_FAIL", connected) || told == ("", connects)).then_some(())
    });
    broker.command_ok("-skipWaiting Line");
    publish(&broker, "in/a", r#"{"fail":"fatal"}"#);
    eventually("the probe tells of it", || {
        let probe = broker.command_ok("-checkRouteConnection Line");
        let told = "Route 'Line' is reachable, and had stopped: it was asked to fail. It is tried again now";
        (probe.message().starts_with(told) && probe.data()["stopped"] == true).then_some(())
    });
}

#[test]
fn connection_check_retries_failed_messages_on_the_open_instance() {
    let broker = options().start();
    broker.command_ok(&route(REFUSES, &[]));
    publish(&broker, "in/a", r#"{"fail":"retry"}"#);
    broker.wait_until_metric_is("lotmq_route_waiting", 1.0);
    let tries = || broker.metric("lotmq_route_retried_total").unwrap();
    // By then the pauses are long.
    eventually("it was tried some times", || (tries() >= 5.0).then_some(()));
    for _ in 0..5 {
        let before = tries();
        let probe = broker.command("-checkRouteConnection Line");
        assert_eq!((probe.code(), &probe.data()["tried"]), ("MESSAGES_FAIL", &"open".into()), "{probe:?}");
        eventually("it is tried again", || (tries() > before).then_some(()));
    }
    assert_eq!(broker.log().all().iter().filter(|line| line.contains("route connected")).count(), 1);
}

#[test]
fn route_replacement_warns_of_waiting_messages_for_removed_events() {
    let broker = options().start();
    broker.command_ok(&route(REFUSES, &[]));
    broker.command_ok("-stop Line");
    for number in 0..3 {
        publish(&broker, "in/a", number.to_string());
    }
    broker.wait_until_metric_is("lotmq_route_waiting", 3.0);
    assert_eq!(broker.command_ok(&route("never", &[])).0.get("warnings"), None);
    let other = route("never", &[]).replace("ADD EVENT Save", "ADD EVENT Keep");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("line.lot");
    std::fs::write(&file, other.strip_prefix("-addRoute ").unwrap()).unwrap();
    let plan =
        Program::run(LOTMQ, &["deploy", "-p", &broker.port(), "--dry-run", folder.path().to_str().unwrap()]);
    let told = "3 waiting message(s) are for events that go, and become dead letters: Save (3)";
    let shown = plan.unwrap();
    assert!(shown.stdout.contains(told), "{shown:?}");
    let replaced = broker.command_ok(&other);
    let warning = &replaced.0["warnings"][0];
    assert_eq!((&warning["code"], &warning["message"]), (&"WAITING_FOR_GONE".into(), &told.into()));
    // That is no news to whoever replaces that text.
    let again = broker.command_ok(&other.replace("done/", "made/"));
    assert_eq!(again.0.get("warnings"), None, "{again:?}");
    broker.command_ok("-run Line");
    broker.wait_until_metric_is("lotmq_route_dead_letters", 3.0);
    // With the event back under its name they are delivered.
    broker.command_ok(&route("never", &[]));
    assert_eq!(broker.command_ok("-replayDeadLetters Line").data()["count"], 3);
    broker.wait_for_metric("lotmq_route_delivered_total", 3.0);
}

#[test]
fn route_removal_reports_waiting_messages_and_dead_letters() {
    let broker = options().start();
    broker.command_ok(&route(REFUSES, &[]));
    publish(&broker, "in/a", r#"{"fail":"reject"}"#);
    broker.wait_until_metric_is("lotmq_route_dead_letters_total", 1.0);
    broker.command_ok("-stop Line");
    for number in 0..3 {
        publish(&broker, "in/a", number.to_string());
    }
    broker.wait_until_metric_is("lotmq_route_waiting", 3.0);
    let removed = broker.command_ok("-removeRoute Line");
    assert_eq!(removed.message(), "Route 'Line' removed successfully!");
    assert_eq!((&removed.data()["waiting"], &removed.data()["deadLetters"]), (&3.into(), &1.into()));
    for _ in 0..2 {
        assert_eq!(broker.command_ok(&route(REFUSES, &[])).message(), "Route 'Line' added successfully!");
    }
    broker.command_ok("-stop Line");
    publish(&broker, "in/a", "x".to_owned());
    broker.wait_until_metric_is("lotmq_route_waiting", 1.0);
    // Somebody is asked before, and here is nobody.
    let asked = Program::run(LOTMQ, &["cmd", "-p", &broker.port(), "-removeAllRoutes"]).unwrap();
    let told = "Routes that go with messages: Line (1 waiting message(s) and 0 dead letter(s)).";
    assert!(asked.stderr.contains(told) && !asked.status.success(), "{asked:?}");
    let removed = Program::run(LOTMQ, &["cmd", "-p", &broker.port(), "--yes", "-removeAllRoutes"]).unwrap();
    assert!(removed.stdout.starts_with("Removed all routes successfully\n"), "{removed:?}");
    assert!(removed.stdout.contains("waiting"), "{removed:?}");
    assert_eq!(broker.command_ok("-removeAllRoutes").message(), "Removed all routes successfully");
}
