//! `-why` and `-whyDelivery` in a running broker, against what clients then get.

use std::path::Path;

use lotmq_client::{Client, ConnectOptions, Publication, QoS, ReasonCode};
use serde_json::Value;

use crate::testing::{PATIENCE, Running, connect};

/// Rules with priorities; `Valves` denies what `Plant` allows.
const RULES: &[&str] = &[
    "Valves WITH PRIORITY 3 FOR Publish TO TOPIC \"plant/valve/#\"\n    IF USER IN GROUP \"bosses\" THEN\n        ALLOW\n    ELSE\n        DENY\n",
    "Plant WITH PRIORITY 4 FOR Publish TO TOPIC \"plant/#\"\n    IF USER IN GROUP \"bosses\" THEN\n        ALLOW\n    ELSE\n        ALLOW\n",
    "Readers WITH PRIORITY 4 FOR Subscribe TO TOPIC \"secret/#\"\n    IF USER IN GROUP \"bosses\" THEN\n        ALLOW\n    ELSE\n        DENY\n",
];

struct Stage {
    running: Running,
    root: Client,
}

impl Stage {
    fn set(dir: &Path) -> Stage {
        let running = Running::start_with_tokens(dir);
        let mut root = connect(running.address(), &ConnectOptions::v5("admin").user("root", "coreflux"));
        root.subscribe_to("$SYS/Coreflux/Command/Output", QoS::AtLeastOnce).unwrap();
        let mut stage = Stage { running, root };
        for user in ["ann", "boss"] {
            stage.ask(&format!("-addUser {user} pw-of-{user}"));
        }
        stage.ask("-addUserToGroup boss bosses");
        for rule in RULES {
            let reply = stage.ask(&format!("-addRule DEFINE RULE {rule}"));
            assert_eq!(reply["success"], true, "{reply}");
        }
        stage
    }

    fn ask(&mut self, command: &str) -> Value {
        let message = Publication::new("$SYS/Coreflux/Command", command).qos(QoS::AtLeastOnce);
        self.root.publish(&message).unwrap();
        let reply = self.root.receive(PATIENCE).unwrap().expect("a reply");
        serde_json::from_slice(&reply.payload).unwrap()
    }

    /// Decision and deciding step of a question.
    fn why(&mut self, question: &str) -> (String, String) {
        let reply = self.ask(question);
        let data = &reply["data"];
        let text = |key: &str| data[key].as_str().unwrap_or_else(|| panic!("{question}: {reply}")).to_owned();
        (text("decision"), text("decidedBy"))
    }
}

#[test]
fn deciding_rule_or_user_store_is_named_also_for_what_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::set(dir.path());
    for (question, decision, by) in [
        ("-why publish ann c plant/1", "allow", "rule Plant"),
        ("-why publish ann c plant/valve/1", "deny", "rule Valves"),
        ("-why publish boss c plant/valve/1 -payload open -qos 1 -retain", "allow", "rule Valves"),
        ("-why publish root c anything", "allow", "root may do everything"),
        ("-why publish ann c plant/#", "deny", "wildcard"),
        ("-why publish ann c $SYS/x", "deny", "no rule allows it"),
        ("-why subscribe ann c secret/1", "deny", "rule Readers"),
        ("-why subscribe boss c $share/g/secret/#", "allow", "rule Readers"),
        ("-why subscribe ann c $SYS/broker/uptime", "allow", "built-in rules of priority 10"),
        ("-why publish nobody c plant/1", "unknown", "token may know the user at a login"),
        ("-why connect ann c", "allow", "rule"),
    ] {
        let found = stage.why(question);
        assert!(found.0 == decision && found.1.contains(by), "{question}: {found:?}");
    }
    // The priority that passes on is shown, and the one that decides is last.
    let steps = stage.ask("-why publish boss c plant/valve/1")["data"]["steps"].clone();
    assert_eq!(steps[0]["says"], "allow", "{steps}");
    let refused = stage.ask("-why eat ann c");
    assert_eq!(refused["errors"][0]["code"], "ARGUMENT_INVALID", "{refused}");
    let refused = stage.ask("-why publish ann c");
    assert_eq!(refused["errors"][0]["code"], "MISSING_ARGUMENT", "{refused}");
}

