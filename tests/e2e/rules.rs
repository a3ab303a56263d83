//! Rules as a user sees them: uploaded by command, decided on publishes, subscriptions, connections
//! and commands, in force after `kill -9`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lotmq_client::{
    Client, ConnectOptions, Endpoint, PropertyId, PropertyValue, Publication, QoS, ReasonCode, Will,
};
use lotmq_test_support::{Broker, WAIT_MAX, eventually};
use serde_json::{Value, json};

use crate::{broker, options};

/// A broker with two users.
fn broker_of_two() -> Broker {
    let broker = broker();
    for user in ["ann", "bob"] {
        broker.command_ok(&format!("-addUser {user} pw"));
    }
    broker
}

fn v5(user: &str, client_id: &str) -> ConnectOptions {
    ConnectOptions::v5(client_id).user(user, "pw")
}

/// The reason code of a publish at QoS 1.
fn publish(client: &mut Client, topic: &str, payload: &str) -> ReasonCode {
    client.publish(&Publication::new(topic, payload).qos(QoS::AtLeastOnce)).unwrap()
}

/// Whether a message of another client reaches `to` over `topic`, with a message on `barrier`
/// behind it.
fn reaches(broker: &Broker, to: &mut Client, topic: &str) -> bool {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mark = NEXT.fetch_add(1, Ordering::Relaxed).to_string();
    let mut sender = broker.root("sender");
    publish(&mut sender, topic, &mark);
    publish(&mut sender, "barrier", &mark);
    let mut found = false;
    loop {
        let message = to.receive(WAIT_MAX).unwrap().expect("the barrier comes");
        if message.topic == "barrier" && message.text() == mark {
            return found;
        }
        found |= message.topic == topic && message.text() == mark;
    }
}

const WRITERS: &str = "DEFINE RULE Writers WITH PRIORITY 100 FOR Publish TO TOPIC \"plant/#\"
    IF USER IN GROUP \"ops\" OR USER HAS PlantWriter THEN
        ALLOW
    ELSE
        DENY
";

#[test]
fn a_publish_is_decided_by_user_group_and_property() {
    let broker = broker_of_two();
    broker.command_ok(&format!("-addRule {WRITERS}"));
    let (mut ann, mut bob) = (broker.connect(&v5("ann", "a")), broker.connect(&v5("bob", "b")));
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("#", QoS::AtMostOnce).unwrap();
    assert_eq!(publish(&mut ann, "plant/1", "no"), ReasonCode::NotAuthorized);
    assert!(!publish(&mut ann, "other", "yes").is_failure());
    // Before 5.0 the acknowledgement has no code, and the message goes nowhere.
    let mut old = broker.connect(&ConnectOptions::new("old").user("ann", "pw"));
    assert!(!publish(&mut old, "plant/1", "old").is_failure());
    // Changes of a user hold for the sessions that the user has.
    broker.command_ok("-addUserToGroup ann ops");
    assert!(!publish(&mut ann, "plant/2", "group").is_failure());
    broker.command_ok("-removeUserFromGroup ann ops");
    assert_eq!(publish(&mut ann, "plant/2", "no"), ReasonCode::NotAuthorized);
    broker.command_ok("-changeUserSettings bob PlantWriter true");
    assert!(!publish(&mut bob, "plant/3", "property").is_failure());
    broker.command_ok("-changeUserSettings bob PlantWriter no");
    assert_eq!(publish(&mut bob, "plant/3", "no"), ReasonCode::NotAuthorized);
    broker.command_ok("-removeRule Writers");
    assert!(!publish(&mut bob, "plant/4", "free").is_failure());
    let texts: Vec<String> = (0..4).map(|_| watcher.receive(WAIT_MAX).unwrap().unwrap().text()).collect();
    assert_eq!(texts, ["yes", "group", "property", "free"]);
}

#[test]
fn rules_are_in_force_after_kill_9() {
    let mut broker = broker_of_two();
    broker.command_ok(&format!("-addRule {WRITERS}"));
    broker.command_ok("-removeRule AllowSubscribeTopic");
    broker.command_ok("-addUserToGroup bob ops");
    broker.kill();
    broker.start_again();
    let (mut ann, mut bob) = (broker.connect(&v5("ann", "a")), broker.connect(&v5("bob", "b")));
    assert_eq!(publish(&mut ann, "plant/1", "x"), ReasonCode::NotAuthorized);
    assert!(!publish(&mut bob, "plant/1", "x").is_failure());
    // A removed rule of a fresh installation stays removed.
    assert_eq!(ann.subscribe_to("a", QoS::AtMostOnce).unwrap(), ReasonCode::NotAuthorized);
    let mut old = broker.connect(&ConnectOptions::new("old").user("ann", "pw"));
    assert_eq!(old.subscribe_to("a", QoS::AtMostOnce).unwrap() as u8, 0x80);
    broker.command_ok("-restoreRules");
    assert_eq!(ann.subscribe_to("a", QoS::AtMostOnce).unwrap(), ReasonCode::granted(QoS::AtMostOnce));
}

