//! Log lines and trace logs as topics: who gets them and when, and what is never in them.

use lotmq_client::{Client, ConnectOptions, Publication, QoS, Will};
use lotmq_test_support::{Broker, WAIT_MAX};
use serde_json::Value;

use crate::{broker, options};

const PUBLISHED: &str = "lotmq_log_lines_published_total";

/// Somebody who may read the log and is subscribed to these filters.
fn reader(broker: &Broker, filters: &[&str]) -> Client {
    let mut reader = broker.root("reader");
    for filter in filters {
        assert!(!reader.subscribe_to(filter, QoS::AtLeastOnce).unwrap().is_failure(), "{filter}");
    }
    reader
}

/// The lines up to the one about a client that connects now and leaves without saying so.
fn lines(broker: &Broker, reader: &mut Client) -> Vec<(String, Value)> {
    drop(broker.client("barrier"));
    let mut lines = Vec::new();
    loop {
        let message = reader.receive(WAIT_MAX).unwrap().expect("the line about the barrier comes");
        assert!(!message.retain);
        let line: Value = serde_json::from_slice(&message.payload).unwrap();
        if line["fields"]["client_id"] == "barrier" && line["message"] == "client disconnected" {
            return lines;
        }
        lines.push((message.topic, line));
    }
}

#[test]
fn lines_of_a_level_come_on_both_spellings_while_somebody_is_subscribed() {
    let broker = broker();
    broker.command_ok("-setEnv A=1");
    assert_eq!(broker.metric(PUBLISHED), Some(0.0), "nobody reads");
    let mut new = reader(&broker, &["$SYS/Coreflux/Log/Info"]);
    let mut old = broker.root("reader of the older spelling");
    old.subscribe_to("$SYS/Coreflux/Logs/#", QoS::AtMostOnce).unwrap();
    broker.command_ok("-setEnv A=2");
    assert!(Client::connect(broker.address(), &ConnectOptions::new("thief").user("root", "wrong")).is_err());
    let found = lines(&broker, &mut new);
    let (topic, line) = found.iter().find(|(_, line)| line["fields"]["verb"] == "setEnv").unwrap();
    assert_eq!(topic, "$SYS/Coreflux/Log/Info");
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["ts", "level", "category", "message", "fields"]);
    assert_eq!((&line["level"], &line["category"]), (&"Info".into(), &"commands".into()));
    assert!(found.iter().all(|(topic, _)| topic == "$SYS/Coreflux/Log/Info"), "{found:?}");
    let found = lines(&broker, &mut old);
    let refused = found.iter().find(|(_, line)| line["message"] == "login refused").unwrap();
    assert_eq!(
        (&*refused.0, &refused.1["fields"]["client_id"]),
        ("$SYS/Coreflux/Logs/Warning", &"thief".into())
    );
    assert!(found.iter().any(|(topic, _)| topic == "$SYS/Coreflux/Logs/Debug"), "each level: {found:?}");
    assert!(!broker.log().text().contains("DEBUG"), "what others read is not on standard error");
    drop((new, old));
}

#[test]
fn only_who_may_reads_the_log_and_adds_trace_logs() {
    let broker = broker();
    for user in ["plain", "admin", "logger"] {
        broker.command_ok(&format!("-addUser {user} x"));
    }
    broker.command_ok("-changeUserSettings admin AllowedSystemConfiguration true");
    broker.command_ok("-changeUserSettings logger AllowedLogManagement true");
    broker.command_ok("-changeUserSettings logger AllowedUserManagement true");
    let connect = |user: &str| broker.connect(&ConnectOptions::new(user).user(user, "x"));
    let (mut plain, mut admin, mut logger) = (connect("plain"), connect("admin"), connect("logger"));
    let mut nobody = broker.client("nobody");
    for filter in ["$SYS/Coreflux/Log/#", "$SYS/Coreflux/Logs/Error", "$SYS/Coreflux/Log/Traces/+/mqtt"] {
        for (client, may) in [(&mut plain, false), (&mut nobody, false), (&mut admin, true)] {
            let refused = client.subscribe_to(filter, QoS::AtMostOnce).unwrap().is_failure();
            assert_eq!(refused, !may, "{filter}");
        }
    }
    admin.unsubscribe(&["$SYS/Coreflux/Log/#"]).unwrap();
    for (client, code) in [(&mut admin, "PERMISSION_DENIED"), (&mut logger, "added successfully")] {
        client.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtMostOnce).unwrap();
        let command = Publication::new("$SYS/Coreflux/Command", "-addTraceLog t -requestId mine");
        client.publish(&command.qos(QoS::AtLeastOnce)).unwrap();
        let reply = std::iter::from_fn(|| client.receive(WAIT_MAX).unwrap())
            .map(|message| message.text())
            .find(|text| text.contains("\"requestId\":\"mine\""));
        assert!(reply.as_ref().is_some_and(|reply| reply.contains(code)), "{reply:?}");
    }
}