#[test]
fn question_changes_nothing_and_agrees_with_what_the_client_gets() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::set(dir.path());
    let options = ConnectOptions::v5("c1").user("ann", "pw-of-ann");
    let mut ann = connect(stage.running.address(), &options);
    let before = stage.ask("-brokerStatus")["data"]["denials"]["count"].clone();
    for topic in ["plant/1", "plant/valve/1", "secret/1"] {
        let (decision, _) = stage.why(&format!("-why publish ann c1 {topic}"));
        let code = ann.publish(&Publication::new(topic, "x").qos(QoS::AtLeastOnce)).unwrap();
        assert_eq!(decision == "allow", code != ReasonCode::NotAuthorized, "{topic}: {decision} {code}");
    }
    let denied = stage.ask("-brokerStatus")["data"]["denials"]["count"].clone();
    assert_eq!(denied.as_u64(), before.as_u64().map(|count| count + 1), "the client's own denial alone");
}

#[test]
fn ban_and_login_chain_of_a_connect_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::set(dir.path());
    stage.ask("-addBan user ann 60");
    assert_eq!(stage.why("-why connect ann c").0, "deny");
    assert!(stage.why("-why connect ann c").1.contains("banned"));
    assert!(stage.why("-why connect boss c -from 192.0.2.7").0 == "allow");
    let listeners = stage.ask("-why connect boss c")["data"]["listeners"].clone();
    assert!(
        listeners[0]["asks"].as_array().is_some_and(|asks| asks.contains(&"builtin".into())),
        "{listeners}"
    );
}

#[test]
fn delivery_names_filters_rules_queue_and_the_last_denials() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::set(dir.path());
    assert!(stage.ask("-whyDelivery gone plant/1")["message"].as_str().unwrap().contains("no session"));
    let options = ConnectOptions::v5("c1").user("ann", "pw-of-ann").clean_start(false).session_expiry(600);
    let mut ann = connect(stage.running.address(), &options);
    for (filter, qos) in [("news/#", QoS::AtLeastOnce), ("live/+", QoS::AtMostOnce)] {
        ann.subscribe_to(filter, qos).unwrap();
    }
    let code = ann.subscribe_to("secret/1", QoS::AtLeastOnce).unwrap();
    assert_eq!(code, ReasonCode::NotAuthorized);
    let session = |reply: &Value| reply["data"]["sessions"][0].clone();
    let news = session(&stage.ask("-whyDelivery c1 news/1"));
    assert_eq!((&news["decision"], &news["connected"]), (&"allow".into(), &true.into()), "{news}");
    assert_eq!(news["matching"][0]["filter"], "news/#");
    let other = session(&stage.ask("-whyDelivery c1 other"));
    assert_eq!(other["decision"], "deny");
    assert_eq!(other["otherFilters"].as_array().map(Vec::len), Some(2), "{other}");
    let secret = session(&stage.ask("-whyDelivery c1 secret/1"));
    assert!(secret["lastDenials"][0]["by"].as_str().is_some_and(|by| by.contains("Readers")), "{secret}");
    ann.disconnect().unwrap();
    let away = |stage: &mut Stage, topic: &str| session(&stage.ask(&format!("-whyDelivery c1 {topic}")));
    let started = std::time::Instant::now();
    while away(&mut stage, "live/1")["connected"] == true && started.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let live = away(&mut stage, "live/1");
    assert_eq!((&live["decision"], &live["connected"]), (&"deny".into(), &false.into()), "{live}");
    assert_eq!(away(&mut stage, "news/1")["decision"], "allow");
    // A rule that takes the right stops messages to the old filter.
    stage.ask("-addRule DEFINE RULE NoNews WITH PRIORITY 1 FOR Subscribe TO TOPIC \"news/#\"\n    IF USER IN GROUP \"bosses\" THEN\n        ALLOW\n    ELSE\n        DENY\n");
    let news = away(&mut stage, "news/1");
    assert!(news["decision"] == "deny" && news["decidedBy"].as_str().unwrap().contains("NoNews"), "{news}");
}