#[test]
fn filters_are_decided_by_level_and_each_message_again() {
    let broker = broker_of_two();
    publish(&mut broker.root("r"), "barrier", "x");
    let mut early = broker.connect(&v5("ann", "early"));
    early.subscribe_to("d/1", QoS::AtMostOnce).unwrap();
    early.subscribe_to("barrier", QoS::AtMostOnce).unwrap();
    assert!(reaches(&broker, &mut early, "d/1"));
    let keep = Publication::new("d/kept", "retained").retained().qos(QoS::AtLeastOnce);
    broker.root("r").publish(&keep).unwrap();
    broker.command_ok("-addRule DEFINE RULE D WITH PRIORITY 100 FOR Subscribe TO TOPIC \"d/#\"\n    DENY\n");
    let mut wide = broker.connect(&v5("bob", "wide"));
    assert_eq!(wide.subscribe_to("d/+/t", QoS::AtMostOnce).unwrap(), ReasonCode::NotAuthorized);
    assert_eq!(wide.subscribe_to("$share/g/d/#", QoS::AtMostOnce).unwrap(), ReasonCode::NotAuthorized);
    assert_eq!(
        wide.subscribe_to("$share/d/a", QoS::AtMostOnce).unwrap(),
        ReasonCode::granted(QoS::AtMostOnce)
    );
    assert_eq!(wide.subscribe_to("#", QoS::AtMostOnce).unwrap(), ReasonCode::granted(QoS::AtMostOnce));
    // The broad filter is granted, and nothing of d comes: neither live nor retained, nor to who
    // had subscribed before.
    assert!(!reaches(&broker, &mut wide, "d/1"));
    assert!(!reaches(&broker, &mut early, "d/1"));
    let mut shared = broker.connect(&v5("bob", "shared"));
    shared.subscribe_to("$share/g/#", QoS::AtMostOnce).unwrap();
    shared.subscribe_to("barrier", QoS::AtMostOnce).unwrap();
    assert!(!reaches(&broker, &mut shared, "d/1"));
    broker.command_ok("-removeRule D");
    assert!(reaches(&broker, &mut wide, "d/1"));
    assert!(reaches(&broker, &mut early, "d/1"));
}

/// A pattern that ends with `/+` covers one level, so a filter is granted by a rule that allows
/// none of the messages: the log says which rule keeps them.
#[test]
fn denied_deliveries_of_a_granted_subscription_are_logged() {
    let broker = broker_of_two();
    let panels = "IF USER IS \"ann\" OR USER IS \"bob\" THEN\n        ALLOW\n    ELSE\n        DENY";
    let added = broker.command_ok(&format!(
        "-addRule DEFINE RULE Factory WITH PRIORITY 140 FOR Subscribe TO TOPIC \"factory/+\"\n    {panels}\n"
    ));
    let told = added.0["warnings"].to_string();
    assert!(told.contains("LOTMQ_LOT_COMPAT_RULE_TRAILING_PLUS=subtree"), "{told}");
    for rule in [
        "Barrier WITH PRIORITY 150 FOR Subscribe TO TOPIC \"barrier\"\n    ALLOW\n",
        "Rest WITH PRIORITY 200 FOR Subscribe TO TOPIC \"#\"\n    IF USER IS \"root\" THEN\n        ALLOW\n    ELSE\n        DENY\n",
    ] {
        broker.command_ok(&format!("-addRule DEFINE RULE {rule}"));
    }
    let is_told = |user: &str, topic: &str| {
        let (user, topic) = (format!("user=\"{user}\""), format!("topic=\"{topic}\""));
        let is_ours = |line: &str| {
            let parts = ["WARN", "delivery denied by a rule", &user, &topic, "by=\"rule Rest\"", "count=1"];
            parts.iter().all(|part| line.contains(part)).then_some(())
        };
        broker.log().wait_for("a warning", is_ours).expect("the broker goes on");
    };
    let mut ann = broker.connect(&v5("ann", "panel"));
    assert_eq!(ann.subscribe_to("factory/#", QoS::AtMostOnce).unwrap(), ReasonCode::granted(QoS::AtMostOnce));
    ann.subscribe_to("barrier", QoS::AtMostOnce).unwrap();
    assert!(!reaches(&broker, &mut ann, "factory/line1/x/reading"));
    is_told("ann", "factory/line1/x/reading");
    assert!(reaches(&broker, &mut ann, "factory/line1"));
    let kept = Publication::new("factory/line1/kept", "1").retained().qos(QoS::AtLeastOnce);
    broker.root("r").publish(&kept).unwrap();
    let mut bob = broker.connect(&v5("bob", "other"));
    bob.subscribe_to("factory/#", QoS::AtMostOnce).unwrap();
    is_told("bob", "factory/line1/kept");
}