#[test]
fn a_trace_log_has_what_its_filter_says_and_survives_kill_9() {
    let mut broker = broker();
    broker.command_ok("-addTraceLog pump trace category=mqtt client=pump-*");
    broker.kill();
    broker.start_again();
    let listed = broker.command_ok("-listTraceLogs");
    assert_eq!(
        listed.data().to_string(),
        r#"[{"name":"pump","level":"trace","filter":"category=mqtt client=pump-*","topic":"$SYS/Coreflux/Log/Traces/pump/#","lines":0}]"#
    );
    let mut reader = reader(&broker, &["$SYS/Coreflux/Log/Traces/#", "$SYS/Coreflux/Log/Info"]);
    for id in ["pump-7", "other"] {
        let mut client = broker.client(id);
        client.subscribe_to("plant/in", QoS::AtMostOnce).unwrap();
        client.publish(&Publication::new("plant/t", "hidden").qos(QoS::AtLeastOnce)).unwrap();
    }
    let mut found = lines(&broker, &mut reader);
    found.retain(|(topic, _)| topic.starts_with("$SYS/Coreflux/Log/Traces/"));
    assert!(found.iter().all(|(topic, line)| {
        topic == "$SYS/Coreflux/Log/Traces/pump/mqtt" && line["fields"]["client_id"] == "pump-7"
    }));
    let messages: Vec<&str> = found.iter().map(|(_, line)| line["message"].as_str().unwrap()).collect();
    assert!(matches!(messages[..], ["client connected", "subscribed", "publish", ..]), "{messages:?}");
    let publish = &found[2].1["fields"];
    assert_eq!((&publish["topic"], &publish["bytes"]), (&"plant/t".into(), &"6".into()));
    let lines = broker.command_ok("-listTraceLogs").data()[0]["lines"].as_u64().unwrap();
    assert!(lines >= 3, "{lines}");
    broker.command_ok("-addTraceLog pump error");
    assert_eq!(broker.command_ok("-listTraceLogs").data()[0]["level"], "error", "the same name replaces");
    broker.command_ok("-addTraceLog second");
    assert_eq!(broker.command_ok("-listTraceLogs").message(), "2 trace log(s).");
    for (command, code, message) in [
        ("-addTraceLog", "MISSING_ARGUMENT", None),
        ("-addTraceLog a/b", "NAME_INVALID", Some("Trace log name 'a/b' is invalid.")),
        ("-addTraceLog a loud", "LEVEL_UNKNOWN", None),
        ("-addTraceLog a info colour=red", "FILTER_INVALID", None),
        ("-removeTraceLog nope", "NOT_FOUND", Some("Trace log 'nope' not found.")),
        ("-removeTraceLog second", "", Some("Trace log 'second' removed successfully!")),
        ("-removeTraceLog second", "NOT_FOUND", None),
        ("-removeAllTraceLogs", "", Some("Removed all trace logs successfully")),
        ("-listTraceLogs", "", Some("0 trace log(s).")),
    ] {
        let reply = broker.command(command);
        assert_eq!(reply.code(), code, "{command}");
        assert!(message.is_none_or(|message| reply.message() == message), "{command}: {reply:?}");
    }
    for n in 0..32 {
        broker.command_ok(&format!("-addTraceLog t{n}"));
    }
    assert_eq!(broker.command("-addTraceLog t32").code(), "QUOTA_EXCEEDED");
}

