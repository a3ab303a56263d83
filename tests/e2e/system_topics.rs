//! The `$SYS` tree as clients see it: snapshots after SUBACK, live changes, who may read what.

use std::collections::BTreeMap;

use lotmq_client::{Client, ConnectOptions, Connection, Message, ProtocolVersion, Publication, QoS};
use lotmq_test_support::{WAIT_MAX, eventually};
use serde_json::Value;

use crate::{broker, options};

const ECHO: &str =
    "-- echo\nDEFINE ACTION Echo\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n";

/// Everything that comes for a subscription before a message of our own behind it.
fn snapshot(client: &mut Client, filter: &str) -> BTreeMap<String, Message> {
    client.subscribe_to("barrier", QoS::AtMostOnce).unwrap();
    assert!(!client.subscribe_to(filter, QoS::AtMostOnce).unwrap().is_failure(), "{filter}");
    client.publish(&Publication::new("barrier", "x")).unwrap();
    let mut found = BTreeMap::new();
    loop {
        let message = client.receive(WAIT_MAX).unwrap().unwrap();
        if message.topic == "barrier" {
            return found;
        }
        found.insert(message.topic.clone(), message);
    }
}

#[test]
fn a_subscription_gets_the_retained_topics_with_the_flag() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {ECHO}"));
    broker.command_ok(
        "-addAction DEFINE ACTION Told\nON TOPIC \"in\" DO\n    PUBLISH TOPIC \"out\" WITH 1\nDESCRIPTION \"counts parts\"",
    );
    let found = snapshot(&mut broker.root("root"), "$SYS/Coreflux/#");
    for topic in [
        "Version",
        "License",
        "License/Status",
        "Config",
        "Config/Users",
        "Config/users",
        "Config/Rules",
        "Comms/Clients",
        "Comms/Sessions",
        "Actions",
        "Models",
        "Routes",
        "Rules",
        "Status",
        "Status/State",
        "Status/Uptime",
        "Status/Connections",
        "Status/MessagesIn",
        "Status/MessagesOut",
        "Status/Store",
        "Resources/Memory",
        "Resources/Cpu",
        "Actions/Echo",
        "Actions/Echo/Description",
        "Python/Scripts",
        "Projects/list",
        "Projects/active",
        "Entities/ownership",
        "Cluster/Role",
    ] {
        let message = found.get(&format!("$SYS/Coreflux/{topic}"));
        assert!(message.is_some_and(|message| message.retain), "{topic}: {message:?}");
    }
    let text = |topic: &str| found[&format!("$SYS/Coreflux/{topic}")].text();
    assert_eq!(text("Actions/Echo"), ECHO, "byte for byte");
    assert_eq!(text("Actions/Echo/Description"), "Action Echo");
    assert_eq!(text("Actions/Told/Description"), "counts parts");
    assert_eq!(
        text("Actions"),
        r#"[{"name":"Echo","state":"running","origin":"adhoc"},{"name":"Told","state":"running","origin":"adhoc"}]"#
    );
    let version: Value = serde_json::from_str(&text("Version")).unwrap();
    assert_eq!(version["compat"], "2.14");
    for (leaf, expected) in [
        ("Role", "Leader"),
        ("IsLeader", "true"),
        ("Leader", "lotmq"),
        ("Term", "1"),
        ("Members", r#"["lotmq"]"#),
        ("Status", "standalone"),
    ] {
        assert_eq!(text(&format!("Cluster/{leaf}")), expected, "{leaf}");
    }
    assert!(text("Status/Store").parse::<u64>().unwrap() > 0, "the file is there");
    assert_eq!(text("Projects/active"), r#"{"status":"unloaded"}"#);
    assert!(text("License").starts_with(r#"{"status":"Valid","tier":"Open","expiry":null,"#));
    let config: Value = serde_json::from_str(&text("Config")).unwrap();
    assert_eq!(
        (&config["AnonymousLogin"], &config["defaultPassword"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    assert!(text("Config/Users").starts_with(r#"[{"Username":"root","Password":"****""#));
    assert!(!found.contains_key("$SYS/Coreflux/Actions/Echo/Error"));
}

#[test]
fn filters_with_wildcards_get_what_they_match() {
    let broker = broker();
    broker.command_ok(&format!("-addAction {ECHO}"));
    for (filter, expected) in [
        ("$SYS/Coreflux/Actions/+", vec!["$SYS/Coreflux/Actions/Echo"]),
        ("$SYS/Coreflux/Actions/+/Description", vec!["$SYS/Coreflux/Actions/Echo/Description"]),
        (
            "$SYS/Coreflux/Actions/Echo/#",
            vec!["$SYS/Coreflux/Actions/Echo", "$SYS/Coreflux/Actions/Echo/Description"],
        ),
        ("$SYS/+/Actions/Echo", vec!["$SYS/Coreflux/Actions/Echo"]),
        ("$SYS/Coreflux/Actions/Nope", vec![]),
        ("$SYS/broker/retained messages/count", vec!["$SYS/broker/retained messages/count"]),
        ("#", vec![]),
        ("+/Coreflux/Version", vec![]),
    ] {
        let found = snapshot(&mut broker.root(""), filter);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[test]
fn an_event_that_no_route_has_is_an_error_record() {
    let broker = broker();
    broker.command_ok("-addAction DEFINE ACTION Fire\nON TOPIC \"in\" DO\n    TRIGGER \"Save\" TO PlantDb WITH PAYLOAD\n    PUBLISH TOPIC \"out\" WITH PAYLOAD\n");
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/Fire/Error", QoS::AtLeastOnce).unwrap();
    root.subscribe_to("out", QoS::AtLeastOnce).unwrap();
    root.publish(&Publication::new("in", "5")).unwrap();
    let both = [root.receive(WAIT_MAX).unwrap().unwrap(), root.receive(WAIT_MAX).unwrap().unwrap()];
    let of = |topic: &str| both.iter().find(|message| message.topic == topic).unwrap().text();
    assert_eq!(of("out"), "5");
    let error: Value = serde_json::from_str(&of("$SYS/Coreflux/Actions/Fire/Error")).unwrap();
    assert_eq!((&error["code"], &error["line"]), (&Value::from("LOT616"), &Value::from(3)), "{error}");
    let message = error["message"].as_str().unwrap();
    assert_eq!(message, "route `PlantDb` has no event `Save`; nothing was triggered");
}

#[test]
fn errors_are_retained_until_the_action_is_replaced() {
    let broker = broker();
    let failing = "DEFINE ACTION Fail\nON TOPIC \"in\" DO\n    PUBLISH TOPIC PAYLOAD WITH 1\n";
    broker.command_ok(&format!("-addAction {failing}"));
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Actions/Fail/Error", QoS::AtLeastOnce).unwrap();
    root.publish(&Publication::new("in", "a/#")).unwrap();
    let live: Value = serde_json::from_str(&root.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
    assert_eq!(live["action"], "Fail");
    assert_eq!(live["trigger"]["payload"], "a/#");
    let late = snapshot(&mut broker.root("late"), "$SYS/Coreflux/Actions/+/Error");
    assert_eq!(late.len(), 1);
    broker.command_ok(&format!("-addAction {}", failing.replace("TOPIC PAYLOAD", "TOPIC \"x\"")));
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), "");
    assert!(snapshot(&mut broker.root("later"), "$SYS/Coreflux/Actions/+/Error").is_empty());
}

#[test]
fn listings_follow_what_happens_while_somebody_looks() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Comms/Clients", QoS::AtLeastOnce).unwrap();
    let _other = broker.client("somebody-else");
    eventually("the new client", || {
        let listing = root.receive(WAIT_MAX).unwrap().unwrap().text();
        listing.contains(r#""clientId":"somebody-else""#).then_some(())
    });
}

#[test]
fn logins_are_published_as_events() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Comms/Logins", QoS::AtLeastOnce).unwrap();
    drop(broker.client("visitor").disconnect());
    for (event, result) in [("connect", 0), ("disconnect", 0)] {
        let told: Value = serde_json::from_str(&root.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
        assert_eq!((&told["event"], &told["clientId"]), (&event.into(), &"visitor".into()), "{told}");
        assert_eq!(told["result"], result);
    }
    let wrong = ConnectOptions::new("thief").user("root", "wrong");
    assert!(Client::connect(broker.address(), &wrong).is_err());
    let told: Value = serde_json::from_str(&root.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
    assert_eq!((&told["event"], &told["username"]), (&"refused".into(), &"root".into()), "{told}");
}

#[test]
fn figures_are_published_by_the_clock_and_on_demand() {
    let broker = options().variable("LOTMQ_SYS_INTERVAL_SEC", "1").start();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/broker/load/messages/received/1min", QoS::AtMostOnce).unwrap();
    root.subscribe_to("$SYS/Coreflux/Stats", QoS::AtMostOnce).unwrap();
    let snapshot = root.receive(WAIT_MAX).unwrap().unwrap();
    assert!(snapshot.retain);
    let live = root.receive(WAIT_MAX).unwrap().unwrap();
    assert!(!live.retain && live.text().contains('.'), "{live:?}");
    root.publish(&Publication::new("$SYS/Coreflux/Command", "-updateData")).unwrap();
    eventually("the statistics", || {
        let message = root.receive(WAIT_MAX).unwrap().unwrap();
        message.topic.ends_with("/Stats").then(|| assert!(message.text().starts_with(r#"{"clients":"#)))
    });
}

#[test]
fn users_without_rights_read_the_monitoring_tree_only() {
    let broker = broker();
    broker.command_ok("-addUser bob pw");
    let mut bob = broker.connect(&ConnectOptions::v5("bob").user("bob", "pw"));
    for (filter, is_granted) in [
        ("$SYS/broker/#", true),
        ("$SYS/#", false),
        ("$SYS/Coreflux/#", false),
        // Replies to the user's own commands.
        ("$SYS/Coreflux/Command/Output", true),
        ("$share/g/$SYS/Coreflux/#", false),
        ("$SYS/+/uptime", false),
        ("#", true),
    ] {
        let granted = bob.subscribe_to(filter, QoS::AtMostOnce).unwrap();
        assert_eq!(!granted.is_failure(), is_granted, "{filter}: {granted}");
    }
}

#[test]
fn revoked_right_ends_the_subscription() {
    let broker = broker();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    let mut ann = broker.connect(&ConnectOptions::v5("ann").user("ann", "pw"));
    for filter in ["$SYS/Coreflux/#", "$share/g/$SYS/Coreflux/Actions/+", "plant/#"] {
        assert!(!ann.subscribe_to(filter, QoS::AtMostOnce).unwrap().is_failure(), "{filter}");
    }
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration false");
    eventually("the end of two subscriptions", || {
        let clients = broker.command_ok("-listClients ann");
        (clients.data()["clients"][0]["subscriptions"] == 1).then_some(())
    });
    ann.ping().unwrap();
}

#[test]
fn a_configuration_by_message_is_refused_by_name() {
    let broker = broker();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtMostOnce).unwrap();
    let wish = Publication::new("$SYS/Coreflux/Config/New", r#"{"AnonymousLogin":false}"#);
    root.publish(&wish).unwrap();
    let reply: Value = serde_json::from_str(&root.receive(WAIT_MAX).unwrap().unwrap().text()).unwrap();
    assert_eq!(reply["success"], false);
    assert_eq!(reply["command"], "ConfigNew");
    assert_eq!(reply["errors"][0]["code"], "NOT_AVAILABLE");
}

/// Names and forms are mosquitto's, so that its monitoring tools work. Commands reference §6.
#[test]
fn the_monitoring_tree_has_the_names_of_mosquitto() {
    let broker = broker();
    let mut reader = broker.client("reader");
    reader.subscribe_to("sized", QoS::AtLeastOnce).unwrap();
    let large = Publication::new("sized", vec![b'x'; 100_000]).qos(QoS::AtLeastOnce);
    broker.client("writer").publish(&large).unwrap();
    assert_eq!(reader.receive(WAIT_MAX).unwrap().unwrap().payload.len(), 100_000);
    let found = snapshot(&mut broker.client("monitor"), "$SYS/#");
    let mut expected: Vec<String> = [
        "version uptime timestamp clients/total clients/connected clients/active clients/disconnected",
        "clients/inactive clients/expired clients/maximum messages/received messages/sent messages/stored",
        "messages/inflight publish/messages/received publish/messages/sent publish/messages/dropped",
        "publish/bytes/received publish/bytes/sent bytes/received bytes/sent subscriptions/count",
        "shared_subscriptions/count store/messages/count store/messages/bytes heap/current heap/maximum",
    ]
    .iter()
    .flat_map(|names| names.split(' ').map(str::to_owned))
    .collect();
    expected.push("retained messages/count".to_owned());
    for load in ["messages", "publish", "bytes"] {
        expected.extend(["received", "sent"].map(|way| format!("load/{load}/{way}")));
    }
    expected.extend(["publish/dropped", "connections", "sockets"].map(|load| format!("load/{load}")));
    let (loads, mut expected): (Vec<_>, Vec<_>) =
        expected.into_iter().partition(|name| name.starts_with("load/"));
    for window in ["1min", "5min", "15min"] {
        expected.extend(loads.iter().map(|name| format!("{name}/{window}")));
    }
    expected.sort();
    let topics: Vec<&str> = found.keys().filter_map(|topic| topic.strip_prefix("$SYS/broker/")).collect();
    assert_eq!(topics, expected);
    let text = |name: &str| found[&format!("$SYS/broker/{name}")].text();
    let number = |name: &str| text(name).parse::<u64>().unwrap();
    assert!(text("version").starts_with("lotmq ") && text("uptime").ends_with(" seconds"));
    assert!(text("load/publish/received/1min").split_once('.').is_some_and(|(_, after)| after.len() == 2));
    assert_eq!(number("clients/connected"), 2);
    // Payloads alone here, everything there.
    assert_eq!((number("publish/bytes/received"), number("publish/bytes/sent")), (100_000, 100_000));
    assert!(number("bytes/sent") > 100_000 && number("bytes/received") > 100_000);
}

#[test]
fn an_interval_of_zero_turns_the_monitoring_tree_off() {
    let broker = options().variable("LOTMQ_SYS_INTERVAL_SEC", "0").start();
    assert!(snapshot(&mut broker.client("monitor"), "$SYS/broker/#").is_empty());
    assert!(!snapshot(&mut broker.root("root"), "$SYS/Coreflux/Status").is_empty());
}

#[test]
fn sessions_with_a_full_queue_are_reported() {
    let broker = options().variable("LOTMQ_LIMITS_QUEUE_MESSAGES", "10").start();
    let mut lazy = broker.connect(&ConnectOptions::new("lazy").clean_start(false));
    lazy.subscribe_to("orders", QoS::AtLeastOnce).unwrap();
    lazy.disconnect().unwrap();
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Comms/Sessions", QoS::AtLeastOnce).unwrap();
    let mut publisher = broker.client("publisher");
    for number in 0..15 {
        publisher.publish(&Publication::new("orders", number.to_string()).qos(QoS::AtLeastOnce)).unwrap();
    }
    let listing = &snapshot(&mut broker.root("late"), "$SYS/Coreflux/Comms/Sessions");
    let listing: Value = serde_json::from_str(&listing["$SYS/Coreflux/Comms/Sessions"].text()).unwrap();
    let lazy = listing.as_array().unwrap().iter().find(|row| row["clientId"] == "lazy").unwrap();
    let keys: Vec<&String> = lazy.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["clientId", "username", "connected", "expirySec", "queued", "inflight"]);
    let mut dropped = 0;
    eventually("word of what was dropped", || {
        let message = root.receive(WAIT_MAX).unwrap().unwrap();
        let told: Value = serde_json::from_str(&message.text()).unwrap();
        if told["event"] == "queue_full" {
            assert_eq!((&told["clientId"], message.retain), (&"lazy".into(), false), "{told}");
            dropped += told["dropped"].as_u64().unwrap();
        }
        (dropped == 5).then_some(())
    });
}

/// Commands reference §15 test 20.
#[test]
fn listings_of_many_clients_are_cut_and_paged() {
    const CLIENTS: usize = 2_000;
    lotmq_test_support::allow_open_files(2 * CLIENTS as u64);
    let broker = broker();
    let connections: Vec<Connection> = (0..CLIENTS)
        .map(|n| {
            let mut connection =
                Connection::open(broker.address(), ProtocolVersion::V3_1_1, WAIT_MAX).unwrap();
            let id = format!("many-{n:04}");
            connection
                .send(&[&b"\x10\x15\0\x04MQTT\x04\x02\0\x3c\0\x09"[..], id.as_bytes()].concat())
                .unwrap();
            connection
        })
        .collect();
    eventually("all clients", || {
        (broker.command_ok("-listClients many-").data()["total"] == CLIENTS).then_some(())
    });
    let listing = &snapshot(&mut broker.root("root"), "$SYS/Coreflux/Comms/Clients");
    let listing: Value = serde_json::from_str(&listing["$SYS/Coreflux/Comms/Clients"].text()).unwrap();
    let rows = listing.as_array().unwrap();
    // Those who ask are among them.
    assert_eq!((rows.len(), &rows[1000]["truncated"]), (1001, &Value::Bool(true)));
    assert!(rows[1000]["total"].as_u64().unwrap() > CLIENTS as u64);
    let keys: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    let expected = [
        "clientId",
        "username",
        "endpoint",
        "protocol",
        "connectedAt",
        "keepAlive",
        "cleanSession",
        "subscriptions",
    ];
    assert_eq!(keys, expected);
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = broker.command_ok(format!("-listClients many- {cursor}").trim_end());
        let clients = page.data()["clients"].as_array().unwrap();
        assert!(clients.len() <= 1000);
        ids.extend(clients.iter().map(|client| client["clientId"].as_str().unwrap().to_owned()));
        let Some(next) = page.data()["next"].as_str() else { break };
        cursor = next.to_owned();
    }
    let expected: Vec<String> = (0..CLIENTS).map(|n| format!("many-{n:04}")).collect();
    assert_eq!(ids, expected);
    drop(connections);
}