/// OD-48 of the language reference: with the switch off, a broad filter brings what a narrow one is
/// refused, as with the original.
#[test]
fn rules_at_delivery_can_be_switched_off() {
    let broker = options().variable("LOTMQ_LOT_COMPAT_RULES_AT_DELIVERY", "false").start();
    broker.command_ok("-addUser bob pw");
    broker.command_ok("-addRule DEFINE RULE D WITH PRIORITY 100 FOR Subscribe TO TOPIC \"d/#\"\n    DENY\n");
    broker
        .root("r")
        .publish(&Publication::new("d/kept", "retained").retained().qos(QoS::AtLeastOnce))
        .unwrap();
    let mut wide = broker.connect(&v5("bob", "wide"));
    assert_eq!(wide.subscribe_to("d/+/t", QoS::AtMostOnce).unwrap(), ReasonCode::NotAuthorized);
    assert_eq!(wide.subscribe_to("d/#", QoS::AtMostOnce).unwrap(), ReasonCode::NotAuthorized);
    assert_eq!(wide.subscribe_to("#", QoS::AtMostOnce).unwrap(), ReasonCode::granted(QoS::AtMostOnce));
    assert_eq!(wide.receive(WAIT_MAX).unwrap().unwrap().topic, "d/kept");
    assert!(reaches(&broker, &mut wide, "d/1"));
}

#[test]
fn a_live_subscriber_loses_and_gains_with_his_group() {
    let broker = broker_of_two();
    broker.command_ok(
        "-addRule DEFINE RULE Readers WITH PRIORITY 100 FOR Subscribe TO TOPIC \"secret/#\"\n    IF USER IN GROUP \"in\" THEN\n        ALLOW\n    ELSE\n        DENY\n",
    );
    let mut ann = broker.connect(&v5("ann", "ann"));
    ann.subscribe_to("#", QoS::AtMostOnce).unwrap();
    assert!(!reaches(&broker, &mut ann, "secret/1"));
    for round in 0..3 {
        broker.command_ok("-addUserToGroup ann in");
        eventually("she gains", || reaches(&broker, &mut ann, "secret/1").then_some(()));
        broker.command_ok("-removeUserFromGroup ann in");
        let what = format!("she loses, round {round}");
        eventually(&what, || (!reaches(&broker, &mut ann, "secret/1")).then_some(()));
    }
}

#[test]
fn an_offline_session_gets_what_its_user_may_have() {
    let broker = broker_of_two();
    let options = v5("ann", "away").clean_start(false).session_expiry(3600);
    let mut ann = broker.connect(&options);
    ann.subscribe_to("q/#", QoS::AtLeastOnce).unwrap();
    ann.disconnect().unwrap();
    let mut sender = broker.root("sender");
    publish(&mut sender, "q/1", "before");
    broker.command_ok("-addRule DEFINE RULE Q WITH PRIORITY 100 FOR Subscribe TO TOPIC \"q/#\"\n    IF USER IS NOT \"ann\" THEN\n        ALLOW\n    ELSE\n        DENY\n");
    publish(&mut sender, "q/1", "denied");
    broker.command_ok("-removeRule Q");
    publish(&mut sender, "q/1", "after");
    let mut ann = broker.connect(&options);
    let texts: Vec<String> = (0..2).map(|_| ann.receive(WAIT_MAX).unwrap().unwrap().text()).collect();
    assert_eq!(texts, ["before", "after"]);
}

/// The texts of the next messages.
fn texts(client: &mut Client, count: usize) -> Vec<String> {
    (0..count).map(|_| client.receive(WAIT_MAX).unwrap().unwrap().text()).collect()
}