#[test]
fn no_line_holds_a_secret_a_password_or_a_payload() {
    let broker = options().variable("LOTMQ_LOG_DEBUG", "true").start();
    broker.command_ok("-addTraceLog everything trace");
    broker.command_ok(
        "-addRule DEFINE RULE Watch WITH PRIORITY 200 FOR Publish TO TOPIC \"plant/#\"\n    IF PAYLOAD CONTAINS \"y\" THEN\n        ALLOW\n    ELSE\n        DENY",
    );
    broker.command_ok(
        "-addAction DEFINE ACTION Fails\nON TOPIC \"plant/t\" DO\n    PUBLISH TOPIC \"out/\" + PAYLOAD + \"/#\" WITH PAYLOAD",
    );
    let mut reader = reader(&broker, &["$SYS/Coreflux/Log/#"]);
    for command in [
        "-addUser bob hidden-1",
        "-changeUserPassword bob hidden-2",
        "-setSecret TOKEN=hidden-3",
        "-setEnv SITE=hidden-4",
        "-runAction Fails {\"topic\":\"plant/t\",\"payload\":\"hidden-5\"}",
        "-hidden-6 hidden-7",
    ] {
        broker.command(command);
    }
    assert!(
        Client::connect(broker.address(), &ConnectOptions::new("thief").user("root", "hidden-8")).is_err()
    );
    let mut client = broker.connect(&ConnectOptions::new("bobs").user("bob", "hidden-2"));
    for payload in ["y hidden-9", "hidden-10"] {
        client.publish(&Publication::new("plant/t", payload).qos(QoS::AtLeastOnce)).unwrap();
    }
    let found = lines(&broker, &mut reader);
    let categories: std::collections::BTreeSet<&str> =
        found.iter().map(|(_, line)| line["category"].as_str().unwrap()).collect();
    for category in ["commands", "lot", "mqtt", "rules"] {
        assert!(categories.contains(category), "{categories:?}");
    }
    let everything = format!("{found:?}");
    assert!(!everything.contains("hidden"), "{everything}");
}

#[test]
fn lines_beget_no_lines() {
    let broker = broker();
    broker.command_ok("-addTraceLog everything trace");
    broker.command_ok(
        "-addAction DEFINE ACTION Answers\nON TOPIC \"$SYS/Coreflux/Log/+\" DO\n    PUBLISH TOPIC \"$SYS/Coreflux/Command\" WITH \"-listEnv\"",
    );
    let mut reader = reader(&broker, &["$SYS/Coreflux/Log/#", "$SYS/Coreflux/Logs/#"]);
    lines(&broker, &mut reader);
    let before = broker.metric(PUBLISHED).unwrap();
    assert!(before > 0.0);
    broker.wait_for_metric("lotmq_hops_exceeded_total", 1.0);
    let commands = broker.metric("lotmq_commands_total").unwrap();
    for _ in 0..5 {
        lines(&broker, &mut reader);
    }
    let after = broker.metric(PUBLISHED).unwrap();
    assert!(after - before < 200.0, "{before} lines, then {after}");
    assert_eq!(broker.metric("lotmq_commands_total").unwrap(), commands, "no definition has started");
}

/// Values of `count` in the warnings with this message, up to the last of them that is wanted.
fn warned(broker: &Broker, message: &str, wanted: &[&str]) -> Vec<String> {
    let last = format!(" count={} ", wanted[wanted.len() - 1]);
    let is_last = |line: &str| (line.contains(message) && format!("{line} ").contains(&last)).then_some(());
    broker.log().wait_for(message, is_last).expect("the broker goes on");
    let lines = broker.log().all();
    let ours = lines.iter().filter(|line| line.contains("WARN") && line.contains(message));
    let counts = ours.map(|line| line.split("count=").nth(1).unwrap().split(' ').next().unwrap().to_owned());
    counts.collect()
}

