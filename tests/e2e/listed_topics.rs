//! `FOR EACH {t} IN TOPICS "filter"`: offline and in a broker.

use lotmq_client::{Publication, QoS};
use lotmq_test_support::WAIT_MAX;

use crate::triggers::{add, passes};
use crate::{broker, next, send, watch};

const OVERVIEW: &str = r#"DEFINE ACTION Overview
ON TOPIC "ask/+" DO
    FOR EACH {t} WITH INDEX {i} IN TOPICS "line/" + TOPIC POSITION 2 + "/+/state" DO
        PUBLISH TOPIC "seen/" + {i} WITH {t} + "=" + (GET TOPIC {t})
        SET "count" WITH {count} + 1
    PUBLISH TOPIC "count" WITH {count} AS INT
DEFINE ACTION Written
ON TOPIC "write" DO
    KEEP TOPIC "w/b" WITH 1
    KEEP TOPIC "w/a" WITH 2
    FOR EACH {t} IN TOPICS "w/+" DO
        PUBLISH TOPIC "written" WITH {t}
    DELETE TOPIC "w/a"
    FOR EACH {t} IN TOPICS "w/#" DO
        PUBLISH TOPIC "left" WITH {t}
DEFINE ACTION Any
ON TOPIC "any" DO
    FOR EACH {t} IN TOPICS PAYLOAD DO
        PUBLISH TOPIC "of-any" WITH {t}
    PUBLISH TOPIC "of-any" WITH "end"
"#;

#[test]
fn topics_are_gone_through_in_their_order_offline() {
    let cases = r#"
        [[case]]
        name = "messages, retained or not, by topic"
        given = { "line/a/0/state" = "off" }
        when = [
            { topic = "line/a/3/state", payload = "held", retain = true },
            { topic = "line/a/2/state", payload = "run" },
            { topic = "line/a/10/state", payload = "stop" },
            { topic = "line/a/1/state", payload = "run" },
            { topic = "line/b/1/state", payload = "run" },
            { topic = "line/a/1/other", payload = "x" },
            { topic = "ask/a", payload = "" },
            { topic = "ask/c", payload = "" },
        ]
        then = [
            { topic = "seen/0", payload = "line/a/0/state=off" },
            { topic = "seen/1", payload = "line/a/1/state=run" },
            { topic = "seen/2", payload = "line/a/10/state=stop" },
            { topic = "seen/3", payload = "line/a/2/state=run" },
            { topic = "seen/4", payload = "line/a/3/state=held" },
            { topic = "count", payload = 5 },
        ]
        [[case]]
        name = "what the run has written"
        when = [{ topic = "write", payload = "" }]
        then = [
            { topic = "written", payload = "w/a" },
            { topic = "written", payload = "w/b" },
            { topic = "left", payload = "w/b" },
        ]
        [[case]]
        name = "what is no filter is an error, and the run goes on"
        when = [{ topic = "any", payload = "a/#/b" }]
        then = [{ error = "no topic filter" }, { topic = "of-any", payload = "end" }]
    "#;
    passes(OVERVIEW, cases, 3);
}

#[test]
fn a_program_lists_what_its_owner_may_read() {
    let broker = broker();
    broker.command_ok("-addUser ann password");
    broker.command_ok("-changeUserSettings ann AllowedSystemConfiguration true");
    broker.command_ok(
        "-addRule DEFINE RULE Secret WITH PRIORITY 10 FOR Subscribe TO TOPIC \"p/secret/#\"\n    IF USER IS \"ann\" THEN\n        DENY\n    ELSE\n        ALLOW",
    );
    let mut watcher = watch(&broker, "found/#");
    let action = |name: &str| {
        format!(
            "-addAction DEFINE ACTION {name}\nON TOPIC \"go/{name}\" DO\n    FOR EACH {{t}} IN TOPICS \"p/#\" DO\n        PUBLISH TOPIC \"found/{name}\" WITH {{t}}\n    PUBLISH TOPIC \"found/{name}\" WITH \"end\"\n"
        )
    };
    let mut sender = broker.client("sender of retained ones");
    for topic in ["p/secret/x", "p/open", "q/other"] {
        let retained = Publication::new(topic, "1").qos(QoS::AtLeastOnce).retained();
        sender.publish(&retained).unwrap();
    }
    let reply = broker.command_as(("ann", "password"), &action("ann"));
    assert!(reply.success(), "{reply:?}");
    broker.command_ok(&action("root"));
    send(&broker, "go/ann", "");
    assert_eq!([(); 2].map(|()| next(&mut watcher)), ["found/ann=p/open", "found/ann=end"]);
    send(&broker, "go/root", "");
    let of_root = [(); 3].map(|()| next(&mut watcher));
    assert_eq!(of_root, ["found/root=p/open", "found/root=p/secret/x", "found/root=end"]);
}

#[test]
fn more_topics_than_may_be_listed_end_the_run_with_an_error() {
    let broker = broker();
    let body = "FOR EACH {t} IN TOPICS \"many/+\" DO\n        SET \"n\" WITH {n} + 1\n    PUBLISH TOPIC \"n\" WITH {n}";
    add(&broker, "Many", r#"ON TOPIC "go""#, body);
    let mut root = broker.root("reader");
    root.subscribe_to("$SYS/Coreflux/Actions/Many/Error", QoS::AtMostOnce).unwrap();
    let mut watcher = watch(&broker, "n");
    let mut sender = broker.client("sender of many");
    for number in 0..10_000 {
        sender.publish(&Publication::new(format!("many/{number}"), "x")).unwrap();
    }
    sender.publish(&Publication::new("go", "x").qos(QoS::AtLeastOnce)).unwrap();
    assert_eq!(next(&mut watcher), "n=10000");
    sender.publish(&Publication::new("many/more", "x").qos(QoS::AtLeastOnce)).unwrap();
    sender.publish(&Publication::new("go", "x").qos(QoS::AtLeastOnce)).unwrap();
    let error = root.receive(WAIT_MAX).unwrap().expect("an error record").text();
    assert!(error.contains("LOT608") && error.contains("10,000 topics"), "{error}");
}