/// The broker checks waiting messages again if rules or users have changed meanwhile, also with a
/// restart in between.
#[test]
fn queued_messages_are_authorised_again_on_delivery() {
    for restarts in [false, true] {
        let mut broker = broker_of_two();
        broker.command_ok("-addUserToGroup ann in");
        broker.command_ok("-addRule DEFINE RULE S WITH PRIORITY 100 FOR Subscribe TO TOPIC \"secret/#\"\n    IF USER IN GROUP \"in\" THEN\n        ALLOW\n    ELSE\n        DENY\n");
        let options = v5("ann", "away").clean_start(false).session_expiry(3600);
        let mut ann = broker.connect(&options);
        ann.subscribe_to("#", QoS::AtLeastOnce).unwrap();
        ann.disconnect().unwrap();
        let mut sender = broker.root("sender");
        for (topic, text) in
            [("open/1", "first"), ("secret/1", "lost"), ("secret/2", "lost"), ("open/2", "second")]
        {
            publish(&mut sender, topic, text);
        }
        broker.command_ok("-removeUserFromGroup ann in");
        if restarts {
            broker.kill();
            broker.start_again();
        }
        let mut ann = broker.connect(&options);
        publish(&mut broker.root("sender"), "open/3", "third");
        assert_eq!(texts(&mut ann, 3), ["first", "second", "third"], "restarts: {restarts}");
        assert_eq!(broker.metric("lotmq_queued_denied_total"), Some(2.0));
    }
}

/// A session that comes back from elsewhere is another one for rules: neither what waits nor what
/// was sent without an answer goes where it may not.
#[test]
fn resumed_session_gets_only_messages_allowed_at_its_new_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("mqtt.sock");
    let broker = options().variable("LOTMQ_LISTENER_UNIX_PATH", socket.to_str().unwrap()).start();
    broker.command_ok("-addUser ann pw");
    broker.command_ok("-addRule DEFINE RULE Local WITH PRIORITY 100 FOR Subscribe TO TOPIC \"secret/#\"\n    IF ENDPOINT IS \"unix\" THEN\n        ALLOW\n    ELSE\n        DENY\n");
    let options = v5("ann", "away").clean_start(false).session_expiry(3600);
    let local = |options: &ConnectOptions| Client::connect_at(&Endpoint::unix(&socket), options).unwrap();
    let mut ann = local(&options.clone().manual_acks());
    ann.subscribe_to("#", QoS::ExactlyOnce).unwrap();
    let mut sender = broker.root("sender");
    publish(&mut sender, "secret/0", "answered");
    let first = ann.receive(WAIT_MAX).unwrap().unwrap();
    ann.acknowledge(&first, ReasonCode::Success).unwrap();
    let twice = |topic: &str| Publication::new(topic, topic).qos(QoS::ExactlyOnce);
    publish(&mut sender, "secret/1", "sent");
    sender.publish(&twice("secret/2")).unwrap();
    assert_eq!(texts(&mut ann, 2), ["sent", "secret/2"], "without an answer");
    drop(ann);
    eventually("she is away", || broker.metric("lotmq_connections").filter(|count| *count == 1.0));
    publish(&mut sender, "secret/3", "queued");
    sender.publish(&twice("open/1")).unwrap();
    let mut ann = broker.connect(&options);
    assert_eq!(texts(&mut ann, 1), ["open/1"]);
    assert_eq!(broker.metric("lotmq_queued_denied_total"), Some(3.0));
    // The exchange is over on both sides: its identifier serves the next.
    for number in 0..5 {
        let topic = format!("open/{number}");
        sender.publish(&twice(&topic)).unwrap();
        assert_eq!(texts(&mut ann, 1), [topic]);
    }
    ann.disconnect().unwrap();
    let mut ann = local(&options);
    publish(&mut sender, "secret/4", "again");
    assert_eq!(texts(&mut ann, 1), ["again"]);
}

/// The address of a session that is away is that of its last connection, after a restart too.
#[test]
fn a_session_is_no_local_one_after_a_restart() {
    let mut broker = broker_of_two();
    for (name, topic, address) in [("L", "local/#", "unix"), ("A", "address/#", "127.0.0.1")] {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE {name} WITH PRIORITY 100 FOR Subscribe TO TOPIC \"{topic}\"\n    IF ENDPOINT IS \"{address}\" THEN\n        ALLOW\n    ELSE\n        DENY\n"
        ));
    }
    let options = v5("ann", "away").clean_start(false).session_expiry(3600);
    let mut ann = broker.connect(&options);
    ann.subscribe_to("#", QoS::AtLeastOnce).unwrap();
    ann.disconnect().unwrap();
    broker.kill();
    broker.start_again();
    let mut sender = broker.root("sender");
    for topic in ["local/1", "address/1", "other"] {
        publish(&mut sender, topic, topic);
    }
    let mut ann = broker.connect(&options);
    assert_eq!(texts(&mut ann, 2), ["address/1", "other"]);
    assert_eq!(broker.metric("lotmq_queued_denied_total"), Some(0.0), "it was not even queued");
}