#[test]
fn failing_programs_and_denials_are_warned_of_first_and_then_at_doubled_counts() {
    let broker = broker();
    broker.command_ok("-addAction DEFINE ACTION Divide\nON TOPIC \"divide\" DO\n    PUBLISH TOPIC \"quotient\" WITH (1 / (PAYLOAD AS INT))\n");
    broker.command_ok(
        "-addRule DEFINE RULE Locked WITH PRIORITY 100 FOR Publish TO TOPIC \"valve/#\"\n    DENY\n",
    );
    let mut client = broker.client("sender");
    for _ in 0..5 {
        client.publish(&Publication::new("divide", "0").qos(QoS::AtLeastOnce)).unwrap();
        client.publish(&Publication::new("valve/7", "open").qos(QoS::AtLeastOnce)).unwrap();
    }
    assert_eq!(warned(&broker, "program failed", &["1", "2", "4"]), ["1", "2", "4"]);
    assert_eq!(warned(&broker, "denied by a rule", &["1", "2", "4"]), ["1", "2", "4"]);
    let log = broker.log().text();
    for part in [
        "definition=\"Divide\"",
        "error=\"division by zero; the result is Null\"",
        "topic=\"$SYS/Coreflux/Actions/Divide/Error\"",
        "line=3",
    ] {
        assert!(log.contains(part), "{part} in {log}");
    }
    for part in ["client_id=\"sender\"", "scope=\"Publish\"", "topic=\"valve/7\"", "by=\"rule Locked\""] {
        assert!(log.contains(part), "{part} in {log}");
    }
}

/// Only `log.debug` and readers of `$SYS/Coreflux/Log/Debug` see such clients.
#[test]
fn nobody_who_comes_looks_and_leaves_makes_a_line() {
    let broker = broker();
    broker.client("usual").disconnect().unwrap();
    broker.command_ok("-listClients");
    drop(broker.client("lost"));
    let is_of_lost = |line: &str| line.contains("client_id=\"lost\"").then(|| line.to_owned());
    let line = broker.log().wait_for("what is wrong", is_of_lost).unwrap();
    assert!(line.contains("client disconnected") && line.contains("reason=\"network-error\""), "{line}");
    let log = broker.log().text();
    for unwanted in ["usual", "client connected", "listClients"] {
        assert!(!log.contains(unwanted), "{log}");
    }
    broker.command_ok("-setEnv A=1");
    broker.log().expect("verb=\"setEnv\"");
    broker.command("-removeAction None");
    let line =
        broker.log().wait_for("a refusal", |line| line.contains("removeAction").then(|| line.to_owned()));
    assert!(line.unwrap().contains("success=false"));
    let debug = options().variable("LOTMQ_LOG_DEBUG", "true").start();
    debug.client("usual").disconnect().unwrap();
    debug.log().expect("client_id=\"usual\" reason=\"normal\"");
}

#[test]
fn lines_are_objects_where_that_is_wanted() {
    let broker = options().variable("LOTMQ_LOG_FORMAT", "json").start();
    broker.command_ok("-setEnv A=1");
    assert!(Client::connect(broker.address(), &ConnectOptions::new("thief").user("root", "wrong")).is_err());
    let refused = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("every line is JSON");
        (line["message"] == "login refused").then_some(line)
    };
    let refused = broker.log().wait_for("the refused login", refused).unwrap();
    assert_eq!((&refused["level"], &refused["target"]), (&"WARN".into(), &"client".into()));
    assert_eq!(refused["fields"]["client_id"], "thief");
    assert!(refused["time"].as_str().unwrap().ends_with('Z'), "{refused}");
    let log = broker.log().all();
    let lines = log.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_command = lines.into_iter().find(|line| line["fields"]["verb"] == "setEnv").unwrap();
    assert_eq!(of_command["fields"]["success"], true);
    let refused = options().variable("LOTMQ_LOG_FORMAT", "xml").fail();
    assert!(refused.stderr.contains("`text` or `json`"), "{refused:?}");
}

/// As lines about clients that come and go: a hundred a second, with the number of the others.
#[test]
fn wills_that_are_denied_do_not_flood_the_log() {
    let broker = broker();
    let with_will = |number: u32| {
        let will = Will { qos: QoS::AtLeastOnce, ..Will::new("plant/will", "gone") };
        broker.connect(&ConnectOptions::v5(format!("w{number}")).will(will))
    };
    let clients: Vec<Client> = (0..600).map(with_will).collect();
    broker.command_ok("-addRule DEFINE RULE No WITH PRIORITY 5 FOR Publish TO TOPIC \"plant/#\"\n    DENY");
    drop(clients);
    let denied = "lotmq_publish_refused_total";
    broker.wait_for_metric(denied, 600.0);
    let lines = broker.log().all();
    let count = lines.iter().filter(|line| line.contains("will not published, no permission")).count();
    assert!((1..=300).contains(&count), "{count} lines");
}
