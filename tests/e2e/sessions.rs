//! How many sessions there may be and what they may take, and how administrators end them.

use lotmq_client::{Client, ClientError, ConnectOptions, Publication, QoS, ReasonCode};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};

use crate::disk::Sick;
use crate::options;

/// A session that outlives its connection.
fn lasting(client_id: &str) -> ConnectOptions {
    ConnectOptions::v5(client_id).clean_start(false).session_expiry(3600)
}

fn leave(broker: &Broker, options: &ConnectOptions) {
    broker.connect(options).disconnect().unwrap();
}

fn refusal(broker: &Broker, options: &ConnectOptions) -> Option<(ReasonCode, String)> {
    match Client::connect(broker.address(), options) {
        Ok(_) => None,
        Err(ClientError::Refused { reason, text }) => Some((reason, text)),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn sessions_that_outlive_their_connections_are_bounded() {
    let mut broker = options()
        .variable("LOTMQ_LIMITS_SESSIONS", "5")
        .variable("LOTMQ_LIMITS_SESSIONS_PER_USER", "2")
        .variable("LOTMQ_LIMITS_ANONYMOUS_SESSIONS", "3")
        .variable("LOTMQ_LIMITS_SESSIONS_PER_ADDRESS", "2")
        .start();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-addUser bob pw");
    leave(&broker, &lasting("a1"));
    leave(&broker, &lasting("a2"));
    let (reason, text) = refusal(&broker, &lasting("a3")).expect("the address has two");
    assert_eq!(reason, ReasonCode::QuotaExceeded);
    assert!(text.ends_with("(limit sessions_per_address)"), "{text}");
    let old = ConnectOptions { clean_start: false, ..ConnectOptions::new("a3") };
    let (reason, _) = refusal(&broker, &old).expect("the address has two");
    assert_eq!(reason, ReasonCode::ServerUnavailable, "return code 3");
    let reached = "lotmq_limit_reached_total{limit=\"sessions_per_address\",listener=\"mqtt\"}";
    assert_eq!(broker.metric(reached), Some(2.0));
    // Existing sessions go on, end with their connection, or begin anew.
    assert!(broker.connect(&lasting("a1")).session_present());
    leave(&broker, &lasting("a2").clean_start(true));
    leave(&broker, &ConnectOptions::v5("a3"));
    // Users have their own.
    let of = |user: &str, id: &str| lasting(id).user(user, "pw");
    leave(&broker, &of("ann", "u1"));
    leave(&broker, &of("ann", "u2"));
    assert!(refusal(&broker, &of("ann", "u3")).unwrap().1.ends_with("(limit sessions_per_user)"));
    leave(&broker, &of("bob", "u3"));
    assert!(refusal(&broker, &of("bob", "u4")).unwrap().1.ends_with("(limit sessions)"));
    // An administrator gets in.
    leave(&broker, &lasting("r1").user("root", "coreflux"));
    assert_eq!(broker.command_ok("-listSessions r").data()["stored"], 6);
    broker.kill();
    broker.start_again();
    assert!(refusal(&broker, &of("ann", "u5")).unwrap().1.ends_with("(limit sessions_per_user)"));
    // One that ends makes room.
    for id in ["r1", "u1", "u2"] {
        broker.command_ok(&format!("-endSession {id}"));
    }
    leave(&broker, &of("ann", "u5"));
    // From where the others without a user came is remembered.
    assert!(refusal(&broker, &lasting("a4")).unwrap().1.ends_with("(limit sessions_per_address)"));
}

/// CONNACK names the value in force exactly when it is another than the one that was asked for
/// (MQTT 5.0, 3.2.2.3.2).
#[test]
fn connack_names_the_session_expiry_that_is_in_force() {
    let broker = options()
        .variable("LOTMQ_LIMITS_SESSION_EXPIRY_MAX", "1000s")
        .variable("LOTMQ_LIMITS_ANONYMOUS_SESSION_EXPIRY_MAX", "100s")
        .start();
    broker.command_ok("-addUser ann \"a long password\"");
    for (asked, anonymous, user) in [
        (0, None, None),
        (99, None, None),
        (100, None, None),
        (101, Some(100), None),
        (999, Some(100), None),
        (1_000, Some(100), None),
        (1_001, Some(100), Some(1_000)),
        (u32::MAX, Some(100), Some(1_000)),
    ] {
        for (is_user, announced) in [(false, anonymous), (true, user)] {
            let options = ConnectOptions::v5(format!("c{asked}{is_user}")).session_expiry(asked);
            let options = if is_user { options.user("ann", "a long password") } else { options };
            let client = broker.connect(&options);
            let told = client.connack_properties().session_expiry_interval();
            assert_eq!(told, announced, "{asked} {is_user}");
        }
    }
}

#[test]
fn filters_of_a_session_and_of_all_are_bounded_in_bytes() {
    let broker = options()
        .variable("LOTMQ_LIMITS_SUBSCRIPTION_BYTES", "260000")
        .variable("LOTMQ_LIMITS_TENANT_SESSION_BYTES", "800000")
        .start();
    let filter = |number: usize| format!("{number}{}", "f".repeat(59_000));
    let mut client = broker.connect(&ConnectOptions::v5("client"));
    let mut ask = |number| client.subscribe_to(&filter(number), QoS::AtMostOnce).unwrap();
    assert_eq!([ask(1), ask(2), ask(3)].map(ReasonCode::is_failure), [false, false, true]);
    assert_eq!(ask(3), ReasonCode::QuotaExceeded);
    assert!(!ask(2).is_failure(), "it is there already");
    client.unsubscribe(&[&filter(1)]).unwrap();
    assert!(!client.subscribe_to(&filter(3), QoS::AtMostOnce).unwrap().is_failure());
    let reached = "lotmq_limit_reached_total{limit=\"subscription_bytes\",listener=\"mqtt\"}";
    assert_eq!(broker.metric(reached), Some(2.0));
    // All who have no name have half of what there is; others still have room.
    let mut second = broker.connect(&ConnectOptions::v5("second"));
    assert!(!second.subscribe_to(&filter(1), QoS::AtMostOnce).unwrap().is_failure());
    assert_eq!(second.subscribe_to(&filter(2), QoS::AtMostOnce).unwrap(), ReasonCode::QuotaExceeded);
    let reached = "lotmq_limit_reached_total{limit=\"tenant_session_bytes\",listener=\"mqtt\"}";
    assert_eq!(broker.metric(reached), Some(1.0));
    broker.command_ok("-addUser ann pw");
    let mut ann = broker.connect(&ConnectOptions::v5("ann").user("ann", "pw"));
    assert!(!ann.subscribe_to(&filter(1), QoS::AtMostOnce).unwrap().is_failure());
    drop((client, second));
    let mut third = broker.connect(&ConnectOptions::v5("third"));
    eventually("the others are gone", || {
        (!third.subscribe_to(&filter(1), QoS::AtMostOnce).unwrap().is_failure()).then_some(())
    });
}

/// An ended session that is not listed any more may come back. The listing says so until the end is
/// on the disk.
#[test]
fn a_listing_says_how_many_sessions_have_ended_that_a_crash_brings_back() {
    let mut sick = Sick::new();
    let listed = |sick: &Sick, prefix: &str| {
        let reply = sick.broker.command_ok(&format!("-listSessions {prefix}"));
        let (data, warnings) = (reply.data(), &reply.0["warnings"]);
        assert_eq!(warnings[0]["code"] == "NOT_STORED_YET", data["ending"] != 0, "{warnings}");
        (data["total"].as_u64().unwrap(), data["ending"].as_u64().unwrap())
    };
    for id in ["one", "two"] {
        leave(&sick.broker, &lasting(id));
    }
    assert_eq!(listed(&sick, "one"), (1, 0));
    sick.becomes("hang");
    let mut root = sick.broker.root("impatient");
    let end = Publication::new("$SYS/Coreflux/Command", "-endSession one").qos(QoS::AtLeastOnce);
    root.publish(&end).unwrap();
    eventually("the session has ended", || (listed(&sick, "one") == (0, 1)).then_some(()));
    assert_eq!(listed(&sick, "two"), (1, 0), "another prefix");
    sick.heals();
    eventually("the end is stored", || (listed(&sick, "one") == (0, 0)).then_some(()));
    sick.becomes("full");
    assert!(!sick.broker.command("-setEnv FOUND=out").success());
    sick.broker.command_ok("-endSession two");
    assert_eq!(listed(&sick, "two"), (0, 1));
    sick.broker.kill();
    sick.heals();
    sick.broker.start_again();
    assert_eq!((listed(&sick, "one"), listed(&sick, "two")), ((0, 0), (1, 0)));
}

#[test]
fn an_administrator_lists_and_ends_sessions_and_connections() {
    let mut broker = options().variable("LOTMQ_LIMITS_SESSIONS", "2").start();
    broker.command_ok("-addUser ann pw");
    let mut sleeper = broker.connect(&lasting("sleeper").user("ann", "pw"));
    sleeper.subscribe_to("kept/#", QoS::AtLeastOnce).unwrap();
    sleeper.disconnect().unwrap();
    let mut live = broker.connect(&lasting("live"));
    live.publish(&Publication::new("kept/a", "x").qos(QoS::AtLeastOnce)).unwrap();
    let listed = broker.command_ok("-listSessions sleep");
    let row = &listed.data()["sessions"][0];
    assert_eq!((&row["clientId"], &row["username"]), (&"sleeper".into(), &"ann".into()), "{row}");
    assert_eq!((&row["connected"], &row["queued"]), (&false.into(), &1.into()), "{row}");
    assert_eq!(listed.data()["next"], serde_json::Value::Null);

    assert!(!broker.command("-endSession sleeper bob").success());
    assert!(!broker.command("-endSession sleeper \"\"").success(), "it is not anonymous");
    assert!(!broker.command("-endSession nobody").success());
    assert!(!broker.command("-kickClient sleeper").success(), "it is not connected");
    broker.command_ok("-endSession sleeper ann");
    assert_eq!(broker.command_ok("-listSessions sleep").data()["total"], 0);
    broker.kill();
    broker.start_again();
    assert_eq!(broker.command_ok("-listSessions sleep").data()["total"], 0, "it is gone for good");

    let mut live = broker.connect(&lasting("live"));
    assert!(live.session_present());
    broker.command_ok("-kickClient live");
    assert!(live.ping().is_err());
    let mut live = broker.connect(&lasting("live"));
    assert!(live.session_present(), "its session stays");
    let connections = broker.command_ok("-listConnections");
    let rows = connections.data()["connections"].as_array().unwrap().clone();
    let row = rows.iter().find(|row| row["clientId"] == "live").unwrap();
    assert_eq!(row["listener"], "mqtt");
    broker.command_ok(&format!("-endConnection {}", row["connection"]));
    assert!(live.ping().is_err());
    assert!(!broker.command(&format!("-endConnection {}", row["connection"])).success());
    assert!(!broker.command("-endConnection x").success());

    // A connected one is closed and has nothing when it comes again.
    let mut live = broker.connect(&lasting("live"));
    live.subscribe_to("t", QoS::AtLeastOnce).unwrap();
    broker.command_ok("-endSession live");
    assert!(live.ping().is_err());
    assert!(!broker.connect(&lasting("live")).session_present());
}

#[test]
fn offline_delivery_rate_is_limited_per_owner() {
    let broker = options().variable("LOTMQ_LIMITS_OFFLINE_DELIVERIES_PER_SEC", "60").start();
    broker.command_ok("-addUser ann pw");
    let mut sleepers: Vec<ConnectOptions> =
        (0..40).map(|number| lasting(&format!("away-{number}"))).collect();
    let ann = lasting("ann").user("ann", "pw");
    sleepers.push(ann.clone());
    for options in &sleepers {
        let mut client = broker.connect(options);
        client.subscribe_to("t/#", QoS::AtLeastOnce).unwrap();
        client.disconnect().unwrap();
    }
    let mut publisher = broker.client("publisher");
    for number in 0..50 {
        publisher.publish(&Publication::new("t/a", number.to_string()).qos(QoS::AtLeastOnce)).unwrap();
    }
    let reached = "lotmq_limit_reached_total{limit=\"offline_deliveries_per_sec\"}";
    let dropped = broker.metric(reached).unwrap();
    assert!(dropped > 500.0, "{dropped} of 2,050");
    assert_eq!(broker.metric("lotmq_queue_full_dropped_total"), Some(dropped));
    // She pays for herself alone.
    let mut ann = broker.connect(&ann);
    for number in 0..50 {
        assert_eq!(ann.receive(WAIT_MAX).unwrap().unwrap().text(), number.to_string());
    }
}