#[test]
fn a_connection_is_admitted_by_a_retained_message_and_root_always() {
    let broker = broker_of_two();
    broker.command_ok(
        "-addRule DEFINE RULE Adm WITH PRIORITY 100 FOR Connect\n    IF CLIENTID MATCHES REGEX \"^gw[0-9]+$\" AND TOPIC EXISTS \"allow/\" + CLIENTID THEN\n        ALLOW\n    ELSE\n        DENY\n",
    );
    let refused =
        |options: &ConnectOptions| Client::connect(broker.address(), options).unwrap_err().to_string();
    assert!(refused(&v5("ann", "gw1")).contains("not authorized"), "{}", refused(&v5("ann", "gw1")));
    refused(&ConnectOptions::new("gw1"));
    let allow = Publication::new("allow/gw1", "x").retained().qos(QoS::AtLeastOnce);
    broker.root("any id").publish(&allow).unwrap();
    broker.connect(&v5("ann", "gw1")).ping().unwrap();
    refused(&v5("ann", "gw2"));
    broker
        .root("any id")
        .publish(&Publication::new("allow/gw1", "").retained().qos(QoS::AtLeastOnce))
        .unwrap();
    refused(&v5("ann", "gw1"));
}

#[test]
fn a_kept_state_opens_and_shuts_a_gate_at_once() {
    let broker = broker_of_two();
    broker.command_ok("-addAction DEFINE ACTION Lock\nON TOPIC \"lock\" DO\n    KEEP TOPIC \"state/locked\" WITH PAYLOAD\n    PUBLISH TOPIC \"done\" WITH PAYLOAD\n");
    broker.command_ok("-addRule DEFINE RULE Gate WITH PRIORITY 120 FOR Publish TO TOPIC \"cmd/#\"\n    IF GET TOPIC \"state/locked\" IS \"true\" THEN\n        DENY\n    ELSE\n        ALLOW\n");
    let mut ann = broker.connect(&v5("ann", "ann"));
    ann.subscribe_to("done", QoS::AtMostOnce).unwrap();
    assert!(!publish(&mut ann, "cmd/x", "1").is_failure());
    for (state, expected) in [("true", true), ("false", false), ("true", true)] {
        publish(&mut ann, "lock", state);
        assert_eq!(ann.receive(WAIT_MAX).unwrap().unwrap().text(), state);
        assert_eq!(publish(&mut ann, "cmd/x", "1").is_failure(), expected, "{state}");
    }
}

#[test]
fn a_payload_decides_message_by_message() {
    let broker = broker_of_two();
    broker.command_ok("-addRule DEFINE RULE Small WITH PRIORITY 100 FOR Publish TO TOPIC \"set/#\"\n    IF PAYLOAD > 100 THEN\n        DENY\n    ELSE\n        ALLOW\n");
    let mut ann = broker.connect(&v5("ann", "ann"));
    for (payload, is_denied) in [("99", false), ("101", true), ("100", false), ("1e3", true)] {
        assert_eq!(publish(&mut ann, "set/x", payload).is_failure(), is_denied, "{payload}");
    }
}

#[test]
fn a_will_counts_as_a_publish_at_connect_and_when_it_is_due() {
    let broker = broker_of_two();
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("#", QoS::AtMostOnce).unwrap();
    let dies = |topic: &str| v5("ann", "dies").will(Will::new(topic, "gone"));
    let dying = broker.connect(&dies("wills/1"));
    let deny = "-addRule DEFINE RULE W WITH PRIORITY 100 FOR Publish TO TOPIC \"wills/#\"\n    DENY\n";
    broker.command_ok(deny);
    assert!(Client::connect(broker.address(), &dies("wills/2")).is_err(), "asked for at CONNECT");
    dying.abort();
    eventually("the will is refused", || {
        (broker.metric("lotmq_publish_refused_total").unwrap_or(0.0) >= 1.0).then_some(())
    });
    broker.command_ok("-removeRule W");
    broker.connect(&dies("wills/3")).abort();
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "wills/3");
}

/// Waits until `count` publishes have been refused.
fn refused(broker: &Broker, count: f64) {
    broker.wait_for_metric("lotmq_publish_refused_total", count);
}

/// A Will is asked for with who has set it, whatever ends its connection and whoever comes then.
#[test]
fn a_will_is_asked_for_when_its_session_is_taken_over() {
    let broker = broker_of_two();
    broker.command_ok(&format!("-addRule {WRITERS}"));
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("#", QoS::AtMostOnce).unwrap();
    let willing = || v5("ann", "w").will(Will::new("plant/will", "gone"));
    for (number, resumes) in [(1.0, false), (2.0, true)] {
        broker.command_ok("-addUserToGroup ann ops");
        let _old = broker.connect(&willing().session_expiry(60));
        broker.command_ok("-removeUserFromGroup ann ops");
        broker.connect(&v5("ann", "w").clean_start(!resumes)).ping().unwrap();
        refused(&broker, number);
    }
    // A rule that came after CONNECT, for Clients without a name too, whose session anybody takes
    // over.
    let _plc = broker.connect(&ConnectOptions::v5("plc").will(Will::new("other/will", "gone")));
    broker
        .command_ok("-addRule DEFINE RULE W WITH PRIORITY 100 FOR Publish TO TOPIC \"other/#\"\n    DENY\n");
    broker.client("plc").ping().unwrap();
    refused(&broker, 3.0);
    broker.command_ok("-removeRule W");
    // The Will of a user with the right also goes out at a takeover.
    broker.command_ok("-addUserToGroup bob ops");
    let _own = broker.connect(&v5("bob", "b").will(Will::new("plant/bob", "gone")));
    broker.connect(&v5("bob", "b")).ping().unwrap();
    // Of all these Wills only the last one was allowed.
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "plant/bob");
    assert_eq!(broker.metric("lotmq_wills_published_total"), Some(1.0));
}

/// The Will of a removed user is discarded, connected or away. The next user of that name does not
/// publish it either.
#[test]
fn the_will_of_a_removed_user_is_discarded() {
    let broker = broker_of_two();
    let mut watcher = broker.root("watcher");
    watcher.subscribe_to("wills/#", QoS::AtMostOnce).unwrap();
    let mut delayed = Will::new("wills/away", "gone");
    delayed.properties.push(PropertyId::WillDelayInterval, PropertyValue::FourByte(60)).unwrap();
    broker.connect(&v5("ann", "away").session_expiry(3600).will(delayed)).abort();
    broker.wait_until_metric_is("lotmq_connections", 1.0);
    let mut here = broker.connect(&v5("ann", "here").will(Will::new("wills/here", "gone")));
    broker.command_ok("-removeUser ann");
    broker.command_ok("-addUser ann pw");
    assert!(here.receive(WAIT_MAX).unwrap_err().is_closed());
    broker.connect(&v5("ann", "here")).ping().unwrap();
    broker.connect(&v5("ann", "away")).ping().unwrap();
    publish(&mut broker.root("sender"), "wills/barrier", "");
    assert_eq!(watcher.receive(WAIT_MAX).unwrap().unwrap().topic, "wills/barrier");
}

#[test]
fn commands_have_scopes_that_rules_widen_and_narrow() {
    let broker = broker_of_two();
    broker.command_ok("-changeUserSettings ann AllowedUserManagement true");
    let ask = |command: &str| {
        let mut ann = broker.connect(&v5("ann", "ann"));
        ann.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtMostOnce).unwrap();
        publish(&mut ann, "$SYS/Coreflux/Command", command);
        serde_json::from_slice::<Value>(&ann.receive(WAIT_MAX).unwrap().unwrap().payload).unwrap()
    };
    let refused = ask("-setEnv A=1");
    assert_eq!(refused["success"], false);
    let need =
        "it needs SystemConfiguration, which a rule FOR SystemConfiguration may give to a user or a group";
    assert_eq!(refused["errors"][0]["suggestions"][0], need);
    broker.command_ok("-addRule DEFINE RULE Config WITH PRIORITY 100 FOR SystemConfiguration\n    IF USER IS \"ann\" THEN\n        ALLOW\n");
    assert_eq!(ask("-setEnv A=1")["success"], true);
    assert_eq!(ask("-addUser eve pw")["success"], true);
    broker.command_ok("-addRule DEFINE RULE NoUsers WITH PRIORITY 5 FOR UserManagementCreation\n    DENY\n");
    assert_eq!(
        ask("-addUser mallory pw")["message"],
        "Permission denied: You are not allowed to execute -addUser"
    );
    broker.command_ok("-addUser mallory pw");
    broker.command_ok("-addRule DEFINE RULE NoCommands WITH PRIORITY 5 FOR CommandCall\n    IF USER IS \"ann\" THEN\n        DENY\n");
    let mut ann = broker.connect(&v5("ann", "ann"));
    assert_eq!(publish(&mut ann, "$SYS/Coreflux/Command", "-help"), ReasonCode::NotAuthorized);
    // The $SYS tree is widened for one user, and taken away from a live subscription.
    broker.command_ok("-addRule DEFINE RULE Sees WITH PRIORITY 100 FOR SubscribeSys TO TOPIC \"$SYS/Coreflux/Rules/#\"\n    IF USER IS \"bob\" THEN\n        ALLOW\n");
    let mut bob = broker.connect(&v5("bob", "bob"));
    assert_eq!(
        bob.subscribe_to("$SYS/Coreflux/Rules/Sees", QoS::AtMostOnce).unwrap(),
        ReasonCode::granted(QoS::AtMostOnce)
    );
    assert!(bob.receive(WAIT_MAX).unwrap().unwrap().text().starts_with("DEFINE RULE Sees "));
    assert_eq!(bob.subscribe_to("$SYS/Coreflux/Config", QoS::AtMostOnce).unwrap(), ReasonCode::NotAuthorized);
}

#[test]
fn nobody_locks_root_out() {
    let broker = broker();
    for scope in [
        "Connect",
        "CommandCall",
        "RuleManagementRemove",
        "SubscribeSys",
        "PublishSys",
        "Publish",
        "Subscribe",
    ] {
        broker.command_ok(&format!("-addRule DEFINE RULE No{scope} WITH PRIORITY 0 FOR {scope}\n    DENY\n"));
    }
    assert!(Client::connect(broker.address(), &ConnectOptions::new("x")).is_err());
    let mut root = broker.root("root");
    root.subscribe_to("a", QoS::AtMostOnce).unwrap();
    publish(&mut root, "a", "mine");
    assert_eq!(root.receive(WAIT_MAX).unwrap().unwrap().text(), "mine");
    assert_eq!(broker.command_ok("-removeAllRules").message(), "Removed all rules successfully");
    broker.client("x").ping().unwrap();
}

#[test]
fn rules_are_added_replaced_listed_and_removed_by_command() {
    let broker = broker();
    let text = "DEFINE RULE One WITH PRIORITY 50 FOR Publish TO TOPIC \"a/#\"\n    DENY\n";
    let added = broker.command_ok(&format!("-addRule {text}"));
    assert_eq!(added.message(), "Rule 'One' added successfully!");
    assert_eq!(added.0["warnings"][0]["message"], "Priorities 0-99 are meant for system rules.");
    let again = broker.command(&format!("-addRule {text}"));
    assert_eq!(again.message(), "A rule with the name 'One' already exists");
    broker.command_ok(&format!("-addRule -replace {}", text.replace("DENY", "ALLOW")));
    assert!(!publish(&mut broker.connect(&ConnectOptions::v5("x")), "a/1", "x").is_failure());
    let built_in = broker.command("-removeRule AllowSystemConfiguration");
    assert_eq!(
        built_in.message(),
        "Rule 'AllowSystemConfiguration' is a built-in rule and cannot be removed."
    );
    let taken = "-addRule -replace DEFINE RULE AllowLogRead WITH PRIORITY 100 FOR Publish\n    ALLOW\n";
    assert_eq!(broker.command(taken).message(), "A rule with the name 'AllowLogRead' already exists");
    assert_eq!(broker.command("-removeRule Nope").message(), "Rule 'Nope' not found.");
    let bad = broker.command("-addRule DEFINE RULE Bad WITH PRIORITY 100 FOR Nothing\n    ALLOW\n");
    assert_eq!(bad.code(), "LOT309");
    let listed = broker.command_ok("-listRules");
    let row = |name: &str| listed.data().as_array().unwrap().iter().find(|row| row["name"] == name).cloned();
    let one = json!({"name":"One","priority":50,"scope":"Publish","topic":"a/#","state":"running","origin":"adhoc"});
    assert_eq!(row("One"), Some(one));
    assert_eq!(row("AllowPublishSys").unwrap()["origin"], "builtin");
    assert_eq!(row("AllowConnect").unwrap()["priority"], 1_000_000);
    assert_eq!(broker.command_ok("-lotDiagnostic rule One").data()["kind"], "rule");

    let mut root = broker.root("reader");
    let mut read = |topic: &str| {
        let topic = format!("$SYS/Coreflux/{topic}");
        root.subscribe_to(&topic, QoS::AtMostOnce).unwrap();
        root.receive(WAIT_MAX).unwrap().unwrap().text()
    };
    assert_eq!(read("Rules/One"), text.replace("DENY", "ALLOW"));
    assert!(
        read("Rules/AllowPublishSysCommand")
            .starts_with("DEFINE RULE AllowPublishSysCommand WITH PRIORITY 10")
    );
    let before: u32 = read("Config/Rules").parse().unwrap();
    assert!(read("Rules").contains(r#"{"name":"One","state":"running","origin":"adhoc"}"#));
    broker.command_ok("-removeRule One");
    let after = root.receive(WAIT_MAX).unwrap().unwrap();
    let mut left = vec![(after.topic.clone(), after.text())];
    left.extend(root.receive(WAIT_MAX).unwrap().map(|message| (message.topic.clone(), message.text())));
    assert!(left.contains(&("$SYS/Coreflux/Rules/One".to_owned(), String::new())), "{left:?}");
    assert!(left.contains(&("$SYS/Coreflux/Config/Rules".to_owned(), (before - 1).to_string())), "{left:?}");
    // Without the rule of a fresh installation nobody may; -restoreRules brings it back, as it was.
    broker.command_ok("-addRule -replace DEFINE RULE AllowPublishTopic WITH PRIORITY 1000000 FOR Publish TO TOPIC \"#\"\n    DENY\n");
    let mut client = broker.connect(&ConnectOptions::v5("x"));
    assert!(publish(&mut client, "a", "x").is_failure());
    assert_eq!(broker.command_ok("-restoreRules").message(), "Default rules restored successfully!");
    assert!(!publish(&mut client, "a", "x").is_failure());
}

#[test]
fn error_in_a_rule_condition_is_published_to_its_error_topic() {
    let broker = broker();
    broker.command_ok("-addRule DEFINE RULE Odd WITH PRIORITY 100 FOR Publish TO TOPIC \"odd/#\"\n    IF GET TOPIC \"n\" == 1 / GET TOPIC \"zero\" THEN\n        ALLOW\n    ELSE\n        DENY\n");
    let mut client = broker.connect(&ConnectOptions::v5("x"));
    publish(&mut client, "n", "1");
    publish(&mut client, "zero", "0");
    let mut root = broker.root("root");
    root.subscribe_to("$SYS/Coreflux/Rules/Odd/Error", QoS::AtMostOnce).unwrap();
    assert!(publish(&mut client, "odd/1", "x").is_failure(), "an error in a condition is false");
    let record = root.receive(WAIT_MAX).unwrap().unwrap();
    let record: Value = serde_json::from_slice(&record.payload).unwrap();
    assert_eq!(
        (&record["action"], &record["code"], &record["trigger"]["topic"]),
        (&json!("Odd"), &json!("LOT602"), &json!("odd/1"))
    );
    assert!(record["line"].as_u64() > Some(0));
    assert!(root.receive(Duration::ZERO).unwrap().is_none());
}

/// A user may resume their session at another endpoint, and deliveries then follow the rules for
/// that one. Threads remember who gets a topic.
#[test]
fn deliveries_are_decided_for_wherever_the_session_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let broker = options().variable("LOTMQ_LISTENER_UNIX_PATH", path.to_str().unwrap()).start();
    broker.command_ok("-addUser ann pw");
    for (name, topic, here, elsewhere) in [("Here", "here", "ALLOW", "DENY"), ("Out", "out", "DENY", "ALLOW")]
    {
        broker.command_ok(&format!(
            "-addRule DEFINE RULE {name} WITH PRIORITY 100 FOR Subscribe TO TOPIC \"{topic}\"
    IF ENDPOINT IS \"unix\" THEN
        {here}
    ELSE
        {elsewhere}
"
        ));
    }
    let session = v5("ann", "of-ann").session_expiry(3_600).clean_start(false);
    let mut client = broker.connect(&session);
    client.subscribe_to("#", QoS::AtMostOnce).unwrap();
    // Often enough for every thread to know.
    for _ in 0..8 {
        assert!(!reaches(&broker, &mut client, "here"));
        assert!(reaches(&broker, &mut client, "out"));
    }
    client.disconnect().unwrap();
    let mut client = Client::connect_at(&Endpoint::unix(&path), &session).unwrap();
    assert!(client.session_present());
    for _ in 0..8 {
        assert!(reaches(&broker, &mut client, "here"));
        assert!(!reaches(&broker, &mut client, "out"));
    }
}
